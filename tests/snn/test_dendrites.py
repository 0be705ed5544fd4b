"""Active dendrites: segments against the hypergeometric theory, windows, plateaus."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import comb
from scipy.stats import beta

import neurokit_sdr as nks
from neurokit_sdr.snn import DendriticLIF, Inputs, Network, synapses

DT = 1e-3
#: Steps from one pattern to the next: longer than the window (2 ms) and the plateau (5 ms).
SPACING = 10
N_PATTERNS = 8

#: n cells of which a are active, s synapses on a segment, threshold theta.
FALSE_POSITIVES = [
    (100, 10, 10, 2), (100, 10, 10, 3), (200, 40, 20, 6), (200, 40, 20, 8), (300, 60, 15, 5),
    (500, 50, 20, 4), (500, 25, 30, 4), (1000, 40, 24, 3), (1000, 100, 40, 8), (1000, 20, 20, 2),
    (500, 25, 30, 6), (1000, 40, 20, 4),
]  # fmt: skip
#: a, s, theta, v: v of the a active cells are replaced by others.
FALSE_NEGATIVES = [
    (40, 20, 10, 20), (40, 20, 12, 12), (40, 20, 8, 22), (64, 30, 12, 40), (64, 30, 16, 24),
    (128, 30, 16, 38), (128, 30, 16, 64), (30, 10, 10, 2), (30, 30, 20, 11), (30, 30, 20, 10),
]  # fmt: skip
#: Chance of one failure of the whole grid of right code, were the seeds drawn anew.
LEVEL = 0.01 / (len(FALSE_POSITIVES) + len(FALSE_NEGATIVES))


def false_positive_rate(n, a, s, theta):
    """Equation A2.4: a random pattern of a of n cells meets at least theta of s synapses."""
    b = np.arange(theta, min(s, a) + 1)
    return np.sum(comb(s, b) * comb(n - s, a - b)) / comb(n, a)


def false_negative_rate(a, s, theta, v):
    """Equation A2.7: more than s - theta of the synapses lie among the v cells that are lost."""
    b = np.arange(s - theta + 1, s + 1)
    return np.sum(comb(s, b) * comb(a - s, v - b)) / comb(a, v)


def clopper_pearson(k, n, level):
    """Exact bounds of a binomial probability."""
    low = beta.ppf(level / 2, k, n - k + 1) if k else 0.0
    high = beta.ppf(1 - level / 2, k + 1, n - k) if k < n else 1.0
    return low, high


def subsets(rng, n_sets, members, size):
    """Random subsets of that size, shape (set, size)."""
    return rng.permuted(np.tile(members, (n_sets, 1)), axis=1)[:, :size]


def respond(patterns, segments, n, theta):
    """Which segment starts a plateau at which pattern, shape (pattern, segment), simulated."""
    # Every unit carries an equal share of the segments; none reaches its threshold.
    per_unit = -(-len(segments) // n)
    number = np.arange(len(segments))
    wiring = synapses(
        segments.ravel(), np.repeat(number // per_unit, segments.shape[1]), 0.0, delay=DT,
        segment=np.repeat(number, segments.shape[1]),
    )  # fmt: skip
    when = (1 + SPACING * np.arange(len(patterns))) * DT
    network = Network(
        "segments",
        DendriticLIF(
            threshold=1e6, n_segments=per_unit, segment_threshold=theta,
            coincidence_window=0.002, plateau_duration=0.005,
        ),
        {"all": n}, synapses=wiring, dt=DT,
        inputs=Inputs(
            forced_time=np.repeat(when, patterns.shape[1]), forced_unit=patterns.ravel()
        ),
    )  # fmt: skip
    session = nks.snn.simulate(network, len(patterns) * SPACING * DT, rng=0, progress=False)
    plateaus = session["plateaus"]
    step = np.rint(plateaus["plateau_time"].values / DT).astype(int)
    assert (step % SPACING == 2).all()  # sent at 1, one step on the way
    answers = np.zeros((len(patterns), len(segments)), int)
    np.add.at(answers, (step // SPACING, plateaus["plateau_segment"].values), 1)
    return answers


def by_overlap(patterns, segments, n, theta):
    """The definition: at least theta of the segment's synapses are active."""
    active = np.zeros((len(patterns), n), int)
    np.put_along_axis(active, patterns, 1, axis=1)
    wired = np.zeros((len(segments), n), int)
    np.put_along_axis(wired, segments, 1, axis=1)
    return (active @ wired.T >= theta).astype(int)


