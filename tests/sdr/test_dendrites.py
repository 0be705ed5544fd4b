"""Simulated segments against the theory, down to 1e-12, and against spiking neurons."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom, chi2, norm

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.parallel import limited_threads
from neurokit_sdr.sdr import (
    Patterns,
    clustered_patterns,
    estimate_false_negatives,
    estimate_false_positives,
    false_negative_probability,
    false_positive_probability,
    learn_segments,
    neuron_false_positive_probability,
    neuron_response,
    power_nonlinearity,
    sigmoid_nonlinearity,
    simulate_false_negatives,
    simulate_false_positives,
    threshold_nonlinearity,
    union_false_positive_probability,
)
from neurokit_sdr.snn import DendriticLIF, Inputs, Network, synapses


def clopper_pearson(k, n, level):
    """Exact bounds of a binomial probability."""
    low = np.where(k > 0, beta.ppf(level / 2, k, n - k + 1), 0.0)
    high = np.where(k < n, beta.ppf(1 - level / 2, k + 1, n - k), 1.0)
    return low, high


def assert_within_bounds(found, theory, level):
    """Every count inside exact binomial bounds; levels are shared over the points."""
    k, n = found["count"].values, found.attrs["n_trials"]
    low, high = clopper_pearson(k, n, level / k.size)
    assert ((low <= theory) & (theory <= high)).all()


# counting


@pytest.mark.parametrize(
    ("n", "a", "s"), [(100, 10, 10), (200, 40, 20), (500, 25, 30), (1000, 100, 40), (2048, 41, 20)]
)
def test_false_positives_are_the_theory_s(n, a, s, seed):
    found = simulate_false_positives(n, a, s, n_trials=4_000_000, rng=seed, progress=False)
    theta = found["theta"].values
    assert theta[-1] == min(a, s)
    # Pairs that share a pattern are independent in pairs only: their sum has the variance of
    # independent ones but no binomial tail. Six standard errors for the frequent, and for the
    # rare, whose pairs hardly ever meet, the exact bounds.
    p = false_positive_probability(n, a, s, theta)
    rare = p * found.attrs["n_trials"] < 100
    room = 6 * np.sqrt(p * (1 - p) / found.attrs["n_trials"])
    assert (np.abs(found["probability"] - p) <= room)[~rare].all()
    assert_within_bounds(found.isel(theta=rare), p[rare], 1e-6)


@pytest.mark.parametrize(
    ("n", "a", "s", "v"),
    [(400, 40, 20, 20), (400, 64, 30, 40), (600, 128, 30, 64), (90, 30, 30, 9)],
)
def test_false_negatives_are_the_theory_s(n, a, s, v, seed):
    found = simulate_false_negatives(n, a, s, v, n_trials=50_000, rng=seed, progress=False)
    p = false_negative_probability(a, s, found["theta"].values, v)
    assert_within_bounds(found, p, 1e-6)


@pytest.mark.parametrize("union", ["activity", "synapses"])
def test_unions_are_the_exact_expectation_s(union, seed):
    found = simulate_false_positives(
        500, 20, 15, n_trials=4_000_000, n_patterns=6, union=union, rng=seed, progress=False
    )
    theta = found["theta"].values[1:12]
    exact = union_false_positive_probability(500, 20, 15, theta, 6, union=union)
    frequent = exact * found.attrs["n_trials"] > 100
    assert frequent.sum() >= 9
    at = found.sel(theta=theta[frequent])
    # Six standard errors: eleven thresholds miss it by chance but once in 40 million.
    assert (np.abs(at["probability"] - exact[frequent]) < 6 * at["standard_error"]).all()


@pytest.mark.parametrize("union", ["activity", "synapses"])
def test_the_standard_error_of_unions_is_how_far_seeds_scatter(union, seed):
    """Pairs that share a union share its size, so their error is not that of independent trials."""
    runs, level, theta = 40, 1e-6, {"activity": 9, "synapses": 14}[union]
    exact = union_false_positive_probability(100, 20, 10, theta, 10, union=union)
    z = []
    for k in range(runs):
        at = simulate_false_positives(
            100, 20, 10, n_trials=1024**2, n_patterns=10, union=union, rng=1000 * seed + k,
            progress=False,
        ).sel(theta=theta)  # fmt: skip
        z.append(((at["probability"] - exact) / at["standard_error"]).item())
    # Means over 1024 unions: the sum of squares is that of normal numbers, but for 1/1024.
    low, high = chi2.ppf([level / 2, 1 - level / 2], runs)
    assert low < np.sum(np.square(z)) < high
    # The union's size decides much of the outcome: independent trials would err far less.
    assert at["standard_error"] > 3 * np.sqrt(exact * (1 - exact) / 1024**2)


def test_the_exact_union_is_told_from_the_substituted_one(seed):
    """Where the two differ by ten standard errors, the simulation takes the exact one's side."""
    found = simulate_false_positives(
        200, 20, 20, n_trials=64_000_000, n_patterns=3, rng=seed, progress=False
    ).sel(theta=12)
    exact, substituted = (
        union_false_positive_probability(200, 20, 20, 12, 3, method=method)
        for method in ("exact", "substituted")
    )
    at, error = found["probability"].item(), found["standard_error"].item()
    assert abs(substituted - exact) > 10 * error
    assert abs(at - exact) < abs(at - substituted)


