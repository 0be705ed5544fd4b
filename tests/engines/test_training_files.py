"""What training returns, and what it refuses."""

from __future__ import annotations

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from training_problems import (
    PLAIN,
    Line,
    bits,
    fit,
    line_data,
)

from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.engines.training.plan import Progress
from neurokit_sdr.engines.training.schedules import COURSES, ENDING, RISING
from neurokit_sdr.engines.training.train import history_dataset
from neurokit_sdr.engines.training.weights import from_flat, to_flat

# ---------------------------------------------------------------- weights, history, bar


class Net(eqx.Module):
    layers: list
    rate: jax.Array
    steps: int = 3

    def __init__(self, seed: int = 0, width: int = 4):
        shift = eqx.tree_at(lambda line: line.bias, Line(2), jnp.full(1, float(seed)))
        self.layers = [Line(width), shift]
        self.rate = jnp.float32(seed)


def test_weights_survive_as_a_flat_variable_in_a_file(tmp_path):
    model = Net(1)
    vector, layout = to_flat(model)
    assert vector.dtype == np.float32
    described = json.loads(layout)
    assert described["layers.0.weight"] == [0, [4, 1]]
    assert described["rate"] == [vector.size - 1, []]
    stored = xr.Dataset({"weight": ("parameter", vector, {"layout": layout})})
    stored.to_netcdf(tmp_path / "w.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "w.nc", engine="h5netcdf") as opened:
        weight = opened["weight"].load()
    made = from_flat(Net(2), weight.values, weight.attrs["layout"])
    assert eqx.tree_equal(made, model)


def test_weights_that_do_not_fit_are_refused():
    model = Net()
    vector, layout = to_flat(model)
    with pytest.raises(SchemaError, match=r"\['layers.0.weight'.* lie elsewhere or have another"):
        from_flat(Net(width=5), vector, layout)
    with pytest.raises(SchemaError, match=r"\['layers.0.bias', .* are missing"):
        from_flat(model, vector, "{}")
    with pytest.raises(SchemaError, match="Expected the layout of weights as JSON"):
        from_flat(model, vector, "[[")
    with pytest.raises(SchemaError, match="Expected the layout of weights as JSON"):
        from_flat(model, vector, "3")
    with pytest.raises(SchemaError, match=rf"vector of {vector.size} weights, got shape"):
        from_flat(model, vector[:-1], layout)
    vector[3] = np.nan
    with pytest.raises(SchemaError, match="Expected finite weights, got 1 of"):
        from_flat(model, vector, layout)


def test_a_model_without_weights_is_flat_too():
    vector, layout = to_flat(())
    assert vector.shape == (0,)
    assert layout == "{}"


def test_history_becomes_a_dataset_with_units():
    history = fit(line_data(0), PLAIN._replace(n_epochs=3), line_data(1)).history
    found = history_dataset(history, "nat per trial", ["kl_weight"])
    assert found.sizes == {"epoch": 3}
    assert found["epoch"].values.tolist() == [0, 1, 2]
    assert found["validation_kl"].attrs["units"] == "nat per trial"
    for name in ("learning_rate", "kl_weight", "gradient_norm"):
        assert found[name].attrs["units"] == "1"
    assert history_dataset({}).sizes == {"epoch": 0}


def test_the_bar_shows_both_losses_or_nothing_and_changes_no_number(capsys):
    data = line_data(0)
    quiet = fit(data, PLAIN, data)
    assert capsys.readouterr() == ("", "")
    shown = fit(data, PLAIN._replace(n_epochs=20), data, progress=True, description="Flow")
    text = capsys.readouterr().err
    assert "Flow" in text
    assert bits(quiet) == bits(shown)
    progress = Progress()
    progress.history = {"loss": [3.0, 2.0], "validation_loss": [4.0, 2.51234]}
    assert progress.summary() == "loss 2, validation 2.512"


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"learning_rate_schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"kl_schedule": "sudden"}, "course of kl_weight to be one of 'constant', 'linear'"),
        ({"kl_schedule": "plateau"}, "Expected another course of kl_weight than 'plateau'"),
        ({"precision": "float16"}, "precision to be one of"),
        ({"n_epochs": 0}, "Expected n_epochs of at least 1, got 0"),
        ({"batch_size": 0}, "Expected batch_size of at least 1, got 0"),
    ],
)
def test_settings_out_of_range(changes, match):
    with pytest.raises(ParameterError, match=match):
        fit(line_data(0), PLAIN._replace(**changes))


def test_data_out_of_shape():
    data = line_data(0)
    with pytest.raises(ParameterError, match="same number of trials, at least one, got"):
        fit(data | {"y": data["y"][:5]})
    with pytest.raises(ParameterError, match=r"at least one, got \{'x': 0, 'y': 0\}"):
        fit({k: v[:0] for k, v in data.items()})
    with pytest.raises(ParameterError, match=r"at least one, got \{\}"):
        fit({})
    with pytest.raises(ParameterError, match=r"Expected validation arrays named \['x', 'y'\]"):
        fit(data, PLAIN, {"x": data["x"]})
    with pytest.raises(ParameterError, match="trial_weight"):
        fit(data | {"trial_weight": data["y"]})


def test_wide_numbers_are_narrowed_before_jax_sees_them():
    data = {k: v.astype(float) for k, v in line_data(0).items()}
    assert bits(fit(data)) == bits(fit(line_data(0)))


def test_courses_that_end_or_rise_are_courses():
    assert {*ENDING, *RISING} < set(COURSES)
