"""The compiled part of training: many steps in one call, one validation, one look at a failure.

Every function here is compiled once per program and shapes, however many fits and epochs use it.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training.optimiser import Rule, norm, transformation

#: How often each function below was traced, and so compiled, in this process.
TRACES: Counter[str] = Counter()

#: A term of this name is not reported: it is what the batch counts for in means over batches.
BATCH_WEIGHT = "batch_weight"


class Template(NamedTuple):
    """A model without its arrays: hashable, so that a compiled function can be found by it."""

    leaves: tuple[Any, ...]
    structure: Any


class Program(NamedTuple):
    """All that the compiled code depends on besides shapes.

    Attributes
    ----------
    loss
        See :func:`train.train`.
    template
        The model without its arrays.
    rules
        By name, how groups of weights move, besides their learning rates.
    labels
        The group of each array of weights.
    average
        Decay per step of the averaged weights; 0 for none.
    precision
        ``"float32"`` or ``"bfloat16"``.
    mesh
        The devices a batch is split over; None for one device.
    """

    loss: Callable[..., Any]
    template: Template
    rules: tuple[tuple[str, Rule], ...]
    labels: tuple[str, ...]
    average: float
    precision: str
    mesh: Mesh | None


class State(NamedTuple):
    """All that a step changes.

    Attributes
    ----------
    weights
        The model's floating-point arrays.
    moments
        The optimiser's state.
    average
        Moving average of the weights, or () without one.
    totals
        Sums over this epoch: the loss and its terms, times what their batches count for, and the
        gradient norm.
    """

    weights: Any
    moments: Any
    average: Any
    totals: dict[str, jax.Array]


def used(program: Program, state: State) -> Any:
    """Return the weights that are validated and returned: the average where there is one."""
    return state.average if program.average > 0 else state.weights


def is_constant(leaf: object) -> bool:
    """Whether a leaf is an array that is not trained (integers, booleans)."""
    return eqx.is_array(leaf) or isinstance(leaf, np.ndarray)


def split(model: Any) -> tuple[Any, Any, Template]:
    """Return the weights, the other arrays, and the rest of a model."""
    weights, rest = eqx.partition(model, eqx.is_inexact_array)
    constants, static = eqx.partition(rest, is_constant)
    leaves, structure = jax.tree.flatten(static)
    return weights, constants, Template(tuple(leaves), structure)


def join(weights: Any, constants: Any, template: Template) -> Any:
    """Undo :func:`split`."""
    static = jax.tree.unflatten(template.structure, template.leaves)
    return eqx.combine(weights, constants, static)


def random_key(seed: int, *name: str | int) -> jax.Array:
    """Return the JAX key of one named use of the seed, as :func:`core.seeding.stream` does."""
    words = stream(seed, *name).integers(2**32, size=2, dtype=np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32")


def _spread(program: Program, tree: Any, *axes: str) -> Any:
    """Split a tree of arrays over the devices along their first axes; without any, copy them."""
    if program.mesh is None:
        return tree
    sharding = NamedSharding(program.mesh, PartitionSpec(*axes))
    return jax.lax.with_sharding_constraint(tree, sharding)


def _batch(
    program: Program, data: Mapping[str, jax.Array], rows: jax.Array, weight: jax.Array
) -> dict[str, jax.Array]:
    batch = {name: values[rows] for name, values in data.items()} | {"trial_weight": weight}
    return _spread(program, batch, "trial")


def _loss(
    program: Program,
    weights: Any,
    constants: Any,
    batch: Mapping[str, jax.Array],
    key: jax.Array,
    schedules: Mapping[str, jax.Array],
    training: bool,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    with contextlib.ExitStack() as stack:
        if program.precision == "bfloat16":
            # Only products of matrices: sums over time of small increments, and likelihoods,
            # need float32. CPUs have no such product, so the matrices are rounded as well.
            stack.enter_context(jax.default_matmul_precision("BF16_BF16_F32"))
            weights = jax.tree.map(
                lambda w: jax.lax.reduce_precision(w, 8, 7) if w.ndim > 1 else w, weights
            )
        model = join(weights, constants, program.template)
        loss, terms = program.loss(model, batch, key, schedules, training)
    return loss, dict(terms)


_gradient = jax.value_and_grad(_loss, argnums=1, has_aux=True)


@functools.partial(jax.jit, static_argnames="program")
def begin(
    program: Program,
    weights: Any,
    constants: Any,
    data: Mapping[str, jax.Array],
    rows: jax.Array,
    trial_weight: jax.Array,
    schedules: Mapping[str, float],
    key: jax.Array,
) -> State:
    """Return the state before the first step; the weights are copied."""
    TRACES["begin"] += 1

    def evaluate() -> tuple[jax.Array, dict[str, jax.Array]]:
        batch = _batch(program, data, rows, trial_weight)
        return _loss(program, weights, constants, batch, key, _float32(schedules), True)

    loss, terms = jax.eval_shape(evaluate)
    summed = {"loss": loss, "gradient_norm": loss, **terms}
    return State(
        jax.tree.map(jnp.copy, weights),
        transformation(program.rules, program.labels).init(jax.tree.leaves(weights)),
        jax.tree.map(jnp.copy, weights) if program.average > 0 else (),
        {name: jnp.zeros((), value.dtype) for name, value in summed.items()},
    )


def _float32(schedules: Mapping[str, Any]) -> dict[str, jax.Array]:
    return {name: jnp.float32(value) for name, value in schedules.items()}


@functools.partial(jax.jit, static_argnames="program", donate_argnames="state")
def advance(
    program: Program,
    state: State,
    constants: Any,
    data: Mapping[str, jax.Array],
    rows: jax.Array,
    trial_weight: jax.Array,
    rates: Mapping[str, jax.Array],
    schedules: Mapping[str, jax.Array],
    key: jax.Array,
    epoch: int,
    start: int,
    stop: int,
) -> tuple[State, jax.Array, jax.Array]:
    """Take the steps from ``start`` to before ``stop`` of an epoch.

    Parameters
    ----------
    rows, trial_weight
        ``(step, row)``: which rows of the data each step sees, and 0 for those that only fill up.
    rates, schedules
        Learning rates by group, and what the loss is given by name, each ``(step)``.
    key
        Of the whole training; that of a step follows from its epoch and number.

    Returns
    -------
    state : State
        After the last good step.
    step : jax.Array
        The step to take next; before ``stop`` only after a failure.
    good : jax.Array
        False if loss or gradient of ``step`` were not finite; the state is then that before it.
    """
    TRACES["advance"] += 1
    optimiser = transformation(program.rules, program.labels)
    n_steps = rows.shape[0]

    def take(carry: tuple[jax.Array, State, jax.Array]) -> tuple[jax.Array, State, jax.Array]:
        step, state, _ = carry
        batch = _batch(program, data, rows[step], trial_weight[step])
        (loss, terms), gradient = _gradient(
            program,
            state.weights,
            constants,
            batch,
            step_key(key, epoch, step),
            {name: values[step] for name, values in schedules.items()},
            True,
        )
        size = norm(gradient)
        good = jnp.isfinite(loss) & jnp.isfinite(size)
        # As lists: a module may be callable, which optax takes for a function of the weights.
        old, structure = jax.tree.flatten(state.weights)
        update, moments = optimiser.update(jax.tree.leaves(gradient), state.moments, old)
        rate = {name: values[step] for name, values in rates.items()}
        moved = [w - rate[g] * u for w, u, g in zip(old, update, program.labels, strict=True)]
        weights = jax.tree.unflatten(structure, moved)
        average = state.average
        if program.average > 0:
            # The first weights are random: the average forgets them as fast as it has others.
            taken = epoch * n_steps + step
            decay = jnp.minimum(program.average, (1 + taken) / (10 + taken))
            average = jax.tree.map(lambda a, w: decay * a + (1 - decay) * w, average, weights)
        counts_for = terms.pop(BATCH_WEIGHT, None)
        trials = trial_weight[step].sum() if counts_for is None else counts_for
        seen = {"loss": trials * loss, "gradient_norm": size, BATCH_WEIGHT: trials}
        seen |= {name: trials * value for name, value in terms.items()}
        totals = {name: total + seen[name] for name, total in state.totals.items()}
        new = State(weights, moments, average, totals)
        new = jax.tree.map(lambda n, o: jnp.where(good, n, o).astype(o.dtype), new, state)
        return step + good, _spread(program, new), good

    def go_on(carry: tuple[jax.Array, State, jax.Array]) -> jax.Array:
        return (carry[0] < stop) & carry[2]

    step, state, good = jax.lax.while_loop(go_on, take, (jnp.int32(start), state, jnp.bool_(True)))
    return state, step, good


def step_key(key: jax.Array, epoch: Any, step: Any) -> jax.Array:
    """Return the key of one step: never carried along, so that going on later changes nothing."""
    return jax.random.fold_in(jax.random.fold_in(key, epoch), step)


@functools.partial(jax.jit, static_argnames="program")
def assess(
    program: Program,
    weights: Any,
    constants: Any,
    data: Mapping[str, jax.Array],
    rows: jax.Array,
    trial_weight: jax.Array,
    schedules: Mapping[str, float],
    key: jax.Array,
    part: int,
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Return the loss and its terms over the batches of a part, and what they count for."""
    TRACES["assess"] += 1

    def one(_: None, step: jax.Array) -> tuple[None, dict[str, jax.Array]]:
        batch = _batch(program, data, rows[step], trial_weight[step])
        loss, terms = _loss(
            program,
            weights,
            constants,
            batch,
            step_key(key, part, step),
            _float32(schedules),
            False,
        )
        return None, {"loss": loss} | terms

    _, values = jax.lax.scan(one, None, jnp.arange(rows.shape[0]))
    real = trial_weight.sum(axis=1)
    counts_for = values.pop(BATCH_WEIGHT, real)
    # Steps that only fill up have no rows to average over.
    values = {name: jnp.where(real > 0, value, 0) for name, value in values.items()}
    counts_for = jnp.where(real > 0, counts_for, 0)
    total = counts_for.sum()
    share = counts_for / total
    return {name: (share * value).sum() for name, value in values.items()}, total


@functools.partial(jax.jit, static_argnames=("program", "training"))
def inspect(
    program: Program,
    training: bool,
    weights: Any,
    constants: Any,
    data: Mapping[str, jax.Array],
    rows: jax.Array,
    trial_weight: jax.Array,
    schedules: Mapping[str, float],
    key: jax.Array,
) -> tuple[dict[str, jax.Array], Any]:
    """Return the loss and terms of one batch, and which gradients have a finite norm."""
    TRACES["inspect"] += 1
    batch = _batch(program, data, rows, trial_weight)
    (loss, terms), gradient = _gradient(
        program, weights, constants, batch, key, _float32(schedules), training
    )
    terms.pop(BATCH_WEIGHT, None)
    finite = jax.tree.map(lambda g: jnp.isfinite(jnp.vdot(g, g)), gradient)
    return {"loss": loss} | terms, finite


#: Copies arrays on their devices, so that the next step may write over the originals.
copied = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))


def forget() -> None:
    """Drop all that is compiled, with the losses and models that it was compiled for."""
    functions: tuple[Any, ...] = (begin, advance, assess, inspect, copied)
    for compiled in functions:
        compiled.clear_cache()
