"""Slices of a flow's dynamics, and plots of latents and rates: what is shown is what there is."""

from __future__ import annotations

import io
import json

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

mpl.use("Agg")

import matplotlib.pyplot as plt

import neurokit_sdr as nks
from neurokit_sdr.core.errors import NotFittedError, ParameterError, SchemaError
from neurokit_sdr.engines.training.steps import random_key
from neurokit_sdr.engines.training.weights import to_flat
from neurokit_sdr.generative.langevin_flow import equations as langevin
from neurokit_sdr.generative.langevin_flow import landscape as _landscape

BIN, TIME_STEP = 0.02, 0.5
N_TRIALS, N_BINS, N_UNITS = 3, 30, 8


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# -- made data ------------------------------------------------------------------------------------


def times(n_bins=N_BINS):
    return ("time", (np.arange(n_bins) + 0.5) * BIN, {"units": "s"})


def make_prediction(n_trials=N_TRIALS, n_bins=N_BINS, n_units=N_UNITS, band=True, ahead=4):
    """Rates as a model with held-out units and bins ahead predicts them, and the truth."""
    rng = np.random.default_rng(0)
    dims = ("trial", "time", "unit")
    rate = rng.gamma(3, 4, (n_trials, n_bins, n_units))
    coords = {
        "trial": 10 * np.arange(n_trials) + 5,
        "condition": ("trial", [f"c{i % 2}" for i in range(n_trials)]),
        "time": times(n_bins),
        "unit": [f"u{i}" for i in range(n_units)],
        "held_in": ("unit", np.arange(n_units) < n_units - 2),
        "forward": ("time", np.arange(n_bins) >= n_bins - ahead),
    }
    expected = rate * BIN * 1.1
    prediction = xr.Dataset({"expected_count": (dims, expected, {"units": "1"})}, coords)
    if band:
        for side, factor in (("low", 0.7), ("high", 1.5)):
            prediction[f"expected_count_{side}"] = (dims, factor * expected, {"units": "1"})
    truth = xr.Dataset(
        {
            "count": (dims, rng.poisson(rate * BIN), {"units": "1"}),
            "rate": (dims, rate, {"units": "Hz"}),
        },
        coords,
        {"bin_size": BIN},
    )
    return prediction, truth


