"""How weights move: groups of them by label, each with its own learning rate, clip and decay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.engines.training.schedules import Schedule
from neurokit_sdr.engines.training.weights import leaf_name

#: Name of the group where there is one only.
EVERY = ""


@dataclass(frozen=True)
class Adam:
    """Makes Adam's transformation; equal ones are compiled once."""

    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-8

    def __call__(self) -> optax.GradientTransformation:
        """Return the transformation of gradients into steps at a learning rate of one."""
        return optax.scale_by_adam(self.b1, self.b2, self.epsilon)


class Group(NamedTuple):
    """How some of the weights move: minus the learning rate times (direction + decay weight).

    Attributes
    ----------
    learning_rate
        A schedule.
    direction
        Makes the optax transformation of (clipped) gradients into steps at a learning rate of one:
        :class:`Adam`, or any function importable by name, such as ``optax.scale_by_lion``.
    gradient_clip
        Largest norm of the group's gradient; None for any.
    weight_decay
        As in AdamW, on arrays of two or more dimensions only; it shrinks frozen ones, too.
    """

    learning_rate: Schedule
    direction: Callable[[], optax.GradientTransformation] = Adam()
    gradient_clip: float | None = None
    weight_decay: float = 0.0


class Rule(NamedTuple):
    """What of a group the compiled code depends on."""

    direction: Callable[[], optax.GradientTransformation]
    gradient_clip: float | None
    weight_decay: float


def named_groups(groups: Group | Mapping[str, Group]) -> dict[str, Group]:
    """The groups by name."""
    return {EVERY: groups} if isinstance(groups, Group) else dict(groups)


def labels_of(
    weights: Any, groups: Mapping[str, Group], label: Callable[[str], str] | None
) -> tuple[str, ...]:
    """The group of each array of weights, in the order of the tree's leaves.

    Raises
    ------
    ParameterError
        If one is given to a group that there is not, or a group is given none.
    """
    paths = [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(weights)]
    if label is None and len(groups) > 1:
        raise ParameterError(
            f"Expected label(name) together with several groups {sorted(groups)}, got None: say "
            f"which group each array of weights belongs to."
        )
    found = tuple(next(iter(groups)) if label is None else label(name) for name in paths)
    for name, group in zip(paths, found, strict=True):
        if group not in groups:
            raise ParameterError(
                f"Expected label(name) to give one of the groups {sorted(groups)}, got {group!r} "
                f"for the weights {name!r}."
            )
    unused = sorted(set(groups) - set(found))
    if unused and paths:
        raise ParameterError(
            f"Expected weights in every group, got none in {unused} of the weights {paths}: drop "
            f"the group, or change label."
        )
    return found


def transformation(
    rules: Sequence[tuple[str, Rule]], labels: Sequence[str]
) -> optax.GradientTransformationExtraArgs:
    """Return the optax transformation of a list of weights, each of the group at its place."""
    return optax.partition({name: _of_group(rule) for name, rule in rules}, list(labels))


def _of_group(rule: Rule) -> optax.GradientTransformation:
    parts = [] if rule.gradient_clip is None else [_clip(rule.gradient_clip)]
    parts.append(rule.direction())
    if rule.weight_decay > 0:
        parts.append(
            optax.add_decayed_weights(
                rule.weight_decay, mask=lambda w: jax.tree.map(lambda x: x.ndim > 1, w)
            )
        )
    return optax.chain(*parts)


def norm(gradient: Any) -> jax.Array:
    """The norm of all arrays together."""
    return jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradient)))


def _clip(largest: float) -> optax.GradientTransformation:
    """Shrink the whole gradient where its norm is larger."""

    def shrunk(gradient: Any, _: Any) -> Any:
        shrink = jnp.minimum(1, largest / jnp.maximum(norm(gradient), 1e-30))
        return jax.tree.map(lambda g: g * shrink, gradient)

    return optax.stateless(shrunk)
