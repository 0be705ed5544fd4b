"""sEEG, ECoG and EEG: clinical and research recorders' formats, BIDS, contacts and references."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.io import lazy
from neurokit_sdr.io.contacts.names import select_contacts, split_contact_names
from neurokit_sdr.io.contacts.references import bipolar_reference, common_average
from neurokit_sdr.io.formats.bids import read as bids
from neurokit_sdr.io.registry import Reader

__all__ = [
    "bipolar_reference",
    "common_average",
    "read_seeg",
    "select_contacts",
    "split_contact_names",
    "write_bids",
    "write_edf",
]


def read_seeg(path: str | os.PathLike[str], *, chunks: Any = None) -> xr.DataTree:
    """Read an intracranial or scalp recording, whatever its format.

    The format is found by content: BIDS (a dataset, a folder of one, or a recording in one), EDF,
    EDF+ and BDF, BrainVision (give the ``.vhdr``), Persyst (the ``.lay``), Nihon Kohden (the
    ``.EEG``), Blackrock (``.ns1`` to ``.ns9``), Micromed (``.trc``), MEF3 (the ``.mefd`` folder)
    and EEGLAB (``.set``). Only headers are read; samples follow when they are used, from the file,
    also in other processes. Nothing is resampled: channels of different rates come apart. Files
    are not trusted: a header or sidecar that points out of its folder is refused.

    Parameters
    ----------
    path
        A file, or a folder where the format is one.
    chunks
        None keeps values on disk until they are used. What :meth:`xarray.Dataset.chunk` takes
        gives dask arrays (extra ``cluster``); a number is for ``time``.

    Returns
    -------
    xarray.DataTree
        ``/signal``, or where a file has several sampling rates ``/signal/256Hz`` and so on:

        - ``signal(time, channel)``. Voltages are in V, whatever prefix the file has
          (``file_unit`` keeps it); other units stay as written. ``time`` is in s on the file's
          clock, where 0 is the start its header states; recordings with gaps (EDF+D, Persyst,
          Blackrock, Micromed) have the real times, and ``/observation_intervals`` the stretches
          without one.
        - per channel: ``channel`` (name), ``channel_type`` (MNE's words: seeg, ecog, dbs, eeg,
          ecg, stim, misc, ...; formats that do not say have "eeg" for voltages), ``channel_unit``,
          ``bad``, and what the format has besides, such as ``prefilter``, ``transducer`` and
          ``physical_minimum`` of EDF.
        - attrs: ``sampling_rate`` (Hz), ``highpass``, ``lowpass``, ``line_freq`` (Hz),
          ``reference``, each where it is known.

        ``/events``: ``event_onset``, ``event_duration`` (s), ``event_label``, and further columns.
        Root ``attrs``: ``meas_date``, ``subject_id``, and what the header says of the session.

        Of BIDS also: every column of ``channels.tsv`` and ``events.tsv``; ``x``, ``y``, ``z`` (m;
        NaN for ``n/a``) with ``coord_frame``, the coordinate system as ``coordsystem.json`` words
        it, never another; ``/electrodes`` with all electrodes, those without a channel too;
        ``/markers``, the events in the recording file itself; ``/derivatives/NAME``, annotations
        made of the recording; JSON sidecars as JSON text in ``attrs``.

    Raises
    ------
    FileFormatError
        If the path holds no such recording or several, or is damaged, cut off or unsafe, or its
        clock runs backwards.
    MissingDependencyError
        If the format needs a package that is not installed, or ``chunks`` is given and dask is
        not.

    Warns
    -----
    DataWarning
        Naming what is not kept, and what the file says in two different ways.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> potential = xr.Dataset(
    ...     {"signal": (("time", "channel"), np.array([[-32768.0, 0], [32767, 1]]) * 1e-6)},
    ...     coords={
    ...         "time": ("time", [0.0, 0.5], {"units": "s"}),
    ...         "channel": ["LA'1", "LA'2"],
    ...         "channel_type": ("channel", ["seeg", "seeg"]),
    ...         "channel_unit": ("channel", ["V", "V"]),
    ...     },
    ... )
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "night.edf"
    >>> nks.io.write_edf(potential, path)
    >>> session = nks.io.read_seeg(path)
    >>> session["/signal/channel_type"].values.tolist()
    ['seeg', 'seeg']
    """
    path = lazy.path_of(path)
    if bids.can_read(path):
        return bids.read_bids(path, chunks=chunks)
    return lazy.chunked(read_recording(path), chunks)


def read_recording(path: Path) -> xr.DataTree:
    """Read one file, or folder of MEF3, without what a BIDS dataset says about it."""
    if not path.is_dir():
        path = check_file(path)
    for _, can_read, read in _FORMATS.values():
        if can_read(path):
            return read(path)
    raise FileFormatError(_unknown(path))


def _unknown(path: Path) -> str:
    header = {".eeg": ".vhdr", ".vmrk": ".vhdr", ".avg": ".vhdr", ".dat": ".lay", ".fdt": ".set"}
    other = path.with_suffix(header.get(path.suffix.lower(), path.suffix)) if path.name else path
    if path.is_file() and other != path and other.is_file():
        return f"{path} belongs to {other.name}: give {other}."
    what = "folder with other content" if path.is_dir() else "file of another format"
    return (
        f"Expected a recording in one of {', '.join(_FORMATS)} or BIDS at {path}, found a {what}: "
        f"of MEG use nks.io.read_meg, of spikes nks.io.read_spikes, or nks.io.read for any."
    )


def write_edf(data: xr.Dataset | xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write signals, and events where there are any, as EDF+.

    EDF holds integers of 16 bits between bounds for each channel, of at most 8 characters. Values
    that came from an EDF file, and lie on its steps still, go back as the same integers; others
    are rounded to 65,535 steps between their smallest and largest, and a warning says what steps.
    The data records are chosen such that readers compute the very sampling rate; where that leaves
    the last one half empty it is filled, marked by an annotation "Recording ends" over the filling,
    which :func:`read_seeg` takes off again. The file appears only once it is whole.

    Parameters
    ----------
    data
        A Dataset with ``signal(time, channel)``, evenly sampled; or a session with ``/signal``, or
        several of different rates such as ``/signal/256Hz``, and ``/events``.
    path
        Where to write; a file there is replaced.

    Raises
    ------
    SchemaError
        If the data are no continuous signals; have NaN, gaps, names that are not at most 16 ASCII
        characters, or values that the bounds cannot hold.

    Warns
    -----
    DataWarning
        Saying what steps values were rounded to, and naming what EDF has no place for, such as
        positions and bad channels: :func:`write_bids` keeps these.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.io.read_seeg("night.edf")  # doctest: +SKIP
    >>> nks.io.write_edf(nks.io.bipolar_reference(session), "bipolar.edf")  # doctest: +SKIP
    """
    from neurokit_sdr.io.formats.edf import write as edf_write

    edf_write.write(data, lazy.path_of(path))


