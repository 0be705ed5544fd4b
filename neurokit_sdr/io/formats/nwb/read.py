"""NWB (HDF5) to a session: units, calcium, signals, intervals, behaviour, events, metadata."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, NeurokitError
from neurokit_sdr.core.files import check_hdf5
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.nwb import tables as nwb_tables
from neurokit_sdr.io.formats.nwb.ecephys import read_electrical
from neurokit_sdr.io.formats.nwb.ophys import read_planes
from neurokit_sdr.io.formats.nwb.tables import Reading, address, is_a, read_table
from neurokit_sdr.io.formats.nwb.units import find_units, read_units
from neurokit_sdr.io.hdf5 import outline
from neurokit_sdr.io.marks import split_mark
from neurokit_sdr.io.registry import Reader, with_chunks

_METADATA = (
    "identifier",
    "session_description",
    "session_start_time",
    "timestamps_reference_time",
    "file_create_date",
    "experimenter",
    "experiment_description",
    "session_id",
    "institution",
    "lab",
    "keywords",
    "notes",
    "pharmacology",
    "protocol",
    "related_publications",
    "slices",
    "source_script",
    "source_script_file_name",
    "was_generated_by",
    "data_collection",
    "surgery",
    "virus",
    "stimulus_notes",
)
#: Kept as attributes.
_METADATA_TYPES = (
    "Device",
    "DeviceModel",
    "ElectrodeGroup",
    "Subject",
    "NWBFile",
    "ProcessingModule",
)
#: Series that are recordings of their own kind (images, snippets, currents), not covariates.
_OTHER_KINDS = (
    "SpikeEventSeries",
    "ImageSeries",
    "IndexSeries",
    "PatchClampSeries",
    "DecompositionSeries",
)


def is_nwb(path: Path) -> bool:
    """Whether a path is an HDF5 file that says it is NWB 2."""
    found = outline(path)
    return "nwb_version" in found.attributes or "nwb_version" in found.members


def read_nwb(path: Path, *, spikes: bool = False) -> xr.DataTree:
    """Read an NWB file; :func:`neurokit_sdr.io.read_spikes` says into what.

    Parameters
    ----------
    path
        Of the file.
    spikes
        Whether a file without spikes is refused.
    """
    check_hdf5(path)
    with _open(path) as file:
        return _Reader(path, file).session(spikes)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import pynwb

    opened = ExitStack()
    try:
        with warnings.catch_warnings():
            # pynwb and hdmf warn here about the age of the file's format and its writer's habits
            # ("Ignoring cached namespace", "'manufacturer' is deprecated"): no news about the
            # numbers, and nothing the user did. Only their code runs inside this block.
            warnings.simplefilter("ignore")
            # Given the path, pynwb opens the file twice: for its namespaces, and to read.
            content = opened.enter_context(h5py.File(path, "r"))
            stream = opened.enter_context(
                pynwb.NWBHDF5IO(file=content, mode="r", load_namespaces=True)
            )
            file = stream.read()
        yield file
    except (NeurokitError, Warning):
        raise
    except Exception as error:  # whatever a damaged file makes of pynwb, it is the file's fault
        raise _unreadable(path, error) from error
    finally:
        opened.close()


def _unreadable(path: Path, error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{path} is HDF5 but could not be read as NWB 2 ({type(error).__name__}: {error}): check "
        f"it with 'python -m pynwb.validate', or write it again."
    )


class _Reader(Reading):
    """The order in which the parts of a file are read."""

    def session(self, spikes: bool) -> xr.DataTree:
        units = find_units(self, spikes)
        self._electrodes()
        self._interval_tables()
        self._roi_tables()
        self._all_series()
        self._events_tables()
        self._scratch()
        found: dict[str, xr.Dataset] = {}
        for group, table in units.items():
            found[group] = read_units(self, table, group)
            if group in self.groups:  # what of our own spikes was no column of the table
                found[group] = found[group].merge(self.groups.pop(group), combine_attrs="override")
        self.groups = {**found, **self.groups}
        self._report_rest()
        assemble.warn_left_out(self.path, self.left.names)
        return assemble.session(self.groups, self._attrs())

    # -- metadata -----------------------------------------------------------------------------

    def _attrs(self) -> dict[str, Any]:
        found = {name: getattr(self.file, name, None) for name in _METADATA}
        text, mark = split_mark(found["session_description"])
        found["session_description"] = text
        subject = self.file.subject
        if subject is not None:
            described, notes = split_mark(subject.description)
            for name in subject.__nwbfields__:
                field = name["name"] if isinstance(name, dict) else name
                if field.partition("__")[0] in notes.get("made_up", []):
                    continue
                key = field if field.startswith("subject_") else f"subject_{field}"
                found[key] = described if field == "description" else getattr(subject, field, None)
        devices = {d.name: _described(d) for d in self.file.devices.values()}
        found["devices"] = json.dumps(devices, sort_keys=True) if devices else None
        kept = {
            k: v
            for k, v in assemble.plain_attrs(found).items()
            if not (isinstance(v, str) and not v)
        }
        return kept | mark.get("attrs", {})

    def _report_rest(self) -> None:
        """Name every object that carries data and was not kept."""
        for item in self.file.objects.values():
            if type(item).__name__ in _METADATA_TYPES or _is_column(item):
                continue
            if split_mark(getattr(item, "description", ""))[1].get("derived"):
                continue
            whole = hasattr(item, "colnames") or not item.children
            if whole and item.object_id not in self.seen and not _inside(item, self.seen):
                self.left.add(address(item), type(item).__name__)

    # -- tables -------------------------------------------------------------------------------

    def _electrodes(self) -> None:
        table = self.file.electrodes
        if table is None:
            return
        self.seen.add(table.object_id)
        if "location" in table.colnames:
            notes = split_mark(table["location"].description)[1].get("electrodes", {})
            if not notes.get("derived") and notes:
                self.groups["/electrodes"] = read_table(table, "electrode", self.left, notes=notes)
            if notes:
                return
        electrodes = read_table(table, "electrode", self.left)
        for name in ("x", "y", "z", "rel_x", "rel_y", "rel_z"):
            if name in electrodes:
                electrodes[name].attrs |= {
                    "units": "um",
                    "comment": "the NWB standard's unit; the file itself does not state one",
                }
        groups = {
            g.name: _described(g) | {"location": str(g.location or "")}
            for g in self.file.electrode_groups.values()
        }
        electrodes.attrs["electrode_groups"] = json.dumps(groups, sort_keys=True)
        self.groups["/electrodes"] = electrodes

    def _interval_tables(self) -> None:
        for table in self.file.objects.values():
            if not is_a(table, "TimeIntervals"):
                continue
            self.seen.add(table.object_id)
            _, mark = split_mark(table.description)
            dims = {"trials": "trial", "epochs": "epoch"}
            own = table in (self.file.trials, self.file.epochs)
            group = mark.get("group") or (f"/{table.name}" if own else f"/intervals/{table.name}")
            dim = mark.get("dim") or (dims[table.name] if own else "interval")
            dataset = nwb_tables.read_interval_table(table, dim, self.left)
            self.groups[group] = dataset
            if "start_time" in dataset and dataset.sizes.get(dim):
                self._add_extent(
                    float(dataset["start_time"].min()),
                    float(dataset["stop_time"].max()),
                    f"the last of {group}",
                    False,
                )

    def _roi_tables(self) -> None:
        """The imaged units of /calcium that this package wrote."""
        for table in self.file.objects.values():
            if is_a(table, "PlaneSegmentation") and split_mark(table.description)[1]:
                self.seen |= {table.object_id, table.imaging_plane.object_id}
                group = split_mark(table.description)[1]["group"]
                self.groups[group] = read_table(table, "unit", self.left)

    # -- series -------------------------------------------------------------------------------

    def _all_series(self) -> None:
        series = [o for o in self.file.objects.values() if is_a(o, "TimeSeries")]
        series.sort(key=address)
        found: dict[str, xr.Dataset] = {}
        imaged: list[Any] = []
        electrical: list[Any] = []
        for one in series:
            self.seen.add(one.object_id)
            self._extent_of(one)
            _, mark = split_mark(one.description)
            if mark:
                self._restore(mark, nwb_tables.read_series(one, mark["name"]))
            elif is_a(one, "AnnotationSeries"):
                self._annotations(one)
            elif is_a(one, "IntervalSeries"):
                self._interval_series(one)
            elif is_a(one, "RoiResponseSeries"):
                imaged.append(one)
            elif is_a(one, "ElectricalSeries") and not is_a(one, "SpikeEventSeries"):
                electrical.append(one)
            elif any(is_a(one, kind) for kind in _OTHER_KINDS):
                self.left.add(address(one), type(one).__name__)
            else:
                self._covariate(one, found)
        read_planes(self, imaged)
        read_electrical(self, electrical)
        self._place(found)

    def _extent_of(self, series: Any) -> None:
        extent = nwb_tables.series_extent(series)
        if extent is not None:
            covariate = not is_a(series, "ElectricalSeries")
            self._add_extent(*extent, f"the series {series.name}", covariate)

    def _add_extent(self, first: float, last: float, what: str, covariate: bool) -> None:
        if np.isfinite(first) and np.isfinite(last):
            self.extents.append(nwb_tables.Extent(first, last, what, covariate))

    def _covariate(self, series: Any, found: dict[str, xr.Dataset]) -> None:
        parent = series.parent
        name = series.name
        if is_a(parent, "Position") and len(parent.spatial_series) == 1:
            name = "position"
        if name in found:
            name = f"{parent.name}_{series.name}"
        name = assemble.free_name(name, [*found, "time", "space"], "series")
        dataset = nwb_tables.read_series(series, name)
        if isinstance(dataset, str):
            self.left.add(address(series), dataset)
        else:
            found[name] = dataset

    def _place(self, found: dict[str, xr.Dataset]) -> None:
        """All series into /behavior where they share one clock, else each into its own group."""
        if not found:
            return
        clocks = [d.xindexes["time"] for d in found.values()]
        same = all(type(c) is type(clocks[0]) and c.equals(clocks[0]) for c in clocks[1:])
        if same and "/behavior" not in self.groups:
            try:
                self.groups["/behavior"] = xr.merge(found.values(), compat="equals", join="exact")
            except ValueError:  # series of two and of three dimensions cannot share "space"
                same = False
        if not same or "/behavior" not in self.groups:
            for name, dataset in found.items():
                self.groups[f"/behavior/{name}"] = dataset

    def _restore(self, mark: dict[str, Any], dataset: xr.Dataset | str) -> None:
        if isinstance(dataset, str):
            raise FileFormatError(f"{self.path}: series {mark['name']!r} has {dataset}.")
        group = mark["group"]
        if group in self.groups:
            dataset = self.groups[group].merge(dataset, combine_attrs="override", join="exact")
        self.groups[group] = dataset

    def _annotations(self, series: Any) -> None:
        onset = nwb_tables.series_time(series)
        label = assemble.plain_array(series.data[:])
        if label is None or label.dtype.kind != "U":
            self.left.add(address(series), "labels that are not text")
        else:
            self._add_events(series.name, onset, np.zeros(onset.size), label)

    def _events_tables(self) -> None:
        """The events of NWB 2.9 and later: one table per type of event."""
        for table in self.file.objects.values():
            if not is_a(table, "EventsTable"):
                continue
            self.seen.add(table.object_id)
            _, mark = split_mark(table.description)
            if mark:
                self.groups[mark["group"]] = read_table(table, mark["dim"], self.left)
                continue
            rows = read_table(table, "event", self.left).drop_vars("event", errors="ignore")
            onset = rows["timestamp"].values.astype(np.float64)
            duration = np.zeros(onset.size)
            if "duration" in rows:
                duration = rows["duration"].values.astype(np.float64)
            label = np.full(onset.size, table.name)
            if "annotation" in rows and rows["annotation"].dtype.kind == "U":
                label = rows["annotation"].values
            rest = rows.drop_vars(["timestamp", "duration", "annotation"], errors="ignore")
            self._add_events(table.name, onset, duration, label, rest)

    def _add_events(
        self,
        source: str,
        onset: np.ndarray,
        duration: np.ndarray,
        label: np.ndarray,
        columns: xr.Dataset | None = None,
    ) -> None:
        """Add to /events, in order of onset. Columns of one source are empty for the others."""
        new = xr.Dataset(
            {
                "event_onset": ("event", onset, {"units": "s"}),
                "event_duration": ("event", duration, {"units": "s"}),
                "event_label": ("event", label),
                "event_source": ("event", np.full(onset.size, source)),
            }
        )
        for name, column in ({} if columns is None else columns.data_vars).items():
            if column.dims == ("event",):
                new[assemble.free_name(str(name), new.variables)] = column
            else:
                self.left.add(f"{source}.{name}", "not one value per event")
        old = self.groups.get("/events")
        if old is not None:
            both = [_filled(d, [old, new]) for d in (old, new)]
            new = xr.concat(both, "event", join="exact", combine_attrs="override")
        self.groups["/events"] = new.isel(
            event=np.argsort(new["event_onset"].values, kind="stable")
        )

    def _interval_series(self, series: Any) -> None:
        """NWB marks an interval's start by a positive number and its end by the negative."""
        time = nwb_tables.series_time(series)
        code = np.asarray(series.data[:]).astype(np.int64)
        starts, stops = np.flatnonzero(code > 0), np.flatnonzero(code < 0)
        paired = len(starts) == len(stops) and np.array_equal(code[starts], -code[stops])
        if not paired or (time[stops] < time[starts]).any():
            self.left.add(address(series), "interval starts and stops that do not pair up")
            return
        name = assemble.free_name(series.name, [g.split("/")[-1] for g in self.groups], "series")
        self.groups[f"/intervals/{name}"] = xr.Dataset(
            {
                "start_time": ("interval", time[starts], {"units": "s"}),
                "stop_time": ("interval", time[stops], {"units": "s"}),
                "code": ("interval", code[starts]),
            }
        )

    # -- what this package wrote beside the standard ------------------------------------------

    def _scratch(self) -> None:
        for module in self.file.processing.values():
            for group, attrs in split_mark(module.description)[1].get("groups", {}).items():
                dataset = self.groups.get(group, xr.Dataset())
                self.groups[group] = dataset.assign_attrs(attrs)
        for item in self.file.scratch.values():
            _, mark = split_mark(getattr(item, "description", ""))
            if "group" not in mark:
                continue
            self.seen.add(item.object_id)
            # hdmf gives an array of one element back as that element
            data = item.data[:] if getattr(item.data, "shape", ()) else item.data
            values = assemble.plain_array(data)
            empty = xr.Dataset(attrs=mark.get("group_attrs", {}))
            dataset = self.groups.get(mark["group"], empty)
            self.groups[mark["group"]] = nwb_tables.restore(dataset, mark, np.asarray(values))


