"""Networks made to test a method: each knows what the method is supposed to find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import as_numbers, check_number, check_whole
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn.latents import (
    GaussianProcess,
    HiddenStates,
    LatentProcess,
    Lorenz,
    Oscillator,
    SwitchingDynamics,
)
from neurokit_sdr.snn.network import Inputs, Network
from neurokit_sdr.snn.neurons import DeltaLIF
from neurokit_sdr.snn.synapses import (
    BYTES_PER_SYNAPSE,
    BYTES_PER_UNIT,
    check_memory,
    synapses_from_matrix,
)

#: Jumps of the potential, mV, by name: excitatory and inhibitory.
COUPLING = {"strong": (1.0, 3.0), "weak": (0.5, 1.5)}

#: Latent processes of latent_driven, by name.
LATENTS = {"lorenz": Lorenz, "oscillator": Oscillator, "gp": GaussianProcess}

#: Share of the units that inhibits.
INHIBITORY_SHARE = 0.2

#: An LIF in mV from rest, as in cortex: 20 ms, 10 mV to threshold, 2 ms refractory.
NEURON = DeltaLIF(
    tau_membrane=0.02, rest=-60.0, threshold=-50.0, reset=-60.0, refractory_period=0.002
)


#: Bytes for each ordered pair of units while a wiring is drawn as matrices: two of float64, one of
#: truth values.
_BYTES_PER_PAIR = 2 * 8 + 1


def check_wiring(n_units: int, density: float, n_states: int = 0) -> None:
    """Refuse what would not fit into memory: a wiring as a matrix, and factors for each state."""
    per_pair = (1 + n_states) * _BYTES_PER_PAIR + density * (BYTES_PER_SYNAPSE + 8 * n_states)
    check_memory(
        float(n_units) ** 2 * per_pair + n_units * BYTES_PER_UNIT,
        f"The weight of every pair of {n_units} units"
        + (f" in {n_states} states" if n_states else ""),
    )


def coupling_sizes(coupling: str | tuple[float, float]) -> tuple[float, float]:
    """The jumps in mV of excitation and inhibition, both >= 0."""
    if isinstance(coupling, str):
        if coupling not in COUPLING:
            raise ParameterError(f"Expected coupling among {list(COUPLING)}, got {coupling!r}.")
        return COUPLING[coupling]
    sizes = as_numbers("coupling", coupling)
    if sizes.shape != (2,) or not (np.isfinite(sizes).all() and sizes.min() >= 0):
        raise ParameterError(f"Expected coupling as two sizes in mV >= 0, got {coupling!r}.")
    return float(sizes[0]), float(sizes[1])


def random_wiring(
    n_excitatory: int,
    n_inhibitory: int,
    density: float,
    jump: tuple[float, float],
    draw: np.random.Generator,
) -> np.ndarray:
    """``weight(target, source)`` in mV: each ordered pair is joined with one probability."""
    n = n_excitatory + n_inhibitory
    joined = draw.random((n, n)) < density
    np.fill_diagonal(joined, False)
    return joined * np.where(np.arange(n) < n_excitatory, jump[0], -jump[1])


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
    excitatory, reach a share ``hub_out_degree`` of the others, rounded to whole units. Each unit is
    a :class:`DeltaLIF` (20 ms, 10 mV from rest to threshold) that white noise makes fire at
    5-10 Hz.

    Parameters
    ----------
    n_units
        Number of units.
    coupling
        ``"strong"`` (jumps of 1 and -3 mV), ``"weak"`` (0.5 and -1.5 mV), or the two sizes in mV.
    density, hub_out_degree
        Shares of the possible targets, 0 to 1.
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

    Raises
    ------
    ParameterError
        If a parameter is out of range, or the wiring would not fit into memory.

    Examples
    --------
    >>> int(hub_network(rng=0).truth["hub"].sum())
    3
    """
    n = check_whole("n_units", n_units, 10)
    jump = coupling_sizes(coupling)
    check_number("density", density, 0, 1)
    check_number("hub_out_degree", hub_out_degree, 0, 1)
    n_inhibitory = round(INHIBITORY_SHARE * n)
    n_excitatory = n - n_inhibitory
    if check_whole("n_hubs", n_hubs, 0) > n_excitatory:
        raise ParameterError(f"Expected at most {n_excitatory} hubs, got {n_hubs}.")
    check_wiring(n, density)
    seed = resolve_seed(rng)
    draw = stream(seed, "hub_network")
    joined = draw.random((n, n)) < density
    hubs = draw.choice(n_excitatory, n_hubs, replace=False)
    for hub in hubs:
        others = np.delete(np.arange(n), hub)
        joined[:, hub] = False
        joined[draw.choice(others, round(hub_out_degree * (n - 1)), replace=False), hub] = True
    np.fill_diagonal(joined, False)
    size = np.where(np.arange(n) < n_excitatory, jump[0], -jump[1])
    hub = np.isin(np.arange(n), hubs)
    return Network(
        name="hub_network",
        neuron=NEURON,
        populations={"excitatory": n_excitatory, "inhibitory": n_inhibitory},
        synapses=synapses_from_matrix(joined * size, delay=delay),
        initial={"v": draw.uniform(-60, -50, n)},
        inputs=Inputs(drive=5.0, noise=2.9),
        truth=xr.Dataset({"hub": (("unit",), hub)}, coords={"unit": np.arange(n)}),
    )


