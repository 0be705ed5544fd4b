"""MEG from FIF, CTF, KIT, BTi, FIL-OPM and whatever else MNE opens, and back to FIF."""

from __future__ import annotations

import glob
import os
import struct
from pathlib import Path
from typing import Any

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, ParameterError, SchemaError
from neurokit_sdr.core.files import check_file, check_inside
from neurokit_sdr.io import assemble, lazy
from neurokit_sdr.io.formats.fif import tags as fif_tags
from neurokit_sdr.io.formats.mne import epochs as mne_epochs
from neurokit_sdr.io.formats.mne import read as mne_read
from neurokit_sdr.io.registry import Reader

#: Formats that only MNE knows here, by suffix: their readers check the content themselves.
_OTHER = {
    ".set": "read_raw_eeglab",
    ".mff": "read_raw_egi",
    ".cnt": "read_raw_cnt",
    ".gdf": "read_raw_gdf",
    ".nxe": "read_raw_eximia",
    ".nedf": "read_raw_nedf",
    ".snirf": "read_raw_snirf",
    ".cdt": "read_raw_curry",
}
_KIT_SUFFIXES = (".con", ".sqd")
_KEEPS = (
    "samples, channel types and units, coil types and orientations, positions and their frame, "
    "bads, filters, head position, digitisation, projections, compensation, annotations, triggers"
)


def read_meg(
    path: str | os.PathLike[str], *, chunks: Any = None, events: bool | None = None
) -> xr.DataTree:
    """Read an MEG recording, epochs or averages into labelled xarray.

    The format is found by content: FIF (raw, split, epochs, averages; packed with gzip or not),
    CTF (``.ds`` folders), KIT (``.con``, ``.sqd``), 4D/BTi (folders), FIL OPM (``_meg.bin``), and
    other formats that MNE knows by their suffix. Only headers are read; samples follow when they
    are used, from the file, also in other processes.

    Values are as MNE gives them, in SI units, and are neither filtered, projected nor compensated.
    Magnetometers (T) and gradiometers (T/m) share one array, so each channel carries its unit:
    ``signal.sel(channel=signal["channel_type"] == "grad")`` selects one kind. Compute across
    channels only within one.

    Parameters
    ----------
    path
        A file, or a folder where the format is one. Of a split recording, the first part.
    chunks
        None keeps values on disk until they are used. What :meth:`xarray.Dataset.chunk` takes
        gives dask arrays (extra ``cluster``); a number is for ``time``.
    events
        Whether to search trigger channels for events, which reads the whole file once. None does
        so in files of up to 0.5 GB, and warns where it did not.

    Returns
    -------
    xarray.DataTree
        ``/signal`` of a raw recording or of epochs:

        - ``signal(time, channel)``, or ``signal(trial, time, channel)``. ``time`` is in s from the
          first sample, or from each trial's event; a slice of it costs no memory. ``trial`` counts
          the original events, so that dropped ones leave gaps.
        - per channel: ``channel`` (name), ``channel_type`` (MNE's words: mag, grad, ref_meg, eeg,
          eog, stim, misc, ...), ``channel_unit``, ``bad``, ``x``, ``y``, ``z`` (m, NaN where
          unknown) in ``coord_frame`` (MNE's words: meg is the device, head, unknown, ...); of MEG
          ``coil_type`` and ``orientation(channel, coil_axis, space)``, unit vectors of the coil,
          whose z is its normal.
        - per trial: ``event_label``, ``event_value``, ``event_previous_value``, ``event_sample``
          and ``event_onset`` (s) on the acquisition's own clock, and each column of the metadata.
        - attrs: ``sampling_rate`` (Hz), ``highpass``, ``lowpass``, ``line_freq`` (Hz),
          ``compensation_grade``, ``first_sample`` (MNE counts samples of its event arrays from
          before the recording: subtract this to count from its first), ``baseline_start``,
          ``baseline_stop`` (s), ``n_dropped``.

        ``/evoked`` of averages: ``signal(condition, time, channel)``, ``n_averaged(condition)``,
        ``statistic(condition)`` (average or standard_error); ``condition`` is MNE's comment.

        Where there are any: ``/events`` (``event_onset``, ``event_duration`` in s from the first
        sample, ``event_label``, ``event_source``: annotation or the trigger channel,
        ``event_value``, and the channels of an annotation as JSON), annotations such as BAD and
        EDGE among them; ``/head_position`` (device to head), ``/digitization``, ``/projections``,
        ``/compensation/0`` and on, ``/drop_log``, and ``/mne_info``, whatever MNE knows besides.
        Root ``attrs``: ``meas_date``, ``subject_*``, ``experimenter``, ``device_*``.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, of an unknown format, or continues outside its
        folder.
    MissingDependencyError
        If MNE (extra ``meg``) is not installed, or ``chunks`` is given and dask is not.
    ParameterError
        If ``chunks`` or ``events`` is not what it may be.

    Warns
    -----
    DataWarning
        Naming what could not be kept, what MNE warned of, and trigger channels not searched.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> field = xr.Dataset(
    ...     {"signal": (("time", "channel"), 1e-13 * np.ones((600, 2)), {"units": "T"})},
    ...     coords={
    ...         "time": ("time", np.arange(600) / 600, {"units": "s"}),
    ...         "channel": ["M1", "M2"],
    ...         "channel_type": ("channel", ["mag", "mag"]),
    ...         "channel_unit": ("channel", ["T", "T"]),
    ...     },
    ... )
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "empty_room_raw.fif"
    >>> nks.io.write_fif(field, path)
    >>> session = nks.io.read_meg(path)
    >>> session["/signal/signal"].sel(time=slice(0.1, 0.2)).sizes["time"]
    61
    """
    if events not in (None, True, False):
        raise ParameterError(f"Expected events to be True, False or None, got {events!r}.")
    path = lazy.path_of(path)
    found = _format_of(path if path.is_dir() else check_file(path))
    if found is None:
        raise FileFormatError(
            f"Expected a recording in FIF, CTF, KIT, BTi, FIL OPM or another format of MNE at "
            f"{path}, found none: give the .ds folder of CTF, the folder of BTi, and the "
            f"_meg.bin file of FIL; of intracranial formats use nks.io.read_seeg."
        )
    opener, target, options = found
    mne_read.import_mne()
    if opener == "fif":
        return lazy.chunked(_read_fif(target, events), chunks)
    return mne_read.read_with_mne(target, opener, chunks=chunks, events=events, options=options)


