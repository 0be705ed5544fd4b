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

import jax
import numpy as np
import xarray as xr
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from neurokit_sdr.core import results
from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import ParameterError, TrainingError
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.schema import did_you_mean
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.generative import _schedules, _steps
from neurokit_sdr.generative._schedules import Plateau, kl_weights, learning_rates
from neurokit_sdr.generative._weights import leaf_name

#: Longest time in s that compiled steps run before Python looks at Ctrl-C and the checkpoint.
CALL_SECONDS = 0.5

#: A checkpoint is written after this many s of work, or 20 times what the last one took.
SAVE_SECONDS = 5.0

PRECISIONS = ("auto", "float32", "bfloat16")


class Settings(NamedTuple):
    """How to train.

    Attributes
    ----------
    n_epochs
        Passes over the training trials.
    batch_size
        Most trials per step. Batches are made as equal as they can be: 100 trials in batches of
        at most 64 are two of 50.
    learning_rate, learning_rate_schedule
        Adam's peak rate, and its course: see :func:`learning_rates`, or ``"plateau"``.
    kl_weight, kl_schedule, kl_warmup
        What the loss is given to weigh its KL term: see :func:`kl_weights`; ``kl_warmup`` in
        epochs. Validation always uses ``kl_weight`` itself, so that epochs can be compared.
    weight_decay
        Of AdamW, on arrays of two or more dimensions; it shrinks frozen ones, too.
    gradient_clip
        Largest global norm of a gradient; None for any.
    patience
        Epochs after the best one (and after the first rise of the KL weight) before training
        stops; None, or no validation trials, for never.
    precision
        ``"bfloat16"`` products of matrices, ``"float32"``, or ``"auto"``: the first on a GPU. Where
        it moves the first validation loss by more than rounding both factors can, float32 is used.
    average
        Decay per step of a moving average of the weights, which is then what is validated and
        returned; 0 for none.
    """

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


