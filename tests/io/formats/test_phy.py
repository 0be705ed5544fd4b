"""Phy and Kilosort: what comes back is what the folder holds, and nothing in it is executed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core.errors import DataWarning, FileFormatError


def phy_folder(
    folder: Path, parameters: str = "sample_rate = 30000.\nhp_filtered = False\n"
) -> Path:
    """Three clusters; the third (9) came from merging templates 1 and 2."""
    folder.mkdir(exist_ok=True)
    (folder / "params.py").write_text(parameters)
    np.save(folder / "spike_times.npy", np.array([[30], [3000], [6000], [9000], [30000]], "u8"))
    np.save(folder / "spike_clusters.npy", np.array([9, 0, 9, 9, 0], "i4"))
    np.save(folder / "spike_templates.npy", np.array([1, 0, 2, 2, 0], "u4"))
    np.save(folder / "amplitudes.npy", np.arange(5.0))
    np.save(folder / "channel_positions.npy", np.array([[0.0, 10.0], [16.0, 30.0], [0.0, 50.0]]))
    np.save(folder / "channel_map.npy", np.array([[4], [5], [6]]))
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n7\tnoise\n")
    (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n0\tmua\n7\tmua\n9\tmua\n")
    return folder


def test_phy_folder(tmp_path):
    folder = phy_folder(tmp_path / "phy")
    shapes = np.zeros((3, 4, 3), np.float32)
    shapes[0, :, 0], shapes[1, :, 1], shapes[2, :, 2] = (np.arange(4),) * 3
    np.save(folder / "templates.npy", shapes)
    with pytest.warns(DataWarning, match=r"templates\.npy"):
        tree = nks.io.read_spikes(folder)
    spikes = tree["/spikes"].to_dataset()
    assert spikes["unit"].values.tolist() == [0, 7, 9]
    assert spikes["spike_time"].values.tolist() == [0.1, 1.0, 0.001, 0.2, 0.3]
    assert spikes["spike_unit"].values.tolist() == [0, 0, 2, 2, 2]
    assert spikes["spike_amplitude"].values.tolist() == [1.0, 4.0, 0.0, 2.0, 3.0]
    assert spikes["spike_template"].values.tolist() == [0, 0, 1, 2, 2]
    assert spikes["quality"].values.tolist() == ["good", "noise", "mua"]
    assert spikes["KSLabel"].values.tolist() == ["mua", "mua", "mua"]
    assert spikes["peak_channel"].values.tolist() == [4, -1, 6]
    np.testing.assert_allclose(spikes["y"].values, [10e-6, np.nan, 50e-6])
    assert spikes["y"].attrs["units"] == "m"
    assert "micrometres" in spikes["y"].attrs["comment"]
    assert tree["/electrodes/y"].values.tolist() == [10.0, 30.0, 50.0]
    assert "last spike" in spikes.attrs["t_stop_source"]
    assert tree.attrs["sampling_rate"] == 30000.0


def test_phy_takes_the_length_of_a_raw_file_in_the_folder_only(tmp_path):
    text = "sample_rate = 30000\nn_channels_dat = 2\ndtype = 'int16'\ndat_path = {!r}\n"
    folder = phy_folder(tmp_path / "phy", text.format("raw.bin"))
    (folder / "raw.bin").write_bytes(bytes(2 * 2 * 60000))
    assert nks.io.read_spikes(folder)["/spikes"].attrs["t_stop"] == 2.0
    (tmp_path / "raw.bin").write_bytes(bytes(2 * 2 * 60000))
    (folder / "params.py").write_text(text.format("../raw.bin"))
    assert nks.io.read_spikes(folder)["/spikes"].attrs["t_stop"] == 1.0


def test_phy_depth_becomes_metres_and_labels_may_be_missing(tmp_path):
    folder = phy_folder(tmp_path / "phy")
    (folder / "cluster_info.tsv").write_text("cluster_id\tdepth\tn_spikes\n0\t120\t2\n9\t40.5\t3\n")
    for name in ("cluster_group.tsv", "cluster_KSLabel.tsv", "channel_positions.npy"):
        (folder / name).unlink()
    spikes = nks.io.read_spikes(folder)["/spikes"]
    np.testing.assert_allclose(spikes["depth"].values, [120e-6, 40.5e-6])
    assert spikes["quality"].values.tolist() == ["unsorted", "unsorted"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import os\nos.system('touch {0}')\nsample_rate = 30000.\n", "code in line 1"),
        ("sample_rate = __import__('pathlib').Path('{0}').touch() or 3e4\n", "code in line 1"),
        ("dat_path = 'a'\nsample_rate = eval('1')\n", "code in line 2"),
        ("sample_rate = (\n", "NAME = value"),
        ("dtype = 'int16'\n", "sample_rate"),
        ("sample_rate = 0\n", "sample_rate > 0"),
        ("sample_rate = '30000'\n", "sample_rate > 0"),
    ],
)
def test_phy_parameters_are_never_executed(tmp_path, text, says):
    trap = tmp_path / "sprung"
    folder = phy_folder(tmp_path / "phy", text.format(trap))
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_spikes(folder)
    assert not trap.exists()


def test_phy_refuses_damaged_folders(tmp_path):
    folder = phy_folder(tmp_path / "phy")
    np.save(folder / "spike_clusters.npy", np.array([0, 1]))
    with pytest.raises(FileFormatError, match="one cluster per spike"):
        nks.io.read_spikes(folder)
    np.save(folder / "spike_clusters.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(FileFormatError, match="pickles and not opened"):
        nks.io.read_spikes(folder)
    phy_folder(folder)
    np.save(folder / "spike_times.npy", np.array([30, 20, 10, 5, 1]))
    with pytest.raises(FileFormatError, match=r"unit 0 .*sort"):
        nks.io.read_spikes(folder)
    (folder / "params.py").unlink()
    with pytest.raises(FileFormatError, match=r"params\.py"):
        nks.io.read_spikes(folder)
    with pytest.raises(FileFormatError, match="give the folder"):
        nks.io.read_spikes(folder / "spike_times.npy")