def _format_of(path: Path) -> tuple[str, Path, dict[str, Any]] | None:
    """The opener, the path it takes, and its options."""
    if fif_tags.is_fif(path):
        return "fif", path, {}
    if is_ctf(path):
        _check_folder(path)
        # MNE's default would cut off what follows where the acquisition's clock stands still.
        return "read_raw_ctf", path, {"system_clock": "ignore"}
    pdf = bti_file(path)
    if pdf is not None:
        for name in ("config", "hs_file", pdf.name):
            check_inside(pdf.parent / name, pdf.parent)
        shape = "hs_file" if (pdf.parent / "hs_file").is_file() else None
        return "read_raw_bti", pdf, {"head_shape_fname": shape}
    if is_kit(path):
        return "read_raw_kit", path, {}
    if is_fil(path):
        stem = path.name.removesuffix("_meg.bin")
        for beside in path.parent.glob(f"{glob.escape(stem)}_*"):
            check_inside(beside, path.parent)
        return "read_raw_fil", path, {}
    opener = _OTHER.get(path.suffix.lower())
    if opener and path.is_dir():
        _check_folder(path)
    return (opener, path, {}) if opener else None


def _check_folder(path: Path) -> None:
    """A recording that is a folder keeps its files in it."""
    for file in path.rglob("*"):
        check_inside(file, path)


def is_ctf(path: Path) -> bool:
    """Whether a folder is a CTF dataset: its resources start with MEG4."""
    return path.is_dir() and any(_starts(f, b"MEG4") for f in path.glob("*.res4"))


def _starts(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(magic)) == magic
    except OSError:
        return False


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


def is_kit(path: Path) -> bool:
    """Whether a file has KIT's suffix and starts with its directory, 16 bytes an entry."""
    try:
        if path.suffix.lower() not in _KIT_SUFFIXES or not path.is_file():
            return False
        total = path.stat().st_size
        with path.open("rb") as stream:
            offset, size, _, count = struct.unpack("<4i", stream.read(16))
    except (OSError, struct.error):
        return False
    return (offset, size) == (0, 16) and 0 < count < 1000 and size * (count + 1) <= total


def is_fil(path: Path) -> bool:
    """Whether a file is the samples of a FIL-OPM recording, with its tables beside it."""
    if not path.is_file() or not path.name.endswith("_meg.bin"):
        return False
    stem = path.name.removesuffix("_meg.bin")
    beside = (f"{stem}_channels.tsv", f"{stem}_meg.json")
    return all((path.parent / name).is_file() for name in beside)


def _is_other(path: Path) -> bool:
    return path.suffix.lower() in _OTHER


def _read_fif(path: Path, events: bool | None) -> xr.DataTree:
    content = fif_tags.check_fif(path)
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
        assemble.warn(
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
    from neurokit_sdr.io.formats.fif.write import save_fif

    path = lazy.path_of(path)
    if not path.name.endswith((".fif", ".fif.gz")):
        raise ParameterError(f"Expected a name that ends in .fif, got {path.name!r}.")
    parts = data.subtree if isinstance(data, xr.DataTree) else [data]
    for part in parts:
        if "signal" in part and part.sizes.get("channel") == 0:
            raise SchemaError(
                "Expected at least one channel to write, got a signal of none, which FIF cannot "
                "hold: check what was selected."
            )
    save_fif(data, path)


def _reader(name: str, can_read: Any, kinds: tuple[str, ...] = ("signal", "events")) -> Reader:
    return Reader(name, kinds, _KEEPS, can_read, read_meg, needs="meg")


READERS = (
    _reader("FIF", fif_tags.is_fif, ("signal", "evoked", "events")),
    _reader("CTF", is_ctf),
    _reader("4D/BTi", lambda path: bti_file(path) is not None),
    _reader("KIT", is_kit),
    _reader("FIL OPM", is_fil),
    _reader("EEGLAB, EGI, CNT, GDF, eXimia, NEDF, SNIRF, Curry", _is_other),
)
