"""Plots of spiking networks: rasters and spectra."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core.errors import (
    ParameterError,
    SchemaError,
)
from tests.plotting.results import (
    make_rates,
    make_spectrum,
    make_spikes,
)


def test_spike_raster_shows_every_spike_in_its_units_row():
    spikes, rates = make_spikes(), make_rates()
    raster, rate = nks.plotting.spike_raster(spikes, rates)
    drawn = [line for line in raster.lines if line.get_marker() == "|"]
    for line, units in zip(drawn, ([0, 1, 2], [3]), strict=True):
        own = np.isin(spikes["spike_unit"], units)
        np.testing.assert_array_equal(line.get_xdata(), spikes["spike_time"].values[own])
        np.testing.assert_array_equal(line.get_ydata(), spikes["spike_unit"].values[own])
    assert raster.get_ylim()[0] > raster.get_ylim()[1]  # the first unit on top
    for line, values in zip(rate.lines, rates["rate"].values, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert [t.get_text() for t in raster.get_legend().get_texts()] == ["excitatory", "inhibitory"]
    assert (raster.get_ylabel(), rate.get_ylabel()) == ("unit", "rate (Hz)")
    assert rate.get_xlabel() == "time (s)"


def test_spike_raster_of_many_units_shows_some_of_each_population():
    (raster,) = nks.plotting.spike_raster(make_spikes(), max_units=2)
    rows = [set(line.get_ydata()) for line in raster.lines]
    assert rows == [{0}, {1}]
    assert raster.get_ylabel() == "unit (2 of 4)"
    assert raster.get_legend() is not None


def test_spike_raster_of_a_window_into_given_axes():
    _, given = plt.subplots(2, 1)
    raster, rate = nks.plotting.spike_raster(
        make_spikes(), make_rates(), window=(0.2, 0.6), axes=given
    )
    assert (raster, rate) == tuple(given)
    assert rate.get_xlim() == (0.2, 0.6)
    assert rate.lines[0].get_xdata().tolist() == [0.25, 0.35, 0.45, 0.55]
    assert all(0.2 <= t <= 0.6 for line in raster.lines for t in line.get_xdata())


def test_spike_raster_without_populations_has_no_legend():
    (raster,) = nks.plotting.spike_raster(make_spikes().drop_vars("population"))
    assert raster.get_legend() is None
    assert len(raster.lines) == 1


def test_spike_raster_refuses_what_it_cannot_show():
    spikes, rates = make_spikes(), make_rates()
    with pytest.raises(ParameterError, match="window"):
        nks.plotting.spike_raster(spikes, window=(0.5, 3.0))
    with pytest.raises(ParameterError, match="2 axes"):
        nks.plotting.spike_raster(spikes, rates, axes=plt.subplots()[1])
    for number in (0, 1.5, True):
        with pytest.raises(ParameterError, match="max_units"):
            nks.plotting.spike_raster(spikes, max_units=number)
    with pytest.raises(SchemaError, match="population_rate"):
        nks.plotting.spike_raster(spikes, spikes)
    with pytest.raises(SchemaError, match="same recording"):
        nks.plotting.spike_raster(spikes, rates.assign_coords(time=rates["time"] + 9))


def test_rate_spectrum_shows_power_over_poisson():
    spectrum = make_spectrum()
    ax = nks.plotting.rate_spectrum(spectrum)
    for line, power in zip(ax.lines[:2], spectrum["relative_power"].values, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), power)
        np.testing.assert_array_equal(line.get_xdata(), spectrum["frequency"].values)
    assert ax.lines[2].get_ydata()[0] == 1
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylabel() == "power / Poisson power"
    with pytest.raises(SchemaError, match="rate_spectrum"):
        nks.plotting.rate_spectrum(make_rates())
