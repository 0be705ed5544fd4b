"""Transfer entropy of every pair of binary trains, by exact counting."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.special import gammaln, logsumexp, xlogy
from scipy.stats import f

from neurokit_sdr.analysis.connectivity.lags import z_of_log_probability


class Binary(NamedTuple):
    """Usable bins of all runs.

    Attributes
    ----------
    spikes
        Whether the target spikes in a bin and its past is a pattern, one matrix per pattern,
        each of shape (bin, unit); pattern 0 is silence.
    pasts
        Whether its past is a pattern, without pattern 0, which is nearly always.
    source
        Whether the source spiked in its window, shape (bin, unit).
    """

    spikes: list[csr_array]
    pasts: list[csr_array]
    source: csr_array


def binary(spiking: np.ndarray, starts: np.ndarray, lag: int, window: int, history: int) -> Binary:
    """Bins with enough of their run before them.

    Parameters
    ----------
    spiking
        Whether a unit spikes, bool, shape (time, unit).
    starts
        First bin of each run, and the number of bins last.
    lag, window
        The source's window is ``lag`` to ``lag + window - 1`` bins earlier.
    history
        Bins of the target's past.
    """
    before = max(history, lag + window - 1)
    inside = np.zeros(len(spiking), dtype=bool)
    for first, last in itertools.pairwise(starts):
        inside[first + before : last] = True
    rows = np.flatnonzero(inside)
    pattern = np.zeros((len(rows), spiking.shape[1]), dtype=np.int8)
    for k in range(history):
        pattern |= spiking[rows - 1 - k].astype(np.int8) << k
    source = spiking[rows - lag].copy()
    for k in range(1, window):
        source |= spiking[rows - lag - k]
    now = spiking[rows]
    pasts = [csr_array((pattern == s).astype(float)) for s in range(1, 2**history)]
    spikes = [csr_array((now & (pattern == s)).astype(float)) for s in range(2**history)]
    return Binary(spikes, pasts, csr_array(source.astype(float)))


def transfer_entropy(data: Binary) -> np.ndarray:
    """Plug-in transfer entropy in bits per bin, shape (target, source).

    The counts of silence, which are most, are what the others leave over: every product is of
    sparse matrices.
    """
    source = data.source
    n_bins = source.shape[0]
    source_sum = source.sum(axis=0)
    # [spike][source] counts of each past, the past of silence last.
    past_source = [(p.T @ source).toarray() for p in data.pasts]
    past_sum = [p.sum(axis=0) for p in data.pasts]
    past_source.insert(0, source_sum - sum(past_source, np.zeros(1)))
    past_sum.insert(0, n_bins - sum(past_sum, np.zeros(1)))
    total = np.zeros((source.shape[1],) * 2)
    for spikes, with_source, of_past in zip(data.spikes, past_source, past_sum, strict=True):
        both = (spikes.T @ source).toarray()
        fired = spikes.sum(axis=0)[:, None] + np.zeros(1)
        past = of_past[:, None] + np.zeros(1)
        cells = (
            (both, fired, with_source),
            (fired - both, fired, past - with_source),
            (with_source - both, past - fired, with_source),
            (past - fired - with_source + both, past - fired, past - with_source),
        )
        for cell, row, column in cells:
            seen = cell > 0
            ratio = np.where(seen, cell * past, 1.0) / np.where(seen, row * column, 1.0)
            total += cell * np.log2(ratio)
    return total / n_bins


def z_of_statistic(statistic: np.ndarray, degrees: int) -> np.ndarray:
    r"""Size of a normal variable that is exceeded as rarely as a :math:`\chi^2` statistic.

    ``degrees`` of freedom are even. In logarithms, because strong couplings have probabilities
    below any float.
    """
    half = np.maximum(statistic, 0.0) / 2
    m = np.arange(degrees // 2).reshape(-1, *[1] * half.ndim)
    # sf(x) = exp(-x/2) sum_m (x/2)^m / m!
    terms = xlogy(m, half) - gammaln(m + 1)
    return z_of_log_probability(logsumexp(terms, axis=0) - half)


def z_of_shifts(statistic: np.ndarray, shifted: np.ndarray, degrees: int) -> np.ndarray:
    r"""The same against surrogates, shape (surrogate, target, source).

    Without a coupling the statistic is :math:`c\,\chi^2_d` with a :math:`c` that rhythm and memory
    of the trains set; its ratio to the mean of :math:`S` independent surrogates then follows
    :math:`F(d, S d)`: few surrogates widen the tail, as they should. Rhythm and memory only add to
    what there is by chance, so :math:`c \ge 1`: where trains are so sparse that most surrogates
    hold no coincidence at all, their mean is not what chance gives.
    """
    mean = np.maximum(shifted.mean(axis=0), degrees)
    log_probability = f.logsf(statistic / mean, degrees, degrees * len(shifted))
    return z_of_log_probability(np.maximum(log_probability, np.log(np.finfo(float).tiny)))
