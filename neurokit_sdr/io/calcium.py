"""Calcium imaging, whatever program wrote it, and from plain arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, ParameterError, SchemaError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.io import imaging
from neurokit_sdr.io.fluorescence import dff, roi_masks, subtract_neuropil
from neurokit_sdr.io.formats.caiman import read as caiman
from neurokit_sdr.io.formats.inscopix import read as inscopix
from neurokit_sdr.io.formats.minian import read as minian
from neurokit_sdr.io.formats.nwb.read import is_nwb, read_nwb
from neurokit_sdr.io.formats.suite2p import read as suite2p
from neurokit_sdr.io.formats.suite2p.write import write_suite2p
from neurokit_sdr.io.lazy import chunked, path_of

__all__ = [
    "dff",
    "from_fluorescence",
    "read_calcium",
    "roi_masks",
    "subtract_neuropil",
    "write_suite2p",
]

#: In the order in which they are asked.
READERS = (suite2p.READER, caiman.READER, minian.READER, inscopix.READER)


def read_calcium(
    path: str | os.PathLike[str],
    *,
    sampling_rate: float | None = None,
    chunks: Any = None,
) -> xr.DataTree:
    """Read a recording of calcium imaging, whatever its format.

    The format is found by content: suite2p folders, CaImAn HDF5, minian Zarr stores, Inscopix CSV,
    NWB. Files are not trusted: nothing in them is executed, no link out of them is followed.

    Parameters
    ----------
    path
        A file, or a folder where the format is one.
    sampling_rate
        Frames per second of each plane, where the file does not know it or is wrong.
    chunks
        As for :meth:`xarray.Dataset.chunk`, such as ``{"time": 10_000}``: traces as dask arrays.
        None leaves them in the file until they are used.

    Returns
    -------
    xarray.DataTree
        ``/calcium``: what the file has of ``fluorescence``, ``neuropil``, ``dff``, ``denoised``
        and ``deconvolved``, all (time, unit); ``time`` in seconds; everything known per unit as
        coordinates on ``unit``, such as ``is_cell``, ``cell_probability``, ``roi_y`` and ``roi_x``
        (pixel). ``attrs["sampling_rate"]`` in Hz where frames were taken evenly. ``/rois``: the
        pixels of each unit (:func:`roi_masks` draws them). Several planes: ``/calcium/NAME`` and
        ``/rois/NAME`` of each. Settings and pictures lie in a group that is named like the
        program that wrote them.

        Where nothing says how fast frames were taken, ``time`` counts frames from 0 and its
        ``units`` are ``"frame"``.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, unsafe, of an unknown format or without calcium.
    ParameterError
        If ``sampling_rate`` is no number above 0, or ``chunks`` are no sizes of dimensions that are
        there.
    MissingDependencyError
        If the format, or ``chunks``, needs a package that is not installed.

    Warns
    -----
    DataWarning
        Where the sampling rate is not known, and once naming everything that is not kept.

    Notes
    -----
    Planes are scanned one after the other; no format but NWB says how much later each plane was
    seen, so that every plane's clock starts at 0.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, neurokit_sdr as nks
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "suite2p"
    >>> made = nks.io.from_fluorescence(np.ones((100, 3)), sampling_rate=30.0)
    >>> nks.io.write_suite2p(made, folder)
    >>> session = nks.io.read_calcium(folder)
    >>> dict(session["/calcium/fluorescence"].sizes)
    {'time': 100, 'unit': 3}
    """
    rate = imaging.check_rate(sampling_rate)
    path = path_of(path)
    if not path.exists():
        raise FileFormatError(f"Expected a recording at {path}, found nothing: check the path.")
    for reader in READERS:
        if reader.can_read(path):
            return reader.read(path, chunks=chunks, sampling_rate=rate)
    if is_nwb(path):
        session = read_nwb(path)
        if "calcium" not in session.children:
            raise FileFormatError(
                f"Expected calcium in {path}, found {[g for g in session.groups if g != '/']}: "
                f"read it with nks.io.read."
            )
        if rate is not None:
            raise ParameterError(
                f"Expected no sampling_rate for {path}: NWB gives each series its own times."
            )
        return chunked(session, chunks)
    raise FileFormatError(_unknown(path))


def _unknown(path: Path) -> str:
    names = ", ".join(reader.name for reader in READERS)
    if path.is_dir():
        found = f"a folder with {sorted(p.name for p in path.iterdir())[:10]}"
    else:
        check_file(path)
        found = "a file of another kind"
    return (
        f"Expected calcium imaging at {path} ({names} or NWB), found {found}: give the folder or "
        f"file that the program wrote, or put the traces into nks.io.from_fluorescence."
    )


def from_fluorescence(
    fluorescence: Any,
    *,
    sampling_rate: float | None = None,
    time: Any = None,
    unit: Any = None,
) -> xr.Dataset:
    """Calcium from an array that a lab has in MATLAB, CSV or memory.

    Parameters
    ----------
    fluorescence
        Numbers of shape (time, unit). What MATLAB holds as (unit, time) is turned with ``.T``.
    sampling_rate
        Frames per second, where they were taken evenly from 0 s on; or
    time
        the time of each frame in seconds, of shape (time,), rising.
    unit
        One id per unit, all text or all whole numbers; None counts from 0.

    Returns
    -------
    xarray.Dataset
        ``fluorescence(time, unit)`` as it came, whole numbers as float64. Add what else you have
        with ``.assign(neuropil=(("time", "unit"), array))`` and what you know per unit with
        ``.assign_coords(is_cell=("unit", [...]))``.

    Raises
    ------
    SchemaError
        If the array is not (time, unit), its clock or its ids are not as said above.
    ParameterError
        If not exactly one of ``sampling_rate`` and ``time`` is given.

    Examples
    --------
    >>> import numpy as np, neurokit_sdr as nks
    >>> calcium = nks.io.from_fluorescence(np.ones((60, 2)), sampling_rate=30.0, unit=["a", "b"])
    >>> calcium.sel(time=slice(0.5, 1.0)).sizes["time"]
    16
    """
    if (sampling_rate is None) == (time is None):
        raise ParameterError(
            "Expected exactly one of sampling_rate (frames per second) and time (seconds of each "
            f"frame), got {'both' if time is not None else 'neither'}."
        )
    try:
        values = np.asarray(fluorescence)
        if values.dtype.kind == "c":
            raise TypeError("complex numbers, of which .real or abs is light")
        values = values if values.dtype.kind == "f" else values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"Expected fluorescence as numbers, got {error}.") from error
    if values.ndim != 2:
        raise SchemaError(
            f"Expected fluorescence of shape (time, unit), got {values.shape}: one unit is "
            f"array[:, None]."
        )
    if time is not None:
        try:
            time = np.asarray(time, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise SchemaError(f"Expected time as seconds of each frame, got {error}.") from error
    if time is not None and np.shape(time) != values.shape[:1]:
        turned = ": turn the array with .T" if np.shape(time) == values.shape[1:] else ""
        raise SchemaError(
            f"Expected one time for each of the {values.shape[0]} frames of an array (time, unit), "
            f"got shape {np.shape(time)}{turned}."
        )
    ids = _ids(unit, values.shape[1])
    rate = imaging.check_rate(sampling_rate)
    clock: Any = imaging.clock(values.shape[0], rate)
    if time is not None:
        clock = time
    return imaging.calcium_dataset(
        {"fluorescence": imaging.trace("fluorescence", values)},
        ids,
        clock,
        {},
        {} if rate is None else {"sampling_rate": rate},
        "the array",
        SchemaError,
    )


def _ids(unit: Any, number: int) -> np.ndarray:
    ids = np.arange(number) if unit is None else np.asarray(unit)
    if ids.dtype.kind == "O" and all(isinstance(i, str) for i in ids):
        ids = ids.astype(np.str_)
    if ids.shape != (number,) or ids.dtype.kind not in "iuU":
        raise SchemaError(
            f"Expected {number} unit ids, one per column, all text or all whole numbers, got "
            f"{ids.dtype} of shape {ids.shape}: an array (unit, time) is turned with .T."
        )
    return ids
