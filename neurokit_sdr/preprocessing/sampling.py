"""When the samples of a recording were taken."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.schema.common import GAP as GAP

#: A sample this much earlier than an edge, as a share of a sample, lies on it.
ON_EDGE = 1e-6
#: Positions further out than any recording reaches, which int64 still counts with.
_FAR = 2.0**52


def samples(seconds: float, rate: float) -> int:
    """Whole samples in a stretch of time, at most as many as int64 can count with."""
    return round(min(max(seconds * rate, -_FAR), _FAR))


class Clock(NamedTuple):
    """When samples were taken.

    Attributes
    ----------
    start, stop
        Time of the first sample, and the end of the last one's interval, in s.
    rate
        Samples per s: of an uneven clock, one over the median interval.
    time
        Every sample's time where the clock is not even; else None.
    """

    start: float
    stop: float
    rate: float
    time: np.ndarray | None

    def first_from(self, moment: np.ndarray) -> np.ndarray:
        """Position of the first sample at or after each moment."""
        if self.time is None:
            position = np.ceil((moment - self.start) * self.rate - ON_EDGE)
            return np.clip(position, 0, _FAR).astype(np.int64)
        return np.searchsorted(self.time, moment - ON_EDGE / self.rate, side="left")

    def nearest(self, moment: np.ndarray) -> np.ndarray:
        """Position of the sample nearest to each moment, possibly outside the recording."""
        if self.time is None:
            with np.errstate(over="ignore"):
                position = np.rint((moment - self.start) * self.rate)
            return np.clip(position, -_FAR, _FAR).astype(np.int64)
        right = np.clip(np.searchsorted(self.time, moment), 1, max(self.time.size - 1, 1))
        left = right - 1
        right = np.minimum(right, self.time.size - 1)
        closer = np.abs(self.time[right] - moment) < np.abs(moment - self.time[left])
        return np.where(closer, right, left)


def clock_of(data: xr.Dataset) -> Clock:
    """When the samples of a recording were taken.

    Raises
    ------
    SchemaError
        If ``time`` is not in seconds, or has no two finite, rising values.
    """
    units = data["time"].attrs.get("units", "s")
    if units == "frame":
        raise SchemaError(
            "Expected time in seconds, got frames whose rate is not known: read the recording "
            "with nks.io.read_calcium(path, sampling_rate=30.0)."
        )
    if units != "s":
        raise SchemaError(
            f"Expected time in seconds (units 's'), got {units!r}: convert it, and say so with "
            f".assign_coords(time=('time', seconds, {{'units': 's'}}))."
        )
    size = data.sizes["time"]
    even = even_clock(data)
    if even is not None:
        return Clock(even[0], even[0] + size / even[1], even[1], None)
    time = np.asarray(data["time"].values, dtype=np.float64)
    if size < 2 or not np.isfinite(time).all() or not (np.diff(time) > 0).all():
        raise SchemaError(
            f"Expected at least two finite, rising times in 'time', got {size}: sort the samples, "
            f"and drop those without a time."
        )
    rate = data.attrs.get("sampling_rate")
    step = np.median(np.diff(time))
    rate = (
        1.0 / step if rate is None or abs(float(rate) * step - 1) > ON_EDGE * 1e3 else float(rate)
    )
    stray = np.abs(time - time[0] - np.arange(size) / rate) * rate
    if stray.max() < 1e-3:
        # The interval from end to end tells the rate better than its median does.
        whole = (size - 1) / (time[-1] - time[0])
        rate = float(round(whole)) if abs(whole - round(whole)) < 1e-9 * whole * size else rate
        return Clock(float(time[0]), float(time[0]) + size / rate, float(rate), None)
    return Clock(float(time[0]), float(time[-1] + step), float(rate), time)
