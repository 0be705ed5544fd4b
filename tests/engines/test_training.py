"""The training engine against closed forms, numpy and itself."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_problems import (
    ADAM,
    CLIPPED,
    EPS,
    LONG,
    PLAIN,
    Line,
    Plan,
    bits,
    fit,
    line_data,
    noisy,
    squared_error,
)

from neurokit_sdr.core import results
from neurokit_sdr.engines.training import steps
from neurokit_sdr.engines.training.rows import Batches
from neurokit_sdr.engines.training.schedules import Plateau, Schedule

# ---------------------------------------------------------------- schedules and batches


def test_schedules_equal_their_formulas_by_hand():
    rates = [Schedule(2.0, "cosine").during(e, 2, 2) for e in (0, 1)]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(np.concatenate(rates), [2, 1 + half, 1, 1 - half], rtol=EPS)
    # 40 steps: 5 % are 2 of rise, then a cosine over 38.
    rates = np.concatenate([Schedule(1.0, "warmup_cosine").during(e, 4, 10) for e in range(4)])
    np.testing.assert_allclose(rates[[0, 1, 2, 21]], [0.5, 1, 1, 0.5], rtol=EPS)
    np.testing.assert_allclose(rates[-1], 0.5 * (1 - np.cos(np.pi / 38)), rtol=1e-5)
    assert set(Schedule(0.25).during(7, 9, 3)) == {0.25}
    assert set(Schedule(0.25, "plateau").during(7, 9, 3)) == {0.25}
    np.testing.assert_array_equal(Schedule(1.0, "warmup_cosine").during(0, 1, 1), [1])

    assert Schedule(2.0, "linear", 4).during(1, 99, 2).tolist() == [0.5, 0.75]
    assert Schedule(2.0, "linear", 4).during(9, 99, 2).tolist() == [2, 2]
    assert Schedule(2.0, "linear", 0).during(0, 99, 2).tolist() == [2, 2]
    assert Schedule(2.0, "constant", 4).during(0, 99, 1).tolist() == [2]
    cycle = [Schedule(1.0, "cyclical", 2).during(e, 99, 1)[0] for e in range(9)]
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


def still(model, batch, key, schedules, training):
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
    settings = Plan(3, 3, 0.0, kl_weight=2.0, kl_schedule="linear", kl_warmup=3)
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

    def loss(model, batch, key, schedules, training):
        batch = batch | {"x": model.scale * batch["x"][:, model.pick]}
        return squared_error(model.line, batch, key, schedules, training)

    model = Picky(Line(), jnp.array([2, 0, 1]))
    trained = fit(line_data(0), model=model, loss=loss)
    assert trained.best.pick.tolist() == [2, 0, 1]
    assert trained.best.scale == 2.0
    assert trained.best.line.weight[0] > 0.5
    assert not model.line.weight.any()  # neither changed nor given away


# ---------------------------------------------------------------- validation and stopping


def drift(model, batch, key, schedules, training):
    """Training pushes the bias up by the learning rate at each step; validation wants it at .5."""
    if training:
        return -model.bias[0], {}
    return (model.bias[0] - 0.5) ** 2 + 0 * schedules["kl_weight"], {}


def test_the_best_is_the_lowest_validation_and_patience_counts_from_it():
    data = line_data(0, 4)
    settings = Plan(50, 4, 0.1, patience=3)
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


def test_every_step_has_its_own_key_and_validation_always_the_same(seed):
    data = line_data(seed, 12)
    settings = PLAIN._replace(batch_size=12, n_epochs=30, learning_rate=0.0)
    history = fit(data, settings, data, loss=noisy, seed=seed).history
    draws = history["draw"]
    assert len(set(draws)) == 30
    # Means of 12 normal draws, 30 times: chi-squared of 30 degrees, within 5 standard errors.
    assert abs((12 * draws**2).sum() - 30) < 5 * np.sqrt(60)
    assert len(set(history["validation_draw"])) == 1
    key = steps.random_key(seed, "training")
    step = jax.random.fold_in(jax.random.fold_in(key, 7), 0)
    expected = float(jax.random.normal(step, (12,)).mean())
    assert draws[7] == pytest.approx(expected, abs=12 * EPS)


def test_seeds_name_different_streams():
    keys = [steps.random_key(s, n) for s in (0, 2**32, 2**62) for n in ("training", "x")]
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
    settings = Plan(1, 8, 0.0, kl_weight=0.0, precision="bfloat16")
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
    settings = Plan(2, 8, 0.0, kl_weight=0.0, precision="bfloat16")
    model = eqx.tree_at(lambda m: m.weight, Line(), jnp.full((3, 1), 1.003))
    trained = fit(data, settings, model=model, loss=amplified)
    assert trained.precision == "float32: bfloat16 moved the first loss by more than 0.39%"
    plain = fit(data, settings._replace(precision="float32"), model=model, loss=amplified)
    assert bits(trained) == bits(plain)


def amplified(model, batch, key, schedules, training):
    return jnp.exp(1000 * (model.weight - 1.003)).mean(), {}


def test_auto_is_float32_on_a_cpu():
    assert fit(line_data(0, 8), PLAIN._replace(n_epochs=1)).precision == "float32"
