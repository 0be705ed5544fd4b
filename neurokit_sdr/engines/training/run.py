"""One training: its arrays on their devices, and the compiled calls on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import failures, memory, steps
from neurokit_sdr.engines.training.optimiser import EVERY, Rule, labels_of, named_groups
from neurokit_sdr.engines.training.plan import Progress, Settings
from neurokit_sdr.engines.training.rows import Data, Source, n_rows, source

#: Largest share of the loss and its terms by which bfloat16 may move the first validation loss:
#: both factors of a product are rounded to 8 bits, each by 2**-9 of itself at most.
ROUNDING = 2**-8


class Run:
    """Arrays and compiled calls of one training.

    Parameters
    ----------
    model, loss, data, validation, settings, seed
        As for :func:`train.train`; ``validation`` is None where there is none.
    arrays
        Those of a checkpoint to go on from, or None to begin.
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[..., Any],
        data: Data,
        validation: Data | None,
        settings: Settings,
        seed: int,
        arrays: Mapping[str, np.ndarray] | None,
    ) -> None:
        self.settings, self.seed = settings, seed
        devices = _devices()
        mesh = Mesh(np.array(devices), ("trial",)) if len(devices) > 1 else None
        self.place = devices[0] if mesh is None else NamedSharding(mesh, PartitionSpec())
        weights, constants, template = steps.split(model)
        self.groups = named_groups(settings.groups)
        rules = [
            (n, Rule(g.direction, _number(g.gradient_clip), float(g.weight_decay)))
            for n, g in self.groups.items()
        ]
        self.program = steps.Program(
            loss,
            template,
            tuple(rules),
            labels_of(weights, self.groups, settings.label),
            float(settings.average),
            "float32",
            mesh,
        )
        weights = self._put(jax.tree.map(np.asarray, weights))
        self.constants = self._put(constants)
        self.n_rows = n_rows(data)
        self.source = source(data, settings.batch_size, len(devices), self._put)
        self.n_steps = len(self.source.batches.position)
        self.trial_weight = self._put(self.source.batches.weight)
        self.validation: Source | None = None
        if validation is not None:
            self.validation = source(validation, settings.batch_size, len(devices), self._put)
        shapes = (self.source.shapes, self.validation and self.validation.shapes)
        memory.make_room((self.program, shapes), steps.forget)
        self.key = self._put(steps.random_key(seed, "training"))
        self.validation_key = self._put(steps.random_key(seed, "validation"))
        self.progress = Progress() if arrays is None else Progress.from_arrays(arrays)
        self.precision = self._choose_precision(weights, devices[0].platform, arrays is None)
        self.best: Any = None
        self._plan_epoch()
        self._begin(weights, arrays)

    def _put(self, tree: Any) -> Any:
        return jax.device_put(tree, self.place)

    def _begin(self, weights: Any, arrays: Mapping[str, np.ndarray] | None) -> None:
        block = self.source.block(self.progress.step)
        self.state = steps.begin(
            self.program,
            weights,
            self.constants,
            block.data,
            block.rows[0],
            self.trial_weight[0],
            self._full(),
            self.key,
        )
        self._empty_totals()
        if arrays is not None:
            self.state = self._unpack("state", self.state, arrays)
            if self.progress.best_epoch >= 0:
                self.best = self._unpack("best", weights, arrays)

    def _full(self) -> dict[str, float]:
        """What the loss is given in validation."""
        return {name: float(s.value) for name, s in self.settings.schedules.items()}

    def _empty_totals(self) -> None:
        totals = {name: np.zeros((), t.dtype) for name, t in self.state.totals.items()}
        self.state = self.state._replace(totals=self._put(totals))

    def _choose_precision(self, weights: Any, platform: str, fresh: bool) -> str:
        """Set the program to bfloat16 where it is wanted and harmless; say what came of it."""
        wanted = self.settings.precision
        if wanted == "float32" or (wanted == "auto" and platform != "gpu"):
            return "float32"
        rounded = self.program._replace(precision="bfloat16")
        if fresh:
            exact = self._assess(self.program, weights, first=True)
            other = self._assess(rounded, weights, first=True)
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
        epoch, n_epochs = self.progress.epoch, self.settings.n_epochs
        order = stream(self.seed, "shuffle", epoch).permutation(self.n_rows)
        self.source.plan(order)
        scale = self.progress.plateau.scale
        rates = {n: g.learning_rate for n, g in self.groups.items()}
        self.rates, self.schedules = (
            {name: s.during(epoch, n_epochs, self.n_steps) for name, s in several.items()}
            for several in (
                {
                    n: r._replace(value=r.value * scale) if r.course == "plateau" else r
                    for n, r in rates.items()
                },
                self.settings.schedules,
            )
        )
        self._plan = self._put((self.rates, self.schedules))
        self._planned_epoch = epoch

    def advance(self, n_steps: int) -> str | None:
        """Take up to so many steps of this epoch; return what failed."""
        at = self.progress
        if self._planned_epoch != at.epoch:
            self._plan_epoch()
        block = self.source.block(at.step)
        self.state, step, good = steps.advance(
            self.program,
            self.state,
            self.constants,
            block.data,
            block.rows,
            self.trial_weight,
            *self._plan,
            self.key,
            at.epoch,
            at.step,
            min(at.step + n_steps, block.stop),
        )
        step, good = jax.device_get((step, good))
        at.step = int(step)
        return None if good else self._why_step_failed()

    def _used(self) -> Any:
        return steps.used(self.program, self.state)

    def _assess(
        self, program: steps.Program, weights: Any, first: bool = False
    ) -> dict[str, float]:
        """Means over the validation, or the training rows without any; or of the first part."""
        found = []
        for number, part in enumerate((self.validation or self.source).parts()):
            values, total = steps.assess(
                program,
                weights,
                self.constants,
                *part,
                self._full(),
                self.validation_key,
                number,
            )
            means = {name: float(value) for name, value in jax.device_get(values).items()}
            found.append((means, float(total)))
            if first:
                break
        if len(found) == 1:
            return found[0][0]
        whole = sum(total for _, total in found)
        return {n: sum(m[n] * total for m, total in found) / whole for n in found[0][0]}

    def finish_epoch(self) -> str | None:
        """Validate, keep the best, write history, go to the next epoch; return what failed."""
        at, settings = self.progress, self.settings
        sums = {name: float(total) for name, total in jax.device_get(self.state.totals).items()}
        counts_for = sums.pop(steps.BATCH_WEIGHT, self.n_rows)
        found = {
            name: total / (self.n_steps if name == "gradient_norm" else counts_for)
            for name, total in sums.items()
        }
        found |= {rate_name(name): float(rates[-1]) for name, rates in self.rates.items()}
        found |= {name: float(values[-1]) for name, values in self.schedules.items()}
        watched = found["loss"]
        if self.validation is not None:
            values = self._assess(self.program, self._used())
            if not np.isfinite(values["loss"]):
                return self._why_validation_failed()
            found |= {f"validation_{name}": value for name, value in values.items()}
            watched = values["loss"]
            if watched < at.best_loss:
                at.best_loss, at.best_epoch = watched, at.epoch
                self.best = steps.copied(self._used())
        if settings.plateau_peak is not None:
            at.plateau = at.plateau.after(watched, settings.plateau_peak)
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
            steps.join(best, self.constants, template),
            steps.join(last, self.constants, template),
        )

    def _look(
        self,
        source: Source,
        weights: Any,
        trial_weight: np.ndarray,
        schedules: Mapping[str, float],
        key: jax.Array,
        training: bool,
    ) -> Callable[[np.ndarray], failures.Look]:
        place = np.arange(trial_weight.size, dtype=np.int32)

        def look(rows: np.ndarray) -> failures.Look:
            placed = self._put((source.take(rows), place, trial_weight, schedules, key))
            values, finite = steps.inspect(self.program, training, weights, self.constants, *placed)
            return failures.Look.of(values, finite)

        return look

    def _why_step_failed(self) -> str:
        at = self.progress
        key = steps.step_key(self.key, at.epoch, at.step)
        schedules = {name: values[at.step] for name, values in self.schedules.items()}
        weight = self.source.batches.weight[at.step]
        look = self._look(self.source, self.state.weights, weight, schedules, key, True)
        rows = self.source.rows[at.step]
        found = failures.cause(look, rows, self.source.take, "training")
        return (
            f"Training stopped at epoch {at.epoch}, step {at.step} (both from 0), at "
            f"{self._said_rates(at.step)}: {found or _UNFOUND}"
        )

    def _why_validation_failed(self) -> str:
        assert self.validation is not None
        found = None
        position, weights = self.validation.batches
        for number, rows in enumerate(position):
            key = steps.step_key(self.validation_key, 0, number)
            look = self._look(
                self.validation, self._used(), weights[number], self._full(), key, False
            )
            found = failures.cause(look, rows, self.validation.take, "validation")
            if found is not None:
                break
        return (
            f"Training stopped at the validation after epoch {self.progress.epoch} (from 0), at "
            f"{self._said_rates(-1)}: {found or _UNFOUND}"
        )

    def _said_rates(self, step: int) -> str:
        said = [f"{rate_name(n).replace('_', ' ', 1)} {float(r[step]):.3g}"
                for n, r in self.rates.items()]  # fmt: skip
        return ", ".join(said)


def rate_name(group: str) -> str:
    """The name of a group's learning rate in the history."""
    return "learning_rate" if group == EVERY else f"learning_rate_{group}"


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


_UNFOUND = f"some value was not finite, and is when looked at again. {failures.REMEDY}"


def _devices() -> list[Any]:
    chosen = getattr(jax.config, "jax_default_device", None)
    if chosen is None:
        return jax.local_devices()
    return jax.local_devices(backend=chosen)[:1] if isinstance(chosen, str) else [chosen]
