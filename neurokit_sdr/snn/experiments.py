"""Networks of a whole experiment: several animals, or several ensembles of stimuli."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import check_number, check_whole
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn.ground_truth import (
    INHIBITORY_SHARE,
    NEURON,
    check_wiring,
    coupling_sizes,
    random_wiring,
)
from neurokit_sdr.snn.latents import GaussianProcess, Schedule, StimulusBlocks
from neurokit_sdr.snn.network import Inputs, Network
from neurokit_sdr.snn.synapses import BYTES_PER_UNIT, check_memory, synapses_from_matrix

#: Frame of the communities' latents, s, and how fast and how much they fluctuate.
_FRAME = 0.01
_FLUCTUATION_TIME = 0.1
_FLUCTUATION_SD = 0.6


def motif_network(
    n_animals: int = 5,
    *,
    n_units: int = 60,
    n_communities: int = 4,
    missing: float = 0.2,
    unassigned: float = 0.2,
    cycle: float = 120.0,
    interval: float = 2.0,
    activity: float = 0.25,
    shared: float = 0.5,
    loading: float = 3.5,
    coupling: str | tuple[float, float] = "weak",
    density: float = 0.1,
    delay: float = 0.0015,
    rng: RNG = None,
) -> dict[str, Network]:
    r"""Several animals with the same named units, whose communities are active in known intervals.

    .. math:: d_i(t) = d + \ell\, a_{c_i}(t)\, e^{\sigma x_{c_i}(t) - \sigma^2/2}

    Unit i belongs to one community :math:`c_i` (or to none), the same in every animal. Time is cut
    into blocks of ``interval`` s; :math:`a_c` is 1 in the blocks in which community c is active and
    0 elsewhere. While active, its members follow one fluctuation (x Gaussian with a time scale of
    0.1 s and variance 1, :math:`\sigma` = 0.6), so that they are correlated with each other and
    not with other communities. A share of the active blocks is common to all animals. Each animal
    lacks some units and has random wiring of its own, blind to the communities. This is the truth
    of a method that finds, over animals, which units are functionally connected and when (the
    temporal functional connectome).

    Parameters
    ----------
    n_animals
        Number of animals.
    n_units
        Named units; a fifth, the last ones, inhibits.
    n_communities
        Number of communities.
    missing
        Share of the units that each animal lacks.
    unassigned
        Share of the units that belong to no community.
    cycle
        Seconds after which the intervals begin again; whole blocks.
    interval
        Length of a block, s.
    activity
        Share of the blocks in which a community is active.
    shared
        Share of these that is common to all animals.
    loading
        :math:`\ell`, mV.
    coupling, density, delay
        Of the wiring, as in :func:`hub_network`.
    rng
        Seed.

    Returns
    -------
    dict of str to Network
        By animal, ``"animal 1"`` and on. Units carry the coordinate ``unit_name`` (``"N01"``), the
        same unit having the same name in every animal. The truth holds ``community(unit)`` (-1 in
        none) and, for the first cycle, one entry for each active block:
        ``interval_start(interval)``, ``interval_stop(interval)`` (s),
        ``interval_community(interval)`` and ``interval_shared(interval)``. The simulation adds
        ``latent(time, latent_index)``: latent c is above 0 exactly while community c is active.

    Raises
    ------
    ParameterError
        If a parameter is out of range, or ``cycle`` is not a number of whole blocks.

    Examples
    --------
    >>> animals = motif_network(2, n_units=10, n_communities=2, rng=0)
    >>> list(animals), animals["animal 1"].n_units
    (['animal 1', 'animal 2'], 8)
    """
    number = check_whole("n_animals", n_animals, 1)
    n = check_whole("n_units", n_units, 2)
    communities = check_whole("n_communities", n_communities, 1)
    for name, share in (
        ("missing", missing),
        ("unassigned", unassigned),
        ("activity", activity),
        ("shared", shared),
        ("density", density),
    ):
        check_number(name, share, 0, 1)
    check_number("loading", loading, 0)
    jump = coupling_sizes(coupling)
    n_present = n - round(missing * n)
    n_members = n - round(unassigned * n)
    if n_present < 1 or n_members < communities:
        raise ParameterError(
            f"Expected at least one unit per animal and per community, got {n_present} and "
            f"{n_members} units in {communities} communities: lower missing or unassigned."
        )
    check_number("interval", interval, _FRAME)
    check_number("cycle", cycle, interval)
    block_frames, n_blocks = round(interval / _FRAME), round(cycle / interval)
    if abs(cycle / interval - n_blocks) > 1e-6 or abs(interval / _FRAME - block_frames) > 1e-6:
        raise ParameterError(
            f"Expected cycle as a multiple of interval, and interval of {_FRAME:g} s, got "
            f"{cycle:g} and {interval:g}."
        )
    check_wiring(n_present, density)
    # Beside the wiring, each animal keeps the latents of a cycle and the loading on them.
    check_memory(
        number * (n * BYTES_PER_UNIT + (4 * n_blocks * block_frames + n) * 8.0 * communities),
        f"The latents of {communities} communities for {cycle:g} s in {number} animals",
    )
    seed = resolve_seed(rng)
    draw = stream(seed, "motif_network")
    community = np.full(n, -1)
    community[draw.permutation(n)[:n_members]] = np.arange(n_members) % communities
    n_active = round(activity * n_blocks)
    n_common = round(shared * n_active)
    common = np.zeros((n_blocks, communities), bool)
    for k in range(communities):
        common[draw.choice(n_blocks, n_common, replace=False), k] = True
    names = np.array([f"N{i + 1:0{len(str(n))}d}" for i in range(n)])
    animals = {}
    for index in range(number):
        own = stream(seed, "motif_network", "animal", index)
        present = np.sort(own.choice(n, n_present, replace=False))
        active = common.copy()
        for k in range(communities):
            free = np.flatnonzero(~common[:, k])
            active[own.choice(free, n_active - n_common, replace=False), k] = True
        n_excitatory = int((present < n - round(INHIBITORY_SHARE * n)).sum())
        weight = random_wiring(n_excitatory, n_present - n_excitatory, density, jump, own)
        sizes = {"excitatory": n_excitatory, "inhibitory": n_present - n_excitatory}
        member = community[present]
        block, which = np.nonzero(active)
        label = f"animal {index + 1}"
        animals[label] = Network(
            name=f"motif_network, {label}",
            neuron=NEURON,
            populations={name: size for name, size in sizes.items() if size},
            synapses=synapses_from_matrix(weight, delay=delay),
            initial={"v": own.uniform(-60, -50, n_present)},
            inputs=Inputs(
                drive=4.0,
                noise=2.9,
                process=_schedule(active, block_frames, own),
                loading=loading * (member[:, None] == np.arange(communities)),
            ),
            truth=xr.Dataset(
                {
                    "community": (("unit",), member),
                    "interval_start": (("interval",), block * interval, {"units": "s"}),
                    "interval_stop": (("interval",), (block + 1) * interval, {"units": "s"}),
                    "interval_community": (("interval",), which),
                    "interval_shared": (("interval",), common[block, which]),
                },
                coords={
                    "unit": np.arange(n_present),
                    "unit_name": (("unit",), names[present]),
                },
            ),
            unit_coords={"unit_name": names[present]},
        )
    return animals


def _schedule(active: np.ndarray, block_frames: int, draw: np.random.Generator) -> Schedule:
    """The latents of ``active(block, community)``, positive exactly where it is true."""
    on = np.repeat(active, block_frames, axis=0)
    scales = (_FLUCTUATION_TIME,) * active.shape[1]
    x = GaussianProcess(scales, frame_interval=_FRAME).sample(len(on), draw).latent
    return Schedule(on * np.exp(_FLUCTUATION_SD * x - _FLUCTUATION_SD**2 / 2), _FRAME)


def adapting_population(
    n_units: int = 60,
    *,
    n_stimuli: int = 12,
    adaptor: float = 0.0,
    adaptor_probability: float = 0.4,
    homeostasis: float = 1.0,
    concentration: float = 2.5,
    baseline: float = 0.1,
    amplitude: float = 8.0,
    stimulus_duration: float = 0.2,
    block_duration: float = 30.0,
    rng: RNG = None,
) -> Network:
    r"""Orientation-tuned units whose gains change with the ensemble of stimuli.

    .. math:: d_i(t) = d + A\, g_{e(t),i}\, f_i(s(t)), \qquad
              f_i(s) = b + e^{\kappa(\cos 2(s - \phi_i) - 1)}, \qquad
              g_{e,i} = \left(\frac{\sum_s p_0(s) f_i(s)}{\sum_s p_e(s) f_i(s)}\right)^h

    Gratings are drawn independently, one every ``stimulus_duration``; blocks of a uniform ensemble
    (e = 0) and of one biased to an adaptor (e = 1) take turns. With h = 1 each unit's mean drive is
    the same in both ensembles, a homeostatic goal reported for cat visual cortex (Benucci, Saleem
    and Carandini 2013, doi:10.1038/nn.3382); with h = 0 gains are 1. The form of the rule, that
    gains switch at once with the block, and that units are not coupled are ours: this is the truth
    of a method that recovers gains, not a reproduction of a paper's model or data.

    Parameters
    ----------
    n_units
        Number of units; preferred orientations :math:`\phi` are evenly spaced over 180 deg.
    n_stimuli
        Orientations, evenly spaced from -90 deg.
    adaptor
        One of them, deg.
    adaptor_probability
        Its probability in the biased ensemble, at least ``1 / n_stimuli``; the others share the
        rest.
    homeostasis
        h, 0 to 1.
    concentration, baseline
        :math:`\kappa` and b of the tuning.
    amplitude
        A, mV.
    stimulus_duration, block_duration
        s; a block is a number of whole stimuli.
    rng
        Seed.

    Returns
    -------
    Network
        Its truth holds ``gain(ensemble_name, unit)``, ``preferred_orientation(unit)`` (deg),
        ``tuning(orientation, unit)`` and ``probability(ensemble_name, orientation)``; the
        simulation adds, for each stimulus, ``stimulus(time)`` (deg), ``stimulus_index(time)`` and
        ``ensemble(time)``.

    Raises
    ------
    ParameterError
        If a parameter is out of range, or the adaptor is not one of the orientations.

    Examples
    --------
    >>> gain = adapting_population(4, rng=0).truth["gain"]
    >>> gain.sel(ensemble_name="biased").values.round(2)
    array([1.33, 1.21, 0.59, 1.21])
    """
    n = check_whole("n_units", n_units, 1)
    stimuli = check_whole("n_stimuli", n_stimuli, 2)
    check_number("adaptor_probability", adaptor_probability, 1 / stimuli, 1)
    check_number("homeostasis", homeostasis, 0, 1)
    check_number("concentration", concentration, 0)
    check_number("baseline", baseline, 0, open_low=True)
    check_number("amplitude", amplitude, 0)
    check_number("stimulus_duration", stimulus_duration, 0, open_low=True)
    check_number("block_duration", block_duration, stimulus_duration)
    block_frames = round(block_duration / stimulus_duration)
    if abs(block_duration / stimulus_duration - block_frames) > 1e-6:
        raise ParameterError(
            f"Expected block_duration as a multiple of stimulus_duration "
            f"({stimulus_duration:g} s), got {block_duration:g}."
        )
    # The tuning and its intermediate results, and the loading in both ensembles.
    check_memory(
        8.0 * 8 * n * stimuli + n * BYTES_PER_UNIT, f"The tuning of {n} units to {stimuli} stimuli"
    )
    orientation = -90 + 180 / stimuli * np.arange(stimuli)
    at_adaptor = np.isclose(orientation, check_number("adaptor", adaptor, -90, 90))
    if not at_adaptor.any():
        raise ParameterError(
            f"Expected adaptor among the orientations {orientation.tolist()}, got {adaptor!r}."
        )
    preferred = -90 + 180 / n * np.arange(n)
    apart = np.deg2rad(orientation[:, None] - preferred)
    tuning = baseline + np.exp(concentration * (np.cos(2 * apart) - 1))
    others = (1 - adaptor_probability) / (stimuli - 1)
    probability = np.stack(
        [np.full(stimuli, 1 / stimuli), np.where(at_adaptor, adaptor_probability, others)]
    )
    mean = probability @ tuning
    gain = (mean[0] / mean) ** homeostasis
    draw = stream(resolve_seed(rng), "adapting_population")
    names = ["uniform", "biased"]
    return Network(
        name="adapting_population",
        neuron=NEURON,
        populations={"all": n},
        initial={"v": draw.uniform(-60, -50, n)},
        inputs=Inputs(
            drive=2.0,
            noise=2.9,
            process=StimulusBlocks(probability, orientation, block_frames, stimulus_duration),
            loading=amplitude * (gain[:, None] * tuning).reshape(2 * stimuli, n).T,
        ),
        truth=xr.Dataset(
            {
                "gain": (("ensemble_name", "unit"), gain),
                "preferred_orientation": (("unit",), preferred, {"units": "deg"}),
                "tuning": (("orientation", "unit"), tuning),
                "probability": (("ensemble_name", "orientation"), probability),
            },
            coords={
                "unit": np.arange(n),
                "orientation": ("orientation", orientation, {"units": "deg"}),
                "ensemble_name": names,
            },
        ),
    )
