"""MEG from FIF, CTF, KIT, BTi, FIL-OPM and whatever else MNE opens, and back to FIF."""

from __future__ import annotations

import os
from typing import Any

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, ParameterError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.io.formats.bti.read import READER as BTI
from neurokit_sdr.io.formats.ctf.read import READER as CTF
from neurokit_sdr.io.formats.fif.read import READER as FIF
from neurokit_sdr.io.formats.fif.write import write_fif
from neurokit_sdr.io.formats.fil.read import READER as FIL
from neurokit_sdr.io.formats.kit.read import READER as KIT
from neurokit_sdr.io.formats.mne.read import READER as OTHER
from neurokit_sdr.io.lazy import path_of

__all__ = ["read_meg", "write_fif"]

#: In the order in which they are asked.
READERS = (FIF, CTF, BTI, KIT, FIL, OTHER)


def read_meg(
    path: str | os.PathLike[str], *, chunks: Any = None, events: bool | None = None
) -> xr.DataTree:
    """Read an MEG recording, epochs or averages into labelled xarray.

    The format is found by content: FIF (raw, split, epochs, averages; packed with gzip or not),
    CTF (``.ds`` folders), KIT (``.con``, ``.sqd``), 4D/BTi (folders), FIL OPM (``_meg.bin``), and
    other formats that MNE knows by their suffix. Only headers are read; samples follow when they
    are used, from the file, also in other processes.

    Values are as MNE gives them, in SI units, and are neither filtered, projected nor compensated.
    Magnetometers (T) and gradiometers (T/m) share one array, so each channel carries its unit:
    ``signal.sel(channel=signal["channel_type"] == "grad")`` selects one kind. Compute across
    channels only within one.

    Parameters
    ----------
    path
        A file, or a folder where the format is one. Of a split recording, the first part.
    chunks
        None keeps values on disk until they are used. What :meth:`xarray.Dataset.chunk` takes
        gives dask arrays (extra ``cluster``); a number is for ``time``.
    events
        Whether to search trigger channels for events, which reads the whole file once. None does
        so in files of up to 0.5 GB, and warns where it did not.

    Returns
    -------
    xarray.DataTree
        ``/signal`` of a raw recording or of epochs:

        - ``signal(time, channel)``, or ``signal(trial, time, channel)``. ``time`` is in s from the
          first sample, or from each trial's event; a slice of it costs no memory. ``trial`` counts
          the original events, so that dropped ones leave gaps.
        - per channel: ``channel`` (name), ``channel_type`` (MNE's words: mag, grad, ref_meg, eeg,
          eog, stim, misc, ...), ``channel_unit``, ``bad``, ``x``, ``y``, ``z`` (m, NaN where
          unknown) in ``coord_frame`` (MNE's words: meg is the device, head, unknown, ...); of MEG
          ``coil_type`` and ``orientation(channel, coil_axis, space)``, unit vectors of the coil,
          whose z is its normal.
        - per trial: ``event_label``, ``event_value``, ``event_previous_value``, ``event_sample``
          and ``event_onset`` (s) on the acquisition's own clock, and each column of the metadata.
        - attrs: ``sampling_rate`` (Hz), ``highpass``, ``lowpass``, ``line_freq`` (Hz),
          ``compensation_grade``, ``first_sample`` (MNE counts samples of its event arrays from
          before the recording: subtract this to count from its first), ``baseline_start``,
          ``baseline_stop`` (s), ``n_dropped``.

        ``/evoked`` of averages: ``signal(condition, time, channel)``, ``n_averaged(condition)``,
        ``statistic(condition)`` (average or standard_error); ``condition`` is MNE's comment.

        Where there are any: ``/events`` (``event_onset``, ``event_duration`` in s from the first
        sample, ``event_label``, ``event_source``: annotation or the trigger channel,
        ``event_value``, and the channels of an annotation as JSON), annotations such as BAD and
        EDGE among them; ``/head_position`` (device to head), ``/digitization``, ``/projections``,
        ``/compensation/0`` and on, ``/drop_log``, and ``/mne_info``, whatever MNE knows besides.
        Root ``attrs``: ``meas_date``, ``subject_*``, ``experimenter``, ``device_*``.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, of an unknown format, or continues outside its
        folder.
    MissingDependencyError
        If MNE (extra ``meg``) is not installed, or ``chunks`` is given and dask is not.
    ParameterError
        If ``chunks`` or ``events`` is not what it may be.

    Warns
    -----
    DataWarning
        Naming what could not be kept, what MNE warned of, and trigger channels not searched.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> field = xr.Dataset(
    ...     {"signal": (("time", "channel"), 1e-13 * np.ones((600, 2)), {"units": "T"})},
    ...     coords={
    ...         "time": ("time", np.arange(600) / 600, {"units": "s"}),
    ...         "channel": ["M1", "M2"],
    ...         "channel_type": ("channel", ["mag", "mag"]),
    ...         "channel_unit": ("channel", ["T", "T"]),
    ...     },
    ... )
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "empty_room_raw.fif"
    >>> nks.io.write_fif(field, path)
    >>> session = nks.io.read_meg(path)
    >>> session["/signal/signal"].sel(time=slice(0.1, 0.2)).sizes["time"]
    61
    """
    if events not in (None, True, False):
        raise ParameterError(f"Expected events to be True, False or None, got {events!r}.")
    path = path_of(path)
    if not path.is_dir():
        path = check_file(path)
    for reader in READERS:
        if reader.can_read(path):
            return reader.read(path, chunks=chunks, events=events)
    raise FileFormatError(
        f"Expected a recording in FIF, CTF, KIT, BTi, FIL OPM or another format of MNE at "
        f"{path}, found none: give the .ds folder of CTF, the folder of BTi, and the "
        f"_meg.bin file of FIL; of intracranial formats use nks.io.read_seeg."
    )
