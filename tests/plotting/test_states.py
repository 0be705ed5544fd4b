"""What the plots show is what the Datasets hold."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

mpl.use("Agg")

import matplotlib.pyplot as plt

import neurokit_sdr as nks
from neurokit_sdr.core.errors import (
    MissingDependencyError,
    NeurokitError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.plotting import _style

BIN = 0.02


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def make_result(n_states=3, n_units=4, n_bins=60, n_constants=1, n_trials=0):
    """A result of the layout of HMMGLM, with trials of unequal length where asked for."""
    rng = np.random.default_rng(1)
    lead = (n_trials,) if n_trials else ()
    dims = ("trial",) * bool(n_trials) + ("time",)
    probability = rng.dirichlet(np.full(n_states, 0.4), (*lead, n_bins))
    state = probability.argmax(-1)
    if n_trials:
        for trial in range(1, n_trials):
            probability[trial, n_bins - 5 * trial :] = np.nan
            state[trial, n_bins - 5 * trial :] = -1
    restarts = np.cumsum(rng.gamma(1, 1, (4, 8)), axis=1) - 900
    restarts[1, 5:] = np.nan
    units = [f"u{i}" for i in range(n_units)]
    return xr.Dataset(
        {
            "weight": (
                ("state", "target", "source", "time_constant"),
                rng.normal(size=(n_states, n_units, n_units, n_constants)),
                {"units": "1"},
            ),
            "transition_probability": (
                ("state", "next_state"),
                rng.dirichlet(np.ones(n_states), n_states),
            ),
            "objective": ("iteration", restarts[2], {"units": "nats"}),
            "restart_objective": (("restart", "iteration"), restarts, {"units": "nats"}),
            "state": (dims, state),
            "state_probability": ((*dims, "state"), probability, {"units": "1"}),
        },
        coords={
            "time": ("time", (np.arange(n_bins) + 0.5) * BIN, {"units": "s"}),
            "target": units,
            "source": units,
            "time_constant": ("time_constant", [0.02, 0.1, 0.5][:n_constants], {"units": "s"}),
            "iteration": np.arange(8),
        },
        attrs={"bin_size": BIN, "status": "converged"},
    )


def make_counts(result, n_units=4):
    state = result["state"]
    count = np.random.default_rng(2).poisson(0.4, (*state.shape, n_units)).astype("int32")
    return xr.Dataset(
        {"count": ((*state.dims, "unit"), count, {"units": "1"})},
        coords={"time": result["time"], "unit": [f"u{i}" for i in range(n_units)]},
        attrs={"bin_size": BIN},
    )


def make_table():
    bits = np.full((3, 4, 5), np.nan)
    bits[0, 0] = [0.4, 0.5, 0.6, 0.5, 0.45]
    bits[1:] = np.random.default_rng(3).normal(0.8, 0.1, (2, 4, 5))
    return xr.Dataset(
        {"bits_per_spike": (("model", "n_states", "fold"), bits)},
        coords={"model": ["GLM", "Poisson HMM", "HMM-GLM"], "n_states": [1, 2, 3, 4]},
    )


def make_behavior(n_states=3):
    rng = np.random.default_rng(4)
    speed = np.sort(rng.gamma(2, 0.2, (n_states, 5)), axis=1)
    return xr.Dataset(
        {
            "occupancy": (("state", "position_bin"), rng.dirichlet(np.ones(n_states), 20).T),
            "speed": (("state", "quantile"), speed, {"units": "m/s"}),
        },
        coords={
            "position_bin": ("position_bin", np.linspace(0.0, 1.6, 20), {"units": "m"}),
            "quantile": [0.05, 0.25, 0.5, 0.75, 0.95],
        },
    )


def make_spikes():
    """Three excitatory units and an inhibitory one over a second."""
    rng = np.random.default_rng(5)
    return xr.Dataset(
        {
            "spike_time": ("spike", np.sort(rng.uniform(0, 1, 60)), {"units": "s"}),
            "spike_unit": ("spike", rng.permutation(np.arange(60) % 4)),
        },
        coords={
            "unit": np.arange(4),
            "population": ("unit", ["excitatory"] * 3 + ["inhibitory"]),
        },
        attrs={"t_start": 0.0, "t_stop": 1.0},
    )


def make_rates():
    rate = np.random.default_rng(6).gamma(2, 5, (2, 10))
    return xr.Dataset(
        {"rate": (("population", "time"), rate, {"units": "Hz"})},
        coords={
            "population": ["excitatory", "inhibitory"],
            "time": ("time", np.round(np.arange(0.05, 1, 0.1), 2), {"units": "s"}),
        },
    )


def make_spectrum():
    power = np.random.default_rng(7).gamma(4, 0.25, (2, 50))
    return xr.Dataset(
        {"relative_power": (("population", "frequency"), power, {"units": "1"})},
        coords={
            "population": ["excitatory", "inhibitory"],
            "frequency": ("frequency", np.arange(4.0, 204, 4), {"units": "Hz"}),
        },
    )


PLOTS = {
    "state_raster": lambda **k: nks.plotting.state_raster(
        make_result(), make_counts(make_result()), **k
    ),
    "coupling_matrices": lambda: nks.plotting.coupling_matrices(make_result()),
    "convergence": lambda **k: nks.plotting.convergence(make_result(), **k),
    "transition_matrix": lambda **k: nks.plotting.transition_matrix(make_result(), **k),
    "held_out_comparison": lambda **k: nks.plotting.held_out_comparison(make_table(), **k),
    "states_by_position": lambda: nks.plotting.states_by_position(make_behavior()),
    "spike_raster": lambda: nks.plotting.spike_raster(make_spikes(), make_rates()),
    "rate_spectrum": lambda **k: nks.plotting.rate_spectrum(make_spectrum(), **k),
}
TAKE_AX = [
    "state_raster",
    "convergence",
    "transition_matrix",
    "held_out_comparison",
    "rate_spectrum",
]


def axes_of(drawn):
    return list(np.ravel(np.array(drawn, dtype=object)))


def runs_of(collection):
    """The (start, stop) of every bar of a broken_barh."""
    boxes = [p.get_extents() for p in collection.get_paths()]
    return [(b.x0, b.x1) for b in boxes]


def path_on(axes, time, n_states):
    """The state at each time, read from the bars of the path panel."""
    state = np.full(len(time), -1)
    for s in range(n_states):
        for start, stop in runs_of(axes.collections[s]):
            state[(time > start) & (time < stop)] = s
    return state


# -- every plot -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLOTS)
def test_renders_to_an_image_that_is_not_blank(name):
    figure = axes_of(PLOTS[name]())[0].figure
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    stream.seek(0)
    image = plt.imread(stream)
    assert image.shape[0] > 100
    assert image.shape[1] > 100
    assert len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 30
    # something is drawn in the middle, not only at the rim
    middle = image[image.shape[0] // 4 : -image.shape[0] // 4, image.shape[1] // 4 :]
    assert middle[..., :3].std() > 0.01


@pytest.mark.parametrize("name", PLOTS)
def test_nothing_drawn_lies_outside_the_figure(name):
    figure = axes_of(PLOTS[name]())[0].figure
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    # a pixel of rounding at 110 dpi
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= width + 0.01
    assert box.y1 <= height + 0.01


@pytest.mark.parametrize("name", PLOTS)
def test_user_settings_are_left_alone(name):
    before = mpl.rcParams.copy()
    PLOTS[name]()
    assert mpl.rcParams == before


@pytest.mark.parametrize("name", PLOTS)
def test_look_does_not_depend_on_user_settings(name):
    with plt.style.context("dark_background"):
        figure = axes_of(PLOTS[name]())[0].figure
    assert mpl.colors.to_hex(figure.get_facecolor()) == "#ffffff"
    ax = figure.axes[0]
    assert mpl.colors.to_hex(ax.xaxis.label.get_color()) == "#222222"


@pytest.mark.parametrize("name", PLOTS)
def test_only_the_outer_axes_may_lack_labels(name):
    drawn = axes_of(PLOTS[name]())
    assert any(ax.get_xlabel() for ax in drawn)
    assert any(ax.get_ylabel() for ax in drawn)


@pytest.mark.parametrize("name", TAKE_AX)
def test_draws_into_given_axes(name):
    figure, (left, _) = plt.subplots(1, 2)
    drawn = axes_of(PLOTS[name](ax=left))
    assert all(ax.figure is figure for ax in drawn)
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", TAKE_AX)
def test_refuses_what_is_not_axes(name):
    with pytest.raises(ParameterError, match="Expected ax to be matplotlib Axes"):
        PLOTS[name](ax=plt.figure())


@pytest.mark.parametrize(
    ("plot", "variable"),
    [
        (nks.plotting.state_raster, "state"),
        (nks.plotting.coupling_matrices, "weight"),
        (nks.plotting.convergence, "objective"),
        (nks.plotting.transition_matrix, "transition_probability"),
        (nks.plotting.held_out_comparison, "bits_per_spike"),
        (nks.plotting.states_by_position, "occupancy"),
    ],
)
@pytest.mark.parametrize(
    "wrong", [np.zeros(3), None, xr.Dataset(), xr.Dataset({"a": ("time", [1.0])})]
)
def test_wrong_input_names_what_was_expected(plot, variable, wrong):
    with pytest.raises(SchemaError, match=variable) as error:
        plot(wrong)
    assert isinstance(error.value, NeurokitError)


def test_wrong_dimensions_are_named():
    wrong = make_result().drop_vars("weight").assign(weight=(("a", "b"), np.zeros((2, 2))))
    with pytest.raises(SchemaError, match=r"'target'.*'a', 'b'"):
        nks.plotting.coupling_matrices(wrong)


def test_a_model_instead_of_its_result_is_recognised():
    class Model:
        result_ = make_result()

    with pytest.raises(SchemaError, match=r"pass model\.result_"):
        nks.plotting.convergence(Model())


def test_inputs_are_not_changed():
    result = make_result(n_constants=2)
    counts = make_counts(result)
    before = result.copy(deep=True), counts.copy(deep=True)
    nks.plotting.state_raster(result, counts)
    nks.plotting.coupling_matrices(result, truth=result)
    nks.plotting.convergence(result)
    assert result.identical(before[0])
    assert counts.identical(before[1])


def test_dimension_order_does_not_matter():
    result = make_result(n_constants=2)
    turned = result.transpose(..., "state", "target")
    for plot in (nks.plotting.coupling_matrices, nks.plotting.state_raster):
        for a, b in zip(axes_of(plot(result)), axes_of(plot(turned)), strict=True):
            for x, y in zip(a.images, b.images, strict=True):
                np.testing.assert_array_equal(x.get_array(), y.get_array())


# -- style ----------------------------------------------------------------------------------------


def test_matplotlib_is_not_loaded_before_a_plot():
    code = (
        "import sys, neurokit_sdr, neurokit_sdr.plotting as p; p.state_raster; "
        "assert not [m for m in sys.modules if m.split('.')[0] == 'matplotlib']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_matplotlib_says_how_to_get_it(monkeypatch):
    _style._settings.cache_clear()
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'neurokit-sdr\[plot\]'"):
        nks.plotting.convergence(make_result())


def test_style_is_for_the_block_only():
    with plt.rc_context({"font.size": 33}):
        with nks.plotting.style():
            assert mpl.rcParams["font.size"] == 10
        assert mpl.rcParams["font.size"] == 33


def _lab(rgb):
    """CIELAB of linear RGB, D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.clip(rgb, 0, 1) @ np.array(to_xyz).T / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


