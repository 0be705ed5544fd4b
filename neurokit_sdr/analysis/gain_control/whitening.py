"""Adaptive whitening circuits on arrays: gains of interneurons that make responses white.

x(channel) is the input with covariance C, W(channel, interneuron) the frame, g the gains:

.. math:: y = (\\alpha I + W \\, diag(g) \\, W^T)^{-1} x, \\qquad z = W^T y.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurokit_sdr.core.errors import ParameterError

#: Gains above this have run away, however stable the circuit (clamped ones never lose that).
_RUNAWAY = 1e6


class Adapted(NamedTuple):
    """Gains of a circuit over time."""

    gain: np.ndarray
    """(step, interneuron), after each step."""
    frame: np.ndarray
    """W after the last step, (channel, interneuron)."""
    error: np.ndarray
    """Operator norm of C_yy - I, (step,); before the step."""


def random_frame(n_channels: int, n_interneurons: int, rng: np.random.Generator) -> np.ndarray:
    """Random unit vectors, (channel, interneuron)."""
    frame = rng.normal(size=(n_channels, n_interneurons))
    return frame / np.linalg.norm(frame, axis=0)


def mercedes_frame() -> np.ndarray:
    """Three unit vectors at 120 degrees in the plane: the smallest frame that whitens it."""
    angle = np.pi * (0.5 + 2 * np.arange(3) / 3)
    return np.stack([np.cos(angle), np.sin(angle)])


def optimal_gains(frame: np.ndarray, covariance: np.ndarray, alpha: float) -> np.ndarray:
    """Gains that whiten exactly where K = N (N + 1) / 2 vectors in general position span enough.

    ``g = [(W'W)^o2]^-1 diag(W' (C^(1/2) - alpha I) W)``; least squares with more or fewer vectors.
    """
    values, vectors = np.linalg.eigh(covariance)
    target = (vectors * np.sqrt(values)) @ vectors.T - alpha * np.eye(len(covariance))
    # The equation is the normal one of  sum_k g_k vec(w_k w_k') = vec(C^(1/2) - alpha I); solving
    # that itself keeps twice the digits. An off-diagonal pair counts twice.
    upper = np.triu_indices(len(frame))
    weight = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))
    outer = frame[upper[0]] * frame[upper[1]]
    return np.linalg.lstsq(outer * weight[:, None], target[upper] * weight, rcond=None)[0]


def transform(frame: np.ndarray, gain: np.ndarray, alpha: float) -> np.ndarray:
    """The matrix that takes input to response, (channel, channel)."""
    return np.linalg.inv(_leak(frame, gain, alpha))


def _leak(frame: np.ndarray, gain: np.ndarray, alpha: float) -> np.ndarray:
    """alpha I + W diag(g) W', what the responses decay with; (channel, channel)."""
    return alpha * np.eye(len(frame)) + (frame * gain) @ frame.T


def smallest_leak(frame: np.ndarray, gain: np.ndarray, alpha: float) -> float:
    """Smallest eigenvalue of the leak: the responses settle only where it is above 0.

    What lies within rounding of 0 counts as 0; NaN where the leak is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        leak = _leak(frame, gain, alpha)
    if not np.isfinite(leak).all():
        return np.nan
    values = np.linalg.eigvalsh(leak)
    rounding = len(values) * np.finfo(float).eps * float(np.abs(values).max())
    return 0.0 if abs(values[0]) <= rounding else float(values[0])


def _check_step(
    frame: np.ndarray, gain: np.ndarray, alpha: float, step: int, rate: float, slow_rate: float
) -> None:
    """Raise where a step has led to gains (or weights) at which the circuit runs away."""
    settles = np.isfinite(gain).all() and np.abs(gain).max() <= _RUNAWAY
    if not (settles and smallest_leak(frame, gain, alpha) > 0):
        raise ParameterError(
            f"Expected gains that settle, got ones that run away in step {step} at rate {rate:g} "
            f"(and slow_rate {slow_rate:g}), up to a size of {np.abs(gain).max():.3g}: lower it."
        )


def whitening_error(response_covariance: np.ndarray) -> float:
    """Operator norm of C_yy - I."""
    return float(np.abs(np.linalg.eigvalsh(response_covariance) - 1).max())


def adapt_offline(
    frame: np.ndarray,
    covariances: np.ndarray,
    gain: np.ndarray,
    alpha: float,
    rate: float,
    clamp: bool,
    slow_rate: float = 0.0,
) -> Adapted:
    """Follow the covariance of each step, (step, channel, channel).

    Gains move by ``rate (diag(W' C_yy W) - |w|^2)``; with a ``slow_rate`` the frame moves by
    ``slow_rate (C_yn - W diag(g))``, n = g z being the interneurons' output.

    Raises
    ------
    ParameterError
        If a step leads to a circuit that runs away.
    """
    gain, frame = gain.copy(), frame.copy()
    path, error = np.empty((len(covariances), len(gain))), np.empty(len(covariances))
    for step, covariance in enumerate(covariances):
        m = transform(frame, gain, alpha)
        seen = m @ covariance @ m
        error[step] = whitening_error(seen)
        power = ((frame.T @ seen) * frame.T).sum(axis=1)
        change = power - (frame**2).sum(axis=0)
        if slow_rate:
            frame = frame + slow_rate * ((seen @ frame) * gain - frame * gain)
        gain = gain + rate * change
        if clamp:
            gain = np.maximum(gain, 0)
        _check_step(frame, gain, alpha, step, rate, slow_rate)
        path[step] = gain
    return Adapted(path, frame, error)


def adapt_online(
    frame: np.ndarray,
    samples: np.ndarray,
    covariances: np.ndarray | None,
    gain: np.ndarray,
    alpha: float,
    rate: float,
    clamp: bool,
    slow_rate: float = 0.0,
) -> Adapted:
    """Follow samples, (step, sample, channel), one batch a step; C_yy is that of the batch.

    ``error`` is that of the true ``covariances``, (step, channel, channel), where they are known.

    Raises
    ------
    ParameterError
        If a step leads to a circuit that runs away.
    """
    gain, frame = gain.copy(), frame.copy()
    path, error = np.empty((len(samples), len(gain))), np.full(len(samples), np.nan)
    for step, batch in enumerate(samples):
        m = transform(frame, gain, alpha)
        if covariances is not None:
            error[step] = whitening_error(m @ covariances[step] @ m)
        y = batch @ m
        z = y @ frame
        change = (z**2).mean(axis=0) - (frame**2).sum(axis=0)
        if slow_rate:
            hebb = y.T @ (z * gain) / len(y)
            frame = frame + slow_rate * (hebb - frame * gain)
        gain = gain + rate * change
        if clamp:
            gain = np.maximum(gain, 0)
        _check_step(frame, gain, alpha, step, rate, slow_rate)
        path[step] = gain
    return Adapted(path, frame, error)


def online_noise(
    frame: np.ndarray, gain: np.ndarray, alpha: float, rate: float, batch: int
) -> np.ndarray:
    """Covariance of online gains around exact ones, once settled, to first order in the rate.

    There y is white Gaussian, so steps have covariance ``2 (W'W)^o2 / batch``, and the mean step
    falls with the gains as ``H = 2 (W'W) o (W'M W)``; V solves ``H V + V H' = rate C``.
    """
    from scipy.linalg import solve_continuous_lyapunov

    m = transform(frame, gain, alpha)
    gram = frame.T @ frame
    slope = 2 * gram * (frame.T @ m @ frame)
    return solve_continuous_lyapunov(slope, rate * 2 * gram**2 / batch)