def write_bids(
    data: xr.Dataset | xr.DataTree,
    folder: str | os.PathLike[str],
    *,
    subject: str,
    task: str,
    session: str | None = None,
    run: str | None = None,
) -> Path:
    """Write signals, and events where there are any, as a recording of a BIDS dataset.

    Intracranial channels make it iEEG, others EEG. Samples become BrainVision, 32-bit floats in
    the units of the channels. Positions go to ``electrodes.tsv``; a coordinate frame that BIDS has
    no word for is written as ``Other``, with its own name as the description. The dataset is made
    where there is none yet, and gains the recording where there is. Each file appears only once it
    is whole.

    Parameters
    ----------
    data
        A Dataset with ``signal(time, channel)``, evenly sampled; or a session with ``/signal`` and
        ``/events``.
    folder
        The dataset's.
    subject, task, session, run
        Labels: letters and digits. A recording of the same labels is replaced.

    Returns
    -------
    pathlib.Path
        The recording's header file, which :func:`read_seeg` reads.

    Raises
    ------
    ParameterError
        If a label has other characters.
    SchemaError
        If the data are no continuous, evenly sampled signals of one rate, or MEG.

    Warns
    -----
    DataWarning
        Saying what 32 bits cost, and naming what BIDS has no place for.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> potential = xr.Dataset(
    ...     {"signal": (("time", "channel"), np.array([[0.5, -1.0], [0.25, 2.0]]))},
    ...     coords={
    ...         "time": ("time", [0.0, 0.5], {"units": "s"}),
    ...         "channel": ["LA1", "LA2"],
    ...         "channel_type": ("channel", ["seeg", "seeg"]),
    ...         "channel_unit": ("channel", ["V", "V"]),
    ...         "bad": ("channel", [False, True]),
    ...     },
    ... )
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> path = nks.io.write_bids(potential, folder, subject="01", task="rest")
    >>> path.name
    'sub-01_task-rest_ieeg.vhdr'
    >>> nks.io.read(folder)["/signal/bad"].values.tolist()
    [False, True]
    """
    from neurokit_sdr.io.formats.bids import write as bids_write

    return bids_write.write(data, lazy.path_of(folder), subject, task, session, run)