def independent(answers):
    """Each segment's answer to one pattern of its own: these are independent of each other."""
    segment = np.arange(answers.shape[1])
    return answers[segment % len(answers), segment]


@pytest.mark.parametrize(("n", "a", "s", "theta"), FALSE_POSITIVES)
def test_false_positive_rate_is_hypergeometric(n, a, s, theta, seed):
    rng = np.random.default_rng([n, a, s, theta, seed])
    n_segments = 4000
    # Each segment takes s cells of a stored pattern of its own, drawn anew.
    stored = subsets(rng, n_segments, np.arange(n), a)
    segments = stored[:, :s] if s <= a else subsets(rng, n_segments, np.arange(n), s)
    patterns = subsets(rng, N_PATTERNS, np.arange(n), a)
    answers = respond(patterns, segments, n, theta)
    np.testing.assert_array_equal(answers, by_overlap(patterns, segments, n, theta))
    low, high = clopper_pearson(int(independent(answers).sum()), n_segments, LEVEL)
    assert low <= false_positive_rate(n, a, s, theta) <= high


@pytest.mark.parametrize(("a", "s", "theta", "v"), FALSE_NEGATIVES)
def test_false_negative_rate_is_hypergeometric(a, s, theta, v, seed):
    rng = np.random.default_rng([a, s, theta, v, seed])
    n, n_segments = 400, 4000
    stored = subsets(rng, N_PATTERNS, np.arange(n), a)
    # Segment k subsamples pattern k mod 8, each on its own.
    owner = np.arange(n_segments) % N_PATTERNS
    segments = rng.permuted(stored[owner], axis=1)[:, :s]
    noisy = stored.copy()
    for pattern in noisy:
        others = np.setdiff1d(np.arange(n), pattern)
        pattern[rng.permutation(a)[:v]] = rng.choice(others, v, replace=False)
    answers = respond(noisy, segments, n, theta)
    np.testing.assert_array_equal(answers, by_overlap(noisy, segments, n, theta))
    missed = int(n_segments - independent(answers).sum())
    low, high = clopper_pearson(missed, n_segments, LEVEL)
    assert low <= false_negative_rate(a, s, theta, v) <= high
    # Undisturbed, every segment knows its own pattern.
    assert independent(respond(stored, segments, n, theta)).all()


def test_the_grid_spans_rates_that_the_counts_can_tell():
    rates = [false_positive_rate(*point) for point in FALSE_POSITIVES]
    rates += [false_negative_rate(*point) for point in FALSE_NEGATIVES]
    assert min(r for r in rates if r > 0) < 0.01
    assert max(rates) > 0.5


# one segment


def one_segment(times, *, theta=3, window=0.005, plateau=0.02, drive=8.0, dt=1e-4, **changes):
    """Inputs at given times, each from a unit of its own, to segment 0 of the last unit."""
    n = len(times)
    network = Network(
        "segment",
        DendriticLIF(
            threshold=1e6, segment_threshold=theta, coincidence_window=window,
            plateau_duration=plateau, plateau_drive=drive,
        ),
        {"source": n, "target": 1}, dt=dt,
        synapses=synapses(np.arange(n), [n] * n, 0.0, segment=n, **changes),
        inputs=Inputs(forced_time=times, forced_unit=np.arange(n)),
    )  # fmt: skip
    return nks.snn.simulate(
        network, 0.2, rng=0, record_voltage=[n], sampling_interval=dt, progress=False
    )


def plateau_steps(session, dt=1e-4):
    return np.rint(session["plateaus"]["plateau_time"].values / dt).astype(int).tolist()


@pytest.mark.parametrize(("spread", "found"), [(0, True), (49, True), (50, False), (51, False)])
def test_inputs_are_coincident_within_less_than_the_window(spread, found):
    times = np.array([100, 110, 100 + spread]) * 1e-4
    assert plateau_steps(one_segment(times)) == ([max(110, 100 + spread)] if found else [])


