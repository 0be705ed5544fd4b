"""Files that other laboratories write with pynwb."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, settings

import neurokit_sdr as nks


def groups_of(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    # A node that only leads to other nodes holds nothing that a file could keep.
    found = {n.path: n.to_dataset(inherit=False) for n in tree.subtree if n.path != "/"}
    return {k: v for k, v in found.items() if v.variables or v.attrs}


def nwb_file():
    import pynwb

    return pynwb.NWBFile("a session", "id", datetime(2024, 1, 1, tzinfo=UTC))


def write(file, path: Path) -> Path:
    import pynwb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb's own opinions about this test's files
        with pynwb.NWBHDF5IO(str(path), "w") as stream:
            stream.write(file)
    return path


def units_file(tmp_path: Path, times: list, **options) -> Path:
    file = nwb_file()
    for k, t in enumerate(times):
        file.add_unit(
            spike_times=np.asarray(t, dtype=float), **{n: v[k] for n, v in options.items()}
        )
    return write(file, tmp_path / "units.nwb")


FILE_SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


#: What pynwb says itself of the files that these tests make wrong on purpose.
SAID = pytest.mark.filterwarnings(
    "ignore:The linked table for DynamicTableRegion", "ignore:.*The second dimension of data"
)


def recorded(**columns):
    """A file with four electrodes on two probes, and an object to make series of them with."""
    file = nwb_file()
    device = file.create_device("probe", description="silicon")
    groups = [file.create_electrode_group(f"probe{k}", "d", "CA1", device) for k in range(2)]
    for name in columns:
        file.add_electrode_column(name, "given")
    for k in range(4):
        more = {name: values[k] for name, values in columns.items()}
        file.add_electrode(
            x=0.0, y=20.0 * k, z=float("nan"), location=f"L{k}", group=groups[k // 2], **more
        )
    return file


def same(one: xr.DataTree, other: xr.DataTree) -> None:
    """Every group is identical, to the dtype; NWB adds metadata to the root."""
    assert set(one.groups) == set(other.groups)
    assert one.attrs.items() <= other.attrs.items()
    for group in one.groups:
        if group == "/":
            continue
        a, b = (tree[group].to_dataset(inherit=False) for tree in (one, other))
        xr.testing.assert_identical(a, b)
        for name in a.variables:
            if a[name].dtype.kind not in "UTO":
                assert a[name].dtype == b[name].dtype, name


def planes(n_frames: int = 30) -> xr.DataTree:
    """Two planes with regions of interest, as a reader of suite2p gives them."""
    tree = {}
    for k in range(2):
        light = np.arange(n_frames * 3, dtype=np.float32).reshape(n_frames, 3) + k
        data = nks.io.from_fluorescence(light, sampling_rate=10.0 + k, unit=["a", "é", "c"])
        data = data.assign(neuropil=data["fluorescence"] / 2)
        data = data.assign_coords(is_cell=("unit", [True, False, True]))
        tree[f"/calcium/plane{k}"] = data.assign_attrs(indicator="GCaMP6f")
        pixel = np.array([2, 0, 0, 2])
        place = {"units": "pixel"}
        tree[f"/rois/plane{k}"] = xr.Dataset(
            {
                "pixel_unit": ("pixel", pixel),
                "pixel_y": ("pixel", pixel + 1, place),
                "pixel_x": ("pixel", pixel + 5, place),
                "pixel_weight": ("pixel", np.array([0.1, 0.2, 0.3, 0.4])),
            },
            {"unit": data["unit"]},
            {"height": 20, "width": 30},
        )
    return xr.DataTree.from_dict(tree)


def complaints(path: Path) -> list[str]:
    """What the NWB inspector finds that is critical or against best practice."""
    inspector = pytest.importorskip("nwbinspector")
    import pynwb

    assert not pynwb.validate(path=str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says of its own options
        found = list(inspector.inspect_nwbfile(nwbfile_path=str(path)))
    return [
        f"{m.check_function_name}: {m.message}"
        for m in found
        if m.importance.name != "BEST_PRACTICE_SUGGESTION"
    ]


def opened(path: Path):
    import pynwb

    return pynwb.NWBHDF5IO(str(path), "r")


def signal_of(names: list[str], kinds: list[str]) -> xr.Dataset:
    n = len(names)
    return xr.Dataset(
        {"signal": (("time", "channel"), np.arange(4.0 * n).reshape(4, n), {"units": "V"})},
        coords={
            "time": ("time", np.arange(4) / 8, {"units": "s"}),
            "channel": names,
            "channel_type": ("channel", kinds),
            "channel_unit": ("channel", ["V"] * n),
            "x": ("channel", np.arange(n) / 1000, {"units": "m"}),
            "coord_frame": ((), "mri"),
        },
    )
