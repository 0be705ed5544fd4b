"""From what a file holds to Datasets in the schema: the checks and names every reader shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import FileFormatError, NeurokitError, warn


def spike_dataset(
    times: np.ndarray,
    counts: Sequence[int] | np.ndarray,
    units: Sequence[Any] | np.ndarray,
    *,
    t_start: float,
    t_stop: float,
    t_stop_source: str,
    where: str,
    error: type[NeurokitError] = FileFormatError,
) -> xr.Dataset:
    """Build the Dataset of spikes from the units' times laid end to end.

    What could be wrong with them is looked for here, by unit; the rest of the schema is checked
    where the session is put together, once.

    Parameters
    ----------
    times
        Seconds, float64, of shape (spike,): all of the first unit's, then the second's.
    counts
        Spikes of each unit, of shape (unit,).
    units
        The ids, of shape (unit,).
    t_start, t_stop
        The recording's first and last moment, in seconds.
    t_stop_source
        What ``t_stop`` was taken from, in words.
    where
        What is being read, for error texts.
    error
        The class of error to raise.
    """
    times = np.asarray(times, dtype=np.float64)
    counts = np.asarray(counts, dtype=np.int64)
    ids = np.asarray(units)
    check_unit_ids(ids, where, error)
    check_times(times, counts, ids, t_start, where, error)
    spikes = xr.Dataset(
        {
            "spike_time": (("spike",), times, {"units": "s", "long_name": "spike time"}),
            "spike_unit": (
                ("spike",),
                np.repeat(np.arange(counts.size), counts),
                {"long_name": "position on the unit dimension"},
            ),
        },
        coords={"unit": ("unit", ids)},
        attrs={
            "t_start": float(t_start),
            "t_stop": float(t_stop),
            "t_stop_source": t_stop_source,
        },
    )
    return spikes


def check_unit_ids(ids: np.ndarray, where: str, error: type[NeurokitError]) -> None:
    """Raise where two units carry the same id."""
    known, number = np.unique(ids, return_counts=True)
    if (number > 1).any():
        raise error(
            f"Expected one id per unit, got {known[number > 1][:5].tolist()} more than once in "
            f"{where}: merge those units or give them distinct ids (several probes: prefix the "
            f"probe's name)."
        )


def check_times(
    times: np.ndarray,
    counts: np.ndarray,
    ids: np.ndarray,
    t_start: float,
    where: str,
    error: type[NeurokitError],
) -> None:
    """Raise, naming the unit, where spike times are not finite, not in order or too early."""
    if times.size == 0:
        return
    ends = np.cumsum(counts)

    def unit_of(spike: int) -> Any:
        return ids[np.searchsorted(ends, spike, side="right")]

    earliest = times.min()
    if not np.isfinite(earliest + times.max()):  # a NaN anywhere is the minimum
        bad = ~np.isfinite(times)
        raise error(
            f"Expected finite spike times, got {int(bad.sum())} NaN or infinite in {where}, the "
            f"first in unit {unit_of(int(np.argmax(bad)))!s}: drop them before reading."
        )
    backward = times[1:] < times[:-1]
    last = ends[(ends > 0) & (ends < times.size)]
    backward[last - 1] = False  # from one unit's last spike to the next unit's first
    if backward.any():
        first = int(np.argmax(backward))
        raise error(
            f"Expected spike times in ascending order, got {times[first + 1]:g} s after "
            f"{times[first]:g} s in unit {unit_of(first)!s} of {where}: they are not sorted "
            f"here, because disorder often means that trials or blocks were joined; sort the "
            f"unit's times (numpy.sort) if that is what you mean."
        )
    if earliest < t_start:
        first = int(np.argmax(times < t_start))
        raise error(
            f"Expected spike times from {t_start:g} s on, where the recording starts, got "
            f"{times[first]:g} s in unit {unit_of(first)!s} of {where}: times are seconds from "
            f"the recording's start; with nks.io.from_spike_times, give a t_start that covers them."
        )


def plain_array(values: Any) -> np.ndarray | None:
    """Return values as a numeric, boolean or text array; None where that cannot be."""
    array = np.asarray(values)
    if array.dtype.kind in "iufbU":
        return array
    if array.dtype.kind in "ST":
        return array.astype(np.str_)
    if array.dtype.kind != "O":
        return None
    items = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in array.flat]
    if all(isinstance(v, str) for v in items):
        return np.array(items, dtype=np.str_).reshape(array.shape)
    if all(isinstance(v, bool | np.bool_) for v in items):
        return np.array(items, dtype=bool).reshape(array.shape)
    return None


def plain_attrs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a mapping what an attribute can hold; dates become ISO text, sequences lists."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        encoded = _plain_attr(value)
        if encoded is not None:
            kept[str(key)] = encoded
    return kept


def _plain_attr(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str | int | float):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list | tuple | np.ndarray):
        items = [_plain_attr(v) for v in value]
        if all(isinstance(v, str | int | float) for v in items):
            return items
    return None


def free_name(name: str, taken: Iterable[Any], suffix: str = "column") -> str:
    """Return the name, or the first variation of it that is not taken."""
    taken = set(map(str, taken))
    name = name.replace("/", "_")
    candidate, number = name, 1
    while candidate in taken:
        candidate = f"{name}_{suffix}" if number == 1 else f"{name}_{suffix}{number}"
        number += 1
    return candidate


def warn_left_out(path: Path, left: Sequence[str]) -> None:
    """Warn once about everything a reader met and did not keep."""
    if left:
        warn(
            f"{path.name} also holds what is not kept here: {'; '.join(left)}. Read it with the "
            f"format's own library if you need it."
        )


def session(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> xr.DataTree:
    """Put Datasets under their groups, metadata on the root."""
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=dict(attrs)), **groups})
    for name, dataset in groups.items():
        kind = name.strip("/").split("/")[0]
        leads_on = not dataset.variables and any(g.startswith(f"{name}/") for g in groups)
        if kind in schema.KINDS and not leads_on:
            schema.check(dataset, kind)
    return tree