def test_delays_decide_what_is_coincident():
    times = np.array([100, 200, 300]) * 1e-4
    assert plateau_steps(one_segment(times)) == []
    assert plateau_steps(one_segment(times, delay=np.array([0.03, 0.02, 0.01]))) == [400]


def test_the_plateau_drives_the_soma_for_its_duration():
    session = one_segment(np.array([100, 100, 100]) * 1e-4, plateau=0.03, drive=8.0)
    v = session["voltage"]["voltage"].values[:, 0]
    t = np.arange(2000)
    rising = -60 + 8 * -np.expm1(-(t - 100) * 1e-4 / 0.02)
    top = -60 + 8 * -np.expm1(-300 * 1e-4 / 0.02)
    falling = -60 + (top + 60) * np.exp(-(t - 400) * 1e-4 / 0.02)
    expected = np.select([t <= 100, t <= 400], [-60.0, rising], falling)
    np.testing.assert_allclose(v, expected, rtol=1e-11)


def test_a_segment_starts_no_other_plateau_meanwhile():
    """Inputs every step: a plateau, and the next as it ends."""
    steps = np.arange(100, 800)
    found = plateau_steps(one_segment(steps * 1e-4, plateau=0.02))
    assert found == [102, 302, 502, 702]


def test_several_active_segments_drive_the_soma_once_and_as_long_as_the_last():
    neuron = DendriticLIF(
        threshold=1e6, n_segments=3, segment_threshold=2, plateau_duration=0.01, plateau_drive=5.0
    )
    times = np.array([100, 100, 150, 150]) * 1e-4
    network = Network(
        "segments", neuron, {"source": 4, "target": 1},
        # Segments 0 and 1 of unit 4 hear units 0 and 1, segment 2 hears units 2 and 3.
        synapses=synapses([0, 1, 0, 1, 2, 3], [4] * 6, 0.0, segment=[12, 12, 13, 13, 14, 14]),
        inputs=Inputs(forced_time=times, forced_unit=range(4)),
    )  # fmt: skip
    session = nks.snn.simulate(
        network, 0.05, rng=0, record_voltage=[4], sampling_interval=1e-4, progress=False
    )
    assert session["plateaus"]["plateau_segment"].values.tolist() == [12, 13, 14]
    v = session["voltage"]["voltage"].values[:, 0]
    t = np.arange(500)
    rising = -60 + 5 * -np.expm1(-(t - 100) * 1e-4 / 0.02)
    top = -60 + 5 * -np.expm1(-150 * 1e-4 / 0.02)
    falling = -60 + (top + 60) * np.exp(-(t - 250) * 1e-4 / 0.02)
    np.testing.assert_allclose(v, np.select([t <= 100, t <= 250], [-60.0, rising], falling))
    np.testing.assert_array_equal(session["truth"]["synapse_segment"], [12, 12, 13, 13, 14, 14])


def test_somatic_synapses_do_not_reach_segments():
    times = np.array([100, 100, 100]) * 1e-4
    network = Network(
        "soma", DendriticLIF(threshold=1e6, segment_threshold=1), {"source": 3, "target": 1},
        synapses=synapses([0, 1, 2], [3, 3, 3], 4.0),
        inputs=Inputs(forced_time=times, forced_unit=range(3)),
    )  # fmt: skip
    session = nks.snn.simulate(
        network, 0.05, rng=0, record_current=True, sampling_interval=1e-4, progress=False
    )
    assert session["plateaus"].sizes["plateau"] == 0
    assert session["current"]["synaptic_current"].values[100].tolist() == [0.0, 12.0]


def test_coincident_input_lets_the_unit_spike_where_the_same_input_apart_does_not():
    """What the theory is tested on: a detector in a real population."""
    neuron = DendriticLIF(segment_threshold=3, plateau_drive=15.0, coincidence_window=0.003)
    wiring = synapses([0, 1, 2], [3, 3, 3], 0.0, segment=3)
    for times, spikes in (([0.01, 0.011, 0.012], True), ([0.01, 0.02, 0.03], False)):
        network = Network(
            "detector", neuron, {"source": 3, "target": 1}, synapses=wiring,
            inputs=Inputs(forced_time=times, forced_unit=range(3)),
        )  # fmt: skip
        session = nks.snn.simulate(network, 0.2, rng=0, progress=False)
        assert (3 in session["spikes"]["spike_unit"].values) == spikes
