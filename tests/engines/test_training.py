"""The training engine: against closed forms, numpy, itself after a kill, and numbers gone wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import NeurokitError, ParameterError, SchemaError, TrainingError
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import schedules as _schedules
from neurokit_sdr.engines.training import steps as _steps
from neurokit_sdr.engines.training import train as _training
from neurokit_sdr.engines.training.plan import Batches, Progress
from neurokit_sdr.engines.training.run import Run
from neurokit_sdr.engines.training.schedules import Plateau, kl_weights, learning_rates
from neurokit_sdr.engines.training.train import Settings, history_dataset, train
from neurokit_sdr.engines.training.weights import from_flat, to_flat

EPS = float(np.finfo(np.float32).eps)
NOWHERE = Checkpoint(None, {})

#: Relative error of an early step of Adam: it divides by the root of 1 - 0.999**t >= 0.001, where
#: the power is rounded to EPS / 2.
ADAM = EPS / 2 / 0.001 / 2


class Line(eqx.Module):
    """y = x weight + bias."""

    weight: jax.Array
    bias: jax.Array

    def __init__(self, n: int = 3):
        self.weight, self.bias = jnp.zeros((n, 1)), jnp.zeros(1)


def squared_error(model, batch, key, kl_weight, training):
    off = batch["x"] @ model.weight[:, 0] + model.bias[0] - batch["y"]
    weight = batch["trial_weight"]
    data = (weight * off**2).sum() / weight.sum()
    kl = (model.weight**2).sum()
    return data + kl_weight * kl, {"data": data, "kl": kl}


#: No KL term.
PLAIN = Settings(n_epochs=20, batch_size=25, learning_rate=0.05, kl_weight=0.0)

#: A second of work.
LONG = PLAIN._replace(n_epochs=1500, learning_rate_schedule="cosine", average=0.9, batch_size=7)


def line_data(seed: int, n: int = 101) -> dict[str, np.ndarray]:
    rng = stream(seed, "line")
    x = rng.normal(size=(n, 3)).astype(np.float32)
    y = x @ np.float32([1, -2, 3]) + 0.5 + rng.normal(size=n).astype(np.float32)
    return {"x": x, "y": y.astype(np.float32)}


def fit(data, settings=PLAIN, validation=None, *, model=None, loss=squared_error, **keywords):
    keywords = {"seed": 0, "saved": NOWHERE, "progress": False} | keywords
    return train(model or Line(), loss, data, validation, settings, **keywords)


def bits(trained) -> list[bytes]:
    """Everything a result holds, to the bit."""
    leaves = jax.tree.leaves(eqx.filter((trained.best, trained.last), eqx.is_array))
    return [np.asarray(x).tobytes() for x in [*leaves, *trained.history.values()]]


# ---------------------------------------------------------------- schedules and batches


def test_schedules_equal_their_formulas_by_hand():
    rates = [learning_rates("cosine", 2.0, e, 2, 2) for e in (0, 1)]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(np.concatenate(rates), [2, 1 + half, 1, 1 - half], rtol=EPS)
    # 40 steps: 5 % are 2 of rise, then a cosine over 38.
    rates = np.concatenate([learning_rates("warmup_cosine", 1.0, e, 4, 10) for e in range(4)])
    np.testing.assert_allclose(rates[[0, 1, 2, 21]], [0.5, 1, 1, 0.5], rtol=EPS)
    np.testing.assert_allclose(rates[-1], 0.5 * (1 - np.cos(np.pi / 38)), rtol=1e-5)
    assert set(learning_rates("constant", 0.25, 7, 9, 3)) == {0.25}
    assert set(learning_rates("plateau", 0.25, 7, 9, 3)) == {0.25}
    np.testing.assert_array_equal(learning_rates("warmup_cosine", 1.0, 0, 1, 1), [1])

    assert kl_weights("linear", 2.0, 4, 1, 2).tolist() == [0.5, 0.75]
    assert kl_weights("linear", 2.0, 4, 9, 2).tolist() == [2, 2]
    assert kl_weights("linear", 2.0, 0, 0, 2).tolist() == [2, 2]
    assert kl_weights("constant", 2.0, 4, 0, 1).tolist() == [2]
    cycle = [kl_weights("cyclical", 1.0, 2, e, 1)[0] for e in range(9)]
    assert cycle == [0, 0.5, 1, 1, 0, 0.5, 1, 1, 0]


def test_plateau_waits_lowers_and_has_a_floor():
    plateau = Plateau()
    plateau = plateau.after(-5.0, 1.0)
    assert plateau == Plateau(-5.0, 0, 1.0)
    for _ in range(10):  # better, but by less than a share of 1e-4
        plateau = plateau.after(-5.0004, 1.0)
    assert plateau == Plateau(-5.0, 10, 1.0)
    plateau = plateau.after(-5.0, 1.0)
    assert plateau == Plateau(-5.0, 0, 0.95)
    assert plateau.after(-5.001, 1.0) == Plateau(-5.001, 0, 0.95)
    low = Plateau(1.0, 10, 1e-5)
    assert low.after(1.0, 1.0).scale == 1e-5
    # A rate that begins below the floor is not raised to it.
    assert Plateau(1.0, 10, 1.0).after(1.0, 1e-6).scale == 1.0


def test_plateau_lowers_the_rate_of_training():
    settings = PLAIN._replace(n_epochs=30, learning_rate=0.0, learning_rate_schedule="plateau")
    history = fit(line_data(0), settings._replace(learning_rate=1e-30)).history
    rates = np.float32(1e-30 * np.minimum.accumulate(np.ones(30)))
    np.testing.assert_array_equal(history["learning_rate"], rates)  # below the floor
    # Weights that cannot move: the loss stays, and the first 11 epochs after the first wait.
    frozen = fit(line_data(0), settings._replace(learning_rate=0.5), loss=still).history
    expected = 0.5 * 0.95 ** np.array([0] * 12 + [1] * 11 + [2] * 7)
    np.testing.assert_allclose(frozen["learning_rate"], expected, rtol=EPS)


def still(model, batch, key, kl_weight, training):
    loss = 1 + 0 * model.bias.sum()
    return loss, {}


@pytest.mark.parametrize("n", [1, 2, 7, 64, 65, 101])
@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_batches_hold_every_trial_once_and_are_even(n, size):
    alone, split = Batches.of(n, size, 1), Batches.of(n, size, 4)
    for batches in (alone, split):
        real = batches.weight == 1
        assert sorted(batches.position[real]) == list(range(n))
        sizes = real.sum(axis=1)
        assert sizes.max() <= size
        assert np.ptp(sizes) <= 1
        for row, weight in zip(batches.position, real, strict=True):
            assert set(row[~weight]) <= set(row[weight])
    assert split.position.shape[1] % 4 == 0
    for a, b in zip(alone.position, split.position, strict=True):
        assert set(a) == set(b)


# ---------------------------------------------------------------- optimisation against truth


def test_regression_reaches_least_squares(seed):
    data = line_data(seed)
    # One batch: nothing is left of the noise of minibatches, and the rate falls to zero.
    settings = PLAIN._replace(
        n_epochs=3000, batch_size=101, learning_rate_schedule="cosine", learning_rate=0.1
    )
    trained = fit(data, settings)
    design = np.column_stack([data["x"], np.ones(101)]).astype(float)
    exact, (residual,), *_ = np.linalg.lstsq(design, data["y"].astype(float), rcond=None)
    found = np.append(trained.last.weight[:, 0], trained.last.bias)
    # The gradient 2 X'r / n is rounded by at most (n + p) eps 2 |X|'|r| / n; where it vanishes the
    # weights are off by that over the smallest eigenvalue of 2 X'X / n, and by their own rounding.
    off = np.abs(design).T @ np.abs(design @ exact - data["y"]) * 2 / 101
    curvature = np.linalg.eigvalsh(2 * design.T @ design / 101)[0]
    bound = 105 * EPS * np.linalg.norm(off) / curvature + 2 * EPS * np.abs(exact).max()
    assert np.linalg.norm(found - exact) <= bound
    assert trained.history["loss"][-1] == pytest.approx(residual / 101, rel=105 * EPS)
    assert trained.status == results.CONVERGED


CLIPPED = PLAIN._replace(weight_decay=0.3, gradient_clip=1.0, n_epochs=10, batch_size=40)


def numpy_adam(weight, bias, data, settings, n_steps):
    """AdamW and the moving average, in float64, for squared error in one batch."""
    w = [np.asarray(weight, float), np.asarray(bias, float)]
    mean, square = [0 * x for x in w], [0 * x for x in w]
    average = [x.copy() for x in w]
    x, y = data["x"].astype(float), data["y"].astype(float)
    norms = []
    for t in range(1, n_steps + 1):
        off = x @ w[0][:, 0] + w[1][0] - y
        gradient = [2 * x.T @ off[:, None] / len(y), 2 * off.mean(keepdims=True)]
        norm = np.sqrt(sum((g**2).sum() for g in gradient))
        norms.append(norm)
        if settings.gradient_clip is not None:
            gradient = [g * min(1, settings.gradient_clip / norm) for g in gradient]
        for i, g in enumerate(gradient):
            mean[i] = 0.9 * mean[i] + 0.1 * g
            square[i] = 0.999 * square[i] + 0.001 * g**2
            step = mean[i] / (1 - 0.9**t) / (np.sqrt(square[i] / (1 - 0.999**t)) + 1e-8)
            decay = settings.weight_decay if w[i].ndim > 1 else 0
            w[i] = w[i] - settings.learning_rate * (step + decay * w[i])
        kept = min(settings.average, t / (9 + t))
        average = [kept * a + (1 - kept) * b for a, b in zip(average, w, strict=True)]
    return average if settings.average else w, norms


@pytest.mark.parametrize(
    "settings",
    [
        CLIPPED,
        PLAIN._replace(average=0.8, weight_decay=0.1),
    ],
)
def test_steps_equal_a_numpy_adam(settings, seed):
    data = line_data(seed, 40)
    settings = settings._replace(n_epochs=10, batch_size=40)
    model = Line()
    # Minima lie beyond 1, ten steps of .05 go half way: no gradient passes zero, where the
    # quotient of two moments would amplify rounding.
    trained = fit(data, settings, model=model)
    (weight, bias), norms = numpy_adam(model.weight, model.bias, data, settings, 10)
    # Relative rounding of a gradient: its 40 products and sums over its own size.
    worst = 45 * EPS * np.abs(data["x"]).max() * np.abs(data["y"]).max() / min(norms) * 10
    tolerance = 10 * settings.learning_rate * (2 * worst + ADAM)
    np.testing.assert_allclose(trained.last.weight, weight, atol=tolerance, rtol=0)
    np.testing.assert_allclose(trained.last.bias, bias, atol=tolerance, rtol=0)
    np.testing.assert_allclose(trained.history["gradient_norm"], norms, rtol=worst)


def test_the_loss_is_the_mean_over_real_trials_and_the_kl_weight_that_of_the_schedule():
    data = line_data(0, 7)
    settings = Settings(3, 3, 0.0, kl_weight=2.0, kl_schedule="linear", kl_warmup=3)
    model = eqx.tree_at(lambda m: m.weight, Line(), jnp.ones((3, 1)))
    history = fit(data, settings, {k: v[:5] for k, v in data.items()}, model=model).history
    off = (data["x"].astype(float).sum(axis=1) - data["y"]) ** 2
    np.testing.assert_allclose(history["data"], off.mean(), rtol=10 * EPS)
    np.testing.assert_allclose(history["validation_data"], off[:5].mean(), rtol=10 * EPS)
    np.testing.assert_allclose(history["kl"], 3, rtol=10 * EPS)
    # Three steps an epoch of 2, 2 and 3 trials at weights 2/3 (e + step/3).
    weights = 2 / 3 * (np.arange(3)[:, None] + np.arange(3) / 3)
    np.testing.assert_allclose(history["kl_weight"], weights[:, -1], rtol=EPS)
    mean = weights @ [2, 2, 3] / 7
    np.testing.assert_allclose(history["loss"], off.mean() + 3 * mean, rtol=10 * EPS)
    # Epochs are compared at the full weight.
    np.testing.assert_allclose(history["validation_loss"], off[:5].mean() + 6, rtol=10 * EPS)


def test_integers_of_a_model_are_not_trained_and_the_model_is_left_alone():
    class Picky(eqx.Module):
        line: Line
        pick: jax.Array
        scale: float = 2.0

    def loss(model, batch, key, kl_weight, training):
        batch = batch | {"x": model.scale * batch["x"][:, model.pick]}
        return squared_error(model.line, batch, key, kl_weight, training)

    model = Picky(Line(), jnp.array([2, 0, 1]))
    trained = fit(line_data(0), model=model, loss=loss)
    assert trained.best.pick.tolist() == [2, 0, 1]
    assert trained.best.scale == 2.0
    assert trained.best.line.weight[0] > 0.5
    assert not model.line.weight.any()  # neither changed nor given away


# ---------------------------------------------------------------- validation and stopping


def drift(model, batch, key, kl_weight, training):
    """Training pushes the bias up by the learning rate at each step; validation wants it at .5."""
    if training:
        return -model.bias[0], {}
    return (model.bias[0] - 0.5) ** 2 + 0 * kl_weight, {}


def test_the_best_is_the_lowest_validation_and_patience_counts_from_it():
    data = line_data(0, 4)
    settings = Settings(50, 4, 0.1, patience=3)
    trained = fit(data, settings, data, loss=drift)
    assert trained.best_epoch == 4  # the fifth step of .1
    assert len(trained.history["loss"]) == 8
    # Adam's step on a constant gradient is the rate.
    np.testing.assert_allclose(trained.best.bias, 0.5, rtol=ADAM)
    np.testing.assert_allclose(trained.last.bias, 0.8, rtol=ADAM)
    assert trained.status == results.CONVERGED

    rising = settings._replace(kl_schedule="linear", kl_warmup=20)
    assert len(fit(data, rising, data, loss=drift).history["loss"]) == 24

    short = fit(data, settings._replace(n_epochs=6), data, loss=drift)
    assert short.status.startswith("n_epochs reached (6) with the best validation loss at epoch 4")
    assert "raise n_epochs" in short.status
    for other in ({"patience": None}, {"learning_rate_schedule": "cosine"}):
        ended = fit(data, settings._replace(n_epochs=6, **other), data, loss=drift)
        assert ended.status == results.CONVERGED


def test_without_validation_the_best_is_the_last():
    data = line_data(0, 4)
    for validation in (None, {k: v[:0] for k, v in data.items()}):
        trained = fit(data, PLAIN._replace(patience=1), validation)
        assert trained.best_epoch == 19
        assert "validation_loss" not in trained.history
        np.testing.assert_array_equal(trained.best.weight, trained.last.weight)


def test_one_trial_and_batches_larger_than_the_data():
    data = line_data(0, 1)
    trained = fit(data, PLAIN._replace(n_epochs=200, batch_size=64), data)
    assert trained.history["validation_loss"][-1] < 1e-6


# ---------------------------------------------------------------- randomness


def noisy(model, batch, key, kl_weight, training):
    draw = jax.random.normal(key, batch["trial_weight"].shape)
    mean = (batch["trial_weight"] * draw).sum() / batch["trial_weight"].sum()
    value = squared_error(model, batch, key, kl_weight, training)[0]
    return value, {"draw": mean}


def test_every_step_has_its_own_key_and_validation_always_the_same(seed):
    data = line_data(seed, 12)
    settings = PLAIN._replace(batch_size=12, n_epochs=30, learning_rate=0.0)
    history = fit(data, settings, data, loss=noisy, seed=seed).history
    draws = history["draw"]
    assert len(set(draws)) == 30
    # Means of 12 normal draws, 30 times: chi-squared of 30 degrees, within 5 standard errors.
    assert abs((12 * draws**2).sum() - 30) < 5 * np.sqrt(60)
    assert len(set(history["validation_draw"])) == 1
    key = _steps.random_key(seed, "training")
    step = jax.random.fold_in(jax.random.fold_in(key, 7), 0)
    expected = float(jax.random.normal(step, (12,)).mean())
    assert draws[7] == pytest.approx(expected, abs=12 * EPS)


def test_seeds_name_different_streams():
    keys = [_steps.random_key(s, n) for s in (0, 2**32, 2**62) for n in ("training", "x")]
    assert len({np.asarray(jax.random.key_data(k)).tobytes() for k in keys}) == 6


def test_the_same_seed_gives_the_same_bits_and_another_does_not(seed):
    data, validation = line_data(seed), line_data(4, 20)
    settings = LONG._replace(n_epochs=5)
    first, again, other = (
        fit(data, settings, validation, loss=noisy, seed=s) for s in (seed, seed, seed + 1)
    )
    assert bits(first) == bits(again)
    assert bits(first) != bits(other)


# ---------------------------------------------------------------- compiled once


def test_fits_of_equal_shapes_compile_once():
    data = line_data(0, 90)
    validation = line_data(1, 13)
    settings = PLAIN._replace(n_epochs=200, batch_size=9)
    first = fit(data, settings, validation)
    assert first.n_traces == 3  # to begin, to step, to validate
    others = [
        settings._replace(learning_rate=0.01, learning_rate_schedule="cosine", n_epochs=7),
        settings._replace(kl_weight=0.5, kl_schedule="linear", kl_warmup=4),
    ]
    for changed in (settings, *others):
        assert fit(line_data(2, 90), changed, validation, seed=5).n_traces == 0


# ---------------------------------------------------------------- precision


def test_bfloat16_rounds_matrices_only():
    data = line_data(0, 8)
    weight = np.float32([[1.001], [2.003], [-0.7007]])
    model = eqx.tree_at(lambda m: (m.weight, m.bias), Line(), (jnp.array(weight), jnp.ones(1) / 3))
    settings = Settings(1, 8, 0.0, kl_weight=0.0, precision="bfloat16")
    flags = dict(jax.config.values)
    trained = fit(data, settings, model=model)
    assert dict(jax.config.values) == flags
    assert trained.precision == "bfloat16"
    rounded = np.asarray(jnp.asarray(weight, jnp.bfloat16), np.float64)
    off = data["x"] @ rounded[:, 0] + np.float32(1 / 3) - data["y"]
    assert trained.history["loss"][0] == pytest.approx((off**2).mean(), rel=20 * EPS)
    np.testing.assert_array_equal(trained.last.weight, weight)  # the master copy is exact


def test_bfloat16_that_moves_the_loss_is_not_used():
    data = line_data(0, 8)
    settings = Settings(2, 8, 0.0, kl_weight=0.0, precision="bfloat16")
    model = eqx.tree_at(lambda m: m.weight, Line(), jnp.full((3, 1), 1.003))
    trained = fit(data, settings, model=model, loss=amplified)
    assert trained.precision == "float32: bfloat16 moved the first loss by more than 0.39%"
    plain = fit(data, settings._replace(precision="float32"), model=model, loss=amplified)
    assert bits(trained) == bits(plain)


def amplified(model, batch, key, kl_weight, training):
    return jnp.exp(1000 * (model.weight - 1.003)).mean(), {}


def test_auto_is_float32_on_a_cpu():
    assert fit(line_data(0, 8), PLAIN._replace(n_epochs=1)).precision == "float32"


# ---------------------------------------------------------------- numbers that blow up


def test_a_poisoned_trial_is_named(seed):
    data = line_data(seed)
    trial = int(stream(seed, "poisoned").integers(101))
    data["x"][trial, 1] = np.nan
    with pytest.raises(TrainingError, match="stopped at epoch 0, step") as caught:
        fit(data)
    text = str(caught.value)
    assert "learning rate 0.05: term 'data' of the loss is nan." in text
    assert f"Alone it comes from training trial {trial}: 'x' has 1 values that are not" in text
    assert "Lower learning_rate, set gradient_clip, or look for extreme values" in text
    assert isinstance(caught.value, NeurokitError)


def test_an_extreme_count_is_named_by_its_size():
    data = line_data(0)
    data["y"][4] = 3e30
    with pytest.raises(TrainingError, match=r"training trial 4: 'x' reaches .*'y' reaches 3e\+30"):
        fit(data)


def test_a_poisoned_validation_trial_is_named():
    data, validation = line_data(0), line_data(1, 60)
    validation["y"][41] = np.inf
    match = r"at the validation after epoch 0 .* term 'data' .* inf.*from validation trial 41: "
    with pytest.raises(TrainingError, match=match):
        fit(data, PLAIN, validation)


def test_an_exploding_learning_rate_is_named():
    match = r"step 1 .* rate 1e\+20: term 'data' .* (nan|inf) and term 'kl' .* inf\. Every training"
    with pytest.raises(TrainingError, match=match):
        fit(line_data(0), PLAIN._replace(learning_rate=1e20))


class Cliff(NamedTuple):
    """A loss that is infinite once the bias went beyond a bound."""

    bound: float

    def __call__(self, model, batch, key, kl_weight, training):
        value = model.bias[0]
        return -value + jnp.where(value > self.bound, jnp.inf, 0.0), {"kl": value}


def test_weights_from_before_an_explosion_are_returned_with_a_status():
    data = line_data(0, 4)
    trained = fit(data, Settings(50, 4, 0.1), data, loss=Cliff(0.55))
    # Six steps of .1: validated at .5, stopped at the validation at .6.
    assert trained.best_epoch == 4
    assert "stopped at the validation after epoch 5" in trained.status
    assert "the loss is inf though each of its terms is finite" in trained.status
    assert trained.status.endswith("The result is the best before, of epoch 4.")
    np.testing.assert_allclose(trained.best.bias, 0.5, rtol=ADAM)
    assert np.isfinite(trained.last.bias).all()
    assert len(trained.history["loss"]) == 5
    assert not trained.interrupted


def reporting(model, batch, key, kl_weight, training):
    loss, terms = squared_error(model, batch, key, kl_weight, training)
    return loss, terms | {"forward": jnp.nan * loss}


def test_a_term_that_only_reports_may_be_nan():
    data = line_data(0)
    trained = fit(data, PLAIN, data, loss=reporting)
    assert np.isnan(trained.history["validation_forward"]).all()
    assert bits(trained)[0] == bits(fit(data, PLAIN, data))[0]
    data["y"][3] = np.inf
    with pytest.raises(TrainingError, match="Alone it comes from training trial 3: "):
        fit(data, PLAIN, loss=reporting)


def root(model, batch, key, kl_weight, training):
    return jnp.sqrt(model.weight).sum() + squared_error(model, batch, key, 0, training)[0], {}


def test_a_gradient_alone_is_named_by_its_weights():
    with pytest.raises(TrainingError, match=r"its gradient is not, in weight\. Every"):
        fit(line_data(0), loss=root)


def test_a_huge_gradient_is_recorded_and_clipped():
    data = line_data(0, 40)
    data["y"] *= 1e12
    trained = fit(data, CLIPPED)
    assert trained.history["gradient_norm"][0] > 1e12
    assert np.isfinite(trained.last.weight).all()


# ---------------------------------------------------------------- stopping and going on


def interrupting(monkeypatch, at: int) -> None:
    """Press Ctrl-C during one of the calls."""
    calls = iter(range(10**9))
    real = Run.advance

    def advance(self, n_steps):
        if next(calls) == at:
            signal.raise_signal(signal.SIGINT)
        return real(self, n_steps)

    monkeypatch.setattr(Run, "advance", advance)


def test_ctrl_c_leaves_a_result_and_going_on_gives_the_same_bits(seed, monkeypatch, tmp_path):
    data, validation = line_data(seed), line_data(seed, 20)
    settings = LONG._replace(n_epochs=20, learning_rate_schedule="plateau")
    whole = fit(data, settings, validation, loss=noisy)
    monkeypatch.setattr(_training, "CALL_SECONDS", 0.0)  # one step a call
    saved = Checkpoint(tmp_path / "state.npz", {"of": "this"})
    at = int(stream(seed, "interrupted").integers(20 * 15))
    with monkeypatch.context() as patch:
        interrupting(patch, at)
        stopped = fit(data, settings, validation, loss=noisy, saved=saved)
    assert stopped.interrupted
    assert stopped.status.startswith("interrupted: the result is the best so far")
    assert len(stopped.history.get("loss", [])) == at // 15
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(stopped.best))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    went_on = fit(data, settings, validation, loss=noisy, saved=saved)
    assert bits(went_on) == bits(whole)
    assert went_on.status == whole.status
    # Done already: nothing is left to do.
    assert bits(fit(data, settings, validation, loss=noisy, saved=saved)) == bits(whole)


def test_a_second_ctrl_c_ends_everything(monkeypatch):
    def advance(self, n_steps):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Run, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        fit(line_data(0))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def long_fit(settings=LONG, saved=NOWHERE):
    return fit(line_data(3), settings, line_data(4, 20), loss=noisy, saved=saved)


def start(function, *arguments: object, flags: str = "") -> subprocess.Popen:
    """Run a function of this module in a new process."""
    code = f"import sys, {__name__} as tests; tests.{function.__name__}(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
        env=os.environ | {"XLA_FLAGS": flags},
    )


def endless():
    print("ready", flush=True)
    print(long_fit(LONG._replace(n_epochs=10**7)).status)


def test_ctrl_c_of_a_real_process_ends_within_seconds():
    child = start(endless)
    assert child.stdout.readline() == "ready\n"
    time.sleep(1)
    begin = time.perf_counter()
    child.send_signal(signal.SIGINT)
    text, _ = child.communicate(timeout=60)
    assert text.startswith("interrupted")
    assert time.perf_counter() - begin < 10


def saving_always(path):
    _training.SAVE_SECONDS = 0.0
    _training.CALL_SECONDS = 1e-4
    long_fit(saved=Checkpoint(path, {"of": "this"}))


def test_a_run_killed_at_a_random_moment_goes_on_to_the_same_bits(seed, tmp_path):
    path = tmp_path / "state.npz"
    rng = np.random.default_rng([seed, time.time_ns()])  # any moment must do: a new one each time
    child = start(saving_always, path)
    try:
        begin = time.perf_counter()
        while not path.exists():
            assert child.poll() is None
            assert time.perf_counter() - begin < 120
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 2))
        assert child.poll() is None, "finished before it was killed: give it more epochs"
    finally:
        child.kill()
        child.communicate()
    saved = Checkpoint(path, {"of": "this"})
    assert Progress.from_arrays(saved.read()).epoch < LONG.n_epochs
    assert bits(long_fit(saved=saved)) == bits(long_fit())


def test_the_checkpoint_is_written_while_work_goes_on_not_at_each_step(monkeypatch):
    class Counting(Checkpoint):
        written = 0

        def write(self, arrays):
            self.written += 1

    saved = Counting(None, {})
    fit(line_data(0), saved=saved)
    assert saved.written == 1  # at the end
    monkeypatch.setattr(_training, "SAVE_SECONDS", 0.0)
    saved = Counting(None, {})
    fit(line_data(0), saved=saved)
    assert saved.written > 1


# ---------------------------------------------------------------- several devices


def printed():
    trained = long_fit(LONG._replace(n_epochs=4))
    history = {name: values.tolist() for name, values in trained.history.items()}
    print(json.dumps([len(jax.devices()), trained.n_traces, history]))


def test_two_devices_give_the_losses_of_one():
    child = start(printed, flags="--xla_force_host_platform_device_count=2")
    devices, traces, history = json.loads(child.communicate(timeout=120)[0])
    assert devices == 2
    assert traces == 3
    one = long_fit(LONG._replace(n_epochs=4)).history
    assert history.keys() == one.keys()
    # Each of 60 steps sums 7 trials in another order; a rate of .05 makes no more of it.
    for name, values in one.items():
        size = np.abs(values) + np.abs(one["loss"])
        assert (np.abs(history[name] - values) <= 60 * 7 * EPS * size).all(), name


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
    found = history_dataset(history, "nat per trial")
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
        ({"kl_schedule": "sudden"}, r"kl_schedule to be one of \['constant', 'linear'"),
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


def test_schedules_are_named_where_settings_are_checked():
    assert set(_schedules.ENDING_SCHEDULES) < set(_schedules.LEARNING_RATE_SCHEDULES)
