"""Damaged files for every reader: no crash, no hang, no other error, no gigabyte.

``python tests/fuzz_readers.py FAMILY --n 5000`` writes one small valid file of a family, damages
copies of it in every way that a disk, a network or an attacker does, and reads each in a process of
its own with a limit on time and memory. ``FAMILY`` is a key of :data:`FAMILIES`, or ``all``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import calcium_files
import numpy as np
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import NeurokitError

SECONDS = 10.0
GIGABYTE = 2**30


# -- seeds: one small valid file or folder of each family ---------------------------------------


def _signal(samples: int = 200, rate: float = 250.0) -> xr.Dataset:
    values = np.random.default_rng(0).normal(size=(samples, 3)) * 1e-5
    return xr.Dataset(
        {"signal": (("time", "channel"), values)},
        coords=even_time(samples, rate),
        attrs={"sampling_rate": rate},
    ).assign_coords(
        channel=["A1", "A2", "B1"],
        channel_type=("channel", ["seeg"] * 3),
        channel_unit=("channel", ["V"] * 3),
    )


def _session() -> xr.DataTree:
    spikes = nks.io.from_spike_times({"a": [0.1, 0.2, 0.7], "b": [], "c": [0.5]}, t_stop=1.0)
    frames = ("time", np.arange(20) / 10, {"units": "s"})
    calcium = xr.Dataset(
        {"fluorescence": (("time", "unit"), np.arange(40.0).reshape(20, 2), {"units": "1"})},
        coords={"time": frames, "unit": ["r1", "r2"]},
    )
    trials = xr.Dataset(
        {
            "start_time": ("trial", [0.0, 0.5], {"units": "s"}),
            "stop_time": ("trial", [0.5, 1.0], {"units": "s"}),
            "side": ("trial", ["left", "right"]),
        }
    )
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"subject_id": "m1"}),
            "/spikes": spikes.assign_coords(brain_area=("unit", ["CA1", "CA1", "CA3"])),
            "/calcium": calcium,
            "/trials": trials,
        }
    )


def _nwb(folder: Path) -> Path:
    nks.io.write_nwb(_session(), folder / "a.nwb")
    return folder / "a.nwb"


def _netcdf(folder: Path) -> Path:
    nks.save(xr.DataTree.from_dict({"/s": _session(), "/signal": _signal()}), folder / "a.nc")
    return folder / "a.nc"


def _zarr(folder: Path) -> Path:
    nks.save(_session(), folder / "a.zarr")
    return folder / "a.zarr"


def _phy(folder: Path) -> Path:
    np.save(folder / "spike_times.npy", np.arange(50) * 30)
    np.save(folder / "spike_clusters.npy", np.arange(50) % 3)
    np.save(folder / "spike_templates.npy", np.arange(50) % 4)
    np.save(folder / "amplitudes.npy", np.ones(50))
    np.save(folder / "templates.npy", np.ones((4, 5, 2), np.float32))
    np.save(folder / "channel_positions.npy", np.arange(4.0).reshape(2, 2))
    np.save(folder / "channel_map.npy", np.arange(2))
    (folder / "params.py").write_text("sample_rate = 30000.0\nn_channels_dat = 2\noffset = 0\n")
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n1\tmua\n2\tnoise\n")
    return folder


def _suite2p(folder: Path) -> Path:
    calcium_files.suite2p_plane(folder / "suite2p" / "plane0")
    return folder / "suite2p"


def _caiman(folder: Path) -> Path:
    return calcium_files.caiman_file(folder / "a.hdf5")


def _minian(folder: Path) -> Path:
    (folder / "minian").mkdir()
    return calcium_files.minian_stores(folder / "minian", 2)


def _minian_3(folder: Path) -> Path:
    (folder / "minian").mkdir()
    return calcium_files.minian_stores(folder / "minian", 3)


def _inscopix(folder: Path) -> Path:
    rows = [f"{k / 10},{k}.5,-{k}" for k in range(30)]
    return calcium_files.inscopix(folder / "a.csv", *rows)


def _raw(meas: Any = None) -> Any:
    import mne

    info = mne.create_info(["M1", "M2", "G1", "STI"], 250.0, ["mag", "mag", "grad", "stim"])
    values = np.random.default_rng(0).normal(size=(4, 400)) * 1e-12
    values[3] = np.arange(400) % 100 == 5
    raw = mne.io.RawArray(values, info, verbose="error")
    raw.set_annotations(mne.Annotations([0.2], [0.1], ["BAD_jump"]))
    return raw


def _fif(folder: Path) -> Path:
    _raw().save(folder / "a_raw.fif", verbose="error")
    return folder / "a_raw.fif"


def _epochs(folder: Path) -> Path:
    import mne

    events = mne.find_events(_raw(), verbose="error")
    epochs = mne.Epochs(_raw(), events, tmin=0, tmax=0.1, baseline=None, verbose="error")
    epochs.save(folder / "a-epo.fif", verbose="error")
    return folder / "a-epo.fif"


def _evoked(folder: Path) -> Path:
    import mne

    events = mne.find_events(_raw(), verbose="error")
    epochs = mne.Epochs(_raw(), events, tmin=0, tmax=0.1, baseline=None, verbose="error")
    mne.write_evokeds(folder / "a-ave.fif", [epochs.average()], verbose="error")
    return folder / "a-ave.fif"


def _edf(folder: Path) -> Path:
    nks.io.write_edf(_signal(), folder / "a.edf")
    return folder / "a.edf"


def _bdf(folder: Path) -> Path:
    import edfio

    values = np.random.default_rng(0).normal(size=512)
    signals = [edfio.BdfSignal(values, 256, label=f"A{k}", physical_dimension="uV") for k in (1, 2)]
    annotations = [edfio.EdfAnnotation(0.5, 0.1, "go")]
    edfio.Bdf(signals, annotations=annotations).write(folder / "a.bdf")
    return folder / "a.bdf"


def _bids(folder: Path) -> Path:
    nks.io.write_bids(_signal(), folder / "bids", subject="01", task="rest")
    return folder / "bids"


def _brainvision(folder: Path) -> Path:
    """A header in text, markers in text, samples as int16."""
    (folder / "a.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        "DataFile=a.eeg\nMarkerFile=a.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        "NumberOfChannels=2\nSamplingInterval=4000\n[Binary Infos]\nBinaryFormat=INT_16\n"
        "[Channel Infos]\nCh1=A1,,0.1,µV\nCh2=A2,,0.1,µV\n",
        encoding="utf-8",
    )
    (folder / "a.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile=a.eeg\n"
        "[Marker Infos]\nMk1=New Segment,,1,1,0,20240501090000000000\nMk2=Stimulus,S  1,50,1,0\n"
    )
    (folder / "a.eeg").write_bytes(np.arange(400, dtype="<i2").tobytes())
    return folder / "a.vhdr"


def _text(folder: Path) -> Path:
    (folder / "a.txt").write_text("0.1 0.2 0.5\n0.3 0.9\n\n1.5\n")
    return folder / "a.txt"


def _matlab(folder: Path) -> Path:
    import neo

    segment = neo.Segment()
    segment.spiketrains.append(neo.SpikeTrain([0.1, 0.2], units="s", t_stop=1.0, name="a"))
    block = neo.Block()
    block.segments.append(segment)
    neo.io.NeoMatlabIO(str(folder / "a.mat")).write_block(block)
    return folder / "a.mat"


def _persyst(folder: Path) -> Path:
    (folder / "a.lay").write_text(
        "[FileInfo]\nFile=a.dat\nFileType=Interleaved\nSamplingRate=200\nHeaderLength=0\n"
        "Calibration=0.1\nWaveformCount=2\nDataType=0\n[ChannelMap]\nA1-Ref=1\nA2-Ref=2\n"
        "[Comments]\n0.5,0.0,0,0,seizure\n[Patient]\nTestDate=05/01/2024\nTestTime=09:00:00\n"
    )
    (folder / "a.dat").write_bytes(np.arange(400, dtype="<i2").tobytes())
    return folder / "a.lay"


#: Each writes a valid file below a folder and returns what is to be read.
FAMILIES: dict[str, Callable[[Path], Path]] = {
    "nwb": _nwb,
    "netcdf": _netcdf,
    "zarr": _zarr,
    "phy": _phy,
    "suite2p": _suite2p,
    "caiman": _caiman,
    "minian": _minian,
    "minian_3": _minian_3,
    "inscopix": _inscopix,
    "fif": _fif,
    "epochs": _epochs,
    "evoked": _evoked,
    "edf": _edf,
    "bdf": _bdf,
    "brainvision": _brainvision,
    "bids": _bids,
    "persyst": _persyst,
    "text": _text,
    "matlab": _matlab,
}


# -- damage -------------------------------------------------------------------------------------


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _empty(data: bytearray, rng: random.Random) -> None:
    data.clear()


def _place(data: bytearray, rng: random.Random) -> int:
    """Anywhere, and as often in the first kilobytes, where headers are."""
    return rng.randrange(min(len(data), rng.choice([256, 4096, len(data)])) or 1)


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8, 32])):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    length = rng.choice([1, 4, 8, 64, 512])
    filling = rng.choice([b"\0", b"\xff", b" ", b"9", None])
    for k in range(start, min(start + length, len(data))):
        data[k] = rng.randrange(256) if filling is None else filling[0]


def _huge(data: bytearray, rng: random.Random) -> None:
    """A size that no file has, as a binary number at an even place or in digits."""
    numbers = list(re.finditer(rb"\d+", bytes(data[:65536])))
    if numbers and rng.random() < 0.5:
        found = rng.choice(numbers)
        text = rng.choice([b"99999999999", b"-1", b"0", b"4294967296", b"1e308", b"nan", b"2.5"])
        if rng.random() < 0.5:  # of the same length, as headers with fixed columns want it
            text = text[: len(found[0])].ljust(len(found[0]))
        data[found.start() : found.end()] = text
        return
    size = rng.choice([2, 4, 8])
    value = rng.choice([2 ** (8 * size) - 1, 2 ** (8 * size - 1) - 1, 2 ** (4 * size), 0, 1])
    start = _place(data, rng) // size * size
    data[start : start + size] = value.to_bytes(size, rng.choice(["little", "big"]))


def _insert(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    data[start:start] = rng.randbytes(rng.choice([1, 2, 16, 1024]))


def _delete(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    del data[start : start + rng.choice([1, 2, 16, 1024])]


def _splice(data: bytearray, rng: random.Random) -> None:
    start, to, length = _place(data, rng), _place(data, rng), rng.choice([8, 64, 512])
    data[to : to + length] = data[start : start + length]


DAMAGE = (_truncate, _empty, _flip, _flip, _overwrite, _huge, _huge, _insert, _delete, _splice)


def damage(root: Path, rng: random.Random) -> str:
    """Damage one file below a folder, or the folder; say how."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    target = rng.choice(files)
    name = str(target.relative_to(root))
    if len(files) > 1 and rng.random() < 0.1:
        if rng.random() < 0.5:
            target.unlink()
            return f"{name} is missing"
        other = rng.choice(files)
        shutil.copyfile(other, target) if other != target else target.unlink()
        return f"{name} has the content of {other.relative_to(root)}"
    data = bytearray(target.read_bytes())
    done = []
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if data:
            how = rng.choice(DAMAGE)
            how(data, rng)
            done.append(how.__name__.strip("_"))
    target.write_bytes(bytes(data))
    return f"{name}: {', '.join(done)}"


