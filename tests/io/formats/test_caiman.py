"""CaImAn: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.sparse
from calcium_files import caiman_file

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError, NeurokitError


def test_caiman(tmp_path):
    path = caiman_file(tmp_path / "analysis.hdf5")
    session = nks.io.read_calcium(path)
    data = session["/calcium"].to_dataset()
    trace = np.arange(150.0).reshape(3, 50)
    assert data["fluorescence"].dims == ("time", "unit")
    assert not isinstance(data["fluorescence"].variable._data, np.ndarray)
    assert np.array_equal(data["fluorescence"].values, (trace + trace / 8).T)
    assert np.array_equal(data["denoised"][3:5, 1:].values, trace.T[3:5, 1:])
    assert np.array_equal(data["residual"].values, trace.T / 8)
    assert np.array_equal(data["dff"].values, trace.T * 2)
    assert data["deconvolved"].values.sum() == 0
    assert data["fluorescence"].attrs["name_in_file"] == "C + YrA"
    assert even_clock(data) == (0.0, 15.0)
    assert data["is_cell"].values.tolist() == [True, False, True]
    assert data["SNR_comp"].values.tolist() == [3, 1, 4]
    assert "cnn_preds" not in data.variables
    rois = session["/rois"].to_dataset()
    # Pixel 9 of 4 x 5, columns first, is row 1 of column 2.
    assert rois["pixel_y"].values.tolist() == [1, 2, 1, 3]
    assert rois["pixel_x"].values.tolist() == [0, 0, 2, 4]
    assert rois["pixel_weight"].values.tolist() == [0.5, 1.5, 1, 2]
    assert rois.attrs == {"height": 4, "width": 5}
    assert data["roi_y"].values.tolist() == [1.75, 1, 3]
    masks = nks.io.roi_masks(session)
    with h5py.File(path) as file:
        parts = [file[f"estimates/A/{n}"][:] for n in ("data", "indices", "indptr")]
    dense = scipy.sparse.csc_matrix(tuple(parts), (20, 3)).toarray()
    assert np.array_equal(masks.values, dense.T.reshape(3, 5, 4).transpose(0, 2, 1))
    assert np.array_equal(masks[1:, 1:3, ::2].values, masks.values[1:, 1:3, ::2])
    rest = session["/caiman"].to_dataset()
    assert rest.attrs["params.data.decay_time"] == 0.4
    assert rest.attrs["params.data.fnames"] == "movie.tif"
    assert rest.attrs["params.init.gSig"] == [4, 4]
    assert rest.attrs["params.init.normalize"] == 1
    assert rest["Cn"].dims == ("y", "x")
    assert rest["b"].shape == (20, 2)


def test_caiman_with_less(tmp_path):
    path = caiman_file(
        tmp_path / "a.hdf5",
        **{
            "estimates/YrA": None,
            "estimates/F_dff": None,
            "estimates/S": np.zeros((3, 49)),
            "estimates/idx_components": None,
            "params/data/fr": None,
            "estimates/A": np.zeros((20, 3)),
        },
    )
    with pytest.warns(DataWarning) as caught:
        session = nks.io.read_calcium(path)
    text = " ".join(str(w.message) for w in caught)
    assert "estimates/S (shape (3, 49), not (3, 50))" in text
    assert "estimates/A" in text
    assert "time counts frames" in text
    data = session["/calcium"].to_dataset()
    assert set(data.data_vars) == {"fluorescence"}
    assert "residual YrA" in data["fluorescence"].attrs["long_name"]
    assert "is_cell" not in data.variables
    assert "rois" not in session.children


def test_caiman_of_a_volume(tmp_path):
    footprints = scipy.sparse.lil_matrix((24, 3))
    footprints[np.ravel_multi_index((1, 2, 1), (2, 4, 3), order="F"), 1] = 2.0
    path = caiman_file(
        tmp_path / "a.hdf5",
        dims=(2, 4, 3),
        **{"estimates/dims": (2, 4, 3), "estimates/A": footprints.tocsc()},
    )
    session = nks.io.read_calcium(path)
    place = [int(session[f"/rois/pixel_{a}"].values[0]) for a in "yxz"]
    assert place == [1, 2, 1]
    masks = nks.io.roi_masks(session)
    assert masks.shape == (3, 2, 4, 3)
    assert masks.values[1, 1, 2, 1] == 2.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"estimates/C": None}, "before components were found"),
        ({"estimates/C": np.zeros(3)}, r"estimates/C \(component, frame\)"),
        ({"estimates/idx_components": np.array([3])}, "below 3.*3 to 3"),
        ({"estimates/dims": (4, 6)}, r"over \(4, 6\) pixels"),
    ],
)
def test_damaged_caiman(tmp_path, changes, says):
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_calcium(caiman_file(tmp_path / "a.hdf5", **changes))


def test_hdf5_that_claims_more_than_it_holds(tmp_path):
    path = caiman_file(tmp_path / "a.hdf5")
    with h5py.File(path, "a") as file:
        del file["estimates/C"]
        file.create_dataset("estimates/C", (10**6, 10**6), "f4", chunks=(100, 100))
    with pytest.raises(FileFormatError, match=r"claims 4,000,000,000,000 bytes.*holds 0"):
        nks.io.read_calcium(path)
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["estimates"] = h5py.ExternalLink("a.hdf5", "/estimates")
    with pytest.raises(NeurokitError):
        nks.io.read_calcium(tmp_path / "b.hdf5")
