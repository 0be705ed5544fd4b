"""Models compared by what was held out of their fits, on any executor."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.special import gammaln, xlogy

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import check_choice
from neurokit_sdr.core.errors import ConvergenceWarning, ParameterError, SchemaError, warn
from neurokit_sdr.core.estimator import Estimator
from neurokit_sdr.core.parallel import TasksInterrupted, map_tasks
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.engines.poisson.score import SMALLEST_EXPECTATION
from neurokit_sdr.validation import metrics
from neurokit_sdr.validation.splits import Split

MEASURES = ("bits_per_spike", "co_bits_per_spike", "score")
NULLS = ("training_mean", "test_mean")

#: Row of the table for a fit that Ctrl-C kept from finishing.
_INTERRUPTED = (np.nan, np.nan, "interrupted")


class Measure(NamedTuple):
    """What the numbers of a table are: one for all its rows.

    Attributes
    ----------
    name
        One of :data:`MEASURES`.
    null
        What a likelihood is compared with, one of :data:`NULLS`; "" for a model's own score.
    """

    name: str
    null: str


def cross_validate(
    models: Mapping[str, Estimator],
    folds: Sequence[Split],
    *,
    measure: str | None = None,
    null: str | None = None,
    rng: RNG = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> xr.Dataset:
    r"""Fit every model to every split and score what was held out.

    .. math:: \text{bits per spike} = \frac{\log p(x) - \log p_0(x)}{\log 2 \cdot \#
              \text{spikes}}, \qquad p_0 = \prod_{tn} \mathrm{Poisson}(\bar x_n)

    Parameters
    ----------
    models
        Unfitted models by name. They are not changed.
    folds
        As :func:`alternating_blocks`, :func:`held_out_folds` or :func:`held_out_split` make, or
        ``Split(train, test)`` of your own.
    measure
        ``"bits_per_spike"`` of all units, each bin predicted from what was before it, for models
        that have a ``log_likelihood``; ``"co_bits_per_spike"`` of the held-out units, predicted
        from the held-in ones, for models that predict an ``expected_count``; ``"score"``, what
        ``model.score`` says of the test data, for models of one class only. None takes the second
        where units are held out, else the first.
    null
        The mean counts :math:`\bar x_n` that the likelihood is compared with:
        ``"training_mean"``, what a forecaster knew, or ``"test_mean"``, of the evaluated bins
        themselves, as the Neural Latents Benchmark does. None takes the first for
        ``"bits_per_spike"``, the second for ``"co_bits_per_spike"``.
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
        ``score(model, fold)`` and ``train_score(model, fold)``, the same of the training data
        (there both nulls are the same), with their ``units``; ``status(model, fold)``. attrs
        ``measure`` and ``null`` say what all numbers are. After Ctrl-C, what did not finish has
        NaN for scores and the status "interrupted", and a :class:`ConvergenceWarning` names it.

    Raises
    ------
    ParameterError
        If there is no model or no fold, no such measure or null, or models stand in the table that
        the measure cannot compare.
    SchemaError
        If the measure needs held-out units and there are none, or there is no spike to score.
    KeyboardInterrupt
        If Ctrl-C came before anything finished: there is no table to keep.

    References
    ----------
    Pei, Ye, et al. (2021), Neural Latents Benchmark '21, NeurIPS Datasets and Benchmarks,
    arXiv 2109.04463.
    """
    if not models or not folds:
        raise ParameterError(
            f"Expected at least one model and one fold, got {len(models)} and {len(folds)}."
        )
    one = _measure_for(models, folds, measure, null)
    seed = resolve_seed(rng)
    tasks = [
        (model, fold, stream(seed, "cross_validate", name, number).integers(2**63).item(), one)
        for name, model in models.items()
        for number, fold in enumerate(folds)
    ]
    try:
        outcomes = map_tasks(
            _fit_and_score,
            tasks,
            executor=executor,
            description="models x folds",
            progress=progress,
        )
    except TasksInterrupted as interrupted:
        outcomes = _finished(interrupted, [(n, k) for n in models for k in range(len(folds))])
    shape = (len(models), len(folds))
    dims = ("model", "fold")
    units = {"units": "bits per spike"} if one.null else {}
    return xr.Dataset(
        {
            "score": (dims, np.array([o[0] for o in outcomes]).reshape(shape), dict(units)),
            "train_score": (dims, np.array([o[1] for o in outcomes]).reshape(shape), dict(units)),
            "status": (dims, np.array([o[2] for o in outcomes]).reshape(shape)),
        },
        coords={"model": list(models)},
        attrs={"seed": seed, "measure": one.name, "null": one.null or "the model's own"},
    )


def _finished(
    interrupted: TasksInterrupted, cells: Sequence[tuple[str, int]]
) -> list[tuple[float, float, str]]:
    """The cells (model, fold) that finished before Ctrl-C, and a warning that names the others."""
    if len(interrupted.missing) == len(cells):
        raise interrupted
    missing: dict[str, list[int]] = {}
    for number in interrupted.missing:
        name, fold = cells[number]
        missing.setdefault(name, []).append(fold)
    warn(
        f"cross_validate was interrupted with {len(cells) - len(interrupted.missing)} of "
        f"{len(cells)} fits done: missing are the folds {missing}, which are NaN in the table. "
        f"With the same int for rng, a call with these models and all folds gives their numbers.",
        ConvergenceWarning,
    )
    return [_INTERRUPTED if o is None else o for o in interrupted.results]


def _measure_for(
    models: Mapping[str, Estimator], folds: Sequence[Split], measure: Any, null: Any
) -> Measure:
    """The measure of a table, whose rows it can compare."""
    hidden = [bool(_held_out(fold.truth).any()) for fold in folds]
    if measure is None:
        measure = "co_bits_per_spike" if any(hidden) else "bits_per_spike"
    name = check_choice("measure", measure, MEASURES)
    classes = {key: type(model).__name__ for key, model in models.items()}
    if name == "score":
        if null is not None:
            raise ParameterError(
                f"Expected no null beside measure='score', whose null is the model's own, got "
                f"{null!r}: leave it out."
            )
        if len(set(map(type, models.values()))) > 1:
            raise ParameterError(
                f"Expected models of one class for measure='score', got {classes}: each class has "
                f"a score of its own. Compare them by 'bits_per_spike' or 'co_bits_per_spike'."
            )
        return Measure(name, "")
    if null is None:
        null = "training_mean" if name == "bits_per_spike" else "test_mean"
    check_choice("null", null, NULLS)
    if name == "co_bits_per_spike" and not all(hidden):
        raise SchemaError(
            f"Expected held-out units in every fold for measure='co_bits_per_spike', got none in "
            f"fold {hidden.index(False)}: split the counts with nks.validation.held_out_folds("
            f"counts, neurons=0.25), or use measure='bits_per_spike'."
        )
    wanting = {k: c for k, c in classes.items() if not hasattr(models[k], "log_likelihood")}
    if name == "bits_per_spike" and wanting:
        raise ParameterError(
            f"Expected models that predict each bin from what was before it for "
            f"measure='bits_per_spike', which have a log_likelihood, got {wanting}: they read the "
            f"counts of the very bins that they would be scored on. Hold units out with "
            f"nks.validation.held_out_folds(counts, neurons=0.25) and use "
            f"measure='co_bits_per_spike'."
        )
    return Measure(name, str(null))


def _held_out(data: xr.Dataset) -> np.ndarray:
    """Which units a model may not read."""
    if "held_in" not in data.variables:
        return np.zeros(data.sizes["unit"], dtype=bool)
    return ~data["held_in"].values.astype(bool)


def _fit_and_score(task: tuple[Estimator, Split, int, Measure]) -> tuple[float, float, str]:
    model, fold, seed, measure = task
    fitted = type(model)(**model.get_params())
    with warnings.catch_warnings():
        # Said once, in the table's status, and not once per worker.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(fold.train, rng=seed, progress=False)
    status = str(fitted.result_.attrs["status"])
    if status.startswith("interrupted"):
        raise KeyboardInterrupt  # the best so far of one fit is no match for the others
    values = [
        _value(fitted, seen, truth, fold.train, measure)
        for seen, truth in ((fold.test, fold.truth), (fold.train, fold.train))
    ]
    return values[0], values[1], status


def _value(
    fitted: Any, seen: xr.Dataset, truth: xr.Dataset, train: xr.Dataset, measure: Measure
) -> float:
    """One number of the table: of the truth, from what a model may see of it."""
    if measure.name == "score":
        return float(fitted.score(truth))
    source = train if measure.null == "training_mean" else truth
    if measure.name == "bits_per_spike":
        count, mean = _scored(truth), _mean(_scored(source), measure.null)
        spikes = count.sum()
        if not spikes > 0:
            raise SchemaError(
                f"Expected at least one spike to score per spike, got none in {len(count)} bins: "
                f"use fewer folds, or longer ones."
            )
        gain = fitted.log_likelihood(truth) - _poisson_log_likelihood(mean, count)
        return float(gain / (np.log(2.0) * spikes))
    prediction = fitted.predict(seen)
    found = metrics.co_bits_per_spike(prediction, truth)
    if measure.null == "test_mean":
        return found
    # Over another null: less what that null would score itself.
    constant = xr.full_like(truth["count"], 1.0, dtype=float)
    mean = _mean(_scored(source), measure.null)
    return found - metrics.co_bits_per_spike(constant * xr.DataArray(mean, dims="unit"), truth)


def _scored(data: xr.Dataset) -> np.ndarray:
    """Counts (bin, unit) of the bins that are scored."""
    return np.asarray(data["count"].values, dtype=np.float64)[schema.scored_bins(data)]


def _mean(count: np.ndarray, null: str) -> np.ndarray:
    """Mean counts of the units (unit); what stands for zero is the null's rule."""
    mean = count.mean(axis=0)
    if null == "training_mean":
        # Half a spike of a unit that was silent: one of the test stays possible.
        return np.maximum(mean, 0.5 / len(count))
    return np.maximum(mean, SMALLEST_EXPECTATION)


def _poisson_log_likelihood(mean: np.ndarray, count: np.ndarray) -> float:
    return float((xlogy(count, mean) - mean - gammaln(count + 1.0)).sum())
