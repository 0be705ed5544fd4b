"""Recordings of voltages that tests write, and what others say of a file."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_time

#: Values are an integer times a scale plus a shift: two roundings, of numbers of this size.
EPS = np.finfo(np.float64).eps


def stored(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Integers as a recorder stores them."""
    return np.random.default_rng(seed).integers(-1000, 1000, shape)


def recording(
    values: np.ndarray, rate: float = 250.0, start: float = 0.0, **coords: object
) -> xr.Dataset:
    """Voltages on contacts LA1, LA2, ..., evenly sampled."""
    number = values.shape[1]
    data = xr.Dataset(
        {"signal": (("time", "channel"), values, {"units": "V"})},
        coords={
            "channel": [f"LA{k + 1}" for k in range(number)],
            "channel_type": ("channel", ["seeg"] * number),
            "channel_unit": ("channel", ["V"] * number),
            **coords,
        },
    )
    return data.assign_coords(even_time(len(values), rate, start))


def signal_of(tree: xr.DataTree, group: str = "/signal") -> xr.Dataset:
    return tree[group].to_dataset(inherit=False)


def quiet_mne(opener: str, path: Path, **options: object):
    import mne

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MNE's own opinions about this test's files
        return getattr(mne.io, f"read_raw_{opener}")(path, verbose="error", **options)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to the rounding of a product and a sum."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0.0) <= 4 * EPS * np.abs(expected).max(initial=0.0)


def damaged(path: Path, place: int, text: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[place : place + len(text)] = text
    path.write_bytes(bytes(data))
    return path
