"""FIF: a raw recording, epochs or averages, whichever a file holds."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, warn
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.fif.tags import check_fif, is_fif
from neurokit_sdr.io.formats.mne import epochs as mne_epochs
from neurokit_sdr.io.formats.mne import read as mne_read
from neurokit_sdr.io.registry import Reader, with_chunks


def read_fif(path: Path, *, events: bool | None = None) -> xr.DataTree:
    """Read a FIF file; :func:`neurokit_sdr.io.read_meg` says into what."""
    mne_read.import_mne()
    content = check_fif(path)
    if not content.kinds and not content.others:
        raise FileFormatError(
            f"Expected a raw recording, epochs or averages in {path}, found none: it was probably "
            f"cut off; copy or download it again."
        )
    if not content.kinds:
        raise FileFormatError(
            f"Expected a raw recording, epochs or averages in {path}, found "
            f"{' and '.join(content.others)}: read that with MNE itself."
        )
    if not content.ended:
        warn(
            f"{path.name} lacks the mark that ends a FIF file, so it was probably cut off; what "
            f"is there is read."
        )
    said: list[str] = []
    if "raw" in content.kinds:
        # Active shielding makes MNE refuse a recording unless it is asked for; it then warns.
        source = mne_read.Source(str(path), "read_raw_fif", (("allow_maxshield", True),))
        groups, attrs = mne_read.file_groups(source, events)
        kinds = ("raw",)
    elif "epochs" in content.kinds:
        with mne_read.opening(path) as said:
            opened = mne_epochs.open_epochs(path)
            groups, attrs = mne_epochs.epochs_groups(opened, path)
        kinds = ("epochs",)
    else:
        with mne_read.opening(path) as said:
            evokeds = mne_read.import_mne().read_evokeds(path, proj=False, allow_maxshield=True)
            groups, attrs = mne_epochs.evoked_groups(evokeds)
        kinds = ("evoked",)
    mne_read.warn_said(path, said)
    assemble.warn_left_out(path, [k for k in content.kinds if k not in kinds])
    return assemble.session(groups, attrs | {"source": f"FIF {kinds[0]}"})


READER = Reader(
    name="FIF",
    kinds=("signal", "evoked", "events"),
    keeps=mne_read.KEEPS,
    can_read=is_fif,
    read=with_chunks(read_fif),
    needs="meg",
)
