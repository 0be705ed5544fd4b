"""Tuning of a Dataset as arrays, and what must hold for a model of adaptation to read it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import check_names, check_number
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.schema import check

DIMS = ("session", "unit", "stimulus", "condition")
_HINT = (
    "estimate it with nks.estimate_tuning(session, ...), simulate it with "
    "nks.analysis.simulate_gain_sessions, or load_benucci for the layout of Benucci et al. 2013"
)


class Tuning(NamedTuple):
    """Responses of sessions to stimuli in several ensembles, the control first."""

    response: np.ndarray
    """(session, unit, stimulus, condition)."""
    error: np.ndarray | None
    """Standard errors of the same shape, where the data have them."""
    probability: np.ndarray
    """How often each stimulus comes, (session, stimulus, condition)."""
    preferred: np.ndarray
    """Preferred stimulus, (unit,)."""
    stimulus: np.ndarray
    """(stimulus,)."""
    period: float | None
    """The stimulus' period; None where it lies on no circle."""
    conditions: list[Any]
    """Names, the control first."""


def read_tuning(
    data: Any, control: Any = None, n_conditions: int = 2, preferred: np.ndarray | None = None
) -> Tuning:
    """Check tuning, and put the control condition (None: the first) in front.

    Where the units' preferred stimuli are not given, the units must be tuned.

    Raises
    ------
    SchemaError
        If the schema is broken, conditions or stimuli are too few, a unit is not tuned, or
        probabilities do not sum to 1.
    ParameterError
        If there is no condition of the control's name.
    """
    data = check(data, "tuning").transpose(*DIMS, ...)
    names = data["condition"].values.tolist()
    for dim in ("session", "unit"):
        if not data.sizes[dim]:
            raise SchemaError(f"Expected at least one {dim}, got none: {_HINT}.")
    if len(names) < n_conditions:
        raise SchemaError(
            f"Expected at least {n_conditions} conditions, a control and an adapted one, got "
            f"{names}: {_HINT}."
        )
    first = names[0] if control is None else control
    if first not in names:
        check_names("control", [first], names)
    order = [first, *(n for n in names if n != first)]
    data = data.sel(condition=order)
    if data.sizes["stimulus"] < 3:
        raise SchemaError(
            f"Expected at least 3 stimuli, got {data.sizes['stimulus']}: a tuning curve needs "
            f"more than that."
        )
    response = np.asarray(data["response"].values, float)
    if not np.isfinite(response).all():
        raise SchemaError(
            f"Expected finite responses, got {int((~np.isfinite(response)).sum())} NaN or infinite "
            f"ones: drop those units or stimuli with .dropna or .isel."
        )
    if data["stimulus"].dtype.kind not in "iuf":
        raise SchemaError(
            f"Expected stimuli as numbers on an axis, such as orientations in deg, got "
            f"{data['stimulus'].dtype}: adaptation of named stimuli has no distances."
        )
    stimulus = np.asarray(data["stimulus"].values, float)
    given = data["stimulus"].attrs.get("period")
    period = None if given is None else check_number("stimulus.attrs['period']", given, 0)
    curve = response[..., 0].mean(axis=0)
    height = np.ptp(curve, axis=1)
    flat = height <= 1e-12 * max(np.abs(curve).max(), 1e-300)
    if preferred is None and flat.any():
        units = np.asarray(data["unit"].values)[flat] if "unit" in data.coords else flat.nonzero()
        raise SchemaError(
            f"Expected units tuned to the stimulus in the control condition, got the same response "
            f"to every stimulus in {int(flat.sum())} of them ({np.asarray(units)[:5].tolist()}): "
            f"drop these with .isel."
        )
    error = None
    if "response_se" in data:
        error = np.asarray(data["response_se"].transpose(*DIMS).values, float)
        if not (np.isfinite(error) & (error > 0)).all():
            raise SchemaError(
                "Expected response_se > 0 and finite everywhere, got others: a response without "
                "an error needs more trials, or drop response_se."
            )
    if preferred is None and "preferred" in data.coords:
        preferred = np.asarray(data["preferred"].values, float)
    elif preferred is None:
        preferred = preferred_stimulus(curve, stimulus, period)
    return Tuning(response, error, _probability(data), preferred, stimulus, period, order)


def _probability(data: xr.Dataset) -> np.ndarray:
    if "probability" not in data.variables:
        raise SchemaError(
            "Expected probability(stimulus, condition), how often each stimulus came in each "
            "condition, got none: add it, for instance 1 / n_stimuli for a uniform ensemble."
        )
    given = data["probability"]
    shape = {d: data.sizes[d] for d in ("session", "stimulus", "condition")}
    full = given.variable.set_dims(shape).values
    return check_probability(full, axis=1)


def check_probability(value: Any, axis: int = -1) -> np.ndarray:
    """Probabilities, once they are none below 0 and sum to 1 along an axis."""
    p = np.asarray(value, float)
    total = p.sum(axis=axis)
    if not (p >= 0).all() or not np.allclose(total, 1, atol=1e-6):
        raise SchemaError(
            f"Expected probabilities >= 0 that sum to 1 over the stimuli, got sums from "
            f"{np.min(total):.6g} to {np.max(total):.6g} and a smallest of {np.min(p):.6g}: divide "
            f"by the sum."
        )
    return p / np.expand_dims(total, axis)


def preferred_stimulus(curve: np.ndarray, stimulus: np.ndarray, period: float | None) -> np.ndarray:
    """The stimulus each curve (..., stimulus) leans to: its mean, weighted by height above minimum.

    On a circle the direction of the mean vector.
    """
    weight = curve - curve.min(axis=-1, keepdims=True)
    if period is None:
        return (weight * stimulus).sum(axis=-1) / weight.sum(axis=-1)
    angle = 2 * np.pi / float(period) * stimulus
    vector = (weight * np.exp(1j * angle)).sum(axis=-1)
    return np.angle(vector) * float(period) / (2 * np.pi)
