"""Plots of latents and rates: what is shown is what there is."""

from __future__ import annotations

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from tests.plotting.flows import (
    BIN,
    N_BINS,
    cut,
    make_history,
    make_latent,
    make_parameters,
    make_prediction,
)


def slices():
    result = make_parameters(coupling=0.8)[1]
    latent = make_latent(result)
    return cut(result, latent), cut(result, latent, plane="phase")


def make_latents():
    return xr.Dataset({"latent": make_latent(make_parameters()[1])})


def one_column():
    prediction, truth = make_prediction()
    psth = nks.validation.psth(truth)
    return nks.plotting.single_trial_rates(prediction, truth, units=["u7"], psth=psth)


PLOTS = {
    "one_column": one_column,
    "single_trial_rates": lambda **k: nks.plotting.single_trial_rates(*make_prediction(), **k),
    "potential_landscape": lambda **k: nks.plotting.potential_landscape(slices()[0], **k),
    "flow_field": lambda **k: nks.plotting.flow_field(slices()[1], **k),
    "phase_portrait": lambda **k: nks.plotting.phase_portrait(make_latents(), **k),
    "training_curves": lambda **k: nks.plotting.training_curves(make_history(), **k),
}
ONE = ["potential_landscape", "flow_field", "phase_portrait"]
SEVERAL = {"single_trial_rates": 6, "training_curves": 3}


def first(drawn):
    return np.ravel(np.array(drawn, dtype=object))[0]


@pytest.mark.parametrize("name", PLOTS)
def test_renders_to_an_image_inside_its_figure(name):
    before = mpl.rcParams.copy()
    figure = first(PLOTS[name]()).figure
    assert mpl.rcParams == before
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    stream.seek(0)
    image = plt.imread(stream)
    assert len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 30
    box, size = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) >= -0.01
    assert box.x1 <= size[0] + 0.01
    assert box.y1 <= size[1] + 0.01


@pytest.mark.parametrize("name", ONE)
def test_draws_into_given_axes(name):
    figure, (left, _) = plt.subplots(1, 2)
    assert PLOTS[name](ax=left) is left
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ParameterError, match="Expected ax to be matplotlib Axes"):
        PLOTS[name](ax=figure)


@pytest.mark.parametrize("name", SEVERAL)
def test_draws_into_as_many_given_axes_as_panels(name):
    figure, axes = plt.subplots(1, SEVERAL[name], layout="constrained")
    assert all(ax.figure is figure for ax in PLOTS[name](axes=axes))
    with pytest.raises(ParameterError, match=f"Expected {SEVERAL[name]} axes, one per panel"):
        PLOTS[name](axes=axes[:2])


def line(ax, name):
    return next(one for one in ax.lines if one.get_label() == name)


def test_rates_band_truth_and_psth_are_on_the_axes():
    prediction, truth = make_prediction()
    psth = nks.validation.psth(truth, smoothing=0)
    axes = nks.plotting.single_trial_rates(
        prediction, truth, trial=15, units=["u7", "u0"], psth=psth
    )
    assert [ax.get_title() for ax in axes] == ["unit u7, held out", "unit u0"]
    for ax, unit in zip(axes, ["u7", "u0"], strict=True):
        one = {"trial": 15, "unit": unit}
        shown = line(ax, "predicted rate")
        np.testing.assert_array_equal(shown.get_xdata(), prediction["time"])
        expected = prediction["expected_count"].sel(one)
        np.testing.assert_allclose(shown.get_ydata(), expected / BIN)
        np.testing.assert_allclose(line(ax, "true rate").get_ydata(), truth["rate"].sel(one))
        profile = psth.sel(condition="c1", unit=unit)
        np.testing.assert_allclose(line(ax, "PSTH").get_ydata(), profile / BIN)
        band, spikes = ax.collections[:2]
        edge = band.get_paths()[0].vertices[:, 1]
        assert edge.min() == pytest.approx(0.7 * float(expected.min()) / BIN)
        assert edge.max() == pytest.approx(1.5 * float(expected.max()) / BIN)
        ticks = np.sort([segment[0, 0] for segment in spikes.get_segments()])
        number = truth["count"].sel(one).values
        assert ticks.size == number.sum()
        edges = np.arange(N_BINS + 1) * BIN
        np.testing.assert_array_equal(np.histogram(ticks, edges)[0], number)
    assert axes[0].patches[0].get_x() == pytest.approx((N_BINS - 4) * BIN)
    texts = [text.get_text() for text in axes[0].figure.legends[0].get_texts()]
    assert sorted(texts) == sorted(
        ["band", "PSTH", "true rate", "predicted rate", "spikes", "ahead"]
    )
    assert axes[0].get_ylabel() == "rate (Hz)"


