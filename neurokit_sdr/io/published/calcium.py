"""Published recordings of calcium, in their laboratories' own formats."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file, check_hdf5
from neurokit_sdr.io import assemble, imaging

#: The laboratory's traces, all (frame, neuron), and what they become.
_WORM_TRACES = {
    "trace_array_original": ("fluorescence", "fluorescence"),
    "traces_array_F_F20": ("f_over_f20", "F / F20, as the laboratory names it; its mean is 1"),
    "trace_array": ("zscore", "fluorescence, mean 0 and standard deviation 1"),
}
_LABELS = ("label", "neuron_class", "side")

#: Images per second, from plot_data.m of the authors' deposit.
_FISH_RATE = 2.2


# -- celegans ---------------------------------------------------------------------------------


def read_celegans(folder: Path) -> xr.DataTree:
    """Read the worms of Dag et al. 2023 from the folder that holds their files.

    Each worm has its own clock, which starts with its first volume: ``/calcium/WORM`` with the
    neurons' identities on ``unit``, ``/behavior/WORM`` volume by volume, ``/events/WORM`` (the
    reversals), ``/camera/WORM`` (when the behaviour's camera took its pictures) and
    ``/neuropal/WORM`` (the matches behind the identities).
    """
    labels = _neuron_labels(folder / "neuron_labels.csv")
    groups: dict[str, xr.Dataset] = {}
    for path in sorted(folder.glob("*-data.h5")):
        worm = path.name.removesuffix("-data.h5")
        for kind, dataset in _read_worm(path, labels.get(worm, {})).items():
            groups[f"/{kind}/{worm}"] = dataset
    if not groups:
        raise FileFormatError(f"Expected files *-data.h5, one per worm, in {folder}, found none.")
    order = sorted(groups, key=lambda g: (list(_WORM_KINDS).index(g.split("/")[1]), g))
    return assemble.session({g: groups[g] for g in order}, {"subject_species": "C. elegans"})


_WORM_KINDS = ("calcium", "behavior", "events", "camera", "neuropal")


def _neuron_labels(path: Path) -> dict[str, dict[int, dict[str, str]]]:
    """By recording and column of the traces, counted from 1."""
    check_file(path)
    found: dict[str, dict[int, dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["recording"], {})[int(row["trace_index_1based"])] = row
    return found


def _read_worm(path: Path, labels: dict[int, dict[str, str]]) -> dict[str, xr.Dataset]:
    check_hdf5(path)
    with h5py.File(path, "r") as file:
        clock = file["timing/timestamp_confocal"][:]
        start = float(clock[0])
        time = clock - start
        attrs = {
            "clock_start": start,
            "comment": "time is the acquisition clock minus clock_start, the first volume's",
        }
        return {
            "calcium": _worm_calcium(file["gcamp"], time, labels, attrs, path),
            "behavior": _worm_behavior(file["behavior"], time, attrs),
            "events": _reversals(file["behavior/reversal_events"][:], time),
            "camera": xr.Dataset(
                coords={"time": ("time", file["timing/timestamp_nir"][:] - start, {"units": "s"})},
                attrs={"comment": "when the infrared camera of the behaviour took each picture"},
            ),
            "neuropal": _neuropal(file["neuropal_registration"]),
        }


def _worm_calcium(
    gcamp: h5py.Group,
    time: np.ndarray,
    labels: dict[int, dict[str, str]],
    attrs: dict[str, Any],
    path: Path,
) -> xr.Dataset:
    traces = {
        name: xr.Variable(
            ("time", "unit"),
            gcamp[stored][:],
            {"units": "1", "long_name": text, "name_in_file": f"gcamp/{stored}"},
        )
        for stored, (name, text) in _WORM_TRACES.items()
    }
    ids = np.arange(1, gcamp["trace_array"].shape[1] + 1)
    columns = {
        name: xr.Variable(
            "unit", np.array([labels.get(k, {}).get(name, "") for k in ids.tolist()], dtype=np.str_)
        )
        for name in _LABELS
    }
    confidence = [float(labels[k]["confidence"]) if k in labels else np.nan for k in ids.tolist()]
    columns["label_confidence"] = xr.Variable("unit", np.array(confidence))
    columns["label"].attrs["comment"] = "empty where the neuron was not identified"
    calcium = imaging.calcium_dataset(traces, ids, time, columns, attrs, str(path))
    calcium["unit"].attrs["long_name"] = "column of the traces, from 1"
    rest = {
        name: (dims, gcamp[name][:])
        for name, dims in {
            "idx_splits": ("edge", "split"),
            "match_org_to_skip": ("numbering", "match"),
            "match_skip_to_org": ("numbering", "match"),
        }.items()
    }
    return calcium.assign(rest)


def _worm_behavior(behavior: h5py.Group, time: np.ndarray, attrs: dict[str, Any]) -> xr.Dataset:
    """One value per volume; body angles also along the worm."""
    data = xr.Dataset(coords={"time": ("time", time, {"units": "s"})}, attrs=attrs)
    for name, stored in behavior.items():
        if name != "reversal_events":
            dims = ("time", *(f"{name}_axis{k}" for k in range(1, stored.ndim)))
            data[name] = (dims, stored[:])
    data.attrs["units_comment"] = "the file states no units of behaviour"
    return data


def _reversals(frames: np.ndarray, time: np.ndarray) -> xr.Dataset:
    """First and last volume of each reversal, counted from 1."""
    first, last = frames
    onset = time[first - 1]
    volume = {"long_name": "number of the volume, from 1"}
    return xr.Dataset(
        {
            "event_onset": ("event", onset, {"units": "s"}),
            "event_duration": ("event", time[last - 1] - onset, {"units": "s"}),
            "event_label": ("event", np.full(first.size, "reversal")),
            "first_volume": ("event", first, volume),
            "last_volume": ("event", last, volume),
        }
    )


def _neuropal(group: h5py.Group) -> xr.Dataset:
    return xr.Dataset(
        {name: ("neuropal_roi", group[name][:]) for name in ("roi_match", "roi_match_confidence")},
        attrs={"comment": "unit (0: none) and confidence of each region of the NeuroPAL picture"},
    )


# -- zebrafish --------------------------------------------------------------------------------


def read_zebrafish(folder: Path) -> xr.DataTree:
    """Read the fish of Triplett et al. 2018 from the folder that holds its three tables.

    ``/calcium``: ``dff(time, unit)``; ``in_assembly(assembly, unit)`` says which cells the authors
    put into each assembly (a cell may be in several, or none).
    """
    places = sorted(folder.rglob("*_activity_matrix.csv"))
    if len(places) != 1:
        raise FileFormatError(
            f"Expected one table *_activity_matrix.csv in {folder}, found {len(places)}."
        )
    stem = places[0].name.removesuffix("_activity_matrix.csv")
    activity = _table(places[0])
    place = _table(places[0].with_name(f"{stem}_cell_coordinates.csv"))
    lines = check_file(places[0].with_name(f"{stem}_assembly_assignments.csv")).read_text("utf-8")
    assemblies = [[int(k) for k in line.split(",")] for line in lines.splitlines() if line.strip()]
    ids = np.arange(1, activity.shape[0] + 1)
    if place.shape != (ids.size, 2) or any(not 1 <= k <= ids.size for a in assemblies for k in a):
        raise FileFormatError(
            f"Expected a place for each of {ids.size} cells and assemblies of them in {folder}, "
            f"got {place.shape} places and assemblies {assemblies!r:.80}: fetch the files again."
        )
    unknown = {"comment": "column of cell_coordinates.csv; its unit is not stated"}
    calcium = imaging.calcium_dataset(
        {"dff": imaging.trace("dff", activity.T)},
        ids,
        imaging.clock(activity.shape[1], _FISH_RATE),
        {
            "cell_x": xr.Variable("unit", place[:, 0], unknown),
            "cell_y": xr.Variable("unit", place[:, 1], unknown),
        },
        {
            "sampling_rate": _FISH_RATE,
            "sampling_rate_source": "plot_data.m of the authors' deposit; the tables have no times",
            "location": "optic tectum",
        },
        str(folder),
    )
    calcium["unit"].attrs["long_name"] = "row of the activity matrix, from 1"
    inside = np.array([np.isin(ids, a) for a in assemblies])
    calcium["in_assembly"] = (("assembly", "unit"), inside)
    return assemble.session({"/calcium": calcium}, {"subject_species": "Danio rerio"})


def _table(path: Path) -> np.ndarray:
    check_file(path)
    try:
        return np.loadtxt(path, np.float64, delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise FileFormatError(
            f"Expected a table of numbers in {path}, got something else ({error}): fetch it again."
        ) from error
