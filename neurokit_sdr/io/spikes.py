"""Spike times from NWB, Phy and Kilosort folders, every format neo reads, and plain arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import FileFormatError, SchemaError
from neurokit_sdr.core.files import check_file, check_hdf5
from neurokit_sdr.io import assemble
from neurokit_sdr.io.lazy import chunked, path_of
from neurokit_sdr.io.registry import Reader


def read_spikes(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a recording of spikes, whatever its format.

    The format is found by content: NWB (HDF5), a Phy or Kilosort folder, else whatever neo knows
    under the file's suffix (Plexon, Blackrock, Neuralynx, Spike2, NeuroExplorer, NIX, ...). Files
    are not trusted: nothing in them is executed, no link to another file is followed.

    Parameters
    ----------
    path
        A file, or a folder where the format is one.

    Returns
    -------
    xarray.DataTree
        ``/spikes``: ``spike_time(spike)`` in seconds, sorted within each unit;
        ``spike_unit(spike)``, the position on ``unit``; ids and everything known per unit as
        coordinates on ``unit``; ``attrs`` ``t_start``, ``t_stop`` (s) and ``t_stop_source``, which
        says what the recording's end was taken from. Where the file holds them: ``/electrodes``,
        ``/trials`` and ``/epochs`` (``start_time``, ``stop_time`` in s, and their columns),
        ``/behavior`` (each series with its own time base in ``/behavior/NAME`` unless all share
        one), ``/events``, ``/intervals/NAME``, ``/observation_intervals``. Root ``attrs`` hold
        the session's metadata.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, unsafe, of an unknown format or without spikes, or
        its spike times are NaN, out of order, or before the recording's start.
    MissingDependencyError
        If the format needs a package that is not installed.

    Warns
    -----
    DataWarning
        Once, naming everything in the file that is not kept (raw signals, images, waveforms).

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurokit_sdr as nks
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "session.nwb"
    >>> spikes = nks.io.from_spike_times({"a": [0.1, 0.2], "b": [0.15]}, t_stop=1.0)
    >>> nks.io.write_nwb(spikes, path)
    >>> session = nks.io.read_spikes(path)
    >>> session["/spikes/spike_time"].values
    array([0.1 , 0.2 , 0.15])
    """
    path = path_of(path)
    if path.is_dir():
        return _read_folder(path)
    path = check_file(path)
    import h5py

    if h5py.is_hdf5(path):
        from neurokit_sdr.io.formats.nwb.read import is_nwb, read_nwb

        if is_nwb(path):
            return read_nwb(path, spikes=True)
        check_hdf5(path)
    elif path.suffix.lower() in {".nwb", ".nix", ".h5", ".hdf5", ".nc", ".kwik"}:
        check_hdf5(path)  # raises: the suffix promises HDF5 and the content is none
    if (path.parent / "spike_times.npy").exists() and path.suffix in {".npy", ".py", ".tsv"}:
        raise FileFormatError(
            f"{path} is one file of a Phy or Kilosort folder: give the folder {path.parent}."
        )
    from neurokit_sdr.io.formats.neo.read import read_neo

    return read_neo(path)


def _read_folder(path: Path) -> xr.DataTree:
    if (path / "spike_times.npy").exists():
        from neurokit_sdr.io.formats.phy.read import read_phy

        return read_phy(path)
    if any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json")):
        raise FileFormatError(
            f"{path} is a Zarr store, which is not read as spikes: export NWB-Zarr to an HDF5 file "
            f"with hdmf-zarr, and read that."
        )
    if not any(path.iterdir()):
        raise FileFormatError(f"Expected a recording in the folder {path}, found it empty.")
    from neurokit_sdr.io.formats.neo.read import read_neo

    return read_neo(path)


