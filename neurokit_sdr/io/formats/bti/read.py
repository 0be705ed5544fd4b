"""4D/BTi: a folder with a configuration and the samples."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_inside
from neurokit_sdr.io.formats.mne.read import KEEPS, read_with_mne
from neurokit_sdr.io.registry import Reader, with_chunks


def bti_file(path: Path) -> Path | None:
    """The samples of a 4D/BTi folder, or of one of its files; None where it is none."""
    folder = path if path.is_dir() else path.parent
    try:
        if not (folder / "config").is_file():
            return None
        if path.is_file():
            return path if "rf" in path.name.lower() and "," in path.name else None
        found = sorted(f for f in folder.glob("*,rf*") if f.is_file() and not f.suffix)
    except OSError:
        return None
    return found[0] if len(found) == 1 else None


def is_bti(path: Path) -> bool:
    """Whether a path is a 4D/BTi folder, or the samples of one."""
    return bti_file(path) is not None


def read_bti(path: Path, *, events: bool | None = None) -> xr.DataTree:
    """Read a 4D/BTi folder; :func:`neurokit_sdr.io.read_meg` says into what."""
    pdf = bti_file(path)
    if pdf is None:
        raise FileFormatError(
            f"Expected config and one file of samples (c,rf...) of 4D/BTi at {path}, found none: "
            f"copy the whole folder."
        )
    for name in ("config", "hs_file", pdf.name):
        check_inside(pdf.parent / name, pdf.parent)
    shape = "hs_file" if (pdf.parent / "hs_file").is_file() else None
    options = {"head_shape_fname": shape}
    return read_with_mne(pdf, "read_raw_bti", events=events, options=options)


READER = Reader("4D/BTi", ("signal", "events"), KEEPS, is_bti, with_chunks(read_bti), needs="meg")
