"""Phy and Kilosort folders: sample numbers, clusters and their labels."""

from __future__ import annotations

import ast
import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.npy import numbers_header
from neurokit_sdr.io.registry import Reader, with_chunks

_MICROMETRE = 1e-6
#: Arrays that are kept whole; any other array in the folder is named in a warning.
_KEPT = {
    "spike_times",
    "spike_clusters",
    "spike_templates",
    "amplitudes",
    "channel_positions",
    "channel_map",
    "channel_shanks",
}


def is_phy(path: Path) -> bool:
    """Whether a path is a folder with the times of spikes as Phy and Kilosort write them."""
    return (path / "spike_times.npy").is_file()


def read_phy(folder: Path) -> xr.DataTree:
    """Read a Phy or Kilosort folder; :func:`neurokit_sdr.io.read_spikes` says into what.

    All clusters are kept; ``quality`` says good, mua, noise or unsorted, as the curator's
    ``cluster_group.tsv`` says, else Kilosort's own label. Positions and depth are micrometres in
    the folder and metres in the session, as the schema wants; their attributes say so.
    """
    parameters = read_parameters(folder / "params.py")
    rate = _sample_rate(parameters, folder)
    samples = _load(folder, "spike_times")
    if samples is None or samples.dtype.kind not in "iuf":
        raise FileFormatError(f"Expected sample numbers in {folder / 'spike_times.npy'}.")
    clusters = _load(folder, "spike_clusters")
    templates = _load(folder, "spike_templates")
    if clusters is None:
        clusters = templates
    if clusters is None:
        raise FileFormatError(
            f"Expected spike_clusters.npy or spike_templates.npy beside spike_times.npy in "
            f"{folder}, found neither: without them spikes have no unit; copy the whole folder."
        )
    if clusters.shape != samples.shape:
        raise FileFormatError(
            f"Expected one cluster per spike, got {clusters.size} clusters and {samples.size} "
            f"spike times in {folder}: the folder is damaged; copy or export it again."
        )
    clusters = clusters.astype(np.int64)
    table = _cluster_table(folder)
    ids = np.unique(np.concatenate([clusters, np.array(list(table), dtype=np.int64)]))
    if not ids.size:
        raise FileFormatError(
            f"Expected at least one cluster in {folder}, found none: sort the spikes first."
        )
    order = np.argsort(clusters, kind="stable")
    counts = np.bincount(np.searchsorted(ids, clusters), minlength=ids.size)
    # Divided, not multiplied by 1/rate: this is the double nearest to the true time.
    times = samples.astype(np.float64)[order] / rate
    stop, source = _recording_end(folder, parameters, rate)
    last = float(np.max(times)) if times.size else 0.0
    if stop is None or last > stop:
        stop, source = last, "the last spike: the folder does not say when the recording ended"
    spikes = assemble.spike_dataset(
        times,
        counts,
        ids,
        t_start=0.0,
        t_stop=stop,
        t_stop_source=source,
        where=str(folder),
    )
    spikes["spike_time"].attrs["comment"] = f"sample number / {rate:.17g} Hz"
    spikes = spikes.assign_coords(_labels(table, ids))
    spikes = _add_amplitude(spikes, folder, order)
    if templates is not None and not np.array_equal(templates, clusters):
        spikes["spike_template"] = (
            ("spike",),
            templates[order].astype(np.int64),
            {"long_name": "Kilosort template of the spike, before curation"},
        )
    spikes = spikes.assign_coords(_positions(folder, templates, clusters, ids))
    assemble.warn_left_out(folder, _left(folder))
    attrs = {"source": "Phy or Kilosort folder", "sampling_rate": rate}
    kept = {k: v for k, v in parameters.items() if k != "sample_rate"}
    groups = {"/spikes": spikes} | _electrodes(folder)
    return assemble.session(groups, attrs | assemble.plain_attrs(kept))


def read_parameters(path: Path) -> dict[str, Any]:
    """Read ``params.py`` as a list of ``NAME = literal`` lines. It is never executed.

    Raises
    ------
    FileFormatError
        If the file is missing, or holds anything but literals: then it is code, and refused.
    """
    if not path.exists():
        raise FileFormatError(
            f"Expected {path.name} with the sample_rate in {path.parent}, found none: spike times "
            f"are sample numbers; write one with the line 'sample_rate = 30000.0'."
        )
    try:
        with warnings.catch_warnings():
            # A Windows path with single backslashes makes the parser warn of an invalid escape.
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FileFormatError(f"{path} is not a list of NAME = value lines ({error}).") from error
    values: dict[str, Any] = {}
    for line in tree.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else None
        try:
            if isinstance(target, ast.Name) and isinstance(line, ast.Assign):
                values[target.id] = ast.literal_eval(line.value)
            elif not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)):
                raise ValueError("a statement")
        except (ValueError, TypeError, RecursionError, MemoryError) as error:
            raise FileFormatError(
                f"{path} holds code in line {line.lineno}; it was not run. Keep only lines such as "
                f"'sample_rate = 30000.0' in it."
            ) from error
    return values


