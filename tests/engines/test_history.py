"""Filtered histories against a loop over bins."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from hmm_glm_problems import BIN
from oracles import EPS

from neurokit_sdr.engines.poisson.history import history_features
from neurokit_sdr.engines.poisson.kernels import exponential_kernel


@pytest.mark.parametrize("time_constants", [[], [0.02], [0.013], [0.02, 0.1, 0.5]])
def test_history_matches_the_oracle(time_constants, seed):
    rng = np.random.default_rng(seed)
    starts = np.array([0, 1, 40, 47, 100])
    counts = rng.poisson(1.0, (100, 3)).astype(float)
    observed = rng.random(100) > 0.2
    kernel = exponential_kernel(time_constants, BIN)
    mine = history_features(counts, starts, observed, kernel)
    truth = oracles.history_features(counts, starts, observed, time_constants, BIN)
    # At most as many terms as the kernel has lags, none above the largest count.
    np.testing.assert_allclose(mine, truth, atol=EPS * (1 + kernel.shape[1]) * counts.max())
    np.testing.assert_array_equal(mine[starts[:-1], 1:], 0)


def test_history_ignores_what_missing_bins_hold(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (60, 2)).astype(float)
    observed = rng.random(60) > 0.3
    kernel, starts = exponential_kernel([0.02, 0.1], BIN), np.array([0, 60])
    before = history_features(counts, starts, observed, kernel)
    counts[~observed] = np.nan
    np.testing.assert_array_equal(history_features(counts, starts, observed, kernel), before)
