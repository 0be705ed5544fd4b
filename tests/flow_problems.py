"""What the tests of Langevin flows fit: recordings with known rates, flows with generic weights."""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import numpy as np
import pytest
import xarray as xr

from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import steps
from neurokit_sdr.engines.training import train as training
from neurokit_sdr.generative.langevin_flow import network as networks
from neurokit_sdr.generative.langevin_flow import predictions
from neurokit_sdr.generative.langevin_flow.model import LangevinFlow
from neurokit_sdr.generative.langevin_flow.network import Flow, Loss, Sizes

EPS = float(np.finfo(np.float32).eps)
EPS64 = float(np.finfo(float).eps)

#: Standard errors that an estimate may be off by.
N_ERRORS = 6

#: Compiling well takes longer than the few steps of these tests.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@functools.cache
def quick() -> list[tuple[object, str, object]]:
    """The steps and the network, compiled without optimisation; the same operations are run."""
    found: list[tuple[object, str, object]] = []
    for name in ("begin", "advance", "assess", "inspect"):
        options = {"static_argnames": ("program", "training")[: 1 + (name == "inspect")]}
        if name == "advance":
            options["donate_argnames"] = "state"
        plain = getattr(steps, name).__wrapped__
        found.append((steps, name, jax.jit(plain, compiler_options=QUICK, **options)))
    for name in ("run", "draw_prior"):
        plain = getattr(networks, name).__wrapped__
        compiled = eqx.filter_jit(plain, compiler_options=QUICK)
        found += [(module, name, compiled) for module in (networks, predictions)]
    return found


def compile_quickly(patch: pytest.MonkeyPatch) -> None:
    """Put them in place, and only for a while: of other tests the bits would change."""
    for module, name, compiled in quick():
        patch.setattr(module, name, compiled)


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


# ---------------------------------------------------------------- in float64 numpy


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


# ---------------------------------------------------------------- a process that is killed

LONG = {"n_steps": 6000}


def saving_always(path: str) -> None:
    """Train in a process that is going to be killed."""
    with pytest.MonkeyPatch.context() as patch:
        compile_quickly(patch)
        training.SAVE_SECONDS, training.CALL_SECONDS = 0.0, 1e-4
        fit(recording(0), checkpoint=path, **LONG)
