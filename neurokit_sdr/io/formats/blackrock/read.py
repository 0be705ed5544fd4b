"""Blackrock: ``.ns1`` to ``.ns9``, each of one sampling rate."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime
from pathlib import Path

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io.contacts.names import on_signal
from neurokit_sdr.io.formats.neo.signals import read_neo_signals
from neurokit_sdr.io.recording import head
from neurokit_sdr.io.registry import Reader, with_chunks

_NSX = (b"NEURALCD", b"NEURALSG", b"BRSMPGRP")


def is_blackrock(path: Path) -> bool:
    """Blackrock nsx: continuous signals (nev holds events and spikes)."""
    return head(path, 8) in _NSX


def read_blackrock(path: Path) -> xr.DataTree:
    """Blackrock ``.ns1`` to ``.ns9``, with the events of the ``.nev`` of the same name."""
    number = re.fullmatch(r"\.ns([1-9])", path.suffix.lower())
    if number is None:
        raise FileFormatError(
            f"Expected the suffix .ns1 to .ns9 for the Blackrock file {path}, got "
            f"{path.suffix!r}: give it back its suffix."
        )
    tree = read_neo_signals(
        path,
        "BlackrockRawIO",
        "Blackrock",
        voltages="seeg",
        options=(("nsx_to_load", int(number[1])),),
    )
    tree = on_signal(tree, _filtered)
    moment = _nsx_date(path)
    if moment:
        tree.attrs["meas_date"] = moment
    return tree


def _filtered(signal: xr.Dataset) -> xr.Dataset:
    """With the pass band in Hz, where all channels have the same; the file has mHz."""
    for attr, name in (("highpass", "hi_freq_corner"), ("lowpass", "lo_freq_corner")):
        corners = set(signal[name].values.tolist()) if name in signal.coords else set()
        if len(corners) == 1:
            signal.attrs[attr] = corners.pop() / 1000
    return signal


def _nsx_date(path: Path) -> str:
    """When the recording began (UTC); empty where the header does not say."""
    start = head(path, 310)
    if start[:8] == b"NEURALSG" or len(start) < 310:
        return ""
    year, month, _, day, hour, minute, second, milliseconds = struct.unpack_from("<8H", start, 294)
    try:
        moment = datetime(year, month, day, hour, minute, second, milliseconds * 1000, UTC)
    except ValueError:
        return ""
    return moment.isoformat()


READER = Reader(
    name="Blackrock nsx",
    kinds=("signal", "events"),
    keeps=(
        "units, filters, connectors, gaps between segments, events of the .nev, as neo reads them"
    ),
    can_read=is_blackrock,
    read=with_chunks(read_blackrock),
)
