"""Micromed: ``.trc`` files."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from neurokit_sdr.io.formats.neo.signals import read_neo_signals
from neurokit_sdr.io.recording import head
from neurokit_sdr.io.registry import Reader, with_chunks


def is_micromed(path: Path) -> bool:
    """Micromed trc: the maker's name in the first 32 bytes, header of type 4."""
    start = head(path, 176)
    return b"MICROMED" in start[:32].upper() and start[175:176] == b"\x04"


def read_micromed(path: Path) -> xr.DataTree:
    """Micromed ``.trc``."""
    return read_neo_signals(path, "MicromedRawIO", "Micromed")


READER = Reader(
    name="Micromed",
    kinds=("signal", "events"),
    keeps="units, grounds, notes, triggers, events, segments and their gaps, as neo reads them",
    can_read=is_micromed,
    read=with_chunks(read_micromed),
)
