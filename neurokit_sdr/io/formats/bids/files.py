"""The files of a BIDS dataset: which recordings there are, and which sidecars hold for one.

BIDS keeps what is true of many recordings once, in a folder above them; a file nearer to the
recording overrides it (the inheritance principle). Nothing outside the dataset's folder is read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_inside
from neurokit_sdr.io.formats.bids.names import DESCRIPTION, EXTENSIONS

_LARGEST = 1 << 28
_LARGEST_JSON = 1 << 23
_DEPTH = 6
_SKIPPED = {"derivatives", "sourcedata", "code", "stimuli", "phenotype"}


def absolute(path: Path) -> Path:
    """The path from the root, without ``..``; links stay, so that they can be seen."""
    return Path(os.path.abspath(path))


def find_root(path: Path) -> Path | None:
    """The folder of the dataset that a path lies in; None where there is none."""
    path = absolute(path)
    folders = [path, *path.parents] if path.is_dir() else list(path.parents)
    return next((f for f in folders[:_DEPTH] if (f / DESCRIPTION).is_file()), None)


def entities(name: str) -> tuple[dict[str, str], str, str]:
    """Entities, suffix and extension: ``sub-01_task-rest_ieeg.json``."""
    stem, dot, extension = name.partition(".")
    *parts, suffix = stem.split("_")
    pairs = (p.partition("-") for p in parts if "-" in p)
    return {k: v for k, _, v in pairs}, suffix, dot + extension


def is_recording(path: Path) -> bool:
    """Whether the name is one of a recording in a folder of its kind."""
    found, suffix, extension = entities(path.name)
    return (
        path.name.startswith("sub-")
        and "sub" in found
        and extension in EXTENSIONS.get(suffix, ())
        and path.parent.name == suffix
        and (extension != "" or path.is_dir())
        and found.get("split", "01").lstrip("0") == "1"
    )


def find_recordings(folder: Path) -> list[Path]:
    """Every recording in a folder of the dataset, sorted; derivatives are none."""
    found = []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        found += [here / n for n in (*files, *folders) if is_recording(here / n)]
        folders[:] = [
            f
            for f in folders
            if f not in _SKIPPED and not f.startswith(".") and not is_recording(here / f)
        ]
    return sorted(found)


def sidecars(
    recording: Path, root: Path, suffix: str, extension: str, extra: tuple[str, ...] = ()
) -> list[Path]:
    """Files that hold for a recording, from the farthest to the nearest.

    Parameters
    ----------
    recording
        Its main file.
    root
        The dataset's folder.
    suffix, extension
        Of the sidecar, such as ``"channels"`` and ``".tsv"``.
    extra
        Entities it may have and the recording not, such as ``space``.
    """
    mine, _, _ = entities(recording.name)
    found = []
    inner = [recording.parent, *recording.parent.parents]
    folders = inner[: inner.index(root) + 1]
    for folder in reversed(folders):
        fitting = []
        for file in _files(folder):
            theirs, its_suffix, its_extension = entities(file.name)
            same = its_suffix == suffix and its_extension == extension
            if same and all(mine.get(k) == v for k, v in theirs.items() if k not in extra):
                fitting.append((len(theirs), file.name, check_inside(file, root)))
        found += [file for _, _, file in sorted(fitting)]
    return found


def _files(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(e.path) for e in entries if e.is_file() or e.is_symlink()]


def merged_json(files: list[Path]) -> dict[str, Any]:
    """Fields of JSON sidecars, those of nearer files over those of farther ones."""
    merged: dict[str, Any] = {}
    for file in files:
        merged |= read_json(file)
    return merged


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object; what it points to must lie in the dataset."""
    text = _text(path, _LARGEST_JSON)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is not valid JSON ({error}): correct it.") from error
    if not isinstance(value, dict):
        raise FileFormatError(f"Expected a JSON object in {path}, got a {type(value).__name__}.")
    targets = value.get("IntendedFor", [])
    for target in targets if isinstance(targets, list) else [targets]:
        check_reference(str(target), path)
    return value