# Machado, Oliveira and Fernandes (2009), severity 1; rows give R, G, B.
_SIGHT = {
    "trichromat": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanope": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("sight", _SIGHT)
def test_ten_states_have_colours_that_everyone_can_tell_apart(sight):
    srgb = np.array([mpl.colors.to_rgb(c) for c in _style.state_colors(10)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    lab = _lab(linear @ np.array(_SIGHT[sight]).T)
    distance = np.linalg.norm(lab[:, None] - lab, axis=2)[np.triu_indices(10, 1)]
    # A just noticeable difference is 2.3; Okabe and Ito's own seven come to 16.
    assert distance.min() > 15


def test_more_than_ten_states_still_get_a_colour_each():
    assert len(set(_style.state_colors(14))) == 14


def test_unit_ids_with_dollars_and_underscores_are_shown_as_they_are():
    result = make_result().assign_coords(
        target=["$a_1$", "$b$", "c", "d"], source=["$a_1$", "$b$", "c", "d"]
    )
    ax = nks.plotting.coupling_matrices(result)[0, 0]
    ax.figure.draw_without_rendering()
    texts = [t.get_text() for t in ax.get_yticklabels()]
    assert texts[0] == r"\$a_1\$"


# -- state raster ---------------------------------------------------------------------------------


def test_state_raster_shows_the_data():
    result = make_result()
    counts = make_counts(result)
    raster, path, stack = nks.plotting.state_raster(result, counts)
    cells = raster.collections[-1].get_array()
    np.testing.assert_array_equal(np.ma.filled(cells, 0), counts["count"].values.T)
    np.testing.assert_array_equal(path_on(path, result["time"].values, 3), result["state"].values)
    np.testing.assert_array_equal(path_on(raster, result["time"].values, 3), result["state"].values)
    total = result["state_probability"].values.cumsum(1)
    for area in stack.patches:
        values, edges, _ = area.get_data()
        np.testing.assert_array_equal(values, total[:, int(area.get_label())])
        np.testing.assert_allclose(edges, np.arange(61) * BIN)
    assert [t.get_text() for t in raster.get_yticklabels()] == list(counts["unit"].values)


def test_state_raster_axes_have_units():
    raster, path, stack = PLOTS["state_raster"]()
    assert stack.get_xlabel() == "time (s)"
    assert raster.get_ylabel() == "unit"
    assert path.get_ylabel() == "state"
    assert stack.get_ylabel() == "probability"
    assert raster.child_axes[0].get_ylabel() == "spikes per bin"
    legend = [t.get_text() for t in stack.get_legend().get_texts()]
    assert sorted(legend) == ["0", "1", "2"]


def test_state_raster_colours_each_state_alike_everywhere():
    raster, path, stack = PLOTS["state_raster"]()
    colors = _style.state_colors(3)
    for s, color in enumerate(colors):
        for ax in (raster, path):
            assert mpl.colors.to_hex(ax.collections[s].get_facecolor()[0]) == color.lower()
    for area in stack.patches:
        drawn = mpl.colors.to_hex(area.get_facecolor())
        assert drawn == colors[int(area.get_label())].lower()


def test_state_raster_without_counts_has_two_panels():
    assert len(nks.plotting.state_raster(make_result())) == 2


def test_state_raster_window():
    result = make_result()
    axes = nks.plotting.state_raster(result, make_counts(result), window=(0.2, 0.6))
    values, edges, _ = axes[-1].patches[0].get_data()
    assert len(values) == 20
    np.testing.assert_allclose([edges[0], edges[-1]], [0.2, 0.6])
    assert axes[0].get_title() == ""


@pytest.mark.parametrize("window", [(5.0, 6.0), (0.6, 0.2), 3.0, ("a", "b"), (0.0, 1.0, 2.0)])
def test_state_raster_refuses_a_window_outside(window):
    with pytest.raises(ParameterError, match="window"):
        nks.plotting.state_raster(make_result(), window=window)


def test_state_raster_of_a_long_recording_shows_the_start_and_says_so():
    result = make_result(n_bins=2500)
    axes = nks.plotting.state_raster(result)
    assert len(axes[-1].patches[0].get_data()[0]) == 1000
    assert axes[0].get_title() == "the first 20 s of 50 s"


def test_state_raster_of_a_long_window_shows_sums_and_says_so():
    result = make_result(n_bins=2500)
    counts = make_counts(result)
    raster, path, stack = nks.plotting.state_raster(result, counts, window=(0, 50))
    cells = np.ma.filled(raster.collections[-1].get_array(), 0)
    assert cells.shape == (4, 834)
    np.testing.assert_array_equal(cells.sum(1), counts["count"].sum("time").values)
    np.testing.assert_array_equal(cells[:, 0], counts["count"][:3].sum("time").values)
    assert raster.child_axes[0].get_ylabel() == "spikes per 0.06 s"
    np.testing.assert_array_equal(path_on(path, result["time"].values, 3), result["state"].values)
    assert len(stack.patches[0].get_data()[0]) == 2500


def test_state_raster_of_trials():
    result = make_result(n_trials=3)
    counts = make_counts(result)
    axes = nks.plotting.state_raster(result, counts, trial=2)
    values, _, _ = axes[-1].patches[-1].get_data()
    np.testing.assert_array_equal(values, result["state_probability"].values[2, :50, 0])
    np.testing.assert_array_equal(
        np.ma.filled(axes[0].collections[-1].get_array(), 0), counts["count"].values[2, :50].T
    )
    assert axes[-1].get_xlabel() == "time from trial start (s)"
    assert axes[0].get_title() == "trial 2 (3 in all)"
    first = nks.plotting.state_raster(result)
    assert first[0].get_title() == "trial 0 (3 in all)"
    labelled = result.assign_coords(trial=["a", "b", "c"])
    assert nks.plotting.state_raster(labelled, trial="b")[0].get_title() == "trial b (3 in all)"


@pytest.mark.parametrize("trial", [3, "b", -1])
def test_state_raster_refuses_a_trial_that_is_not_there(trial):
    with pytest.raises(ParameterError, match="trial"):
        nks.plotting.state_raster(make_result(n_trials=3), trial=trial)
    with pytest.raises(ParameterError, match="without trials"):
        nks.plotting.state_raster(make_result(), trial=0)


def test_state_raster_leaves_missing_bins_and_gaps_white():
    result = make_result()
    result["state"][10:15] = -1
    result["state_probability"][10:15] = np.nan
    counts = make_counts(result)
    counts["observed"] = ("time", np.arange(60) < 50)
    keep = np.r_[0:30, 40:60]
    result, counts = result.isel(time=keep), counts.isel(time=keep)
    raster, path, stack = nks.plotting.state_raster(result, counts)
    time = (np.arange(60) + 0.5) * BIN
    expected = np.full(60, -1)
    expected[keep] = result["state"].values
    np.testing.assert_array_equal(path_on(path, time, 3), expected)
    expected[50:] = -1
    np.testing.assert_array_equal(path_on(raster, time, 3), expected)
    empty = np.isnan(stack.patches[0].get_data()[0])
    assert np.flatnonzero(empty).tolist() == [*range(10, 15), *range(30, 40)]
    cells = np.ma.filled(raster.collections[-1].get_array(), 0)
    assert cells[:, 30:40].sum() == 0
    assert cells[:, 50:].sum() == 0


def test_state_raster_refuses_counts_of_other_bins():
    result = make_result()
    counts = make_counts(result)
    with pytest.raises(SchemaError, match="same bins"):
        nks.plotting.state_raster(result, counts.isel(time=slice(10)))
    with pytest.raises(SchemaError, match="same bins"):
        nks.plotting.state_raster(result, counts.assign_coords(time=counts["time"] + 1))
    with pytest.raises(SchemaError, match="'trial'"):
        nks.plotting.state_raster(make_result(n_trials=2), counts)


def test_state_raster_refuses_time_that_does_not_increase():
    result = make_result()
    with pytest.raises(SchemaError, match="increase"):
        nks.plotting.state_raster(result.isel(time=slice(None, None, -1)))


def test_state_raster_refuses_axes_without_a_place_in_a_grid():
    ax = plt.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    with pytest.raises(ParameterError, match="subplots"):
        nks.plotting.state_raster(make_result(), ax=ax)


@pytest.mark.parametrize(("n_states", "n_units", "n_bins"), [(1, 1, 1), (10, 31, 30), (12, 1, 2)])
def test_state_raster_of_the_smallest_and_many(n_states, n_units, n_bins):
    result = make_result(n_states=n_states, n_units=n_units, n_bins=n_bins)
    axes = nks.plotting.state_raster(result, make_counts(result, n_units))
    axes[0].figure.draw_without_rendering()
    assert len(axes[-1].patches) == n_states


def test_state_raster_of_silence():
    result = make_result()
    counts = make_counts(result)
    counts["count"][:] = 0
    raster = nks.plotting.state_raster(result, counts)[0]
    raster.figure.draw_without_rendering()
    assert raster.collections[-1].get_array().mask.all()


def test_state_raster_of_dask_counts():
    pytest.importorskip("dask")
    result = make_result()
    counts = make_counts(result)
    raster = nks.plotting.state_raster(result, counts.chunk(time=7))[0]
    cells = np.ma.filled(raster.collections[-1].get_array(), 0)
    np.testing.assert_array_equal(cells, counts["count"].values.T)


# -- coupling -------------------------------------------------------------------------------------


def test_coupling_matrices_show_the_weights_on_one_symmetric_scale():
    result = make_result()
    axes = nks.plotting.coupling_matrices(result)
    assert axes.shape == (1, 3)
    limits = set()
    for s, ax in enumerate(axes[0]):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), result["weight"].values[s, :, :, 0])
        # row 0 at the top, as a matrix is written
        assert image.origin == "upper"
        assert ax.get_ylim()[0] > ax.get_ylim()[1]
        limits.add(image.get_clim())
        assert ax.get_title() == f"state {s}"
    ((low, high),) = limits
    weight = result["weight"].values[..., 0]
    assert low == -high == -np.abs(weight[:, ~np.eye(4, dtype=bool)]).max()


def test_coupling_matrices_have_labels_and_one_colour_bar():
    axes = nks.plotting.coupling_matrices(make_result())
    figure = axes[0, 0].figure
    assert axes[0, 0].get_ylabel() == "τ = 20 ms\ntarget unit"
    assert {ax.get_xlabel() for ax in axes[0]} == {"source unit"}
    (bar,) = set(figure.axes) - set(axes.ravel())
    assert bar.get_ylabel() == "coupling weight (dimensionless)"


def test_coupling_matrices_one_row_per_time_constant_with_truth_beneath():
    result = make_result(n_constants=3)
    truth = result[["weight"]] * 2
    axes = nks.plotting.coupling_matrices(result, truth=truth)
    assert axes.shape == (6, 3)
    weight = result["weight"].values
    for k in range(3):
        for s in range(3):
            np.testing.assert_array_equal(axes[2 * k, s].images[0].get_array(), weight[s, ..., k])
            np.testing.assert_array_equal(
                axes[2 * k + 1, s].images[0].get_array(), 2 * weight[s, ..., k]
            )
    assert axes[2, 0].get_ylabel().startswith("fit, τ = 100 ms")
    assert axes[3, 0].get_ylabel().startswith("truth, τ = 100 ms")


def test_coupling_matrices_of_one_time_constant():
    result = make_result(n_constants=3)
    axes = nks.plotting.coupling_matrices(result, time_constant=0.11)
    assert axes.shape == (1, 3)
    np.testing.assert_array_equal(
        axes[0, 1].images[0].get_array(), result["weight"].values[1, ..., 1]
    )
    with pytest.raises(ParameterError, match="time_constant"):
        nks.plotting.coupling_matrices(result, time_constant="fast")


def test_coupling_matrices_accept_weights_and_truth_without_time_constant():
    result = make_result()
    truth = xr.Dataset({"weight": result["weight"].isel(time_constant=0)})
    axes = nks.plotting.coupling_matrices(result, truth=truth)
    assert axes[0, 0].get_ylabel() == "fit, τ = 20 ms\ntarget unit"
    assert axes[1, 0].get_ylabel() == "truth\ntarget unit"


def test_coupling_matrices_say_when_weights_lie_beyond_the_colours():
    result = make_result()
    axes = nks.plotting.coupling_matrices(result, limit=0.5)
    assert axes[0, 0].images[0].get_clim() == (-0.5, 0.5)
    assert axes[0, 0].images[0].colorbar.extend == "both"
    result["weight"][:] = np.eye(4)[..., None] * -5
    result["weight"][0, 0, 1, 0] = 1.0
    image = nks.plotting.coupling_matrices(result)[0, 0].images[0]
    assert image.get_clim() == (-1.0, 1.0)
    assert image.colorbar.extend == "min"


def test_coupling_matrices_wrap_many_states():
    axes = nks.plotting.coupling_matrices(make_result(n_states=7))
    assert axes.shape == (1, 7)
    rows = [ax.get_subplotspec().rowspan.start for ax in axes[0]]
    assert rows == [0, 0, 0, 0, 1, 1, 1]
    # the fourth has nothing beneath it, so it names its own axis
    assert [bool(ax.get_xlabel()) for ax in axes[0]] == [
        False,
        False,
        False,
        True,
        True,
        True,
        True,
    ]


def test_coupling_matrices_into_given_axes():
    figure, given = plt.subplots(1, 3)
    axes = nks.plotting.coupling_matrices(make_result(), axes=given)
    assert list(axes.ravel()) == list(given)
    with pytest.raises(ParameterError, match="1 x 3 axes"):
        nks.plotting.coupling_matrices(make_result(), axes=given[:2])
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("limit", [0, -1, "wide", np.nan])
def test_coupling_matrices_refuse_a_limit_that_is_none(limit):
    with pytest.raises(ParameterError, match="limit"):
        nks.plotting.coupling_matrices(make_result(), limit=limit)


def test_coupling_matrices_refuse_a_truth_of_another_shape():
    with pytest.raises(SchemaError, match="truth"):
        nks.plotting.coupling_matrices(make_result(), truth=make_result(n_states=2))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_coupling_matrices_of_no_coupling(value):
    result = make_result()
    result["weight"][:] = value
    if np.isnan(value):
        with pytest.raises(SchemaError, match="finite"):
            nks.plotting.coupling_matrices(result)
    else:
        assert nks.plotting.coupling_matrices(result)[0, 0].images[0].get_clim() == (-1.0, 1.0)


def test_coupling_matrices_of_one_neuron():
    result = make_result(n_states=1, n_units=1)
    image = nks.plotting.coupling_matrices(result)[0, 0].images[0]
    assert image.get_clim()[1] == abs(float(result["weight"].squeeze()))


# -- diagnostics ----------------------------------------------------------------------------------


def test_convergence_shows_every_restart_and_the_best():
    result = make_result()
    ax = nks.plotting.convergence(result)
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    for line, trace in zip(lines[:-1], result["restart_objective"].values, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), trace)
    np.testing.assert_array_equal(lines[-1].get_ydata(), result["objective"].values)
    np.testing.assert_array_equal(lines[-1].get_xdata(), result["iteration"].values)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert dots[1].get_xdata().tolist() == [4]
    assert ax.get_xlabel() == "EM iteration"
    assert ax.get_ylabel() == "log posterior (nats)"
    assert ax.get_title() == "status: converged"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["4 restarts", "best"]


