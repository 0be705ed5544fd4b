"""Traces: the data on the axes, scales that rows share, and what cannot be drawn."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import ParameterError, SchemaError

mpl.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def signal(n_channels: int = 3, n_samples: int = 400) -> xr.Dataset:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n_samples, n_channels)) * np.where(
        np.arange(n_channels) % 2, 1e-12, 1e-6
    )
    return xr.Dataset(
        {"signal": (("time", "channel"), values)},
        coords={
            **even_time(n_samples, 100.0),
            "channel": [f"A{i}" for i in range(n_channels)],
            "channel_type": ("channel", ["mag" if i % 2 else "eeg" for i in range(n_channels)]),
            "channel_unit": ("channel", ["T" if i % 2 else "V" for i in range(n_channels)]),
            "bad": ("channel", np.arange(n_channels) == 2),
        },
        attrs={"sampling_rate": 100.0},
    )


def rows(ax, number):
    return ax.lines[:number]


def test_each_row_is_its_channel_up_to_shift_and_scale():
    data = signal()
    ax = nks.plotting.traces(data, window=(1.0, 2.0))
    inside = data.sel(time=slice(1.0, 2.0))
    for number, line in enumerate(rows(ax, 3)):
        np.testing.assert_array_equal(line.get_xdata(), inside["time"].values)
        drawn, true = -line.get_ydata(), inside["signal"].values[:, number]
        assert np.corrcoef(drawn, true)[0, 1] == pytest.approx(1, abs=1e-12)
        assert np.median(line.get_ydata()) == pytest.approx(number, abs=1e-9)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["A0", "A1", "A2"]
    assert ax.get_xlabel() == "time (s)"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row on top
    assert rows(ax, 3)[2].get_color() != rows(ax, 3)[0].get_color()  # the bad one is grey


def test_rows_of_one_unit_share_a_scale_and_a_bar_tells_it():
    data = signal()
    ax = nks.plotting.traces(data)
    scale = [
        np.ptp(line.get_ydata()) / np.ptp(data["signal"].values[:, i])
        for i, line in enumerate(rows(ax, 3))
    ]
    assert scale[0] == pytest.approx(scale[2])
    bars = ax.lines[3:]
    texts = [t.get_text() for t in ax.texts]
    assert [t.split()[1] for t in texts] == ["V", "T"]
    for bar, text, one in zip(bars, texts, (scale[0], scale[1]), strict=True):
        assert np.ptp(bar.get_ydata()) == pytest.approx(float(text.split()[0]) * one)


def test_calcium_of_a_session_and_a_named_variable():
    session = nks.snn.simulate(nks.snn.cuba(30, rng=0), 2.0, rng=0, progress=False)
    calcium = nks.snn.observe.calcium(session, rng=0)
    ax = nks.plotting.traces(calcium, "fluorescence", max_traces=4)
    assert len(ax.get_yticks()) == 4
    assert ax.get_ylabel() == "unit (4 of 30)"


def test_constant_missing_and_single_samples_are_drawn():
    data = signal()
    data["signal"][:, 0] = 3.0
    data["signal"][:, 1] = np.nan
    ax = nks.plotting.traces(data)
    assert (rows(ax, 1)[0].get_ydata() == 0).all()
    nks.plotting.traces(signal().isel(time=slice(0, 1)))


def test_what_cannot_be_drawn_is_said():
    data = signal()
    with pytest.raises(SchemaError, match="Did you mean 'signal'"):
        nks.plotting.traces(data, "signall")
    with pytest.raises(SchemaError, match="isel"):
        nks.plotting.traces(data.expand_dims("trial"))
    with pytest.raises(SchemaError, match="Expected one of"):
        nks.plotting.traces(data.drop_vars("signal"))
    with pytest.raises(SchemaError, match="Expected something to draw"):
        nks.plotting.traces(data.isel(channel=slice(0, 0)))
    with pytest.raises(SchemaError, match="one group of it"):
        nks.plotting.traces(xr.DataTree.from_dict({"/signal/low": data, "/signal/high": data}))
    with pytest.raises(SchemaError, match="a NumPy array"):
        nks.plotting.traces(np.zeros((3, 3)))
    with pytest.raises(ParameterError, match=r"0 to 3\.99"):
        nks.plotting.traces(data, window=(10, 11))
    for number in (0, 1.5, True):
        with pytest.raises(ParameterError, match="max_traces"):
            nks.plotting.traces(data, max_traces=number)
