"""Recordings that MNE makes and tests read."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.seeding import stream

mne = pytest.importorskip("mne")


RAWS = [
    "meg/kit/test_bin_raw.fif",
    "meg/elekta/test_elekta_3ch_raw.fif",
    "meg/elekta/141027_cropped_90Hz_raw.fif",
    "seeg/ecog_seeg/sample_ecog_ieeg.fif",
]


EVOKED = "meg/evoked/test-ave.fif.gz"


def assert_same(found: Any, expected: Any, where: str = "info") -> None:
    """Equal through and through: nested dicts, lists, arrays, sparse matrices, NaN."""
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        for key in expected:
            assert_same(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_same(a, b, f"{where}[{k}]")
    elif hasattr(expected, "tocsc"):
        assert_same(found.toarray(), expected.toarray(), where)
    elif isinstance(expected, np.ndarray):
        assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f"), where
    else:
        assert found == expected or (found != found and expected != expected), where


def made_raw(seed: int = 0, samples: int = 2000, **options: Any) -> Any:
    """A recording in memory with gradiometers, magnetometers, EEG and a trigger channel."""
    types = ["grad", "grad", "mag", "eeg", "stim"]
    names = ["MEG 0112", "MEG 0113", "MEG 0111", "EEG 001", "STI 014"]
    info = mne.create_info(names, 500.0, types)
    info["line_freq"] = 50.0
    info["bads"] = ["MEG 0113"]
    info["subject_info"] = {"his_id": "s1", "sex": 2, "hand": 1}
    info["experimenter"] = "Zoë"
    info.set_meas_date(datetime.datetime(2024, 5, 1, 9, 30, tzinfo=datetime.UTC))
    scale = np.array([1e-11, 1e-11, 1e-13, 1e-5, 0])[:, None]
    values = stream(seed, "raw").standard_normal((5, samples)) * scale
    for sample, code, width in ((100, 1, 5), (700, 2, 1), (1500, 1, 5)):
        values[4, sample : sample + width] = code
    raw = mne.io.RawArray(values, info, first_samp=1000, verbose="ERROR", **options)
    raw.info["chs"][3]["loc"][:3] = [0.01, 0.02, 0.1]
    for entry in raw.info["chs"][:3]:
        entry["loc"] = np.array([0.1, 0, 0.05, *np.eye(3).ravel()])
    raw.set_annotations(
        mne.Annotations(
            [0.5, 2.0, 3.0],
            [0.25, 0.0, 0.5],
            ["BAD_jump", "EDGE boundary", "réponse"],
            ch_names=[["MEG 0111"], [], []],
        )
    )
    return raw


def simple(**coords: Any) -> xr.Dataset:
    return xr.Dataset(
        {"signal": (("time", "channel"), np.zeros((100, 2)), {"units": "V"})},
        coords={
            "channel": ["A1", "A2"],
            "channel_type": ("channel", ["seeg", "seeg"]),
            "channel_unit": ("channel", ["V", "V"]),
            **coords,
        },
    ).assign_coords(even_time(100, 100.0))


def write_opm(folder: Path) -> Path:
    """A FIL-OPM recording: samples as big-endian floats, and two tables."""
    path = folder / "sub-1_task-rest_run-1_meg.bin"
    values = np.arange(12.0).reshape(4, 3)  # sample, channel
    path.write_bytes(values.astype(">f4").tobytes())
    stem = path.name.removesuffix("_meg.bin")
    (folder / f"{stem}_meg.json").write_text(
        json.dumps({"SamplingFrequency": 1000, "PowerLineFrequency": 50})
    )
    (folder / f"{stem}_channels.tsv").write_text(
        "name\ttype\tunits\tstatus\n"
        "G1-X\tMEGMAG\tfT\tgood\nG2-X\tMEGMAG\tfT\tbad\nTRIG1\tTRIG\tV\tgood\n"
    )
    (folder / f"{stem}_positions.tsv").write_text(
        "name\tPx\tPy\tPz\tOx\tOy\tOz\nG1-X\t10\t20\t30\t1\t0\t0\nG2-X\t10\t-20\t30\t0\t1\t0\n"
    )
    return path
