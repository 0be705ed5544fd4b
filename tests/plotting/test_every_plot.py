"""What all plots have in common, and their style."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import (
    MissingDependencyError,
    NeurokitError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.plotting import _style
from tests.plotting.results import (
    PLOTS,
    TAKE_AX,
    axes_of,
    make_counts,
    make_result,
)


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
