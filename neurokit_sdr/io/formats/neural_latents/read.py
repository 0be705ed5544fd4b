"""Files of the Neural Latents Benchmark '21 to counts with the benchmark's division of the data."""

from __future__ import annotations

import numbers
import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import DataWarning, FileFormatError, ParameterError, warn
from neurokit_sdr.core.files import check_file
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.nwb.read import is_nwb, read_nwb
from neurokit_sdr.io.lazy import path_of

#: The files' resolution: behaviour is sampled, and intervals are given, in milliseconds.
_PER_SECOND = 1000
#: Milliseconds to predict ahead, in all data sets.
_AHEAD = 200
#: Length of the filter that behaviour passes before it is thinned out.
_FILTER = 500
_SPLITS = ("train", "val", "test")


class _Protocol(NamedTuple):
    """How the benchmark cuts one data set; times in ms."""

    align: str
    start: int
    stop: int
    behavior: str | None
    lag: int
    smoothing: int
    condition: tuple[str, ...]


_MAZE = _Protocol(
    "move_onset_time", -250, 450, "hand_vel", 120, 50, ("trial_type", "trial_version")
)
#: Parameters of the benchmark (nlb_tools, make_tensors), with the names of its data sets.
PROTOCOLS = {
    "mc_maze": _MAZE._replace(lag=100, smoothing=70),
    "mc_maze_large": _MAZE,
    "mc_maze_medium": _MAZE,
    "mc_maze_small": _MAZE,
    "mc_rtt": _Protocol("start_time", 0, 600, "finger_vel", 140, 0, ()),
    "area2_bump": _Protocol(
        "move_onset_time", -100, 500, "hand_vel", -20, 40, ("cond_dir", "ctr_hold_bump")
    ),
    "dmfc_rsg": _Protocol("go_time", -1500, 0, None, 0, 70, ("is_eye", "theta", "is_short", "ts")),
}
#: What names of the published files say, in the order in which they are asked.
_NAMES = (
    ("ses-full", "mc_maze"),
    ("ses-large", "mc_maze_large"),
    ("ses-medium", "mc_maze_medium"),
    ("ses-small", "mc_maze_small"),
    ("sub-indy", "mc_rtt"),
    ("sub-han", "area2_bump"),
    ("sub-haydn", "dmfc_rsg"),
)