# -- formats ------------------------------------------------------------------------------------


def _later(module: str, name: str) -> Callable[[Path], Any]:
    """A function of another module of this room, imported when it is called."""

    def call(path: Path) -> Any:
        import importlib

        return getattr(importlib.import_module(f"neurokit_sdr.io.formats.{module}"), name)(path)

    return call


#: Of each format: the extra it needs, whether a path is one, and how it is read.
_FORMATS: dict[str, tuple[str, Callable[[Path], bool], Callable[[Path], xr.DataTree]]] = {
    "EDF and BDF": ("", _later("edf.header", "is_edf"), _later("edf.read", "read_edf")),
    "BrainVision": (
        "",
        _later("brainvision.read", "is_brainvision"),
        _later("brainvision.read", "read_brainvision"),
    ),
    "Persyst": ("", _later("persyst.read", "is_persyst"), _later("persyst.read", "read_persyst")),
    "Nihon Kohden": ("seeg", _later("mef3.read", "is_nihon"), _later("mef3.read", "read_nihon")),
    "Blackrock nsx": (
        "",
        _later("mef3.read", "is_blackrock"),
        _later("mef3.read", "read_blackrock"),
    ),
    "Micromed": ("", _later("mef3.read", "is_micromed"), _later("mef3.read", "read_micromed")),
    "MEF3": ("seeg", _later("mef3.read", "is_mef3"), _later("mef3.read", "read_mef3")),
    "EEGLAB": ("seeg", _later("mef3.read", "is_eeglab"), _later("mef3.read", "read_eeglab")),
}
_KEEPS = {
    "EDF and BDF": "each channel at its own rate, units, filters, transducers and integer ranges "
    "as written, annotations, gaps, patient and recording lines",
    "BrainVision": "units, resolution, references, spherical coordinates and comment as written, "
    "markers with type and date",
    "Persyst": "channel names as written, comments, gaps, patient",
    "Nihon Kohden": "channel types and units, annotations, as MNE reads them",
    "Blackrock nsx": "units, filters, connectors, gaps between segments, events of the .nev, as "
    "neo reads them",
    "Micromed": "units, grounds, notes, triggers, events, segments and their gaps, as neo reads "
    "them",
    "MEF3": "records and gaps as annotations, as MNE reads them; not encrypted",
    "EEGLAB": "channel types, positions, events, as MNE reads them",
}


def _reader(name: str) -> Reader:
    needs, can_read, read = _FORMATS[name]

    def read_chunked(path: Path, *, chunks: Any = None) -> xr.DataTree:
        return lazy.chunked(read(path), chunks)

    return Reader(name, ("signal", "events"), _KEEPS[name], can_read, read_chunked, needs)


READERS = tuple(map(_reader, _FORMATS))
