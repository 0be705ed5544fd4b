"""Every published recording at hand: read, held to the schema, and saved without loss."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from identical import assert_same

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import DataWarning
from neurokit_sdr.io.published.table import EXAMPLES

#: What nks.io.read opens with no options, below the data folder.
STANDARD = {
    "phy_nwb": "spikes/phy_nwb/A8604-211122.nwb",
    "suite2p": "calcium/suite2p",
    "kit": "meg/kit/test_bin_raw.fif",
    "elekta": "meg/elekta/test_elekta_3ch_raw.fif",
    "elekta_306": "meg/elekta/141027_cropped_90Hz_raw.fif",
    "evoked": "meg/evoked/test-ave.fif.gz",
    "dbs_ecog_bids": "seeg/dbs_ecog_bids",
    "hfo_bids": "seeg/hfo_bids",
    "ecog_seeg": "seeg/ecog_seeg/sample_ecog_ieeg.fif",
}
LAB_SPECIFIC = [n for n in EXAMPLES if n not in STANDARD]


@pytest.fixture(scope="module")
def read(data_folder):
    """A recording by name, read once; what its reader warns of is the subject of other tests."""
    known: dict[str, xr.DataTree] = {}
    patch = pytest.MonkeyPatch()
    patch.setenv("NEUROKIT_SDR_DATA", str(data_folder))

    def by_name(name: str) -> xr.DataTree:
        if name not in known:
            folder = data_folder / EXAMPLES[name].folder
            if not folder.exists():
                pytest.skip(f"{EXAMPLES[name].folder} is not in the data folder")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)
                if name in STANDARD:
                    known[name] = nks.io.read(data_folder / STANDARD[name])
                else:
                    known[name] = nks.io.fetch_example(name)
        return known[name]

    yield by_name
    patch.undo()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_group_follows_the_schema(read, name):
    session = read(name)
    assert isinstance(session, xr.DataTree)
    kinds = 0
    for node in session.subtree:
        data = node.to_dataset(inherit=False)
        schema.check_attrs(data)
        parts = node.path.strip("/").split("/")
        here = [k for k, group in schema.GROUPS.items() if group.strip("/") in parts]
        here = [k for k in here if k in schema.KINDS and data.variables]
        for kind in here:
            schema.check(data, kind)
            kinds += 1
    assert kinds or name == "connectome"


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_saved_and_loaded_it_is_the_same(read, name, suffix, tmp_path):
    session = read(name)
    nks.save(session, tmp_path / f"a.{suffix}")
    assert_same(session, nks.load(tmp_path / f"a.{suffix}"))


@pytest.mark.parametrize("name", [n for n, e in EXAMPLES.items() if e.folder[0] in "sc"])
def test_spikes_and_calcium_survive_nwb(read, name, tmp_path):
    session = read(name)
    groups = {n.path for n in session.subtree if n.variables}
    if not any(g.startswith(("/spikes", "/calcium")) for g in groups):
        pytest.skip("neither spikes nor calcium")
    nks.io.write_nwb(session, tmp_path / "a.nwb")
    back = nks.io.read(tmp_path / "a.nwb")
    for path in groups - {"/"}:
        ours, theirs = (t[path].to_dataset(inherit=False) for t in (session, back))
        xr.testing.assert_identical(ours, theirs)
    assert {k: session.attrs[k] for k in session.attrs} == {
        k: back.attrs.get(k) for k in session.attrs
    }


# -- what the files say, by other means -------------------------------------------------------


def test_place_cell_is_what_the_file_says(read, data_folder):
    import scipy.io

    theirs = scipy.io.loadmat(data_folder / "spikes/place_cells/spikes-1.mat")
    session = read("place_cells")
    assert np.array_equal(session["/spikes/spike_time"].values, theirs["spiketimes"].ravel())
    assert session["/spikes"].sizes["unit"] == 1
    assert session["/spikes"].attrs["t_stop"] == theirs["t"][-1, 0]
    position = session["/behavior/position"]
    assert np.array_equal(position.values, theirs["X"].ravel())
    assert np.array_equal(position["time"].values, theirs["t"].ravel())
    assert position.attrs["units"] == "cm"


def test_reach_counts_are_what_the_file_says(read, data_folder):
    import scipy.io

    theirs = scipy.io.loadmat(data_folder / "spikes/reach_counts/ex1_spikecounts.mat")["D"][0]
    counts = read("reach_counts")["/counts"].to_dataset()
    assert counts.sizes == {"trial": 210, "time": 400, "unit": 61, "rgb": 3}
    assert counts["count"].dtype == np.uint8
    assert counts.attrs["bin_size"] == 0.001
    for k, trial in enumerate(theirs):
        assert np.array_equal(counts["count"].values[k].T, trial["data"])
        assert counts["condition"].values[k] == trial["condition"][0]
    assert np.unique(counts["condition"].values, return_counts=True)[1].tolist() == [30] * 7
    assert schema.select(read("reach_counts"), "counts").identical(counts)


def test_lorenz_is_what_the_file_says(read, data_folder):
    import h5py

    counts = read("lorenz")["/counts"].to_dataset()
    with h5py.File(data_folder / "spikes/lorenz/lfads_lorenz.h5") as theirs:
        for part, number in (("train", 640), ("valid", 160)):
            ours = counts.isel(trial=np.flatnonzero(counts["split"].values == part))
            assert ours.sizes["trial"] == number
            for name, key in (("count", "data"), ("rate", "truth"), ("latent", "lowd")):
                assert np.array_equal(ours[name].values, theirs[f"{part}_{key}"][()])
            assert np.array_equal(ours["trial"].values, theirs[f"{part}_inds"][()])
    assert sorted(counts["trial"].values) == list(range(800))
    # Rates are in Hz: with bins of 10 ms they make as many spikes as there are.
    expected = float(counts["rate"].mean()) * counts.attrs["bin_size"]
    error = np.sqrt(expected / counts["count"].size)  # standard error of a Poisson mean
    assert abs(float(counts["count"].mean()) - expected) < 5 * error
    for _, group in counts[["rate", "latent"]].groupby("condition"):
        assert np.ptp(group["rate"].values, axis=0).max() == 0
        assert np.ptp(group["latent"].values, axis=0).max() == 0


def test_connectome_is_what_the_file_says(read, data_folder):
    import h5py

    wiring = read("connectome")["/connectome"].to_dataset()
    with h5py.File(data_folder / "connectome/aconnectome_default.h5") as theirs:
        assert np.array_equal(wiring["chemical_synapses"].values, theirs["chem"][()])
        assert np.array_equal(wiring["gap_junctions"].values, theirs["gap"][()])
    names = wiring["target"].values.tolist()
    assert names == sorted(names)
    assert len(set(names)) == 300
    # Well known: the interneuron AVA drives the motor neurons VA and DA, not the other way round.
    chemical = wiring["chemical_synapses"]
    ava = ["AVAL", "AVAR"]
    motor = [n for n in names if n[:2] in ("VA", "DA") and n[2:].isdigit()]
    forth = float(chemical.sel(source=ava, target=motor).sum())
    assert forth > 10 * float(chemical.sel(source=motor, target=ava).sum())
    # and gap junctions have no direction.
    gap = wiring["gap_junctions"].values
    assert np.array_equal(gap, gap.T)


def test_phy_nwb_is_what_pynwb_says(read, data_folder):
    import pynwb

    spikes = read("phy_nwb")["/spikes"].to_dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = pynwb.NWBHDF5IO(str(data_folder / STANDARD["phy_nwb"]), "r")
        file = stream.read()
    with stream:
        assert spikes["unit"].values.tolist() == file.units.id[:].tolist()
        for k in range(len(file.units)):
            ours = spikes["spike_time"].values[spikes["spike_unit"].values == k]
            assert np.array_equal(ours, file.units["spike_times"][k])
        named = [g.name for g in file.units["electrode_group"][:]]
        assert spikes["electrode_group"].values.tolist() == named
        for column in ("location", "group"):
            assert spikes[column].values.tolist() == list(file.units[column][:])
        epochs = read("phy_nwb")["/epochs"].to_dataset()
        for column in ("start_time", "stop_time"):
            assert epochs[column].values.tolist() == file.epochs[column][:].tolist()
        tags = [", ".join(file.epochs["tags"][k]) for k in range(len(file.epochs))]
        assert epochs["tags"].values.tolist() == tags
        electrodes = read("phy_nwb")["/electrodes"].to_dataset()
        assert electrodes["electrode"].values.tolist() == file.electrodes.id[:].tolist()
        assert electrodes.sizes["electrode"] == 383
        assert set(electrodes.data_vars) == set(file.electrodes.colnames)
        for column in ("x", "y", "z", "imp", "location", "filtering", "group_name"):
            assert np.array_equal(electrodes[column].values, file.electrodes[column][:])
        groups = [g.name for g in file.electrodes["group"][:]]
        assert electrodes["group"].values.tolist() == groups


def test_phy_nwb_written_again_is_the_same_to_pynwb(read, data_folder, tmp_path):
    import pynwb

    nks.io.write_nwb(read("phy_nwb"), tmp_path / "a.nwb")
    tables = []
    for path in (data_folder / STANDARD["phy_nwb"], tmp_path / "a.nwb"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream = pynwb.NWBHDF5IO(str(path), "r")
            file = stream.read()
        with stream:
            table = file.electrodes.to_dataframe()
            table["group"] = [g.name for g in table["group"]]
            groups = [g.name for g in file.units["electrode_group"][:]]
            tables.append((table[sorted(table)], groups, list(file.electrode_groups)))
    (one, *others), (two, *again) = tables
    assert one.equals(two)
    assert others == again
