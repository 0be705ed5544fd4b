"""Raw recordings that MNE opens, as Datasets: headers first, samples when they are used."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import FileFormatError, MissingDependencyError, NeurokitError, warn
from neurokit_sdr.core.files import check_inside
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble
from neurokit_sdr.io.contacts.names import on_signal
from neurokit_sdr.io.formats.mne import info as mne_info
from neurokit_sdr.io.registry import Reader, with_chunks

#: Files up to so many bytes are searched for triggers when they are opened.
TRIGGER_SEARCH = 500_000_000
#: Values read at once where only every nth sample is wanted.
_BLOCK_VALUES = 4_000_000
#: Recordings whose headers a process keeps.
_CACHED = 8
_opening = threading.RLock()
_UNTOLD = (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ResourceWarning)
#: What survives of a recording that MNE opens.
KEEPS = (
    "samples, channel types and units, coil types and orientations, positions and their frame, "
    "bads, filters, head position, digitisation, projections, compensation, annotations, triggers"
)
#: Formats that only MNE knows here, by suffix: their readers check the content themselves.
_OTHER = {
    ".set": "read_raw_eeglab",
    ".mff": "read_raw_egi",
    ".cnt": "read_raw_cnt",
    ".gdf": "read_raw_gdf",
    ".nxe": "read_raw_eximia",
    ".nedf": "read_raw_nedf",
    ".snirf": "read_raw_snirf",
    ".cdt": "read_raw_curry",
}


def import_mne() -> Any:
    """Return the module ``mne``.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import mne
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Recordings of this format are read with MNE, which is not installed: "
            "pip install 'neurokit-sdr[meg]'."
        ) from error
    return mne


@dataclass(frozen=True)
class Source:
    """How to open a recording again, in any process.

    Attributes
    ----------
    path
        File or folder.
    opener
        Name of a function of ``mne.io``, such as ``"read_raw_fif"``.
    options
        Its keyword arguments, sorted by name.
    """

    path: str
    opener: str
    options: tuple[tuple[str, Any], ...] = ()


@contextmanager
def mne_errors(path: str | os.PathLike[str], action: str = "read") -> Iterator[None]:
    """Turn whatever MNE raises into a FileFormatError."""
    try:
        yield
    except (NeurokitError, Warning):
        raise
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} needs a package that is not installed ({error}): install it and read again."
        ) from error
    except MemoryError as error:
        raise FileFormatError(
            f"{path} claims more values than memory holds: it is damaged, or read it by parts."
        ) from error
    except Exception as error:  # MNE's readers raise anything on a file that is damaged
        raise FileFormatError(
            f"{path} could not be {action} with MNE ({type(error).__name__}: {error}): check that "
            f"it is complete and of the format its name says."
        ) from error


@contextmanager
def opening(path: str | os.PathLike[str], action: str = "read") -> Iterator[list[str]]:
    """The same, and collect what MNE warns of; in one thread at a time."""
    said: list[str] = []
    # Filters of warnings and the level of the log are the whole process's, not a thread's.
    with _opening, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with mne_errors(path, action), import_mne().use_log_level("WARNING"):
            yield said
    for warning in caught:
        text = " ".join(str(warning.message).split())
        if issubclass(warning.category, _UNTOLD) or "naming conventions" in text:
            continue
        if text not in said:
            said.append(text)


def warn_said(path: str | os.PathLike[str], said: Sequence[str]) -> None:
    """Pass on what MNE warned of, as one DataWarning."""
    if said:
        warn(f"MNE says of {Path(path).name}: {'; '.join(said)}")


def _open(source: Source) -> Any:
    reader = getattr(import_mne().io, source.opener)
    return reader(source.path, preload=False, **dict(source.options))


def open_raw(source: Source) -> Any:
    """Open a recording with MNE: its header, no samples.

    Raises
    ------
    FileFormatError
        If MNE cannot open it, or it continues in a file of another folder.
    """
    with opening(source.path) as said:
        raw = _open(source)
        _check_files(raw, Path(source.path))
    warn_said(source.path, said)
    return raw