def switching_network(
    n_units: int = 60,
    *,
    n_states: int = 3,
    coupling: str | tuple[float, float] = (1.5, 3.0),
    density: float = 0.2,
    open_share: float = 0.5,
    closed_scale: float = 0.0,
    dwell_time: float = 1.0,
    state_drive: float = 0.0,
    delay: float = 0.0015,
    rng: RNG = None,
) -> Network:
    r"""Hidden states that open and close the synapses of one wiring: is coupling state-dependent?

    .. math:: w_{ij}(t) = a_{ij}\, s_{z(t),ij}, \qquad s_{z,ij} \in \{1, c\}

    a is the anatomical weight, c is ``closed_scale``, z a Markov chain (:class:`HiddenStates`). In
    each state each synapse is open with probability ``open_share``. With ``state_drive=0`` the
    states act through the synapses alone; rates then differ little between them. This is the truth
    of a model whose connectivity switches with a hidden state (an HMM-GLM).

    Parameters
    ----------
    n_units
        Number of units; a fifth inhibits. All are :class:`DeltaLIF` in white noise.
    n_states
        Number of hidden states.
    coupling
        As in :func:`hub_network`: ``"strong"``, ``"weak"`` or sizes in mV.
    density
        Share of the ordered pairs that are joined.
    open_share
        Probability that a synapse is open in a state.
    closed_scale
        Factor of a closed synapse, 0 to 1.
    dwell_time
        Mean time in a state, s.
    state_drive
        Sd over units of a drive that each state adds, mV.
    delay
        Of every synapse, s.
    rng
        Seed.

    Returns
    -------
    Network
        Its truth holds ``weight_by_state(hidden_state, target, source)`` in mV and
        ``open(hidden_state, target, source)``; the simulation adds ``state(time)`` and the
        anatomical ``weight(target, source)``.

    Raises
    ------
    ParameterError
        If a parameter is out of range.

    Examples
    --------
    >>> network = switching_network(20, n_states=2, rng=0)
    >>> dict(network.truth["weight_by_state"].sizes)
    {'hidden_state': 2, 'target': 20, 'source': 20}
    """
    n = check_whole("n_units", n_units, 5)
    states = check_whole("n_states", n_states, 1)
    jump = coupling_sizes(coupling)
    for name, value in (
        ("density", density),
        ("open_share", open_share),
        ("closed_scale", closed_scale),
    ):
        check_number(name, value, 0, 1)
    process = HiddenStates(states, check_number("dwell_time", dwell_time, 0.01))
    check_number("state_drive", state_drive, 0)
    check_wiring(n, density, states)
    draw = stream(resolve_seed(rng), "switching_network")
    n_inhibitory = round(INHIBITORY_SHARE * n)
    weight = random_wiring(n - n_inhibitory, n_inhibitory, density, jump, draw)
    opened = (draw.random((states, n, n)) < open_share) & (weight != 0)
    scale = np.where(opened, 1.0, closed_scale)
    wiring = synapses_from_matrix(weight, delay=delay)
    units = np.arange(n)
    dims = ("hidden_state", "target", "source")
    return Network(
        name="switching_network",
        neuron=NEURON,
        populations={"excitatory": n - n_inhibitory, "inhibitory": n_inhibitory},
        synapses=wiring,
        initial={"v": draw.uniform(-60, -50, n)},
        inputs=Inputs(
            drive=5.0,
            noise=2.9,
            process=process,
            loading=state_drive * draw.standard_normal((n, states)),
        ),
        weight_scale=scale[:, wiring.target, wiring.source],
        truth=xr.Dataset(
            {
                "weight_by_state": (dims, scale * weight, {"units": "mV"}),
                "open": (dims, opened),
            },
            coords={"target": units, "source": units, "hidden_state": np.arange(states)},
        ),
    )