def test_seeds_decide_and_threads_do_not():
    with limited_threads(1):
        one = simulate_false_negatives(200, 40, 20, 10, n_trials=300_000, rng=3, progress=False)
        rare = estimate_false_positives([200, 300], 20, 20, 15, rng=3)
    with limited_threads(2):
        two = simulate_false_negatives(200, 40, 20, 10, n_trials=300_000, rng=3, progress=False)
        assert rare.identical(estimate_false_positives([200, 300], 20, 20, 15, rng=3))
    assert one.identical(two)


# below the floor of counting

GRID = [
    (n, a, s, theta)
    for n, a in ((500, 20), (1000, 40), (2048, 41), (4000, 64), (8000, 128))
    for s in (16, 24, 32)
    for theta in (4, 6, 8, 10)
]


def test_importance_sampling_agrees_with_the_theory_on_sixty_points(seed):
    n, a, s, theta = np.array(GRID).T
    p = false_positive_probability(n, a, s, theta)
    assert len(GRID) == 60
    assert p.min() < 1e-12 < 1e-2 < p.max()
    found = estimate_false_positives(n, a, s, theta, n_trials=4000, rng=seed)
    error = found["standard_error"].values
    assert (error < 0.05 * p).all()
    # Five standard errors: 60 points pass by chance but once in 30,000.
    assert (np.abs(found["probability"].values - p) < 5 * error + 1e-12 * p).all()
    np.testing.assert_allclose(found["log_probability"], np.log(found["probability"]), rtol=1e-12)