def _check_files(raw: Any, path: Path) -> None:
    """A recording may lie in several files, all of them beside or inside its path."""
    home = (path if path.is_dir() else path.parent).resolve()
    for file in raw.filenames:
        there = None if file is None else Path(file).resolve()
        if there is not None and there != path.resolve() and not there.is_relative_to(home):
            raise FileFormatError(
                f"{path} keeps its samples in {file}, outside its folder; they are not read. Put "
                f"the recording's files into one folder."
            )


# -- reading parts ------------------------------------------------------------------------------

_raws: OrderedDict[Any, tuple[Any, threading.Lock]] = OrderedDict()
_raws_lock = threading.Lock()


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise FileFormatError(
            f"{path} is no longer there, and its samples are read when they are used ({error}): "
            f"put it back, or .load() the recording before moving it."
        ) from error
    return status.st_mtime_ns, status.st_size


def _key(source: Source) -> Any:
    """A recording, its file as it is now, and this process."""
    return source, *_stamp(source.path), os.getpid()


def _cached(source: Source) -> tuple[Any, threading.Lock]:
    """The opened recording, from this process's few last ones if the file is the same."""
    key = _key(source)
    with _raws_lock:
        if key in _raws:
            _raws.move_to_end(key)
            return _raws[key]
    with opening(source.path):
        raw = _open(source)
    return _remember(key, raw)


def _remember(key: Any, raw: Any) -> tuple[Any, threading.Lock]:
    found = (raw, threading.Lock())
    with _raws_lock:
        _raws[key] = found
        while len(_raws) > _CACHED:
            _raws.popitem(last=False)
    return found


def _read_source(source: Source, shape: tuple[int, int], key: tuple[Any, ...]) -> np.ndarray:
    raw, lock = _cached(source)
    if (raw.n_times, len(raw.ch_names)) != shape:
        raise FileFormatError(
            f"Expected {shape[0]} samples of {shape[1]} channels in {source.path}, as when it was "
            f"opened, got {raw.n_times} of {len(raw.ch_names)}: it has changed; read it again."
        )
    with lock, mne_errors(source.path):
        return read_part(raw, key)


def read_part(raw: Any, key: tuple[Any, ...]) -> np.ndarray:
    """Values of ``(time, channel)`` at ints or slices of positive step."""
    time, channel = key
    picks = np.arange(len(raw.ch_names))[channel]
    rows = np.atleast_1d(picks)
    if isinstance(time, slice):
        start, stop, step = time.indices(raw.n_times)
    else:
        start, stop, step = int(time), int(time) + 1, 1
    values = _every_nth(raw, rows, start, stop, step)
    if not isinstance(time, slice):
        values = values[0]
    return values[..., 0] if np.ndim(picks) == 0 else values


