"""Recordings larger than memory open at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("mne")

LARGE = textwrap.dedent(
    """
    import json, sys, time
    import numpy as np
    import neurokit_sdr as nks

    def read_bytes():
        with open("/proc/self/io") as stream:
            return int(stream.readline().split()[1])

    def peak_mb():
        with open("/proc/self/status") as stream:
            return next(int(line.split()[1]) for line in stream if "VmHWM" in line) / 1e3

    # Libraries are loaded once for all files; here, those of this format.
    small = nks.io.read(sys.argv[1])["signal"].to_dataset()
    begin = time.process_time()
    signal = nks.io.read(sys.argv[2])["signal"].to_dataset()
    found = {"seconds": time.process_time() - begin, "peak_mb": peak_mb()}
    nks.bandpass(small, 20, 40).isel(channel=[0])["signal"].values
    minute = slice(3600, 3660)
    for name, work in {
        "bin": lambda: nks.bin_signal(signal, 0.1).sel(time=minute),
        "epoch": lambda: nks.epoch(signal, np.arange(3600.0, 3660.0), 0.0, 0.999),
        "bandpass": lambda: nks.bandpass(signal, 20, 40).sel(time=minute),
        "bandpass_minute": lambda: nks.bandpass(signal.sel(time=minute), 20, 40),
    }.items():
        start = read_bytes()
        work()["signal"].values
        found[name] = read_bytes() - start
    json.dump(found, sys.stdout)
    """
)


def write_brainvision(folder: Path, name: str, samples: int, channels: int) -> Path:
    """A BrainVision recording of zeros, as a sparse file."""
    lines = [
        "Brain Vision Data Exchange Header File Version 1.0",
        "[Common Infos]",
        "Codepage=UTF-8",
        f"DataFile={name}.eeg",
        f"MarkerFile={name}.vmrk",
        "DataFormat=BINARY",
        "DataOrientation=MULTIPLEXED",
        f"NumberOfChannels={channels}",
        "SamplingInterval=1000",
        "[Binary Infos]",
        "BinaryFormat=INT_16",
        "[Channel Infos]",
        *(f"Ch{k + 1}=C{k + 1},,0.1,uV" for k in range(channels)),
    ]
    path = folder / f"{name}.vhdr"
    path.write_text("\n".join(lines) + "\n")
    (folder / f"{name}.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={name}.eeg\n[Marker Infos]\nMk1=Stimulus,S  1,2000,1,0\n"
    )
    with (folder / f"{name}.eeg").open("wb") as stream:
        stream.truncate(samples * channels * 2)
    return path


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts bytes as Linux does")
def test_twenty_gigabytes_open_at_once_and_a_minute_reads_a_minute(tmp_path):
    channels, rate = 256, 1000
    samples = 20_000_000_000 // (2 * channels)
    small = write_brainvision(tmp_path, "small", 5000, channels)
    large = write_brainvision(tmp_path, "large", samples, channels)
    assert (tmp_path / "large.eeg").stat().st_size > 19.9e9
    done = subprocess.run(
        [sys.executable, "-c", LARGE, small, large], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seconds"] < 1
    assert found["peak_mb"] < 200
    minute = 60 * rate * channels * 2
    padding = 2 * (3.3 / 5.0 / 2 + 0.01) * rate * channels * 2
    # Beside the samples: a header and buffers.
    for name, allowed in {
        "bin": minute,
        "epoch": minute,
        "bandpass": minute + padding,
        "bandpass_minute": minute,
    }.items():
        assert 0.99 * minute < found[name] < 1.01 * allowed + 1e5, name
