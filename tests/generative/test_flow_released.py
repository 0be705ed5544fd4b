"""The released variant of the flow against its equations."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_problems import (
    EPS,
    affine,
    fit,
    generic,
    numpy_gru,
    numpy_layer,
    recording,
    small_batch,
)

from neurokit_sdr.core.errors import (
    ParameterError,
)
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.generative.langevin_flow import network as networks
from neurokit_sdr.generative.langevin_flow.model import LangevinFlow
from neurokit_sdr.generative.langevin_flow.network import Sizes
from neurokit_sdr.generative.langevin_flow.released import ReleasedFlow

pytestmark = pytest.mark.usefixtures("quickly")

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
    trials = networks.make_trials(batch, 3)
    key = jax.random.key(seed)
    output = networks.run(network, trials, key)
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
