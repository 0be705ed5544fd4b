"""Published recordings, fetched from where their authors keep them, checked and cached."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, NeurokitError, ParameterError
from neurokit_sdr.core.files import atomic_path
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.schema import did_you_mean
from neurokit_sdr.io import _assemble

#: Names the folder in which examples are looked for before anything is downloaded.
FOLDER_VARIABLE = "NEUROKIT_SDR_DATA"


@dataclass(frozen=True)
class ExampleFile:
    """One file of an example.

    Attributes
    ----------
    name
        Its name in the example's folder.
    address
        Where it is published.
    sha256
        Of its content; no other content is accepted, from wherever it comes.
    size
        In bytes.
    """

    name: str
    address: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Example:
    """One published recording, and how to read it.

    Attributes
    ----------
    folder
        Its folder inside the data folder or the cache.
    files
        The files it consists of.
    licence, citation
        What to observe and whom to cite.
    read
        From the folder that holds the files to a session.
    """

    folder: str
    files: tuple[ExampleFile, ...]
    licence: str
    citation: str
    read: Callable[[Path], xr.DataTree]


def fetch_example(name: str) -> xr.DataTree:
    """Fetch a published recording by name.

    Its files are taken from the folder named by the environment variable ``NEUROKIT_SDR_DATA``,
    else from ``../shared/data`` beside a checkout of this package, else from the user's cache,
    else downloaded into that cache; in each case they must have the published sha256.

    ``"linear_track"``: rat CA1 on a linear track and at rest, 31 sorted units, 28,829 spikes in
    1968 s, from nelpy's example data (MIT). ``/spikes`` has units such as ``T1U2`` (tetrode 1,
    cluster 2). ``/behavior`` has ``position(time, space)`` of the head's LED, in pixels of the
    camera (pixels per metre are not known), at about 60 Hz. Spikes and camera carry time stamps of
    one 30 kHz clock; the session's zero is the start of its ``timerange``, and the position runs
    on 14 s beyond ``t_stop``. Frames in which the tracker was parked at (522, 8), which are all
    from 985 s on, or saw something off the track (y <= 100 or y >= 420) are NaN.

    Parameters
    ----------
    name
        A key of :data:`EXAMPLES`.

    Returns
    -------
    xarray.DataTree
        As :func:`neurokit_sdr.io.read_spikes` returns it; ``attrs`` hold the licence, the citation
        and the addresses.

    Raises
    ------
    ParameterError
        If there is no example of that name.
    FileFormatError
        If a file's content is not the published one.
    NeurokitError
        If a file is neither at hand nor reachable.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.io.fetch_example("linear_track")  # doctest: +SKIP
    >>> session["/spikes"].sizes["unit"]  # doctest: +SKIP
    31
    """
    if name not in EXAMPLES:
        raise ParameterError(
            f"Expected the name of an example, one of {sorted(EXAMPLES)}, got {name!r}."
            f"{did_you_mean(str(name), EXAMPLES)}"
        )
    example = EXAMPLES[name]
    session = example.read(locate(example))
    session.attrs |= {
        "example": name,
        "licence": example.licence,
        "citation": example.citation,
        "addresses": [f.address for f in example.files],
    }
    return session


def locate(example: Example) -> Path:
    """Return the folder that holds the example's files, checked; download where there is none."""
    for folder in _local_folders():
        place = folder / example.folder
        if all((place / f.name).is_file() for f in example.files):
            for file in example.files:
                _check_content(place / file.name, file)
            return place
    place = cache_folder() / example.folder
    for file in example.files:
        target = place / file.name
        if target.is_file():
            _check_content(target, file)
        else:
            download(file, target)
    return place


def _local_folders() -> list[Path]:
    folders = []
    if os.environ.get(FOLDER_VARIABLE):
        folders.append(Path(os.environ[FOLDER_VARIABLE]).expanduser())
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():  # a checkout, not an installed package
        folders.append(root.parent / "shared" / "data")
    return folders


def cache_folder() -> Path:
    """The user's cache of downloaded examples, where the operating system keeps such things."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "neurokit_sdr"


def _check_content(path: Path, file: ExampleFile) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256:
        raise FileFormatError(
            f"Expected {path} with sha256 {file.sha256}, got {found}: it is not the published "
            f"file; delete it, and it is downloaded again from {file.address}."
        )


def download(file: ExampleFile, target: Path, *, progress: bool = True) -> None:
    """Download one file; it appears at ``target`` only when it is whole and has its sha256."""
    digest = hashlib.sha256()
    try:
        with (
            atomic_path(target) as temporary,
            urllib.request.urlopen(file.address, timeout=30) as source,
            temporary.open("wb") as sink,
            progress_bar(file.size, f"download {file.name}", progress) as bar,
        ):
            received = 0
            while block := source.read(1 << 16):
                received += len(block)
                if received > file.size:
                    break
                digest.update(block)
                sink.write(block)
                bar.update(len(block))
            if received != file.size or digest.hexdigest() != file.sha256:
                raise FileFormatError(
                    f"Expected {file.size} bytes with sha256 {file.sha256} at {file.address}, got "
                    f"{received} bytes with {digest.hexdigest()}; nothing was kept. Try again."
                )
    except (urllib.error.URLError, OSError, ValueError) as error:
        if isinstance(error, NeurokitError):
            raise
        raise NeurokitError(
            f"Could not fetch {file.name} from {file.address} ({error}): connect to the network, "
            f"or download it by other means and name its folder's parent in the environment "
            f"variable {FOLDER_VARIABLE}."
        ) from error


# -- linear_track -----------------------------------------------------------------------------

_HEADER_END = b"<End settings>\n"
_FRAME = np.dtype([("time", "<u4"), ("x", "<u2"), ("y", "<u2"), ("x2", "<u2"), ("y2", "<u2")])
_PARKED = (522, 8)
_ON_TRACK = (100, 420)  # y, both excluded


def read_linear_track(folder: Path) -> xr.DataTree:
    """Read nelpy's linear-track example from the folder that holds its two files."""
    spikes = _read_cells(folder / "spikes.mat")
    origin = spikes.attrs["clock_start"]
    behavior = _read_tracking(folder / "trajectory.videoPositionTracking", origin)
    return _assemble.session({"/spikes": spikes, "/behavior": behavior}, {})


