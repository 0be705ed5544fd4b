"""minian: what comes back is what the stores hold, and what cannot be read says why."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from calcium_files import minian_stores

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError, MissingDependencyError


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
def test_minian(tmp_path, zarr_format):
    folder = minian_stores(tmp_path / "minian", zarr_format)
    with pytest.warns(DataWarning, match=r"note\.txt; varr \(a movie\)"):
        session = nks.io.read_calcium(folder, sampling_rate=20.0)
    data = session["/calcium"].to_dataset()
    trace = np.arange(60.0).reshape(2, 30)
    assert data["unit"].values.tolist() == [3, 7]
    assert np.array_equal(data["fluorescence"].values, trace.T + 0.5)
    assert np.array_equal(data["denoised"][3:7, 1].values, trace[1, 3:7])
    assert data["deconvolved"][4].values.tolist() == [1, 1]
    assert not isinstance(data["denoised"].variable._data, np.ndarray)
    assert even_clock(data) == (0.0, 20.0)
    assert data.attrs == {"animal": "m1", "session": "day 2", "sampling_rate": 20.0}
    masks = nks.io.roi_masks(session)
    assert masks.dims == ("unit", "y", "x")
    assert masks.sel(unit=7).values.tolist() == np.arange(20.0, 40).reshape(4, 5).tolist()
    assert session["/minian/b"].dims == ("height", "width")
    assert session["/minian/f"].values.sum() == 30
    copy = pickle.loads(pickle.dumps(data))
    assert np.array_equal(copy["fluorescence"].values, trace.T + 0.5)


@pytest.mark.filterwarnings("ignore:minian also holds")
@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
def test_frames_of_minian_need_not_begin_at_0_nor_follow_one_another(tmp_path):
    late = minian_stores(tmp_path / "late" / "minian", 2, np.arange(10, 40))
    data = nks.io.read_calcium(late, sampling_rate=10.0)["/calcium"]
    assert data["time"].values[0] == 1.0
    assert data["frame"].values[0] == 10
    gaps = np.arange(30) * 2
    gappy = minian_stores(tmp_path / "gaps" / "minian", 2, gaps)
    data = nks.io.read_calcium(gappy, sampling_rate=10.0)["/calcium"]
    assert data["time"].values.tolist() == (gaps / 10.0).tolist()
    with pytest.warns(DataWarning, match="time counts frames"):
        data = nks.io.read_calcium(gappy)["/calcium"]
    assert data["time"].values.tolist() == gaps.tolist()
    back = minian_stores(tmp_path / "back" / "minian", 2, np.arange(30)[::-1])
    with pytest.raises(FileFormatError, match="rising numbers of frames"):
        nks.io.read_calcium(back)


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
def test_unsafe_and_damaged_minian(tmp_path):
    def changed(name: str, **meta) -> Path:
        folder = minian_stores(tmp_path / name / "minian", 2)
        place = folder / "C.zarr" / "C" / ".zarray"
        place.write_text(json.dumps(json.loads(place.read_text()) | meta))
        return folder

    with pytest.raises(FileFormatError, match=r"codecs \['pickle'\].*can run code"):
        nks.io.read_calcium(changed("pickle", dtype="|O", filters=[{"id": "pickle"}]))
    with pytest.raises(FileFormatError, match="smaller chunks"):
        nks.io.read_calcium(changed("huge", shape=[10**9, 10**9], chunks=[10**6, 10**6]))
    with pytest.raises(FileFormatError, match="damaged"):
        nks.io.read_calcium(changed("wrong", chunks="x"))
    folder = minian_stores(tmp_path / "link" / "minian", 2)
    (folder / "A.zarr" / "A" / "0.0.0").unlink()
    (folder / "A.zarr" / "A" / "0.0.0").symlink_to("/etc/hostname")
    with pytest.raises(FileFormatError, match="leads out"):
        nks.io.read_calcium(folder)


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_minian_that_claims_what_it_does_not_hold_is_refused(tmp_path, zarr_format):
    folder = minian_stores(tmp_path, zarr_format)
    array = next(
        p for p in sorted(folder.rglob(".zarray" if zarr_format == 2 else "zarr.json"))
        if len(json.loads(p.read_text()).get("shape", [])) == 3
    )  # fmt: skip
    meta = json.loads(array.read_text())
    meta["shape"][0] = 10**12
    array.write_text(json.dumps(meta))
    with pytest.raises(FileFormatError, match="claims"):
        nks.io.read(folder)


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize("codec", ["Blosc", "LZ4", "Zstd"])
def test_chunks_that_say_they_unpack_to_gigabytes_are_refused(tmp_path, codec):
    import numcodecs
    import zarr

    folder = minian_stores(tmp_path, 2)
    place = folder / "C.zarr" / "C"
    values = zarr.open_array(str(place), mode="r")[:]
    shutil.rmtree(place)
    kept = zarr.create_array(
        str(place),
        shape=values.shape,
        chunks=values.shape,
        dtype=values.dtype,
        zarr_format=2,
        compressors=getattr(numcodecs, codec)(),
        attributes={"_ARRAY_DIMENSIONS": ["unit_id", "frame"]},
    )
    kept[:] = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # of the rate, and of a movie
        found = nks.io.read(folder)["calcium"]["denoised"].transpose("unit", "time")
    np.testing.assert_array_equal(found.values, values)
    (chunk,) = (p for p in place.iterdir() if p.name.startswith("0"))
    content = bytearray(chunk.read_bytes())
    if codec == "Zstd":  # a frame of one segment whose length takes eight bytes
        content = content[:4] + bytes([0b11100000]) + (2**40).to_bytes(8, "little") + content[5:]
    else:
        start = 4 if codec == "Blosc" else 0
        content[start : start + 4] = (2**31).to_bytes(4, "little")
    chunk.write_bytes(content)
    with pytest.raises(FileFormatError, match="says that it unpacks to"):
        nks.io.read_calcium(folder)


def test_minian_without_zarr_names_the_extra(tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        folder = minian_stores(tmp_path / "minian", 2)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingDependencyError, match=r"neurokit-sdr\[zarr\]"):
        nks.io.read_calcium(folder)