def read_neural_latents(
    path: str | os.PathLike[str], dataset: str | None = None, bin_size: float = 0.02
) -> xr.DataTree:
    """Read a data set of the Neural Latents Benchmark '21 from its own NWB files.

    The files are on DANDI: 000128 (mc_maze), 000138, 000139 and 000140 (mc_maze_large, _medium and
    _small), 000129 (mc_rtt), 000127 (area2_bump) and 000130 (dmfc_rsg). Counts, windows and
    behaviour are those of nlb_tools' tensors: bins lie on one grid from the recording's start, and
    a window begins with the first bin that starts in it.

    Parameters
    ----------
    path
        A file, or the folder with the data set's files (for training and for the test).
    dataset
        One of the names above; None goes by the names of the published files.
    bin_size
        Seconds; whole milliseconds that divide the window and the 200 ms that follow it. The
        benchmark has boards for 0.005 and 0.02.

    Returns
    -------
    xarray.DataTree
        Groups ``/train`` and ``/val`` with all units, in the window and in the 200 ms after it;
        ``/test`` with what the benchmark released of the test: held-in units, in the window. A
        model is fitted to ``/train``; ``predict`` takes ``/val`` or ``/test`` as they are; the
        measures of :mod:`neurokit_sdr.validation` take ``/val`` as the truth. Each holds

        - ``count(trial, time, unit)``, with ``held_in(unit)`` and ``forward(time)``; ``time`` is
          seconds from what trials are aligned to, at a bin's centre and to a bin; where a bin was
          not observed, ``observed(trial, time)``, and 0 in its count;
        - the behaviour to decode, such as ``hand_vel(trial, time, space)``, shifted by
          ``attrs["lag"]`` already and NaN in the bins to predict ahead;
        - the columns of the table of trials as coordinates, and ``condition(trial)``, text, for
          PSTHs (``attrs["psth_smoothing"]``).

        In dmfc_rsg ``scored(trial, time)`` marks the interval from set to go, which alone is
        scored: the truth is ``val.assign(observed=val["scored"])``. ``tp`` is NaN in outliers. The
        benchmark draws a jitter of the training trials of this set; none is drawn here.

    Raises
    ------
    FileFormatError
        If there is no such file, it is no NWB file, or lacks the units' column ``heldout``, the
        trials' column ``split`` or the one that trials are aligned to.
    ParameterError
        If the data set cannot be told or is none of these, or ``bin_size`` does not divide the
        window.

    Warns
    -----
    DataWarning
        If trials are left out because the moment of alignment is missing or their window leaves
        the recording.

    References
    ----------
    Pei, Ye, et al. (2021), Neural Latents Benchmark '21, NeurIPS Datasets and Benchmarks,
    arXiv 2109.04463.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> tree = nks.io.read_neural_latents("000128/sub-Jenkins")  # doctest: +SKIP
    >>> train = tree["/train"].to_dataset()  # doctest: +SKIP
    """
    place = path_of(path)
    files = _files(place)
    name = _dataset_of(place, files) if dataset is None else dataset
    if name not in PROTOCOLS:
        raise ParameterError(
            f"Expected dataset to be one of {list(PROTOCOLS)} or None, got {name!r}."
            f"{schema.did_you_mean(str(name), PROTOCOLS)}"
        )
    protocol = PROTOCOLS[name]
    width = _width(bin_size, protocol)
    groups: dict[str, xr.Dataset] = {}
    before = 0
    for file in files:
        session = _session(file)
        trials = session["/trials"].to_dataset()
        for split in _SPLITS:
            chosen = np.flatnonzero(trials["split"].values == split)
            if not chosen.size:
                continue
            if f"/{split}" in groups:
                raise FileFormatError(
                    f"Expected trials of the split {split!r} in one file of {place}, found them in "
                    f"{file.name} as well: keep one data set in the folder, or give its file."
                )
            part = _part(session, trials, chosen, protocol, width, split, file)
            # Numbers go on from file to file, as nlb_tools counts them.
            part = part.assign_coords(trial=part["trial"] + before)
            groups[f"/{split}"] = part.assign_attrs(
                dataset=name,
                lag=protocol.lag / _PER_SECOND,
                psth_smoothing=protocol.smoothing / _PER_SECOND,
            )
        before += trials.sizes["trial"]
    if not groups:
        raise FileFormatError(
            f"Expected trials whose split is one of {list(_SPLITS)} in {place}, found none."
        )
    for part in groups.values():
        schema.check(part, "counts")
    ordered = {f"/{split}": groups[f"/{split}"] for split in _SPLITS if f"/{split}" in groups}
    return assemble.session(ordered, {"dataset": name})


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        found = [check_file(place)]
    else:
        found = sorted(place.glob("*.nwb"))
        # Training comes first, as nlb_tools would number the trials.
        found.sort(key=lambda p: "desc-test" in p.name)
    if not found:
        raise FileFormatError(
            f"Expected NWB files (*.nwb) in the folder {place}, found none: give the folder that "
            f"holds the files of one data set, or a file."
        )
    for file in found:
        if not is_nwb(file):
            raise FileFormatError(
                f"Expected an NWB file at {file}, found another: download the data set's files "
                f"from DANDI again."
            )
    return found


def _dataset_of(place: Path, files: list[Path]) -> str:
    text = " ".join([place.name, *(f.name for f in files)]).lower()
    named = [name for mark, name in _NAMES if re.search(rf"{mark}(?![a-z])", text)]
    exact = [name for name in sorted(PROTOCOLS, key=len, reverse=True) if name in text]
    found = [*dict.fromkeys(named), *exact[:1]]
    if not found:
        raise ParameterError(
            f"Expected dataset to be given where the names of files do not say it, got None for "
            f"{place}: it is one of {list(PROTOCOLS)}."
        )
    return found[0]


def _width(bin_size: float, protocol: _Protocol) -> int:
    """Bins in whole milliseconds."""
    number = isinstance(bin_size, numbers.Real) and not isinstance(bin_size, bool)
    width = round(bin_size * _PER_SECOND) if number and np.isfinite(bin_size) else 0
    window = protocol.stop - protocol.start
    if width < 1 or abs(width - bin_size * _PER_SECOND) > 1e-6 or window % width or _AHEAD % width:
        raise ParameterError(
            f"Expected bin_size in seconds, of whole milliseconds that divide the window of "
            f"{window} ms and the {_AHEAD} ms after it, got {bin_size!r}: the benchmark takes "
            f"0.005 or 0.02."
        )
    return width


