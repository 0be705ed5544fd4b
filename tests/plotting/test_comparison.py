"""Plots that compare: held-out scores, states by position."""

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
    make_behavior,
    make_table,
)


def test_held_out_comparison_shows_means_and_folds():
    table = make_table()
    ax = nks.plotting.held_out_comparison(table)
    bits = table["bits_per_spike"].values
    by_label = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(by_label["GLM"].get_ydata(), bits[0, 0].mean())
    assert by_label["GLM"].get_linestyle() == "--"
    for number, name in enumerate(["Poisson HMM", "HMM-GLM"], start=1):
        np.testing.assert_allclose(by_label[name].get_ydata(), bits[number].mean(1))
        np.testing.assert_array_equal(by_label[name].get_xdata(), [1, 2, 3, 4])
    dots = [line for line in ax.lines if line.get_linestyle() == "None"]
    for line, model in zip(dots, bits, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), model.ravel())
        # beside their number of states, never nearer to another
        assert np.abs(line.get_xdata() - np.repeat([1, 2, 3, 4], 5)).max() < 0.25
    assert ax.get_xticks().tolist() == [1, 2, 3, 4]
    assert ax.get_ylabel() == "held-out bits per spike"


def test_held_out_comparison_without_folds():
    table = make_table().isel(fold=0)
    ax = nks.plotting.held_out_comparison(table)
    assert len(ax.lines) == 3


def test_held_out_comparison_has_no_mean_where_a_fold_is_missing():
    table = make_table()
    table["bits_per_spike"][2, 3, 0] = np.nan
    lines = {x.get_label(): x for x in nks.plotting.held_out_comparison(table).lines}
    assert lines["HMM-GLM"].get_xdata().tolist() == [1, 2, 3]


def test_held_out_comparison_refuses_a_table_without_numbers():
    with pytest.raises(SchemaError, match="finite"):
        nks.plotting.held_out_comparison(make_table() * np.nan)


def test_states_by_position_shows_curves_and_quantiles():
    dataset = make_behavior()
    curves, boxes = nks.plotting.states_by_position(dataset)
    for line, values in zip(curves.lines, dataset["occupancy"].values, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
        np.testing.assert_array_equal(line.get_xdata(), dataset["position_bin"].values)
    speed = dataset["speed"].values
    medians = [x.get_ydata()[0] for x in boxes.lines if x.get_linewidth() == 1.6]
    np.testing.assert_array_equal(medians, speed[:, 2])
    for patch, row in zip(boxes.patches, speed, strict=True):
        y = patch.get_path().vertices[:, 1]
        np.testing.assert_allclose([y.min(), y.max()], row[[1, 3]])
    assert curves.get_xlabel() == "position (m)"
    assert curves.get_ylabel() == "probability of state"
    assert boxes.get_xlabel() == "state"
    assert boxes.get_ylabel() == "speed (m/s)"


def test_states_by_position_into_given_axes():
    _, given = plt.subplots(1, 2)
    assert list(nks.plotting.states_by_position(make_behavior(), axes=given)) == list(given)
    with pytest.raises(ParameterError, match="two axes"):
        nks.plotting.states_by_position(make_behavior(), axes=given[:1])


def test_states_by_position_names_a_missing_quantile():
    with pytest.raises(SchemaError, match=r"0\.25"):
        nks.plotting.states_by_position(make_behavior().isel(quantile=[0, 2, 3, 4]))
