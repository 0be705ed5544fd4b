"""Poisson likelihoods of spike counts, in the units that comparisons are published in."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neurokit_sdr.core.errors import SchemaError

#: Stands for an expected count of zero, as in the Neural Latents Benchmark: one spike where none
#: was thought possible costs 20.7 nats and not infinitely many.
SMALLEST_EXPECTATION = 1e-9


def bits_per_spike(expected_count: ArrayLike, count: ArrayLike) -> float:
    r"""Poisson log likelihood over that of every unit's mean count, in bits per spike.

    .. math:: \frac{\sum_{tn} x_{tn} \log (\lambda_{tn} / \bar x_n) - \lambda_{tn} + \bar x_n}
              {\log 2 \sum_{tn} x_{tn}}

    with :math:`\bar x_n` the mean over the bins that are evaluated, the definition of the Neural
    Latents Benchmark (Pei, Ye et al., NeurIPS Datasets and Benchmarks 2021, arXiv 2109.04463).

    Parameters
    ----------
    expected_count
        :math:`\lambda` in spikes per bin, shape (..., unit); broadcast against ``count``. Zero
        counts as 1e-9.
    count
        :math:`x`, shape (..., unit). NaN is left out, whatever is expected there.

    Returns
    -------
    float
        Zero for the means themselves; higher is better.

    Raises
    ------
    SchemaError
        If the shapes do not fit, an expectation is negative or not finite beside a count, or there
        is no spike to divide by.

    Examples
    --------
    >>> bits_per_spike([[2.0], [0.0]], [[2.0], [0.0]])  # the mean is one spike a bin
    0.9999999...
    """
    try:
        expected, observed = np.broadcast_arrays(
            np.asarray(expected_count, dtype=np.float64), np.asarray(count, dtype=np.float64)
        )
    except ValueError:
        raise SchemaError(
            f"Expected expected_count and count of one shape (..., unit), got "
            f"{np.shape(expected_count)} and {np.shape(count)}: give both for the same bins and "
            f"units."
        ) from None
    n_units = observed.shape[-1] if observed.ndim else 1
    expected, observed = expected.reshape(-1, n_units), observed.reshape(-1, n_units)
    used = ~np.isnan(observed)
    wrong = used & ~((expected >= 0) & np.isfinite(expected))
    if wrong.any():
        raise SchemaError(
            f"Expected finite expected counts >= 0, got {expected[wrong][0]} in "
            f"{int(wrong.sum())} of {int(used.sum())} bins: are they log rates, or is a bin "
            f"missing? Set count to NaN where nothing is to be evaluated."
        )
    observed = np.where(used, observed, 0.0)
    spikes = observed.sum()
    if not spikes > 0:
        raise SchemaError(
            f"Expected at least one spike to score per spike, got none in {int(used.sum())} bins "
            f"of {n_units} units: evaluate more bins, or units that fire."
        )
    # Of a unit without a bin no term is used.
    mean = observed.sum(axis=0) / np.maximum(used.sum(axis=0), 1)
    expected = np.where(used & (expected > 0), expected, SMALLEST_EXPECTATION)
    mean = np.broadcast_to(np.where(mean > 0, mean, SMALLEST_EXPECTATION), observed.shape)
    gain = observed * (np.log(expected) - np.log(mean)) - (expected - mean)
    return float(gain[used].sum() / (np.log(2.0) * spikes))