def _read_cells(path: Path) -> xr.Dataset:
    """Nested MATLAB cells: tetrode, then cluster, each a struct with ``time`` or nothing."""
    import scipy.io

    cells = scipy.io.loadmat(path)["spikes"][0, 0][0, 0]
    times, tetrodes, clusters, silent, ranges = [], [], [], [], set()
    for t, tetrode in enumerate(cells.flat, start=1):
        if tetrode.dtype != object:
            continue
        for c, cluster in enumerate(tetrode.flat, start=1):
            if not cluster.dtype.names:
                continue
            ranges.add(tuple(cluster["timerange"][0, 0].ravel().tolist()))
            train = cluster["time"][0, 0].ravel()
            if not train.size:
                silent.append(f"T{t}U{c}")
                continue
            times.append(train.astype(np.float64))
            tetrodes.append(t)
            clusters.append(c)
    ((start, stop),) = ranges
    spikes = _assemble.spike_dataset(
        np.concatenate(times) - start,
        [t.size for t in times],
        [f"T{t}U{c}" for t, c in zip(tetrodes, clusters, strict=True)],
        t_start=0.0,
        t_stop=stop - start,
        t_stop_source="timerange in spikes.mat",
        where=str(path),
    )
    spikes.attrs |= {
        "clock_start": start,
        "comment": "time is seconds of the 30 kHz acquisition clock minus clock_start, the start "
        "of timerange in spikes.mat",
        "clusters_without_spikes": silent,
    }
    return spikes.assign_coords(
        tetrode=("unit", np.array(tetrodes)),
        cluster=("unit", np.array(clusters)),
        brain_area=("unit", np.full(len(times), "CA1")),
    )


def _read_tracking(path: Path, origin: float) -> xr.Dataset:
    """A text header, then one packed record per camera frame."""
    content = path.read_bytes()
    header, mark, records = content.partition(_HEADER_END)
    rate = re.search(rb"clockrate: (\d+)", header)
    if not mark or rate is None or len(records) % _FRAME.itemsize:
        raise FileFormatError(f"{path} is not a whole videoPositionTracking file: fetch it again.")
    frames = np.frombuffer(records, _FRAME)
    time = frames["time"] / float(rate.group(1)) - origin
    low, high = _ON_TRACK
    parked = (frames["x"] == _PARKED[0]) & (frames["y"] == _PARKED[1])
    missing = parked | (frames["y"] <= low) | (frames["y"] >= high)
    names = [("position", "x", "y")]
    if frames["x2"].any() or frames["y2"].any():
        names.append(("position_2", "x2", "y2"))
    behavior = xr.Dataset(
        coords={"time": ("time", time, {"units": "s"}), "space": ["x", "y"]},
        attrs={"comment": "the camera's second LED was not used: x2 and y2 are 0 throughout"}
        if len(names) == 1
        else {},
    )
    for name, x, y in names:
        place = np.stack([frames[x], frames[y]], axis=1).astype(np.float64)
        place[missing if name == "position" else (frames[x] == 0) & (frames[y] == 0)] = np.nan
        behavior[name] = (
            ("time", "space"),
            place,
            {
                "units": "pixel",
                "long_name": "position of the head's LED in the camera's picture",
                "comment": f"NaN where the tracker was parked at {_PARKED} or saw something off "
                f"the track (y <= {low} or y >= {high}); pixels per metre are not known",
            },
        )
    return behavior


_NELPY = (
    "https://raw.githubusercontent.com/nelpy/example-data/"
    "099548c0608ffaa92933c66346c0d96f05a18622/linear-track/"
)

#: Every example by name. A new one is an entry here and a function that reads its folder.
EXAMPLES: dict[str, Example] = {
    "linear_track": Example(
        folder="spikes/linear_track",
        files=(
            ExampleFile(
                "spikes.mat",
                f"{_NELPY}spikes.mat",
                "615b05a9228a5eaea7f99d5fc5b11848a4d94fc154104612410c887875b65bc7",
                176_567,
            ),
            ExampleFile(
                "trajectory.videoPositionTracking",
                f"{_NELPY}trajectory.videoPositionTracking",
                "10a883302c50e26d5f659ac4ee08d8901f7881c71f6800cd56d999a620b31cb5",
                1_427_777,
            ),
        ),
        licence="MIT, copyright 2017 nelpy",
        citation="nelpy example data, linear-track, https://github.com/nelpy/example-data",
        read=read_linear_track,
    ),
}