def _filled(events: xr.Dataset, like: list[xr.Dataset]) -> xr.Dataset:
    """Events with the columns that any of the Datasets has: "" for text, NaN for numbers."""
    for name in dict.fromkeys(str(n) for d in like for n in d.data_vars):
        kinds = {d[name].dtype.kind for d in like if name in d}
        empty = "" if kinds == {"U"} else np.nan
        if name not in events:
            events = events.assign({name: ("event", np.full(events.sizes["event"], empty))})
        elif len(kinds) > 1:  # text in one table, numbers in another: text holds both
            events = events.assign({name: events[name].astype(np.str_)})
    return events


def _is_column(item: Any) -> bool:
    return is_a(item, "VectorData") or is_a(item, "ElementIdentifiers")


def _inside(item: Any, seen: set[str]) -> bool:
    parent = item.parent
    while parent is not None:
        if parent.object_id in seen:
            return True
        parent = parent.parent
    return False


def _described(item: Any) -> dict[str, str]:
    fields = {k: getattr(item, k, None) for k in ("description", "manufacturer", "model_name")}
    if getattr(item, "device", None) is not None:
        fields["device"] = item.device.name
    return {k: str(v) for k, v in fields.items() if v}


READER = Reader(
    name="NWB",
    kinds=("spikes", "calcium", "rois", "signal", "trials", "epochs", "events"),
    keeps="units and their columns, electrodes, fluorescence and masks, raw signals and LFP, "
    "intervals, behaviour, events, metadata",
    can_read=is_nwb,
    read=with_chunks(read_nwb),
)
