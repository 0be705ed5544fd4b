"""The readers there are: which kinds of recording each reads, and how it knows its files."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

#: Other packages name a :class:`Reader` under this group of entry points.
ENTRY_POINTS = "neurokit_sdr.readers"


@dataclass(frozen=True)
class Reader:
    """One file format.

    Attributes
    ----------
    name
        As the field calls the format.
    kinds
        The kinds of :data:`neurokit_sdr.core.schema.KINDS` it may give.
    keeps
        What survives reading, in one line, for the table of ``nks.io.readers()``.
    can_read
        Whether a path, file or folder, is of this format: looks at the content, cheaply, and never
        raises.
    read
        ``read(path, *, chunks=None) -> xarray.DataTree``, groups named by
        :data:`neurokit_sdr.core.schema.GROUPS`. Opens headers only where values are large.
    needs
        The extra of this package that brings the library it reads with; empty if none.
    """

    name: str
    kinds: tuple[str, ...]
    keeps: str
    can_read: Callable[[Path], bool]
    read: Callable[..., xr.DataTree]
    needs: str = ""


#: Modules with a ``READERS`` tuple each, in the order in which they are asked: a format that can
#: be told apart for certain comes before one that opens nearly everything.
_MODULES = (
    "neurokit_sdr.io.store",
    "neurokit_sdr.io._bids",
    "neurokit_sdr.io.calcium",
    "neurokit_sdr.io.meg",
    "neurokit_sdr.io.seeg",
    "neurokit_sdr.io.spikes",
)


def all_readers() -> list[Reader]:
    """Return this package's readers, then those of other packages."""
    found = [r for name in _MODULES for r in importlib.import_module(name).READERS]
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        found.append(point.load())
    return found
