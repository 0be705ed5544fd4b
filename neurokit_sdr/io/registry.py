"""The readers there are: which kinds of recording each reads, and how it knows its files."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from neurokit_sdr.core.errors import warn
from neurokit_sdr.io.lazy import chunked

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

    Examples
    --------
    A package of your own adds a format by naming one in its ``pyproject.toml``::

        [project.entry-points."neurokit_sdr.readers"]
        ours = "our_package:OURS"

    >>> import neurokit_sdr as nks
    >>> OURS = nks.io.Reader(
    ...     name="our spike text",
    ...     kinds=("spikes",),
    ...     keeps="spike times",
    ...     can_read=lambda path: path.suffix == ".ours",
    ...     read=lambda path, *, chunks=None: nks.io.read_spikes(path),
    ... )
    """

    name: str
    kinds: tuple[str, ...]
    keeps: str
    can_read: Callable[[Path], bool]
    read: Callable[..., xr.DataTree]
    needs: str = ""


#: Modules with a ``READER`` each, in the order in which they are asked: a format that can be told
#: apart for certain comes before one that opens nearly everything.
_FORMATS = (
    "store.read",
    "formats.bids.read",
    "formats.suite2p.read",
    "formats.caiman.read",
    "formats.minian.read",
    "formats.inscopix.read",
    "formats.fif.read",
    "formats.ctf.read",
    "formats.bti.read",
    "formats.kit.read",
    "formats.fil.read",
    "formats.mne.read",
    "formats.edf.read",
    "formats.brainvision.read",
    "formats.persyst.read",
    "formats.nihon_kohden.read",
    "formats.blackrock.read",
    "formats.micromed.read",
    "formats.mef3.read",
    "formats.eeglab.read",
    "formats.nwb.read",
    "formats.phy.read",
    "formats.neo.read",
)


def all_readers() -> list[Reader]:
    """Return the readers of other packages, then this package's, as they are to be asked.

    Other packages come first: who installs a reader of one format wants it used, and the last of
    this package's takes whatever neo may know.
    """
    return list(_known_readers(tuple(sys.path)))


@functools.lru_cache(maxsize=1)  # what is installed is looked for once, and warned of once
def _known_readers(_path: tuple[str, ...]) -> tuple[Reader, ...]:
    own = [importlib.import_module(f"neurokit_sdr.io.{name}").READER for name in _FORMATS]
    return (*_of_other_packages({r.name for r in own}), *own)


def _of_other_packages(taken: set[str]) -> list[Reader]:
    found: list[Reader] = []
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            reader = point.load()
        except Exception as error:  # another package's fault must not stop every other reader
            warn(
                f"The reader {point.name} ({point.value}) of another package could not be loaded "
                f"({type(error).__name__}: {error}): update or remove that package."
            )
            continue
        if not isinstance(reader, Reader):
            warn(
                f"Expected the entry point {point.name} ({point.value}) to be a nks.io.Reader, got "
                f"{type(reader).__name__}: it is not used; tell its authors."
            )
        elif reader.name in taken:
            warn(
                f"The reader {reader.name!r} of {point.value} has a name that another reader has; "
                f"it is not used: tell its authors."
            )
        else:
            taken.add(reader.name)
            found.append(reader)
    return found


def with_chunks(read: Callable[..., xr.DataTree]) -> Callable[..., xr.DataTree]:
    """The function of a reader whose values stay in their file, with ``chunks=`` on top."""

    @functools.wraps(read)
    def call(path: Path, *, chunks: Any = None, **options: Any) -> xr.DataTree:
        return chunked(read(path, **options), chunks)

    return call


def is_installed(reader: Reader) -> bool:
    """Whether every package of the extra that a reader needs is installed."""
    if not reader.needs:
        return True
    for requirement in importlib.metadata.requires("neurokit-sdr") or []:
        named = re.fullmatch(r"([\w.-]+)[^;]*;.*extra == ['\"]([\w-]+)['\"].*", requirement)
        if named and named.group(2) == reader.needs:
            try:
                importlib.metadata.version(named.group(1))
            except importlib.metadata.PackageNotFoundError:
                return False
    return True
