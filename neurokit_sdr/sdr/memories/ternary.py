"""Patterns of -1, 0 and 1: diluted ones, noisy examples of them, and overlaps with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import Interval, check, check_whole
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.schema import describe
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.sdr.frames import flatten


def diluted_patterns(n_items: int, n_cells: int, dilution: float, *, rng: RNG = None) -> xr.Dataset:
    """Draw patterns whose entries are 0 with probability d, and -1 or 1 alike otherwise.

    Parameters
    ----------
    n_items, n_cells
        How many, of how many cells.
    dilution
        d, from 0 to 1.
    rng
        Seed or generator.

    Returns
    -------
    xarray.Dataset
        ``pattern(item, cell)``, int8.

    Raises
    ------
    ParameterError
        If a number is out of range.

    Examples
    --------
    >>> diluted_patterns(1, 8, 0.5, rng=0)["pattern"].values
    array([[...]], dtype=int8)
    """
    shape = check_whole("n_items", n_items, 1), check_whole("n_cells", n_cells, 1)
    check("dilution", dilution, Interval(float, 0, 1))
    generator = stream(resolve_seed(rng), "diluted_patterns")
    present = generator.random(shape) >= dilution
    sign = np.where(generator.random(shape) < 0.5, -1, 1)
    return xr.Dataset(
        {"pattern": (("item", "cell"), (present * sign).astype(np.int8))},
        coords={"cell": np.arange(shape[1])},
    )


def noisy_examples(
    patterns: xr.Dataset, quality: float, n_examples: int, *, rng: RNG = None
) -> xr.Dataset:
    r"""Draw noisy examples of patterns: entries keep their sign with probability (1 + r) / 2.

    The dataset's entropy is :math:`\rho = (1 - r^2) / (M r^2)`; where it is large, the examples do
    not tell the patterns.

    Parameters
    ----------
    patterns
        ``pattern(item, cell)``, of -1, 0 and 1.
    quality
        r, from 0 (noise) to 1 (copies).
    n_examples
        M, of each pattern.
    rng
        Seed or generator.

    Returns
    -------
    xarray.Dataset
        ``pattern(item, cell)``, int8, with ``label(item)``, the position of the pattern, and
        ``attrs["dataset_entropy"]`` (infinite without quality).

    Raises
    ------
    SchemaError, ParameterError

    Examples
    --------
    >>> examples = noisy_examples(diluted_patterns(2, 10, 0.5, rng=0), 0.5, 3, rng=0)
    >>> examples["label"].values, examples.attrs["dataset_entropy"]
    (array([0, 0, 0, 1, 1, 1]), 1.0)
    """
    pattern = ternary(patterns)
    check("quality", quality, Interval(float, 0, 1))
    number = check_whole("n_examples", n_examples, 1)
    generator = stream(resolve_seed(rng), "noisy_examples")
    repeated = np.repeat(pattern, number, axis=0)
    flip = generator.random(repeated.shape) >= (1 + quality) / 2
    entropy = (1 - quality**2) / (number * quality**2) if quality > 0 else float("inf")
    return xr.Dataset(
        {
            "pattern": (("item", "cell"), np.where(flip, -repeated, repeated)),
            "label": ("item", np.repeat(np.arange(len(pattern)), number)),
        },
        coords={"cell": patterns["cell"]},
        attrs={"dataset_entropy": float(entropy)},
    )


def mattis_overlap(patterns: xr.Dataset, states: xr.Dataset) -> xr.DataArray:
    r"""Overlap of states with patterns, :math:`m_\mu = \frac1N \sum_i \xi_i^\mu s_i`.

    Parameters
    ----------
    patterns
        ``pattern(item, cell)``, booleans or -1, 0 and 1.
    states
        ``pattern(item, cell)`` as a memory's ``recall`` gives it.

    Returns
    -------
    xarray.DataArray
        ``mattis_overlap(state, item)``, from -1 to 1.

    Raises
    ------
    SchemaError
        If the data break the schema, or the cells differ.

    Examples
    --------
    >>> items = diluted_patterns(2, 100, 0.0, rng=0)
    >>> states = items.assign(pattern=items["pattern"] > 0)
    >>> mattis_overlap(items, states).values.diagonal()
    array([1., 1.])
    """
    stored, state = (
        ternary(data) if is_ternary(data) else 2 * flatten(data).pattern.astype(np.int8) - 1
        for data in (patterns, states)
    )
    if not np.array_equal(patterns["cell"].values, states["cell"].values):
        raise SchemaError(
            f"Expected states of the {stored.shape[1]} cells of the patterns, got "
            f"{state.shape[1]} others."
        )
    found = state.astype(float) @ stored.T.astype(float) / stored.shape[1]
    return xr.DataArray(found, dims=("state", "item"), name="mattis_overlap", attrs={"units": "1"})


def is_ternary(data: Any) -> bool:
    """Whether a Dataset holds entries of both signs, rather than active cells."""
    return (
        isinstance(data, xr.Dataset)
        and "pattern" in data.variables
        and data["pattern"].dtype.kind == "i"
    )


def ternary(data: xr.Dataset) -> np.ndarray:
    """Entries -1, 0 and 1, checked, int8 (item, cell)."""
    if not is_ternary(data) or data["pattern"].dims != ("item", "cell") or "cell" not in data:
        raise SchemaError(
            f"Expected integers pattern(item, cell) of -1, 0 and 1 with a coordinate 'cell', got "
            f"{describe(data)}: make them with nks.sdr.diluted_patterns."
        )
    values = np.asarray(data["pattern"].values)
    if values.size == 0 or not np.isin(values, (-1, 0, 1)).all():
        raise SchemaError(
            f"Expected entries -1, 0 and 1 of at least one item and cell, got "
            f"{np.unique(values)[:5].tolist()}."
        )
    return values.astype(np.int8)