def _every_nth(raw: Any, rows: np.ndarray, start: int, stop: int, step: int) -> np.ndarray:
    number = len(range(start, stop, step))
    if number == 0 or rows.size == 0:
        return np.empty((number, rows.size))
    if step == 1:
        return raw.get_data(rows, start, stop, verbose="ERROR").T
    block = max(1, _BLOCK_VALUES // (rows.size * step)) * step
    parts = [
        raw.get_data(rows, first, min(first + block, stop), verbose="ERROR")[:, ::step].T
        for first in range(start, stop, block)
    ]
    return np.concatenate(parts)


# -- from an open recording to Datasets ---------------------------------------------------------


def raw_groups(
    raw: Any, source: Source | None = None, *, events: bool | None = None
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups and root attributes of a raw recording.

    Parameters
    ----------
    raw
        An ``mne.io.Raw``.
    source
        How to open it again. None for a recording in memory.
    events
        Whether to search trigger channels, which reads the whole file; None does so where the
        file is not larger than ``TRIGGER_SEARCH``.

    Returns
    -------
    groups
        ``/signal``, ``/events`` where there are any, and what MNE knows besides
        (:func:`neurokit_sdr.io.formats.mne.info.info_groups`).
    attrs
        Of the session.
    """
    shape = (int(raw.n_times), len(raw.ch_names))
    info = raw.info
    signal = xr.Dataset(
        {"signal": _variable(raw, source, shape)},
        coords=mne_info.channel_coords(info, getattr(raw, "_orig_units", None)),
        attrs=mne_info.signal_attrs(info) | {"first_sample": int(raw.first_samp)},
    ).assign_coords(even_time(shape[0], float(info["sfreq"])))
    if info.get("comps"):
        signal.attrs["compensation_grade"] = int(raw.compensation_grade or 0)
    groups = {"/signal": signal}
    found = _events(raw, source, events)
    if found is not None:
        groups["/events"] = found
    return groups | mne_info.info_groups(info), mne_info.session_attrs(info)


def _variable(raw: Any, source: Source | None, shape: tuple[int, int]) -> xr.Variable:
    dims = ("time", "channel")
    attrs = {"long_name": "recorded signal", "units": one_unit(raw.info)}
    if source is not None:
        read = partial(_read_source, source, shape)
        return lazy_variable(dims, read, shape, np.float64, attrs)
    if not raw.preload:
        return lazy_variable(dims, partial(read_part, raw.copy()), shape, np.float64, attrs)
    return xr.Variable(dims, raw.get_data().T, attrs)


def one_unit(info: Any) -> str:
    """The unit of all channels; where they differ, where to look."""
    units = {mne_info.unit_text(c["unit"], c.get("unit_mul", 0)) for c in info["chs"]}
    return units.pop() if len(units) == 1 else "see channel_unit"


def _events(raw: Any, source: Source | None, wanted: bool | None) -> xr.Dataset | None:
    tables = [_annotations(raw)]
    if wanted is None:
        size = 0 if source is None else _bytes(raw, source)
        wanted = size <= TRIGGER_SEARCH
        lines = trigger_channels(raw)
        if not wanted and lines:
            warn(
                f"{Path(source.path).name if source else 'the recording'} has trigger channels "
                f"{lines}, which were not searched for events: that reads all of its "
                f"{size / 1e9:.1f} GB. Give events=True to nks.io.read_meg to do so."
            )
    if wanted:
        tables.append(_triggers(raw, source))
    found = [t for t in tables if t is not None]
    return event_dataset(found) if found else None


def event_dataset(tables: Sequence[Mapping[str, np.ndarray]]) -> xr.Dataset:
    """Events of several sources in order of time; columns that say nothing are left out."""
    columns = {n: np.concatenate([np.asarray(t[n]) for t in tables]) for n in tables[0]}
    order = np.argsort(columns["event_onset"], kind="stable")
    units = {"event_onset": {"units": "s"}, "event_duration": {"units": "s"}}
    events = xr.Dataset(
        {n: ("event", values[order], units.get(n, {})) for n, values in columns.items()},
        attrs={"description": "seconds from the first sample; event_value is 0 off trigger lines"},
    )
    for name in ("event_value", "event_previous_value", "event_channels", "event_extras"):
        values = events[name].values
        if not (values != np.zeros((), dtype=values.dtype)).any():
            events = events.drop_vars(name)
    return schema.check(events, "events")


def _bytes(raw: Any, source: Source) -> int:
    files = [Path(f) for f in raw.filenames if f is not None] or [Path(source.path)]
    return sum(f.stat().st_size for f in files if f.is_file())


def annotation_columns(annotations: Any, origin: float) -> dict[str, np.ndarray]:
    """Columns of ``/events`` from MNE's annotations; ``origin`` is the first sample's onset."""
    number = len(annotations)
    channels = [json.dumps(list(c)) if c else "" for c in annotations.ch_names]
    extras = getattr(annotations, "extras", None) or [None] * number
    return {
        "event_onset": np.asarray(annotations.onset, dtype=np.float64) - origin,
        "event_duration": np.asarray(annotations.duration, dtype=np.float64),
        "event_label": np.array([str(d) for d in annotations.description], dtype=np.str_),
        "event_source": np.full(number, "annotation"),
        "event_value": np.zeros(number, dtype=np.int64),
        "event_previous_value": np.zeros(number, dtype=np.int64),
        "event_channels": np.array(channels, dtype=np.str_),
        "event_extras": np.array([json.dumps(dict(e)) if e else "" for e in extras], dtype=np.str_),
    }


def _annotations(raw: Any) -> dict[str, np.ndarray] | None:
    if not len(raw.annotations):
        return None
    return annotation_columns(raw.annotations, float(raw.first_time))


def trigger_channels(raw: Any) -> list[str]:
    """The channels that are searched: the composite one of Neuromag, else all of type stim."""
    for name in ("STI101", "STI 014"):
        if name in raw.ch_names:
            return [name]
    return [n for n, t in zip(raw.ch_names, raw.get_channel_types(), strict=True) if t == "stim"]


def _triggers(raw: Any, source: Source | None) -> dict[str, np.ndarray] | None:
    import mne

    names = trigger_channels(raw)
    if not names or not raw.n_times:
        return None
    where = source.path if source else "the recording"
    parts = []
    with opening(where) as said:
        rows = [raw.ch_names.index(n) for n in names]
        values = raw.get_data(rows, verbose="ERROR")
        info = mne.create_info(names, raw.info["sfreq"], "stim")
        lines = mne.io.RawArray(values, info, first_samp=raw.first_samp, copy="auto")
        for name in names:
            # A pulse of one sample is an event too: MNE would rather raise.
            found = mne.find_events(lines, name, shortest_event=1)
            parts.append((name, found))
    warn_said(where, said)
    found = np.concatenate([p for _, p in parts])
    if not len(found):
        return None
    number = len(found)
    return {
        "event_onset": (found[:, 0] - raw.first_samp) / float(raw.info["sfreq"]),
        "event_duration": np.zeros(number),
        "event_label": np.array([str(v) for v in found[:, 2]], dtype=np.str_),
        "event_source": np.concatenate([np.full(len(p), n) for n, p in parts]),
        "event_value": found[:, 2].astype(np.int64),
        "event_previous_value": found[:, 1].astype(np.int64),
        "event_channels": np.full(number, ""),
        "event_extras": np.full(number, ""),
    }


def file_groups(
    source: Source, events: bool | None
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Open a recording and give :func:`raw_groups` of it, values left in the file."""
    key = _key(source)
    raw = open_raw(source)
    _remember(key, raw)
    with mne_errors(source.path):
        return raw_groups(raw, source, events=events)


def read_with_mne(
    path: str | os.PathLike[str],
    opener: str,
    *,
    events: bool | None = None,
    options: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Read a raw recording with one of MNE's readers.

    Parameters
    ----------
    path
        A file, or a folder where the format is one; checked by the caller.
    opener
        Name of a function of ``mne.io``, such as ``"read_raw_edf"``.
    events
        Whether to search trigger channels; see :func:`raw_groups`.
    options
        Keyword arguments of the reader; values that can be hashed.

    Returns
    -------
    xarray.DataTree
        As :func:`neurokit_sdr.io.meg.read_meg` says.
    """
    source = Source(str(path), opener, tuple(sorted((options or {}).items())))
    groups, attrs = file_groups(source, events)
    attrs |= {"source": f"mne.io.{opener}"}
    return assemble.session(groups, attrs)


def read_framed(path: Path, opener: str) -> xr.DataTree:
    """Read with MNE; a channel without a position is in no coordinate frame."""
    return on_signal(read_with_mne(path, opener, events=False), _framed)


def _framed(signal: xr.Dataset) -> xr.Dataset:
    nowhere = np.isnan(signal["x"].values)
    frame = np.where(nowhere, "unknown", signal["coord_frame"].values.astype(np.str_))
    return signal.assign_coords(coord_frame=("channel", frame))


def check_folder(path: Path) -> None:
    """A recording that is a folder keeps its files in it."""
    for file in path.rglob("*"):
        check_inside(file, path)


# -- formats that nothing but MNE knows here ----------------------------------------------------


def is_other(path: Path) -> bool:
    """Whether MNE has a reader for the suffix, which checks the content itself."""
    return path.suffix.lower() in _OTHER


def read_other(path: Path, *, events: bool | None = None) -> xr.DataTree:
    """Read with MNE's own reader; :func:`neurokit_sdr.io.read_meg` says into what."""
    if path.is_dir():
        check_folder(path)
    return read_with_mne(path, _OTHER[path.suffix.lower()], events=events)


READER = Reader(
    name="EEGLAB, EGI, CNT, GDF, eXimia, NEDF, SNIRF, Curry",
    kinds=("signal", "events"),
    keeps=KEEPS,
    can_read=is_other,
    read=with_chunks(read_other),
    needs="meg",
)