def test_held_out_units_come_first_and_more_than_six_are_left_out():
    axes = nks.plotting.single_trial_rates(*make_prediction())
    titles = [ax.get_title() for ax in axes]
    assert titles[:3] == ["unit u6, held out", "unit u7, held out", "unit u0"]
    assert len(titles) == 6


def test_rates_without_truth_band_or_trials():
    prediction, truth = make_prediction(band=False, ahead=0)
    (ax,) = nks.plotting.single_trial_rates(prediction.isel(trial=1), units=["u3"])
    assert ax.get_ylabel() == "spikes per bin"
    assert not ax.collections
    shown = line(ax, "predicted rate").get_ydata()
    np.testing.assert_array_equal(shown, prediction["expected_count"].isel(trial=1).sel(unit="u3"))
    # One trial, one unit, one bin; and a truth that lacks bins, units and rates.
    little = truth[["count"]].isel(time=slice(0, 1), unit=slice(0, 2))
    nks.plotting.single_trial_rates(prediction.isel(time=slice(0, 1), unit=[3]), little)
    (ax,) = nks.plotting.single_trial_rates(prediction.isel(unit=[1]), little)
    assert [one.get_label() for one in ax.lines][:1] == ["predicted rate"]
    silent = truth.assign(count=0 * truth["count"])
    nks.plotting.single_trial_rates(prediction, silent)[0].figure.draw_without_rendering()


def test_expected_counts_of_a_simulation_are_a_truth():
    prediction, truth = make_prediction()
    expected = (truth["rate"] * BIN).assign_attrs(units="1")
    simulated = xr.Dataset({"expected_count": expected}, attrs={"bin_size": BIN})
    (ax,) = nks.plotting.single_trial_rates(prediction, simulated, units=["u0"])
    np.testing.assert_allclose(
        line(ax, "true rate").get_ydata(), truth["rate"].isel(trial=0).sel(unit="u0")
    )


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"prediction": None}, SchemaError, "Expected an xarray.Dataset with 'expected_count'"),
        ({"prediction": xr.Dataset()}, SchemaError, r"pass model\.predict\(data\)"),
        ({"trial": 4}, ParameterError, "one of the 3 of the prediction, 5, 15, 25, got 4"),
        ({"units": ["u9"]}, ParameterError, r"the 8 of the prediction, 'u0'.*got \['u9'\]"),
        ({"units": []}, ParameterError, r"got \[\]"),
        ({"truth": np.zeros(3)}, SchemaError, "a NumPy array of shape .*: a PSTH goes to psth="),
        ({"psth": np.zeros(3)}, SchemaError, r"pass nks\.validation\.psth\(counts\)"),
    ],
)
def test_rates_that_cannot_be_drawn(change, error, text):
    prediction, truth = make_prediction()
    with pytest.raises(error, match=text):
        nks.plotting.single_trial_rates(**({"prediction": prediction, "truth": truth} | change))


