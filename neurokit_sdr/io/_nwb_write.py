"""Sessions to NWB. What :mod:`neurokit_sdr.io._nwb` reads back exactly."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import results, schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.files import atomic_path
from neurokit_sdr.io._marks import add_mark, encode_attrs

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
_SUBJECT_FIELDS = ("age", "description", "genotype", "sex", "species", "weight", "strain")
#: Column names that NWB tables give a meaning or shape of their own.
_RESERVED = {
    "id",
    "spike_times",
    "obs_intervals",
    "electrodes",
    "electrode_group",
    "waveform_mean",
    "waveform_sd",
    "waveforms",
    "waveform_rate",
    "waveform_unit",
    "resolution",
    "tags",
    "timeseries",
    "image_mask",
    "pixel_mask",
    "voxel_mask",
}
#: Processing modules that the standard names; every other group has one of its own name.
_MODULES = {"calcium": "ophys"}
_UNKNOWN_START = "1970-01-01T00:00:00+00:00"


def write_nwb(
    session: xr.Dataset | xr.DataTree,
    path: Path,
    identifier: str | None,
    session_start_time: str | None,
    session_description: str | None,
) -> None:
    """Write a session; :func:`neurokit_sdr.io.write_spikes_nwb` says what and how."""
    import pynwb

    groups, attrs = _groups(session)
    given = {
        "identifier": identifier,
        "session_start_time": session_start_time,
        "session_description": session_description,
    }
    attrs |= {k: v for k, v in given.items() if v is not None}
    spikes = schema.select(groups["/spikes"], "spikes")
    identifier = str(attrs.get("identifier") or results.fingerprint(spikes)[:16])
    start = _start_time(attrs.get("session_start_time") or _UNKNOWN_START)
    text = str(attrs.get("session_description") or "no description")
    file = pynwb.NWBFile(
        session_description=add_mark(text, attrs=encode_attrs(attrs)),
        identifier=identifier,
        session_start_time=start,
        file_create_date=start,  # the same input gives the same file
        **{k: str(attrs[k]) for k in _TEXT_FIELDS if k in attrs},
    )
    subject = {k: str(attrs[f"subject_{k}"]) for k in _SUBJECT_FIELDS if f"subject_{k}" in attrs}
    if "subject_id" in attrs:
        subject["subject_id"] = str(attrs["subject_id"])
    if subject:
        file.subject = pynwb.file.Subject(**subject)
    _Writer(file, spikes, groups).write()
    _fix_object_ids(file, identifier)
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
        groups, attrs = {"/spikes": session}, {}
    if "/spikes" not in groups:
        raise SchemaError(
            f"Expected a session with a /spikes group, got {schema.describe(session)}: "
            f"{schema.KINDS['spikes'].hint}."
        )
    for name, dataset in groups.items():
        kind = name.strip("/")
        if kind in schema.KINDS:
            schema.check(dataset, kind)
        else:
            schema.check_attrs(dataset)
    schema.check_attrs(xr.Dataset(attrs=attrs))
    return groups, attrs


def _start_time(text: Any) -> datetime.datetime:
    try:
        start = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise ParameterError(
            f"Expected session_start_time as ISO 8601 with a time zone, such as "
            f"2024-05-01T09:00:00+00:00, got {text!r}."
        )
    return start


class _Writer:
    """Puts one group after the other into an open, empty NWBFile."""

    def __init__(self, file: Any, spikes: xr.Dataset, groups: dict[str, xr.Dataset]) -> None:
        self.file = file
        self.spikes = spikes
        self.groups = groups

    def write(self) -> None:
        for name, dataset in self.groups.items():
            if name == "/spikes":
                self._units(dataset)
            elif name in ("/trials", "/epochs", "/events"):
                self._intervals(name, dataset)
            else:
                self._series(name, dataset)

    def _units(self, spikes: xr.Dataset) -> None:
        from hdmf.common import ElementIdentifiers, VectorData, VectorIndex
        from pynwb.misc import Units

        spikes = spikes.isel(spike=np.argsort(spikes["spike_unit"].values, kind="stable"))
        unit = spikes["spike_unit"].values
        ends = np.cumsum(np.bincount(unit, minlength=spikes.sizes["unit"])).astype(np.uint64)
        columns: list[Any] = []

        def ragged(name: str, values: np.ndarray, index: np.ndarray, description: str) -> None:
            data = VectorData(name=name, description=description, data=values)
            columns.append(data)
            columns.append(VectorIndex(name=f"{name}_index", data=index, target=data))

        for name, variable in spikes.variables.items():
            if variable.dims != ("spike",) or name == "spike_unit":
                continue
            column = "spike_times" if name == "spike_time" else _column_name(name, columns)
            values = _storable(variable, f"/spikes/{name}")
            ragged(column, values, ends, _mark_variable(spikes, name, "per spike"))
        n_units = spikes.sizes["unit"]
        window = np.array([[spikes.attrs["t_start"], spikes.attrs["t_stop"]]], dtype=np.float64)
        ragged(
            "obs_intervals",
            np.repeat(window, n_units, axis=0),
            np.arange(1, n_units + 1, dtype=np.uint64),
            add_mark("when each unit was observed, in seconds", derived=1),
        )
        ids, id_attrs = _row_ids(spikes, "unit")
        columns += self._columns(spikes, "unit", skip={"unit"} if id_attrs is not None else set())
        self._rest("/spikes", spikes, "unit", {"spike"})
        self.file.units = Units(
            name="units",
            description=add_mark(
                "spike times of the recording's units",
                group="/spikes",
                attrs=encode_attrs(spikes.attrs),
                row_ids=id_attrs,
                spike_unit=encode_attrs(spikes["spike_unit"].attrs),
            ),
            id=ElementIdentifiers(name="id", data=ids),
            columns=columns,
        )

    def _intervals(self, group: str, table: xr.Dataset) -> None:
        from hdmf.common import ElementIdentifiers, VectorData
        from pynwb.epoch import TimeIntervals

        name = group.strip("/")
        dim = {"/trials": "trial", "/epochs": "epoch", "/events": "event"}[group]
        columns = []
        if group == "/events":
            onset = table["event_onset"].values
            for column, values in (
                ("start_time", onset),
                ("stop_time", onset + np.nan_to_num(table["event_duration"].values)),
            ):
                text = add_mark(f"{column.replace('_', ' ')} of the event, in seconds", derived=1)
                columns.append(VectorData(name=column, description=text, data=values))
        ids, id_attrs = _row_ids(table, dim)
        columns += self._columns(table, dim, skip={dim} if id_attrs is not None else set())
        self._rest(group, table, dim, set())
        built = TimeIntervals(
            name=name,
            description=add_mark(
                f"{name} of the recording",
                group=group,
                dim=dim,
                attrs=encode_attrs(table.attrs),
                row_ids=id_attrs,
            ),
            id=ElementIdentifiers(name="id", data=ids),
            columns=columns,
        )
        if group == "/events":
            self.file.add_time_intervals(built)
        else:
            setattr(self.file, name, built)

    def _columns(self, table: xr.Dataset, dim: str, skip: set[str]) -> list[Any]:
        """Every variable that runs over the rows of a table, as its columns."""
        from hdmf.common import VectorData

        columns: list[Any] = []
        for name, variable in table.variables.items():
            if not variable.dims or variable.dims[0] != dim or name in skip or 0 in variable.shape:
                continue
            taken_as = name if name in ("start_time", "stop_time") else _column_name(name, columns)
            columns.append(
                VectorData(
                    name=taken_as,
                    description=_mark_variable(table, name, f"per {dim}"),
                    data=_storable(variable, str(name)),
                )
            )
        return columns

    def _rest(self, group: str, table: xr.Dataset, dim: str, other: set[str]) -> None:
        """Variables of a table's group that are no column: to the scratch space."""
        for name, variable in table.variables.items():
            first = variable.dims[0] if variable.dims else None
            column = first == dim and (0 not in variable.shape or name == dim)
            if not column and set(variable.dims) != other:
                self._scratch(group, table, name)

    def _series(self, group: str, dataset: xr.Dataset) -> None:
        """A group of series over time, such as /calcium, /behavior or /truth."""
        from pynwb import TimeSeries
        from pynwb.ophys import RoiResponseSeries

        parts = group.strip("/").split("/")
        module = self._module(parts[0], group, dataset)
        timed = [
            str(n)
            for n, v in dataset.variables.items()
            if n != "time" and v.dims[:1] == ("time",) and v.size and v.dtype.kind in "iufb"
        ]
        with_clock = "time" in dataset.coords and dataset["time"].dtype.kind == "f"
        if not with_clock:
            timed = []
        clock = _clock(dataset["time"].values) if timed else {}
        written = {*timed, "time"} if timed else set()
        rois: Any = None
        if group == "/calcium" and any(dataset[n].dims == ("time", "unit") for n in timed):
            rois, columns = self._rois(group, dataset, module)
            written |= columns
        for name in timed:
            variable = dataset[name]
            imaged = rois is not None and variable.dims == ("time", "unit")
            holder = self._imaged(module, name) if imaged else module
            taken = holder.roi_response_series if imaged else holder.data_interfaces
            options = {
                "name": _free("_".join([*parts[1:], name]), taken),
                "description": _mark_variable(
                    dataset,
                    name,
                    str(variable.attrs.get("long_name", name)),
                    group=group,
                    time=encode_attrs(dataset["time"].attrs),
                ),
                "data": _compressed(_storable(variable.variable, f"{group}/{name}")),
                "unit": str(variable.attrs.get("units", "n/a")),
                **clock,
            }
            if imaged:
                region = rois.create_roi_table_region(
                    description="all of them", region=list(range(dataset.sizes["unit"]))
                )
                series = RoiResponseSeries(rois=region, **options)
                holder.add_roi_response_series(series)
            else:
                series = TimeSeries(**options)
                module.add(series)
            if "timestamps" in clock:
                clock = {"timestamps": series}  # the next series link to these, not a copy
        for left in dataset.variables:
            if left not in written:
                self._scratch(group, dataset, left)

    def _rois(self, group: str, dataset: xr.Dataset, module: Any) -> tuple[Any, set[str]]:
        """The table of imaged units, and the variables that became its columns.

        The standard demands masks and facts about the microscope. What is not known is NaN or
        "unknown" there, and is not read back.
        """
        from hdmf.common import ElementIdentifiers, VectorData
        from pynwb.ophys import ImageSegmentation, OpticalChannel, PlaneSegmentation

        attrs, unknown = dataset.attrs, "unknown"
        channel = OpticalChannel(
            name="channel",
            description=unknown,
            emission_lambda=float(attrs.get("emission", np.nan)),
        )
        plane = self.file.create_imaging_plane(
            name="plane",
            optical_channel=channel,
            description="of the imaged units",
            device=self.file.create_device(name=_free("microscope", self.file.devices)),
            excitation_lambda=float(attrs.get("excitation", np.nan)),
            indicator=str(attrs.get("indicator", unknown)),
            location=str(attrs.get("location", unknown)),
        )
        ids, id_attrs = _row_ids(dataset, "unit")
        skip = {"unit"} if id_attrs is not None else set()
        mask = VectorData(
            name="image_mask",
            description=add_mark("the pixels of each unit are not known", derived=1),
            data=np.full((ids.size, 1, 1), np.nan),
        )
        table = PlaneSegmentation(
            name="PlaneSegmentation",
            description=add_mark(
                "the imaged units", group=group, attrs=encode_attrs(attrs), row_ids=id_attrs
            ),
            imaging_plane=plane,
            id=ElementIdentifiers(name="id", data=ids),
            columns=[mask, *self._columns(dataset, "unit", skip)],
        )
        module.add(ImageSegmentation(plane_segmentations=[table]))
        names = {str(n) for n, v in dataset.variables.items() if v.dims[:1] == ("unit",) and v.size}
        return table, names | skip

    def _imaged(self, module: Any, name: str) -> Any:
        """Where a series of imaged units lies: dF/F apart from the rest, as the standard has it."""
        from pynwb.ophys import DfOverF, Fluorescence

        kind = DfOverF if name == "dff" else Fluorescence
        if kind.__name__ not in module.data_interfaces:
            module.add(kind(name=kind.__name__))
        return module.data_interfaces[kind.__name__]

    def _module(self, part: str, group: str, dataset: xr.Dataset) -> Any:
        name = _MODULES.get(part, part)
        if name in self.file.processing:
            return self.file.processing[name]
        inside = {
            g: encode_attrs(d.attrs)
            for g, d in self.groups.items()
            if _MODULES.get(first := g.strip("/").split("/")[0], first) == name
        }
        return self.file.create_processing_module(
            name=name, description=add_mark(f"{name} of the recording", groups=inside)
        )

    def _scratch(self, group: str, dataset: xr.Dataset, name: Any) -> None:
        variable = dataset[name].variable
        values = _storable(variable, f"{group}/{name}")
        # HDF5 libraries disagree about empty and zero-dimensional arrays; one element and the
        # shape in the mark are the same everywhere.
        empty = np.zeros(1) if variable.dtype.kind != "U" else np.array(["-"], dtype=object)
        self.file.add_scratch(
            values.reshape(-1 if variable.ndim == 0 else variable.shape) if values.size else empty,
            name=_free("_".join([*group.strip("/").split("/"), str(name)]), self.file.scratch),
            description=_mark_variable(
                dataset,
                name,
                str(variable.attrs.get("long_name", name)),
                group=group,
                shape=list(variable.shape),
                group_attrs=encode_attrs(dataset.attrs),
            ),
        )


