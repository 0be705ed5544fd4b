"""Published recordings, fetched from where their authors keep them, checked and cached."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, NeurokitError, ParameterError, warn
from neurokit_sdr.core.files import atomic_path
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.schema import did_you_mean
from neurokit_sdr.io.published.table import EXAMPLES, Example, ExampleFile

if TYPE_CHECKING:
    import pandas as pd

#: Names the folder in which examples are looked for before anything is downloaded.
FOLDER_VARIABLE = "NEUROKIT_SDR_DATA"


def fetch_example(name: str, *, progress: bool = True) -> xr.DataTree:
    """Fetch a published recording by name; :func:`examples` lists them.

    Its files are taken from the folder named by the environment variable ``NEUROKIT_SDR_DATA``,
    else from ``../shared/data`` beside a checkout of this package, else from the user's cache,
    else downloaded into that cache; in each case they must have the published sha256. A download
    that was cut off goes on where it stopped.

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
        A name in the index of :func:`examples`.
    progress
        Whether to show a bar while downloading.

    Returns
    -------
    xarray.DataTree
        As :func:`neurokit_sdr.io.read` returns it, with the groups of
        :data:`neurokit_sdr.core.schema.GROUPS`; ``attrs`` hold the licence, the citation and the
        addresses.

    Raises
    ------
    ParameterError
        If there is no example of that name.
    FileFormatError
        If a file's content is not the published one.
    MissingDependencyError
        If the recording's format needs a package that is not installed.
    NeurokitError
        If a file is neither at hand nor reachable.

    Warns
    -----
    DataWarning
        Before a download, where the authors state no licence.

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
    session = example.read(locate(example, progress=progress))
    session.attrs |= {
        "example": name,
        "licence": example.licence,
        "citation": example.citation,
        "addresses": [f.address for f in example.files],
    }
    return session


def examples() -> pd.DataFrame:
    """List the published recordings that :func:`fetch_example` knows.

    Returns
    -------
    pandas.DataFrame
        One row per example, its name as index: ``content``, ``megabytes`` to download,
        ``at_hand`` (whether its files are on this machine already), ``licence``, ``citation``,
        ``address`` of the first file.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.io.examples().loc["linear_track", "licence"]
    'MIT, copyright 2017 nelpy'
    """
    import pandas as pd

    rows = {
        name: {
            "content": example.content,
            "megabytes": round(sum(f.download_size for f in example.files) / 1e6, 1),
            "at_hand": _place_at_hand(example) is not None,
            "licence": example.licence,
            "citation": example.citation,
            "address": example.files[0].address,
        }
        for name, example in EXAMPLES.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("example")


def locate(example: Example, *, progress: bool = True) -> Path:
    """Return the folder that holds the example's files, checked; download what is missing."""
    place = _place_at_hand(example)
    if place is not None:
        for file in example.files:
            _check_content(place / file.name, file)
        return place
    place = cache_folder() / example.folder
    if not example.licensed:
        warn(
            f"{example.folder} is downloaded from {example.files[0].address}; its authors state no "
            f"licence ({example.licence}): use it for your own checks, do not pass it on, and cite "
            f"{example.citation}"
        )
    for file in example.files:
        target = place / file.name
        if target.is_file():
            _check_content(target, file)
        else:
            download(file, target, progress=progress)
    return place


def _place_at_hand(example: Example) -> Path | None:
    """The first folder in which none of the example's files is missing."""
    for folder in (*_local_folders(), cache_folder()):
        place = folder / example.folder
        if all((place / f.name).is_file() for f in example.files):
            return place
    return None


def _local_folders() -> list[Path]:
    folders = []
    if os.environ.get(FOLDER_VARIABLE):
        folders.append(Path(os.environ[FOLDER_VARIABLE]).expanduser())
    root = Path(__file__).resolve().parents[3]
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
    found = _sha256(path)
    if found != file.sha256:
        raise FileFormatError(
            f"Expected {path} with sha256 {file.sha256}, got {found}: it is not the published "
            f"file; delete it, and it is downloaded again from {file.address}."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(file: ExampleFile, target: Path, *, progress: bool = True) -> None:
    """Download one file; it appears at ``target`` only when it is whole and has its sha256.

    What arrives is kept in ``NAME.part`` until then, and a later call goes on from there.
    """
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        _receive(file, part, progress)
    except (urllib.error.URLError, OSError, ValueError) as error:
        kept = part.stat().st_size if part.exists() else 0
        if not kept:
            part.unlink(missing_ok=True)
        raise NeurokitError(
            f"Could not fetch {file.name} from {file.address} ({error}; {kept} of "
            f"{file.download_size} bytes are kept, and the next try goes on from there): connect "
            f"to the network, or download it by other means and name its folder's parent in the "
            f"environment variable {FOLDER_VARIABLE}."
        ) from error
    size, found = part.stat().st_size, _sha256(part)
    if size != file.download_size or found != file.download_sha256:
        part.unlink()
        raise FileFormatError(
            f"Expected {file.download_size} bytes with sha256 {file.download_sha256} at "
            f"{file.address}, got {size} bytes with {found}; nothing was kept. Try again."
        )
    if file.extract is None:
        os.replace(part, target)
        return
    with atomic_path(target) as temporary:
        temporary.write_bytes(file.extract.make(part))
        _check_content(temporary, file)
    part.unlink()


def _receive(file: ExampleFile, part: Path, progress: bool) -> None:
    """Append to ``part`` what is missing; never more than one block beyond the published size."""
    begun = part.stat().st_size if part.exists() else 0
    if begun > file.download_size:
        part.unlink()
        begun = 0
    if begun == file.download_size:
        return
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    request = urllib.request.Request(file.address, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as source:
        if begun and not _goes_on(source, begun):
            begun = 0  # the server sends the whole file, whatever was asked
        received = begun
        with (
            part.open("ab" if begun else "wb") as sink,
            progress_bar(file.download_size, f"download {file.name}", progress) as bar,
        ):
            bar.update(begun)
            while received <= file.download_size and (block := source.read(1 << 16)):
                received += len(block)
                sink.write(block)
                bar.update(len(block))


def _goes_on(source: Any, begun: int) -> bool:
    found = str(source.headers.get("Content-Range", ""))
    return source.status == 206 and found.startswith(f"bytes {begun}-")
