"""Neuropil, baselines and pictures of regions equal their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from calcium_files import same

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import DataWarning, ParameterError, SchemaError
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.io import baselines


def test_neuropil_is_subtracted_once_and_said():
    values = np.linspace(10, 20, 8, dtype=np.float32).reshape(4, 2)
    data = nks.io.from_fluorescence(values, sampling_rate=1.0)
    data = data.assign(neuropil=data["fluorescence"] * np.float32(0.5))
    before = data.copy(deep=True)
    clear = nks.io.subtract_neuropil(data)
    same(data, before)
    assert clear["fluorescence"].dtype == np.float32
    assert np.array_equal(clear["fluorescence"], values - np.float32(0.7) * (values / 2))
    assert clear["fluorescence"].attrs["neuropil_subtracted"] == 0.7
    assert np.array_equal(clear["neuropil"], data["neuropil"])
    with pytest.raises(SchemaError, match="subtracted already"):
        nks.io.subtract_neuropil(clear)
    with pytest.raises(SchemaError, match="without neuropil"):
        nks.io.subtract_neuropil(data.drop_vars("neuropil"))
    for wrong in (-0.1, 1.5, "0.7", float("nan"), True):
        with pytest.raises(ParameterError, match="between 0 and 1"):
            nks.io.subtract_neuropil(data, wrong)
    tree = xr.DataTree.from_dict({"/calcium/a": data, "/calcium/b": data, "/x": xr.Dataset()})
    both = nks.io.subtract_neuropil(tree, 0.5)
    assert both["/calcium/b/fluorescence"].attrs["neuropil_subtracted"] == 0.5
    assert "neuropil_subtracted" not in tree["/calcium/b/fluorescence"].attrs
    with pytest.raises(SchemaError, match="/calcium group"):
        nks.io.subtract_neuropil(xr.DataTree.from_dict({"/x": data}))


def light_of(seed: int, frames: int = 200) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return 5 + generator.gamma(2.0, 1.0, (frames, 3))


def padded(row: np.ndarray, before: int, after: int) -> np.ndarray:
    """Mirrored at both ends, the last value twice, as scipy's 'reflect'."""
    return np.pad(row, (before, after), mode="symmetric")


def test_baselines_equal_their_definitions(seed):
    light = light_of(seed)
    window, smooth = 21, 8
    for row in light.T:
        n = row.size
        mean = [row[max(k - 3, 0) : k - 3 + smooth].mean() for k in range(n)]
        expected = [min(mean[max(k - window + 1, 0) : k + 1]) for k in range(n)]
        found = baselines.running_minimum(row[None], window, smooth)[0]
        # Means come from differences of sums: n additions of numbers up to 20.
        assert np.allclose(found, expected, rtol=0, atol=n * 20 * n * np.finfo(float).eps)

        wide = padded(row, window // 2, window // 2)
        rank = int(8.0 / 100 * window)
        ranks = [np.sort(wide[k : k + window])[rank] for k in range(n)]
        assert np.array_equal(baselines.running_quantile(row[None], window, 8.0)[0], ranks)

        low = [wide[k : k + window].min() for k in range(n)]
        wide_low = padded(np.array(low), window // 2, window // 2)
        maximin = [wide_low[k : k + window].max() for k in range(n)]
        assert np.array_equal(baselines.maximin(row[None], window, 0.0)[0], maximin)
        assert np.array_equal(
            baselines.constant(row[None], 30.0)[0], np.full(n, np.percentile(row, 30))
        )


def test_smoothing_of_maximin_is_a_gaussian(seed):
    light = light_of(seed)[:, 0]
    reach = 8  # standard deviations of 2 frames, cut at four
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / 2.0) ** 2)
    smooth = np.convolve(padded(light, reach, reach), kernel / kernel.sum(), "valid")
    assert np.allclose(baselines.maximin(light[None], 1, 2.0)[0], smooth, rtol=1e-13)


@pytest.mark.parametrize("baseline", list(baselines.BASELINES))
def test_dff_says_how_it_was_made(baseline):
    data = nks.io.from_fluorescence(light_of(0), sampling_rate=20.0)
    before = data.copy(deep=True)
    made = nks.io.dff(data, baseline)
    same(data, before)
    assert made["dff"].dims == ("time", "unit")
    assert made["dff"].attrs["baseline"] == baseline
    assert made["dff"].attrs["units"] == "1"
    schema.check(made, "calcium")
    f0 = data["fluorescence"] / (1 + made["dff"])
    assert ((f0 > 5) & (f0 < 8)).all()
    if baseline != "constant":
        assert "doi:" in made["dff"].attrs["baseline_reference"]
        assert made["dff"].attrs["baseline_window"] > 1
    with pytest.raises(SchemaError, match="no dff yet"):
        nks.io.dff(made, baseline)


def test_windows_are_seconds_whatever_the_rate(seed):
    light = light_of(seed)
    times = np.arange(200) / 20.0
    even = nks.io.from_fluorescence(light, sampling_rate=20.0)
    jitter = nks.io.from_fluorescence(light, time=times + 1e-3 * np.sin(np.arange(200)))
    for baseline in ("running_quantile", "running_minimum"):
        one = nks.io.dff(even, baseline, window=1.0)
        assert one["dff"].attrs["baseline_window"] == pytest.approx(1.0)
        other = nks.io.dff(jitter, baseline, window=1.0)
        assert np.allclose(one["dff"], other["dff"], atol=0)
    clear = nks.io.subtract_neuropil(even.assign(neuropil=even["fluorescence"] / 4), 0.5)
    assert nks.io.dff(clear)["dff"].attrs["neuropil_subtracted"] == 0.5