def test_truth_and_psth_must_be_of_the_same_trials():
    prediction, truth = make_prediction()
    with pytest.raises(SchemaError, match=r"attrs\['bin_size'\] \(s\) of the truth, got none"):
        nks.plotting.single_trial_rates(prediction, truth.drop_attrs())
    with pytest.raises(ParameterError, match="one of the 2 of the truth, 15, 25, got 5"):
        nks.plotting.single_trial_rates(prediction, truth.isel(trial=[1, 2]))
    wrong = truth.assign(rate=truth["rate"].isel(time=0))
    with pytest.raises(SchemaError, match=r"Expected 'rate' with dims"):
        nks.plotting.single_trial_rates(prediction, wrong)
    psth = nks.validation.psth(truth).sel(condition=["c1"])
    with pytest.raises(SchemaError, match="a PSTH of the trial's condition, 'c0', got those of"):
        nks.plotting.single_trial_rates(prediction, truth, psth=psth)
    for dim in ("unit", "time", "trial"):
        with pytest.raises((SchemaError, ParameterError), match="Expected"):
            nks.plotting.single_trial_rates(prediction.isel({dim: slice(0, 0)}))


def test_the_potential_its_forces_and_paths_are_on_the_axes():
    found = slices()[0]
    ax = nks.plotting.potential_landscape(found, condition="condition")
    assert ax.get_xlabel() == found["position"].attrs["long_name"]
    assert ax.get_xlim() == pytest.approx(
        (found["position"][0].item(), found["position"][-1].item())
    )
    (arrows,) = [c for c in ax.collections if isinstance(c, mpl.quiver.Quiver)]
    for x, y, u, v in zip(arrows.X, arrows.Y, arrows.U, arrows.V, strict=True):
        here = found.sel(position=x, other_position=y)
        assert (here["force"].item(), here["other_force"].item()) == pytest.approx((u, v))
    levels = ax.collections[0].levels
    assert levels[0] <= found["potential"].min()
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), found["trajectory"][0])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["a", "b"]
    assert ax.lines[0].get_color() != ax.lines[2].get_color()
    assert ax.figure.axes[1].get_ylabel() == "potential (kT)"


def test_energy_and_flow_are_on_the_axes():
    found = slices()[1]
    ax = nks.plotting.flow_field(found)
    assert ax.get_ylabel() == f"velocity of mode {found.attrs['modes'][0]}"
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), found["trajectory"][0])
    turned = nks.plotting.flow_field(found.transpose())
    np.testing.assert_array_equal(turned.collections[0].levels, ax.collections[0].levels)
    streams = [c for c in ax.collections if isinstance(c, mpl.collections.LineCollection)]
    # Above the position axis positions grow.
    for segment in streams[0].get_segments():
        (x0, y0), (x1, y1) = segment[0], segment[-1]
        if min(y0, y1) > 0:
            assert x1 >= x0


def test_a_flat_potential_and_slices_without_data_are_drawn():
    bare = slices()[0].drop_vars("trajectory")
    assert not nks.plotting.potential_landscape(bare).lines
    flat = bare.assign({name: 0 * bare[name] for name in bare.data_vars})
    nks.plotting.potential_landscape(flat).figure.draw_without_rendering()
    coarse = bare.isel(position=[0, -1], other_position=[0, -1])
    nks.plotting.potential_landscape(coarse).figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nks.plotting.potential_landscape(slices()[1]),
         r"Expected a variable 'potential'.*pass model\.landscape\(data\)"),
        (lambda: nks.plotting.flow_field(slices()[0]),
         r"Expected a variable 'energy'.*landscape\(data, plane='phase'\)"),
        (lambda: nks.plotting.potential_landscape(slices()[0].isel(position=[0])),
         "a grid of at least 2 by 2 points"),
        (lambda: nks.plotting.flow_field(slices()[1] * np.nan), "441 that are not finite"),
        (lambda: nks.plotting.flow_field(slices()[1], condition="conditions"),
         "Did you mean 'condition'"),
        (lambda: nks.plotting.phase_portrait(make_latents(), condition="time"),
         r"coordinate along trial, got \['condition'\]"),
        (lambda: nks.plotting.phase_portrait(make_latents()["latent"]),
         r"pass model\.transform\(data\)"),
        (lambda: nks.plotting.training_curves(make_history().drop_vars("loss")),
         "Expected a variable 'loss'"),
        (lambda: nks.plotting.training_curves(None), "Expected an xarray.Dataset with 'loss'"),
    ],
)  # fmt: skip
def test_other_data_are_refused(call, text):
    with pytest.raises(SchemaError, match=text):
        call()


