"""Baselines of fluorescence: pure functions on arrays, and what puts them on Datasets."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import ParameterError, SchemaError, warn


class _Baseline(NamedTuple):
    """Defaults: ``window`` and ``smoothing`` in s, or in frames where the value is negative."""

    window: float | None
    smoothing: float | None
    percentile: float | None
    reference: str


#: Tools that count in frames have their default as a negative number of frames.
BASELINES = {
    "maximin": _Baseline(60.0, -10.0, None, "Pachitariu et al. 2017, doi:10.1101/061507"),
    "running_minimum": _Baseline(3.0, 0.75, None, "Jia et al. 2011, doi:10.1038/nprot.2010.169"),
    "running_quantile": _Baseline(
        -500.0, None, 8.0, "Giovannucci et al. 2019, doi:10.7554/eLife.38173"
    ),
    "constant": _Baseline(None, None, 10.0, ""),
}


def maximin(light: np.ndarray, window: int, smoothing: float) -> np.ndarray:
    """Baseline of (..., time): maximum of the minimum of the smoothed, all in frames."""
    from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

    window = min(window, 2 * light.shape[-1] + 1)  # reaches both ends from anywhere
    smooth = gaussian_filter1d(light, smoothing, axis=-1) if smoothing > 0 else light
    return maximum_filter1d(minimum_filter1d(smooth, window, axis=-1), window, axis=-1)


def running_minimum(light: np.ndarray, window: int, smoothing: int) -> np.ndarray:
    """Baseline of (..., time): minimum over the last frames of the mean around each."""
    from scipy.ndimage import minimum_filter1d

    n = light.shape[-1]
    if not n:
        return light
    window, smoothing = min(window, n), min(smoothing, 2 * n + 1)  # reach both ends from anywhere
    before = (smoothing - 1) // 2
    total = np.concatenate([np.zeros((*light.shape[:-1], 1)), np.cumsum(light, axis=-1)], axis=-1)
    first = np.clip(np.arange(n) - before, 0, n)
    stop = np.clip(np.arange(n) - before + smoothing, 0, n)
    mean = (total[..., stop] - total[..., first]) / (stop - first)
    # The filter's window lies around its frame; the origin moves it to end there.
    return minimum_filter1d(
        mean, window, axis=-1, mode="constant", cval=np.inf, origin=(window - 1) // 2
    )


def running_quantile(light: np.ndarray, window: int, percentile: float) -> np.ndarray:
    """Baseline of (..., time): a rank over the frames around each."""
    from scipy.ndimage import percentile_filter

    rows = light.reshape(-1, light.shape[-1])
    found = [percentile_filter(row, percentile, size=window) for row in rows]
    return np.stack(found).reshape(light.shape) if found else np.zeros(light.shape)


def constant(light: np.ndarray, percentile: float) -> np.ndarray:
    """Baseline of (..., time): one number for each unit."""
    if not light.size:
        return light
    return np.broadcast_to(np.percentile(light, percentile, axis=-1, keepdims=True), light.shape)


def _baseline(light: np.ndarray, name: str, window: int, smooth: float, rank: float) -> np.ndarray:
    if name == "maximin":
        return maximin(light, window, smooth)
    if name == "running_minimum":
        return running_minimum(light, window, int(smooth))
    if name == "running_quantile":
        return running_quantile(light, window, rank)
    return constant(light, rank)


def _over_baseline(
    light: np.ndarray, name: str, window: int, smooth: float, rank: float, tell: bool
) -> np.ndarray:
    """Change over the baseline; ``tell`` where this is computed later, and nobody else can look."""
    if tell:
        _check_finite(light)
    f0 = _baseline(light.astype(np.float64), name, window, smooth, rank)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.where(f0 > 0, (light - f0) / f0, np.nan).astype(light.dtype)
    low = np.isnan(change).any(axis=-1)
    if tell and low.any():
        warn(
            f"The baseline of {int(low.sum())} units is not above 0 at some time; dff is NaN "
            f"there. Subtract less neuropil, or leave those units out.",
        )
    return change


def _check_finite(light: np.ndarray) -> None:
    if not np.isfinite(light).all():
        raise SchemaError(
            f"Expected finite fluorescence, got {int((~np.isfinite(light)).sum())} NaN or "
            f"infinite: interpolate short gaps (.interpolate_na('time')), or drop those frames."
        )


def add_dff(calcium: xr.Dataset, *, baseline: str, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the Dataset with ``dff``; :func:`neurokit_sdr.io.dff` says how."""
    chosen = _chosen(baseline, options)
    if "fluorescence" not in calcium.variables or "dff" in calcium.variables:
        raise SchemaError(
            f"Expected fluorescence(time, unit) and no dff yet, got {schema.describe(calcium)}: "
            f"give raw fluorescence, and drop an old dff with .drop_vars('dff')."
        )
    light = calcium["fluorescence"]
    interval = _interval(calcium) if baseline != "constant" else None
    # Of minima, and means cut at the ends, a longer window changes nothing.
    counted = {"maximin": "smoothing", "running_quantile": "window"}.get(baseline)
    longest = 2 * calcium.sizes["time"] * (interval or 0.0)
    if counted and options.get(counted) is not None and options[counted] > max(longest, 1.0):
        raise ParameterError(
            f"Expected {counted} of at most {longest:g} s, twice the recording, got "
            f"{options[counted]!r}: baseline='constant' takes all frames alike."
        )
    window = max(_frames(chosen.get("window"), interval), 1)
    smooth = _frames(chosen.get("smoothing"), interval, whole=baseline != "maximin")
    if baseline == "running_minimum":
        smooth = max(smooth, 1)
    if light.chunks is not None:
        light = light.chunk(time=-1)
    else:
        _check_finite(light.values)
    change = xr.apply_ufunc(
        _over_baseline,
        light,
        input_core_dims=[["time"]],
        output_core_dims=[["time"]],
        kwargs={
            "name": baseline,
            "window": window,
            "smooth": smooth,
            "rank": chosen.get("percentile", 0.0),
            "tell": light.chunks is not None,
        },
        dask="parallelized",
        output_dtypes=[light.dtype],
    ).transpose("time", "unit")
    _warn_low(change, calcium)
    attrs = {"units": "1", "long_name": "change of fluorescence over its baseline"}
    seconds = {k: v for k, v in chosen.items() if k == "percentile"}
    if interval is not None:
        seconds["window"] = window * interval
        if chosen.get("smoothing") is not None:
            seconds["smoothing"] = smooth * interval
    notes = {f"baseline_{k}": float(v) for k, v in seconds.items()}
    reference = BASELINES[baseline].reference
    if "neuropil_subtracted" in light.attrs:
        notes["neuropil_subtracted"] = light.attrs["neuropil_subtracted"]
    change.attrs = attrs | {"baseline": baseline} | notes
    if reference:
        change.attrs["baseline_reference"] = reference
    return calcium.assign(dff=change)


