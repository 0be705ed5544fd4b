r"""Chains of one sweep side by side, from their initial states to a ``(chain, draw)`` Dataset.

A sampler is a pure sweep, ``sweep(state, rng) -> state``: a Markov kernel that leaves the posterior
as it is, does not change the state it is given, and takes all its randomness from ``rng``. Data and
priors travel inside it, as fields of a dataclass with ``__call__`` or by ``functools.partial``::

    draws = run_chains(sweep, [begin_0, begin_1], n_draws=1000, n_burn_in=500, seed=0)
    judged = diagnose(draws)                      # R-hat and effective draws of every number
    status = verdict(draws, judged)               # in words
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import interrupts
from neurokit_sdr.core.arguments import check_whole
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.parallel import map_tasks
from neurokit_sdr.engines.chains import states
from neurokit_sdr.engines.chains.chain import ChainDraws, ChainTask, run_chain
from neurokit_sdr.engines.chains.signals import Signals, bar_over_chains


def run_chains(
    sweep: Callable[[Any, np.random.Generator], Any],
    initial_states: Sequence[Any],
    n_draws: int,
    *,
    n_burn_in: int = 0,
    thinning: int = 1,
    record: Callable[[Any], Mapping[str, Any]] | None = None,
    adapt: Callable[[Any, int], Any] | None = None,
    monitor: Callable[[Any], Mapping[str, float]] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    seed: int,
    checkpoint: str | os.PathLike[str] | None = None,
    identity: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    progress: bool = True,
    description: str = "chains",
) -> xr.Dataset:
    """Run one chain from each initial state and return what they drew.

    Numbers depend on the sweep, the states, the seed and the lengths only: not on the executor, on
    the number of cores, or on whether the run was killed in between.

    Parameters
    ----------
    sweep
        ``sweep(state, rng) -> state``, importable by name because it travels to other processes.
    initial_states
        One per chain: NamedTuples or dicts (or one array) of arrays and numbers. Chains from
        different places say more about convergence.
    n_draws
        Draws to keep of each chain.
    n_burn_in
        Sweeps before the first draw that is kept.
    thinning
        Sweeps per draw.
    record
        ``record(state) -> {name: value}``: what is kept of a draw, in shapes that do not change.
        None keeps the fields of the state.
    adapt
        ``adapt(state, n_sweeps) -> state`` is called after each sweep of the burn-in with the
        number of sweeps so far, and never later: whatever it tunes, a field of the state, stays as
        it is for every draw that is kept.
    monitor
        ``monitor(state) -> {name: number}``, shown behind the bar for each chain.
    dims
        Names of the dimensions of recorded arrays, by name.
    seed
        Chain ``i`` draws from ``stream(seed, "chain", i)``.
    checkpoint
        A folder, made if need be, in which each chain keeps one small file of its state and files
        of its draws. A run that was killed or interrupted goes on from there to the same bits.
        :func:`remove_checkpoint` deletes it once the result is kept.
    identity
        What the chains are of (data, priors), in plain values: a checkpoint of others is refused.
    executor
        Any ``concurrent.futures.Executor``; None starts processes on this machine.
    progress, description
        Of the one bar over all chains.

    Returns
    -------
    xarray.Dataset
        Each recorded name over ``(chain, draw, ...)``, with attributes ``n_burn_in``, ``thinning``,
        ``seed``, ``n_draws`` (wanted) and ``interrupted`` (0 or 1). After Ctrl-C it holds the
        chains and draws that make the largest full table; a second Ctrl-C raises.

    Raises
    ------
    ParameterError
        If a length is no whole number in its range, a state holds something else than arrays and
        numbers, a recorded shape changes, or the checkpoint belongs to other chains.
    KeyboardInterrupt
        If Ctrl-C comes before there is any draw.

    Examples
    --------
    A random walk that is pulled to zero, of standard normal law in the long run.

    >>> from functools import partial
    >>> def sweep(state, rng, pull):
    ...     return {"x": pull * state["x"] + (1 - pull**2) ** 0.5 * rng.standard_normal()}
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     draws = run_chains(partial(sweep, pull=0.5), [{"x": -3.0}, {"x": 3.0}], 500,
    ...                        n_burn_in=50, seed=0, executor=executor, progress=False)
    >>> dict(draws.sizes), round(float(draws["x"].std()), 1)
    ({'chain': 2, 'draw': 500}, 1.0)
    """
    n_draws = check_whole("n_draws", n_draws, 1)
    n_burn_in = check_whole("n_burn_in", n_burn_in)
    thinning = check_whole("thinning", thinning, 1)
    if not len(initial_states):
        raise ParameterError("Expected one initial state per chain, got none: give at least one.")
    whose = {
        "identity": dict(identity or {}),
        "seed": seed,
        "n_draws": n_draws,
        "n_burn_in": n_burn_in,
        "thinning": thinning,
        "adapts": adapt is not None,
        "initial_states": [states.fingerprint(state) for state in initial_states],
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        # Without a folder of the user too: a worker that was killed goes on from it.
        folder = Path(own) if checkpoint is None else Path(checkpoint).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        signals = Signals(Path(own))
        tasks = [
            ChainTask(
                sweep,
                record or states.fields,
                adapt,
                monitor,
                n_draws,
                n_burn_in,
                thinning,
                seed,
                state,
                number,
                folder,
                whose,
                signals,
            )
            for number, state in enumerate(initial_states)
        ]
        n_sweeps = n_burn_in + n_draws * thinning
        with (
            interrupts.collected(signals.stop),
            bar_over_chains(signals, len(tasks), n_sweeps, description, progress),
        ):
            chains = map_tasks(run_chain, tasks, executor=executor, progress=False)
    return _labelled(chains, dims or {}).assign_attrs(
        n_burn_in=n_burn_in,
        thinning=thinning,
        seed=seed,
        n_draws=n_draws,
        interrupted=int(any(chain.n_done < n_draws for chain in chains)),
    )


def remove_checkpoint(checkpoint: str | os.PathLike[str] | None) -> None:
    """Delete the files that chains left in a folder, and the folder if nothing else is in it."""
    if checkpoint is None:
        return
    folder = Path(checkpoint).expanduser()
    for path in folder.glob("chain-[0-9]*.npz"):
        path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _labelled(chains: Sequence[ChainDraws], dims: Mapping[str, Sequence[str]]) -> xr.Dataset:
    numbers, length = _largest_table([chain.n_done for chain in chains])
    if not length:
        raise KeyboardInterrupt("Interrupted before the first draw: nothing to keep yet.")
    variables = {}
    for name, first in chains[numbers[0]].draws.items():
        inner = dims.get(name, [f"{name}_dim_{i}" for i in range(first.ndim - 1)])
        values = np.stack([chains[number].draws[name][:length] for number in numbers])
        variables[name] = (("chain", "draw", *inner), values)
    return xr.Dataset(variables, coords={"chain": numbers, "draw": np.arange(length)})


def _largest_table(lengths: Sequence[int]) -> tuple[list[int], int]:
    """The chains, and the number of draws that each of them has, with the largest product."""
    length = max(lengths, key=lambda least: least * sum(n >= least for n in lengths))
    return [number for number, n in enumerate(lengths) if n >= length], length
