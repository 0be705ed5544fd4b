"""The steps that won the ChaLearn connectomics challenge (Sutera et al. 2014), on arrays."""

from __future__ import annotations

import numpy as np

#: Low-pass filters by name: weights of frames, and the offset of the first from the present.
FILTERS = {
    "f1": ((1.0, 1.0, 1.0), -1),
    "f2": ((0.4, 0.8, 1.0, 1.0), -3),
}

#: Quantile of a trace that scaling makes 1.
TOP = 0.999

#: A spike of unit j follows one of unit i when x_j(t + 1) - x_i(t) lies between these.
FOLLOWS = (0.2, 0.5)


def low_pass(signal: np.ndarray, name: str) -> np.ndarray:
    """Filter ``signal(time, unit)``; only frames with all of the filter are returned."""
    weights, _ = FILTERS[name]
    length = len(signal) - len(weights) + 1
    parts = [w * signal[k : k + length] for k, w in enumerate(weights)]
    return np.sum(parts, axis=0)


def events(signal: np.ndarray, name: str, threshold: float) -> np.ndarray:
    """Low-pass filter, difference in time, and set what stays below the threshold to zero."""
    rise = np.diff(low_pass(signal, name), axis=0)
    return np.where(rise >= threshold, rise, 0.0)


def weigh(signal: np.ndarray) -> np.ndarray:
    r"""Weigh down frames in which many units are active: :math:`(x + 1)^{1 + 1/\sum_j x_j}`."""
    total = signal.sum(axis=1, keepdims=True)
    some = total > 0
    return np.where(some, (signal + 1) ** (1 + 1 / np.where(some, total, 1.0)), 1.0)


def precedence(signal: np.ndarray) -> np.ndarray:
    """How often each target follows each source, less the other way round, per frame."""
    low, high = FOLLOWS
    n = signal.shape[1]
    count = np.zeros((n, n))
    for source in range(n):
        step = signal[1:] - signal[:-1, source : source + 1]
        count[:, source] = ((step > low) & (step < high)).mean(axis=0)
    return count - count.T


def to_one(values: np.ndarray) -> np.ndarray:
    """Scale so that the largest size is 1."""
    largest = np.abs(values).max(initial=0.0)
    return values / largest if largest > 0 else values


def unit_range(signal: np.ndarray) -> np.ndarray:
    """Scale each trace to median 0 and a high quantile of 1."""
    above = signal - np.median(signal, axis=0)
    top = np.quantile(above, TOP, axis=0)
    # Too few events for the quantile to see them.
    top = np.where(top > 0, top, np.abs(above).max(axis=0))
    return above / top
