"""What holds for stimuli, and for the responses to them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.schema.common import check_clock, check_unique_units
from neurokit_sdr.core.schema.kinds import KINDS
from neurokit_sdr.core.schema.words import describe


def check_stimulus(data: xr.Dataset) -> None:
    """What was shown is said over time or by trial; numbers for conditions have units."""
    shown = [v for v in data.data_vars.values() if {"time", "trial"} & set(v.dims)]
    if not shown and "condition" not in data.variables:
        raise SchemaError(
            f"Expected a variable over 'time' or 'trial' in a Dataset of stimuli, got "
            f"{describe(data)}: {KINDS['stimulus'].hint}."
        )
    if any("time" in v.dims for v in shown):
        check_clock(data)
    if "condition" in data.variables:
        _check_values(data["condition"], "condition")


def check_tuning(data: xr.Dataset) -> None:
    """Unique labels, stimuli with units, responses finite or missing, ensembles that sum to 1."""
    check_unique_units(data)
    for name in ("stimulus", "condition"):
        if name not in data.coords:
            raise SchemaError(
                f"Expected a coordinate {name!r} that says what each {name} is, got coords "
                f"{sorted(map(str, data.coords))}: add one with .assign_coords({name}=({name!r}, "
                f"values, {{'units': ...}}))."
            )
    for name in ("session", "stimulus", "condition"):
        if name in data.coords:
            _check_labels(data[name], name)
    _check_values(data["stimulus"], "stimulus")
    response = np.asarray(data["response"].values)
    if np.isinf(response).any():
        raise SchemaError(
            f"Expected finite responses, or NaN where a unit was not recorded, got "
            f"{int(np.isinf(response).sum())} infinite ones."
        )
    if "response_se" in data.variables:
        error = np.asarray(data["response_se"].values)
        wrong = np.isfinite(response) & (np.isinf(error) | (error < 0))
        if wrong.any():
            raise SchemaError(
                f"Expected finite standard errors >= 0, or NaN where they are not known, got "
                f"{error[wrong][0]}."
            )
    if "probability" in data.variables:
        _check_probability(data["probability"])


def _check_labels(coordinate: xr.DataArray, name: str) -> None:
    values, number = np.unique(coordinate.values, return_counts=True)
    if (number > 1).any():
        raise SchemaError(
            f"Expected every {name} once, got {values[number > 1][:5].tolist()} more than once: "
            f"average over repetitions, or give them names of their own."
        )


def _check_values(values: xr.DataArray, name: str) -> None:
    """Numbers are finite and say what they are in; text speaks for itself."""
    if values.dtype.kind not in "iuf":
        return
    if not np.isfinite(values.values).all():
        raise SchemaError(
            f"Expected finite values of {name!r}, got {int((~np.isfinite(values.values)).sum())} "
            f"NaN or infinite: drop those, or name a blank with text."
        )
    if not values.attrs.get("units"):
        raise SchemaError(
            f"Expected numbers in {name!r} with attrs['units'], got none: say what they are in, "
            f"such as 'deg' ('1' for a pure number), or give names as text."
        )


def _check_probability(probability: xr.DataArray) -> None:
    values = np.asarray(probability.values)
    total = values.sum(axis=probability.dims.index("stimulus"))
    # As float32 may have kept each of them.
    tolerance = probability.sizes["stimulus"] * float(np.finfo(np.float32).eps)
    # Written so that NaN is refused.
    if not (values >= 0).all() or not (np.abs(total - 1) <= tolerance).all():
        raise SchemaError(
            f"Expected probability >= 0 that sums to 1 over 'stimulus' in every condition, got "
            f"sums from {total.min():g} to {total.max():g} and a smallest of {values.min():g}: "
            f"divide by .sum('stimulus')."
        )
