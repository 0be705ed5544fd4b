"""One chain: burn-in, adaptation, thinning, and a checkpoint that loses no draw."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neurokit_sdr.core import interrupts
from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.chains import states
from neurokit_sdr.engines.chains.signals import Signals

#: A checkpoint is written after this many s of work, or so many times what the last one took.
SAVE_SECONDS = 5.0
SAVE_TIMES = 20.0

#: How often, in s, a chain says how far it is and looks whether it should stop.
BEAT_SECONDS = 0.1


class ChainTask(NamedTuple):
    """Everything one chain needs, wherever it runs.

    Attributes
    ----------
    sweep, record, adapt, monitor, n_draws, n_burn_in, thinning, seed
        As for :func:`~neurokit_sdr.engines.chains.run.run_chains`.
    state
        The one to begin with.
    number
        Of the chain, from 0.
    folder
        Where its checkpoint lies.
    identity
        Whose work the checkpoint is.
    signals
        How it speaks with the one who started it.
    """

    sweep: Callable[[Any, np.random.Generator], Any]
    record: Callable[[Any], Mapping[str, Any]]
    adapt: Callable[[Any, int], Any] | None
    monitor: Callable[[Any], Mapping[str, float]] | None
    n_draws: int
    n_burn_in: int
    thinning: int
    seed: int
    state: Any
    number: int
    folder: Path
    identity: Mapping[str, Any]
    signals: Signals


class ChainDraws(NamedTuple):
    """What a chain has drawn.

    Attributes
    ----------
    draws
        Each recorded value with its draws along the first axis; empty before the first draw.
    n_done
        Number of draws.
    """

    draws: dict[str, np.ndarray]
    n_done: int


def run_chain(task: ChainTask) -> ChainDraws:
    """Run one chain to its end, or until it is told to stop; go on from its checkpoint if any."""
    try:
        return _run(task)
    except BaseException:
        task.signals.stop()  # else the error would wait for the other chains to end
        raise


def _run(task: ChainTask) -> ChainDraws:
    rng = stream(task.seed, "chain", task.number)
    saved = _SavedChain(task)
    kept = Kept(task.n_draws)
    state, n_sweeps = saved.restore(task.state, rng, kept)
    total = task.n_burn_in + task.n_draws * task.thinning
    due = time.monotonic()
    with interrupts.collected() as asked:
        while n_sweeps < total and not asked:
            now = time.monotonic()
            if now >= due:
                task.signals.report(task.number, n_sweeps, task.monitor and task.monitor(state))
                if task.signals.stopped():
                    break
                saved.maybe(state, rng, n_sweeps, kept)
                due = now + BEAT_SECONDS
            state = states.settled(task.sweep(state, rng))
            n_sweeps += 1
            if n_sweeps <= task.n_burn_in:
                if task.adapt is not None:
                    state = states.settled(task.adapt(state, n_sweeps))
            elif (n_sweeps - task.n_burn_in) % task.thinning == 0:
                kept.add(task.record(state))
        saved.now(state, rng, n_sweeps, kept)
        task.signals.report(task.number, n_sweeps, task.monitor and task.monitor(state))
    return ChainDraws(kept.between(0, kept.n), kept.n)


class Kept:
    """The draws of a chain, in arrays that are made once."""

    def __init__(self, n_draws: int) -> None:
        self.n = 0
        self._n_draws = n_draws
        self._arrays: dict[str, np.ndarray] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        """Keep one draw."""
        arrays = {name: np.asarray(value) for name, value in values.items()}
        self.extend({name: array[None] for name, array in arrays.items()})

    def extend(self, several: Mapping[str, np.ndarray]) -> None:
        """Keep draws that lie along the first axis."""
        if not self._arrays:
            self._arrays = {
                name: np.empty((self._n_draws, *array.shape[1:]), array.dtype)
                for name, array in several.items()
            }
        for name, array in several.items():
            kept = self._arrays.get(name)
            if kept is None or kept.shape[1:] != array.shape[1:] or kept.dtype != array.dtype:
                raise ParameterError(
                    f"Expected {name!r} of every draw in one shape and type, got "
                    f"{array.dtype}{array.shape[1:]} after "
                    f"{'none' if kept is None else f'{kept.dtype}{kept.shape[1:]}'}: let record "
                    f"return arrays that do not depend on the state in shape."
                )
            kept[self.n : self.n + len(array)] = array
        self.n += len(next(iter(several.values())))

    def between(self, first: int, last: int) -> dict[str, np.ndarray]:
        """Return some draws, in arrays of their own length."""
        return {name: array[first:last] for name, array in self._arrays.items()}


class _SavedChain:
    """A small file for the state, and one for the draws since the last: none is written twice."""

    def __init__(self, task: ChainTask) -> None:
        self._folder, self._number = task.folder, task.number
        self._identity = dict(task.identity) | {"chain": task.number}
        self._n_parts = self._n_saved = 0
        self._written = time.monotonic()
        self._wait = SAVE_SECONDS

    def _head(self) -> Checkpoint:
        return Checkpoint(head_path(self._folder, self._number), self._identity)

    def _part(self, part: int) -> Checkpoint:
        path = part_path(self._folder, self._number, part)
        return Checkpoint(path, self._identity | {"part": part})

    def restore(self, initial: Any, rng: np.random.Generator, kept: Kept) -> tuple[Any, int]:
        head = self._head().read()
        if head is None:
            return states.settled(initial), 0
        for part in range(int(head["n_parts"])):
            draws = self._part(part).read()
            if draws is None:
                raise ParameterError(
                    f"Expected {part_path(self._folder, self._number, part)} beside the other "
                    f"files of its checkpoint, found none: delete the folder to start anew."
                )
            kept.extend(draws)
        self._n_parts, self._n_saved = int(head["n_parts"]), kept.n
        rng.bit_generator.state = json.loads(str(head["rng"]))
        return states.from_arrays(head, initial), int(head["n_sweeps"])

    def maybe(self, state: Any, rng: np.random.Generator, n_sweeps: int, kept: Kept) -> None:
        if time.monotonic() - self._written >= self._wait:
            self.now(state, rng, n_sweeps, kept)

    def now(self, state: Any, rng: np.random.Generator, n_sweeps: int, kept: Kept) -> None:
        begin = time.monotonic()
        if kept.n > self._n_saved:
            # Before the head that counts it: a kill in between leaves a part that nobody counts.
            self._part(self._n_parts).write(kept.between(self._n_saved, kept.n))
            self._n_parts, self._n_saved = self._n_parts + 1, kept.n
        self._head().write(
            states.to_arrays(state)
            | {
                "rng": np.array(json.dumps(rng.bit_generator.state)),
                "n_sweeps": np.array(n_sweeps),
                "n_parts": np.array(self._n_parts),
            }
        )
        self._written = time.monotonic()
        self._wait = max(SAVE_SECONDS, SAVE_TIMES * (self._written - begin))


def head_path(folder: Path, number: int) -> Path:
    """Where the state of a chain is kept."""
    return folder / f"chain-{number}.npz"


def part_path(folder: Path, number: int, part: int) -> Path:
    """Where some draws of a chain are kept."""
    return folder / f"chain-{number}-draws-{part:05d}.npz"
