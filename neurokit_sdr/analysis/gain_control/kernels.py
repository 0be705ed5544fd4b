"""Named shapes of tuning and of recurrence over a stimulus axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurokit_sdr.core.errors import ParameterError


def difference(a: np.ndarray, b: np.ndarray, period: float | None) -> np.ndarray:
    """``a - b`` for every pair, (a, b); on a circle the way round that is shorter."""
    apart = np.subtract.outer(np.asarray(a, float), np.asarray(b, float))
    if period is None:
        return apart
    return (apart + period / 2) % period - period / 2


def _von_mises(apart: np.ndarray, width: float, period: float | None) -> np.ndarray:
    if period is None:
        raise ParameterError(
            "Expected a circular stimulus for the kernel 'von_mises', got period=None: use "
            "'gaussian'."
        )
    scale = 2 * np.pi / period
    return np.exp((np.cos(scale * apart) - 1) / (scale * width) ** 2)


def _gaussian(apart: np.ndarray, width: float, period: float | None) -> np.ndarray:
    return np.exp(-((apart / width) ** 2) / 2)


def _mexican_hat(apart: np.ndarray, width: float, period: float | None) -> np.ndarray:
    # A centre, minus a surround of twice its width and half its height.
    return _gaussian(apart, width, period) - 0.5 * _gaussian(apart, 2 * width, period)


def _uniform(apart: np.ndarray, width: float, period: float | None) -> np.ndarray:
    return np.ones_like(apart)


#: Shape by name: value at a distance, for a width (standard deviation near the centre).
KERNELS: dict[str, Callable[[np.ndarray, float, float | None], np.ndarray]] = {
    "von_mises": _von_mises,
    "gaussian": _gaussian,
    "mexican_hat": _mexican_hat,
    "uniform": _uniform,
}


def tuning(
    preferred: np.ndarray,
    stimulus: np.ndarray,
    kernel: str,
    width: float,
    baseline: float,
    period: float | None,
) -> np.ndarray:
    """Drive of height 1 above a baseline, (unit, stimulus)."""
    return baseline + KERNELS[kernel](difference(preferred, stimulus, period), width, period)


def recurrence(
    preferred: np.ndarray, kernel: str, width: float, period: float | None
) -> np.ndarray:
    """Recurrent weights of strength 1, (target, source): the largest eigenvalue has size 1.

    Positive weights times a strength below 1 are stable; times a negative strength they inhibit.
    """
    shape = KERNELS[kernel](difference(preferred, preferred, period), width, period)
    return shape / np.abs(np.linalg.eigvalsh(shape)).max()