def make_parameters(n=4, coupling=0.0, seed=0):
    """The dynamics of a fitted flow: independent oscillators, or coupled ones."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, n)) * coupling
    physics = langevin.Physics(
        *(rng.uniform(0.5, 2, n),),
        mixed + mixed.T,
        *(rng.uniform(0.5, 2, (2, n))),
        0.7,
    )
    frequency, shape = langevin.normal_modes(physics)
    seconds = BIN / TIME_STEP
    result = xr.Dataset(
        {
            "stiffness": ("oscillator", physics.stiffness),
            "mass": ("oscillator", physics.mass),
            "friction": ("oscillator", physics.friction / seconds),
            "temperature": ("scalar", [physics.temperature]),
            "coupling": (("oscillator", "other_oscillator"), physics.coupling),
            "frequency": ("mode", frequency / (2 * np.pi * seconds)),
            "mode_shape": (("oscillator", "mode"), shape),
        },
        attrs={"bin_size": BIN},
    )
    return physics, result


def cut(result, latent=None, plane="positions", modes=None, extent=None, n_points=21):
    return _landscape.landscape(
        result, TIME_STEP, latent, plane=plane, modes=modes, extent=extent, n_points=n_points
    )


def make_latent(result, n_trials=2, n_bins=12, seed=0):
    n = result.sizes["oscillator"]
    values = np.random.default_rng(seed).normal(size=(n_trials, n_bins, 2 * n))
    return xr.DataArray(
        values,
        {"time": times(n_bins), "condition": ("trial", ["a", "b"] * (n_trials // 2))},
        ("trial", "time", "latent_dim"),
        "latent",
    )


def make_history(n_epochs=12):
    falling = np.exp(-np.arange(n_epochs) / 3)
    return xr.Dataset(
        {
            "loss": ("epoch", 0.2 + falling, {"units": "nats"}),
            "validation_loss": ("epoch", 0.3 + falling**2, {"units": "nats"}),
            "kl": ("epoch", falling, {"units": "nats"}),
            "learning_rate": ("epoch", 1e-3 * falling),
            "kl_weight": ("epoch", np.linspace(0, 0.3, n_epochs)),
        },
        coords={"epoch": np.arange(n_epochs)},
        attrs={"best_epoch": 7, "status": "converged"},
    )


# -- slices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("coupling", [0.0, 0.8])
def test_potential_and_forces_are_those_of_the_dynamics(coupling):
    physics, result = make_parameters(coupling=coupling)
    found = cut(result, modes=(1, 3), extent=(1.5, 0.5), n_points=4)
    assert found.attrs["modes"] == [1, 3]
    assert (found["position"].max(), found["other_position"].max()) == (1.5, 0.5)
    shape = result["mode_shape"].values[:, [1, 3]]
    for i, a in enumerate(found["position"].values):
        for j, b in enumerate(found["other_position"].values):
            z = shape @ [a, b]
            s = 2 * np.tanh(z / 2)
            u = (np.sum(physics.stiffness * z**2) + s @ physics.coupling @ s) / 2
            slope = physics.stiffness * z + (1 - s**2 / 4) * (physics.coupling @ s)
            here = found.isel(position=i, other_position=j)
            # The model computes in float32: 2^-24 relative, of sums of at most 20 terms of order 10
            assert here["potential"] == pytest.approx(u / 0.7, abs=1e-4)
            assert [here["force"], here["other_force"]] == pytest.approx(
                -shape.T @ slope / 0.7, abs=1e-4
            )


def test_forces_are_minus_the_gradient_of_the_potential():
    _, result = make_parameters(coupling=0.8)
    found = cut(result, modes=(0, 1), extent=3.0, n_points=301)
    step = 6.0 / 300
    for name, dim in (("force", "position"), ("other_force", "other_position")):
        slope = -found["potential"].differentiate(dim, edge_order=2)
        inside = {d: slice(2, -2) for d in ("position", "other_position")}
        # float32 rounding of a potential of up to ~20, over two steps, and h^2 U''' / 6
        error = np.abs(found[name] - slope).isel(inside).max()
        assert error < 20 * 2**-22 / (2 * step) + step**2


def test_a_free_oscillator_turns_through_its_phase_plane_at_its_frequency():
    """Along the flow without friction energy stays, and one turn takes the period."""
    physics, result = make_parameters()
    result["friction"] = 0 * result["friction"]
    found = cut(result, plane="phase", modes=2, extent=1.0)
    period = 1 / float(result["frequency"][2])
    omega = np.sort(np.sqrt(physics.stiffness / physics.mass))[2]
    assert omega * period * TIME_STEP / BIN == pytest.approx(2 * np.pi)
    q, p = xr.broadcast(found["position"], found["velocity"])
    per_second = TIME_STEP / BIN
    assert np.allclose(found["position_rate"], (p * per_second).transpose("velocity", "position"))
    turned = (-(omega**2) * q * per_second).transpose("velocity", "position")
    assert np.allclose(found["velocity_rate"], turned, atol=1e-4 * per_second)
    energy = ((p**2 + omega**2 * q**2) / (2 * 0.7)).transpose("velocity", "position")
    assert np.allclose(found["energy"], energy, atol=1e-4)


def test_friction_takes_energy_at_its_rate():
    _, result = make_parameters()
    without = cut(result.assign(friction=0 * result["friction"]), plane="phase", modes=0)
    found = cut(result, plane="phase", modes=0)
    taken = (without["velocity_rate"] - found["velocity_rate"]) / found["velocity"]
    # Independent oscillators: the mode's friction is that of the oscillator it is.
    alone = int(np.abs(result["mode_shape"][:, 0]).argmax("oscillator"))
    fits = np.abs(taken - float(result["friction"][alone])) < 1e-3
    assert fits.where(np.abs(found["velocity"]) > 0.1, True).all()


def test_a_saddle_at_the_origin_is_called_a_double_well_and_shown_whole():
    _, result = make_parameters()
    result["stiffness"] = xr.full_like(result["stiffness"], 0.1)
    result["mass"] = xr.full_like(result["mass"], 1.0)
    result["coupling"] = xr.zeros_like(result["coupling"])
    result["coupling"][0, 0] = -1.0
    physics = langevin.Physics(
        *(result[n].values for n in ("stiffness", "coupling", "mass", "friction")), 0.7
    )
    frequency, result["mode_shape"][:] = langevin.normal_modes(physics)
    result["frequency"][:] = frequency
    found = cut(result, n_points=101)
    assert found["position"].attrs["long_name"] == "mode 0, double well"
    assert found["other_position"].attrs["long_name"].endswith("Hz")
    line = found["potential"].sel(other_position=0, method="nearest")
    lowest = int(line.argmin("position"))
    assert 0 < lowest < 100
    assert line.min() < -1e-3
    # Five thermal energies above the lowest point and a margin.
    assert 5 < line[0] - line.min() < 10


def test_slices_hold_the_latents_of_the_data_and_the_modes_they_move_along():
    _, result = make_parameters(coupling=0.3)
    latent = make_latent(result)
    shape, mass = result["mode_shape"].values, result["mass"].values
    # Twenty times as far along mode 2, and most of all in velocity of mode 1.
    back = np.linalg.inv(shape)
    z, v = np.split(latent.values, 2, axis=-1)
    z = ((z @ back.T) * [1, 1, 20, 5]) @ shape.T
    latent = latent.copy(data=np.concatenate([z, v], axis=-1))
    found = cut(result, latent)
    assert found.attrs["modes"] == [2, 3]
    drawn = found["trajectory"]
    np.testing.assert_allclose(drawn.values, (z @ np.linalg.inv(shape).T)[..., [2, 3]])
    assert drawn["axis"].values.tolist() == ["position", "other_position"]
    assert drawn["condition"].values.tolist() == ["a", "b"]
    assert np.abs(drawn.sel(axis="position")).max() < found["position"].max()
    assert np.abs(drawn.sel(axis="other_position")).max() < found["other_position"].max()
    phase = cut(result, latent, plane="phase", modes=1)
    both = np.stack([(a * mass) @ shape[:, 1] for a in (z, v)], axis=-1)
    np.testing.assert_allclose(phase["trajectory"], both)


def test_trajectories_beyond_a_trial_s_end_are_left_out():
    _, result = make_parameters()
    latent = make_latent(result)
    latent[1, 5:] = np.nan
    found = cut(result, latent)
    assert np.isfinite(found["potential"]).all()
    assert np.isnan(found["trajectory"][1, 5:]).all()
    one = cut(result, latent[0], plane="phase")
    assert one["trajectory"].dims == ("time", "axis")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"plane": "modes"}, r"Expected plane to be one of \['positions', 'phase'\], got 'modes'"),
        ({"n_points": 1}, "n_points as a whole number >= 2, got 1"),
        ({"modes": 1}, "Expected modes as two different modes between 0 and 3"),
        ({"modes": (1, 1)}, r"got \(1, 1\)"),
        ({"modes": (0, 4)}, r"got \(0, 4\)"),
        ({"modes": (0, 1.0)}, r"got \(0, 1\.0\)"),
        ({"modes": (0, 1), "plane": "phase"}, "Expected modes as one mode"),
        ({"extent": 0}, "Expected extent as a number > 0"),
        ({"extent": (1, 2, 3)}, r"got \(1, 2, 3\)"),
        ({"extent": (1, np.nan)}, "Expected extent"),
    ],
)
def test_slices_that_cannot_be_are_refused(given, text):
    with pytest.raises(ParameterError, match=text):
        cut(make_parameters()[1], **given)


@pytest.fixture(scope="module")
def flow():
    """A flow with known dynamics and a network as it is before training."""
    counts = make_prediction()[1][["count"]].drop_vars(["held_in", "forward"])
    made = nks.generative.LangevinFlow(n_latents=4, n_hidden=8, time_step=TIME_STEP)
    sizes = made._sizes(np.ones(N_UNITS, dtype=bool), 0)
    vector, layout = to_flat(made._network(sizes, random_key(0, "weights"), np.zeros(N_UNITS)))
    known = make_parameters(coupling=0.3)[1].assign_coords(unit=counts["unit"].values)
    known["weight"] = ("parameter", vector, {"layout": layout})
    known.attrs["parameters"] = json.dumps(made.get_params())
    return nks.generative.LangevinFlow.from_parameters(known), counts


def test_a_flow_gives_its_landscape(flow):
    model, counts = flow
    assert "trajectory" not in model.landscape(n_points=5)
    found = model.landscape(counts, plane="phase", n_points=5)
    latent = model.transform(counts)["latent"].values
    mode = model.result_["mode_shape"].values[:, found.attrs["modes"][0]]
    position = (latent[..., :4] * model.result_["mass"].values) @ mode
    np.testing.assert_allclose(found["trajectory"].sel(axis="position"), position)
    nks.plotting.flow_field(found, condition="condition")


def test_a_slice_survives_a_file(flow, tmp_path):
    model, counts = flow
    found = model.landscape(counts, modes=(2, 0), n_points=5)
    found.to_netcdf(tmp_path / "slice.nc")
    with xr.open_dataset(tmp_path / "slice.nc") as again:
        xr.testing.assert_equal(again.load(), found)
        nks.plotting.potential_landscape(again)


def test_models_without_a_potential_have_no_landscape(flow):
    with pytest.raises(NotFittedError):
        nks.generative.LangevinFlow().landscape()
    model, _ = flow
    control = nks.generative.LangevinFlow(latent_path="recurrent_only")
    control.result_ = model.result_.drop_vars("mode_shape")
    with pytest.raises(ParameterError, match="latent_path='recurrent_only': use variant='paper'"):
        control.landscape()


# -- plots ----------------------------------------------------------------------------------------


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
