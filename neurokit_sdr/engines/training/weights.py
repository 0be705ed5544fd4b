"""Weights of a network as one vector with a layout in words, and back."""

from __future__ import annotations

import json
from typing import Any

import equinox as eqx
import jax
import numpy as np

from neurokit_sdr.core.errors import SchemaError


def leaf_name(path: Any) -> str:
    """Return the name of a leaf as a user would write it, such as ``encoder.layers.0.weight``."""
    parts = []
    for entry in path:
        found = (getattr(entry, kind, None) for kind in ("name", "idx", "key"))
        parts.append(str(next(value for value in found if value is not None)))
    return ".".join(parts)


def _named_leaves(model: Any) -> tuple[list[str], list[Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(model, eqx.is_inexact_array))
    return [leaf_name(path) for path, _ in leaves], [leaf for _, leaf in leaves]


def to_flat(model: Any) -> tuple[np.ndarray, str]:
    """Return all weights of a model as one vector, and where each of them lies in it.

    Parameters
    ----------
    model
        An equinox module (or any pytree); its floating-point arrays are the weights.

    Returns
    -------
    vector : numpy.ndarray
        One entry per weight, float32, or float64 where one of them is.
    layout : str
        JSON ``{name: [start, shape]}`` in the order of the vector.
    """
    names, leaves = _named_leaves(model)
    layout, start = {}, 0
    for name, leaf in zip(names, leaves, strict=True):
        layout[name] = [start, list(leaf.shape)]
        start += leaf.size
    flat = [np.asarray(leaf).ravel() for leaf in leaves]
    return np.concatenate([np.empty(0, np.float32), *flat]), json.dumps(layout)


def from_flat(template: Any, vector: np.ndarray, layout: str) -> Any:
    """Return a model like the template with the weights of :func:`to_flat`.

    Parameters
    ----------
    template
        A model of the same shapes; its weights are not used.
    vector, layout
        As :func:`to_flat` returned them.

    Raises
    ------
    SchemaError
        If the layout is not that of the template, or the vector does not fit it or is not finite.
    """
    vector = np.asarray(vector)
    names, leaves = _named_leaves(template)
    expected = json.loads(to_flat(template)[1])
    try:
        given = dict(json.loads(layout))
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"Expected the layout of weights as JSON {{name: [start, shape]}}, got {layout!r}: "
            f"keep the attributes of the variable that holds the weights."
        ) from error
    if given != expected:
        missing = sorted(set(expected) - set(given))
        extra = sorted(set(given) - set(expected))
        differing = [n for n in expected if n in given and given[n] != expected[n]]
        raise SchemaError(
            f"Expected weights of a model with the layout {expected}, got one where {missing} are "
            f"missing, {extra} are unknown and {differing} lie elsewhere or have another shape: "
            f"use the hyper-parameters and the version that the weights were trained with."
        )
    size = sum(leaf.size for leaf in leaves)
    if vector.shape != (size,):
        raise SchemaError(
            f"Expected a vector of {size} weights, got shape {vector.shape}: pass the whole "
            f"variable."
        )
    if not np.isfinite(vector).all():
        raise SchemaError(
            f"Expected finite weights, got {int((~np.isfinite(vector)).sum())} of {size} that are "
            f"not: the file is damaged, or they were changed after training."
        )
    made = iter(
        jax.numpy.asarray(vector[start : start + leaf.size].reshape(shape), dtype=leaf.dtype)
        for leaf, (start, shape) in zip(leaves, (given[name] for name in names), strict=True)
    )
    return jax.tree.map(lambda leaf: next(made) if eqx.is_inexact_array(leaf) else leaf, template)
