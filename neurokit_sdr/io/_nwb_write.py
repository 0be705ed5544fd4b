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
from neurokit_sdr.core.clock import clock_state, even_clock
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
#: What archives demand of a subject, in the standard's words for not known: at least 0 days old,
#: of the taxon "unidentified". Not read back.
_UNKNOWN_SUBJECT = {
    "subject_id": "unknown",
    "sex": "U",
    "age": "P0D/",
    "species": "http://purl.obolibrary.org/obo/NCBITaxon_32644",
    "description": "no description",
}
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
_FRAMES = (
    "The frame rate is not known: times count frames, a rate of 1 is one frame, not one second."
)
_UNKNOWN_START = "1970-01-01T00:00:00+00:00"


def write_nwb(
    session: xr.Dataset | xr.DataTree,
    path: Path,
    identifier: str | None,
    session_start_time: str | None,
    session_description: str | None,
) -> None:
    """Write a session; :func:`neurokit_sdr.io.write_nwb` says what and how."""
    import pynwb

    groups, attrs = _groups(session)
    given = {
        "identifier": identifier,
        "session_start_time": session_start_time,
        "session_description": session_description,
    }
    attrs |= {k: v for k, v in given.items() if v is not None}
    first = next(data for data in groups.values() if data.variables)
    identifier = str(attrs.get("identifier") or results.fingerprint(first)[:16])
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
    unknown = {k: v for k, v in _UNKNOWN_SUBJECT.items() if k not in subject}
    text = add_mark(subject.get("description", "no description"), made_up=sorted(unknown))
    file.subject = pynwb.file.Subject(**(subject | unknown | {"description": text}))
    _Writer(file, groups).write()
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

    def __init__(self, file: Any, groups: dict[str, xr.Dataset]) -> None:
        self.file = file
        self.groups = groups

    def write(self) -> None:
        for name, dataset in self.groups.items():
            if name.split("/")[1] == "spikes" and "spike_time" in dataset:
                self._units(name, dataset)
            elif name in ("/trials", "/epochs", "/events") and dataset.variables:
                self._intervals(name, dataset)
            else:
                self._series(name, dataset)

    def _units(self, group: str, spikes: xr.Dataset) -> None:
        """The file's table of units; those of ``/spikes/NAME`` lie in a module of their own."""
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
            values = _storable(variable, f"{group}/{name}")
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
        self._rest(group, spikes, "unit", {"spike"})
        # As fine as the numbers are, where the clock of the recording is not known.
        finest = float(np.spacing(max(abs(float(spikes.attrs["t_stop"])), 1.0)))
        known = spikes.attrs.get("resolution", finest)
        table = Units(
            name="units" if group == "/spikes" else group.split("/")[-1],
            resolution=float(known) if isinstance(known, int | float) and known > 0 else finest,
            description=add_mark(
                "spike times of the recording's units",
                group=group,
                attrs=encode_attrs(spikes.attrs),
                row_ids=id_attrs,
                spike_unit=encode_attrs(spikes["spike_unit"].attrs),
            ),
            id=ElementIdentifiers(name="id", data=ids),
            columns=columns,
        )
        if group == "/spikes":
            self.file.units = table
        else:
            self._module("spikes", group, spikes).add(table)

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
        clock = _clock(dataset) if timed else {}
        even = clock_state(dataset)
        written = {*timed, "time"} if timed else set()
        frames = bool(timed) and dataset["time"].attrs.get("units") == "frame"
        rois: Any = None
        if parts[0] == "calcium" and any(dataset[n].dims == ("time", "unit") for n in timed):
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
                    **({} if even is None else {"even": even}),
                ),
                "data": _compressed(_storable(variable.variable, f"{group}/{name}")),
                "unit": str(variable.attrs.get("units", "n/a")),
                "comments": _FRAMES if frames else "no comments",
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
        from hdmf.common import ElementIdentifiers
        from pynwb.ophys import ImageSegmentation, PlaneSegmentation

        name = group.removeprefix("/calcium").strip("/").replace("/", "_")
        ids, id_attrs = _row_ids(dataset, "unit")
        skip = {"unit"} if id_attrs is not None else set()
        table = PlaneSegmentation(
            name=name or "PlaneSegmentation",
            description=add_mark(
                "the imaged units",
                group=group,
                attrs=encode_attrs(dataset.attrs),
                row_ids=id_attrs,
            ),
            imaging_plane=self._plane(name or "plane", dataset),
            id=ElementIdentifiers(name="id", data=ids),
            columns=[*self._masks(group, dataset), *self._columns(dataset, "unit", skip)],
        )
        if "ImageSegmentation" not in module.data_interfaces:
            module.add(ImageSegmentation())
        module["ImageSegmentation"].add_plane_segmentation(table)
        names = {str(n) for n, v in dataset.variables.items() if v.dims[:1] == ("unit",) and v.size}
        return table, names | skip

    def _plane(self, name: str, dataset: xr.Dataset) -> Any:
        from pynwb.ophys import OpticalChannel

        attrs, unknown = dataset.attrs, "unknown"
        emission = attrs.get("emission_lambda", attrs.get("emission", np.nan))
        rate = attrs.get("imaging_rate", attrs.get("sampling_rate", attrs.get("frame_rate")))
        device = str(attrs.get("microscope", "microscope"))
        if device not in self.file.devices:
            self.file.create_device(name=device, description="not described")
        return self.file.create_imaging_plane(
            name=name,
            optical_channel=OpticalChannel(
                name="channel",
                description=unknown,
                emission_lambda=float(np.ravel(emission)[0]) if np.size(emission) else np.nan,
            ),
            description=str(attrs.get("plane_description", "of the imaged units")),
            device=self.file.devices[device],
            excitation_lambda=float(
                attrs.get("excitation_lambda", attrs.get("excitation", np.nan))
            ),
            indicator=str(attrs.get("indicator", unknown)),
            location=str(attrs.get("location", unknown)),
            **({} if rate is None else {"imaging_rate": float(rate)}),
        )

    def _masks(self, group: str, dataset: xr.Dataset) -> list[Any]:
        """Pixels of each unit as the standard has them; ``/rois`` itself is kept beside them."""
        from hdmf.common import VectorData, VectorIndex

        rois = self.groups.get(f"/rois{group.removeprefix('/calcium')}")
        if (
            rois is None
            or "pixel_unit" not in rois.variables
            or not np.array_equal(rois["unit"].values, dataset["unit"].values)
        ):
            return [
                VectorData(
                    name="image_mask",
                    description=add_mark("the pixels of each unit are not known", derived=1),
                    data=np.full((dataset.sizes["unit"], 1, 1), np.nan),
                )
            ]
        rois = rois.isel(pixel=np.argsort(rois["pixel_unit"].values, kind="stable"))
        counts = np.bincount(rois["pixel_unit"].values, minlength=rois.sizes["unit"])
        names = ["x", "y", *(["z"] if "pixel_z" in rois.variables else []), "weight"]
        kinds = [(n, np.float32 if n == "weight" else np.uint32) for n in names]
        pixels = np.zeros(rois.sizes["pixel"], dtype=kinds)
        for name in names:
            values = 1.0 if f"pixel_{name}" not in rois.variables else rois[f"pixel_{name}"].values
            pixels[name] = values
        mask = "voxel_mask" if "z" in names else "pixel_mask"
        data = VectorData(
            name=mask, description=add_mark("pixels of each unit", derived=1), data=pixels
        )
        index = VectorIndex(
            name=f"{mask}_index", data=np.cumsum(counts).astype(np.uint64), target=data
        )
        return [data, index]

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
            and (d.variables or d.attrs)
        }
        return self.file.create_processing_module(
            name=name, description=add_mark(f"{name} of the recording", groups=inside)
        )

    def _scratch(self, group: str, dataset: xr.Dataset, name: Any) -> None:
        from pynwb.core import ScratchData

        variable = dataset[name].variable
        values = _storable(variable, f"{group}/{name}")
        # HDF5 libraries disagree about empty and zero-dimensional arrays; one element and the
        # shape in the mark are the same everywhere.
        empty = np.zeros(1) if variable.dtype.kind != "U" else np.array(["-"], dtype=object)
        data = values.reshape(-1 if variable.ndim == 0 else variable.shape)
        self.file.add_scratch(
            ScratchData(
                name=_free("_".join([*group.strip("/").split("/"), str(name)]), self.file.scratch),
                data=_compressed(data) if values.size else empty,
                description=_mark_variable(
                    dataset,
                    name,
                    str(variable.attrs.get("long_name", name)),
                    group=group,
                    shape=list(variable.shape),
                    group_attrs=encode_attrs(dataset.attrs),
                ),
            )
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


def _clock(dataset: xr.Dataset) -> dict[str, Any]:
    """Start and rate where they give the same times to the last bit, else every timestamp."""
    even = even_clock(dataset)
    if even is not None:
        return {"starting_time": even[0], "rate": even[1]}
    time = dataset["time"].values
    if time.size > 1 and time[-1] > time[0]:
        for rate in (1 / (time[1] - time[0]), np.round((time.size - 1) / (time[-1] - time[0]), 6)):
            if rate > 0 and np.array_equal(time[0] + np.arange(time.size) / rate, time):
                return {"starting_time": float(time[0]), "rate": float(rate)}
    return {"timestamps": _compressed(time)}


def _compressed(values: np.ndarray) -> Any:
    from pynwb import H5DataIO

    if values.size < 1000 or values.dtype.kind not in "iufb":
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