def _row_ids(table: xr.Dataset, dim: str) -> tuple[np.ndarray, dict[str, Any] | None]:
    """The table's integer ids, and the attributes of the coordinate that they hold (or None)."""
    if dim in table.coords and table[dim].dtype == np.int64:
        return table[dim].values, encode_attrs(table[dim].attrs)
    return np.arange(table.sizes[dim]), None


def _mark_variable(dataset: xr.Dataset, name: Any, text: str, **info: Any) -> str:
    variable = dataset[name]
    return add_mark(
        text,
        name=str(name),
        dims=list(map(str, variable.dims)),
        dtype="U" if variable.dtype.kind in "UT" else variable.dtype.str,
        coord=int(name in dataset.coords),
        attrs=encode_attrs(variable.attrs),
        **info,
    )


def _storable(variable: xr.Variable, where: str) -> np.ndarray:
    """Values as HDF5 holds them: text becomes variable-length strings."""
    values = np.asarray(variable.values)
    if values.dtype.kind == "O" and all(isinstance(v, str) for v in values.flat):
        values = values.astype(np.str_)
    if values.dtype.kind in "UT":
        if any("\0" in str(v) for v in values.flat):
            raise SchemaError(
                f"Expected text without NUL characters in {where}, which HDF5 cannot hold: "
                f"replace them."
            )
        return values.astype(object)
    if values.dtype.kind not in "iufb":
        raise SchemaError(
            f"Expected numbers, booleans or text in {where}, got {values.dtype}: write dates as "
            f"seconds or ISO text, complex numbers as two variables."
        )
    return values


