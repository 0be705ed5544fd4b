"""Checks that several kinds share."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import SchemaError

#: How far, in bins, the step from one bin to the next may be from one.
STEP_TOLERANCE = 0.01
#: Frames further apart than this many intervals have a gap between them.
GAP = 1.5


def check_unique_units(data: xr.Dataset) -> None:
    """Raise :class:`SchemaError` where two units carry the same id."""
    if "unit" not in data.coords:
        raise SchemaError(
            f"Expected a coordinate 'unit' with one id per unit, got coords "
            f"{sorted(map(str, data.coords))}: add one with .assign_coords(unit=[...])."
        )
    ids, number = np.unique(data["unit"].values, return_counts=True)
    if (number > 1).any():
        raise SchemaError(
            f"Expected unique unit ids, got {ids[number > 1][:5].tolist()} more than once: merge "
            f"those units or give them distinct ids (several probes: prefix the probe's name)."
        )


def one_number(data: xr.Dataset, name: str) -> float:
    """An attribute in seconds."""
    value = data.attrs[name]
    if isinstance(value, str) or np.ndim(value) > 0:
        raise SchemaError(
            f"Expected attrs[{name!r}] to be one number of seconds, got {value!r}: set it as a "
            f"float."
        )
    return float(value)


def check_seconds(data: xr.Dataset, units: tuple[str, ...] = ("s",)) -> None:
    """Raise where ``time`` is missing or not in seconds."""
    if "time" not in data.coords:
        raise SchemaError(
            f"Expected a coordinate 'time' in seconds, got coords {sorted(map(str, data.coords))}: "
            f"add one with .assign_coords(time=('time', seconds, {{'units': 's'}}))."
        )
    time = data["time"]
    if time.dtype.kind != "f" or time.attrs.get("units") not in units:
        raise SchemaError(
            f"Expected 'time' as floats with attrs['units'] == 's', got {time.dtype} in "
            f"{time.attrs.get('units')!r}: convert the values and set the attribute."
        )


def check_clock(data: xr.Dataset, units: tuple[str, ...] = ("s",)) -> None:
    """Raise where ``time`` is missing, not in seconds or does not rise from sample to sample."""
    check_seconds(data, units)
    if even_clock(data) is not None:
        return  # rises by construction, and may be too long for memory
    time = data["time"]
    rising = np.isfinite(time.values)
    rising[1:] &= np.diff(time.values) > 0
    if not rising.all():
        first = int(np.argmin(rising))
        raise SchemaError(
            f"Expected finite, rising times, got {time.values[first]} s at index {first}: sort the "
            f"samples, and drop those without a time."
        )


def check_frames(data: xr.Dataset) -> None:
    """Raise where frames are not in order, or some are missing between others.

    Frame times are measured, so that they vary; the median interval is the clock's.
    """
    if "time" not in data.coords or even_clock(data) is not None or data.sizes["time"] < 2:
        return
    time = np.asarray(data["time"].values, dtype=np.float64)
    steps = np.diff(time)
    interval = float(np.median(steps))
    wrong = ~((steps > 0) & (steps <= GAP * interval))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise SchemaError(
            f"Expected frames that follow one another, about {interval:g} apart, got "
            f"{int(wrong.sum())} of {steps.size} intervals that are longer or go back, the first "
            f"from {time[first]:g} to {time[first + 1]:g} at index {first}: a lag leads across "
            f"it. Take one stretch with .isel(time=slice(first, last)), or fill short gaps with "
            f".interp(time=even_times)."
        )


def check_bins(data: xr.Dataset, bin_size: float) -> None:
    """Raise where the bins of counts do not follow one another, ``bin_size`` apart.

    A lag leads from a bin to the one before it, so that bins with others cut out between them are
    no recording. The clock is what tells: integers number bins; other numbers are seconds. Where
    there is no ``time`` nothing can be told.
    """
    if "time" not in data.coords or data["time"].dims != ("time",):
        return
    clock = even_clock(data)
    if clock is not None:
        steps, size = np.array([1.0 / (clock[1] * bin_size)]), data.sizes["time"]
        time = np.array([clock[0], clock[0] + 1 / clock[1]])
        slack = 0.0
    else:
        time = np.asarray(data["time"].values)
        if time.dtype.kind in "mM":
            time = (time - time[:1]) / np.timedelta64(1, "s")
        if time.dtype.kind not in "iuf":
            return
        size = time.size
        whole = time.dtype.kind in "iu" and data["time"].attrs.get("units") != "s"
        steps = np.diff(time.astype(np.float64)) / (1.0 if whole else bin_size)
        # Each of two times is off by half a unit in its last place, as it was stored and as it was
        # computed before that.
        far = float(np.abs(time[np.isfinite(time)]).max(initial=0.0))
        exact = np.finfo(time.dtype).eps if time.dtype.kind == "f" else 0.0
        slack = 2 * float(exact) * far / bin_size
    if size < 2:
        return
    # What is cut out is at least a bin, so a step of two. Times that were kept to a hundredth of a
    # bin are an even clock still.
    wrong = ~(np.abs(steps - 1.0) <= min(STEP_TOLERANCE + slack, 0.5))
    if not wrong.any():
        return
    first = int(np.argmax(wrong))
    if not np.isfinite(steps).all():
        advice = "a bin has no time: every bin has one, also where nothing was recorded"
    elif not (steps > 0).all():
        advice = "the bins are not in order: sort them with .sortby('time')"
    elif np.ptp(steps) <= 2 * STEP_TOLERANCE:
        advice = (
            "every step is the same, so bins were left out or attrs['bin_size'] is another one's: "
            "bin again with nks.bin_spikes(session, bin_size), or correct the attribute"
        )
    else:
        advice = (
            "a lag would lead across what was cut out: make trials of the stretches between with "
            "nks.split_at_gaps(counts), or keep all bins and mark those that are not to be used "
            "with a boolean variable 'observed(time)'"
        )
    raise SchemaError(
        f"Expected bins that follow one another, {bin_size:g} s apart, got {int(wrong.sum())} of "
        f"{steps.size} steps that differ, the first from {time[first]:g} to {time[first + 1]:g} at "
        f"index {first}: {advice}."
    )
