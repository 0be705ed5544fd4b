"""What the engine can do besides: groups of weights, several likelihoods, rows that lie on disk."""

from __future__ import annotations

import gc
import json
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_problems import (
    ADAM,
    EPS,
    N_UNITS,
    N_WINDOWS,
    PLAIN,
    WINDOW,
    Line,
    bits,
    fit,
    five_folds,
    line_data,
    make_recording,
    noisy,
    squared_error,
    start,
    train_on_windows,
)

from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import ParameterError, TrainingError
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import rows
from neurokit_sdr.engines.training import train as training
from neurokit_sdr.engines.training.memory import KEPT
from neurokit_sdr.engines.training.optimiser import Adam, Group
from neurokit_sdr.engines.training.plan import Settings
from neurokit_sdr.engines.training.rows import Gathered
from neurokit_sdr.engines.training.schedules import Schedule
from neurokit_sdr.engines.training.weights import from_flat, to_flat

# ---------------------------------------------------------------- groups and likelihoods


class TwoFold(eqx.Module):
    """A signal y ~ N(x mean, exp(2 log_sd)) and counts n ~ Poisson(exp(x counts + bias))."""

    mean: jax.Array
    log_sd: jax.Array
    counts: Line

    def __init__(self):
        self.mean, self.log_sd, self.counts = jnp.zeros((3, 1)), jnp.zeros(()), Line()


def two_likelihoods(model, batch, key, schedules, training):
    weight = batch["trial_weight"] / batch["trial_weight"].sum()
    off = batch["y"] - batch["x"] @ model.mean[:, 0]
    signal = weight @ (0.5 * jnp.exp(-2 * model.log_sd) * off**2 + model.log_sd)
    drive = batch["x"] @ model.counts.weight[:, 0] + model.counts.bias[0]
    counts = weight @ (jnp.exp(drive) - batch["n"] * drive)
    total = schedules["signal_weight"] * signal + schedules["count_weight"] * counts
    return total, {"signal": signal, "counts": counts}


def two_fold_data(seed: int, n: int = 60) -> dict[str, np.ndarray]:
    rng = stream(seed, "two likelihoods")
    x = rng.normal(size=(n, 3)).astype(np.float32)
    y = x @ np.float32([1, -2, 3]) + 2 * rng.normal(size=n).astype(np.float32)
    return {"x": x, "y": y.astype(np.float32), "n": rng.poisson(np.exp(0.3 * x[:, 0] + 1))}


GROUPS = {
    "mean": Group(Schedule(0.05, "warmup_cosine"), gradient_clip=0.5),
    "noise": Group(Schedule(0.01), Adam(b1=0.8, b2=0.99)),
    "counts": Group(Schedule(0.02, "cosine"), gradient_clip=2.0, weight_decay=0.3),
}
SCHEDULES = {"signal_weight": Schedule(0.7), "count_weight": Schedule(1.5, "linear", rise=4)}


def group_of(name: str) -> str:
    return {"mean": "mean", "log_sd": "noise"}.get(name, "counts")


THREE = Settings(10, 60, GROUPS, group_of, SCHEDULES)


