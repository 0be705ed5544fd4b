"""The bound of Langevin flows: its gradient, and its divergence."""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from flow_problems import (
    EPS,
    EPS64,
    LOSS,
    MODEL,
    N_BINS,
    N_ERRORS,
    N_FORWARD,
    N_IN,
    N_UNITS,
    N_WINDOW,
    QUICK,
    SIZES,
    affine,
    constants_of,
    emptied,
    fit,
    flow,
    numpy_gru,
    numpy_layer,
    recording,
    small_batch,
)
from jax.flatten_util import ravel_pytree
from scipy.stats import norm

from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import steps
from neurokit_sdr.engines.training.schedules import Schedule
from neurokit_sdr.engines.training.train import train
from neurokit_sdr.generative.langevin_flow import network as networks
from neurokit_sdr.generative.langevin_flow.labels import make_batch
from neurokit_sdr.generative.langevin_flow.network import LATENT_PATHS, Loss
from neurokit_sdr.generative.rates.arrays import training_arrays

pytestmark = pytest.mark.usefixtures("quickly")

# ---------------------------------------------------------------- the gradient of the bound


@functools.cache
def value_and_gradient(latent_path: str):
    """The loss as a function of a vector of weights, with its gradient."""
    weights, constants, template = steps.split(flow(0, SIZES, latent_path))
    unravel = ravel_pytree(jax.tree.map(lambda w: np.asarray(w, float), weights))[1]

    def value(vector, batch, key):
        made = steps.join(unravel(vector), constants, template)
        return LOSS(made, batch, key, {"kl_weight": jnp.asarray(0.7)}, True)[0]

    return jax.jit(jax.value_and_grad(value), compiler_options=QUICK)


@pytest.mark.parametrize("latent_path", LATENT_PATHS)
def test_the_gradient_of_the_bound_equals_finite_differences(latent_path, seed, monkeypatch):
    # A difference across the kink of a rectifier has no limit: a smooth function in its place.
    monkeypatch.setattr(jax.nn, "relu", jax.nn.softplus)
    with jax.enable_x64(True):
        function = value_and_gradient(latent_path)
        weights, _, _ = steps.split(flow(seed, SIZES, latent_path))
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


N_PATHS = 4000


def test_the_divergence_of_whole_paths_and_the_rates_equal_an_independent_computation(seed):
    """From the paths alone: log q - log p of each, by the Gaussian of z given the past."""
    sizes = SIZES
    network = flow(seed, sizes)
    batch = small_batch(seed)
    n_bins, n_window, n = 7, 5, sizes.n_latents
    first = {k: jnp.asarray(np.repeat(v[:1], N_PATHS, 0)) for k, v in batch.items()}
    first = {k: v.astype(jnp.float32) if v.dtype.kind == "f" else v for k, v in first.items()}
    trials = networks.make_trials(first, sizes.n_inputs)
    output = networks.run(network, trials, jax.random.key(seed))
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
    trials = networks.make_trials(batch, SIZES.n_inputs)
    key = jax.random.key(seed)
    posterior = networks.run(network, trials, key)
    assert not np.asarray(posterior.kl).any()
    log_rate, latent = networks.draw_prior(
        network, trials.covariates, trials.inside, jax.random.split(key, 6)[0]
    )
    size = 1 + np.abs(latent).max()
    np.testing.assert_allclose(posterior.latent, latent, atol=50 * EPS * size)
    weight = np.abs(network.readout.weight).sum()
    np.testing.assert_allclose(posterior.log_rate, log_rate, atol=500 * EPS * size * weight)


def test_first_states_of_the_prior_have_its_mean_and_variance(seed):
    network = flow(seed, SIZES)
    covariates, inside = jnp.zeros((4000, 2, 1)), jnp.ones((4000, 2), bool)
    _, latent = networks.draw_prior(network, covariates, inside, jax.random.key(seed))
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
    batch = make_batch(arrays) | {"observed": np.zeros_like(arrays.valid)}
    training, validation = ({k: v[rows] for k, v in batch.items()} for rows in (slice(11), [11]))
    sizes = MODEL._sizes(arrays.held_in, 1)
    network = MODEL._network(sizes, steps.random_key(seed, "weights"), np.zeros(N_UNITS))
    still = {"raw_stiffness": -100.0, "kernel": 0.0}
    for name, value in still.items():
        values = jax.device_put(np.full_like(getattr(network.oscillators, name), value))
        network = eqx.tree_at(lambda m, n=name: getattr(m.oscillators, n), network, values)
    return network, training, validation


def test_without_potential_and_data_training_makes_the_posterior_the_prior(fitted, seed):
    fit(recording(seed), n_steps=1)  # compiled, whatever was trained before
    network, training, validation = without_spikes(recording(seed), seed)
    loss = Loss(N_IN, N_FORWARD, 0.5, MODEL.crop, kl_per_trial=False)
    settings = MODEL._settings(11)._replace(n_epochs=1000, schedules={"kl_weight": Schedule(1.0)})
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
