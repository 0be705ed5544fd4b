"""Each group of a session at its place in an NWB file."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import clock_state
from neurokit_sdr.io.formats.nwb import electrodes as nwb_electrodes
from neurokit_sdr.io.formats.nwb.values import (
    clock_of,
    column_name,
    compressed,
    free,
    mark_variable,
    row_ids,
    storable,
)
from neurokit_sdr.io.marks import add_mark, encode_attrs

#: Processing modules that the standard names; every other group has one of its own name.
_MODULES = {"calcium": "ophys"}
_FRAMES = (
    "The frame rate is not known: times count frames, a rate of 1 is one frame, not one second."
)


def _events_table() -> Any:
    """The standard's table of moments; None where pynwb is older than it."""
    try:
        from pynwb.event import EventsTable
    except ImportError:
        return None
    return EventsTable


class Writer:
    """Puts one group after the other into an open, empty NWBFile."""

    def __init__(self, file: Any, groups: dict[str, xr.Dataset]) -> None:
        self.file = file
        self.groups = groups
        #: electrodes that are the channels of a signal
        self.rows: dict[str, list[int]] = {}

    def write(self) -> None:
        self._electrodes()
        for name, dataset in self.groups.items():
            if nwb_electrodes.is_electrode_table(name, dataset):
                continue  # done: others refer to it
            if name.split("/")[1] == "spikes" and "spike_time" in dataset:
                self._units(name, dataset)
            elif name in ("/trials", "/epochs", "/events") and dataset.variables:
                self._intervals(name, dataset)
            else:
                self._series(name, dataset)

    def _electrodes(self) -> None:
        """The table of electrodes, and which of them the channels of each signal are."""
        signals = {g: d for g, d in self.groups.items() if g.split("/")[1] == "signal"}
        table = self.groups.get("/electrodes", xr.Dataset())
        if not nwb_electrodes.is_electrode_table("/electrodes", table):
            self.rows = nwb_electrodes.write_channels(self.file, signals)
            return

        def columns(skip: set[str], taken: tuple[str, ...]) -> list[Any]:
            return self._columns(table, "electrode", skip, taken)

        nwb_electrodes.write_electrodes(self.file, table, columns)
        self._rest("/electrodes", table, "electrode", set())
        for group, signal in signals.items():
            rows = nwb_electrodes.electrode_rows(table, signal)
            if rows is not None:
                self.rows[group] = rows

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
            column = "spike_times" if name == "spike_time" else column_name(name, columns)
            values = storable(variable, f"{group}/{name}")
            ragged(column, values, ends, mark_variable(spikes, name, "per spike"))
        n_units = spikes.sizes["unit"]
        window = np.array([[spikes.attrs["t_start"], spikes.attrs["t_stop"]]], dtype=np.float64)
        ragged(
            "obs_intervals",
            np.repeat(window, n_units, axis=0),
            np.arange(1, n_units + 1, dtype=np.uint64),
            add_mark("when each unit was observed, in seconds", derived=1),
        )
        ids, id_attrs = row_ids(spikes, "unit")
        skip = {"unit"} if id_attrs is not None else set()
        placed = nwb_electrodes.unit_columns(self.file, self.groups.get("/electrodes"), spikes)
        if any(c.name == "electrode_group" for c in placed):
            skip.add("electrode_group")
        columns += [*placed, *self._columns(spikes, "unit", skip)]
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
        columns: list[Any] = []
        # An interval has a length; events of which any has none are moments.
        moments = group == "/events" and not (table["event_duration"].values > 0).all()
        kind = _events_table() if moments else None
        if group == "/events":
            onset, duration = table["event_onset"].values, table["event_duration"].values
            if kind is not None:
                derived = {"timestamp": onset, "duration": duration}
            else:
                derived = {"start_time": onset, "stop_time": onset + np.nan_to_num(duration)}
            for column, values in derived.items():
                text = add_mark(f"{column.replace('_', ' ')} of the event, in seconds", derived=1)
                known = (kind or TimeIntervals).__columns__
                made = next(c for c in known if c["name"] == column).get("class", VectorData)
                columns.append(made(name=column, description=text, data=values))
        ids, id_attrs = row_ids(table, dim)
        taken = tuple(c.name for c in columns)
        skip = {dim} if id_attrs is not None else set()
        columns += self._columns(table, dim, skip, taken)
        self._rest(group, table, dim, set())
        built = (kind or TimeIntervals)(
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
        if kind is not None:
            self.file.add_events_table(built)
        elif group == "/events":
            self.file.add_time_intervals(built)
        else:
            setattr(self.file, name, built)

    def _columns(
        self, table: xr.Dataset, dim: str, skip: set[str], taken: tuple[str, ...] = ()
    ) -> list[Any]:
        """Every variable that runs over the rows of a table, as its columns."""
        from hdmf.common import VectorData

        columns: list[Any] = []
        for name, variable in table.variables.items():
            if not variable.dims or variable.dims[0] != dim or name in skip or 0 in variable.shape:
                continue
            own = name in ("start_time", "stop_time")
            taken_as = name if own else column_name(name, columns, taken)
            columns.append(
                VectorData(
                    name=taken_as,
                    description=mark_variable(table, name, f"per {dim}"),
                    data=storable(variable, str(name)),
                )
            )
        return columns

    def _rest(self, group: str, table: xr.Dataset, dim: str, other: set[str]) -> None:
        """Variables of a table's group that are no column: to the scratch space."""
        for name, variable in table.variables.items():
            first = variable.dims[0] if variable.dims else None
            column = first == dim and (0 not in variable.shape or name == dim)
            if not column and (not other or set(variable.dims) != other):
                self._scratch(group, table, name)

    def _series(self, group: str, dataset: xr.Dataset) -> None:
        """A group of series over time, such as /calcium, /behavior or /truth."""
        from pynwb import TimeSeries
        from pynwb.ecephys import ElectricalSeries
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
        clock = clock_of(dataset) if timed else {}
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
                "name": free("_".join([*parts[1:], name]), taken),
                "description": mark_variable(
                    dataset,
                    name,
                    str(variable.attrs.get("long_name", name)),
                    group=group,
                    time=encode_attrs(dataset["time"].attrs),
                    **({} if even is None else {"even": even}),
                ),
                "data": compressed(storable(variable.variable, f"{group}/{name}")),
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
            elif group in self.rows and name == "signal":
                region = self.file.create_electrode_table_region(self.rows[group], "channels")
                series = ElectricalSeries(
                    electrodes=region, **{k: v for k, v in options.items() if k != "unit"}
                )
                module.add(series)
            else:
                series = TimeSeries(**options)
                module.add(series)
            if "timestamps" in clock:
                clock = {"timestamps": series}  # the next series link to these, not a copy
        if parts[0] == "signal" and group not in self.rows and dataset.sizes.get("channel"):
            taken_as = free("_".join([*parts[1:], "channels"]), module.data_interfaces)
            module.add(nwb_electrodes.channel_table(taken_as, dataset))
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
        ids, id_attrs = row_ids(dataset, "unit")
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
        values = storable(variable, f"{group}/{name}")
        # HDF5 libraries disagree about empty and zero-dimensional arrays; one element and the
        # shape in the mark are the same everywhere.
        empty = np.zeros(1) if variable.dtype.kind != "U" else np.array(["-"], dtype=object)
        data = values.reshape(-1 if variable.ndim == 0 else variable.shape)
        self.file.add_scratch(
            ScratchData(
                name=free("_".join([*group.strip("/").split("/"), str(name)]), self.file.scratch),
                data=compressed(data) if values.size else empty,
                description=mark_variable(
                    dataset,
                    name,
                    str(variable.attrs.get("long_name", name)),
                    group=group,
                    shape=list(variable.shape),
                    group_attrs=encode_attrs(dataset.attrs),
                ),
            )
        )
