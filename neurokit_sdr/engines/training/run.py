"""One training: its arrays on their devices, and the compiled calls on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import failures as _failures
from neurokit_sdr.engines.training import steps as _steps
from neurokit_sdr.engines.training.plan import Batches, Progress, Settings
from neurokit_sdr.engines.training.schedules import kl_weights, learning_rates

#: Largest share of the loss and its terms by which bfloat16 may move the first validation loss:
#: both factors of a product are rounded to 8 bits, each by 2**-9 of itself at most.
ROUNDING = 2**-8


class Run:
    """Arrays and compiled calls of one training.

    Parameters
    ----------
    model, loss, data, validation, settings, seed
        As for :func:`_training.train`; ``validation`` is None where there is none.
    arrays
        Those of a checkpoint to go on from, or None to begin.
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[..., Any],
        data: Mapping[str, np.ndarray],
        validation: Mapping[str, np.ndarray] | None,
        settings: Settings,
        seed: int,
        arrays: Mapping[str, np.ndarray] | None,
    ) -> None:
        self.settings, self.seed = settings, seed
        devices = _devices()
        mesh = Mesh(np.array(devices), ("trial",)) if len(devices) > 1 else None
        self.place = devices[0] if mesh is None else NamedSharding(mesh, PartitionSpec())
        weights, constants, template = _steps.split(model)
        weights = self._put(jax.tree.map(lambda w: np.asarray(w, np.float32), weights))
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
        self.n_trials = len(next(iter(data.values())))
        self.batches = Batches.of(self.n_trials, settings.batch_size, len(devices))
        self.n_steps = len(self.batches.position)
        self.data = self._put(_prepared(data))
        self.trial_weight = self._put(self.batches.weight)
        self.validation = None
        if validation is not None:
            n_trials = len(next(iter(validation.values())))
            plan = Batches.of(n_trials, settings.batch_size, len(devices))
            self.validation = self._put((_prepared(validation), plan.position, plan.weight))
        self.key = self._put(_steps.random_key(seed, "training"))
        self.validation_key = self._put(_steps.random_key(seed, "validation"))
        self.progress = Progress() if arrays is None else Progress.from_arrays(arrays)
        self.precision = self._choose_precision(weights, devices[0].platform, arrays is None)
        self.best: Any = None
        self._begin(weights, arrays)
        self._planned_epoch = -1

    def _put(self, tree: Any) -> Any:
        return jax.device_put(tree, self.place)

    def _begin(self, weights: Any, arrays: Mapping[str, np.ndarray] | None) -> None:
        rows = self._put(self.batches.position[0])
        trial_weight = self._put(self.batches.weight[0])
        self.state = _steps.begin(
            self.program, weights, self.constants, self.data, rows, trial_weight, self.key
        )
        self._empty_totals()
        if arrays is not None:
            self.state = self._unpack("state", self.state, arrays)
            if self.progress.best_epoch >= 0:
                self.best = self._unpack("best", weights, arrays)

    def _empty_totals(self) -> None:
        totals = {name: np.float32(0) for name in self.state.totals}
        self.state = self.state._replace(totals=self._put(totals))

    def _choose_precision(self, weights: Any, platform: str, fresh: bool) -> str:
        """Set the program to bfloat16 where it is wanted and harmless; say what came of it."""
        wanted = self.settings.precision
        if wanted == "float32" or (wanted == "auto" and platform != "gpu"):
            return "float32"
        rounded = self.program._replace(precision="bfloat16")
        if fresh:
            exact = self._assess(self.program, weights)
            other = self._assess(rounded, weights)
            terms = sum(abs(v) for name, v in exact.items() if name != "loss")
            bound = ROUNDING * max(abs(exact["loss"]), terms)
            # This way round, so that a difference that is not finite is too large.
            self.progress.keeps_bfloat16 = abs(other["loss"] - exact["loss"]) <= bound
        if not self.progress.keeps_bfloat16:
            return f"float32: bfloat16 moved the first loss by more than {ROUNDING:.2%}"
        self.program = rounded
        return "bfloat16"

    def _unpack(self, name: str, like: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        leaves, structure = jax.tree.flatten(like)
        found = [arrays[f"{name}/{i}"] for i in range(len(leaves))]
        return self._put(jax.tree.unflatten(structure, found))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything that going on needs."""
        trees = {"state": self.state, "best": self.best}
        packed = {
            f"{name}/{i}": np.asarray(leaf)
            for name, tree in trees.items()
            for i, leaf in enumerate(jax.tree.leaves(tree))
        }
        return packed | self.progress.to_arrays()

    def _plan_epoch(self) -> None:
        s, epoch = self.settings, self.progress.epoch
        order = stream(self.seed, "shuffle", epoch).permutation(self.n_trials)
        self.rows = order[self.batches.position].astype(np.int32)
        peak = s.learning_rate * self.progress.plateau.scale
        self.rates = learning_rates(s.learning_rate_schedule, peak, epoch, s.n_epochs, self.n_steps)
        self.kl = kl_weights(s.kl_schedule, s.kl_weight, s.kl_warmup, epoch, self.n_steps)
        self._plan = self._put((self.rows, self.trial_weight, self.rates, self.kl))
        self._planned_epoch = epoch

    def advance(self, n_steps: int) -> str | None:
        """Take steps of this epoch; return what failed."""
        at = self.progress
        if self._planned_epoch != at.epoch:
            self._plan_epoch()
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
        step, good = jax.device_get((step, good))
        at.step = int(step)
        return None if good else self._why_step_failed()

    def _used(self) -> Any:
        return _steps.used(self.program, self.state)

    def _assess(self, program: _steps.Program, weights: Any) -> dict[str, float]:
        training = (self.data, self._put(self.batches.position), self.trial_weight)
        values = _steps.assess(
            program,
            weights,
            self.constants,
            *(self.validation or training),
            float(self.settings.kl_weight),
            self.validation_key,
        )
        return {name: float(value) for name, value in jax.device_get(values).items()}

    def finish_epoch(self) -> str | None:
        """Validate, keep the best, write history, go to the next epoch; return what failed."""
        at, settings = self.progress, self.settings
        found = {
            name: float(total) / (self.n_steps if name == "gradient_norm" else self.n_trials)
            for name, total in jax.device_get(self.state.totals).items()
        }
        found |= {"learning_rate": float(self.rates[-1]), "kl_weight": float(self.kl[-1])}
        watched = found["loss"]
        if self.validation is not None:
            values = self._assess(self.program, self._used())
            if not np.isfinite(values["loss"]):
                return self._why_validation_failed()
            found |= {f"validation_{name}": value for name, value in values.items()}
            watched = values["loss"]
            if watched < at.best_loss:
                at.best_loss, at.best_epoch = watched, at.epoch
                self.best = _steps.copied(self._used())
        if settings.learning_rate_schedule == "plateau":
            at.plateau = at.plateau.after(watched, settings.learning_rate)
        for name, value in found.items():
            at.history.setdefault(name, []).append(value)
        self._empty_totals()
        at.epoch, at.step = at.epoch + 1, 0
        return None

    def models(self) -> tuple[Any, Any]:
        """Return the best and the last model; they are the same without validation."""
        last = self._used()
        if self.best is not None and not all(np.isfinite(w).all() for w in jax.tree.leaves(last)):
            last = self.best
        best = last if self.best is None else self.best
        template = self.program.template
        return (
            _steps.join(best, self.constants, template),
            _steps.join(last, self.constants, template),
        )

    def _look(
        self, weights: Any, data: Any, weight: Any, kl_weight: float, key: jax.Array, training: bool
    ) -> Callable[[np.ndarray], _failures.Look]:
        def look(trials: np.ndarray) -> _failures.Look:
            rows, place_weight, place_key = self._put((trials, weight, key))
            values, finite = _steps.inspect(
                self.program,
                training,
                weights,
                self.constants,
                data,
                rows,
                place_weight,
                kl_weight,
                place_key,
            )
            return _failures.Look.of(values, finite)

        return look

    def _why_step_failed(self) -> str:
        at = self.progress
        key = _steps.step_key(self.key, at.epoch, at.step)
        weight, kl_weight = self.batches.weight[at.step], float(self.kl[at.step])
        look = self._look(self.state.weights, self.data, weight, kl_weight, key, True)
        found = _failures.cause(look, self.rows[at.step], self.data, "training")
        return (
            f"Training stopped at epoch {at.epoch}, step {at.step} (both from 0), at learning rate "
            f"{float(self.rates[at.step]):.3g}: {found or _UNFOUND}"
        )

    def _why_validation_failed(self) -> str:
        data, rows, weights = self.validation  # type: ignore[misc]
        found = None
        for step in range(len(rows)):
            key = _steps.step_key(self.validation_key, 0, step)
            kl_weight = float(self.settings.kl_weight)
            look = self._look(self._used(), data, weights[step], kl_weight, key, False)
            found = _failures.cause(look, np.asarray(rows[step]), data, "validation")
            if found is not None:
                break
        return (
            f"Training stopped at the validation after epoch {self.progress.epoch} (from 0), at "
            f"learning rate {float(self.rates[-1]):.3g}: {found or _UNFOUND}"
        )


_UNFOUND = f"some value was not finite, and is when looked at again. {_failures.REMEDY}"


def _devices() -> list[Any]:
    chosen = getattr(jax.config, "jax_default_device", None)
    if chosen is None:
        return jax.local_devices()
    return jax.local_devices(backend=chosen)[:1] if isinstance(chosen, str) else [chosen]


def _prepared(data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays in types of 32 bits at most: JAX would narrow the others without a word."""
    narrow = {"f": np.float32, "i": np.int32, "u": np.uint32}
    made = {}
    for name, values in data.items():
        array = np.asarray(values)
        wide = array.dtype.kind in narrow and array.dtype.itemsize > 4
        made[name] = array.astype(narrow[array.dtype.kind]) if wide else array
    return made
