"""What the tests of training fit: a line, with a loss and data that have closed forms."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import train as training
from neurokit_sdr.engines.training.optimiser import Group
from neurokit_sdr.engines.training.plan import Settings
from neurokit_sdr.engines.training.rows import Gathered
from neurokit_sdr.engines.training.schedules import Schedule
from neurokit_sdr.engines.training.train import train

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


def squared_error(model, batch, key, schedules, training):
    off = batch["x"] @ model.weight[:, 0] + model.bias[0] - batch["y"]
    weight = batch["trial_weight"]
    data = (weight * off**2).sum() / weight.sum()
    kl = (model.weight**2).sum()
    return data + schedules["kl_weight"] * kl, {"data": data, "kl": kl}


class Plan(NamedTuple):
    """Settings with one group of weights and one schedule, in plain numbers."""

    n_epochs: int
    batch_size: int
    learning_rate: float
    learning_rate_schedule: str = "constant"
    kl_weight: float = 1.0
    kl_schedule: str = "constant"
    kl_warmup: int = 0
    weight_decay: float = 0.0
    gradient_clip: float | None = None
    patience: int | None = None
    precision: str = "auto"
    average: float = 0.0

    def settings(self) -> Settings:
        rate = Schedule(self.learning_rate, self.learning_rate_schedule)
        group = Group(rate, gradient_clip=self.gradient_clip, weight_decay=self.weight_decay)
        return Settings(
            n_epochs=self.n_epochs,
            batch_size=self.batch_size,
            groups=group,
            schedules={"kl_weight": Schedule(self.kl_weight, self.kl_schedule, self.kl_warmup)},
            patience=self.patience,
            precision=self.precision,
            average=self.average,
        )


#: No KL term.
PLAIN = Plan(n_epochs=20, batch_size=25, learning_rate=0.05, kl_weight=0.0)

#: One batch, which is clipped and decays.
CLIPPED = PLAIN._replace(weight_decay=0.3, gradient_clip=1.0, n_epochs=10, batch_size=40)

#: A second of work.
LONG = PLAIN._replace(n_epochs=1500, learning_rate_schedule="cosine", average=0.9, batch_size=7)


def line_data(seed: int, n: int = 101) -> dict[str, np.ndarray]:
    rng = stream(seed, "line")
    x = rng.normal(size=(n, 3)).astype(np.float32)
    y = x @ np.float32([1, -2, 3]) + 0.5 + rng.normal(size=n).astype(np.float32)
    return {"x": x, "y": y.astype(np.float32)}


def fit(data, settings=PLAIN, validation=None, *, model=None, loss=squared_error, **keywords):
    keywords = {"seed": 0, "saved": NOWHERE, "progress": False} | keywords
    settings = settings.settings() if isinstance(settings, Plan) else settings
    return train(model or Line(), loss, data, validation, settings, **keywords)


def bits(trained) -> list[bytes]:
    """Everything a result holds, to the bit."""
    leaves = jax.tree.leaves(eqx.filter((trained.best, trained.last), eqx.is_array))
    return [np.asarray(x).tobytes() for x in [*leaves, *trained.history.values()]]


def noisy(model, batch, key, schedules, training):
    draw = jax.random.normal(key, batch["trial_weight"].shape)
    mean = (batch["trial_weight"] * draw).sum() / batch["trial_weight"].sum()
    value = squared_error(model, batch, key, schedules, training)[0]
    return value, {"draw": mean}


def long_fit(settings=LONG, saved=NOWHERE):
    return fit(line_data(3), settings, line_data(4, 20), loss=noisy, saved=saved)


def start(function, *arguments: object, flags: str = "") -> subprocess.Popen:
    """Run a function of this module in a new process."""
    code = f"import sys, training_problems as tests; tests.{function.__name__}(*sys.argv[1:])"
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


def saving_always(path):
    training.SAVE_SECONDS = 0.0
    training.CALL_SECONDS = 1e-4
    long_fit(saved=Checkpoint(path, {"of": "this"}))


def printed():
    trained = long_fit(LONG._replace(n_epochs=4))
    history = {name: values.tolist() for name, values in trained.history.items()}
    print(json.dumps([len(jax.devices()), trained.n_traces, history]))


# ---------------------------------------------------------------- windows of a recording on disk

N_WINDOWS, WINDOW, N_UNITS = 1_000_000, 50, 32


def make_recording(path: str) -> None:
    """Units that fire by chance, but for the first: at rate exp(x - 1), x the second a bin ago."""
    rng = stream(0, "recording")
    shape = (N_WINDOWS + WINDOW - 1, N_UNITS)
    recording = np.memmap(path, np.uint8, "w+", shape=shape)
    recording[:] = rng.integers(5, size=shape, dtype=np.uint8) == 0
    before = np.concatenate([[0], recording[:-1, 1]])
    recording[:, 0] = rng.poisson(np.exp(before - 1.0))
    recording.flush()


def windows(recording: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Some of the overlapping windows of a recording (bin, unit)."""
    return {"window": recording[rows[:, None] + np.arange(WINDOW)]}


def next_count(model, batch, key, schedules, training):
    """Negative Poisson log likelihood of the first unit's last count, given the bin before."""
    window = batch["window"].astype(jnp.float32)
    log_rate = window[:, -2] @ model.weight[:, 0] + model.bias[0]
    value = jnp.exp(log_rate) - window[:, -1, 0] * log_rate
    weight = batch["trial_weight"]
    return (weight * value).sum() / weight.sum(), {"rows": weight.sum()}


def train_on_windows(path: str) -> None:
    """Print what came of one pass over a million windows, and the most memory in MB."""
    recording = np.memmap(path, np.uint8, "r", shape=(N_WINDOWS + WINDOW - 1, N_UNITS))
    data = Gathered(recording, N_WINDOWS, windows)
    settings = Settings(1, 500, Group(Schedule(0.02, "cosine")), average=0.99)
    trained = fit(data, settings, model=Line(N_UNITS), loss=next_count)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    weight = np.append(trained.best.weight[:, 0], trained.best.bias).tolist()
    print(json.dumps([peak, weight, trained.history["rows"].tolist(), trained.status]))


# ---------------------------------------------------------------- folds of several sizes


def five_folds() -> None:
    """Print the resident memory in MB after each of five fits of one model to other trials."""
    import flow_problems

    data = flow_problems.recording(0)
    found = []
    for number in range(5):
        flow_problems.fit(data.isel(trial=slice(number, None)), n_steps=4, n_hidden=16)
        status = Path("/proc/self/status").read_text()
        found.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
    print(json.dumps(found))