def test_paths_of_trials_are_on_the_axes():
    latents = make_latents()
    latents["latent"][1, 6:] = np.nan
    ax = nks.plotting.phase_portrait(latents, (3, 1), condition="condition")
    drawn = [one for one in ax.lines if one.get_linestyle() == "-"]
    for one, path in zip(drawn, latents["latent"], strict=True):
        np.testing.assert_array_equal(one.get_xydata(), path[:, [3, 1]])
    dots = [one.get_xydata()[0] for one in ax.lines if one.get_marker() == "o"]
    np.testing.assert_array_equal(dots, latents["latent"][:, 0, [3, 1]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("latent 3", "latent 1")
    for dims in ((0, 8), (0,), (0, 1.0), (True, 0)):
        with pytest.raises(ParameterError, match="two positions between 0 and 7"):
            nks.plotting.phase_portrait(latents, dims)


def test_one_trial_and_more_conditions_than_names():
    latents = make_latents()
    nks.plotting.phase_portrait(latents.isel(trial=0))
    empty = latents.isel(trial=slice(0, 1)) * np.nan
    assert not nks.plotting.phase_portrait(empty).lines
    many = xr.concat([latents["latent"].drop_vars("condition")] * 8, "trial").to_dataset(
        name="latent"
    )
    many = many.assign_coords(condition=("trial", np.arange(16) - 3))
    ax = nks.plotting.phase_portrait(many, condition="condition")
    assert ax.get_legend() is None
    assert len({one.get_color() for one in ax.lines}) == 16


def test_conditions_that_are_numbers_have_colours_in_their_order():
    latents = make_latents().assign_coords(condition=("trial", [10, 9]))
    ax = nks.plotting.phase_portrait(latents, condition="condition")
    with nks.plotting.style():
        colors = [f"#{c}".lower() for c in plt.rcParams["axes.prop_cycle"].by_key()["color"]]
    drawn = [mpl.colors.to_hex(one.get_color()) for one in ax.lines[::2]]
    assert drawn == [c.replace("##", "#") for c in colors[1::-1]]


def test_curves_of_training_are_on_the_axes():
    history = make_history()
    top, middle, bottom = nks.plotting.training_curves(history)
    np.testing.assert_array_equal(line(top, "training").get_ydata(), history["loss"])
    np.testing.assert_array_equal(line(top, "validation").get_ydata(), history["validation_loss"])
    np.testing.assert_array_equal(middle.lines[0].get_ydata(), history["kl"])
    np.testing.assert_array_equal(bottom.lines[0].get_ydata(), history["learning_rate"])
    (right,) = [ax for ax in bottom.figure.axes if ax.get_ylabel() == "KL weight"]
    np.testing.assert_array_equal(right.lines[0].get_ydata(), history["kl_weight"])
    assert line(top, "weights kept (epoch 7)").get_xdata() == [7, 7]
    assert top.get_title() == "status: converged"
    assert bottom.get_xlabel() == "epoch"


def test_a_history_of_the_loss_alone_and_of_one_epoch():
    alone = make_history()[["loss"]].assign_attrs(best_epoch=-1)
    top, *_ = nks.plotting.training_curves(alone)
    assert len(top.lines) == 1
    nks.plotting.training_curves(make_history(1))
    nothing = make_history().isel(epoch=slice(0, 0))
    nks.plotting.training_curves(nothing)[0].figure.draw_without_rendering()