def test_dff_of_dask_arrays_is_the_same():
    pytest.importorskip("dask")
    data = nks.io.from_fluorescence(light_of(0), sampling_rate=20.0)
    for baseline in baselines.BASELINES:
        lazy = nks.io.dff(data.chunk(time=50, unit=1), baseline)
        assert lazy["dff"].chunks is not None
        assert np.array_equal(lazy["dff"].values, nks.io.dff(data, baseline)["dff"].values)


def test_baselines_that_are_not_above_0():
    light = light_of(0)
    light[:, 1] -= 100
    data = nks.io.from_fluorescence(light, sampling_rate=20.0, unit=["a", "b", "c"])
    with pytest.warns(DataWarning, match="baseline of unit b is not above 0"):
        made = nks.io.dff(data)
    assert np.isnan(made["dff"].values).all(axis=0).tolist() == [False, True, False]
    light[3, 0] = np.nan
    with pytest.raises(SchemaError, match="1 NaN or infinite"):
        nks.io.dff(nks.io.from_fluorescence(light, sampling_rate=20.0))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"baseline": "maximum"}, "Did you mean 'maximin'"),
        ({"baseline": "maximin", "percentile": 5}, "no percentile with the baseline 'maximin'"),
        ({"baseline": "constant", "window": 5}, "no window"),
        ({"baseline": "constant", "percentile": 101}, "from 0 to 100"),
        ({"window": 0}, "above 0"),
        ({"window": -3.0}, "above 0"),
        ({"smoothing": "x"}, "in seconds"),
    ],
)
def test_dff_refuses(options, says):
    with pytest.raises(ParameterError, match=says):
        nks.io.dff(nks.io.from_fluorescence(np.ones((5, 2)), sampling_rate=1.0), **options)


def test_regions_of_interest_that_cannot_be_drawn():
    rois = xr.Dataset(
        {
            "pixel_unit": ("pixel", [0, 0]),
            "pixel_y": ("pixel", [0, 4], {"units": "pixel"}),
            "pixel_x": ("pixel", [0, 1], {"units": "pixel"}),
        },
        {"unit": ["a"]},
        {"height": 3, "width": 3},
    )
    with pytest.raises(SchemaError, match=r"picture of 3 x 3.*5 x 2"):
        nks.io.roi_masks(rois)
    assert nks.io.roi_masks(rois.assign_attrs(height=5)).values[0].tolist()[4] == [0, 1, 0]
    with pytest.raises(SchemaError, match="/rois group"):
        nks.io.roi_masks(xr.DataTree.from_dict({"/x": xr.Dataset()}))


@pytest.mark.parametrize("parts", [{"unit": 2}, {"time": 10, "unit": 1}])
def test_dff_looks_at_dask_arrays_when_they_are_computed(parts):
    pytest.importorskip("dask")
    light = np.ones((60, 3))
    light[5, 1] = np.nan
    later = nks.io.dff(nks.io.from_fluorescence(light, sampling_rate=1.0).chunk(parts), "maximin")
    with pytest.raises(SchemaError, match="Expected finite fluorescence, got 1 NaN"):
        later.compute()
    light[:, 1] = -1.0
    later = nks.io.dff(nks.io.from_fluorescence(light, sampling_rate=1.0).chunk(parts), "constant")
    with pytest.warns(DataWarning, match="baseline of 1 units is not above 0"):
        change = later.compute(scheduler="synchronous")["dff"]
    assert np.isnan(change.values).all(axis=0).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("baseline", "options"),
    [("maximin", {"smoothing": 1e12}), ("running_quantile", {"window": 1e12})],
)
def test_windows_no_memory_can_hold_are_refused(baseline, options):
    calcium = nks.io.from_fluorescence(np.ones((60, 2)), sampling_rate=10.0)
    with pytest.raises(ParameterError, match="at most 12 s, twice the recording"):
        nks.io.dff(calcium, baseline, **options)


@pytest.mark.parametrize("baseline", ["maximin", "running_minimum"])
@pytest.mark.parametrize("frames", [1, 2, 59, 60])
def test_windows_of_minima_may_be_longer_than_the_recording(baseline, frames):
    light = 1 + stream(0, "light", frames).random((frames, 2))
    calcium = nks.io.from_fluorescence(light, sampling_rate=10.0)
    if frames < 2:
        calcium = nks.io.from_fluorescence(np.ones((2, 2)), sampling_rate=10.0)
    last = [
        nks.io.dff(calcium, baseline, window=window, smoothing=0.2)["dff"].values
        for window in (100.0, 1e12)
    ]
    assert np.array_equal(*last)


@pytest.mark.parametrize("value", [None, np.ones(2), 1j, "0.7", True, np.nan, 1.1])
def test_a_coefficient_is_one_number(value):
    calcium = nks.io.from_fluorescence(np.ones((3, 1)), sampling_rate=1.0)
    calcium = calcium.assign(neuropil=calcium["fluorescence"] * 0.5)
    with pytest.raises(ParameterError, match="between 0 and 1, got"):
        nks.io.subtract_neuropil(calcium, value)


@pytest.mark.parametrize("options", [{"window": np.ones(2)}, {"window": 1j}, {"smoothing": [1]}])
def test_a_window_is_one_number(options):
    calcium = nks.io.from_fluorescence(np.ones((30, 1)), sampling_rate=1.0)
    with pytest.raises(ParameterError, match="in seconds, above 0, got"):
        nks.io.dff(calcium, **options)
