"""Macs, and which sources each of them hears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.sdr.sparsey.rule import levels_of


class Afferents(NamedTuple):
    """Which sources reach which mac through one type of synapse.

    Attributes
    ----------
    source
        Number of each afferent, shape (afferent,).
    start
        First afferent of each mac, and their number last, shape (mac + 1,).
    """

    source: np.ndarray
    start: np.ndarray


class Wiring(NamedTuple):
    """The fields and what they hear.

    Attributes
    ----------
    n_cells
        Cells of the input.
    level
        Of each mac, from 0, in rising order, shape (mac,).
    bottom_up, horizontal, top_down
        The afferents of each type; none of a type that is not used.
    """

    n_cells: int
    level: np.ndarray
    bottom_up: Afferents
    horizontal: Afferents
    top_down: Afferents


def make_wiring(
    position: np.ndarray,
    n_macs: int | Sequence[int],
    receptive_field: float,
    signals: str,
    size: int,
) -> Wiring:
    """Wire levels of macs on top of the cells.

    Parameters
    ----------
    position
        Of each cell, within the unit interval or square, shape (cell, 1) or (cell, 2).
    n_macs
        Macs in each level, from the bottom; a number for one level.
    receptive_field
        Width of the windows, in distances between macs.
    signals
        Letters of the types that exist.
    size
        Units in a mac.

    Raises
    ------
    ParameterError
        If macs cannot lie on a grid, or one has nothing in its window.
    """
    levels = levels_of(n_macs)
    square = [round(n**0.5) ** 2 == n for n in levels]
    if position.shape[1] == 2 and not all(square):
        raise ParameterError(
            f"Expected n_macs as square numbers, for cells with x and y, got {n_macs!r}: "
            f"or drop x and y to have macs along the cells."
        )
    n_cells, level = len(position), np.repeat(np.arange(len(levels)), levels)
    first = np.concatenate([[0], np.cumsum(levels)])
    below, below_number = position, np.arange(n_cells)[:, None]
    heard: list[np.ndarray] = []
    parents: list[list[int]] = [[] for _ in level]
    for depth, number in enumerate(levels):
        centre, spacing = mac_positions(number, position.shape[1])
        for m in range(number):
            offset = below - centre[m]
            reach = receptive_field * spacing / 2
            inside = ((offset >= -reach - 1e-9) & (offset < reach - 1e-9)).all(axis=1)
            heard.append(below_number[inside].ravel())
            if depth > 0:
                for child in np.flatnonzero(inside):
                    parents[first[depth - 1] + child].append(first[depth] + m)
        macs = first[depth] + np.arange(number)
        below, below_number = centre, n_cells + macs[:, None] * size + np.arange(size)
    own = [n_cells + m * size + np.arange(size) for m in range(len(level))]
    above = [np.concatenate([own[p] for p in found] or [own[0][:0]]) for found in parents]
    none = [own[0][:0] for _ in level]
    if not all(map(len, heard)):
        raise ParameterError(
            f"Expected macs that each have something in their window, got n_macs="
            f"{n_macs!r} for {len(position)} cells: use fewer macs, or a larger "
            f"receptive_field."
        )
    return Wiring(
        n_cells,
        level,
        _behind_one_another(heard),
        _behind_one_another(own if "H" in signals else none),
        _behind_one_another(above if "D" in signals else none),
    )


def mac_positions(number: int, dimensions: int) -> tuple[np.ndarray, float]:
    """Centres of the macs of a level, shape (mac, dimension), and the distance between them."""
    side = number if dimensions == 1 else round(number**0.5)
    along = (np.arange(side) + 0.5) / side
    grid = np.meshgrid(*[along] * dimensions, indexing="ij")
    return np.stack([axis.ravel() for axis in grid], axis=1), 1 / side


def _behind_one_another(sources: list[np.ndarray]) -> Afferents:
    start = np.concatenate([[0], np.cumsum([len(s) for s in sources])])
    return Afferents(np.concatenate(sources).astype(np.int64), start.astype(np.int64))