def check_reference(text: str, path: Path) -> None:
    """Raise where a path written in a sidecar leads out of the dataset."""
    inner = re.sub(r"^bids:[A-Za-z0-9_-]*:", "", text)
    parts = PurePosixPath(inner.replace("\\", "/")).parts
    outside = PurePosixPath(inner).is_absolute() or PureWindowsPath(inner).anchor
    if outside or ".." in parts or "://" in inner:
        raise FileFormatError(
            f"{path} refers to {text!r}, which leads out of the dataset; such paths are not "
            f"followed. Write it relative to the subject's folder, or as bids::sub-..."
        )


def read_tsv(path: Path) -> dict[str, list[str]]:
    """Columns of a table, as text; short rows are filled with ``n/a``."""
    lines = [n for n in _text(path, _LARGEST).splitlines() if n.strip()]
    if not lines:
        return {}
    names = [n.strip() for n in lines[0].split("\t")]
    rows = [[v.strip() for v in line.split("\t")] for line in lines[1:]]
    if any(len(row) > len(names) for row in rows):
        first = next(k for k, row in enumerate(rows) if len(row) > len(names))
        raise FileFormatError(
            f"Expected {len(names)} columns in {path}, got {len(rows[first])} in row {first + 2}: "
            f"it must be separated by tabs, with one name for each column in its first line."
        )
    columns: dict[str, list[str]] = {}
    for k, name in enumerate(names):
        if name in columns:
            raise FileFormatError(f"Expected columns of different names in {path}, got {names}.")
        columns[name] = [row[k] if k < len(row) and row[k] else "n/a" for row in rows]
    return columns


def _text(path: Path, most: int) -> str:
    if path.is_symlink() and not path.exists():
        raise FileFormatError(
            f"{path} is a link to nothing: its content was not fetched (datalad get) or copied."
        )
    size = path.stat().st_size
    if size > most:
        raise FileFormatError(f"Expected a sidecar of at most {most} bytes, got {size}: {path}.")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"Expected UTF-8 in {path}, as BIDS wants, got other bytes ({error}): save it as UTF-8."
        ) from error


_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def typed(values: list[str]) -> np.ndarray:
    """A column as whole numbers, as numbers with NaN for ``n/a``, or as the text it is."""
    known = [v for v in values if v != "n/a"]
    if known and len(known) == len(values) and all(_INTEGER.fullmatch(v) for v in known):
        return np.array(values, dtype=np.int64)
    if known and all(_FLOAT.fullmatch(v) for v in known):
        return numbers(values)
    return np.array(values, dtype=np.str_)


def numbers(values: list[str]) -> np.ndarray:
    """Numbers; NaN for whatever is none."""
    return np.array([float(v) if _FLOAT.fullmatch(v) else np.nan for v in values], dtype=np.float64)


def rows_by(columns: Mapping[str, list[str]], key: str) -> dict[str, int]:
    """Row of each value of a column; the first where there are several."""
    found: dict[str, int] = {}
    for k, value in enumerate(columns.get(key, [])):
        found.setdefault(value, k)
    return found


def derived_tables(recording: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """Tables of events that derivatives hold about a recording: a name for each, and the file."""
    mine, _, _ = entities(recording.name)
    base = root / "derivatives"
    if not base.is_dir():
        return
    check_inside(base, root)
    pipelines = [base, *sorted(p for p in base.iterdir() if p.is_dir())]
    for pipeline in pipelines:
        folder = pipeline / recording.parent.relative_to(root)
        if pipeline.name.startswith("sub-") or not folder.is_dir():
            continue
        check_inside(folder, root)
        for file in sorted(_files(folder)):
            theirs, suffix, extension = entities(file.name)
            theirs.pop("desc", None)
            fits = all(mine.get(k) == v for k, v in theirs.items())
            if fits and extension == ".tsv" and suffix in {"annotations", "events"}:
                own = [] if pipeline == base else [pipeline.name]
                words = [*own, *_description(file.name), suffix]
                yield "_".join(words), check_inside(file, root)


def _description(name: str) -> list[str]:
    found, _, _ = entities(name)
    return [found["desc"]] if "desc" in found else []
