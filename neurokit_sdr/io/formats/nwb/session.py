"""Sessions to NWB, the field's archive format."""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr


def write_nwb(
    session: xr.Dataset | xr.DataTree,
    path: str | os.PathLike[str],
    *,
    identifier: str | None = None,
    session_start_time: str | None = None,
    session_description: str | None = None,
) -> None:
    """Write a session as NWB, so that reading gives it back and other tools find their parts.

    ==============================  =========================================================
    group                           place in the file
    ==============================  =========================================================
    ``/spikes``                     units table, ``[t_start, t_stop]`` as observation interval;
                                    ``/spikes/NAME`` a table of that name in the module spikes
    ``/calcium``, ``/calcium/NAME`` plane segmentation, Fluorescence and DfOverF in the module
                                    ophys; pixels of ``/rois`` as the units' masks
    ``/trials``, ``/epochs``,       tables of intervals; events of which any has no duration are
    ``/events``                     an EventsTable (with pynwb older than 4, intervals)
    ``/electrodes``                 the table of electrodes, its groups and devices, positions in
                                    micrometres; units refer to it
    ``/signal``, ``/signal/NAME``   ElectricalSeries where every channel is an electrode (seeg,
                                    ecog, eeg, dbs) in volts: one of ``/electrodes``, or, where
                                    there are none, of a table made of the channels. Else a
                                    TimeSeries beside a table of its channels
    every other                     its series over time in a processing module of its name
    ==============================  =========================================================

    Every array that NWB has no place for goes to ``/scratch``. Dimensions and attributes travel as
    JSON at the end of each object's description. The file appears only once it is whole, and is
    the same, byte for byte, for the same input and library versions.

    Parameters
    ----------
    session
        A session with any group that holds data, or a Dataset of one kind. Spikes are written
        unit by unit; what is still in a file is loaded.
    path
        Where to write; a file there is replaced.
    identifier
        Unique text for the recording. None takes ``attrs["identifier"]`` of the session, else a
        fingerprint of the first group.
    session_start_time
        ISO 8601 with time zone. None takes ``attrs["session_start_time"]``, else
        ``attrs["meas_date"]``, else 1970-01-01 UTC, which stands for unknown.
    session_description
        One line. None takes ``attrs["session_description"]``.

    Warns
    -----
    DataWarning
        If ``subject_age`` or ``meas_date`` of the session is not what NWB takes: an age is ISO 8601
        or, of BIDS, years; a date has a time zone. The file then says unknown; reading it with this
        package still gives both back.

    Raises
    ------
    SchemaError
        If a group breaks the schema of its kind, there is nothing to write, or a variable holds
        what HDF5 cannot (dates, objects).
    ParameterError
        If ``session_start_time`` is not ISO 8601 with a time zone.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurokit_sdr as nks
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "session.nwb"
    >>> spikes = nks.io.from_spike_times({7: [0.5]}, t_stop=1.0)
    >>> nks.io.write_nwb(spikes, path, session_start_time="2024-05-01T09:00:00+00:00")
    >>> nks.io.read_spikes(path)["/spikes"].to_dataset().identical(spikes)
    True
    """
    from neurokit_sdr.io.formats.nwb.write import write_nwb as write

    write(session, Path(path).expanduser(), identifier, session_start_time, session_description)
