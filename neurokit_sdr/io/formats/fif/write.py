"""Signals to FIF, through what MNE makes of them: whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, ParameterError, SchemaError, warn
from neurokit_sdr.io.formats.mne import info as mne_info
from neurokit_sdr.io.formats.mne import read as mne_read
from neurokit_sdr.io.interop.mne import to_mne
from neurokit_sdr.io.lazy import path_of


def write_fif(data: xr.Dataset | xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write a signal, epochs or averages to FIF, which MNE and most MEG software read.

    Samples are written in double precision, and so come back to the last bit. FIF keeps sampling
    rate, filters and positions in single precision: positions within 10 nm.

    Parameters
    ----------
    data
        A Dataset of ``signal(time, channel)``, ``signal(trial, time, channel)`` or
        ``signal(condition, time, channel)``, or a session with ``/signal`` or ``/evoked`` whose
        ``/events``, ``/head_position``, ``/digitization``, ``/projections`` and so on go along.
        ``channel_unit`` must be MNE's unit of the ``channel_type``: V, T, T/m.
    path
        By MNE's conventions ``*_raw.fif``, ``*-epo.fif`` or ``*-ave.fif``. An existing file is
        replaced only once the new one is whole. Beyond 2 GB, further parts ``*-1.fif`` follow.

    Raises
    ------
    SchemaError
        If the data break the schema or have no channel, samples are not evenly spaced, or a unit
        is not MNE's.
    ParameterError
        If the name does not end in ``.fif``.
    MissingDependencyError
        If MNE is not installed.

    Warns
    -----
    DataWarning
        Naming what FIF cannot hold.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> potential = xr.Dataset(
    ...     {"signal": (("time", "channel"), np.eye(4, 2), {"units": "V"})},
    ...     coords={
    ...         "time": ("time", np.arange(4) / 256, {"units": "s"}),
    ...         "channel": ["A1", "A2"],
    ...         "channel_type": ("channel", ["seeg", "seeg"]),
    ...         "channel_unit": ("channel", ["V", "V"]),
    ...     },
    ... )
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "made_raw.fif"
    >>> nks.io.write_fif(potential, path)
    >>> back = nks.io.read_meg(path)
    >>> bool((back["/signal/signal"].values == np.eye(4, 2)).all())
    True
    """
    path = path_of(path)
    if not path.name.endswith((".fif", ".fif.gz")):
        raise ParameterError(f"Expected a name that ends in .fif, got {path.name!r}.")
    parts = data.subtree if isinstance(data, xr.DataTree) else [data]
    for part in parts:
        if "signal" in part and part.sizes.get("channel") == 0:
            raise SchemaError(
                "Expected at least one channel to write, got a signal of none, which FIF cannot "
                "hold: check what was selected."
            )
    made = to_mne(data)
    left: list[str] = []
    for one in made if isinstance(made, list) else [made]:
        _fit_for_fif(one, left)
    left = list(dict.fromkeys(left))
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    try:
        said = _write_parts(made, folder / path.name, left)
        # The first part last: until it lies there, nothing leads to the new ones.
        for file in sorted(folder.iterdir(), key=lambda p: p.name == path.name):
            os.replace(file, path.parent / file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    mne_read.warn_said(path, said)
    if left:
        warn(f"FIF cannot hold all of it: {'; '.join(left)}.")


def _write_parts(made: Any, path: Path, left: list[str]) -> list[str]:
    mne = mne_read.import_mne()
    try:
        with mne_read.opening(path, "written") as said:
            if isinstance(made, list):
                mne.write_evokeds(path, made, overwrite=True)
                if any(_rounded(e) for e in made):
                    left.append("averages in double precision (FIF keeps 7 digits)")
                return said
            # Values go to the file divided by these, which would cost their last bit.
            for entry in made.info["chs"]:
                entry |= {"cal": 1.0, "range": 1.0}
            made.save(path, fmt="double", overwrite=True)
    except FileFormatError as error:
        if isinstance(error.__cause__, UnicodeEncodeError):
            raise SchemaError(
                f"Expected channel names in ASCII and other text in Latin-1, which is what FIF "
                f"holds, got {error.__cause__.object!r}: rename it."
            ) from error
        raise
    return said


def _rounded(evoked: Any) -> bool:
    """Whether the values change in single precision, scaled as FIF holds them."""
    scale = np.array([c["cal"] * c["range"] for c in evoked.info["chs"]])[:, None]
    held = (evoked.data / scale).astype(np.float32).astype(np.float64) * scale
    return bool((held != evoked.data).any())


def _fit_for_fif(obj: Any, left: list[str]) -> None:
    """Change what FIF would hold as something else, and name it."""
    import mne
    from mne.transforms import Transform

    info = obj.info
    if float(np.float32(info["sfreq"])) != info["sfreq"]:
        left.append(f"the sampling rate {info['sfreq']!r} Hz (FIF keeps 7 digits)")
    meg = ("mag", "grad", "ref_meg")
    types = [mne.channel_type(info, k) for k in range(len(info["chs"]))]
    loc = np.array([c["loc"] for c in info["chs"]], dtype=np.float64).reshape(-1, 12)
    placed = mne_info.has_position(loc, types)
    in_head = [t in meg and c["coord_frame"] == 4 for t, c in zip(types, info["chs"], strict=True)]
    changed = dict(info)
    if any(in_head) and info["dev_head_t"] is None:
        # The device is where the head is: the same positions in the frame that FIF gives coils.
        changed["dev_head_t"] = Transform("meg", "head", np.eye(4))
        for entry, moved in zip(info["chs"], in_head, strict=True):
            entry["coord_frame"] = 1 if moved else entry["coord_frame"]
    lost = set()
    for entry, kind, there in zip(info["chs"], types, placed, strict=True):
        held = 1 if kind in meg else 4
        if there and entry["coord_frame"] != held:
            lost.add(mne_info.frame_text(entry["coord_frame"]))
            entry["loc"] = np.concatenate([np.full(3, np.nan), entry["loc"][3:]])
    if lost:
        left.append(
            f"positions in the frames {sorted(lost)} (FIF takes coils to be in the device's and "
            f"electrodes in the head's; they are left out rather than misplaced)"
        )
    obj.info = mne.Info(changed)
    annotations = getattr(obj, "annotations", None)
    if annotations is not None and len(annotations):
        rounded = annotations.onset.astype(np.float32).astype(np.float64)
        error = np.abs(rounded - annotations.onset).max()
        if error > 0:
            left.append(f"event onsets in double precision (rounded by up to {error:.1g} s)")
