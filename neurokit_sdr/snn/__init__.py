"""Spiking networks and populations with known truth, and what instruments see of them.

>>> import neurokit_sdr as nks
>>> network = nks.snn.cuba(n_units=400, rng=0)
>>> session = nks.snn.simulate(network, 0.1, rng=0, progress=False)
>>> list(session.children)
['spikes', 'truth']
"""

from __future__ import annotations

from neurokit_sdr.core.errors import MissingDependencyError

try:
    import numba as _numba  # noqa: F401
except ImportError as error:
    raise MissingDependencyError(
        "Simulating needs numba: pip install 'neurokit-sdr[analysis]'."
    ) from error

from neurokit_sdr.engines.poisson.kernels import exponential_kernel as exponential_kernel
from neurokit_sdr.snn import observe as observe
from neurokit_sdr.snn.activity import interval_statistics as interval_statistics
from neurokit_sdr.snn.activity import population_rate as population_rate
from neurokit_sdr.snn.activity import rate_spectrum as rate_spectrum
from neurokit_sdr.snn.experiments import adapting_population as adapting_population
from neurokit_sdr.snn.experiments import motif_network as motif_network
from neurokit_sdr.snn.ground_truth import clustered_network as clustered_network
from neurokit_sdr.snn.ground_truth import hub_network as hub_network
from neurokit_sdr.snn.ground_truth import latent_driven as latent_driven
from neurokit_sdr.snn.ground_truth import switching_network as switching_network
from neurokit_sdr.snn.latents import GaussianProcess as GaussianProcess
from neurokit_sdr.snn.latents import HiddenStates as HiddenStates
from neurokit_sdr.snn.latents import Lorenz as Lorenz
from neurokit_sdr.snn.latents import Oscillator as Oscillator
from neurokit_sdr.snn.latents import Schedule as Schedule
from neurokit_sdr.snn.latents import StimulusBlocks as StimulusBlocks
from neurokit_sdr.snn.latents import SwitchingDynamics as SwitchingDynamics
from neurokit_sdr.snn.network import Inputs as Inputs
from neurokit_sdr.snn.network import Network as Network
from neurokit_sdr.snn.neurons import AdEx as AdEx
from neurokit_sdr.snn.neurons import ConductanceLIF as ConductanceLIF
from neurokit_sdr.snn.neurons import CurrentLIF as CurrentLIF
from neurokit_sdr.snn.neurons import DeltaLIF as DeltaLIF
from neurokit_sdr.snn.neurons import DendriticLIF as DendriticLIF
from neurokit_sdr.snn.neurons import HodgkinHuxley as HodgkinHuxley
from neurokit_sdr.snn.neurons import Izhikevich as Izhikevich
from neurokit_sdr.snn.plasticity import PairRule as PairRule
from neurokit_sdr.snn.plasticity import vogels_rule as vogels_rule
from neurokit_sdr.snn.point_process import (
    simulate_switching_population as simulate_switching_population,
)
from neurokit_sdr.snn.point_process import spikes_from_counts as spikes_from_counts
from neurokit_sdr.snn.point_process import switching_population as switching_population
from neurokit_sdr.snn.published import brunel as brunel
from neurokit_sdr.snn.published import coba as coba
from neurokit_sdr.snn.published import coba_hh as coba_hh
from neurokit_sdr.snn.published import cuba as cuba
from neurokit_sdr.snn.published import izhikevich_2003 as izhikevich_2003
from neurokit_sdr.snn.published import polychronization as polychronization
from neurokit_sdr.snn.published import potjans_diesmann as potjans_diesmann
from neurokit_sdr.snn.published import vogels_2011 as vogels_2011
from neurokit_sdr.snn.simulation import simulate as simulate
from neurokit_sdr.snn.synapses import Synapses as Synapses
from neurokit_sdr.snn.synapses import connect_in_degree as connect_in_degree
from neurokit_sdr.snn.synapses import connect_randomly as connect_randomly
from neurokit_sdr.snn.synapses import synapses as synapses
from neurokit_sdr.snn.synapses import synapses_from_matrix as synapses_from_matrix