# -- reading, in a process of its own -------------------------------------------------------------


def read_whole(path: Path) -> str:
    """Open and load a recording; "read", or "refused"."""
    try:
        session = nks.io.read(path)
        for node in session.subtree:
            data = node.to_dataset(inherit=False)
            for variable in data.variables.values():
                if variable.nbytes > GIGABYTE // 4:
                    # Evenly sampled time may be long; what it labels is loaded, and refused.
                    part = variable[tuple(slice(0, 10) for _ in variable.dims)]
                    part.values
                    if not variable._in_memory and variable.dims[0] != "time":
                        raise MemoryError(f"{variable.nbytes} bytes claimed")
                else:
                    variable.values
    except NeurokitError as error:
        if _ran_out_of_memory(error):
            raise MemoryError(str(error)) from error
        return "refused"
    return "read"


def _ran_out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def work(connection: Any) -> None:
    """Read what is sent, one path after the other, under a limit on memory."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # libraries print on the way
        os.dup2(nowhere.fileno(), 1)
    warnings.simplefilter("ignore")
    while True:
        path, whole = connection.recv()
        if whole:
            limit_memory(None)
        try:
            outcome = read_whole(Path(path))
        except MemoryError as error:
            outcome = f"memory: {error}"
        except BaseException as error:
            outcome = f"error: {type(error).__name__}: {error}"
        if whole:  # what it takes is imported now
            limit_memory(GIGABYTE)
        connection.send(outcome[:500])


def limit_memory(more: int | None) -> None:
    """So many bytes more than what is taken now; None takes the limit away."""
    if sys.platform != "linux":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (hard if more is None else taken + more, hard))


class Worker:
    """A process that reads, and another in its place when it died."""

    def __init__(self) -> None:
        self.whole: Path | None = None
        self.start()

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def warm_up(self, whole: Path) -> str:
        """Read a valid file, however long its libraries take to load."""
        self.whole = whole
        self.connection.send((str(whole), True))
        return self.connection.recv()

    def read(self, path: Path) -> str:
        """What becomes of a file."""
        self.connection.send((str(path), False))
        try:
            if self.connection.poll(SECONDS):
                return self.connection.recv()
            outcome = f"hang: more than {SECONDS:g} s"
        except (EOFError, ConnectionResetError):
            self.process.join()
            outcome = f"crash: exit code {self.process.exitcode}"
        self.stop()
        self.start()
        if self.whole is not None:
            self.warm_up(self.whole)
        return outcome

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()


@dataclass
class Report:
    """What became of the damaged files of a family."""

    family: str
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0


def fuzz(
    worker: Worker, family: str, number: int, seed: int = 0, keep: Path | None = None
) -> Report:
    """Damage a valid file ``number`` times and read each; findings name seed and damage."""
    report = Report(family)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "whole").mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries' opinions about what they write here
            whole = FAMILIES[family](root / "whole")
        relative = whole.relative_to(root / "whole")
        if (found := worker.warm_up(whole)) != "read":
            report.findings.append(f"the whole file: {found}")
        for k in range(number):
            copy = root / f"copy{k}"
            shutil.copytree(root / "whole", copy, symlinks=True)
            how = damage(copy, random.Random(f"{family} {seed} {k}"))
            begun = time.perf_counter()
            outcome = worker.read(copy / relative)
            report.slowest = max(report.slowest, time.perf_counter() - begun)
            report.outcomes[outcome.partition(":")[0]] += 1
            if outcome not in ("read", "refused"):
                report.findings.append(f"{family} seed {seed} file {k} ({how}): {outcome}")
                if keep is not None:
                    shutil.copytree(copy, keep / f"{family}_{seed}_{k}", dirs_exist_ok=True)
            shutil.rmtree(copy)
    return report


def main() -> None:
    """Fuzz families from the command line; exit code 1 where there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=[*FAMILIES, "all"], nargs="+")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that were not refused")
    options = parser.parse_args()
    families = list(FAMILIES) if "all" in options.family else options.family
    found = 0
    worker = Worker()
    for family in families:
        report = fuzz(worker, family, options.n, options.seed, options.keep)
        print(f"{family}: {dict(report.outcomes)}, slowest {report.slowest:.1f} s", flush=True)
        for text in report.findings:
            print(f"  {text}", flush=True)
        found += len(report.findings)
    worker.stop()
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