def _chosen(baseline: str, options: Mapping[str, Any]) -> dict[str, float]:
    """The parameters of this baseline: those given, else its own."""
    if not isinstance(baseline, str) or baseline not in BASELINES:
        raise ParameterError(
            f"Expected a baseline, one of {list(BASELINES)}, got {baseline!r}."
            f"{schema.did_you_mean(str(baseline), BASELINES)}"
        )
    defaults = BASELINES[baseline]
    chosen = {}
    for name, value in options.items():
        default = getattr(defaults, name)
        if value is None:
            if default is not None:
                chosen[name] = default
            continue
        if default is None:
            raise ParameterError(f"Expected no {name} with the baseline {baseline!r}: it has none.")
        top = 100.0 if name == "percentile" else np.inf
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        fits = real and 0 <= value <= top and np.isfinite(value)
        if not fits or (name == "window" and value == 0):
            unit = "from 0 to 100" if name == "percentile" else "in seconds, above 0"
            raise ParameterError(f"Expected {name} {unit}, got {value!r}.")
        chosen[name] = float(value)
    return chosen


def _interval(calcium: xr.Dataset) -> float:
    """Typical time between two frames, in seconds."""
    time = calcium["time"]
    if time.attrs.get("units") != "s":
        raise SchemaError(
            "Expected time in seconds, got frames whose rate is not known: read the recording "
            "with nks.io.read_calcium(path, sampling_rate=30.0), or use baseline='constant'."
        )
    if time.size < 2:
        raise SchemaError(f"Expected at least two frames, got {time.size}.")
    clock = even_clock(calcium)
    return 1 / clock[1] if clock else float(np.median(np.diff(time.values)))


def _frames(value: float | None, interval: float | None, whole: bool = True) -> Any:
    if value is None or interval is None:
        return 0
    frames = -value if value < 0 else value / interval
    return round(frames) if whole else frames


def _warn_low(change: xr.DataArray, calcium: xr.Dataset) -> None:
    if change.chunks is not None:
        return
    low = np.isnan(change.values).any(axis=0)
    if low.any():
        ids = calcium["unit"].values[low]
        more = f" and {ids.size - 5} more" if ids.size > 5 else ""
        warn(
            f"The baseline of unit {', '.join(map(str, ids[:5]))}{more} is not above 0 at some "
            f"time; dff is NaN there. Subtract less neuropil, or leave those units out."
        )