def _sample_rate(parameters: dict[str, Any], folder: Path) -> float:
    rate = parameters.get("sample_rate")
    if not isinstance(rate, int | float) or not np.isfinite(rate) or rate <= 0:
        raise FileFormatError(
            f"Expected a sample_rate > 0 in {folder / 'params.py'}, got {rate!r}: add the line "
            f"'sample_rate = 30000.0' with your amplifier's rate in Hz."
        )
    return float(rate)


def _load(folder: Path, name: str, flat: bool = True) -> np.ndarray | None:
    """Load one array of the folder without pickle; None where it is not there."""
    path = folder / f"{name}.npy"
    if not path.exists():
        return None
    try:
        numbers_header(path)  # refuses sizes that the file does not have
        array = np.load(path, allow_pickle=False, mmap_mode=None if flat else "r")
    except (ValueError, OSError, EOFError) as error:
        raise FileFormatError(
            f"{path} could not be read as a plain array ({error}): object arrays are pickles and "
            f"not opened; copy or export the folder again."
        ) from error
    return array.reshape(-1) if flat else array


def _cluster_table(folder: Path) -> dict[int, dict[str, str]]:
    """Every ``cluster_*.tsv`` (``.csv`` in old folders), as ``{cluster: {column: text}}``."""
    table: dict[int, dict[str, str]] = {}
    paths = sorted([*folder.glob("cluster_*.tsv"), *folder.glob("cluster_*.csv")])
    # cluster_info.tsv repeats the others as they were when it was written; they go on top.
    paths.sort(key=lambda p: p.stem != "cluster_info")
    for path in paths:
        # Phy writes tabs, whatever the suffix; only files from elsewhere hold commas.
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        delimiter = "\t" if lines and "\t" in lines[0] else ","
        for row in csv.DictReader(lines, delimiter=delimiter):
            key = row.pop("cluster_id", None) or row.pop("id", None)
            try:
                cluster = int(str(key))
            except ValueError as error:
                raise FileFormatError(
                    f"Expected whole numbers in the column cluster_id of {path}, got {key!r}."
                ) from error
            known = {k: v for k, v in row.items() if k and isinstance(v, str) and v != ""}
            table.setdefault(cluster, {}).update(known)
    return table


def _labels(table: dict[int, dict[str, str]], ids: np.ndarray) -> dict[str, Any]:
    """Per-unit coordinates from the cluster table: numbers where a whole column is numeric."""
    columns = sorted({name for row in table.values() for name in row})
    coords: dict[str, Any] = {}
    rows = [table.get(int(i), {}) for i in ids]
    for name in columns:
        text = [row.get(name, "") for row in rows]
        coords[assemble.free_name(name, ["unit", "spike", "x", "y", "peak_channel", "quality"])] = (
            "unit",
            _numbers_or_text(text),
        )
    quality = [row.get("group") or row.get("KSLabel") or "unsorted" for row in rows]
    coords["quality"] = (
        "unit",
        np.array(quality, dtype=np.str_),
        {"comment": "cluster_group where curated, else KSLabel"},
    )
    if "depth" in coords and coords["depth"][1].dtype.kind == "f":
        coords["depth"] = _metres(coords["depth"][1], "cluster_info.tsv")
    return coords


def _numbers_or_text(text: list[str]) -> np.ndarray:
    try:
        return np.array([float(t) if t else np.nan for t in text])
    except ValueError:
        return np.array(text, dtype=np.str_)


def _metres(micrometres: np.ndarray, source: str) -> tuple[str, np.ndarray, dict[str, str]]:
    comment = f"micrometres in {source}, here times 1e-6"
    return "unit", np.asarray(micrometres, float) * _MICROMETRE, {"units": "m", "comment": comment}


