"""Spike times from NWB, Phy and Kilosort folders, every format neo reads, and plain arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.neo.read import read_neo
from neurokit_sdr.io.formats.nwb.read import is_nwb, read_nwb
from neurokit_sdr.io.formats.phy.read import is_phy, read_phy
from neurokit_sdr.io.lazy import path_of


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
    if not path.is_dir():
        path = check_file(path)
    if is_nwb(path):
        return read_nwb(path, spikes=True)
    if is_phy(path):
        return read_phy(path)
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
