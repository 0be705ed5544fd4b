"""What the makers of networks, latents and activity refuse, and that nothing is allocated first."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.snn import (
    GaussianProcess,
    HiddenStates,
    Lorenz,
    Oscillator,
    Schedule,
    StimulusBlocks,
    SwitchingDynamics,
    connect_in_degree,
    connect_randomly,
    exponential_kernel,
    latent_driven,
    synapses,
    synapses_from_matrix,
)

NAN, INF = float("nan"), float("inf")


def refused(match):
    return pytest.raises(ParameterError, match=match)


# hubs


@pytest.mark.parametrize("n", [10, 13, 40])
@pytest.mark.parametrize("share", [0.0, 0.37, 0.5, 1.0])
def test_hubs_reach_their_share_of_the_others(n, share):
    network = nks.snn.hub_network(n, hub_out_degree=share, density=0.0, rng=0)
    reached = np.bincount(network.synapses.source, minlength=n)
    hub = network.truth["hub"].values
    assert hub.sum() == 3
    np.testing.assert_array_equal(reached, np.where(hub, round(share * (n - 1)), 0))


# memory


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: nks.snn.hub_network(10**6), "The weight of every pair of 1000000 units"),
        (lambda: nks.snn.switching_network(10**6), "every pair of 1000000 units in 3 states"),
        (lambda: nks.snn.switching_network(n_states=10**9), "in 1000000000 states"),
        (lambda: nks.snn.motif_network(n_units=10**6), "every pair of 800000 units"),
        (lambda: nks.snn.motif_network(n_animals=10**9), "in 1000000000 animals"),
        (lambda: nks.snn.motif_network(cycle=2e12), r"4 communities for 2e\+12 s"),
        (lambda: latent_driven(10**11), "A loading of 100000000000 units on 3 latents"),
        (lambda: latent_driven(n_outputs=10**12), "read out by 1000000000000 outputs"),
        (lambda: latent_driven(latents=HiddenStates(10**8)), "A path of 100000000 latents"),
        (lambda: nks.snn.adapting_population(10**10), "of 10000000000 units to 12 stimuli"),
        (lambda: nks.snn.adapting_population(n_stimuli=10**10), "to 10000000000 stimuli"),
        (lambda: nks.snn.clustered_network((10**12, 3)), "units on 4 latents"),
        (lambda: nks.snn.cuba(10**12, connection_probability=0), "A network of 1000000000000"),
        (lambda: nks.snn.coba(10**12, connection_probability=0), "A network of 1000000000000"),
        (lambda: nks.snn.izhikevich_2003(10**12), "A network of 1000000000000 units"),
        (lambda: nks.snn.polychronization(10**6), r"A network with 1e\+11 synapses"),
        (lambda: nks.snn.switching_population(10**6), "every pair of 1000000 units in 3 states"),
    ],
)
def test_what_would_not_fit_is_refused_before_it_is_allocated(make, what):
    tracemalloc.start()
    try:
        with refused(f"{what}.* needs about .* GB, and this machine has .* make the network"):
            make()
        # One array of a million units would already take 8 MB.
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "process",
    [
        Lorenz(),
        Oscillator(),
        GaussianProcess(),
        HiddenStates(),
        SwitchingDynamics(),
        Schedule(np.ones((2, 3)), 0.01),
        StimulusBlocks(np.full((2, 2), 0.5), np.arange(2)),
    ],
)
def test_paths_longer_than_memory(process):
    with refused("A path of [1-9] latents and .* frames needs about .* the run shorter"):
        nks.snn.simulate(latent_driven(3, latents=process, rng=0), 1e11, progress=False)


def test_activity_and_counts_larger_than_memory():
    session = nks.snn.simulate(nks.snn.cuba(20, rng=0), 0.01, rng=0, progress=False)
    with refused("A rate in .* bins needs about"):
        nks.snn.population_rate(session, 1e-14)
    parameters = nks.snn.switching_population(3, rng=0)
    with refused("The counts of 3 units in 1 trials of 1000000000000 bins needs about"):
        nks.snn.simulate_switching_population(parameters, 10**12)


# latents


@pytest.mark.parametrize(
    ("process", "text"),
    [
        *[(Lorenz(speed=v), "speed to be a number > 0") for v in (0, -1, NAN, INF, "a")],
        *[(p(frame_interval=0), "frame_interval to be") for p in (Lorenz, Oscillator)],
        (GaussianProcess(frame_interval=NAN), "frame_interval to be a number > 0, got nan"),
        *[(Oscillator(coherence_time=v), "coherence_time to be") for v in (0, -1.0, NAN)],
        *[(Oscillator(v), "frequencies as") for v in ((), "a", 1.0, (NAN,), [[1.0], [1, 2]])],
        *[(GaussianProcess(v), "time_scales") for v in ((-1.0,), (0.0,), (), 0.1, ("a",))],
        *[(HiddenStates(dwell_time=v), "dwell_time to be a number >= 0.01") for v in (0, NAN)],
        *[(HiddenStates(v), "n_states to be a whole number >= 1") for v in (0, 1.5, "a")],
        (SwitchingDynamics([1.0], [2.0]), "frequency and memory of one shape"),
        (SwitchingDynamics([[1.0]], [[2.0, 1.0]]), "frequency and memory of one shape"),
        (SwitchingDynamics([[1.0]], [[0.0]]), "memory > 0 s, got 0"),
        (SwitchingDynamics([[NAN]], [[1.0]]), "finite frequency"),
        (SwitchingDynamics(dwell_time=0), "dwell_time to be"),
        (Schedule(np.ones(3), 0.01), "finite latents of shape"),
        (Schedule(np.ones((0, 2)), 0.01), "finite latents of shape"),
        (Schedule(np.ones((3, 2)), 0.01, {"s": np.ones(2)}), r"variables\['s'\] of shape \(3,\)"),
        (StimulusBlocks(np.ones((2, 2)), np.arange(2)), "summing to 1 in each ensemble"),
        (StimulusBlocks(np.full((2, 2), 0.5), np.arange(3)), r"values of shape \(2,\)"),
        (StimulusBlocks(np.full((2, 2), 0.5), np.arange(2), 0), "block_frames to be"),
    ],
)
def test_parameters_of_latents(process, text):
    with refused(f"Expected .*{text}"):
        latent_driven(3, latents=process, rng=0)
    with refused(f"Expected .*{text}"):
        process.sample(10, np.random.default_rng(0))


def test_stimuli_may_be_lists():
    sample = StimulusBlocks([[1.0, 0.0], [0.0, 1.0]], [5, 7], 2).sample(4, np.random.default_rng(0))
    np.testing.assert_array_equal(sample.variables["stimulus"], [5, 5, 7, 7])


# published and ground truth


@pytest.mark.parametrize("rate", [-5, NAN, INF, "a", None])
def test_target_rates(rate):
    with refused("Expected rate to be a number >= 0, got"):
        nks.snn.vogels_2011(100, rate=rate)


@pytest.mark.parametrize("probability", ["a", None, True, -0.1, NAN, [0.1]])
def test_probabilities(probability):
    for make in (nks.snn.cuba, nks.snn.coba, nks.snn.coba_hh):
        with refused(r"Expected a connection probability in \[0, 1\], got"):
            make(20, connection_probability=probability)


@pytest.mark.parametrize("regime", [[], {}, None, 3, "chaos"])
def test_regimes(regime):
    with refused("Expected regime among .*'asynchronous_irregular'.*, got"):
        nks.snn.brunel(regime)


@pytest.mark.parametrize("coupling", [("a", "b"), 3, None, (1, [2, 3]), (1.0, NAN), "huge"])
def test_couplings(coupling):
    for make in (nks.snn.hub_network, nks.snn.switching_network, nks.snn.motif_network):
        with refused("Expected coupling"):
            make(coupling=coupling)


@pytest.mark.parametrize("delay", ["a", None, [1e-3, 2e-3], NAN, -1e-3])
def test_delays(delay):
    for make in (nks.snn.hub_network, nks.snn.switching_network, nks.snn.motif_network):
        with refused("Expected .*delay"):
            make(delay=delay)


@pytest.mark.parametrize("sizes", [5, None, "ab", (), (3, "a"), (3, 1.5)])
def test_sizes_of_clusters(sizes):
    with refused("Expected .*cluster.*, got"):
        nks.snn.clustered_network(sizes)


@pytest.mark.parametrize("frequencies", [3, None, "ab", ("a", 2.0), (1.0, [2.0, 3.0])])
def test_frequencies_of_clusters(frequencies):
    with refused("Expected frequencies as"):
        nks.snn.clustered_network(frequencies=frequencies)


# synapses


def test_synapses_that_are_no_numbers():
    for name in ("weight", "delay", "receptor"):
        for value in ("a", None, 1j, [[1.0], [1.0, 2.0]]):
            if name == "receptor" and value is None:
                continue
            with refused(f"Expected {name} as"):
                synapses([0], [1], **({"weight": 1.0} | {name: value}))
    for receptor in (0.5, 2, -1, 256):
        with refused("Expected receptor 0 .excitatory. or 1 .inhibitory. of each synapse, got"):
            synapses([0], [1], 1.0, receptor=receptor)
    with refused(r"Expected source below 2\*\*31, got 4294967296"):
        synapses([2**32], [1], 1.0)
    for weight in ("a", None, [[1.0], [1.0, 2.0]]):
        with refused("Expected weight as"):
            synapses_from_matrix(weight)
    for delay in (np.ones((3, 3)), np.ones(2)):
        with refused(r"Expected delay as a number or an array of shape \(2, 2\), got shape"):
            synapses_from_matrix(np.eye(2), delay=delay)


@pytest.mark.parametrize("rng", [0, None, "a", np.random.RandomState(0)])
def test_generators(rng):
    with refused("Expected rng as a numpy.random.Generator, got .*default_rng"):
        connect_randomly(range(3), range(3), 0.5, 1.0, rng)
    with refused("Expected rng as a numpy.random.Generator, got .*default_rng"):
        connect_in_degree(range(3), range(3), 2, 1.0, rng)


def test_in_degrees():
    rng = np.random.default_rng(0)
    for number in ("a", -1, 1.5, None):
        with refused("Expected number to be a whole number >= 0, got"):
            connect_in_degree(range(3), range(3), number, 1.0, rng)
    with refused("Expected at least one source, got none"):
        connect_in_degree(range(0), range(3), 2, 1.0, rng)


# activity


@pytest.mark.parametrize("window", [(0, 0.05, 0.1), "ab", 3, ("a", "b"), (NAN, 0.1), [[0], [1, 2]]])
def test_windows(window):
    session = nks.snn.simulate(nks.snn.cuba(20, rng=0), 0.1, rng=0, progress=False)
    for measure in (nks.snn.population_rate, nks.snn.interval_statistics):
        with refused("Expected window=.start, stop."):
            measure(session, window=window)


def test_what_is_no_rate():
    session = nks.snn.simulate(nks.snn.cuba(20, rng=0), 0.1, rng=0, progress=False)
    for wrong in (session, session["spikes"].to_dataset(), 3, None):
        with pytest.raises(
            SchemaError, match=r"Expected what nks.snn.population_rate returns, got"
        ):
            nks.snn.rate_spectrum(wrong)


# switching populations


def test_kernels_and_strengths():
    for times in (["a"], [0.0], [NAN], 0.1, [-0.1]):
        with refused("Expected time_constants as"):
            exponential_kernel(times, 0.02)
    for width in (0, -1.0, NAN, "a"):
        with refused("Expected bin_size in seconds, above 0, got"):
            exponential_kernel([0.02], width)
    for strength in (("a", "b"), 3, (2.0, 1.0), (0.0, INF)):
        with refused("Expected strength as"):
            nks.snn.switching_population(strength=strength)