def from_spike_times(
    spike_times: Mapping[Any, Any], *, t_start: float = 0.0, t_stop: float | None = None
) -> xr.Dataset:
    """Spikes from what a lab has in MATLAB, CSV or memory: one array of seconds per unit.

    Parameters
    ----------
    spike_times
        ``{unit id: times}``; ids are all text or all whole numbers, times are seconds in
        ascending order. A unit may have no spikes.
    t_start
        The recording's first moment, in seconds.
    t_stop
        The recording's last moment, in seconds. None takes the last spike, which makes the silence
        after it unknown: give it where you know it.

    Returns
    -------
    xarray.Dataset
        ``spike_time(spike)`` (s), ``spike_unit(spike)``, coordinate ``unit``; attrs ``t_start``,
        ``t_stop``, ``t_stop_source``. Add what you know per unit with
        ``.assign_coords(brain_area=("unit", [...]))``.

    Raises
    ------
    SchemaError
        If there is no unit, ids are mixed or not unique, or times are not one-dimensional numbers,
        NaN, out of order, or outside ``[t_start, t_stop]``.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.1, 0.4], "b": []}, t_stop=0.5)
    >>> spikes.sizes["unit"], spikes.sizes["spike"]
    (2, 2)
    """
    if not isinstance(spike_times, Mapping):
        raise SchemaError(
            f"Expected a dict of unit id to spike times in seconds, got "
            f"{type(spike_times).__name__}: for a list of arrays use dict(enumerate(list))."
        )
    if not spike_times:
        raise SchemaError(
            "Expected spike times of at least one unit, got an empty dict: a unit without spikes "
            "is kept as {unit: []}."
        )
    ids = _unit_ids(list(spike_times))
    trains = [_one_train(unit, times) for unit, times in spike_times.items()]
    flat = np.concatenate(trains)
    source = "given by the caller"
    if t_stop is None:
        finite = flat[np.isfinite(flat)]
        t_stop = max(float(finite.max()), float(t_start)) if finite.size else float(t_start)
        source = "the last spike: no t_stop was given"
    spikes = assemble.spike_dataset(
        flat,
        [t.size for t in trains],
        ids,
        t_start=float(t_start),
        t_stop=float(t_stop),
        t_stop_source=source,
        where="spike_times",
        error=SchemaError,
    )
    return schema.check(spikes, "spikes")


def _unit_ids(ids: list[Any]) -> np.ndarray:
    if all(isinstance(i, str) for i in ids):
        return np.array(ids, dtype=np.str_)
    if all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in ids):
        return np.array(ids, dtype=np.int64)
    kinds = sorted({type(i).__name__ for i in ids})
    raise SchemaError(
        f"Expected unit ids that are all text or all whole numbers, got {', '.join(kinds)}: "
        f"convert them, for example with str(id)."
    )


def _one_train(unit: Any, times: Any) -> np.ndarray:
    try:
        array = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"Expected spike times of unit {unit!s} to be numbers in seconds, got {error}."
        ) from error
    if array.ndim != 1:
        raise SchemaError(
            f"Expected a one-dimensional array of spike times for unit {unit!s}, got shape "
            f"{array.shape}: MATLAB columns are made flat with numpy.ravel."
        )
    return array


def _is_nwb(path: Path) -> bool:
    from neurokit_sdr.io.formats.nwb.read import is_nwb

    return is_nwb(path)


def _is_phy(path: Path) -> bool:
    return (path / "spike_times.npy").is_file()


def _neo_knows(path: Path) -> bool:
    from neurokit_sdr.io.formats.neo.read import knows

    return knows(path)


def _read_nwb(path: Path, *, chunks: Any = None) -> xr.DataTree:
    from neurokit_sdr.io.formats.nwb.read import read_nwb

    return chunked(read_nwb(path), chunks)


def _read_any_spikes(path: Path, *, chunks: Any = None) -> xr.DataTree:
    return chunked(read_spikes(path), chunks)


READERS = (
    Reader(
        name="NWB",
        kinds=("spikes", "calcium", "rois", "signal", "trials", "epochs", "events"),
        keeps="units and their columns, electrodes, fluorescence and masks, raw signals and LFP, "
        "intervals, behaviour, events, metadata",
        can_read=_is_nwb,
        read=_read_nwb,
    ),
    Reader(
        name="Phy and Kilosort folder",
        kinds=("spikes",),
        keeps="every cluster and its labels, amplitudes, templates, channel positions, parameters",
        can_read=_is_phy,
        read=_read_any_spikes,
    ),
    Reader(
        name="formats of neo",
        kinds=("spikes", "events", "epochs"),
        keeps="spike trains and their annotations, events, epochs (Plexon, Blackrock, Neuralynx, "
        "Spike2, NeuroExplorer, NIX, text, ...)",
        can_read=_neo_knows,
        read=_read_any_spikes,
    ),
)
