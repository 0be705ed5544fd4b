"""Held-out comparison of models on contiguous blocks of a recording, on any executor."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ConvergenceWarning, ParameterError, SchemaError
from neurokit_sdr.core.estimator import Estimator, Interval
from neurokit_sdr.core.parallel import map_tasks
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.preprocessing.trials import concat_trials


class Fold(NamedTuple):
    """Training and test data of one fold, each ``count(trial, time, unit)``."""

    train: xr.Dataset
    test: xr.Dataset


def alternating_blocks(counts: xr.Dataset, n_blocks: int = 10) -> list[Fold]:
    """Cut a recording into contiguous blocks that take turns as training and test data.

    Contiguous, because neighbouring bins are alike and a model tested next to what it was trained
    on looks better than it is. Alternating, because a recording drifts.

    Parameters
    ----------
    counts
        ``count(time, unit)``.
    n_blocks
        An even number of blocks; the last may be a little shorter.

    Returns
    -------
    list of Fold
        Two: trained on the even blocks and tested on the odd ones, and the other way round.

    Raises
    ------
    SchemaError
        If the counts have trials already.
    ParameterError
        If ``n_blocks`` is odd, or larger than the recording has bins.
    """
    schema.check(counts, "counts")
    if counts["count"].dims != ("time", "unit"):
        raise SchemaError(
            f"Expected one continuous recording count(time, unit), got {counts['count'].dims}: "
            f"split trials with .isel(trial=...) instead."
        )
    n_bins = counts.sizes["time"]
    if n_blocks not in Interval(int, 2, n_bins) or n_blocks % 2:
        raise ParameterError(
            f"Expected an even n_blocks between 2 and the {n_bins} bins, got {n_blocks!r}."
        )
    edges = np.linspace(0, n_bins, n_blocks + 1).astype(int)
    blocks = [counts.isel(time=slice(a, b)) for a, b in itertools.pairwise(edges)]
    even, odd = concat_trials(blocks[::2]), concat_trials(blocks[1::2])
    return [Fold(even, odd), Fold(odd, even)]


def cross_validate(
    models: Mapping[str, Estimator],
    folds: Sequence[Fold],
    *,
    rng: RNG = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Fit every model to every fold and score what was held out.

    Parameters
    ----------
    models
        Unfitted models by name. They are not changed.
    folds
        As :func:`alternating_blocks` makes.
    rng
        Seed or generator; every (model, fold) draws a stream of its own, so the numbers do not
        depend on which others run, or where.
    executor
        Any ``concurrent.futures.Executor``, for example ``dask.distributed.Client(...)
        .get_executor()``; None is a process pool on this machine.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        ``score(model, fold)`` (each model's own unit, bits per spike for spike models),
        ``train_score(model, fold)`` and ``status(model, fold)``.

    Raises
    ------
    ParameterError
        If there is no model or no fold.
    """
    if not models or not folds:
        raise ParameterError(
            f"Expected at least one model and one fold, got {len(models)} and {len(folds)}."
        )
    seed = resolve_seed(rng)
    tasks = [
        (model, fold, stream(seed, "cross_validate", name, number).integers(2**63).item())
        for name, model in models.items()
        for number, fold in enumerate(folds)
    ]
    outcomes = map_tasks(
        _fit_and_score, tasks, executor=executor, description="models x folds", progress=progress
    )
    shape = (len(models), len(folds))
    dims = ("model", "fold")
    return xr.Dataset(
        {
            "score": (dims, np.array([o[0] for o in outcomes]).reshape(shape)),
            "train_score": (dims, np.array([o[1] for o in outcomes]).reshape(shape)),
            "status": (dims, np.array([o[2] for o in outcomes]).reshape(shape)),
        },
        coords={"model": list(models)},
        attrs={"seed": seed},
    )


def _fit_and_score(task: tuple[Estimator, Fold, int]) -> tuple[float, float, str]:
    model, fold, seed = task
    fitted = type(model)(**model.get_params())
    with warnings.catch_warnings():
        # Said once, in the table's status, and not once per worker.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(fold.train, rng=seed, progress=False)
    status = str(fitted.result_.attrs["status"])
    return fitted.score(fold.test), fitted.score(fold.train), status