def clustered_network(
    cluster_sizes: Sequence[int] = (20, 20, 20),
    *,
    n_states: int = 2,
    frequencies: tuple[float, float] = (0.5, 4.0),
    cycles: float = 0.5,
    dwell_time: float = 3.0,
    loading: float = 2.0,
    rng: RNG = None,
) -> Network:
    r"""Populations with latents of their own, whose dynamics a hidden state switches.

    .. math:: d_i(t) = d + \ell\,(\cos\theta_i\, x_{c_i,1}(t) + \sin\theta_i\, x_{c_i,2}(t))

    :math:`c_i` is the unit's cluster and :math:`x_c` its pair of latents
    (:class:`SwitchingDynamics`). The clusters' frequencies are spaced evenly in their logarithm
    within ``frequencies``, and each state hands them round by one cluster. There are no synapses:
    what units share, they share through the latents. This is the truth of a model that groups
    units and states at once.

    Parameters
    ----------
    cluster_sizes
        Units of each cluster.
    n_states
        Number of hidden states, at most the number of clusters (else two would be the same).
    frequencies
        Lowest and highest, Hz; different, so that states differ.
    cycles
        Memory of the latents, in cycles of their frequency.
    dwell_time
        Mean time in a state, s.
    loading
        :math:`\ell`, mV.
    rng
        Seed.

    Returns
    -------
    Network
        Its truth holds ``community(unit)``, ``phase(unit)`` (:math:`\theta`, rad),
        ``frequency(hidden_state, cluster)`` in Hz and ``memory(hidden_state, cluster)`` in s; the
        simulation adds ``state(time)``, ``latent(time, latent_index)`` (2 for each cluster, in
        order) and ``loading(unit, latent_index)``.

    Raises
    ------
    ParameterError
        If a parameter is out of range.

    Examples
    --------
    >>> clustered_network((5, 3), rng=0).truth["community"].values
    array([0, 0, 0, 0, 0, 1, 1, 1])
    """
    if not isinstance(cluster_sizes, Sequence | np.ndarray):
        raise ParameterError(
            f"Expected cluster_sizes as a list, the units of each cluster, got {cluster_sizes!r}."
        )
    sizes = [check_whole("each of cluster_sizes", size, 1) for size in cluster_sizes]
    n_clusters = check_whole("the number of clusters", len(sizes), 1)
    states = check_whole("n_states", n_states, 1)
    if states > n_clusters:
        raise ParameterError(
            f"Expected at most as many states as clusters ({n_clusters}), got {states}."
        )
    if as_numbers("frequencies", frequencies).shape != (2,):
        raise ParameterError(f"Expected frequencies as (lowest, highest), got {frequencies!r}.")
    low = check_number("the lowest of frequencies", frequencies[0], 0, open_low=True)
    high = check_number("the highest of frequencies", frequencies[1], low, 20, open_low=True)
    check_number("cycles", cycles, 0, open_low=True)
    check_number("loading", loading, 0)
    check_memory(
        sum(sizes) * (BYTES_PER_UNIT + 4 * 8.0 * n_clusters) + 8.0 * 8 * states * n_clusters,
        f"The loading of {sum(sizes)} units on {2 * n_clusters} latents",
    )
    spaced = np.geomspace(low, high, n_clusters)
    frequency = np.stack([np.roll(spaced, state) for state in range(states)])
    memory = cycles / frequency
    process = SwitchingDynamics(
        frequency, memory, dwell_time=check_number("dwell_time", dwell_time, 0.01)
    )
    draw = stream(resolve_seed(rng), "clustered_network")
    community = np.repeat(np.arange(n_clusters), sizes)
    n = community.size
    phase = draw.uniform(0, 2 * np.pi, n)
    weight = np.zeros((n, 2 * n_clusters))
    weight[np.arange(n), 2 * community] = loading * np.cos(phase)
    weight[np.arange(n), 2 * community + 1] = loading * np.sin(phase)
    dims = ("hidden_state", "cluster")
    return Network(
        name="clustered_network",
        neuron=NEURON,
        populations={f"cluster {k}": size for k, size in enumerate(sizes)},
        initial={"v": draw.uniform(-60, -50, n)},
        inputs=Inputs(drive=5.0, noise=2.9, process=process, loading=weight),
        truth=xr.Dataset(
            {
                "community": (("unit",), community),
                "phase": (("unit",), phase, {"units": "rad"}),
                "frequency": (dims, frequency, {"units": "Hz"}),
                "memory": (dims, memory, {"units": "s"}),
            },
            coords={
                "unit": np.arange(n),
                "hidden_state": np.arange(states),
                "cluster": np.arange(n_clusters),
            },
        ),
    )


