"""Networks made to test a method: each knows what the method is supposed to find."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.estimator import Interval
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn.network import Inputs, Network
from neurokit_sdr.snn.neurons import DeltaLIF
from neurokit_sdr.snn.published import check_whole
from neurokit_sdr.snn.synapses import synapses_from_matrix

#: Jumps of the potential, mV, by name: excitatory and inhibitory.
COUPLING = {"strong": (1.0, 3.0), "weak": (0.5, 1.5)}

#: An LIF in mV from rest, as in cortex: 20 ms, 10 mV to threshold, 2 ms refractory.
_NEURON = DeltaLIF(
    tau_membrane=0.02, rest=-60.0, threshold=-50.0, reset=-60.0, refractory_period=0.002
)


def hub_network(
    n_units: int = 100,
    *,
    coupling: str | tuple[float, float] = "strong",
    density: float = 0.1,
    n_hubs: int = 3,
    hub_out_degree: float = 0.4,
    delay: float = 0.0015,
    rng: RNG = None,
) -> Network:
    r"""A sparse LIF network with a few hubs: which unit drives which?

    A fifth of the units inhibits. Ordered pairs are joined with probability ``density``; the hubs,
    excitatory, reach a share ``hub_out_degree`` of the others. Each unit is a :class:`DeltaLIF`
    (20 ms, 10 mV from rest to threshold) that white noise makes fire at 5-10 Hz.

    Parameters
    ----------
    n_units
        Number of units.
    coupling
        ``"strong"`` (jumps of 1 and -3 mV), ``"weak"`` (0.5 and -1.5 mV), or the two sizes in mV.
    density, hub_out_degree
        Shares of the possible targets.
    n_hubs
        How many.
    delay
        Of every synapse, s.
    rng
        Seed.

    Returns
    -------
    Network
        Its truth holds ``hub(unit)``.

    Examples
    --------
    >>> int(hub_network(rng=0).truth["hub"].sum())
    3
    """
    n = check_whole("n_units", n_units, 10)
    if isinstance(coupling, str):
        if coupling not in COUPLING:
            raise ParameterError(f"Expected coupling among {list(COUPLING)}, got {coupling!r}.")
        coupling = COUPLING[coupling]
    if len(coupling) != 2 or not (np.isfinite(coupling).all() and min(coupling) >= 0):
        raise ParameterError(f"Expected coupling as two sizes in mV >= 0, got {coupling!r}.")
    for name, value in (("density", density), ("hub_out_degree", hub_out_degree)):
        if value not in Interval(float, 0, 1):
            raise ParameterError(f"Expected {name} between 0 and 1, got {value!r}.")
    n_inhibitory = round(0.2 * n)
    n_excitatory = n - n_inhibitory
    if check_whole("n_hubs", n_hubs, 0) > n_excitatory:
        raise ParameterError(f"Expected at most {n_excitatory} hubs, got {n_hubs}.")
    seed = resolve_seed(rng)
    draw = stream(seed, "hub_network")
    joined = draw.random((n, n)) < density
    hubs = draw.choice(n_excitatory, n_hubs, replace=False)
    for hub in hubs:
        others = np.delete(np.arange(n), hub)
        joined[:, hub] = False
        joined[draw.choice(others, round(hub_out_degree * n), replace=False), hub] = True
    np.fill_diagonal(joined, False)
    size = np.where(np.arange(n) < n_excitatory, coupling[0], -coupling[1])
    hub = np.isin(np.arange(n), hubs)
    return Network(
        name="hub_network",
        neuron=_NEURON,
        populations={"excitatory": n_excitatory, "inhibitory": n_inhibitory},
        synapses=synapses_from_matrix(joined * size, delay=delay),
        initial={"v": draw.uniform(-60, -50, n)},
        inputs=Inputs(drive=5.0, noise=2.9),
        truth=xr.Dataset({"hub": (("unit",), hub)}, coords={"unit": np.arange(n)}),
    )
