"""The one training engine of every model whose parameters are a network.

A model brings an equinox module and a loss; :func:`train` brings minibatches over trials or
windows, schedules by name, groups of weights with learning rates of their own, early stopping,
checkpoints, several devices, and answers where numbers blow up::

    def loss(model, batch, key, schedules, training):
        ...                                     # average over batch["trial_weight"] == 1
        total = reconstruction + schedules["kl_weight"] * kl
        return total, {"reconstruction": reconstruction, "kl": kl}

    settings = Settings(
        n_epochs=100,
        batch_size=64,
        groups=Group(Schedule(1e-3, "warmup_cosine"), gradient_clip=1.0),
        schedules={"kl_weight": Schedule(1.0, "linear", rise=20)},
    )
    trained = train(model, loss, {"count": count}, {"count": other}, settings, seed=0, saved=saved)
    if not trained.interrupted:
        saved.remove()                          # once the result is kept
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import interrupts, results
from neurokit_sdr.core.arguments import Options, check
from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import ParameterError, TrainingError
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.engines.training import memory, steps
from neurokit_sdr.engines.training.optimiser import named_groups
from neurokit_sdr.engines.training.plan import PRECISIONS, Progress, Settings
from neurokit_sdr.engines.training.rows import Data, Gathered, n_rows
from neurokit_sdr.engines.training.run import Run, rate_name
from neurokit_sdr.engines.training.schedules import COURSES, Schedule

#: Longest time in s that compiled steps run before Python looks at Ctrl-C and the checkpoint.
CALL_SECONDS = 0.5

#: A checkpoint is written after this many s of work, or 20 times what the last one took.
SAVE_SECONDS = 5.0


class Trained(NamedTuple):
    """What training ended with.

    Attributes
    ----------
    best
        The model at the lowest validation loss; without validation trials the last one.
    last
        The model after the last step.
    best_epoch
        The epoch ``best`` is from; -1 if none was finished.
    history
        Per finished epoch, float64: ``loss`` and each term of the loss (means over training
        trials while the weights moved), ``validation_loss`` and ``validation_`` terms,
        ``learning_rate`` (of several groups ``learning_rate_`` and the group's name) and each
        schedule of the last step, ``gradient_norm`` (mean over steps, before clipping).
    status
        ``results.CONVERGED`` if training stopped early by ``patience``, or did all its epochs and
        no ``patience`` was left to wait for, or the learning rate had come down to zero; else
        what happened and what to do.
    interrupted
        Whether Ctrl-C ended it; the checkpoint then allows to go on.
    precision
        What matrices were multiplied in, and why if not as asked.
    n_traces
        How often this call traced (and so compiled) something; 0 after a call of equal shapes.
    """

    best: Any
    last: Any
    best_epoch: int
    history: dict[str, np.ndarray]
    status: str
    interrupted: bool
    precision: str
    n_traces: int


def train(
    model: Any,
    loss: Callable[..., Any],
    data: Data,
    validation: Data | None,
    settings: Settings,
    *,
    seed: int,
    saved: Checkpoint,
    progress: bool = True,
    description: str = "training",
) -> Trained:
    """Fit the weights of a model by gradients of minibatches.

    Parameters
    ----------
    model
        An equinox module; its floating-point arrays are trained in their own types, and left as
        they are here.
    loss
        ``loss(model, batch, key, schedules, training) -> (scalar, {name: scalar})``: a function of
        a module, or a frozen dataclass with ``__call__``, so that equal ones are found compiled.
        ``batch`` holds rows of ``data`` and ``trial_weight(row)``, 1 or 0; the loss averages over
        rows of weight 1. ``schedules`` holds a number for each name in ``settings.schedules``. With
        ``training=False`` it may return what models are chosen by. Only the scalar must be finite;
        terms are reported, as means over batches that count for their rows of weight 1, or for the
        term ``"batch_weight"`` where there is one (say, of how many counts the loss is the mean).
        What is not to be trained it passes through ``jax.lax.stop_gradient``. Keys come from the
        seed, the epoch and the step.
    data, validation
        Arrays whose first axis is the row (a trial), which go to the device as a whole; or
        :class:`Gathered` rows, which are made on the host as steps need them, so that a recording
        may be larger than memory. ``validation`` None or without rows for none. Numbers of 64 bits
        become such of 32 unless JAX is told to keep them.
    settings
        See :class:`Settings`.
    seed
        All randomness follows from it, by epoch and step.
    saved
        Where to keep the state of unfinished training. Going on from it gives the bits that
        training without a break gives, on the same machine.
    progress, description
        Of the bar.

    Raises
    ------
    ParameterError
        If a setting or the data cannot be used.
    TrainingError
        If values are not finite before one epoch was finished and validated. Later the best
        weights so far are returned, and the status says what happened.
    """
    _check(settings, data, validation)
    before = steps.TRACES.total()
    if validation is not None and not n_rows(validation):
        validation = None
    failure = None
    with (
        # An exception in a step would lose the arrays that the step was given to change.
        interrupts.collected() as asked,
        progress_bar(settings.n_epochs, description, progress) as bar,
    ):
        run = Run(model, loss, data, validation, settings, seed, saved.read())
        state = run.progress
        bar.update(state.epoch)
        saving = _Saving(saved)
        pace = 1
        while state.epoch < settings.n_epochs and not state.out_of_patience(settings):
            if asked or failure is not None:
                break
            begin, first = time.perf_counter(), state.step
            failure = run.advance(min(pace, run.n_steps - first))
            seconds, taken = time.perf_counter() - begin, state.step - first
            # From one step on, because the first call compiles, too.
            if seconds > CALL_SECONDS:
                pace = max(1, int(taken * CALL_SECONDS / seconds))
            elif taken == pace < run.n_steps:
                pace *= 2
            if failure is None and not asked and state.step == run.n_steps:
                failure = run.finish_epoch()
                bar.set_postfix_str(state.summary(), refresh=False)
                bar.update()
            if failure is None:
                saving.maybe(run)
        interrupted = bool(asked)
        if failure is None:
            saving.now(run)
    if failure is not None and run.best is None:
        raise TrainingError(failure)
    best, last = run.models()
    n_traces = steps.TRACES.total() - before
    if n_traces:
        memory.give_back()
    return Trained(
        best,
        last,
        state.best_epoch if run.best is not None else state.epoch - 1,
        {name: np.array(values) for name, values in state.history.items()},
        _status(settings, state, failure, interrupted),
        interrupted,
        run.precision,
        n_traces,
    )


def _status(settings: Settings, state: Progress, failure: str | None, interrupted: bool) -> str:
    if failure is not None:
        return f"{failure} The result is the best before, of epoch {state.best_epoch}."
    if interrupted:
        return results.outcome(False, True, settings.n_epochs)
    waiting = settings.patience is not None and state.best_epoch >= 0
    if waiting and not settings.ends_at_zero and not state.out_of_patience(settings):
        return (
            f"n_epochs reached ({settings.n_epochs}) with the best validation loss at epoch "
            f"{state.best_epoch}, less than patience={settings.patience} ago: raise n_epochs"
        )
    return results.CONVERGED


class _Saving:
    """When to write the checkpoint."""

    def __init__(self, saved: Checkpoint) -> None:
        self.saved = saved
        self.written = time.perf_counter()
        self.wait = SAVE_SECONDS

    def maybe(self, run: Run) -> None:
        if time.perf_counter() - self.written >= self.wait:
            self.now(run)

    def now(self, run: Run) -> None:
        begin = time.perf_counter()
        self.saved.write(run.to_arrays())
        self.written = time.perf_counter()
        self.wait = max(SAVE_SECONDS, 20 * (self.written - begin))


def _check(settings: Settings, data: Data, validation: Data | None) -> None:
    schedules: dict[str, Schedule] = dict(settings.schedules)
    for name, group in named_groups(settings.groups).items():
        schedules[rate_name(name)] = group.learning_rate
    for name, schedule in schedules.items():
        check(f"the course of {name}", schedule.course, Options(*COURSES))
        if schedule.course == "plateau" and name in settings.schedules:
            raise ParameterError(
                f"Expected another course of {name} than 'plateau', which is one of learning "
                f"rates: use one of {[c for c in COURSES if c != 'plateau']}."
            )
    check("precision", settings.precision, Options(*PRECISIONS))
    for name in ("n_epochs", "batch_size"):
        if getattr(settings, name) < 1:
            raise ParameterError(
                f"Expected {name} of at least 1, got {getattr(settings, name)}: raise it."
            )
    if isinstance(data, Gathered):
        if data.n_rows < 1:
            raise ParameterError(
                f"Expected at least one row to train on, got {data.n_rows}: are the windows longer "
                f"than the recording?"
            )
        return
    _check_arrays(data, validation)


def _check_arrays(data: Mapping[str, np.ndarray], validation: Data | None) -> None:
    lengths = {name: len(values) for name, values in data.items()}
    if "trial_weight" in lengths:
        raise ParameterError(
            "Expected no array named 'trial_weight', which the batches carry: name it otherwise."
        )
    if len(set(lengths.values())) != 1 or not min(lengths.values()):
        raise ParameterError(
            f"Expected arrays of the same number of trials, at least one, got {lengths}: stack "
            f"trials along the first axis."
        )
    if (
        isinstance(validation, Mapping)
        and validation
        and (set(validation) != set(data) or len({len(v) for v in validation.values()}) != 1)
    ):
        raise ParameterError(
            f"Expected validation arrays named {sorted(data)} of one number of trials, got "
            f"{ {n: len(v) for n, v in validation.items()} }: make both from the same recording."
        )


def history_dataset(
    history: Mapping[str, np.ndarray], loss_units: str = "nat", plain: Collection[str] = ()
) -> xr.Dataset:
    """Return the history of training as variables over ``epoch``.

    Parameters
    ----------
    history
        Of :class:`Trained`.
    loss_units
        Units of the loss and its terms.
    plain
        Names of the schedules, which have no unit.
    """

    def units(name: str) -> str:
        free = name in plain or name.startswith(("learning_rate", "gradient_norm"))
        return "1" if free else loss_units

    variables = {
        name: ("epoch", values, {"units": units(name)}) for name, values in history.items()
    }
    length = max((len(values) for values in history.values()), default=0)
    return xr.Dataset(variables, coords={"epoch": np.arange(length)})