def test_convergence_view_skips_the_first_jump():
    result = make_result()
    result["objective"][0] = -1e6
    low, high = nks.plotting.convergence(result).get_ylim()
    assert -1000 < low < float(result["restart_objective"][:, 1:].min())
    assert high > float(result["objective"].max())


def test_convergence_without_restarts():
    result = make_result()[["objective"]]
    ax = nks.plotting.convergence(result)
    assert ax.get_legend() is None
    nks.plotting.convergence(result.isel(iteration=[0]))


def test_transition_matrix_shows_the_probabilities():
    result = make_result()
    ax = nks.plotting.transition_matrix(result)
    values = result["transition_probability"].values
    np.testing.assert_array_equal(ax.images[0].get_array(), values)
    written = [float(t.get_text().replace("<", "")) for t in ax.texts]
    np.testing.assert_allclose(written, values.ravel(), atol=0.005)
    assert ax.images[0].colorbar.ax.get_ylabel() == "transition probability per bin"
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("state", "next state")


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0, "0"), (1, "1"), (0.0004, "<.001"), (0.9996, ">.999"), (0.98, ".980"), (0.25, ".25")],
)
def test_transition_matrix_never_rounds_to_certainty(probability, text):
    values = [[probability, 1 - probability], [0.5, 0.5]]
    result = xr.Dataset({"transition_probability": (("state", "next_state"), values)})
    assert nks.plotting.transition_matrix(result).texts[0].get_text() == text


# -- comparison -----------------------------------------------------------------------------------


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


# -- networks -------------------------------------------------------------------------------------


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