def _add_amplitude(spikes: xr.Dataset, folder: Path, order: np.ndarray) -> xr.Dataset:
    amplitude = _load(folder, "amplitudes")
    if amplitude is None:
        return spikes
    if amplitude.shape != order.shape:
        raise FileFormatError(
            f"Expected one amplitude per spike, got {amplitude.size} for {order.size} spikes in "
            f"{folder}: the folder is damaged; copy or export it again."
        )
    attrs = {"units": "1", "long_name": "factor by which the template was scaled"}
    return spikes.assign(spike_amplitude=(("spike",), amplitude[order], attrs))


def _positions(
    folder: Path, templates: np.ndarray | None, clusters: np.ndarray, ids: np.ndarray
) -> dict[str, Any]:
    """Peak channel and its place, from the template that most spikes of a cluster came from."""
    shapes = _load(folder, "templates", flat=False)
    places = _load(folder, "channel_positions", flat=False)
    if shapes is None or templates is None or shapes.ndim != 3:
        return {}
    columns = _load(folder, "templates_ind", flat=False)
    unwhiten = _load(folder, "whitening_mat_inv", flat=False)
    if columns is not None or (unwhiten is not None and unwhiten.shape != (shapes.shape[2],) * 2):
        unwhiten = None
    peak = np.full(ids.size, -1, dtype=np.int64)
    pairs, number = np.unique(
        np.stack([clusters, templates]).astype(np.int64), axis=1, return_counts=True
    )
    for k, unit in enumerate(ids):
        own = pairs[0] == unit
        if not own.any():
            continue  # a cluster without spikes has no template of its own
        template = int(pairs[1][own][np.argmax(number[own])])
        if not 0 <= template < shapes.shape[0]:
            continue
        shape = shapes[template] if unwhiten is None else shapes[template] @ unwhiten
        column = int(np.argmax(np.ptp(shape, axis=0)))
        peak[k] = column if columns is None else int(columns[template, column])
    coords: dict[str, Any] = {}
    known = peak >= 0
    attrs = {"comment": "where the unit's main template is largest; -1 where there is none"}
    channel = _load(folder, "channel_map")
    inside = known & (peak < (channel.size if channel is not None else np.inf))
    raw = peak if channel is None else np.where(inside, channel[np.where(inside, peak, 0)], -1)
    coords["peak_channel"] = ("unit", raw.astype(np.int64), attrs)
    if places is not None and places.ndim == 2 and places.shape[1] >= 2:
        inside = known & (peak < places.shape[0])
        xy = np.where(inside[:, None], places[np.where(inside, peak, 0), :2], np.nan)
        coords["x"] = _metres(xy[:, 0], "channel_positions.npy")
        coords["y"] = _metres(xy[:, 1], "channel_positions.npy")
    return coords


def _electrodes(folder: Path) -> dict[str, xr.Dataset]:
    places = _load(folder, "channel_positions", flat=False)
    if places is None or places.ndim != 2 or places.shape[1] < 2:
        return {}
    electrodes = xr.Dataset(
        {
            name: ("electrode", np.asarray(places[:, k], dtype=np.float64), {"units": "um"})
            for k, name in enumerate("xyz"[: places.shape[1]])
        }
    )
    for file, name in (("channel_map", "channel"), ("channel_shanks", "shank")):
        values = _load(folder, file)
        if values is not None and values.size == places.shape[0]:
            electrodes[name] = ("electrode", values)
    return {"/electrodes": electrodes}


def _recording_end(
    folder: Path, parameters: dict[str, Any], rate: float
) -> tuple[float | None, str]:
    """Length of the raw file in seconds where it lies in the folder itself; else None."""
    name = parameters.get("dat_path")
    name = name[0] if isinstance(name, list | tuple) and len(name) == 1 else name
    channels = parameters.get("n_channels_dat")
    if not isinstance(name, str) or not isinstance(channels, int) or channels < 1:
        return None, ""
    path = (folder / name).resolve()
    # A name that leads out of the folder is not followed.
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None, ""
    try:
        width = np.dtype(parameters.get("dtype", "int16")).itemsize
        size = path.stat().st_size - int(parameters.get("offset", 0))
    except (TypeError, ValueError):
        return None, ""
    return size / (channels * width) / rate, f"the length of {path.name}"


def _left(folder: Path) -> list[str]:
    return [p.name for p in sorted(folder.glob("*.npy")) if p.stem not in _KEPT]


READER = Reader(
    name="Phy and Kilosort folder",
    kinds=("spikes",),
    keeps="every cluster and its labels, amplitudes, templates, channel positions, parameters",
    can_read=is_phy,
    read=with_chunks(read_phy),
)
