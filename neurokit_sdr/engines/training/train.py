"""The one training engine of every model of this room.

A model brings an equinox module and a loss; :func:`train` brings minibatches over trials, schedules
by name, early stopping, checkpoints, several devices, and answers where numbers blow up::

    def loss(model, batch, key, kl_weight, training):
        ...                                     # average over batch["trial_weight"] == 1
        return reconstruction + kl_weight * kl, {"reconstruction": reconstruction, "kl": kl}

    trained = train(model, loss, {"count": count}, {"count": other}, settings, seed=0, saved=saved)
    if not trained.interrupted:
        saved.remove()                          # once the result is kept
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import ParameterError, TrainingError
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.schema import did_you_mean
from neurokit_sdr.engines.training import schedules as _schedules
from neurokit_sdr.engines.training import steps as _steps
from neurokit_sdr.engines.training.plan import PRECISIONS, Progress, Settings
from neurokit_sdr.engines.training.run import Run

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
        ``learning_rate`` and ``kl_weight`` of the last step, ``gradient_norm`` (mean over steps,
        before clipping).
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
    data: Mapping[str, np.ndarray],
    validation: Mapping[str, np.ndarray] | None,
    settings: Settings,
    *,
    seed: int,
    saved: Checkpoint,
    progress: bool = True,
    description: str = "training",
) -> Trained:
    """Fit the weights of a model by Adam on minibatches of trials.

    Parameters
    ----------
    model
        An equinox module; its floating-point arrays are trained, and left as they are here.
    loss
        ``loss(model, batch, key, kl_weight, training) -> (scalar, {name: scalar})``: a function of
        a module, or a frozen dataclass with ``__call__``, so that equal ones are found compiled.
        ``batch`` holds the rows of ``data`` and ``trial_weight(row)``, 1 or 0; the loss averages
        over rows of weight 1. With ``training=False`` it may return what models are chosen by.
        Only the scalar must be finite; terms are reported. What is not to be trained it passes
        through ``jax.lax.stop_gradient``. Keys come from the seed, the epoch and the step.
    data, validation
        Arrays whose first axis is the trial; ``validation`` None or without trials for none.
        Floats are used as float32, integers as int32 at most.
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
    before = _steps.TRACES.total()
    if validation is not None and not any(map(len, validation.values())):
        validation = None
    failure = None
    with (
        _interrupts() as interrupts,
        progress_bar(settings.n_epochs, description, progress) as bar,
    ):
        run = Run(model, loss, data, validation, settings, seed, saved.read())
        state = run.progress
        bar.update(state.epoch)
        saving = _Saving(saved)
        pace = 1
        while state.epoch < settings.n_epochs and not state.out_of_patience(settings):
            if interrupts or failure is not None:
                break
            begin = time.perf_counter()
            asked = min(pace, run.n_steps - state.step)
            failure = run.advance(asked)
            seconds = time.perf_counter() - begin
            # From one step on, because the first call compiles, too.
            if seconds > CALL_SECONDS:
                pace = max(1, int(asked * CALL_SECONDS / seconds))
            elif asked == pace < run.n_steps:
                pace *= 2
            if failure is None and not interrupts and state.step == run.n_steps:
                failure = run.finish_epoch()
                bar.set_postfix_str(state.summary(), refresh=False)
                bar.update()
            if failure is None:
                saving.maybe(run)
        interrupted = bool(interrupts)
        if failure is None:
            saving.now(run)
    if failure is not None and run.best is None:
        raise TrainingError(failure)
    best, last = run.models()
    return Trained(
        best,
        last,
        state.best_epoch if run.best is not None else state.epoch - 1,
        {name: np.array(values) for name, values in state.history.items()},
        _status(settings, state, failure, interrupted),
        interrupted,
        run.precision,
        _steps.TRACES.total() - before,
    )


def _status(settings: Settings, state: Progress, failure: str | None, interrupted: bool) -> str:
    if failure is not None:
        return f"{failure} The result is the best before, of epoch {state.best_epoch}."
    if interrupted:
        return results.outcome(False, True, settings.n_epochs)
    waiting = settings.patience is not None and state.best_epoch >= 0
    ends = settings.learning_rate_schedule in _schedules.ENDING_SCHEDULES
    if waiting and not ends and not state.out_of_patience(settings):
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


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C in a list, which is true once it came; a second one ends everything.

    An exception in the middle of a step would lose the arrays that the step was given to change.
    """
    asked: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, remember)
    try:
        yield asked
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _check(
    settings: Settings,
    data: Mapping[str, np.ndarray],
    validation: Mapping[str, np.ndarray] | None,
) -> None:
    for name, allowed in (
        ("learning_rate_schedule", _schedules.LEARNING_RATE_SCHEDULES),
        ("kl_schedule", _schedules.KL_SCHEDULES),
        ("precision", PRECISIONS),
    ):
        value = getattr(settings, name)
        if value not in allowed:
            raise ParameterError(
                f"Expected {name} to be one of {list(allowed)}, got {value!r}."
                f"{did_you_mean(str(value), list(allowed))}"
            )
    for name in ("n_epochs", "batch_size"):
        if getattr(settings, name) < 1:
            raise ParameterError(
                f"Expected {name} of at least 1, got {getattr(settings, name)}: raise it."
            )
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
    if validation and (
        set(validation) != set(data) or len({len(v) for v in validation.values()}) != 1
    ):
        raise ParameterError(
            f"Expected validation arrays named {sorted(data)} of one number of trials, got "
            f"{ {n: len(v) for n, v in validation.items()} }: make both from the same recording."
        )


def history_dataset(history: Mapping[str, np.ndarray], loss_units: str = "nat") -> xr.Dataset:
    """Return the history of training as variables over ``epoch``.

    Parameters
    ----------
    history
        Of :class:`Trained`.
    loss_units
        Units of the loss and its terms.
    """
    plain = ("learning_rate", "kl_weight", "gradient_norm")
    variables = {
        name: ("epoch", values, {"units": "1" if name in plain else loss_units})
        for name, values in history.items()
    }
    length = max((len(values) for values in history.values()), default=0)
    return xr.Dataset(variables, coords={"epoch": np.arange(length)})
