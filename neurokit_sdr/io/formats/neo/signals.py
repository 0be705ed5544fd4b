"""Continuous signals of formats that neo reads, each stream of channels at its own rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble
from neurokit_sdr.io.recording import (
    collected_warnings,
    distrust,
    events_dataset,
    flat,
    interval_dataset,
    shaped,
    signal_dataset,
    to_volts,
    unique_names,
)

#: What neo says of itself.
_OWN = {"segments", "name", "file_origin"}


class Source(NamedTuple):
    """How to open a recording again, in any process: the class of neo's, and its arguments."""

    path: str
    reader: str
    options: tuple[tuple[str, Any], ...] = ()


@contextmanager
def opened(source: Source) -> Iterator[Any]:
    """A raw reader of neo, its header read."""
    import neo.rawio

    raw = getattr(neo.rawio, source.reader)(source.path, **dict(source.options))
    try:
        raw.parse_header()
        yield raw
    finally:
        for file in getattr(raw, "_nsx_fids", {}).values():  # which neo leaves open
            file.close()


def read_neo_signals(
    path: Path,
    reader: str,
    format_name: str,
    *,
    voltages: str = "eeg",
    options: tuple[tuple[str, Any], ...] = (),
) -> xr.DataTree:
    """Read signals and events with a raw reader of neo.

    Parameters
    ----------
    path
        The file.
    reader, options
        The name of its class, and its arguments.
    format_name
        For texts.
    voltages
        MNE's word for channels that are voltages.
    """
    path = check_file(path)
    source = Source(str(path), reader, options)
    with distrust(path, format_name), collected_warnings(path), opened(source) as raw:
        return _read(path, raw, source, format_name, voltages)


def _read(path: Path, raw: Any, source: Source, format_name: str, voltages: str) -> xr.DataTree:
    streams = raw.header["signal_streams"]
    segments = range(int(raw.header["nb_segment"][0]))
    groups: dict[str, xr.Dataset] = {}
    origin = min(float(raw.segment_t_start(0, k)) for k in segments)
    for k, stream in enumerate(streams):
        group = "/signal" if len(streams) == 1 else f"/signal/{str(stream['name']).strip() or k}"
        sizes = [int(raw.get_signal_size(0, s, k)) for s in segments]
        starts = [float(raw.get_signal_t_start(0, s, k)) - origin for s in segments]
        _check_sizes(path, raw, k, sizes, starts)
        groups[group] = _stream(path, raw, source, k, sizes, starts, voltages)
        if len(segments) > 1 and "/observation_intervals" not in groups:
            rate = float(raw.get_signal_sampling_rate(k))
            stops = np.array(starts) + np.array(sizes) / rate
            groups["/observation_intervals"] = interval_dataset(starts, stops)
    events = _events(raw, segments, origin)
    if events is not None:
        groups["/events"] = events
    attrs = dict(raw.raw_annotations["blocks"][0])
    attrs = {k: v for k, v in attrs.items() if not k.startswith("avail_") and k not in _OWN}
    spikes = len(raw.header["spike_channels"])
    assemble.warn_left_out(
        path, [f"spikes of {spikes} units, which nks.io.read_spikes reads"] if spikes else []
    )
    moment = attrs.pop("rec_datetime", None)
    known = {"source": format_name} | ({"meas_date": moment.isoformat()} if moment else {})
    return assemble.session(groups, known | assemble.plain_attrs(attrs))


def _check_sizes(path: Path, raw: Any, k: int, sizes: list[int], starts: list[float]) -> None:
    channels = _channels(raw, k)
    stored = sum(sizes) * len(channels) * np.dtype(str(channels["dtype"][0])).itemsize
    if min(sizes) < 0 or stored > path.stat().st_size:
        raise FileFormatError(
            f"Expected at most {path.stat().st_size} bytes of samples in {path}, its size, got "
            f"{sizes} samples of {len(channels)} channels: the header is damaged."
        )
    rate = float(raw.get_signal_sampling_rate(k))
    ends = np.array(starts) + np.array(sizes) / rate
    if (np.array(starts[1:]) < ends[:-1] - 0.5 / rate).any():
        raise FileFormatError(
            f"Expected the parts of {path} in order of time, got starts of {starts} s: its clock "
            f"runs backwards; export the parts as recordings of their own."
        )