def _clock(time: np.ndarray) -> dict[str, Any]:
    """Start and rate where they give the same times to the last bit, else every timestamp."""
    if time.size > 1 and time[-1] > time[0]:
        for rate in (1 / (time[1] - time[0]), np.round((time.size - 1) / (time[-1] - time[0]), 6)):
            if rate > 0 and np.array_equal(time[0] + np.arange(time.size) / rate, time):
                return {"starting_time": float(time[0]), "rate": float(rate)}
    return {"timestamps": _compressed(time)}


def _compressed(values: np.ndarray) -> Any:
    from pynwb import H5DataIO

    if values.size < 1000:
        return values
    return H5DataIO(values, compression="gzip", compression_opts=6, shuffle=True)


def _column_name(name: Any, columns: list[Any]) -> str:
    taken = {c.name for c in columns} | _RESERVED
    return _free(str(name), taken)


def _free(name: str, taken: Iterable[str]) -> str:
    name = "".join("_" if c in "/:" else c for c in name) or "_"
    while name in taken or f"{name}_index" in taken:
        name += "_"
    return name


def _fix_object_ids(file: Any, identifier: str) -> None:
    """Give each object an id that follows from the file and its place, not a random one.

    hdmf has no public way to choose the id of a new object. Should this attribute go away, ids
    are random again and files only lose being equal byte for byte.
    """
    space = uuid.uuid5(uuid.NAMESPACE_URL, f"neurokit_sdr/{identifier}")
    for item in file.all_children():
        place, parent = item.name, item.parent
        while parent is not None:
            place, parent = f"{parent.name}/{place}", parent.parent
        if hasattr(item, "_AbstractContainer__object_id"):
            item._AbstractContainer__object_id = str(uuid.uuid5(space, place))
