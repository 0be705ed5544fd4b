"""What the z-scores of connectivity promise: chance exceeds them as rarely as a normal variable."""

import warnings

import numpy as np
import pytest
from scipy.stats import binom, norm, poisson

import neurokit_sdr as nks
from neurokit_sdr.analysis.connectivity.significance import z_of_skewed
from neurokit_sdr.core.errors import DataWarning
from neurokit_sdr.core.seeding import stream

#: One in a million: what a test may fail by chance.
RARE = 1e-6


def independent(rng, rates, duration):
    """Poisson trains that know nothing of each other."""
    trains = {
        i: np.sort(rng.uniform(0, duration, rng.poisson(rate * duration)))
        for i, rate in enumerate(rates)
    }
    return nks.io.from_spike_times(trains, t_stop=duration)


def z_scores(method, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        z = method(*args)["z_score"].values
    return z[np.isfinite(z)]


@pytest.mark.parametrize(("n_units", "repeats"), [(2, 100), (3, 60), (5, 30), (10, 30)])
def test_a_learnt_kernel_leaves_z_scores_standard_normal(n_units, repeats, seed):
    rng = stream(seed, "learnt kernel", n_units)
    z = np.concatenate(
        [
            z_scores(
                nks.analysis.coupled_poisson_glm,
                nks.bin_spikes(independent(rng, [8.0] * n_units, 60.0), 0.002),
            )
            for _ in range(repeats)
        ]
    )
    # The two directions of a pair can share their chance, as each learns from the other.
    n = z.size // 2
    share = (np.abs(z) > norm.isf(0.025)).mean()
    assert binom.ppf(RARE, n, 0.05) / n <= share <= binom.isf(RARE, n, 0.05) / n
    # The mean of n squares of standard normal variables.
    assert abs(np.mean(z**2) - 1) < norm.isf(RARE) * np.sqrt(2 / n)


SPARSE = {
    "0.2 Hz, 2 ms": ([0.2] * 40, 120.0, 0.002),
    "1 Hz, 2 ms": ([1.0] * 40, 120.0, 0.002),
    "1 Hz, 2 ms, 10 min": ([1.0] * 40, 600.0, 0.002),
    "1 Hz, 10 ms, 20 s": ([1.0] * 40, 20.0, 0.01),
    "3 Hz, 1 ms": ([3.0] * 40, 120.0, 0.001),
    "0.2 to 20 Hz, 5 ms": (np.geomspace(0.2, 20, 40), 60.0, 0.005),
    "20 Hz, 10 ms, 20 s": ([20.0] * 30, 20.0, 0.01),
}
METHODS = {
    "lagged": lambda spikes, width: nks.analysis.lagged_correlation(nks.bin_spikes(spikes, width)),
    "partial": lambda spikes, width: nks.analysis.partial_correlation(
        nks.bin_spikes(spikes, width)
    ),
    "entropy": lambda spikes, width: nks.analysis.transfer_entropy(nks.bin_spikes(spikes, width)),
    "entropy, shifted": lambda spikes, width: nks.analysis.transfer_entropy(
        nks.bin_spikes(spikes, width), null="shift", rng=0
    ),
    "correlogram": lambda spikes, width: nks.analysis.cross_correlogram_peak(spikes),
}


@pytest.mark.parametrize("setting", SPARSE)
@pytest.mark.parametrize("method", METHODS)
def test_few_coincidences_are_not_taken_for_many(method, setting, seed):
    rates, duration, width = SPARSE[setting]
    rng = stream(seed, "sparse", list(SPARSE).index(setting))
    z = np.abs(z_scores(METHODS[method], independent(rng, rates, duration), width))
    # Partial correlation is symmetric: every pair counts twice.
    twice = 2 if method == "partial" else 1
    for probability in (0.05, 0.001):
        number = (z > norm.isf(probability / 2)).sum() / twice
        assert number <= binom.isf(RARE, z.size // twice, probability)


@pytest.mark.parametrize("mean", [0.01, 0.24, 1.0, 2.0, 7.0, 50.0])
def test_z_of_a_poisson_count_is_that_of_its_exact_tail(mean):
    count = np.arange(int(mean + 8 * np.sqrt(mean)) + 3)
    half = np.full(count.shape, 0.5 / np.sqrt(mean))
    found = z_of_skewed((count - mean) / np.sqrt(mean), 2 * half, half)
    above, below = norm.isf(poisson.sf(count - 1, mean)), norm.ppf(poisson.cdf(count, mean))
    exact = np.maximum(above, 0) + np.minimum(below, 0)
    known = np.isfinite(exact)
    # What the saddlepoint's text promises.
    np.testing.assert_allclose(found[known], exact[known], atol=0.02)
    assert (np.diff(found) >= 0).all()
    # Skewed to the other side it is the mirror image.
    np.testing.assert_array_equal(
        z_of_skewed(-(count - mean) / np.sqrt(mean), -2 * half, half), -found
    )


def test_z_of_a_dense_sum_is_its_deviation():
    deviation = np.linspace(-40, 40, 101)
    found = z_of_skewed(deviation, np.zeros(101), np.zeros(101))
    # The smallest skewness s moves a deviation d by s (d^2 - 1) / 6.
    np.testing.assert_allclose(found, deviation, atol=1e-8 * 40**2)


def test_strong_coupling_is_beyond_any_probability():
    source = np.arange(0.05, 100, 0.1)
    spikes = nks.io.from_spike_times({"a": source, "b": source + 0.002}, t_stop=100.0)
    z = nks.analysis.lagged_correlation(nks.bin_spikes(spikes, 0.002))["z_score"]
    # About 1000 coincidences where 20 are expected: P = 20^1000 / 1000! is e^-2916.
    assert float(z.sel(target="b", source="a")) > np.sqrt(2 * 2900)
    # None where 20 are expected: e^-20.
    assert -np.sqrt(2 * 20) < float(z.sel(target="a", source="b")) < 0


def test_an_empty_correlogram_is_as_rare_as_none_of_those_expected():
    source = np.arange(0.05, 100, 0.1)
    target = np.concatenate([np.arange(30, dtype=float), np.arange(30) + 30.02]) + 0.07
    spikes = nks.io.from_spike_times({"a": source, "b": np.sort(target)}, t_stop=100.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        found = nks.analysis.cross_correlogram_peak(spikes, lag_range=(0.001, 0.007), window=0.006)
    # One window of 6 ms, less the little that source spikes of the last moment do not have.
    expected = len(source) * len(target) * 0.006 / 100 * (1 - 0.004 / 100)
    z = float(found["z_score"].sel(target="b", source="a"))
    assert z == pytest.approx(norm.ppf(np.exp(-expected)), abs=0.02)
