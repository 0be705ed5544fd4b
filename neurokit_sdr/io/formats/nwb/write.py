"""Sessions to NWB, the field's archive format. What reading gives back exactly."""

from __future__ import annotations

import os
from typing import Any

import xarray as xr

from neurokit_sdr.core import results, schema
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.files import atomic_path
from neurokit_sdr.io.formats.nwb.groups import Writer
from neurokit_sdr.io.formats.nwb.subject import UNKNOWN_SUBJECT, start_of, subject_of
from neurokit_sdr.io.formats.nwb.values import fix_object_ids
from neurokit_sdr.io.lazy import path_of
from neurokit_sdr.io.marks import add_mark, encode_attrs

#: Root attributes that NWB has a field for, and that its writer takes as they are.
_TEXT_FIELDS = (
    "experiment_description",
    "session_id",
    "institution",
    "notes",
    "pharmacology",
    "protocol",
    "surgery",
    "virus",
    "lab",
)


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
    import pynwb

    path = path_of(path)
    groups, attrs = _groups(session)
    given = {
        "identifier": identifier,
        "session_start_time": session_start_time,
        "session_description": session_description,
    }
    attrs |= {k: v for k, v in given.items() if v is not None}
    first = next(data for data in groups.values() if data.variables)
    identifier = str(attrs.get("identifier") or results.fingerprint(first)[:16])
    start = start_of(attrs)
    text = str(attrs.get("session_description") or "no description")
    file = pynwb.NWBFile(
        session_description=add_mark(text, attrs=encode_attrs(attrs)),
        identifier=identifier,
        session_start_time=start,
        file_create_date=start,  # the same input gives the same file
        **{k: str(attrs[k]) for k in _TEXT_FIELDS if k in attrs},
    )
    subject = subject_of(attrs)
    unknown = {k: v for k, v in UNKNOWN_SUBJECT.items() if k not in subject}
    text = add_mark(subject.get("description", "no description"), made_up=sorted(unknown))
    file.subject = pynwb.file.Subject(**(subject | unknown | {"description": text}))
    Writer(file, groups).write()
    fix_object_ids(file, identifier)
    with atomic_path(path) as temporary, pynwb.NWBHDF5IO(str(temporary), "w") as stream:
        stream.write(file)


def _groups(session: xr.Dataset | xr.DataTree) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    if isinstance(session, xr.DataTree):
        groups = {
            node.path: node.to_dataset(inherit=False)
            for node in session.subtree
            if node.path != "/"
        }
        root = session.to_dataset(inherit=False)
        if root.variables:
            raise SchemaError(
                f"Expected every variable of the session in a group, got "
                f"{sorted(map(str, root.variables))} on its root: put them in a group such as "
                f"/behavior or /truth."
            )
        attrs = {str(k): v for k, v in session.attrs.items()}
    else:
        kinds = ("spikes", "calcium", "rois", "signal", "trials", "epochs", "events")
        kind = next((k for k in kinds if _is_kind(session, k)), "spikes")
        groups, attrs = {f"/{kind}": schema.check(session, kind)}, {}
    if not any(data.variables for data in groups.values()):
        raise SchemaError(
            f"Expected a session with a /spikes or /calcium group, or any other that holds data, "
            f"got {schema.describe(session)}: {schema.KINDS['spikes'].hint}."
        )
    for name, dataset in groups.items():
        kind = name.split("/")[1]
        leads_on = any(other.startswith(f"{name}/") for other in groups)
        if kind in schema.KINDS and not (leads_on and not dataset.variables):
            schema.check(dataset, kind)
        else:
            schema.check_attrs(dataset)
    schema.check_attrs(xr.Dataset(attrs=attrs))
    return groups, attrs


def _is_kind(data: Any, kind: str) -> bool:
    named = {
        "spikes": {"spike_time"},
        "calcium": {"fluorescence", "dff", "denoised", "deconvolved"},
        "rois": {"pixel_unit", "mask"},
        "signal": {"signal"},
        "events": {"event_onset"},
        "trials": {"start_time"} if "trial" in getattr(data, "dims", ()) else set(),
        "epochs": {"start_time"} if "epoch" in getattr(data, "dims", ()) else set(),
    }
    return isinstance(data, xr.Dataset) and bool(named[kind] & set(map(str, data.variables)))
