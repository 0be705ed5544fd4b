"""Reading and saving against the libraries underneath, in one run: spikes from NWB, netCDF, Zarr.

Prints ratios: how often as fast as the library (or as NumPy's own reading of the bytes) we are.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from _tools import HERE, peak_megabytes, print_table, run_json, versions, write_json
from make_environments import environment_is_current, environment_python

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_time

UNITS = 1000
SPIKES = 10_000_000
MEGABYTES = 400


def best(works: Sequence[Callable[[], Any]], repeats: int = 7) -> list[float]:
    """Seconds of the fastest run of each, taken in turn, so that all meet the same machine."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, taken in zip(works, times, strict=True):
            gc.collect()
            begun = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begun)
    return [min(taken) for taken in times]


def units_file(path: Path) -> None:
    """A recording of 1000 units with 10 million spikes, each unit on 4 of 384 electrodes."""
    import pynwb

    rng = np.random.default_rng(0)
    counts = rng.multinomial(SPIKES, rng.dirichlet(np.full(UNITS, 2.0)))
    file = pynwb.NWBFile("benchmark", "io", datetime(2024, 5, 1, tzinfo=UTC))
    device = file.create_device("probe")
    shank = file.create_electrode_group("shank", "a shank", "CA1", device)
    for k in range(384):
        file.add_electrode(x=0.0, y=20.0 * k, z=0.0, location="CA1", group=shank)
    file.add_unit_column("quality", "of the sorting")
    for k, number in enumerate(counts):
        file.add_unit(
            spike_times=np.sort(rng.uniform(0, 3600, number)),
            electrodes=[(k + i) % 384 for i in range(4)],
            quality="good" if k % 3 else "mua",
        )
    with pynwb.NWBHDF5IO(str(path), "w") as stream:
        stream.write(file)


def nwb(folder: Path) -> list[dict[str, Any]]:
    """Whole units table: ours, pynwb's arrays, pynwb's data frame, h5py's bare arrays."""
    import pynwb

    path = folder / "units.nwb"
    units_file(path)

    def bare() -> None:
        with h5py.File(path, "r") as file:
            file["units/spike_times"][()], file["units/spike_times_index"][()]

    def arrays() -> None:
        with pynwb.NWBHDF5IO(str(path), "r") as stream:
            units = stream.read().units
            units["spike_times"].target.data[:], units["spike_times"].data[:]

    def frame() -> None:
        with pynwb.NWBHDF5IO(str(path), "r") as stream:
            stream.read().units.to_dataframe()

    names = ("h5py, two arrays", "pynwb, two arrays", "pynwb, units.to_dataframe()")
    ours, *others = best(
        [lambda: nks.io.read(path)["/spikes/spike_time"].values, bare, arrays, frame]
    )
    rows = [
        {
            "what": f"{UNITS} units, {SPIKES} spikes, NWB",
            "against": name,
            "ours": ours,
            "theirs": theirs,
        }
        for name, theirs in zip(names, others, strict=True)
    ]
    return rows


def nwb_of_pynwb_2(folder: Path) -> list[dict[str, Any]]:
    """The same with every unit on a whole probe, against pynwb as users found it slow."""
    if not environment_is_current("pynwb_2"):
        print("no environment pynwb_2: run python benchmarks/make_environments.py pynwb_2")
        return []
    path = folder / "probe.nwb"
    found = run_json(environment_python("pynwb_2"), HERE / "peers" / "pynwb_units.py", str(path))
    (ours,) = best([lambda: nks.io.read(path)["/spikes/spike_time"].values])
    return [
        {
            "what": f"{UNITS} units on 384 electrodes each, {SPIKES} spikes, NWB",
            "against": f"pynwb {found['version']}, units.to_dataframe()",
            "ours": ours,
            "theirs": min(found["seconds"]),
        }
    ]


def signal() -> xr.Dataset:
    """A continuous recording of 64 channels."""
    size = MEGABYTES * 10**6 // (64 * 4)
    values = np.random.default_rng(0).normal(size=(size, 64)).astype(np.float32)
    return xr.Dataset(
        {"signal": (("time", "channel"), values)},
        coords=even_time(size, 1000.0),
    ).assign_coords(channel=[f"C{k}" for k in range(64)])


def whole_netcdf(data: xr.Dataset, path: Path) -> None:
    """As xarray writes it, and as safe as ours: a new file that takes the old one's place."""
    data.to_netcdf(path.with_suffix(".part"), engine="h5netcdf")
    os.replace(path.with_suffix(".part"), path)


def stores(folder: Path) -> list[dict[str, Any]]:
    """Saving and loading whole recordings, against xarray's own writers and readers."""
    data = signal()
    # The times are in neither file; ours are made when they are used, and xarray's copy has none.
    plain = data.drop_vars("time")
    rows = []
    for name, suffix, write, read in (
        (
            "netCDF",
            "nc",
            lambda path: whole_netcdf(plain, path),
            lambda path: xr.load_dataset(path, engine="h5netcdf"),
        ),
        (
            "Zarr",
            "zarr",
            lambda path: plain.to_zarr(path, zarr_format=3, consolidated=False, mode="w"),
            lambda path: xr.open_zarr(path, consolidated=False).load(),
        ),
    ):
        ours, theirs = folder / f"ours.{suffix}", folder / f"theirs.{suffix}"
        for what, our_work, their_work in (
            ("save", lambda o=ours: nks.save(data, o), lambda t=theirs, w=write: w(t)),
            (
                "load",
                lambda o=ours: nks.load(o).variables["signal"].load(),
                lambda t=theirs, r=read: r(t),
            ),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Zarr, about text of fixed width
                seconds = best([our_work, their_work])
            rows.append(
                {
                    "what": f"{what} {MEGABYTES} MB, {name}",
                    "against": "xarray",
                    "ours": seconds[0],
                    "theirs": seconds[1],
                }
            )
    return rows


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        rows = nwb(folder) + nwb_of_pynwb_2(folder) + stores(folder)
    finally:
        shutil.rmtree(folder)
    for row in rows:
        row["times as fast"] = row["theirs"] / row["ours"]
    headers = ["what", "against", "ours s", "theirs s", "times as fast"]
    print_table(headers, [list(row.values()) for row in rows])
    print(f"peak {peak_megabytes():.0f} MB")
    write_json(
        "io",
        {"versions": versions("h5py", "pynwb", "xarray", "zarr", "h5netcdf"), "rows": rows},
    )


if __name__ == "__main__":
    main()
