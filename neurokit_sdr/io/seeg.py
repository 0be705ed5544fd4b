"""sEEG, ECoG and EEG: clinical and research recorders' formats, BIDS, contacts and references."""

from __future__ import annotations

import os
from typing import Any

import xarray as xr

from neurokit_sdr.io.contacts.names import select_contacts, split_contact_names
from neurokit_sdr.io.contacts.references import bipolar_reference, common_average
from neurokit_sdr.io.formats.bids import read as bids
from neurokit_sdr.io.formats.bids.write import write_bids
from neurokit_sdr.io.formats.edf.write import write_edf
from neurokit_sdr.io.formats.recorders import read_recording
from neurokit_sdr.io.lazy import chunked, path_of

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
    path = path_of(path)
    if bids.READER.can_read(path):
        return bids.READER.read(path, chunks=chunks)
    return chunked(read_recording(path), chunks)
