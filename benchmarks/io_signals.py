"""Reading whole recordings of MEG and EEG: throughput against MNE, in one run.

    python benchmarks/io_signals.py

Each file is made here, read once by either so that it lies in the system's cache, then read in
turns; the best of each counts. Both open the file anew and end with every sample in memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne
import numpy as np
from _tools import print_table, versions, write_json

import neurokit_sdr as nks

RATE = 1000.0
CHANNELS = 64
TURNS = 7


def make_files(folder: Path, seconds: int) -> dict[str, tuple[Path, Callable[..., Any]]]:
    """One recording as FIF, EDF and BrainVision, and MNE's reader of each."""
    samples = int(seconds * RATE)
    counts = np.random.default_rng(0).integers(-3000, 3000, (samples, CHANNELS), dtype=np.int16)
    names = [f"EEG{k:03d}" for k in range(CHANNELS)]
    info = mne.create_info(names, RATE, "eeg")
    raw = mne.io.RawArray(counts.T * 1e-7, info, verbose="ERROR")
    fif, edf, header = folder / "x_raw.fif", folder / "x.edf", folder / "x.vhdr"
    raw.save(fif, verbose="ERROR")
    mne.export.export_raw(edf, raw, verbose="ERROR")
    header.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        "DataFile=x.eeg\nMarkerFile=x.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={CHANNELS}\nSamplingInterval={1e6 / RATE:g}\n[Binary Infos]\n"
        "BinaryFormat=INT_16\n[Channel Infos]\n"
        + "".join(f"Ch{k + 1}={name},,0.1,uV\n" for k, name in enumerate(names))
    )
    (folder / "x.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        "DataFile=x.eeg\n[Marker Infos]\nMk1=Stimulus,S  1,2000,1,0\n"
    )
    counts.tofile(folder / "x.eeg")
    return {
        "FIF": (fif, mne.io.read_raw_fif),
        "EDF": (edf, mne.io.read_raw_edf),
        "BrainVision": (header, mne.io.read_raw_brainvision),
    }


def compare(path: Path, reader: Callable[..., Any]) -> dict[str, float]:
    """Seconds of either, and the largest difference between their values in V."""

    def open_theirs() -> Any:
        return reader(path, preload=False, verbose="ERROR")

    def open_ours() -> Any:
        return nks.io.read(path)

    def theirs() -> np.ndarray:
        return open_theirs().get_data()

    def ours() -> np.ndarray:
        return open_ours()["signal/signal"].values

    difference = float(np.abs(theirs().T - ours()).max())
    works = {"mne": theirs, "ours": ours, "open_mne": open_theirs, "open_ours": open_ours}
    best = dict.fromkeys(works, np.inf)
    for _ in range(TURNS):
        for name, work in works.items():
            begin = time.perf_counter()
            values = work()
            best[name] = min(best[name], time.perf_counter() - begin)
            del values
    return {**best, "ratio": best["mne"] / best["ours"], "difference": difference}


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1800, help="length of the recording")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        results = {
            name: compare(path, reader)
            for name, (path, reader) in make_files(Path(folder), seconds).items()
        }
    size = seconds * RATE * CHANNELS * 8 / 1e6
    rows: list[list[Any]] = [
        [
            *(name, size / r["mne"], size / r["ours"], r["ratio"]),
            *(1e3 * r["open_mne"], 1e3 * r["open_ours"], r["difference"]),
        ]
        for name, r in results.items()
    ]
    print(f"{CHANNELS} channels, {seconds} s at {RATE:g} Hz, {size:.0f} MB in memory")
    print_table(
        [
            *("format", "MNE MB/s", "neurokit_sdr MB/s", "ratio"),
            *("MNE opens (ms)", "neurokit_sdr opens (ms)", "difference (V)"),
        ],
        rows,
    )
    write_json(
        "io_signals",
        {"seconds": seconds, "results": results, "versions": versions("mne", "xarray")},
    )


if __name__ == "__main__":
    main()
