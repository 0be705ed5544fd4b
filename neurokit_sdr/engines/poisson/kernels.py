"""History kernels: how long a spike is felt, and where a unit stands without any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurokit_sdr.core.arguments import as_numbers
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.estimator import Interval

NONLINEARITIES = ("softplus", "exp", "sigmoid")

#: Exponential kernels are cut at this many time constants: exp(-5) is below 1 % of the peak.
KERNEL_TIME_CONSTANTS = 5


def exponential_kernel(time_constants: Sequence[float], bin_size: float) -> np.ndarray:
    r"""Causal exponential history kernels, each summing to 1.

    .. math:: \phi_{hk} \propto e^{-k\Delta/\tau_h}, \quad k = 1 \ldots \lceil 5\tau_h/\Delta\rceil,
              \quad \textstyle\sum_k \phi_{hk} = 1

    Parameters
    ----------
    time_constants
        :math:`\tau_h` in seconds.
    bin_size
        :math:`\Delta` in seconds.

    Returns
    -------
    numpy.ndarray, shape ``(time_constant, lag)``
        Lag 1 bin first; shorter kernels end in zeros.

    Raises
    ------
    ParameterError
        If a time is no number above 0.

    Examples
    --------
    >>> exponential_kernel([0.02], 0.02).round(4)
    array([[0.6364, 0.2341, 0.0861, 0.0317, 0.0117]])
    """
    times = as_numbers("time_constants", time_constants)
    if times.ndim != 1 or not (np.isfinite(times).all() and (times > 0).all()):
        raise ParameterError(
            f"Expected time_constants as a list of seconds > 0, got {time_constants!r}."
        )
    if bin_size not in Interval(float, 0, open_low=True):
        raise ParameterError(f"Expected bin_size in seconds, above 0, got {bin_size!r}.")
    lengths = [
        max(1, int(np.ceil(KERNEL_TIME_CONSTANTS * tau / bin_size - 1e-9)))
        for tau in time_constants
    ]
    kernel = np.zeros((len(lengths), max(lengths, default=0)))
    for row, tau, length in zip(kernel, time_constants, lengths, strict=True):
        row[:length] = np.exp(-(np.arange(length)) * bin_size / tau)
        row /= row.sum()
    return kernel


def inverse_rate(count: np.ndarray, nonlinearity: str) -> np.ndarray:
    """The drive at which a unit expects ``count`` spikes per bin."""
    if nonlinearity == "exp":
        return np.log(count)
    if nonlinearity == "softplus":
        return count + np.log(-np.expm1(-count))
    if nonlinearity == "sigmoid":
        count = np.minimum(count, 1 - 1e-6)
        return np.log(count / (1 - count))
    raise ParameterError(
        f"Expected nonlinearity to be one of {NONLINEARITIES}, got {nonlinearity!r}."
    )