def latent_driven(
    n_units: int = 80,
    *,
    latents: str | LatentProcess = "lorenz",
    loading: float = 2.5,
    n_outputs: int = 2,
    rng: RNG = None,
) -> Network:
    r"""A population that a few latents drive, and a behaviour read out of the same latents.

    .. math:: d_i(t) = d + \textstyle\sum_k \ell_{ik} z_k(t), \qquad
              b_m(t) = \textstyle\sum_k z_k(t)\, r_{km}

    There are no synapses. This is the truth of models that find latents in spikes (Langevin flows,
    GP-VAEs): they should decode both z and b.

    Parameters
    ----------
    n_units
        Number of units.
    latents
        ``"lorenz"`` (3 latents), ``"oscillator"`` (2), ``"gp"`` (3), or a process such as
        ``nks.snn.Lorenz(speed=4)``.
    loading
        Length of each unit's row of :math:`\ell`, mV; its direction is random.
    n_outputs
        Outputs of the behaviour; each column of r has length 1.
    rng
        Seed.

    Returns
    -------
    Network
        Its truth holds ``readout(latent_index, output)``; the simulation adds
        ``latent(time, latent_index)``, ``loading(unit, latent_index)`` and the group
        ``/behavior`` with ``behavior(time, output)``.

    Raises
    ------
    ParameterError
        If a parameter is out of range.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> network = latent_driven(10, latents="gp", rng=0)
    >>> session = nks.snn.simulate(network, 0.1, rng=0, progress=False)
    >>> dict(session["behavior"].sizes)
    {'time': 20, 'output': 2}
    """
    n = check_whole("n_units", n_units, 1)
    check_number("loading", loading, 0)
    outputs = check_whole("n_outputs", n_outputs, 1)
    if isinstance(latents, str) and latents in LATENTS:
        process: LatentProcess = LATENTS[latents]()
    elif isinstance(latents, LatentProcess):
        process = latents
    else:
        raise ParameterError(
            f"Expected latents among {list(LATENTS)} or a latent process, got {latents!r}."
        )
    draw = stream(resolve_seed(rng), "latent_driven")
    # Only a sample tells how many latents a process of someone else's has.
    n_latents = process.sample(1, np.random.default_rng(0)).latent.shape[1]
    check_memory(
        n * (BYTES_PER_UNIT + 3 * 8.0 * n_latents) + 2 * 8.0 * n_latents * outputs,
        f"A loading of {n} units on {n_latents} latents, read out by {outputs} outputs,",
    )
    direction = draw.standard_normal((n, n_latents))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    readout = draw.standard_normal((n_latents, outputs))
    readout /= np.linalg.norm(readout, axis=0)
    return Network(
        name="latent_driven",
        neuron=NEURON,
        populations={"all": n},
        initial={"v": draw.uniform(-60, -50, n)},
        inputs=Inputs(drive=5.0, noise=2.9, process=process, loading=loading * direction),
        behavior=readout,
        truth=xr.Dataset({"readout": (("latent_index", "output"), readout)}),
    )
