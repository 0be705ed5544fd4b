"""A small sampler whose posterior is known, importable by the processes that run its chains.

y_i ~ Normal(mean, variance),  mean | variance ~ Normal(m, variance / k),
variance ~ InverseGamma(a, b)
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurokit_sdr.engines.chains import chain

M, K, A, B = 1.0, 0.5, 4.0, 3.0

DATA = np.array([2.3, 0.1, 3.9, 1.4])


class State(NamedTuple):
    """What a sweep moves."""

    mean: float
    variance: float


def draw_prior(rng: np.random.Generator) -> State:
    variance = B / rng.gamma(A)
    return State(rng.normal(M, np.sqrt(variance / K)), variance)


def draw_data(state: State, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(state.mean, np.sqrt(state.variance), DATA.size)


def draw_mean(state: State, y: np.ndarray, rng: np.random.Generator) -> State:
    precision = K + y.size
    centre = (K * M + y.sum()) / precision
    return state._replace(mean=rng.normal(centre, np.sqrt(state.variance / precision)))


def draw_variance(state: State, y: np.ndarray, rng: np.random.Generator) -> State:
    scale = B + ((y - state.mean) ** 2).sum() / 2 + K * (state.mean - M) ** 2 / 2
    return state._replace(variance=scale / rng.gamma(A + (y.size + 1) / 2))


def draw_variance_without_prior_of_mean(state, y, rng):
    """Wrong: forgets that the prior of the mean has the variance in it, as one easily does."""
    scale = B + ((y - state.mean) ** 2).sum() / 2
    return state._replace(variance=scale / rng.gamma(A + y.size / 2))


def sweep(state: State, rng: np.random.Generator) -> State:
    """Gibbs."""
    return draw_variance(draw_mean(state, DATA, rng), DATA, rng)


def exact_posterior() -> tuple[State, State]:
    """Mean and standard deviation of the posterior, of each number."""
    n = DATA.size
    a = A + n / 2
    b = B + ((DATA - DATA.mean()) ** 2).sum() / 2
    b += K * n * (DATA.mean() - M) ** 2 / (2 * (K + n))
    mean = State((K * M + DATA.sum()) / (K + n), b / (a - 1))
    sd = State(np.sqrt(b / (a - 1) / (K + n)), b / (a - 1) / np.sqrt(a - 2))
    return mean, sd


@dataclass(frozen=True)
class Disturbed:
    """The sweep, which once, in the middle of one chain, sends a signal to its process or all."""

    folder: str
    which: int
    everyone: bool = False
    at: int = 300
    pause: float = 0.0

    def __call__(self, state: dict, rng: np.random.Generator) -> dict:
        time.sleep(self.pause)
        moved = sweep(State(state["mean"], state["variance"]), rng)
        flag = Path(self.folder) / "sent"
        if state["number"] == 1 and state["n"] == self.at and not flag.exists():
            flag.touch()
            if self.everyone:
                os.killpg(os.getpgrp(), self.which)
                self._wait_until_heard()
            else:
                os.kill(os.getpid(), self.which)
        return {**moved._asdict(), "number": state["number"], "n": state["n"] + 1}

    def _wait_until_heard(self) -> None:
        """Else the chain could be at its end before it next asks whether it should stop."""
        deadline = time.monotonic() + 60
        while not (Path(self.folder) / "heard").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chain.BEAT_SECONDS)


def numbered_states(n_chains: int) -> list[dict]:
    return [{"mean": 5.0 * i, "variance": 1.0 + i, "number": i, "n": 0} for i in range(n_chains)]


def main() -> None:
    """Run disturbed chains that save at every beat: ``folder checkpoint signal everyone out``.

    A sweep takes a millisecond, so that there are beats before the signal.
    """
    import sys

    from neurokit_sdr.core.parallel import limited_threads
    from neurokit_sdr.engines.chains.run import run_chains
    from neurokit_sdr.engines.chains.signals import Signals

    folder, checkpoint, which, everyone, out = sys.argv[1:]
    chain.SAVE_SECONDS = chain.SAVE_TIMES = 0.0
    chain.BEAT_SECONDS = 0.02
    stop = Signals.stop

    def stop_and_say_so(signals: Signals) -> None:
        stop(signals)
        (Path(folder) / "heard").touch()

    Signals.stop = stop_and_say_so
    disturbed = Disturbed(folder, getattr(signal, which), everyone == "everyone", pause=1e-3)
    with limited_threads(2 if everyone == "everyone" else 1):
        draws = run_chains(
            disturbed, numbered_states(2), 1000, seed=3, checkpoint=checkpoint, progress=False
        )
    draws.to_netcdf(out, engine="h5netcdf")


if __name__ == "__main__":
    main()