def _session(file: Path) -> xr.DataTree:
    with warnings.catch_warnings():
        # The intervals that this is about decide below which bins were observed.
        warnings.filterwarnings(
            "ignore", message=r".*units were not all observed", category=DataWarning
        )
        session = read_nwb(file, spikes=True)
    if "/spikes" not in session.groups or "heldout" not in session["/spikes"].coords:
        raise FileFormatError(
            f"Expected a units table with the column 'heldout' in {file}, found none: it is no "
            f"file of the benchmark; read it with nks.io.read and divide it with "
            f"nks.validation.held_out_split."
        )
    if "/trials" not in session.groups or "split" not in session["/trials"].variables:
        raise FileFormatError(
            f"Expected a table of trials with the column 'split' in {file}, found none: it is no "
            f"file of the benchmark; read it with nks.io.read."
        )
    return session


def _part(
    session: xr.DataTree,
    trials: xr.Dataset,
    chosen: np.ndarray,
    protocol: _Protocol,
    width: int,
    split: str,
    file: Path,
) -> xr.Dataset:
    """The trials of one split."""
    if protocol.align not in trials.variables:
        raise FileFormatError(
            f"Expected the column {protocol.align!r}, which trials are aligned to, in the trials "
            f"of {file}, found {sorted(map(str, trials.data_vars))}: is it another data set?"
        )
    spikes = session["/spikes"].to_dataset()
    held_in = ~spikes["heldout"].values.astype(bool)
    length = round(spikes.attrs["t_stop"] * _PER_SECOND)
    n_bins = -(-length // width)
    n_seen = (protocol.stop - protocol.start) // width
    n_ahead = 0 if split == "test" else _AHEAD // width
    align = trials[protocol.align].values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        first = _first_bin(align * _PER_SECOND + protocol.start, width)
    inside = np.isfinite(align) & (first >= 0) & (first + n_seen + n_ahead <= n_bins)
    if not inside[chosen].all():
        warn(
            f"{file.name}: left out {int((~inside[chosen]).sum())} of {chosen.size} trials of the "
            f"split {split!r}: {protocol.align} is missing, or the window leaves the recording."
        )
    chosen = chosen[inside[chosen]]
    window = first[chosen].astype(np.int64)[:, None] + np.arange(n_seen + n_ahead)
    units = np.flatnonzero(held_in) if split == "test" else np.arange(held_in.size)
    count = _counted(spikes, units, window, n_bins, width)
    observed = _observed(session, spikes, units, n_bins, width)[window]
    count[~observed] = 0
    bin_size = width / _PER_SECOND
    time = protocol.start / _PER_SECOND + (np.arange(n_seen + n_ahead) + 0.5) * bin_size
    own = trials.isel(trial=chosen)
    part = xr.Dataset(
        {"count": (("trial", "time", "unit"), count, {"units": "1"})},
        coords={
            "trial": own["trial"].values if "trial" in own.coords else chosen,
            "time": ("time", time, {"units": "s", "long_name": f"from {protocol.align}"}),
        },
        attrs={"bin_size": bin_size},
    )
    per_unit = {n: c.variable for n, c in spikes.coords.items() if c.dims == ("unit",)}
    part = part.assign_coords({n: v[units] for n, v in per_unit.items()}).assign_coords(
        held_in=("unit", held_in[units]), forward=("time", np.arange(time.size) >= n_seen)
    )
    columns = {
        str(n): own[n].variable
        for n, v in own.variables.items()
        if v.dims == ("trial",) and n not in part.variables
    }
    part = part.assign_coords(columns)
    if protocol.condition and set(protocol.condition) <= set(columns):
        part = part.assign_coords(condition=("trial", _conditions(own, protocol.condition)))
    if "set_time" in columns and protocol.align == "go_time" and split != "test":
        begun = _first_bin(own["set_time"].values * _PER_SECOND, width)
        scored = (window >= begun[:, None]) & (np.arange(time.size) < n_seen)
        part["scored"] = (("trial", "time"), scored)
    if "is_outlier" in columns and "tp" in columns:
        part["tp"] = part["tp"].where(part["is_outlier"] == 0)
    if not observed.all():
        part["observed"] = (("trial", "time"), observed)
    if protocol.behavior is not None and split != "test":
        moved = _behavior(session, protocol, width, align[chosen], n_seen, length, file)
        pad = [(0, 0), (0, n_ahead), (0, 0)]
        values = np.pad(moved, pad, constant_values=np.nan)
        part[protocol.behavior] = (("trial", "time", "space"), values)
    return part


def _first_bin(milliseconds: np.ndarray, width: int) -> np.ndarray:
    """The first bin that starts at or after a moment (moments are whole microseconds)."""
    return np.ceil(np.round(milliseconds, 3) / width)


def _counted(
    spikes: xr.Dataset, units: np.ndarray, window: np.ndarray, n_bins: int, width: int
) -> np.ndarray:
    """Counts (trial, time, unit) in bins of the recording's grid."""
    time, unit = spikes["spike_time"].values, spikes["spike_unit"].values
    # To the nanosecond: a spike at 0.2 s lies in the bin that starts there.
    index = np.floor(np.round(time * _PER_SECOND, 6)).astype(np.int64) // width
    count = np.empty((*window.shape, units.size), dtype=np.int32)
    for k, u in enumerate(units):
        mine = index[unit == u]
        mine = mine[(mine >= 0) & (mine < n_bins)]
        count[..., k] = np.bincount(mine, minlength=n_bins)[window]
    return count


def _observed(
    session: xr.DataTree, spikes: xr.Dataset, units: np.ndarray, n_bins: int, width: int
) -> np.ndarray:
    """Bins of the recording whose first millisecond was observed, of held-in and held-out units."""
    seen = np.ones(n_bins, dtype=bool)
    if "/observation_intervals" not in session.groups:
        return seen
    intervals = session["/observation_intervals"].to_dataset()
    held_in = ~spikes["heldout"].values.astype(bool)[units]
    for kind in (units[held_in], units[~held_in]):
        if not kind.size:
            continue
        # All units of a kind have the same intervals.
        mine = intervals.isel(interval=np.flatnonzero(intervals["interval_unit"].values == kind[0]))
        inside = np.zeros(n_bins * width, dtype=bool)
        for start, stop in zip(mine["start_time"].values, mine["stop_time"].values, strict=True):
            begin = int(np.ceil(np.round(start * _PER_SECOND, 6)))
            inside[begin : int(np.floor(np.round(stop * _PER_SECOND, 6)))] = True
        seen &= inside[::width]
    return seen


def _behavior(
    session: xr.DataTree,
    protocol: _Protocol,
    width: int,
    align: np.ndarray,
    n_seen: int,
    length: int,
    file: Path,
) -> np.ndarray:
    """Behaviour (trial, time, space), thinned out to one sample a bin, ``lag`` after the counts."""
    name = str(protocol.behavior)
    places = [f"/behavior/{name}", "/behavior"]
    place = next((p for p in places if p in session.groups and name in session[p].data_vars), None)
    if place is None:
        raise FileFormatError(
            f"Expected the behaviour {name!r} in {file}, found groups {list(session.groups)}: is "
            f"it the file for training of another data set?"
        )
    series = session[place].to_dataset()[name]
    values = np.asarray(series.values, dtype=np.float64).reshape(series.sizes["time"], -1)
    position = np.round(series["time"].values * _PER_SECOND).astype(np.int64)
    there = (position >= 0) & (position < length)
    whole = np.full((length, values.shape[1]), np.nan)
    whole[position[there]] = values[there]
    thin = _thinned(whole, width)
    first = _first_bin(align * _PER_SECOND + protocol.start + protocol.lag, width).astype(np.int64)
    window = first[:, None] + np.arange(n_seen)
    outside = (window < 0) | (window >= len(thin))
    moved = thin[np.clip(window, 0, len(thin) - 1)]
    moved[outside] = np.nan
    return moved


def _thinned(values: np.ndarray, width: int) -> np.ndarray:
    """Every ``width``-th sample after a low-pass filter; NaN where that sample was missing."""
    from scipy.signal import decimate

    if width == 1:
        return values
    missing = np.isnan(values[::width])
    filled = values.copy()
    steps = np.arange(len(values))
    for column in filled.T:
        known = np.isfinite(column)
        if known.any():
            column[:] = np.interp(steps, steps[known], column[known])
    thin = decimate(filled, width, n=_FILTER, ftype="fir", axis=0)
    thin[missing] = np.nan
    return thin


def _conditions(trials: xr.Dataset, names: tuple[str, ...]) -> np.ndarray:
    """One text for each combination of columns; empty where one is NaN."""
    columns = [trials[name].values for name in names]
    missing = np.any([c != c for c in columns], axis=0)
    text = [
        ", ".join(f"{n}={v}" for n, v in zip(names, row, strict=True))
        for row in zip(*columns, strict=True)
    ]
    return np.where(missing, "", np.array(text, dtype=np.str_))
