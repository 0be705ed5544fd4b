"""What units did in the bins before, filtered with every kernel: the regressors of a GLM."""

from __future__ import annotations

import itertools

import numpy as np


def history_features(
    counts: np.ndarray, starts: np.ndarray, observed: np.ndarray, kernel: np.ndarray
) -> np.ndarray:
    """Filter the counts of every sequence with every kernel; what lies before its start is zero.

    Missing bins count as zero in the history of later bins.

    Parameters
    ----------
    counts
        Shape (time, source).
    starts
        First bin of each sequence, and the number of bins last, shape (sequence + 1,).
    observed
        Shape (time,).
    kernel
        Shape (time_constant, lag), lag 1 first.

    Returns
    -------
    numpy.ndarray
        Ones, then source-major history features, shape (time, 1 + source * time_constant).
    """
    n_bins, n_units = counts.shape
    known = np.where(observed[:, None], counts, 0.0)
    design = np.zeros((n_bins, 1 + n_units * len(kernel)))
    design[:, 0] = 1.0
    features = design[:, 1:].reshape(n_bins, n_units, len(kernel))
    for first, last in itertools.pairwise(starts):
        for h, weights in enumerate(kernel):
            for lag in np.flatnonzero(weights) + 1:
                if first + lag < last:
                    features[first + lag : last, :, h] += (
                        weights[lag - 1] * known[first : last - lag]
                    )
    return design