def _channels(raw: Any, stream: int) -> np.ndarray:
    channels = raw.header["signal_channels"]
    return channels[channels["stream_id"] == raw.header["signal_streams"][stream]["id"]]


def _stream(
    path: Path,
    raw: Any,
    source: Source,
    k: int,
    sizes: list[int],
    starts: list[float],
    voltages: str,
) -> xr.Dataset:
    channels = _channels(raw, k)
    rate = float(raw.get_signal_sampling_rate(k))
    written = [str(u) for u in channels["units"]]
    scaled = [to_volts(u) for u in written]
    gain = np.array([f for f, _ in scaled])
    read = partial(
        read_samples,
        source,
        k,
        tuple(sizes),
        tuple(channels["gain"] * gain),
        tuple(channels["offset"] * gain),
    )
    size = sum(sizes)
    clock: Any = even_time(size, rate, starts[0])
    if len(sizes) > 1:
        parts = [s + np.arange(n) / rate for s, n in zip(starts, sizes, strict=True)]
        clock = ("time", np.concatenate(parts), {"units": "s"})
    units = [u for _, u in scaled]
    columns: dict[str, Any] = {"file_unit": np.array(written, dtype=np.str_)}
    notes = raw.raw_annotations["blocks"][0]["segments"][0]["signals"][k]
    for key, values in notes.get("__array_annotations__", {}).items():
        plain = assemble.plain_array(values)
        own = key in {"channel_names", "channel_ids"}
        if plain is not None and plain.shape == (len(channels),) and not own:
            columns[key] = plain
    return signal_dataset(
        lazy_variable(("time", "channel"), read, (size, len(channels)), np.float64),
        clock,
        unique_names([str(n) for n in channels["name"]], path),
        [voltages if u == "V" else "misc" for u in units],
        units,
        columns=columns,
        attrs={"sampling_rate": rate},
    )


def _events(raw: Any, segments: range, origin: float) -> xr.Dataset | None:
    rows = []
    for number, channel in enumerate(raw.header["event_channels"]):
        for segment in segments:
            if not raw.event_count(0, segment, number):
                continue
            stamps, lengths, labels = raw.get_event_timestamps(0, segment, number)
            onset = raw.rescale_event_timestamp(stamps, "float64", number) - origin
            duration = (
                np.zeros(len(onset))
                if lengths is None
                else raw.rescale_epoch_duration(lengths, "float64", number)
            )
            texts = [str(t).strip("\0 ") for t in labels]
            rows += [
                (o, d, t, str(channel["name"]))
                for o, d, t in zip(onset, duration, texts, strict=True)
            ]
    if not rows:
        return None
    onset, duration, label, source = zip(*sorted(rows, key=lambda r: r[0]), strict=True)
    return events_dataset(onset, duration, label, {"event_source": np.array(source, dtype=np.str_)})


def read_samples(
    source: Source,
    stream: int,
    sizes: tuple[int, ...],
    gain: tuple[float, ...],
    offset: tuple[float, ...],
    key: tuple[Any, ...],
) -> np.ndarray:
    """Values of some samples and channels, in their units, of shape (time, channel)."""
    start, stop, step = flat(key[0], sum(sizes))
    channels = np.atleast_1d(np.arange(len(gain))[key[1]])
    values = np.empty((max(stop - start, 0), channels.size))
    with distrust(Path(source.path), source.reader), opened(source) as raw:
        first = 0
        for segment, size in enumerate(sizes):
            low, high = max(start, first), min(stop, first + size)
            if low < high:
                part = raw.get_analogsignal_chunk(
                    0, segment, low - first, high - first, stream, channel_indexes=channels
                )
                values[low - start : high - start] = part
            first += size
    values *= np.array(gain)[channels]
    values += np.array(offset)[channels]
    return shaped(values[::step], key)
