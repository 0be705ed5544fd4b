r"""Poisson rates and their derivatives for whole arrays of drives, at the speed of the vector unit.

NumPy's and numba's exp and log1p run element by element on many machines. Here they are written
as polynomials without branches, which the compiler turns into vector instructions; the largest
relative error is below 2e-15 (``tests/engines/test_rates.py``).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from neurokit_sdr.engines.poisson.kernels import NONLINEARITIES
from neurokit_sdr.engines.vector_math import exp

#: Drives are kept within this distance of 0 where exp would leave the range of floats: rates then
#: lie between 1e-300 and 1e300 and have finite logarithms.
LARGEST_DRIVE = 690.0

# Neither flag changes a result's sign or lets sums be reordered, which would undo the rounding.
_FLAGS = {"contract", "nsz"}


@numba.njit(inline="always")
def _log1p(z):
    """log(1 + z) for 0 <= z <= 1 as 2 artanh(u), u = z / (2 + z) <= 1/3, to degree 33."""
    u = z / (2.0 + z)
    v = u * u
    p = 1 / 33.0
    p = p * v + 1 / 31.0
    p = p * v + 1 / 29.0
    p = p * v + 1 / 27.0
    p = p * v + 1 / 25.0
    p = p * v + 1 / 23.0
    p = p * v + 1 / 21.0
    p = p * v + 1 / 19.0
    p = p * v + 1 / 17.0
    p = p * v + 1 / 15.0
    p = p * v + 1 / 13.0
    p = p * v + 1 / 11.0
    p = p * v + 1 / 9.0
    p = p * v + 1 / 7.0
    p = p * v + 1 / 5.0
    p = p * v + 1 / 3.0
    p = p * v + 1.0
    return 2.0 * u * p


@numba.njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def _rates(drive, nonlinearity):
    if nonlinearity == 0:
        for i in range(drive.size):
            x = drive[i]
            drive[i] = max(x, 0.0) + _log1p(exp(max(-abs(x), -LARGEST_DRIVE)))
    elif nonlinearity == 1:
        for i in range(drive.size):
            drive[i] = exp(min(max(drive[i], -LARGEST_DRIVE), LARGEST_DRIVE))
    else:
        for i in range(drive.size):
            x = drive[i]
            z = exp(max(-abs(x), -LARGEST_DRIVE))
            drive[i] = (1.0 if x >= 0 else z) / (1.0 + z)


@numba.njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def _derivatives(drive, count, nonlinearity, information):
    if nonlinearity == 0:
        for i in range(drive.size):
            x = drive[i]
            z = exp(max(-abs(x), -LARGEST_DRIVE))
            rate = max(x, 0.0) + _log1p(z)
            relative = (1.0 if x >= 0 else z) / ((1.0 + z) * rate)
            drive[i] = relative * (count[i] - rate)
            information[i] = relative * relative * rate
    elif nonlinearity == 1:
        for i in range(drive.size):
            rate = exp(min(max(drive[i], -LARGEST_DRIVE), LARGEST_DRIVE))
            drive[i] = count[i] - rate
            information[i] = rate
    else:
        for i in range(drive.size):
            x = drive[i]
            z = exp(max(-abs(x), -LARGEST_DRIVE))
            rate = (1.0 if x >= 0 else z) / (1.0 + z)
            relative = (z if x >= 0 else 1.0) / (1.0 + z)
            drive[i] = relative * (count[i] - rate)
            information[i] = relative * relative * rate


@numba.njit(cache=True, nogil=True)
def _products(features, out):
    for t in range(features.shape[0]):
        k = 0
        for a in range(features.shape[1]):
            for b in range(a, features.shape[1]):
                out[t, k] = features[t, a] * features[t, b]
                k += 1


@numba.njit(cache=True, nogil=True)
def _add_log_rates(rate, starts, target, count, out):
    n_states = out.shape[1]
    n_units = rate.shape[1] // n_states
    for t in range(out.shape[0]):
        for k in range(starts[t], starts[t + 1]):
            for s in range(n_states):
                out[t, s] += count[k] * np.log(rate[t, s * n_units + target[k]])


def rates(drive: np.ndarray, nonlinearity: str) -> np.ndarray:
    """Turn drives into expected counts, in place.

    Parameters
    ----------
    drive
        C-contiguous float64 of any shape.
    nonlinearity
        One of :data:`~neurokit_sdr.engines.poisson.kernels.NONLINEARITIES`.
    """
    _rates(drive.reshape(-1), NONLINEARITIES.index(nonlinearity))
    return drive


def derivatives(
    drive: np.ndarray, count: np.ndarray, nonlinearity: str
) -> tuple[np.ndarray, np.ndarray]:
    r"""Derivatives of the Poisson log likelihood with respect to the drives.

    Parameters
    ----------
    drive
        C-contiguous; overwritten.
    count
        Of the same shape.

    Returns
    -------
    first, information
        :math:`f'/f\,(x - f)` and its negative expected derivative :math:`f'^2/f`.
    """
    information = np.empty_like(drive)
    _derivatives(
        drive.reshape(-1),
        np.ascontiguousarray(count).reshape(-1),
        NONLINEARITIES.index(nonlinearity),
        information.reshape(-1),
    )
    return drive, information


def products(features: np.ndarray) -> np.ndarray:
    """Products of all pairs of features, in the order of :func:`numpy.triu_indices`."""
    n = features.shape[1]
    out = np.empty((len(features), n * (n + 1) // 2))
    _products(features, out)
    return out


def poisson_log_likelihood(rate: np.ndarray, spikes: Any, n_states: int) -> np.ndarray:
    r"""Return :math:`\sum_n x_{tn} \log f_{tsn} - f_{tsn}`, shape (time, state).

    Parameters
    ----------
    rate
        Shape (time, state * target).
    spikes
        The counts as a :class:`scipy.sparse.csr_array`, shape (time, target): logarithms are only
        needed where there are spikes, which is almost nowhere.
    """
    out = -rate.reshape(len(rate), n_states, -1).sum(axis=2)
    _add_log_rates(rate, spikes.indptr, spikes.indices, spikes.data, out)
    return out