def numpy_three(data, n_steps: int):
    """The same in float64: gradients by hand, Adam and clip of each group on its own.

    Also by how much rounding of the gradients may move each group.
    """
    x, y, n = (data[name].astype(float) for name in ("x", "y", "n"))
    w = {"mean": [np.zeros(3)], "noise": [np.zeros(())], "counts": [np.zeros(3), np.zeros(())]}
    moments = {g: [[0 * a, 0 * a] for a in arrays] for g, arrays in w.items()}
    moved = dict.fromkeys(w, 0.0)
    # A gradient is a sum of 60 products, each of a few operations.
    rounding = 65 * EPS * max(np.abs(x).max() * np.abs(y).max(), (y**2).max(), n.max())
    for t in range(1, n_steps + 1):
        signal_weight, count_weight = 0.7, 1.5 * min(1, (t - 1) / 4)
        off, s = y - x @ w["mean"][0], w["noise"][0]
        fall = np.exp(x @ w["counts"][0] + w["counts"][1]) - n
        gradient = {
            "mean": [-signal_weight * np.exp(-2 * s) * x.T @ off / len(y)],
            "noise": [signal_weight * (1 - np.exp(-2 * s) * (off**2).mean())],
            "counts": [count_weight * x.T @ fall / len(y), count_weight * fall.mean()],
        }
        for name, group in GROUPS.items():
            norm = np.sqrt(sum((g**2).sum() for g in gradient[name]))
            largest = np.inf if group.gradient_clip is None else group.gradient_clip
            shrink = min(1, largest / max(norm, 1e-30))
            b1, b2 = group.direction.b1, group.direction.b2
            rate = float(group.learning_rate.during(t - 1, 10, 1)[0])
            for i, g in enumerate(gradient[name]):
                first, second = moments[name][i]
                first = b1 * first + (1 - b1) * shrink * g
                second = b2 * second + (1 - b2) * (shrink * g) ** 2
                moments[name][i] = [first, second]
                size = np.sqrt(second / (1 - b2**t))
                step = first / (1 - b1**t) / (size + 1e-8)
                decay = group.weight_decay if np.ndim(g) else 0.0  # (3,) here is (3, 1) there
                w[name][i] = w[name][i] - rate * (step + decay * w[name][i])
                if norm > 0:
                    moved[name] += rate * (2 * rounding * shrink / size.min() + 2 * ADAM)
    return w, moved


def test_three_learning_rates_and_two_likelihoods_equal_numpy(seed):
    data = two_fold_data(seed)
    trained = fit(data, THREE, model=TwoFold(), loss=two_likelihoods)
    expected, moved = numpy_three(data, 10)
    found = {
        "mean": [trained.last.mean[:, 0]],
        "noise": [trained.last.log_sd],
        "counts": [trained.last.counts.weight[:, 0], trained.last.counts.bias[0]],
    }
    for name, arrays in expected.items():
        assert moved[name] < GROUPS[name].learning_rate.value
        for ours, theirs in zip(found[name], arrays, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=moved[name], rtol=0, err_msg=name)
    history = trained.history
    np.testing.assert_allclose(history["count_weight"], 1.5 * np.minimum(1, np.arange(10) / 4))
    for name, group in GROUPS.items():
        rates = [group.learning_rate.during(e, 10, 1)[0] for e in range(10)]
        np.testing.assert_array_equal(history[f"learning_rate_{name}"], rates)
    assert history["signal"][-1] < history["signal"][0]


def test_any_optax_transformation_makes_the_direction():
    data = line_data(0, 40)
    settings = Settings(1, 40, Group(Schedule(0.125), optax.scale_by_sign), schedules=NO_KL)
    trained = fit(data, settings)
    x, y = data["x"].astype(float), data["y"].astype(float)
    np.testing.assert_array_equal(trained.last.weight[:, 0], 0.125 * np.sign(x.T @ y))
    assert float(trained.last.bias[0]) == 0.125 * np.sign(y.mean())


NO_KL = {"kl_weight": Schedule(0.0)}


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (None, r"Expected label\(name\) together with several groups .*, got None"),
        (lambda name: "other", r"one of the groups .*, got 'other' for the weights 'mean'"),
        (lambda name: "mean", r"weights in every group, got none in \['counts', 'noise'\]"),
    ],
)
def test_labels_that_do_not_fit(label, says):
    with pytest.raises(ParameterError, match=says):
        fit(two_fold_data(0), THREE._replace(label=label), model=TwoFold(), loss=two_likelihoods)


def test_plateaus_lower_only_the_rates_that_wait_for_them():
    def label(name):
        return name

    groups = {"weight": Group(Schedule(0.5, "plateau")), "bias": Group(Schedule(0.25))}
    settings = Settings(14, 101, groups, label)
    history = fit(line_data(0), settings, loss=still).history
    np.testing.assert_allclose(history["learning_rate_weight"], [0.5] * 12 + [0.475] * 2, rtol=EPS)
    np.testing.assert_array_equal(history["learning_rate_bias"], 0.25)


