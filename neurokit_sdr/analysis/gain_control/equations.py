"""The recurrent gain-control circuit on arrays: responses, objective, and three ways to its gains.

F(unit, stimulus) is the feedforward drive, W(target, source) the recurrent weight, D(unit, unit)
the decoder, p(stimulus) the ensemble, g(unit) the gain. Gains act on the drive,

.. math:: r = B \\, (g \\circ f), \\qquad B = (I - W)^{-1},

or on the total input, :math:`r = g \\circ (f + W r)`. Both minimise

.. math:: E_p \\|f - D r\\|^2 + \\alpha E_p \\|r\\|^2 + \\gamma \\|g - 1\\|^2 - 2 c \\cdot g
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, nnls

from neurokit_sdr.core.errors import ParameterError

#: Gains above this have run away.
_RUNAWAY = 1e6


class Circuit(NamedTuple):
    """What stays fixed while gains adapt."""

    drive: np.ndarray
    """f, (unit, stimulus)."""
    weight: np.ndarray
    """W, (target, source)."""
    decoder: np.ndarray
    """D, (unit, unit): what reads the drive from the responses."""
    alpha: float
    """Price of activity."""
    gamma: float
    """Price of a gain other than 1."""


class Quadratic(NamedTuple):
    """The objective of gains on the drive, ``g Q g - 2 (b + c) g + gamma |g - 1|^2 + constant``."""

    curvature: np.ndarray
    """Q = (D B)'(D B) + alpha B'B, times S = E[f f'] entry by entry; (unit, unit)."""
    slope: np.ndarray
    """b + c, (unit,)."""
    gamma: float


class Iterated(NamedTuple):
    """Gains found step by step."""

    gain: np.ndarray
    """(unit,)."""
    n_iter: int
    """Steps taken."""
    change: float
    """Largest change of a gain in the last step."""


def check_stable(weight: np.ndarray) -> None:
    """Raise where the linear recurrence runs away: an eigenvalue with a real part of 1 or more."""
    largest = float(np.linalg.eigvals(weight).real.max())
    if not largest < 1 - 1e-9:
        raise ParameterError(
            f"Expected a recurrence whose activity settles (every eigenvalue with a real part "
            f"below 1), got one of {largest:.4g}: lower its strength."
        )


def _check_step(
    gain: np.ndarray, step: int, rate: float, weight: np.ndarray | None = None, top: float = 0.0
) -> None:
    """Raise where a step has led to gains that run away.

    Gains on the total input (with ``weight``, and ``top``, the largest eigenvalue of its symmetric
    part) do so too where the recurrence times them does not settle.
    """
    size = float(np.abs(gain).max())
    settles = size <= _RUNAWAY
    # Gains >= 0 cannot raise a real part above their largest times top: most frames end here.
    if settles and weight is not None and not (gain.min() >= 0 and size * top < 1 - 1e-9):
        settles = bool(np.linalg.eigvals(gain[:, None] * weight).real.max() < 1 - 1e-9)
    if not settles:
        raise ParameterError(
            f"Expected gains that settle, got ones that run away in frame {step} at rate {rate:g}, "
            f"up to a size of {size:.3g}: lower it."
        )


def propagator(weight: np.ndarray) -> np.ndarray:
    """B = (I - W)^-1, (unit, unit), of a stable recurrence."""
    check_stable(weight)
    return np.linalg.inv(np.eye(len(weight)) - weight)


def response(circuit: Circuit, gain: np.ndarray, on_total: bool = False) -> np.ndarray:
    """The steady response to every stimulus, (unit, stimulus)."""
    if on_total:
        check_stable(gain[:, None] * circuit.weight)
        loop = np.eye(len(gain)) - gain[:, None] * circuit.weight
        return np.linalg.solve(loop, gain[:, None] * circuit.drive)
    check_stable(circuit.weight)
    loop = np.eye(len(gain)) - circuit.weight
    return np.linalg.solve(loop, gain[:, None] * circuit.drive)


def costs(
    circuit: Circuit, gain: np.ndarray, probability: np.ndarray, on_total: bool = False
) -> tuple[float, float]:
    """Mean squared error of the decoded drive, and mean squared activity, over the ensemble."""
    r = response(circuit, gain, on_total)
    error = circuit.drive - circuit.decoder @ r
    return float((error**2 @ probability).sum()), float((r**2 @ probability).sum())


def objective(
    circuit: Circuit,
    gain: np.ndarray,
    probability: np.ndarray,
    set_point: np.ndarray,
    on_total: bool = False,
) -> float:
    """What the gains minimise, with the pull ``set_point`` (c, unit) towards the control gains."""
    error, activity = costs(circuit, gain, probability, on_total)
    home = circuit.gamma * float(((gain - 1) ** 2).sum()) - 2 * float(set_point @ gain)
    return error + circuit.alpha * activity + home


def _metric(circuit: Circuit) -> tuple[np.ndarray, np.ndarray]:
    """(D B)'(D B) + alpha B'B, and D B."""
    b = propagator(circuit.weight)
    a = circuit.decoder @ b
    return a.T @ a + circuit.alpha * (b.T @ b), a


def quadratic(
    circuit: Circuit, probability: np.ndarray, control: np.ndarray | None = None
) -> Quadratic:
    """The objective of gains on the drive in one ensemble.

    With an ensemble ``control(stimulus)`` the slope holds c, which makes a gain of 1 the optimum
    there; without it c is 0.
    """
    metric, a = _metric(circuit)
    f = circuit.drive
    second = (f * probability) @ f.T
    slope = (a * second).sum(axis=0)
    if control is not None:
        before = (f * control) @ f.T
        slope = slope + (metric * before).sum(axis=1) - (a * before).sum(axis=0)
    return Quadratic(metric * second, slope, circuit.gamma)


def closed_form(problem: Quadratic, non_negative: bool = False) -> np.ndarray:
    """The gains that minimise the quadratic objective, exactly; (unit,)."""
    curvature, target = _normal(problem)
    gain = np.linalg.solve(curvature, target)
    if not non_negative or gain.min() >= 0:
        return gain
    factor = np.linalg.cholesky(curvature).T
    return nnls(factor, np.linalg.solve(factor.T, target))[0]


def _normal(problem: Quadratic) -> tuple[np.ndarray, np.ndarray]:
    n = len(problem.slope)
    return problem.curvature + problem.gamma * np.eye(n), problem.slope + problem.gamma


def iterate(
    problem: Quadratic, non_negative: bool = False, tol: float = 1e-10, max_iter: int = 100_000
) -> Iterated:
    """The same gains by (projected) gradient steps of 1 over the largest curvature, from 1."""
    curvature, target = _normal(problem)
    step = 1 / np.linalg.eigvalsh(curvature)[-1]
    gain = np.ones(len(target))
    change, n_iter = np.inf, 0
    while change >= tol and n_iter < max_iter:
        n_iter += 1
        new = gain - step * (curvature @ gain - target)
        if non_negative:
            new = np.maximum(new, 0)
        change = float(np.abs(new - gain).max())
        gain = new
    return Iterated(gain, n_iter, change)


def online(
    circuit: Circuit,
    stream: np.ndarray,
    rate: float,
    control: np.ndarray | None = None,
    start: np.ndarray | None = None,
    non_negative: bool = False,
) -> np.ndarray:
    """Gains after each stimulus of a stream of indices, (time, unit): one gradient step per frame.

    A step uses what the circuit sees in that frame, f f' in place of its mean.

    Raises
    ------
    ParameterError
        If a step leads to gains that run away.
    """
    metric, a = _metric(circuit)
    pull = np.zeros(len(a))
    if control is not None:
        before = (circuit.drive * control) @ circuit.drive.T
        pull = (metric * before).sum(axis=1) - (a * before).sum(axis=0)
    gain = np.ones(len(a)) if start is None else np.array(start, dtype=float)
    # b of one frame is f (A' f), the same each time a stimulus comes.
    reward = circuit.drive * (a.T @ circuit.drive) + pull[:, None] + circuit.gamma
    path = np.empty((len(stream), len(a)))
    for t, s in enumerate(stream):
        f = circuit.drive[:, s]
        with np.errstate(over="ignore", invalid="ignore"):  # said below
            gain = gain - rate * (f * (metric @ (f * gain)) + circuit.gamma * gain - reward[:, s])
        if non_negative:
            gain = np.maximum(gain, 0)
        _check_step(gain, t, rate)
        path[t] = gain
    return path


def online_total(
    circuit: Circuit,
    stream: np.ndarray,
    rate: float,
    control: np.ndarray | None = None,
    start: np.ndarray | None = None,
    non_negative: bool = False,
) -> np.ndarray:
    """As :func:`online`, for gains on the total input."""
    check_stable(circuit.weight)
    n = len(circuit.weight)
    pull = np.zeros(n)
    if control is not None:
        pull = total_gradient(circuit, np.ones(n), control)[1] / 2
    gain = np.ones(n) if start is None else np.array(start, dtype=float)
    check_stable(gain[:, None] * circuit.weight)
    top = float(np.linalg.eigvalsh((circuit.weight + circuit.weight.T) / 2)[-1])
    path = np.empty((len(stream), n))
    one = np.ones(1)
    for t, s in enumerate(stream):
        frame = circuit._replace(drive=circuit.drive[:, s : s + 1])
        with np.errstate(over="ignore", invalid="ignore"):  # said below
            gain = gain - rate * (total_gradient(frame, gain, one)[1] / 2 - pull)
        if non_negative:
            gain = np.maximum(gain, 0)
        _check_step(gain, t, rate, circuit.weight, top)
        path[t] = gain
    return path


def online_noise(circuit: Circuit, probability: np.ndarray, rate: float, gain: np.ndarray) -> float:
    """Expected squared distance of online gains from the optimum ``gain``, once settled.

    In a stationary state the covariance V of the gains obeys ``H V + V H = rate (C + ...)``, H the
    curvature and C the covariance of the steps at the optimum; to first order in the rate its
    trace is ``rate / 2`` times the trace of ``H^-1 C``.
    """
    metric, a = _metric(circuit)
    f = circuit.drive
    force = f * (metric @ (f * gain[:, None])) - f * (a.T @ f)
    force = force - (force @ probability)[:, None]
    spread = (force * probability) @ force.T
    curvature = metric * ((f * probability) @ f.T) + circuit.gamma * np.eye(len(a))
    return float(rate / 2 * np.trace(np.linalg.solve(curvature, spread)))


def total_gradient(
    circuit: Circuit, gain: np.ndarray, probability: np.ndarray
) -> tuple[float, np.ndarray]:
    """Objective without set point, and its gradient (unit,), of gains on the total input."""
    loop = np.eye(len(gain)) - gain[:, None] * circuit.weight
    r = np.linalg.solve(loop, gain[:, None] * circuit.drive)
    error = circuit.drive - circuit.decoder @ r
    value = float((error**2 @ probability).sum() + circuit.alpha * (r**2 @ probability).sum())
    value += circuit.gamma * float(((gain - 1) ** 2).sum())
    push = 2 * (circuit.alpha * r - circuit.decoder.T @ error) * probability
    back = np.linalg.solve(loop.T, push)
    slope = (back * (circuit.drive + circuit.weight @ r)).sum(axis=1)
    return value, slope + 2 * circuit.gamma * (gain - 1)


def descend(
    circuit: Circuit,
    probability: np.ndarray,
    control: np.ndarray | None = None,
    non_negative: bool = False,
) -> Iterated:
    """Gains on the total input, by L-BFGS from a gain of 1; no closed form is known to us."""
    check_stable(circuit.weight)
    n = len(circuit.weight)
    set_point = np.zeros(n)
    if control is not None:
        set_point = total_gradient(circuit, np.ones(n), control)[1] / 2

    def loss(gain: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = total_gradient(circuit, gain, probability)
        return value - 2 * float(set_point @ gain), slope - 2 * set_point

    found = minimize(
        loss,
        np.ones(n),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0 if non_negative else None, None)] * n,
        options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30},
    )
    check_stable(found.x[:, None] * circuit.weight)
    slope = np.where((found.x <= 0) & non_negative, np.minimum(found.jac, 0), found.jac)
    return Iterated(found.x, int(found.nit), float(np.abs(slope).max()))
