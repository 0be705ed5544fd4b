r"""Five mechanisms that turn control responses into adapted ones, on arrays.

x(session, unit, stimulus) is the measured control response and v its squared error; every mechanism
is a linear map of the response given its parameters, so that the error of x adds its square times
the squared map. ``xp`` is numpy, or pytensor.tensor where PyMC asks: one text of
the equations for both.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurokit_sdr.analysis.gain_control import kernels


class Mechanism(NamedTuple):
    """What a mechanism is called and has."""

    title: str
    """In words."""
    equation: str
    """The adapted response."""
    effects: tuple[str, ...]
    """Its parameters of each session and unit; 0 is no change."""
    shared: str | None
    """Its one parameter of all sessions, if any."""


MECHANISMS: dict[str, Mechanism] = {
    "gain": Mechanism("pure gain", "r1 = exp(a_i) r0", ("log_gain",), None),
    "gain_offset": Mechanism(
        "gain and offset", "r1 = exp(a_i) r0 + o_i", ("log_gain", "offset"), None
    ),
    "recurrent_gain": Mechanism(
        "gain through recurrence",
        "r1 = (I - w K)^-1 diag(exp a) (I - w K) r0",
        ("log_gain",),
        "recurrence",
    ),
    "normalisation": Mechanism(
        "reweighted divisive normalisation",
        "r1_i = r0_i / (1 + h (e_i mean_j e_j q_j - mean_j q_j)), e = exp(u / h), q = r0 / mean r0",
        ("log_weight",),
        "normalisation",
    ),
    "synaptic": Mechanism(
        "change of recurrent synapses",
        "r1 = (I - diag(w + (1 - w) v) K)^-1 (I - w K) r0",
        ("weight_change",),
        "recurrence",
    ),
}

# u and v are scaled by h and 1 - w so that their size is that of the change of the response: what
# data tell does then not depend on what they hardly tell, h and w.

#: Which mechanisms are special cases of which.
NESTED = {("gain", "gain_offset"), ("gain", "recurrent_gain")}


class Recurrence(NamedTuple):
    """The fixed shape of recurrent weights, largest eigenvalue 1, with its eigenvectors."""

    shape: np.ndarray
    """K, (target, source)."""
    values: np.ndarray
    """(unit,)."""
    vectors: np.ndarray
    """(unit, unit), columns."""


def recurrence_shape(
    preferred: np.ndarray, kernel: str, width: float, period: float | None
) -> Recurrence:
    """The shape of recurrence over preferred stimuli."""
    shape = kernels.recurrence(preferred, kernel, width, period)
    values, vectors = np.linalg.eigh(shape)
    return Recurrence(shape, values, vectors)


def adapted(
    mechanism: str,
    parameters: dict[str, Any],
    x: Any,
    v: Any,
    recurrence: Recurrence,
    xp: Any = np,
) -> tuple[Any, Any]:
    """The adapted response, and the part of its variance that comes from ``v``.

    Parameters
    ----------
    mechanism
        A key of :data:`MECHANISMS`.
    parameters
        By the names given there: effects (session, unit), the shared one a number.
    x, v
        Control response and its variance, (session, unit, stimulus).
    recurrence
        Shape of the weights.
    xp
        numpy, or pytensor.tensor.
    """
    if mechanism in ("gain", "gain_offset"):
        gain = xp.exp(parameters["log_gain"])[..., None]
        mean = gain * x
        if mechanism == "gain_offset":
            mean = mean + parameters["offset"][..., None]
        return mean, gain**2 * v
    if mechanism == "normalisation":
        share = parameters["normalisation"]
        scale = xp.exp(parameters["log_weight"] / share)[..., None]
        # The pool cannot fall below silence, whatever the noise.
        q = xp.maximum(x, 0.0)
        q = q / q.mean()
        before = q.mean(axis=1)[:, None, :]
        after = scale * (scale * q).mean(axis=1)[:, None, :]
        ratio = 1 / (1 + share * (after - before))
        return ratio * x, ratio**2 * v
    vectors, values = recurrence.vectors, recurrence.values
    strength = parameters["recurrence"]
    forward = (vectors * (1 - strength * values)) @ vectors.T
    if mechanism == "recurrent_gain":
        back = (vectors / (1 - strength * values)) @ vectors.T
        matrix = back @ (xp.exp(parameters["log_gain"])[..., None] * forward)
    else:
        target = strength + (1 - strength) * parameters["weight_change"]
        loop = np.eye(len(values)) - target[:, :, None] * recurrence.shape
        matrix = xp.linalg.inv(loop) @ forward
    return matrix @ x, (matrix**2) @ v


def curve_noise(response: np.ndarray, n_harmonics: int = 5) -> np.ndarray:
    """Standard error of smooth curves (..., unit, stimulus) from what harmonics leave, (...).

    Orientation curves no narrower than 20 deg have nothing beyond five harmonics.
    """
    n = response.shape[-1]
    angle = 2 * np.pi * np.arange(n) / n
    order = np.arange(1, n_harmonics + 1)
    design = np.concatenate(
        [np.ones((n, 1)), np.cos(angle[:, None] * order), np.sin(angle[:, None] * order)], axis=1
    )
    basis = np.linalg.qr(design)[0]
    rest = response - (response @ basis) @ basis.T
    free = n - basis.shape[1]
    return np.sqrt((rest**2).sum(axis=(-1, -2)) / (free * response.shape[-2]))