def still(model, batch, key, schedules, training):
    return 1 + 0 * model.bias.sum(), {}


# ---------------------------------------------------------------- what a batch counts for


def counted(model, batch, key, schedules, training):
    """The mean over counts that were seen, of which rows have from none to five."""
    off = (batch["y"] - model.bias[0]) ** 2
    seen = batch["seen"] * batch["trial_weight"]
    number = seen.sum()
    return (seen * off).sum() / jnp.maximum(number, 1), {"batch_weight": number, "n": number}


def test_a_loss_says_what_its_batch_counts_for(seed):
    rng = stream(seed, "seen")
    data = {"y": line_data(seed, 23)["y"], "seen": rng.integers(6, size=23).astype(np.float32)}
    settings = Settings(2, 5, Group(Schedule(0.0)))
    history = fit(data, settings, data, loss=counted).history
    y, seen = data["y"].astype(float), data["seen"].astype(float)
    mean = (seen * y**2).sum() / seen.sum()
    assert "batch_weight" not in history
    for name in ("loss", "validation_loss"):
        np.testing.assert_allclose(history[name], mean, rtol=30 * EPS)


# ---------------------------------------------------------------- types


def test_weights_and_data_of_64_bits_train_in_64_bits_where_jax_keeps_them():
    data = {k: v.astype(float) for k, v in line_data(0, 40).items()}
    with jax.enable_x64(True):
        model = jax.tree.map(lambda w: jnp.asarray(np.asarray(w), float), Line())
        settings = PLAIN._replace(n_epochs=300, batch_size=40, learning_rate_schedule="cosine")
        trained = fit(data, settings._replace(learning_rate=0.1, n_epochs=2000), model=model)
        assert trained.last.weight.dtype == np.float64
        vector, layout = to_flat(trained.last)
        assert vector.dtype == np.float64
        made = from_flat(model, vector, layout)
        np.testing.assert_array_equal(made.weight, trained.last.weight)
    design = np.column_stack([data["x"], np.ones(40)])
    exact = np.linalg.lstsq(design, data["y"], rcond=None)[0]
    found = np.append(trained.last.weight[:, 0], trained.last.bias)
    # Rounded to float32 at any step it would be off by more than this in most entries.
    assert np.abs(found - exact).max() < EPS / 10
    assert to_flat(Line())[0].dtype == np.float32


def test_small_integers_reach_the_loss_as_they_are():
    data = {"x": np.arange(12, dtype=np.uint8), "z": np.arange(12) > 5}
    seen = []

    def loss(model, batch, key, schedules, training):
        seen.append({name: values.dtype for name, values in batch.items()})
        return (model.bias[0] - batch["x"].mean()) ** 2, {}

    fit(data, Settings(1, 4, Group(Schedule(0.1))), loss=loss)
    assert seen[0] == {"x": np.uint8, "z": np.bool_, "trial_weight": np.float32}


# ---------------------------------------------------------------- rows that are gathered


def picked(data, rows):
    return {name: values[rows] for name, values in data.items()}


def gathered(data) -> Gathered:
    return Gathered(data, len(data["x"]), picked)