class Batches(NamedTuple):
    """Trials in batches of one width.

    Attributes
    ----------
    position
        ``(step, row)``: place in an order of the trials; rows too many repeat one of their batch.
    weight
        ``(step, row)``: 1, or 0 for rows too many.
    """

    position: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, n_trials: int, batch_size: int, n_devices: int) -> Batches:
        """Divide so evenly that sizes differ by one at most, whatever the number of devices."""
        n_steps = -(-n_trials // batch_size)
        edges = np.arange(n_steps + 1) * n_trials // n_steps
        sizes = np.diff(edges)
        width = -(-int(sizes.max()) // n_devices) * n_devices
        row = np.arange(width)
        real = row < sizes[:, None]
        position = edges[:-1, None] + np.where(real, row, 0)
        return cls(position.astype(np.int32), real.astype(np.float32))


class _Progress:
    """Where training is, as plain numbers: everything besides arrays on devices."""

    def __init__(self) -> None:
        self.epoch = 0
        self.step = 0
        self.best_epoch = -1
        self.best_loss = np.inf
        self.plateau = Plateau()
        self.bfloat16_kept = True
        self.history: dict[str, list[float]] = {}

    def to_arrays(self) -> dict[str, np.ndarray]:
        numbers = [self.epoch, self.step, self.best_epoch, self.best_loss, self.bfloat16_kept]
        history = {f"history/{k}": np.array(v) for k, v in self.history.items()}
        return {"progress": np.array([*numbers, *self.plateau], dtype=np.float64), **history}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> _Progress:
        made = cls()
        epoch, step, best, loss, kept, lowest, waited, scale = arrays["progress"].tolist()
        made.epoch, made.step, made.best_epoch = int(epoch), int(step), int(best)
        made.best_loss, made.bfloat16_kept = loss, bool(kept)
        made.plateau = Plateau(lowest, int(waited), scale)
        prefix = "history/"
        made.history = {
            k.removeprefix(prefix): v.tolist() for k, v in arrays.items() if k.startswith(prefix)
        }
        return made

    def out_of_patience(self, settings: Settings) -> bool:
        if settings.patience is None or self.best_epoch < 0:
            return False
        rising = settings.kl_warmup if settings.kl_schedule != "constant" else 0
        return self.epoch - 1 - max(self.best_epoch, rising) >= settings.patience


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
    has_validation = bool(validation) and len(next(iter(validation.values()))) > 0
    work = _Work(model, loss, data, validation if has_validation else None, settings, seed)
    work.resume(saved.read())
    state = work.progress
    failure = None
    with (
        _interrupts() as interrupts,
        progress_bar(settings.n_epochs, description, progress) as bar,
    ):
        bar.update(state.epoch)
        saving = _Saving(saved)
        pace = 1
        while state.epoch < settings.n_epochs and not state.out_of_patience(settings):
            begin = time.perf_counter()
            asked = min(pace, work.n_steps - state.step)
            failure = work.advance(asked)
            if failure is not None or interrupts:
                break
            seconds = time.perf_counter() - begin
            # From one step on, because the first call compiles, too.
            if seconds > CALL_SECONDS:
                pace = max(1, int(asked * CALL_SECONDS / seconds))
            elif asked == pace < work.n_steps:
                pace *= 2
            if state.step == work.n_steps:
                failure = work.finish_epoch()
                if failure is not None:
                    break
                bar.set_postfix_str(work.summary(), refresh=False)
                bar.update()
            saving.maybe(work)
        interrupted = bool(interrupts)
        if failure is None:
            saving.now(work)
    if failure is not None and work.best is None:
        raise TrainingError(failure)
    best, last = work.models()
    return Trained(
        best,
        last,
        state.best_epoch if work.best is not None else state.epoch - 1,
        {name: np.array(values) for name, values in state.history.items()},
        _status(settings, state, failure, interrupted),
        interrupted,
        work.precision,
        _steps.TRACES.total() - before,
    )


def _status(settings: Settings, state: _Progress, failure: str | None, interrupted: bool) -> str:
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


class _Work:
    """The arrays of one training on their devices, and the compiled calls on them."""

    def __init__(
        self,
        model: Any,
        loss: Callable[..., Any],
        data: Mapping[str, np.ndarray],
        validation: Mapping[str, np.ndarray] | None,
        settings: Settings,
        seed: int,
    ) -> None:
        self.settings, self.seed = settings, seed
        devices = _devices()
        mesh = Mesh(np.array(devices), ("trial",)) if len(devices) > 1 else None
        self.place = NamedSharding(mesh, PartitionSpec()) if mesh is not None else devices[0]
        weights, constants, template = _steps.split(model)
        # JAX would take float64 from a model made by other code; the master copy is float32.
        self.initial = self._put(jax.tree.map(lambda w: np.asarray(w, np.float32), weights))
        self.constants = self._put(constants)
        self.program = _steps.Program(
            loss,
            template,
            float(settings.weight_decay),
            None if settings.gradient_clip is None else float(settings.gradient_clip),
            float(settings.average),
            "float32",
            mesh,
        )
        self.data = self._put(_prepared(data))
        self.n_trials = len(next(iter(data.values())))
        self.batches = Batches.of(self.n_trials, settings.batch_size, len(devices))
        self.weight = self._put(self.batches.weight)
        self.n_steps = len(self.batches.position)
        self.key = self._put(_steps.random_key(seed, "training"))
        self.validation = None
        if validation is not None:
            n = len(next(iter(validation.values())))
            plan = Batches.of(n, settings.batch_size, len(devices))
            self.validation = self._put((_prepared(validation), plan.position, plan.weight))
        self.validation_key = self._put(_steps.random_key(seed, "validation"))
        self.progress = _Progress()
        self.precision = "float32"
        self.best: Any = None
        self._epoch_prepared = -1

    def _put(self, tree: Any) -> Any:
        return jax.device_put(tree, self.place)

    def resume(self, arrays: Mapping[str, np.ndarray] | None) -> None:
        """Begin, or go on from the arrays of a checkpoint."""
        if arrays is not None:
            self.progress = _Progress.from_arrays(arrays)
        self._choose_precision(decided=arrays is not None)
        rows = self._put(self.batches.position)
        self.state = _steps.begin(
            self.program, self.initial, self.constants, self.data, rows, self.weight, self.key
        )
        if arrays is not None:
            self.state = self._unpack("state", self.state, arrays)
            if "best/0" in arrays:
                self.best = self._unpack("best", self.initial, arrays)

    def _choose_precision(self, decided: bool) -> None:
        asked = self.settings.precision
        if asked == "auto":
            asked = "bfloat16" if jax.default_backend() == "gpu" else "float32"
        if asked == "float32":
            return
        rounded = self.program._replace(precision="bfloat16")
        if not decided:
            exact, other = (self._assess(p, self.initial) for p in (self.program, rounded))
            # Both factors of a product are rounded to 8 bits, each by 2**-9 of itself at most.
            size = max(abs(exact["loss"]), sum(abs(v) for k, v in exact.items() if k != "loss"))
            # Written so that a loss that is not finite does not keep it.
            self.progress.bfloat16_kept = abs(other["loss"] - exact["loss"]) <= 2**-8 * size
        if self.progress.bfloat16_kept:
            self.program, self.precision = rounded, "bfloat16"
        else:
            self.precision = "float32: bfloat16 moved the first validation loss by over 1/256"

    def _unpack(self, name: str, like: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        leaves, structure = jax.tree.flatten(like)
        return self._put(
            jax.tree.unflatten(structure, [arrays[f"{name}/{i}"] for i in range(len(leaves))])
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything that going on needs."""
        trees = {"state": self.state} | ({} if self.best is None else {"best": self.best})
        packed = {
            f"{name}/{i}": np.asarray(leaf)
            for name, tree in trees.items()
            for i, leaf in enumerate(jax.tree.leaves(tree))
        }
        return packed | self.progress.to_arrays()

    def _prepare_epoch(self) -> None:
        s, epoch = self.settings, self.progress.epoch
        order = stream(self.seed, "shuffle", epoch).permutation(self.n_trials)
        self.rows = order[self.batches.position].astype(np.int32)
        peak = s.learning_rate * self.progress.plateau.scale
        self.rates = learning_rates(s.learning_rate_schedule, peak, epoch, s.n_epochs, self.n_steps)
        self.kl = kl_weights(s.kl_schedule, s.kl_weight, s.kl_warmup, epoch, self.n_steps)
        self._plan = self._put((self.rows, self.weight, self.rates, self.kl))
        self._epoch_prepared = epoch

    def advance(self, n_steps: int) -> str | None:
        """Take steps of this epoch; return what failed."""
        at = self.progress
        if self._epoch_prepared != at.epoch:
            self._prepare_epoch()
        self.state, step, good = _steps.advance(
            self.program,
            self.state,
            self.constants,
            self.data,
            *self._plan,
            self.key,
            at.epoch,
            at.step,
            at.step + n_steps,
        )
        at.step, good = jax.device_get((step, good))
        at.step = int(at.step)
        return None if good else self._why_step_failed()

    def _assess(self, program: _steps.Program, weights: Any) -> dict[str, float]:
        plan = self.validation or (self.data, self._put(self.batches.position), self.weight)
        values = _steps.assess(
            program,
            weights,
            self.constants,
            *plan,
            float(self.settings.kl_weight),
            self.validation_key,
        )
        return {name: float(value) for name, value in jax.device_get(values).items()}

    def finish_epoch(self) -> str | None:
        """Validate, keep the best, write history and begin the next epoch; return what failed."""
        at, settings = self.progress, self.settings
        found = {
            name: float(total) / (self.n_steps if name == "gradient_norm" else self.n_trials)
            for name, total in jax.device_get(self.state.totals).items()
        }
        found |= {"learning_rate": float(self.rates[-1]), "kl_weight": float(self.kl[-1])}
        watched = found["loss"]
        if self.validation is not None:
            values = self._assess(self.program, _steps.used(self.program, self.state))
            if not all(map(np.isfinite, values.values())):
                return self._why_validation_failed()
            prefix = "validation_"
            found |= {prefix + name: value for name, value in values.items()}
            watched = values["loss"]
            if watched < at.best_loss:
                at.best_loss, at.best_epoch = watched, at.epoch
                self.best = _steps.copied(_steps.used(self.program, self.state))
        if settings.learning_rate_schedule == "plateau":
            at.plateau = at.plateau.after(watched, settings.learning_rate)
        for name, value in found.items():
            at.history.setdefault(name, []).append(value)
        zero = self._put({name: np.float32(0) for name in self.state.totals})
        self.state = self.state._replace(totals=zero)
        at.epoch, at.step = at.epoch + 1, 0
        return None

    def summary(self) -> str:
        """Loss and validation of the last epoch."""
        named = {"loss": "loss", "validation_loss": "validation"}
        history = self.progress.history
        return ", ".join(f"{named[n]} {history[n][-1]:.4g}" for n in named if n in history)

    def models(self) -> tuple[Any, Any]:
        """The best and the last model; the best is the last without validation."""
        last = _steps.used(self.program, self.state)
        if self.best is not None and not all(np.isfinite(w).all() for w in jax.tree.leaves(last)):
            last = self.best
        best = last if self.best is None else self.best
        join = (_steps.join(w, self.constants, self.program.template) for w in (best, last))
        return tuple(join)  # type: ignore[return-value]

    def _why_step_failed(self) -> str:
        at = self.progress
        trial, weight = self.rows[at.step], self.batches.weight[at.step]
        key = _steps.step_key(self.key, at.epoch, at.step)
        cause = self._cause(
            True, self.state.weights, self.data, trial, weight, float(self.kl[at.step]), key
        )
        rate = float(self.rates[at.step])
        return (
            f"Training stopped at epoch {at.epoch}, step {at.step} (both from 0) at learning rate "
            f"{rate:.3g}: {cause}"
        )

    def _why_validation_failed(self) -> str:
        data, rows, weights = self.validation  # type: ignore[misc]
        used = _steps.used(self.program, self.state)
        kl = float(self.settings.kl_weight)
        at = f"Training stopped at the validation after epoch {self.progress.epoch} (from 0): "
        for step in range(len(rows)):
            key = _steps.step_key(self.validation_key, 0, step)
            row, weight = np.asarray(rows[step]), np.asarray(weights[step])
            cause = self._cause(False, used, data, row, weight, kl, key)
            if not cause.startswith(_NOTHING):
                return at + cause
        return at + _NOTHING

    def _cause(
        self,
        training: bool,
        weights: Any,
        data: Mapping[str, jax.Array],
        trials: np.ndarray,
        weight: np.ndarray,
        kl_weight: float,
        key: jax.Array,
    ) -> str:
        """Find out which term, weight and trial of a batch are not finite."""

        def look(rows: np.ndarray) -> tuple[dict[str, float], list[str]]:
            values, finite = _steps.inspect(
                self.program,
                training,
                weights,
                self.constants,
                data,
                *self._put((rows, weight)),
                kl_weight,
                self._put(key),
            )
            paths = jax.tree_util.tree_leaves_with_path(jax.device_get(finite))
            bad = [leaf_name(path) for path, good in paths if not good]
            return {n: float(v) for n, v in jax.device_get(values).items()}, bad

        values, gradients = look(trials)
        terms = {n: v for n, v in values.items() if n != "loss" and not np.isfinite(v)}
        if terms:
            what = " and ".join(f"term {n!r} of the loss is {v}" for n, v in terms.items())
        elif not np.isfinite(values["loss"]):
            what = f"the loss is {values['loss']}, each of its terms is finite"
        elif gradients and training:
            what = f"the loss is finite, its gradient is not in {gradients}"
        else:
            return _NOTHING
        if len(set(trials.tolist())) == 1:
            alone = [int(trials[0])]
        else:
            alone = [int(t) for t in np.unique(trials) if _failed(look(np.full_like(trials, t)))]
        which = "training" if training else "validation"
        if len(alone) < len(set(trials.tolist())) or len(alone) == 1:
            rows = [_describe(data, trial) for trial in alone[:3]]
            hint = f"Of the {which} trials {alone} alone give it ({'; '.join(rows)}). "
            hint = hint if alone else f"No single {which} trial gives it. "
        else:
            hint = f"Every {which} trial of the batch gives it. "
        return (
            f"{what}. {hint}Lower learning_rate, set gradient_clip, or look for extreme values in "
            f"the data."
        )


_NOTHING = "values that are not finite came and went. Lower learning_rate or set gradient_clip."


def _failed(looked: tuple[dict[str, float], list[str]]) -> bool:
    values, gradients = looked
    return bool(gradients) or not all(map(np.isfinite, values.values()))


def _describe(data: Mapping[str, jax.Array], trial: int) -> str:
    """The largest value of each array in one trial, or that some are not finite."""
    parts = []
    for name, values in data.items():
        row = np.asarray(values[trial])
        if row.dtype.kind not in "iuf" or row.size == 0:
            continue
        bad = int((~np.isfinite(row)).sum())
        extreme = f"{bad} values not finite" if bad else f"largest size {np.abs(row).max():.3g}"
        parts.append(f"{name!r} of trial {trial}: {extreme}")
    return ", ".join(parts)


class _Saving:
    """When to write the checkpoint."""

    def __init__(self, saved: Checkpoint) -> None:
        self.saved = saved
        self.written = time.perf_counter()
        self.wait = SAVE_SECONDS

    def maybe(self, work: _Work) -> None:
        if time.perf_counter() - self.written >= self.wait:
            self.now(work)

    def now(self, work: _Work) -> None:
        begin = time.perf_counter()
        self.saved.write(work.to_arrays())
        self.written = time.perf_counter()
        self.wait = max(SAVE_SECONDS, 20 * (self.written - begin))


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C in a list that is true once it came; a second one ends everything.

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


def _devices() -> list[Any]:
    chosen = jax.config.jax_default_device
    if chosen is None:
        return jax.local_devices()
    return jax.local_devices(backend=chosen)[:1] if isinstance(chosen, str) else [chosen]


def _prepared(data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays in the types that compute."""
    small = {"f": np.float32, "i": np.int32, "u": np.uint32}
    made = {}
    for name, values in data.items():
        array = np.asarray(values)
        wide = array.dtype.kind in small and array.dtype.itemsize > 4
        made[name] = array.astype(small[array.dtype.kind]) if wide else array
    return made


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
