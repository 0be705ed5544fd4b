"""Bins of counts on their clock: what is a recording, and what was cut out of one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import count_datasets

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import SchemaError


def counts(time, width=0.02, units: str | None = "s") -> xr.Dataset:
    time = np.asarray(time)
    return xr.Dataset(
        {"count": (("time", "unit"), np.ones((time.size, 2), int), {"units": "1"})},
        coords={
            "time": ("time", time, {} if units is None else {"units": units}),
            "unit": ["a", "b"],
        },
        attrs={"bin_size": width},
    )


CLOCKS = {
    "computed": (np.arange(1000) + 0.5) * 0.02,
    "added up": np.cumsum(np.full(100_000, 0.02)),
    "a day on, in float32": (86_400 + np.arange(1000) * 0.02).astype(np.float32),
    "kept in tenths of milliseconds": np.round(np.arange(1000) * 0.02 + 0.00333, 4),
    "before an onset": np.arange(-50, 50) * 0.02,
    "one bin": np.array([0.3]),
    "none": np.array([]),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_clocks_that_go_on(name):
    data = counts(CLOCKS[name])
    assert schema.check(data, "counts") is data
    assert schema.check(counts(CLOCKS[name], units=None), "counts")


def test_clocks_that_are_no_seconds_in_memory():
    even = counts(np.zeros(500)).drop_vars("time").assign_coords(even_time(500, 50.0, 3.0))
    assert schema.check(even, "counts") is even
    assert schema.check(counts(np.arange(100), units=None), "counts")  # numbers of bins
    stamps = np.datetime64("2026-01-01", "ns") + np.arange(100) * np.timedelta64(20, "ms")
    assert schema.check(counts(stamps, units=None), "counts")
    assert schema.check(counts(np.zeros(9)).drop_vars("time"), "counts")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (counts(np.arange(100) * 0.02).isel(time=[*range(50), *range(51, 100)]), "1 of 98 steps"),
        (counts(np.arange(100), units=None).isel(time=[0, 1, 5]), "1 of 2 steps.*split_at_gaps"),
        (counts(np.arange(100), units=None).isel(time=slice(None, None, 3)), "bin again"),
        (counts(np.arange(100) * 0.02, width=0.04), "bin again"),
        (counts(np.arange(100) * 20.0), "from 0 to 20.*bin again"),
        (counts(np.arange(100)[::-1] * 0.02), "not in order"),
        (counts(np.array([0.0, 0.02, np.nan, 0.06])), "2 of 3 steps.*a bin has no time"),
        (counts(np.array([0.0, 0.02, 0.02, 0.04])), "not in order"),
        (counts((4e6 + np.arange(100) * 0.02).astype(np.float32)), "steps that differ"),
        (
            counts(np.zeros(500)).drop_vars("time").assign_coords(even_time(500, 25.0)),
            "bin again",
        ),
        (
            counts(
                np.datetime64("2026-01-01", "ns")
                + np.array([0, 1, 2, 9]) * np.timedelta64(20, "ms"),
                units=None,
            ),
            "1 of 3 steps",
        ),
    ],
)
def test_clocks_that_do_not(data, says):
    with pytest.raises(SchemaError, match=f"bins that follow one another.*{says}"):
        schema.check(data, "counts")


@given(count_datasets(max_bins=10), st.data())
@settings(max_examples=60, deadline=None)
def test_a_selection_is_a_recording_only_where_nothing_lies_between(data, draw):
    n = data.sizes["time"]
    chosen = draw.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n))
    selected = data.isel(time=chosen).drop_vars("trial_length", errors="ignore")
    if (np.diff(chosen) == 1).all():
        assert schema.check(selected, "counts") is selected
        return
    with pytest.raises(SchemaError, match="bins that follow one another"):
        schema.check(selected, "counts")


def test_every_wrong_context():
    data = counts(np.arange(6) * 0.02)
    for values, says in (
        (np.array([0, 0, 1, 1, 0, 0], bool), "first bin"),
        (np.array([1, 0, 1, 0, 0, 0], bool), "first bin"),
        (np.ones(6), "dtype"),
    ):
        with pytest.raises(SchemaError, match=says):
            schema.check(data.assign(context=("time", values)), "counts")
    with pytest.raises(SchemaError, match="'context' with dims"):
        schema.check(data.assign(context=("unit", np.ones(2, bool))), "counts")
    fine = data.assign(context=("time", np.arange(6) < 2), observed=("time", np.arange(6) != 4))
    assert schema.scored_bins(fine).tolist() == [False, False, True, True, False, True]
    assert schema.valid_bins(fine).tolist() == [True, True, True, True, False, True]
