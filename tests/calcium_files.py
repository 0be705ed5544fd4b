"""Small files of every program for calcium imaging, and what is the same as what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
import pytest
import scipy.sparse
import xarray as xr
from hypothesis import HealthCheck, settings

FILE_SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def same(one: xr.DataTree | xr.Dataset, other: xr.DataTree | xr.Dataset) -> None:
    """Both are identical, to the dtype."""
    if isinstance(one, xr.DataTree):
        assert set(one.groups) == set(other.groups)
        for group in one.groups:
            same(one[group].to_dataset(inherit=False), other[group].to_dataset(inherit=False))
        return
    xr.testing.assert_identical(one, other)
    for name in one.variables:
        if one[name].dtype.kind not in "UTO":
            assert one[name].dtype == other[name].dtype, name


def roi(*pixels: tuple[int, int], **more) -> dict:
    place = np.array(pixels).reshape(-1, 2)
    return {
        "ypix": place[:, 0],
        "xpix": place[:, 1],
        "lam": np.linspace(0.5, 1.0, len(place), dtype=np.float32),
        "med": [int(np.median(place[:, 0])), int(np.median(place[:, 1]))],
        "npix": len(place),
        "radius": 1.5,
        "skew": np.float32(0.25),
        "overlap": np.zeros(len(place), dtype=bool),
        "neuropil_mask": np.arange(len(place) + 2),
    } | more


def suite2p_plane(folder: Path, n_frames: int = 40, scale: float = 1.0, **ops) -> Path:
    """A plane as suite2p leaves it: three regions, settings, pictures, a registered movie."""
    folder.mkdir(parents=True)
    light = np.arange(3 * n_frames, dtype=np.float32).reshape(3, n_frames) * scale
    for k, name in enumerate(("F", "Fneu", "spks")):
        np.save(folder / f"{name}.npy", light + 1000 * k)
    np.save(folder / "iscell.npy", np.array([[1, 0.9], [0, 0.1], [1, 0.6]]))
    stat = np.array(
        [roi((1, 2), (1, 3), (2, 3)), roi((5, 5), (5, 6)), roi((7, 0), (7, 1), (6, 1), (5, 1))]
    )
    np.save(folder / "stat.npy", stat, allow_pickle=True)
    settings_ = {
        "fs": 10.0,
        "tau": 1.25,
        "neucoeff": 0.7,
        "nplanes": 1,
        "Ly": 9,
        "Lx": 8,
        "meanImg": np.arange(72, dtype=np.float32).reshape(9, 8),
        "max_proj": np.ones((7, 6), dtype=np.float32),
        "xoff": np.arange(n_frames),
        "yrange": [1, 8],
        "date_proc": datetime(2024, 5, 1, tzinfo=UTC),
        "save_path": PurePosixPath("/data/é"),
        "do_registration": True,
        "nothing": None,
        "filelist": ["a.tif", "b.tif"],
        "classification": {"threshold": 0.5},
    }
    np.save(folder / "ops.npy", settings_ | ops, allow_pickle=True)  # type: ignore[arg-type]
    return folder


def caiman_file(path: Path, **changes) -> Path:
    """What CaImAn's save_dict_to_hdf5 makes of an analysis of 3 components over 4 x 5 pixels."""
    trace = np.arange(3 * 50, dtype=np.float64).reshape(3, 50)
    footprints = scipy.sparse.csc_matrix(np.zeros((20, 3)))
    footprints = scipy.sparse.lil_matrix((20, 3))
    footprints[1, 0], footprints[2, 0], footprints[9, 1], footprints[19, 2] = 0.5, 1.5, 1, 2
    values = {
        "dims": (4, 5),
        "estimates/A": footprints.tocsc(),
        "estimates/C": trace,
        "estimates/YrA": trace / 8,
        "estimates/S": trace * 0,
        "estimates/F_dff": trace * 2,
        "estimates/R": None,
        "estimates/b": np.ones((20, 2)),
        "estimates/f": np.ones((2, 50)),
        "estimates/Cn": np.ones((4, 5)),
        "estimates/dims": (4, 5),
        "estimates/idx_components": np.array([0, 2]),
        "estimates/idx_components_bad": np.array([1]),
        "estimates/SNR_comp": np.array([3.0, 1.0, 4.0]),
        "estimates/cnn_preds": None,
        "params/data/fr": 15.0,
        "params/data/decay_time": 0.4,
        "params/data/fnames": "movie.tif",
        "params/init/gSig": [4, 4],
        "params/init/normalize": True,
    } | changes
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            if scipy.sparse.issparse(value):
                for part in ("data", "indices", "indptr", "shape"):
                    file[f"{name}/{part}"] = getattr(value, part)
            elif value is None:
                file[name] = "NoneType"
            elif value is not ...:
                file[name] = value
    return path


def minian_stores(folder: Path, zarr_format: int, frames=None) -> Path:
    zarr = pytest.importorskip("zarr")
    assert zarr
    coords = {
        "unit_id": [3, 7],
        "frame": np.arange(30) if frames is None else frames,
        "height": np.arange(4),
        "width": np.arange(5),
        "animal": "m1",
        "session": "day 2",
    }
    trace = np.arange(60.0).reshape(2, 30)
    arrays = {
        "A": (("unit_id", "height", "width"), np.arange(40.0).reshape(2, 4, 5)),
        "C": (("unit_id", "frame"), trace),
        "S": (("unit_id", "frame"), trace * 0 + 1),
        "YrA": (("unit_id", "frame"), trace + 0.5),
        "b": (("height", "width"), np.ones((4, 5))),
        "f": (("frame",), np.ones(30)),
        "varr": (("frame", "height", "width"), np.ones((30, 4, 5), np.uint8)),
    }
    for name, (dims, values) in arrays.items():
        kept = {k: v for k, v in coords.items() if k in dims or k in ("animal", "session")}
        one = xr.Dataset({name: (dims, values)}, kept)
        one.to_zarr(folder / f"{name}.zarr", zarr_format=zarr_format, consolidated=False)
    (folder / "note.txt").write_text("x")
    return folder


def inscopix(path: Path, *rows: str, names=" , C00, C01", status=None) -> Path:
    status = status or "Time(s)/Cell Status, accepted, undecided"
    path.write_text("\n".join([names, status, *rows]) + "\n", encoding="utf-8")
    return path