@pytest.mark.parametrize("block", [1, 1000, 2**25])
def test_gathered_rows_give_the_bits_of_arrays_on_the_device(block, seed, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_BYTES", block)
    data, validation = line_data(seed), line_data(seed, 37)
    whole = fit(data, PLAIN, validation, loss=noisy, seed=seed)
    other = fit(gathered(data), PLAIN, validation, loss=noisy, seed=seed)
    assert bits(whole) == bits(other)
    # Parts of a validation are summed up in another order, and draw in another.
    plain = fit(data, PLAIN, validation, seed=seed)
    parts = fit(gathered(data), PLAIN, gathered(validation), seed=seed)
    assert bits(plain)[2:4] == bits(parts)[2:4]
    for name, values in plain.history.items():
        np.testing.assert_allclose(parts.history[name], values, rtol=37 * EPS, err_msg=name)


def test_gathered_rows_go_on_after_a_break_with_the_same_bits(seed, monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "BLOCK_BYTES", 3000)
    monkeypatch.setattr(training, "CALL_SECONDS", 0.0)
    data, saved = gathered(line_data(seed)), Checkpoint(tmp_path / "state.npz", {})
    plan = PLAIN._replace(batch_size=7, n_epochs=6)
    whole = fit(data, plan, seed=seed)
    states = []

    class Keeping(Checkpoint):
        def write(self, arrays):
            states.append({name: np.array(values) for name, values in arrays.items()})

    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    fit(data, plan, seed=seed, saved=Keeping(None, {}))
    saved.write(states[int(stream(seed, "break").integers(len(states) - 1))])
    assert bits(fit(data, plan, seed=seed, saved=saved)) == bits(whole)


def test_a_gathered_row_that_is_poisoned_is_named(seed):
    data = line_data(seed)
    data["x"][61, 1] = np.nan
    with pytest.raises(TrainingError, match="Alone it comes from training trial 61: 'x' has 1"):
        fit(gathered(data))
    with pytest.raises(TrainingError, match=r"after epoch 0 .* validation trial 61: 'x' has 1"):
        fit(line_data(seed), PLAIN, gathered(data))
    with pytest.raises(ParameterError, match="Expected at least one row to train on, got 0"):
        fit(gathered({k: v[:0] for k, v in data.items()}))
    assert "validation_loss" not in fit(
        line_data(seed), PLAIN, gathered({k: v[:0] for k, v in data.items()})
    ).history  # fmt: skip


def test_a_million_windows_of_a_recording_on_disk_train_in_little_memory(tmp_path):
    path = tmp_path / "recording"
    make_recording(path)
    child = start(train_on_windows, path)
    peak, weight, seen, status = json.loads(child.communicate(timeout=300)[0])
    assert N_WINDOWS * WINDOW * N_UNITS > 1.5e9  # bytes, if all windows were made at once
    assert peak < 1000
    # All steps are of 500 rows; sums of an epoch are taken in float32.
    assert seen == pytest.approx([500.0], rel=2000 * EPS)
    assert status == "converged"
    # The moving average ends on steps of a vanishing learning rate, and is as good as Poisson
    # regression on about the last tenth of the windows: variance 1 / (n rate var(x)) of a weight,
    # with x of probability 1/5.
    rate = (0.8 + 0.2 * np.e) / np.e
    error = 1 / np.sqrt(0.1 * N_WINDOWS * rate * 0.16)
    truth = np.zeros(N_UNITS + 1)
    truth[1], truth[-1] = 1.0, -1.0
    assert np.abs(np.array(weight)[:-1] - truth[:-1]).max() < 5 * error
    # The bias takes up what all 32 weights are off by, times their mean.
    assert abs(weight[-1] + 1) < 5 * error * np.sqrt(1 + N_UNITS * 0.04)


# ---------------------------------------------------------------- memory


class Weighed(NamedTuple):
    """Losses that are compiled each on its own."""

    number: float

    def __call__(self, model, batch, key, schedules, training):
        loss, terms = squared_error(model, batch, key, schedules, training)
        return self.number * loss, terms


def test_compiled_code_of_other_trainings_is_dropped():
    """Each of ten would leave three programs."""
    quick = PLAIN._replace(n_epochs=1)
    alive = []
    for number in range(10):
        loss = Weighed(number + 1.0)
        assert fit(line_data(0), quick, line_data(1), loss=loss).n_traces == 3
        assert fit(line_data(1), quick, line_data(0), loss=loss).n_traces == 0
        gc.collect()
        alive.append(len(jax.devices()[0].client.live_executables()))
    assert max(alive[1:]) <= alive[0] + 3 * (KEPT - 1)


@pytest.mark.slow
def test_five_folds_of_other_sizes_do_not_pile_up():
    """They grew from 1,150 to 1,840 MB."""
    child = start(five_folds)
    megabytes = json.loads(child.communicate(timeout=600)[0])
    assert len(megabytes) == 5
    # Two sizes besides the first are kept compiled; the fourth makes room.
    assert max(megabytes) < 1.6 * megabytes[0]
