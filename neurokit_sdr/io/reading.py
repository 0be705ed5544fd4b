"""One call for every format: the reader is found by what a file holds, not by its name alone."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, MissingDependencyError, NeurokitError
from neurokit_sdr.core.files import check_file, check_hdf5, check_heaps
from neurokit_sdr.io.lazy import path_of
from neurokit_sdr.io.registry import Reader, all_readers, is_installed

if TYPE_CHECKING:
    import pandas as pd


def read(path: str | os.PathLike[str], *, chunks: Any = None) -> xr.DataTree:
    """Read a recording of any format that :func:`readers` lists.

    The reader is found by content: each is asked whether the file or folder is of its format.
    Files are not trusted: nothing in them is executed, no link out of them is followed.

    Parameters
    ----------
    path
        A file, or a folder where the format is one (BIDS, suite2p, Phy, CTF, Zarr, ...).
    chunks
        None keeps large recordings on disk until they are used, and reads only headers now. What
        :meth:`xarray.Dataset.chunk` takes (``{"time": 100_000}``, ``"auto"``) gives dask arrays
        on top, which work in other processes too; it needs the extra ``cluster``.

    Returns
    -------
    xarray.DataTree
        One group per kind of recording, named by :data:`neurokit_sdr.core.schema.GROUPS`
        (``/spikes``, ``/calcium``, ``/signal``, ``/behavior``, ``/trials``, ``/epochs``,
        ``/events``, ``/electrodes``), each of which follows the schema; several of one kind are
        sub-groups such as ``/signal/NAME``. Root ``attrs`` hold the session's metadata.

    Raises
    ------
    FileFormatError
        If nothing is there, no reader knows it, or it is empty, damaged or unsafe.
    ParameterError
        If ``path`` is no path, or ``chunks`` are no sizes of dimensions that the recording has.
    MissingDependencyError
        If its reader needs an extra of this package that is not installed, or ``chunks`` is given
        and dask is not.

    Warns
    -----
    DataWarning
        Naming everything in the file that is not kept.

    See Also
    --------
    readers : What there is to read, and what of it is kept.
    neurokit_sdr.io.read_spikes, neurokit_sdr.io.read_calcium, neurokit_sdr.io.read_meg :
        For one kind, with the options of that kind.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurokit_sdr as nks
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "session.nwb"
    >>> spikes = nks.io.from_spike_times({"a": [0.1, 0.2], "b": [0.15]}, t_stop=1.0)
    >>> nks.io.write_nwb(spikes, path)
    >>> nks.io.read(path)["/spikes/spike_time"].values
    array([0.1 , 0.2 , 0.15])
    """
    path = path_of(path)
    if path.is_dir():
        if not any(path.iterdir()):
            raise FileFormatError(f"Expected a recording in the folder {path}, found it empty.")
    else:
        path = check_file(path)
        if h5py.is_hdf5(path):
            check_heaps(path)  # before any reader looks inside
    known = all_readers()
    reader = next((r for r in known if _claims(r, path)), None)
    if reader is None:
        raise FileFormatError(_nobody(path, known))
    if not is_installed(reader):
        raise MissingDependencyError(
            f"{path} is {reader.name}, and what reads it is not installed: pip install "
            f"'neurokit-sdr[{reader.needs}]'."
        )
    try:
        return reader.read(path, chunks=chunks)
    except (NeurokitError, Warning):
        raise
    except Exception as error:  # whatever a damaged file makes of a library, it is the file's fault
        raise FileFormatError(
            f"{path} looks like {reader.name} but could not be read ({type(error).__name__}: "
            f"{error}): it is damaged or incomplete; copy or export it again."
        ) from error


def readers() -> pd.DataFrame:
    """List the formats that :func:`read` knows, in the order in which it asks for them.

    Packages of your own can add formats: name a :class:`neurokit_sdr.io.Reader` under the entry
    point group ``neurokit_sdr.readers``.

    Returns
    -------
    pandas.DataFrame
        One row per format, its name as index: ``kinds`` of recording it may give, what it
        ``keeps``, the extra it ``needs`` (empty if none), and whether that is ``installed``.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.io.readers().loc["NWB", "kinds"].split(", ")[0]
    'spikes'
    """
    import pandas as pd

    rows = {
        reader.name: {
            "kinds": ", ".join(reader.kinds),
            "keeps": reader.keeps,
            "needs": reader.needs,
            "installed": is_installed(reader),
        }
        for reader in all_readers()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def _claims(reader: Reader, path: Path) -> bool:
    try:
        return bool(reader.can_read(path))
    except Exception:  # promised not to happen; a reader that fails to look does not know the file
        return False


def _nobody(path: Path, known: list[Reader]) -> str:
    what, near, advice = _describe(path)
    names = [r.name for r in known]
    nearest = [n for n in names if any(word in n.lower() for word in near)]
    others = [n for n in names if n not in nearest]
    closest = f" The nearest formats are {', '.join(nearest)}." if nearest else ""
    return (
        f"Expected a recording of a known format at {path}, found {what}.{closest} {advice} "
        f"Also read: {', '.join(others)}; nks.io.readers() says what each keeps."
    )


def _describe(path: Path) -> tuple[str, tuple[str, ...], str]:
    """What a path is, words in the names of formats that come near, and the way out."""
    arrays = (
        "With the numbers in memory, use nks.io.from_spike_times or nks.io.from_fluorescence, or "
        "build signal(time, channel) with nks.io.from_mne."
    )
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir())[:8]
        what = f"a folder with {', '.join(inside)}"
        if any(name.endswith(".npy") for name in inside):
            return (
                what,
                ("suite2p", "phy"),
                "suite2p folders hold F.npy or stat.npy (or plane0, plane1, ...), Phy and Kilosort "
                "folders spike_times.npy and params.py: give the folder that holds them.",
            )
        if any(name in {"zarr.json", ".zgroup", ".zattrs", ".zmetadata"} for name in inside):
            return (
                f"a Zarr store with {', '.join(inside)}",
                ("zarr", "minian"),
                "nks.load opens what nks.save wrote; open any other store with xarray.open_zarr.",
            )
        return (
            what,
            ("bids", "suite2p", "phy"),
            "A BIDS dataset has dataset_description.json at its root. Give the file itself where "
            "the recording is one file.",
        )
    if h5py.is_hdf5(path):
        with h5py.File(check_hdf5(path), "r") as file:
            names = ", ".join(map(str, list(file)[:8])) or "nothing in it"
        return (
            f"an HDF5 file with {names}",
            ("nwb", "caiman", "netcdf"),
            f"NWB has nwb_version among its attributes, CaImAn a group estimates. {arrays}",
        )
    with path.open("rb") as stream:
        head = stream.read(512)
    if head.startswith(b"MATLAB"):
        return (
            "a MATLAB file",
            (),
            f"Such files have no common layout: load it with scipy.io.loadmat. {arrays}",
        )
    if zipfile.is_zipfile(path):
        return "a zip archive", (), "Unpack it, and give the file or folder inside."
    if b"\0" not in head:
        return "text", ("csv", "neo"), arrays
    return "binary data of no known kind", (), f"Check that the copy is complete. {arrays}"
