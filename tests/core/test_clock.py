"""Even time without memory behaves as the same times in memory do."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from neurokit_sdr.core.clock import EvenTimeIndex, clock_state, even_clock, even_time

clocks = st.tuples(
    st.integers(0, 40),
    st.sampled_from([1.0, 3.0, 173.61, 1000 / 3, 30000.0]),
    st.sampled_from([0.0, -0.25, 1e4 + 1 / 3]),
)
slices = st.builds(
    slice,
    st.none() | st.integers(-45, 45),
    st.none() | st.integers(-45, 45),
    st.none() | st.integers(1, 5) | st.integers(-5, -1),
)

forward = st.builds(
    slice,
    st.none() | st.integers(-45, 45),
    st.none() | st.integers(-45, 45),
    st.none() | st.integers(1, 5),
)
QUICK = settings(deadline=None, max_examples=40)


def both(size: int, rate: float, start: float) -> tuple[xr.Dataset, xr.Dataset]:
    """A recording with times that take no memory, and one with the same times in memory."""
    values = ("time", np.arange(size))
    times = ("time", start + np.arange(size) / rate, {"units": "s"})
    return (
        xr.Dataset({"a": values}, even_time(size, rate, start)),
        xr.Dataset({"a": values}, {"time": times}),
    )


def assert_alike(even: xr.Dataset, plain: xr.Dataset) -> None:
    """Same values, dims, attributes, and times to the last bit."""
    assert even["time"].dtype == plain["time"].dtype
    assert np.array_equal(even["time"].values, plain["time"].values)
    assert even["time"].attrs == plain["time"].attrs
    assert np.array_equal(even["a"].values, plain["a"].values)
    assert even.sizes == plain.sizes


@given(clocks, st.lists(slices, min_size=1, max_size=3))
@QUICK
def test_slices_of_slices(clock, cuts):
    even, plain = both(*clock)
    for cut in cuts:
        even, plain = even.isel(time=cut), plain.isel(time=cut)
        assert_alike(even, plain)
    if all((cut.step or 1) > 0 for cut in cuts):
        assert isinstance(even.xindexes["time"], EvenTimeIndex)


@given(clocks, st.data())
@QUICK
def test_selection_by_positions_and_masks(clock, data):
    even, plain = both(*clock)
    size = clock[0]
    if size:
        positions = np.array(data.draw(st.lists(st.integers(-size, size - 1), max_size=5)), int)
        assert_alike(even.isel(time=positions), plain.isel(time=positions))
        one = data.draw(st.integers(-size, size - 1))
        assert even.isel(time=one)["time"].item() == plain.isel(time=one)["time"].item()
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool)
    assert_alike(even.isel(time=mask), plain.isel(time=mask))
    assert_alike(even.where(even["a"] >= 0, drop=True), plain.where(plain["a"] >= 0, drop=True))


@given(clocks, st.data())
@QUICK
def test_selection_by_label(clock, data):
    even, plain = both(*clock)
    size, rate, start = clock
    moments = st.one_of(
        st.integers(-2, size + 1).map(lambda i: start + i / rate),
        st.integers(-2, size + 1).map(lambda i: start + (i + 0.3) / rate),
        st.sampled_from([-np.inf, np.inf]),
    )
    low, high = (data.draw(st.none() | moments) for _ in range(2))
    assert_alike(even.sel(time=slice(low, high)), plain.sel(time=slice(low, high)))
    if size:
        label = data.draw(moments.filter(np.isfinite))
        theirs = plain.sel(time=label, method="nearest")["time"].item()
        ours = even.sel(time=label, method="nearest")["time"].item()
        # Half way between two samples either is nearest.
        assert abs(ours - label) == pytest.approx(abs(theirs - label), abs=1e-9)
        exact = plain["time"].values[data.draw(st.integers(0, size - 1))]
        assert even.sel(time=exact)["a"].item() == plain.sel(time=exact)["a"].item()
        several = plain["time"].values[:: max(size // 3, 1)]
        assert_alike(even.sel(time=several), plain.sel(time=several))
        pointwise = xr.DataArray(several, dims="event")
        ours, theirs = even.sel(time=pointwise), plain.sel(time=pointwise)
        assert ours["a"].dims == ("event",)
        assert np.array_equal(ours["a"].values, theirs["a"].values)


@pytest.mark.parametrize("bad", [0.05, 99.0, np.nan])
def test_labels_that_are_no_sample_are_key_errors(bad):
    even, _ = both(10, 10.0, 0.0)
    with pytest.raises(KeyError):
        even.sel(time=bad)
    with pytest.raises(KeyError):
        even.sel(time=[0.1, bad])
    with pytest.raises(KeyError):
        even.sel(time=slice(np.nan, 1.0))
    with pytest.raises(KeyError):
        even.sel(time=bad, method="nearest", tolerance=0.01)
    with pytest.raises(ValueError, match=r"None or 'nearest'.*'pad'"):
        even.sel(time=0.1, method="pad")
    with pytest.raises(ValueError, match="isel for every nth"):
        even.sel(time=slice(0, 1, 2))


def test_an_empty_recording_has_no_nearest_sample():
    even, _ = both(0, 10.0, 0.0)
    with pytest.raises(KeyError):
        even.sel(time=0.0, method="nearest")
    assert even.sel(time=slice(0, 1)).sizes["time"] == 0


@given(clocks, forward, forward)
@QUICK
def test_arithmetic_aligns_as_with_times_in_memory(clock, one, two):
    even, plain = both(*clock)
    ours = even["a"].isel(time=one) + even["a"].isel(time=two)
    theirs = plain["a"].isel(time=one) + plain["a"].isel(time=two)
    assert np.array_equal(ours["time"].values, theirs["time"].values)
    assert np.array_equal(ours.values, theirs.values)


def test_times_in_memory_are_needed_to_align_with_times_in_memory():
    """xarray aligns indexes of one type only; it says so, and the way out is one call."""
    even, plain = both(10, 10.0, 0.5)
    with pytest.raises(xr.AlignmentError, match="EvenTimeIndex"):
        even["a"] + plain["a"][::2]
    loaded = even.assign_coords(time=("time", even["time"].values, even["time"].attrs))
    assert (loaded["a"] + plain["a"][::2]).values.tolist() == [0, 4, 8, 12, 16]
    assert loaded.reindex(time=[0.5, 9.0])["a"].values[0] == 0


@given(clocks)
@QUICK
def test_arithmetic_with_itself_keeps_the_clock(clock):
    even, _ = both(*clock)
    twice = even["a"] * 2 + even["a"]
    assert even_clock(twice) == even_clock(even)
    assert even.identical(even.copy(deep=True))
    assert xr.align(even, even.copy(), join="exact")[0].identical(even)


@given(clocks, clocks)
@QUICK
def test_concat_and_merge(clock, other):
    pieces = [both(*clock), both(*other)]
    ours = xr.concat([even for even, _ in pieces], "time")
    theirs = xr.concat([plain for _, plain in pieces], "time")
    assert_alike(ours, theirs)
    even, plain = both(*clock)
    assert_alike(even.merge(even[["a"]]), plain)


@given(clocks)
@QUICK
def test_pickles_are_small_and_the_same(clock):
    even, _ = both(*clock)
    back = pickle.loads(pickle.dumps(even))
    assert back.identical(even)
    assert clock_state(back) == clock_state(even)
    assert len(pickle.dumps(even_time(10**9, 1000.0))) < 10_000


def test_what_xarray_does_with_times():
    even, plain = both(40, 10.0, -0.5)
    inside = plain["time"].values[2:30] + 0.033
    for ours, theirs in (
        (even.interp(time=inside), plain.interp(time=inside)),
        (even.groupby("time").mean(), plain.groupby("time").mean()),
        (even.rolling(time=3).mean(), plain.rolling(time=3).mean()),
        (even.coarsen(time=4).mean(), plain.coarsen(time=4).mean()),
        (even.sortby("time", ascending=False), plain.sortby("time", ascending=False)),
        (even.shift(time=2), plain.shift(time=2)),
        (even.pad(time=1, mode="edge"), plain.pad(time=1, mode="edge")),
        (even.dropna("time"), plain.dropna("time")),
        (even.drop_isel(time=[0, 3]), plain.drop_isel(time=[0, 3])),
    ):
        assert np.array_equal(ours["a"].values, theirs["a"].values, equal_nan=True)
        assert np.allclose(ours["time"].values, theirs["time"].values, rtol=0, atol=1e-12)
    edges = [-1.0, 0.0, 1.0]
    ours = even.groupby_bins("time", edges).sum()["a"].values
    assert np.array_equal(ours, plain.groupby_bins("time", edges).sum()["a"].values)
    assert float(even["time"].mean()) == float(plain["time"].mean())
    assert np.array_equal((even["time"] - 0.5).values, (plain["time"] - 0.5).values)
    assert even.to_dataframe().equals(plain.to_dataframe())
    assert "time" in repr(even)
    renamed = even.rename(time="moment")
    assert np.array_equal(renamed["moment"].values, plain["time"].values)
    assert (
        even["a"]
        .differentiate("time")
        .identical(plain["a"].differentiate("time").assign_coords(even.coords))
    )


def test_netcdf_by_xarray_writes_the_times(tmp_path):
    even, plain = both(12, 173.61, 0.5)
    even.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as back:
        assert np.array_equal(back["time"].values, plain["time"].values)


def test_a_day_at_30_khz_takes_no_memory():
    tracemalloc.start()
    size = 24 * 3600 * 30_000
    day = xr.Dataset(coords=even_time(size, 30_000.0))
    minute = day.sel(time=slice(3600, 3660))
    assert minute.sizes["time"] == 60 * 30_000 + 1
    assert minute["time"][[0, -1]].values.tolist() == [3600.0, 3660.0]
    assert repr(day)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    # The times are those of the formula, not of a sum that has drifted.
    last = day.isel(time=slice(size - 1, None))["time"].values
    assert last.tolist() == [(size - 1) / 30_000.0]


def test_clock_of_times_in_memory_is_unknown():
    even, plain = both(5, 10.0, 1.0)
    assert even_clock(even) == (1.0, 10.0)
    assert even_clock(even["a"][1::2]) == (1.1, 5.0)
    assert even_clock(plain) is None
    assert clock_state(plain) is None
    assert even_clock(even.drop_vars("time")) is None
    part = even.isel(time=slice(1, None, 2))
    again = even_time(part.sizes["time"], **clock_state(part))
    assert part.identical(xr.Dataset({"a": part["a"].variable}, again))