def test_importance_sampling_of_false_negatives(seed):
    points = [
        (a, s, theta, v)
        for a, s in ((40, 20), (64, 24), (128, 30))
        for theta in (6, 8, 10)
        for v in (a // 4, a // 3, a // 2)
    ]
    a, s, theta, v = np.array(points).T
    p = false_negative_probability(a, s, theta, v)
    found = estimate_false_negatives(a, s, theta, v, n_trials=4000, rng=seed)
    assert p.min() < 1e-12
    error = found["standard_error"].values
    assert (np.abs(found["probability"].values - p) <= 5 * error + 1e-12 * p).all()


def test_importance_sampling_far_below_floats(seed):
    found = estimate_false_positives(10**6, 500, 120, 110, n_trials=500, rng=seed)
    expected = false_positive_probability(10**6, 500, 120, 110, log=True)
    assert expected < -700
    assert found["log_probability"].item() == pytest.approx(expected, abs=0.2)
    never = estimate_false_positives(100, 3, [10, 10], [3, 5], rng=seed)
    assert never["probability"].values[1] == 0.0
    assert never["log_probability"].values[1] == -np.inf


# neurons


def test_segments_learn_and_answer():
    stored = Patterns.random(1000, 40, 60, rng=0)
    segments = learn_segments(stored, 20, rng=0)
    spike = threshold_nonlinearity(10)
    overlap = segments.overlap(stored).values
    np.testing.assert_array_equal(
        neuron_response(segments, stored, spike), (overlap >= 10).sum(axis=1)
    )
    np.testing.assert_allclose(
        neuron_response(segments, stored, sigmoid_nonlinearity(11.5, 5)),
        (1 / (1 + np.exp(5 * (11.5 - overlap)))).sum(axis=1),
    )
    np.testing.assert_allclose(
        neuron_response(segments, stored, power_nonlinearity(10)),
        (overlap.astype(float) ** 10).sum(axis=1),
    )
    shared = learn_segments(stored, 20, patterns_per_segment=3, rng=0)
    np.testing.assert_array_equal(shared.dense(), segments.dense().reshape(20, 3, -1).any(axis=1))
    assert (neuron_response(shared, stored, spike) >= 1).all()


def test_a_neuron_s_false_positives_are_the_theory_s(seed):
    """Fresh segments and patterns for every trial: these are independent."""
    rng = np.random.default_rng([11, seed])
    n, a, s, theta, d, trials = 300, 20, 12, 4, 50, 3000
    answers = 0
    for _ in range(trials):
        draw = int(rng.integers(2**31))
        segments = learn_segments(Patterns.random(n, a, d, rng=draw), s, rng=draw)
        shown = Patterns.random(n, a, 1, rng=draw + 2**31)
        answers += neuron_response(segments, shown, threshold_nonlinearity(theta)).item() > 0
    p = neuron_false_positive_probability(n, a, s, theta, d)
    low, high = clopper_pearson(np.array(answers), trials, 1e-4)
    assert 0.02 < p < 0.5
    assert low <= p <= high


def test_clusters_raise_false_positives(seed):
    """Cells that are active together are hit together: the theory of independent cells is low."""
    rates = []
    for size in (1, 4, 8):
        made = clustered_patterns(500, 32, size, 4000, n_clusters=500 // size, rng=seed)
        assert (made.n_active == 32).all()
        segments = learn_segments(made[:2000], 20, rng=seed)
        rates.append(float(segments.matches(made[2000:], 6).mean()))
    chance = false_positive_probability(500, 32, 20, 6)
    # 4 million pairs of 2000 patterns: clusters change the rate many times over.
    assert rates[2] > rates[1] > 3 * rates[0]
    assert rates[0] == pytest.approx(chance, rel=0.2)
    few = clustered_patterns(100, 30, 2, 5, n_clusters=3, rng=seed)
    assert (few.n_active == 30).all()


# spiking neurons

DT, SPACING = 1e-3, 10
SPIKING = [
    (100, 10, 10, 2), (100, 10, 10, 3), (200, 40, 20, 6), (200, 40, 20, 8), (300, 60, 15, 5),
    (500, 50, 20, 4), (500, 25, 30, 4), (1000, 40, 24, 3), (1000, 100, 40, 8), (1000, 20, 20, 2),
    (500, 25, 30, 6), (300, 30, 30, 5),
]  # fmt: skip


def spiking_answers(segments, shown, theta, *, jitter=0.0, rng=None, dt=DT, window=2e-3):
    """Which segment of a spiking neuron starts a plateau at which pattern, (pattern, segment)."""
    n, n_segments = segments.n, len(segments)
    per_unit = -(-n_segments // n)
    source = segments.active()
    number = np.repeat(np.arange(n_segments), [len(c) for c in source])
    wiring = synapses(np.concatenate(source), number // per_unit, 0.0, delay=dt, segment=number)
    cells = shown.active()
    pause = SPACING * 1e-3
    owner = np.repeat(np.arange(len(shown)), [len(c) for c in cells])
    when = pause * (owner + 0.5)
    if jitter:
        when = when + np.clip(rng.normal(0, jitter, when.size), -0.4 * pause, 0.4 * pause)
    network = Network(
        "segments",
        DendriticLIF(
            threshold=1e6, n_segments=per_unit, segment_threshold=theta,
            coincidence_window=window, plateau_duration=pause / 2,
        ),
        {"all": n}, synapses=wiring, dt=dt,
        inputs=Inputs(forced_time=when, forced_unit=np.concatenate(cells)),
    )  # fmt: skip
    session = nks.snn.simulate(network, len(shown) * pause, rng=0, progress=False)
    answers = np.zeros((len(shown), n_segments), bool)
    place = (session["plateaus"]["plateau_time"].values / pause).astype(int)
    answers[np.minimum(place, len(shown) - 1), session["plateaus"]["plateau_segment"].values] = True
    return answers


@pytest.mark.parametrize(("n", "a", "s", "theta"), SPIKING)
def test_spiking_segments_answer_as_the_abstract_ones(n, a, s, theta, seed):
    stored = Patterns.random(n, max(a, s), 3000, rng=seed)
    segments = learn_segments(stored, s, rng=seed)
    shown = Patterns.random(n, a, 6, rng=seed + 1)
    answers = spiking_answers(segments, shown, theta)
    np.testing.assert_array_equal(answers, segments.matches(shown, theta))
    # Each segment at one pattern of its own: independent of each other.
    own = answers[np.arange(3000) % 6, np.arange(3000)]
    low, high = clopper_pearson(np.array(own.sum()), 3000, 0.01 / len(SPIKING) / 100)
    assert low <= false_positive_probability(n, a, s, theta) <= high


def test_jitter_beyond_the_window_breaks_the_theory(seed):
    """Within a tenth of the window nothing changes; at the whole of it segments miss."""
    rng = np.random.default_rng([12, seed])
    n, a, s, theta, v, window, dt = 400, 40, 20, 12, 8, 2e-3, 1e-4
    stored = Patterns.random(n, a, 1500, rng=seed)
    segments = learn_segments(stored, s, rng=seed)
    shown = stored[:10].corrupted(v, rng=seed)
    expected = false_negative_probability(a, s, theta, v)
    missed = []
    for jitter in (0.0, 0.1, 1.0):
        answers = spiking_answers(
            segments, shown, theta, jitter=jitter * window, rng=rng, dt=dt, window=window
        )
        missed.append(1 - np.diagonal(answers[:, :10]).mean())
    assert expected == missed[0] == 0
    # A segment may miss only where one of its s spikes comes more than 0.9 ms (4.5 standard
    # deviations) away: the rest lie within 1.9 ms once rounded to steps of 0.1 ms.
    assert missed[1] <= binom.isf(1e-6, 10, 2 * s * norm.sf(4.5)) / 10
    assert missed[2] > 0.5


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: learn_segments(Patterns.random(9, 3, 2), 4), "at most 3 active cells"),
        (lambda: learn_segments(Patterns.random(9, 3, 2), 3, patterns_per_segment=3),
         "whole segments of 3 patterns each, got 2"),
        (lambda: clustered_patterns(10, 11, 2, 1, n_clusters=3), "Expected a <= n"),
        (lambda: clustered_patterns(10, 5, 11, 1, n_clusters=3), "Expected cluster_size <= n"),
        (lambda: simulate_false_positives(10, 11, 5), "Expected a <= n"),
        (lambda: simulate_false_positives(10, 5, 11), "Expected s <= n"),
        (lambda: simulate_false_positives(10, 5, 5, n_trials=0), "n_trials to be a whole number"),
        (lambda: simulate_false_positives(10, 5, 5, n_trials=1, n_patterns=2),
         "n_trials to be a whole number >= 2, got 1"),
        (lambda: simulate_false_positives(10, 5, 5, union="both"), "'activity', 'synapses'"),
        (lambda: simulate_false_positives(10.5, 5, 5), "n to be a whole number"),
        (lambda: simulate_false_negatives(10, 5, 6, 1), "Expected s <= a"),
        (lambda: simulate_false_negatives(10, 5, 5, 6), "Expected v <= a"),
        (lambda: simulate_false_negatives(10, 8, 5, 4), "noise needs silent cells"),
        (lambda: estimate_false_positives(10, 5, 5, 6), "Expected theta <= s"),
        (lambda: estimate_false_positives(10, 5, [[5]], 3), "numbers or flat arrays"),
        (lambda: estimate_false_positives(10, 5, 5, 3, n_trials=1), "n_trials to be a whole num"),
        (lambda: estimate_false_negatives(10, 5, 6, 1), "misses its pattern without noise"),
        (lambda: estimate_false_positives(10**20, 40, 20, 3), "n <= 100000000, because a simul"),
        (lambda: estimate_false_positives(10**400, 40, 20, 3), "n <= 100000000, because a simul"),
        (lambda: estimate_false_negatives(10**20, 20, 3, 4), "a <= 100000000, because a simul"),
        (lambda: simulate_false_positives(10**20, 40, 20), "n <= 100000000, because a simul"),
        (lambda: simulate_false_negatives(10**400, 40, 20, 3), "n <= 100000000, because a simul"),
        (lambda: learn_segments(np.eye(3), 1), "Expected patterns to be Patterns, got ndarray"),
        (lambda: neuron_response(np.eye(3), Patterns.random(9, 3, 2), np.sqrt),
         "Expected segments to be Patterns, got ndarray"),
        (lambda: neuron_response(Patterns.random(9, 3, 2), Patterns.random(9, 3, 2), 3),
         "nonlinearity to be a function of overlaps, got 3"),
        (lambda: neuron_response(Patterns.random(9, 3, 2), Patterns.random(9, 3, 2), str),
         "one finite number for each overlap from 0 to 3, got '"),
        (lambda: threshold_nonlinearity(1.5), "theta to be a whole number"),
        (lambda: neuron_response(Patterns.random(9, 3, 2), Patterns.random(9, 3, 2), np.sum),
         "one finite number for each overlap from 0 to 3"),
        (lambda: neuron_response(Patterns.random(9, 3, 2), Patterns.random(8, 3, 2), np.sqrt),
         "patterns over 9 cells, got 8"),
    ],
)  # fmt: skip
def test_bad_segments_are_refused(call, text):
    with pytest.raises(ParameterError, match=text):
        call()
