"""Langevin flows: gradients, divergence, leaks, forecasts, edges, and the released variant."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from jax.flatten_util import ravel_pytree
from scipy.stats import norm

from neurokit_sdr.core import results
from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import (
    ConvergenceWarning,
    NeurokitError,
    ParameterError,
    SchemaError,
    TrainingError,
)
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.poisson.score import bits_per_spike
from neurokit_sdr.engines.training import steps as _steps
from neurokit_sdr.engines.training import train as _training
from neurokit_sdr.engines.training.train import train
from neurokit_sdr.engines.training.weights import to_flat
from neurokit_sdr.generative.langevin_flow import model as langevin_flow
from neurokit_sdr.generative.langevin_flow import network as core
from neurokit_sdr.generative.langevin_flow.model import LangevinFlow
from neurokit_sdr.generative.langevin_flow.network import Flow, Loss, Sizes
from neurokit_sdr.generative.langevin_flow.released import ReleasedFlow
from neurokit_sdr.generative.rates.arrays import training_arrays

EPS = float(np.finfo(np.float32).eps)
EPS64 = float(np.finfo(float).eps)

#: Standard errors that an estimate may be off by.
N_ERRORS = 6

#: Compiling well takes longer than the few steps of these tests.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def compile_quickly(patch: pytest.MonkeyPatch) -> None:
    """Compile the steps and the network without optimisation; the same operations are run."""
    for name in ("begin", "advance", "assess", "inspect"):
        options = {"static_argnames": ("program", "training")[: 1 + (name == "inspect")]}
        if name == "advance":
            options["donate_argnames"] = "state"
        plain = getattr(_steps, name).__wrapped__
        patch.setattr(_steps, name, jax.jit(plain, compiler_options=QUICK, **options))
    for name in ("run", "draw_prior"):
        plain = getattr(core, name).__wrapped__
        patch.setattr(core, name, eqx.filter_jit(plain, compiler_options=QUICK))


@pytest.fixture(scope="module", autouse=True)
def _quickly():
    with pytest.MonkeyPatch.context() as patch:
        compile_quickly(patch)
        yield


# ---------------------------------------------------------------- data and models

N_TRIALS, N_BINS, N_UNITS, N_IN, N_FORWARD, WIDTH = 12, 20, 8, 6, 3, 0.02
N_WINDOW = N_BINS - N_FORWARD

MODEL = LangevinFlow(
    n_latents=4, n_hidden=6, covariates=["stimulus"], batch_size=4, n_steps=300, learning_rate=0.01
)


def model(**changes) -> LangevinFlow:
    return LangevinFlow(**(MODEL.get_params() | changes))


def recording(seed: int, *, driven: bool = False) -> xr.Dataset:
    """Counts with known rates: every trial turns from a phase of its own, or follows a stimulus.

    The last units are held out, the last bins are ahead.
    """
    rng = stream(seed, "recording")
    at = np.arange(N_BINS)
    prefers = 2 * np.pi * np.arange(N_UNITS) / N_UNITS
    stimulus = np.sin(2 * np.pi * (rng.uniform(size=(N_TRIALS, 1)) + at / 12))
    if driven:
        log_rate = np.log(0.15) + stimulus[:, :, None] * np.linspace(1, 2, N_UNITS)
    else:
        phase = rng.uniform(0, 2 * np.pi, (N_TRIALS, 1)) + 0.3 * at
        log_rate = np.log(0.5) + 1.2 * np.cos(phase[:, :, None] + prefers)
    rate = np.exp(log_rate)
    return xr.Dataset(
        {
            "count": (("trial", "time", "unit"), rng.poisson(rate), {"units": "1"}),
            "rate": (("trial", "time", "unit"), rate, {"units": "1"}),
            "stimulus": (("trial", "time"), stimulus),
        },
        coords={
            "time": ("time", (at + 0.5) * WIDTH, {"units": "s"}),
            "unit": [f"n{i}" for i in range(N_UNITS)],
            "held_in": ("unit", np.arange(N_UNITS) < N_IN),
            "forward": ("time", at >= N_WINDOW),
        },
        attrs={"bin_size": WIDTH},
    )


def fit(data: xr.Dataset, *, rng: int = 0, checkpoint=None, **changes) -> LangevinFlow:
    return model(**changes).fit(data, rng=rng, progress=False, checkpoint=checkpoint)


@pytest.fixture(scope="module")
def fitted() -> LangevinFlow:
    return fit(recording(0))


def changed(data: xr.Dataset, where: np.ndarray, value: int = 9) -> xr.Dataset:
    """Other counts where the mask, broadcast to (trial, time, unit), is true."""
    count = data["count"].copy(data=np.where(where, value, data["count"].values))
    return data.assign(count=count)


def generic(module, seed: int):
    """A module of these shapes with generic weights: none zero, none equal."""
    rng = stream(seed, "weights")

    def draw(leaf):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        values = rng.standard_normal(leaf.shape)
        values = values / np.sqrt(leaf.shape[0]) if len(leaf.shape) > 1 else 0.3 * values + 0.2
        return jax.device_put(values.astype(np.float32))

    return jax.tree.map(draw, module)


def flow(seed: int, sizes: Sizes, latent_path: str = "latents_only", time_step: float = 0.5):
    key, log_rate = jax.random.key(0), np.zeros(sizes.n_outputs)
    shapes = eqx.filter_eval_shape(
        Flow.init, key, sizes, log_rate, latent_path, time_step, dropout_rate=0.05
    )
    return generic(shapes, seed)


def emptied(module, *names: str):
    """The module with the weights of one of its parts at zero."""

    def part(m):
        return functools.reduce(getattr, names, m)

    zero = jax.tree.map(lambda w: jax.device_put(np.zeros_like(w)), part(module))
    return eqx.tree_at(part, module, zero)


constants_of = jax.jit(lambda oscillators: oscillators.physics())


# ---------------------------------------------------------------- the gradient of the bound

SIZES = Sizes(n_inputs=3, n_outputs=5, n_covariates=1, n_latents=4, n_hidden=4)
LOSS = Loss(SIZES.n_inputs, 2, keep=0.5, crop=0.0, kl_per_trial=False)


def small_batch(seed: int) -> dict[str, np.ndarray]:
    """Two trials of 7 and 5 bins with a gap and two bins ahead, and a row that only fills up."""
    rng = stream(seed, "batch")
    observed = np.ones((3, 7), dtype=bool)
    observed[0, 2] = observed[1, 5:] = False
    return {
        "counts": rng.poisson(1.0, (3, 7, 5)).astype(float),
        "observed": observed,
        "covariates": rng.standard_normal((3, 7, 1)),
        "n_window": np.array([5, 3, 5], np.int32),
        "n_inside": np.array([7, 5, 7], np.int32),
        "trial_weight": np.array([1.0, 1.0, 0.0]),
    }


@functools.cache
def value_and_gradient(latent_path: str):
    """The loss as a function of a vector of weights, with its gradient."""
    weights, constants, template = _steps.split(flow(0, SIZES, latent_path))
    unravel = ravel_pytree(jax.tree.map(lambda w: np.asarray(w, float), weights))[1]

    def value(vector, batch, key):
        made = _steps.join(unravel(vector), constants, template)
        return LOSS(made, batch, key, jnp.asarray(0.7), True)[0]

    return jax.jit(jax.value_and_grad(value), compiler_options=QUICK)


@pytest.mark.parametrize("latent_path", core.LATENT_PATHS)
def test_the_gradient_of_the_bound_equals_finite_differences(latent_path, seed, monkeypatch):
    # A difference across the kink of a rectifier has no limit: a smooth function in its place.
    monkeypatch.setattr(jax.nn, "relu", jax.nn.softplus)
    with jax.enable_x64(True):
        function = value_and_gradient(latent_path)
        weights, _, _ = _steps.split(flow(seed, SIZES, latent_path))
        leaves = [np.asarray(w, float) for w in jax.tree.leaves(weights)]
        vector = np.concatenate([w.ravel() for w in leaves])
        batch, key = small_batch(seed), jax.random.key(seed)
        found = np.asarray(function(vector, batch, key)[1])
        # One direction for every array of weights, so that none hides behind another.
        rng, start, directions = stream(seed, "directions"), 0, []
        for leaf in leaves:
            along = np.zeros_like(vector)
            along[start : start + leaf.size] = rng.standard_normal(leaf.size)
            directions.append(along / np.linalg.norm(along))
            start += leaf.size
        directions, h = np.array(directions), 1e-4
        at = np.concatenate([vector + s * h * directions for s in (-2, -1, 1, 2)])
        values = [float(function(x, batch, key)[0]) for x in at]
        left2, left, right, right2 = np.array(values).reshape(4, -1)
    assert found.dtype == float
    fine, coarse = (right - left) / (2 * h), (right2 - left2) / (4 * h)
    # The error of a central difference is a third of the distance to one of twice the step, and
    # rounding: a value is the end of some thousand operations one after another.
    bound = np.abs(fine - coarse) + 1000 * EPS64 * (1 + np.abs(left)) / h
    assert (np.abs(directions @ found - fine) <= bound).all()
    assert bound.max() < 1e-4 * np.linalg.norm(found)
    # The control has no latents, and nothing else is without a gradient.
    assert (np.abs(fine) > 0).all()


# ---------------------------------------------------------------- the divergence


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_gru(gru, x: np.ndarray, reverse: bool = False) -> np.ndarray:
    """States (bin, hidden) of one trial in float64."""
    w, u, b, c, h = (
        np.asarray(a, float)
        for a in (gru.inputs.weight, gru.recurrent, gru.inputs.bias, gru.candidate_bias, gru.start)
    )
    n, states = h.size, []
    for row in x[::-1] if reverse else x:
        read, carried = row @ w + b, h @ u
        gate, update = (sigmoid(read[i : i + n] + carried[i : i + n]) for i in (0, n))
        candidate = np.tanh(read[2 * n :] + gate * (carried[2 * n :] + c))
        h = (1 - update) * candidate + update * h
        states.append(h)
    return np.array(states[::-1] if reverse else states)


def numpy_layer(layer, x: np.ndarray) -> np.ndarray:
    """A transformer layer on one trial (bin, size) in float64."""

    def linear(module, y):
        return y @ np.asarray(module.weight, float) + np.asarray(module.bias, float)

    def normalised(module, y):
        spread = np.sqrt(y.var(axis=-1, keepdims=True) + 1e-5)
        scaled = (y - y.mean(axis=-1, keepdims=True)) / spread
        return scaled * np.asarray(module.gain, float) + np.asarray(module.bias, float)

    def attention(y):
        size, width = y.shape[1], y.shape[1] // layer.n_heads
        query, key, value = np.split(linear(layer.query_key_value, y), 3, axis=-1)
        mixed = np.empty_like(y)
        for begin in range(0, size, width):
            at = slice(begin, begin + width)
            weight = np.exp(query[:, at] @ key[:, at].T / np.sqrt(width))
            mixed[:, at] = weight / weight.sum(axis=1, keepdims=True) @ value[:, at]
        return linear(layer.output, mixed)

    def network(y):
        return linear(layer.narrow, np.maximum(linear(layer.widen, y), 0))

    if layer.normalise_first:
        x = x + attention(normalised(layer.norm_attention, x))
        return x + network(normalised(layer.norm_network, x))
    x = normalised(layer.norm_attention, x + attention(x))
    return normalised(layer.norm_network, x + network(x))


def affine(module, x: np.ndarray) -> np.ndarray:
    return x @ np.asarray(module.weight, float) + np.asarray(module.bias, float)


N_PATHS = 4000


def test_the_divergence_of_whole_paths_and_the_rates_equal_an_independent_computation(seed):
    """From the paths alone: log q - log p of each, by the Gaussian of z given the past."""
    sizes = SIZES
    network = flow(seed, sizes)
    batch = small_batch(seed)
    n_bins, n_window, n = 7, 5, sizes.n_latents
    first = {k: jnp.asarray(np.repeat(v[:1], N_PATHS, 0)) for k, v in batch.items()}
    first = {k: v.astype(jnp.float32) if v.dtype.kind == "f" else v for k, v in first.items()}
    trials = core.make_trials(first, sizes.n_inputs)
    output = core.run(network, trials, jax.random.key(seed))
    path = np.asarray(output.latent, float)
    z, v = path[:, :, :n], path[:, :, n:]

    # What the encoder reads: counts of held-in units in observed bins of the window, and a flag.
    seen = batch["observed"][0] & (np.arange(n_bins) < n_window)
    read = np.column_stack(
        [np.where(seen[:, None], batch["counts"][0, :, :3], 0), seen, batch["covariates"][0]]
    )
    h = np.column_stack(
        [numpy_gru(network.encoder, read), numpy_gru(network.encoder_back, read, reverse=True)]
    )
    physics = jax.tree.map(lambda x: np.asarray(x, float), constants_of(network.oscillators))
    k, coupling, mass, friction, kt = physics
    half, thermal, decay = 0.25, np.sqrt(kt / mass), np.exp(-0.5 * friction)
    spread = np.sqrt((1 - decay**2) * kt / mass)
    push = affine(network.push, batch["covariates"][0])

    def kick(z, at):
        t = np.tanh(z / 2)
        return half * (-k * z - (1 - t**2) * ((2 * t) @ coupling) + push[at]) / mass

    mean_z, log_z, mean_v, log_v = np.split(affine(network.first, h[0]), 4)
    log_z, log_v = np.clip(log_z, -5, 2), np.clip(log_v, -5, 2)
    log_ratio = np.zeros(N_PATHS)
    for x, mean, log_sd, scale in ((z, mean_z, log_z, 1.0), (v, mean_v, log_v, thermal)):
        posterior = norm(scale * mean, scale * np.exp(log_sd))
        log_ratio += (posterior.logpdf(x[:, 0]) - norm(0, scale).logpdf(x[:, 0])).sum(axis=1)
    says, standard = affine(network.control_encoder, h), []
    for t in range(1, n_bins):
        middle_v = v[:, t - 1] + kick(z[:, t - 1], t)
        middle_z = z[:, t - 1] + half * middle_v
        state = np.column_stack([middle_z, middle_v / thermal])
        mean, log_sd = np.split(says[t] + affine(network.control_state, state), 2, axis=1)
        mean, sd = 10 * np.tanh(mean / 10), np.exp(np.clip(log_sd, -5, 2))
        if t >= n_window:
            mean, sd = 0 * mean, np.ones_like(sd)
        # Given the past, z is Gaussian; the velocity follows from it.
        centre, width = middle_z + half * decay * middle_v, half * spread
        posterior, prior = norm(centre + width * mean, width * sd), norm(centre, width)
        log_ratio += (posterior.logpdf(z[:, t]) - prior.logpdf(z[:, t])).sum(axis=1)
        standard.append((z[:, t] - centre - width * mean) / (width * sd))
        settled = (z[:, t] - middle_z) / half + kick(z[:, t], t)
        size = 1 + np.abs(z).max() + np.abs(v).max()
        np.testing.assert_allclose(v[:, t], settled, atol=200 * EPS * size / half)
    kl = np.asarray(output.kl, float)
    # Both have the divergence for a mean, and the same paths: their difference has the mean zero.
    off = log_ratio - kl
    assert abs(off.mean()) <= N_ERRORS * off.std() / np.sqrt(N_PATHS)
    assert kl.mean() > 1
    assert kl.std() > 0.01 * kl.mean()  # it does depend on the path
    drawn = np.array(standard)
    assert abs(drawn.mean()) <= N_ERRORS / np.sqrt(drawn.size)
    assert abs(drawn.var() - 1) <= N_ERRORS * np.sqrt(2 / drawn.size)

    features = affine(network.mix, path[0])
    rate = affine(network.readout, numpy_layer(network.layer, features))
    size = np.abs(network.readout.weight).sum() * np.abs(features).max()
    np.testing.assert_allclose(output.log_rate[0], rate, atol=100 * EPS * (1 + size))


def test_with_the_drive_at_zero_the_posterior_is_the_prior(seed):
    """Bit for bit the same latents as draws from the prior, and no divergence."""
    network = flow(seed, SIZES)
    for name in ("first", "control_encoder", "control_state"):
        network = emptied(network, name)
    batch = {k: jnp.asarray(v, jnp.float32 if v.dtype.kind == "f" else None)
             for k, v in small_batch(seed).items()}  # fmt: skip
    trials = core.make_trials(batch, SIZES.n_inputs)
    key = jax.random.key(seed)
    posterior = core.run(network, trials, key)
    assert not np.asarray(posterior.kl).any()
    log_rate, latent = core.draw_prior(
        network, trials.covariates, trials.inside, jax.random.split(key, 6)[0]
    )
    size = 1 + np.abs(latent).max()
    np.testing.assert_allclose(posterior.latent, latent, atol=50 * EPS * size)
    weight = np.abs(network.readout.weight).sum()
    np.testing.assert_allclose(posterior.log_rate, log_rate, atol=500 * EPS * size * weight)


def test_first_states_of_the_prior_have_its_mean_and_variance(seed):
    network = flow(seed, SIZES)
    covariates, inside = jnp.zeros((4000, 2, 1)), jnp.ones((4000, 2), bool)
    _, latent = core.draw_prior(network, covariates, inside, jax.random.key(seed))
    first = np.asarray(latent[:, 0], float)
    physics = constants_of(network.oscillators)
    thermal = np.sqrt(float(physics.temperature) / np.asarray(physics.mass, float))
    scale = np.concatenate([np.ones(4), thermal])
    error = N_ERRORS / np.sqrt(4000)
    assert (np.abs(first.mean(axis=0) / scale) <= error).all()
    correlation = first.T @ first / 4000 / np.outer(scale, scale)
    # The mean of a square has the variance 2 / n, that of a product 1 / n.
    assert (np.abs(correlation - np.eye(8)) <= error * np.sqrt(1 + np.eye(8))).all()


def without_spikes(data: xr.Dataset, seed: int):
    """What ``fit`` trains on with all counts missing, and a network without a potential."""
    arrays = training_arrays(data, covariates=["stimulus"])
    batch = langevin_flow._batch(arrays) | {"observed": np.zeros_like(arrays.valid)}
    training, validation = ({k: v[rows] for k, v in batch.items()} for rows in (slice(11), [11]))
    sizes = MODEL._sizes(arrays.held_in, 1)
    network = MODEL._network(sizes, _steps.random_key(seed, "weights"), np.zeros(N_UNITS))
    still = {"raw_stiffness": -100.0, "kernel": 0.0}
    for name, value in still.items():
        values = jax.device_put(np.full_like(getattr(network.oscillators, name), value))
        network = eqx.tree_at(lambda m, n=name: getattr(m.oscillators, n), network, values)
    return network, training, validation


def test_without_potential_and_data_training_makes_the_posterior_the_prior(fitted, seed):
    network, training, validation = without_spikes(recording(seed), seed)
    loss = Loss(N_IN, N_FORWARD, 0.5, MODEL.crop, kl_per_trial=False)
    settings = MODEL._settings(11)._replace(n_epochs=1000, kl_weight=1.0, kl_schedule="constant")
    trained = train(
        network,
        loss,
        training,
        validation,
        settings,
        seed=seed,
        saved=Checkpoint(None, {}),
        progress=False,
    )
    assert trained.n_traces == 0  # what follows is about the loss that is fitted
    # Nats of a whole trial, and there is nothing else in the loss.
    kl = N_BINS * N_UNITS * trained.history["kl"]
    assert not trained.history["poisson"].any()
    # Terms (mean^2 + sd^2 - 1 - 2 log sd) / 2 are rounded to EPS each, and are of second order: an
    # error sqrt(EPS) of mean or log sd is not seen.
    bound = 4 * EPS * (N_WINDOW + 1) * MODEL.n_latents
    assert kl[0] > 100 * bound
    assert abs(kl[-1]) <= bound


# ---------------------------------------------------------------- no leak


def test_training_reads_neither_held_out_counts_nor_bins_ahead_nor_hidden_counts(fitted, seed):
    """The loss is linear in a count that is not read: its slope is minus the log of its rate."""
    loss = Loss(SIZES.n_inputs, 2, keep=0.5, crop=0.0, kl_per_trial=False)
    network, key = flow(seed, SIZES), jax.random.key(seed)
    batch = {k: v.astype(np.float32) if v.dtype.kind == "f" else v
             for k, v in small_batch(seed).items()}  # fmt: skip
    counts = batch["counts"] + 1
    (_, (inputs, log_rate)), slope = slope_of_loss(loss, network, counts, batch, key)
    inputs, log_rate, slope = (np.asarray(x, float) for x in (inputs, log_rate, slope))
    scored = batch["observed"] & (batch["trial_weight"] > 0)[:, None]
    window = np.arange(7) < batch["n_window"][:, None]
    read = np.zeros(slope.shape, dtype=bool)
    read[:, :, :3] = inputs > 0
    # Shown counts are scaled by what is kept, hidden ones and all others are not there.
    expected = np.where(read, counts / loss.keep, 0)[:, :, :3]
    np.testing.assert_allclose(inputs, expected, rtol=2 * EPS)
    assert not (read & ~(batch["observed"] & window)[:, :, None]).any()
    n_shown, n_visible = read[:2].sum(), 3 * (scored & window).sum()
    assert abs(n_shown - n_visible / 2) <= N_ERRORS * np.sqrt(n_visible) / 2
    unread = ~read & scored[:, :, None]
    # All of them are scored, so that the slope of each gives the same number of counts.
    number = -log_rate[unread] / slope[unread]
    total = np.median(number)
    assert unread.sum() <= round(total) <= scored.sum() * 5
    # Every slope is a few operations; the rate is computed once for both.
    np.testing.assert_allclose(
        slope[unread], -log_rate[unread] / round(total), rtol=20 * EPS, atol=1e-30
    )
    assert not slope[~read & ~scored[:, :, None]].any()
    # What is shown has its say in the rates of all: another slope.
    shown = slope[read & scored[:, :, None]]
    assert (shown != 0).all()
    assert np.abs(shown + log_rate[read & scored[:, :, None]] / round(total)).min() > 0


@functools.partial(jax.jit, static_argnames="loss", compiler_options=QUICK)
def slope_of_loss(loss, network, counts, batch, key):
    """The loss in training with what the network read and said, and its gradient by the counts."""

    def value(counts):
        seen = []

        def spy(trials, *rest):
            seen.append((trials.inputs, network(trials, *rest)))
            return seen[0][1]

        found = loss(spy, batch | {"counts": counts}, key, jnp.float32(0.7), True)[0]
        inputs, output = seen[0]
        return found, (inputs, output.log_rate)

    return jax.value_and_grad(value, has_aux=True)(counts)


def test_a_window_that_is_cut_out_moves_all_of_a_trial_together(seed):
    n_trials, n_bins, n_forward = 200, 20, 3
    rng = stream(seed, "crop")
    lengths = rng.integers(1, 18, n_trials)
    full = lengths == 17
    place = np.arange(n_bins)
    inside = np.where(full, n_bins, lengths)
    valid = place < inside[:, None]
    number = np.where(valid, 1 + place, 0)[:, :, None] * np.ones(5)
    batch = {
        "counts": number.astype(np.float32),
        "observed": valid,
        "covariates": number[:, :, :1].astype(np.float32),
        "n_window": lengths.astype(np.int32),
        "n_inside": inside.astype(np.int32),
    }
    loss = Loss(3, n_forward, 1.0, 0.5, kl_per_trial=False)
    moved = {k: np.asarray(v) for k, v in loss._cropped(batch, jax.random.key(seed)).items()}
    trials = jax.tree.map(np.asarray, core.make_trials(moved, 3))
    cut = moved["n_window"] < lengths
    shortest = np.maximum((lengths * core.SHORTEST_WINDOW).astype(int), 1)
    assert (moved["n_window"] >= shortest).all()
    # Half of those that can be cut are drawn; of these one of the lengths is the whole.
    share = 0.5 * (1 - 1 / (lengths - shortest + 1))
    assert abs(cut.sum() - share.sum()) <= N_ERRORS * np.sqrt((share * (1 - share)).sum())
    starts = moved["counts"][:, 0, 0].astype(int) - 1
    for i in range(n_trials):
        window, behind = moved["n_window"][i], moved["n_inside"][i]
        expected = starts[i] + 1 + place
        np.testing.assert_array_equal(trials.inputs[i, :, 0], np.where(place < window, expected, 0))
        np.testing.assert_array_equal(trials.inside[i], place < behind)
        np.testing.assert_array_equal(moved["observed"][i], place < behind)
        # The bins right behind the window are ahead of it, as many as there are.
        assert behind == min(window + n_forward, inside[i] - starts[i])
        np.testing.assert_array_equal(moved["counts"][i, :behind, 4], expected[:behind])
        np.testing.assert_array_equal(trials.covariates[i, :behind, 0], expected[:behind])
    assert len(set(starts[cut])) > 5


def test_predictions_are_the_same_bits_whatever_lies_in_what_they_may_not_read(fitted, seed):
    data = recording(seed)
    lengths = np.full(N_TRIALS, N_BINS)
    lengths[[2, 5]] = 9, 14
    data["trial_length"] = ("trial", lengths, {"units": "1"})
    beyond = (np.arange(N_BINS) >= lengths[:, None])[:, :, None]
    data["stimulus"] = data["stimulus"].where(
        ~xr.DataArray(beyond[:, :, 0], dims=("trial", "time")), 0
    )
    held_out = ~data["held_in"].values
    ahead = data["forward"].values[:, None] & np.ones(N_UNITS, dtype=bool)
    calls = {
        "predict": fitted.predict,
        "transform": fitted.transform,
        "forecast": lambda d: fitted.forecast(d, N_FORWARD, n_draws=3, rng=seed),
    }
    for name, call in calls.items():
        reference = call(data)
        for where in (held_out, ahead, beyond):
            xr.testing.assert_identical(call(changed(data, where)), reference)
        fewer = call(data.isel(unit=~held_out))
        xr.testing.assert_identical(fewer, reference)
        other = call(changed(data, ~held_out & ~ahead & ~beyond))
        assert not other.equals(reference), name
    said = fitted.predict(data)
    for i, length in enumerate(lengths):
        known = np.isfinite(said["expected_count"].values[i]).all(axis=-1)
        np.testing.assert_array_equal(known, np.arange(N_BINS) < length)


def test_counts_hidden_by_observed_are_not_read(fitted, seed):
    data = recording(seed)
    gap = np.zeros((N_TRIALS, N_BINS), dtype=bool)
    gap[:, 5:8] = True
    data["observed"] = ("trial", "time"), ~gap
    reference = fitted.predict(data)
    xr.testing.assert_identical(fitted.predict(changed(data, gap[:, :, None])), reference)
    assert np.isfinite(reference["expected_count"]).all()
    # The score does not look at them either.
    assert fitted.score(changed(data, gap[:, :, None])) == fitted.score(data)


def test_a_clean_score_stays_below_the_oracle(fitted, seed):
    """Held-out units: nothing can predict them better than the rates they were drawn from."""
    data, test = recording(seed), recording(seed + 1000)
    trained = fit(data, rng=seed, n_steps=600)
    out = ~data["held_in"].values
    said = trained.predict(test)["expected_count"]
    count, rate = (test[n].values[:, :N_WINDOW, out] for n in ("count", "rate"))
    model_rate = said.values[:, :N_WINDOW, out]
    assert trained.score(test) == pytest.approx(bits_per_spike(model_rate, count), rel=1e-9)
    gain = count * np.log(model_rate / rate) - (model_rate - rate)
    per_trial = gain.sum(axis=(1, 2))
    error = per_trial.std(ddof=1) * np.sqrt(N_TRIALS)
    assert per_trial.sum() <= N_ERRORS * error
    bits = np.log(2) * count.sum()
    oracle = bits_per_spike(rate, count)
    assert trained.score(test) <= oracle + N_ERRORS * error / bits
    # And it has learned something, so that the test can fail.
    assert trained.score(test) > 0.2 * oracle


# ---------------------------------------------------------------- forecasts

LINEAR = {"n_latents": 4, "n_hidden": 8, "covariates": None}


def linear_flow(seed: int, time_step: float = 0.5) -> tuple[LangevinFlow, np.ndarray]:
    """Log rates affine in the positions of uncoupled oscillators; also the loadings.

    The posterior of the first state depends on the counts, what follows is the prior.
    """
    sizes = Sizes(N_IN, N_UNITS, 0, 4, 8)
    network = flow(seed, sizes, time_step=time_step)
    for names in (("layer", "output"), ("layer", "narrow"), ("mix",), ("readout",)):
        network = emptied(network, *names)
    for name in ("control_encoder", "control_state"):
        network = emptied(network, name)
    loading = 0.4 * stream(seed, "loading").standard_normal((4, N_UNITS)).astype(np.float32)
    mix = np.zeros((8, 8), np.float32)
    mix[:4, :4] = np.eye(4)
    new = {
        "mix.weight": mix,
        "readout.weight": np.concatenate([loading, 0 * loading]),
        "readout.bias": np.full(N_UNITS, np.log(0.5), np.float32),
        "oscillators.kernel": np.zeros((4, 4, 3), np.float32),
        "oscillators.log_mass": np.zeros(4, np.float32),
        "oscillators.log_temperature": np.zeros((), np.float32),
        "oscillators.raw_stiffness": np.full(4, np.log(np.expm1(1.0)), np.float32),
        "oscillators.raw_friction": np.full(4, np.log(np.expm1(1.0)), np.float32),
    }
    for name, values in new.items():
        network = eqx.tree_at(
            lambda m, n=name: functools.reduce(getattr, n.split("."), m),
            network,
            jax.device_put(values),
        )
    vector, layout = to_flat(network)
    parameters = {**LINEAR, "time_step": time_step}
    known = xr.Dataset(
        {"weight": ("parameter", vector, {"layout": layout})},
        coords={"unit": recording(0)["unit"].values, "held_in": recording(0)["held_in"].variable},
        attrs={"bin_size": WIDTH, "n_forward": 0, "parameters": json.dumps(parameters)},
    )
    return LangevinFlow.from_parameters(known), loading.astype(float)


def test_a_long_forecast_reaches_the_mean_rates_of_the_prior(seed):
    """By closed form: positions are Gaussian with variance kT / k, which BAOAB keeps exactly."""
    known, loading = linear_flow(seed)
    data, n_draws = recording(seed).isel(trial=slice(2)), 800
    said = known.forecast(data, 60, n_draws=n_draws, rng=seed)
    assert said.sizes["time"] == N_WINDOW + 60
    np.testing.assert_allclose(np.diff(said["time"]), WIDTH, rtol=1e-9)
    np.testing.assert_array_equal(said["forward"], np.arange(N_WINDOW + 60) >= N_WINDOW)
    last = said.isel(time=-1)
    variance = (loading**2).sum(axis=0)
    mean = 0.5 * np.exp(variance / 2)
    error = mean * np.sqrt(np.expm1(variance) / n_draws)
    # After 60 steps of half a time constant each nothing is left of the window.
    assert (np.abs(last["expected_count"] - mean) <= N_ERRORS * error).all()
    # A quantile is off by sqrt(p (1 - p) / n) over the density there.
    for name, p in (("expected_count_low", 0.025), ("expected_count_high", 0.975)):
        sd = np.sqrt(variance)
        share = norm.cdf(np.log(last[name] / 0.5) / sd)
        assert (np.abs(share - p) <= N_ERRORS * np.sqrt(p * (1 - p) / n_draws)).all()
    simulated = known.simulate([61] * n_draws, rng=seed)["expected_count"].isel(time=-1)
    simulated = simulated.mean("trial")
    assert (np.abs(simulated - mean) <= N_ERRORS * error).all()


def test_a_forecast_goes_on_from_each_trials_own_end(seed):
    time_step = 1e-3
    known, loading = linear_flow(seed, time_step)
    # The first velocity is N(mean, sd^2) with both from an encoder's state within (-1, 1); what the
    # bath adds in 22 such steps has a variance of 22 times twice the step.
    first = known._trained().first
    _, _, mean, log_sd = np.split(np.abs(first.weight).sum(axis=0) + np.abs(first.bias), 4)
    fastest = (mean + N_ERRORS * np.exp(np.minimum(log_sd, core.LARGEST_LOG_SD)) + 1).max()
    data = recording(seed).isel(trial=slice(2), time=slice(N_WINDOW)).drop_vars("forward")
    lengths = np.array([N_WINDOW, 9])
    data["trial_length"] = ("trial", lengths, {"units": "1"})
    said = known.forecast(data, 5, n_draws=20, rng=seed)
    np.testing.assert_array_equal(said["trial_length"], lengths + 5)
    rate = said["expected_count"].values
    for i, length in enumerate(lengths):
        known_bins = np.isfinite(rate[i]).all(axis=-1)
        np.testing.assert_array_equal(known_bins, np.arange(N_WINDOW + 5) < length + 5)
        # In a step z moves by the step's length times the velocity, and that is bounded.
        step = np.abs(np.log(rate[i, length] / rate[i, length - 1]))
        assert (step <= time_step * fastest * np.abs(loading).sum(axis=0)).all()
    # Far from what another trial says there.
    assert np.abs(np.log(rate[0, 8] / rate[1, 8])).max() > 0.05


def test_a_forecast_is_random_by_its_seed_and_ordered(fitted, seed):
    data = recording(seed)
    one, again, other = (fitted.forecast(data, N_FORWARD, n_draws=3, rng=r) for r in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    assert not one.equals(other)
    for said in (one, fitted.predict(data)):
        low, mean, high = (said[f"expected_count{end}"] for end in ("_low", "", "_high"))
        assert (low < high).all()
        assert (low <= mean).all()
        assert np.isfinite(high).all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"n_bins": 0}, "Expected n_bins as a whole number of at least 1, got 0"),
        ({"n_bins": 2.0}, "Expected n_bins as a whole number of at least 1, got 2.0"),
        ({"n_bins": 2, "n_draws": 0}, "Expected n_draws as a whole number of at least 1, got 0"),
    ],
)
def test_forecasts_that_cannot_be(fitted, changes, match):
    with pytest.raises(ParameterError, match=match):
        fitted.forecast(recording(0), **changes)


# ---------------------------------------------------------------- covariates


def test_a_covariate_that_drives_improves_the_prediction(fitted):
    """Against the same covariate of other trials, at rates that say little themselves."""
    data, test = recording(1, driven=True), recording(2, driven=True)
    out = ~data["held_in"].values
    gains = {}
    for name, order in (("own", np.arange(N_TRIALS)), ("other", np.roll(np.arange(N_TRIALS), 1))):
        trained = fit(data.assign(stimulus=data["stimulus"][order]), n_steps=1000)
        rate = trained.predict(test.assign(stimulus=test["stimulus"][order]))["expected_count"]
        rate, count = rate.values[:, :N_WINDOW, out], test["count"].values[:, :N_WINDOW, out]
        gains[name] = (count * np.log(rate) - rate).sum(axis=(1, 2))
    gain = gains["own"] - gains["other"]
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(N_TRIALS)
    result = trained.result_
    np.testing.assert_allclose(result["covariate_mean"], float(data["stimulus"].mean()), atol=1e-6)
    np.testing.assert_allclose(result["covariate_sd"], float(data["stimulus"].std()), rtol=1e-6)


def test_covariates_that_cannot_be_used(fitted):
    data = recording(0)
    with pytest.raises(SchemaError, match="Expected the covariate 'stimulus' beside the counts"):
        fitted.predict(data.drop_vars("stimulus"))
    with pytest.raises(SchemaError, match="Did you mean 'stimulus'"):
        fit(data, covariates=["stimulis"])
    holes = data["stimulus"].copy()
    holes[0, 3] = np.nan
    with pytest.raises(SchemaError, match=r"Expected finite values of the covariate .* in 1: fill"):
        fit(data.assign(stimulus=holes))
    with pytest.raises(SchemaError, match=r"with dims among \('trial', 'time'\), got float64 with"):
        fit(data.assign(stimulus=data["stimulus"].expand_dims(screen=2)))
    with pytest.raises(SchemaError, match="as numbers with dims among"):
        fit(data.assign(stimulus=("time", np.full(N_BINS, "a"))))
    for wrong in ("stimulus", [], ["a", "a"], [3]):
        with pytest.raises(ParameterError, match="covariates"):
            fit(data, covariates=wrong)


# ---------------------------------------------------------------- the edges of data


def test_units_silent_in_training_are_rare_and_finite(fitted):
    data = recording(3)
    silent = data["count"].copy()
    silent[:, :, [1, N_UNITS - 1]] = 0
    trained = fit(data.assign(count=silent))
    rate = trained.predict(data)["expected_count"]
    assert np.isfinite(rate).all()
    mean = rate.mean(["trial", "time"]).values
    # Where a unit had no spike in n bins, more than 10 / n is ruled out by odds of exp(10).
    assert (mean[[1, -1]] < 10 / (N_TRIALS * N_BINS)).all()
    assert np.isfinite(trained.score(data))  # unit 6 has spikes


def test_gaps_and_bins_ahead_are_trained_around(fitted, seed):
    """What lies in missing bins changes no bit of a fit."""
    data = recording(seed)
    observed = np.ones((N_TRIALS, N_BINS), dtype=bool)
    observed[:, 4:7] = observed[3, :18] = False
    data["observed"] = ("trial", "time"), observed
    one = fit(data, n_steps=30)
    other = fit(changed(data, ~observed[:, :, None]), n_steps=30)
    for name in ("weight", "last_weight", "loss", "validation_loss"):
        np.testing.assert_array_equal(one.result_[name], other.result_[name])
    assert np.isfinite(one.result_["loss"]).all()
    assert one.result_.attrs["n_forward"] == N_FORWARD
    # Bins ahead are targets.
    third = fit(changed(data, data["forward"].values[:, None]), n_steps=30)
    assert not np.array_equal(one.result_["loss"], third.result_["loss"])
    assert one.predict(data.isel(time=slice(N_WINDOW))).sizes["time"] == N_BINS


def test_one_long_trial_of_two_units():
    """A thousand bins train, without validation, held-out units or trials."""
    count = stream(0, "long").poisson(0.3, (1000, 2))
    data = xr.Dataset(
        {"count": (("time", "unit"), count, {"units": "1"})},
        coords={"time": ("time", (np.arange(1000) + 0.5) * WIDTH, {"units": "s"}), "unit": [3, 7]},
        attrs={"bin_size": WIDTH},
    )
    trained = fit(data, covariates=None, n_steps=4)
    result = trained.result_
    assert result.attrs["status"] == results.CONVERGED
    assert result.sizes["epoch"] == 4
    assert "validation_loss" not in result
    assert np.isfinite(result["loss"]).all()
    assert np.isfinite(result["gradient_norm"]).all()
    np.testing.assert_array_equal(result["weight"], result["last_weight"])
    assert trained.predict(data)["expected_count"].dims == ("time", "unit")
    # Units that know nothing of each other: of hidden counts x with rate r a prediction that is off
    # by d in log r gains (x - r) d less something, whose sum has the variance sum r d^2. Four small
    # steps from the mean rate d is below 1.
    assert trained.score(data) < 5 / np.sqrt(count.sum()) / np.log(2)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"n_latents": 6}, "Expected n_latents as a multiple of 4, the groups that couple, got 6"),
        ({"n_hidden": 7}, r"n_hidden as a multiple of 2 \(attention has two heads\), got 7"),
        ({"n_hidden": 6, "variant": "released", "covariates": None}, "n_hidden as a multiple of 4"),
        ({"n_hidden": 8, "variant": "released"}, "no covariates with variant='released'"),
        ({"latent_path": "latent_only"}, "latents_only"),
        ({"time_step": 0.0}, "time_step"),
    ],
)
def test_settings_that_cannot_be(changes, match):
    with pytest.raises(ParameterError, match=match) as caught:
        fit(recording(0), **changes)
    assert isinstance(caught.value, NeurokitError)


def test_data_that_cannot_be():
    data = recording(0)
    with pytest.raises(SchemaError, match="Expected at least 2 held-in units to find what they"):
        fit(data.isel(unit=[0, N_UNITS - 1]))
    with pytest.raises(SchemaError, match="Expected spikes of the held-in units, got none"):
        fit(changed(data, np.array(True), 0))
    with pytest.raises(SchemaError, match="Expected at least one observed bin"):
        fit(data.assign(observed=(("trial", "time"), np.zeros((N_TRIALS, N_BINS), bool))))
    with pytest.raises(SchemaError, match="mark missing bins with a boolean variable 'observed"):
        fit(data.assign(count=data["count"].where(data["count"] > 0)))
    with pytest.raises(SchemaError, match="Expected whole, finite spike counts >= 0"):
        fit(data.assign(count=data["count"] + 0.5))


# ---------------------------------------------------------------- training


def test_fits_of_equal_shapes_compile_nothing_anew(fitted):
    before = _steps.TRACES.total()
    for changes in ({}, {"n_steps": 50, "learning_rate": 0.003, "kl_weight": 1.0}):
        fit(recording(5), rng=5, **changes)
    assert _steps.TRACES.total() == before


LONG = {"n_steps": 6000}


def saving_always(path: str) -> None:
    """Train in a process that is going to be killed."""
    with pytest.MonkeyPatch.context() as patch:
        compile_quickly(patch)
        _training.SAVE_SECONDS, _training.CALL_SECONDS = 0.0, 1e-4
        fit(recording(0), checkpoint=path, **LONG)


def test_a_fit_killed_at_a_random_moment_goes_on_to_the_same_bits(fitted, tmp_path):
    path = tmp_path / "state.npz"
    code = f"import sys, {__name__} as tests; tests.saving_always(sys.argv[1])"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=Path(__file__).parent, env=os.environ
    )
    try:
        begin = time.perf_counter()
        while not path.exists():
            assert child.poll() is None
            assert time.perf_counter() - begin < 300
            time.sleep(0.01)
        # Any moment must do: a new one each time.
        time.sleep(np.random.default_rng(time.time_ns()).uniform(0, 1))
        assert child.poll() is None, "finished before it was killed: give it more steps"
    finally:
        child.kill()
        child.wait()
    with np.load(path) as saved:
        assert saved["progress"][0] < 2000
    with pytest.raises(ParameterError, match="checkpoint of other work"):
        fit(recording(1), checkpoint=path, **LONG)
    with pytest.raises(ParameterError, match="Expected rng as an int together with checkpoint"):
        fit(recording(0), rng=None, checkpoint=path, **LONG)
    went_on = fit(recording(0), checkpoint=path, **LONG)
    assert not path.exists()
    whole = fit(recording(0), **LONG)
    assert went_on.result_.attrs == whole.result_.attrs
    for name in whole.result_.variables:
        np.testing.assert_array_equal(went_on.result_[name], whole.result_[name], err_msg=name)


def test_a_learning_rate_that_blows_up_is_named(fitted):
    with pytest.warns(ConvergenceWarning, match="stopped at epoch") as caught:
        trained = fit(recording(0), learning_rate=1.0)
    text = str(caught[0].message)
    assert "at learning rate" in text
    assert "Lower learning_rate" in text
    assert "The result is the best before, of epoch" in text
    assert np.isfinite(trained.result_["weight"]).all()
    assert np.isfinite(trained.predict(recording(0))["expected_count"]).all()


def test_a_count_that_no_rate_can_follow_ends_the_fit(fitted):
    data = recording(0)
    data["count"] = data["count"].astype(float)
    data["count"][4, 3, 1] = 1e30
    with pytest.raises(TrainingError, match="stopped at epoch 0") as caught:
        fit(data)
    text = str(caught.value)
    assert "the loss is finite, its gradient is not, in " in text
    # The starting log rate, that of the mean count, carries it to all trials.
    assert "Every training trial of the batch gives it" in text
    assert "Lower learning_rate, set gradient_clip, or look for extreme values in the data" in text


# ---------------------------------------------------------------- the released variant


def numpy_released(network: ReleasedFlow, counts: np.ndarray, n_bins: int, noise: np.ndarray):
    """Log rates (bin, unit) and divergence of one trial, as the released code computes them."""
    gamma, step = network.damping, 0.01
    read = [counts[max(t - 1, 0)] if t < len(counts) else counts[-1] for t in range(n_bins)]
    h = numpy_gru(network.encoder, np.array(read, float))
    mean_z, log_z, mean_v, log_v = np.split(affine(network.first, h[0]), 4)
    z = mean_z + np.exp(log_z / 2) * noise[-1]
    v = mean_v + np.exp(log_v / 2) * noise[0]

    def divergence(mean, log_variance, variance=1.0):
        ratio = (mean**2 + np.exp(log_variance)) / variance
        return (np.log(variance) - log_variance - 1 + ratio).sum() / 2

    kl = divergence(mean_z, log_z) + divergence(mean_v, log_v)
    kernel = np.asarray(network.kernel, float)
    kernel = kernel / np.sqrt((kernel**2).sum(axis=2, keepdims=True))
    path = [np.concatenate([z, v])]
    for t in range(1, n_bins):
        gradient = finite_gradient(lambda x: released_potential(kernel, x), z)
        z, v = z + step * v, v - step * gradient
        v = (1 - gamma) * v + np.sqrt(2 * gamma) * noise[t]
        kl += divergence(v, np.full(v.size, 2 * gamma), 0.1)
        path.append(np.concatenate([z, v]))
    decoded = numpy_layer(network.layer, np.column_stack([path, h]))
    return affine(network.readout, decoded), kl


def released_potential(kernel: np.ndarray, z: np.ndarray) -> float:
    """Sum over pairs of groups and places of (kernel * z) z, by hand."""
    place = z.reshape(4, -1)
    padded = np.pad(place, ((0, 0), (1, 1)))
    n, total = place.shape[1], 0.0
    for group in range(4):
        convolved = sum(
            kernel[group, other, j] * padded[other, j : j + n]
            for other in range(4)
            for j in range(3)
        )
        total += sum(convolved @ place[other] for other in range(4))
    return total


def finite_gradient(function, x: np.ndarray) -> np.ndarray:
    """Exact for a quadratic, up to rounding."""
    unit = np.eye(x.size)
    return np.array([(function(x + e) - function(x - e)) / 2 for e in unit])


def test_the_released_variant_equals_its_equations_in_numpy(seed):
    sizes = Sizes(3, 5, 0, 8, 8)
    shapes = eqx.filter_eval_shape(
        ReleasedFlow.init, jax.random.key(0), sizes, "full", damping=0.55, dropout_rate=0.05
    )
    network = generic(shapes, seed)
    batch = {k: jnp.asarray(v, jnp.float32 if v.dtype.kind == "f" else None)
             for k, v in small_batch(seed).items()}  # fmt: skip
    batch["observed"] = jnp.ones((3, 7), bool)
    trials = core.make_trials(batch, 3)
    key = jax.random.key(seed)
    output = core.run(network, trials, key)
    noise = np.asarray(jax.random.normal(jax.random.split(key, 5)[0], (8, 3, 8)), float)
    for i, (n_window, n_bins) in enumerate(((5, 7), (3, 5))):
        counts = np.asarray(batch["counts"], float)[i, :n_window, :3]
        log_rate, kl = numpy_released(network, counts, n_bins, noise[:, i])
        size = np.abs(network.readout.weight).sum() * np.abs(output.factor[i]).max()
        np.testing.assert_allclose(output.log_rate[i, :n_bins], log_rate, atol=100 * EPS * size)
        assert float(output.kl[i]) == pytest.approx(kl, rel=100 * EPS)


def test_the_released_potential_is_quadratic_and_unbounded_below(seed):
    shapes = eqx.filter_eval_shape(
        ReleasedFlow.init, jax.random.key(0), Sizes(3, 5, 0, 8, 8), "full", 0.55, 0.05
    )
    network = generic(shapes, seed)
    slope = np.asarray(network.slope(), float)
    kernel = np.asarray(network.kernel, float)
    kernel = kernel / np.sqrt((kernel**2).sum(axis=2, keepdims=True))
    z = stream(seed, "position").standard_normal(8)
    assert released_potential(kernel, z) == pytest.approx(z @ slope @ z / 2, abs=1e-4)
    np.testing.assert_allclose(
        slope @ z, finite_gradient(lambda x: released_potential(kernel, x), z), atol=1e-4
    )
    value, vector = np.linalg.eigh(slope)
    # Differences between groups cost nothing, so that one direction at least goes down.
    assert value[0] < 0
    along = 10 * vector[:, 0]
    for scale in (1, 10, 100):
        energy = released_potential(kernel, scale * along)
        assert energy == pytest.approx(scale**2 * 50 * value[0], rel=1e-4)


def test_the_released_variant_trains_and_predicts():
    data = recording(0).drop_vars("stimulus")
    trained = fit(data, variant="released", n_hidden=8, covariates=None, n_steps=30)
    result = trained.result_
    assert np.isfinite(result["loss"]).all()
    assert "stiffness" not in result
    # A fifth of the released 500 epochs would be 100: the weight has hardly begun to rise.
    assert float(result["kl_weight"][-1]) == pytest.approx(
        LangevinFlow().kl_weight * (10 - 1 / 3) / 500, rel=1e-6
    )
    assert np.isfinite(trained.predict(data)["expected_count"]).all()
    with pytest.raises(ParameterError, match="recurrent state that only recorded counts can set"):
        trained.simulate(10)
