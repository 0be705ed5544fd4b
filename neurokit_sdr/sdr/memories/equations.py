"""Associative memories on plain arrays: Hebbian and dense networks of spins.

A spin is +1 (the cell is active) or -1. Spins are updated one at a time, in an order drawn anew for
each sweep, so that without temperature the energy never rises.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

#: Order of the exponential interaction in what is compiled.
EXPONENTIAL = 0


class Settled(NamedTuple):
    """Where the dynamics of each cue ended.

    Attributes
    ----------
    spin
        int8 (item, cell).
    sweeps
        Sweeps over all cells that changed something, and the last one, shape (item,).
    settled
        Whether the last sweep changed nothing, shape (item,).
    """

    spin: np.ndarray
    sweeps: np.ndarray
    settled: np.ndarray


def hebbian_coupling(pattern: np.ndarray) -> np.ndarray:
    """Sum of the outer products of patterns, no cell with itself.

    It is left undivided by the number of cells: couplings of whole patterns are whole numbers, so
    that fields that cancel are exactly 0, in whatever order patterns were stored.

    Parameters
    ----------
    pattern
        Entries -1, 0 and 1, or means of such, shape (item, cell).
    """
    values = pattern.astype(np.float64)
    coupling = values.T @ values
    np.fill_diagonal(coupling, 0.0)
    return coupling


def hebbian_energy(coupling: np.ndarray, spin: np.ndarray) -> np.ndarray:
    """Minus half the sum of couplings between equal spins, less that between others, (item,)."""
    values = spin.astype(np.float64)
    return -0.5 * np.einsum("ai,ij,aj->a", values, coupling, values)


def settle_hebbian(
    coupling: np.ndarray,
    spin: np.ndarray,
    max_sweeps: int,
    temperature: float,
    generator: np.random.Generator,
) -> Settled:
    """Glauber dynamics from each cue; a spin on which no field acts stays.

    Parameters
    ----------
    coupling
        Shape (cell, cell).
    spin
        Where to start; an entry 0 takes the sign of its field, or a random one. Shape (item, cell).
    max_sweeps
        Most sweeps over all cells; with temperature, exactly as many.
    temperature
        In units of the field.
    generator
        Draws the order, and with temperature the spins.
    """
    spin = spin.astype(np.int8)
    sweeps, settled = np.zeros(len(spin), np.int64), np.zeros(len(spin), bool)
    _settle_hebbian(coupling, spin, max_sweeps, temperature, generator, sweeps, settled)
    return Settled(spin, sweeps, settled)


def dense_energy(pattern: np.ndarray, spin: np.ndarray, order: int) -> np.ndarray:
    r"""Energy per cell of :func:`settle_dense`, shape (item,).

    Of overlaps :math:`m_\mu`, the sum of :math:`-\max(0, m_\mu / N)^n`, or for the exponential
    :math:`-\log \sum_\mu e^{m_\mu} / N`, which orders states in the same way and does not overflow.
    """
    n_cells = pattern.shape[1]
    overlap = spin.astype(np.float64) @ pattern.astype(np.float64).T
    if order == EXPONENTIAL:
        return -np.logaddexp.reduce(overlap, axis=1) / n_cells
    return -(np.maximum(overlap / n_cells, 0.0) ** order).sum(axis=1)


def settle_dense(
    pattern: np.ndarray,
    spin: np.ndarray,
    order: int,
    max_sweeps: int,
    generator: np.random.Generator,
) -> Settled:
    """Flip every spin that lowers the energy, until none does.

    Parameters
    ----------
    pattern
        Stored spins, int8 (item, cell).
    spin
        Where to start, shape (item, cell).
    order
        Of the polynomial, from 2; :data:`EXPONENTIAL` for the exponential.
    max_sweeps
        Most sweeps over all cells.
    generator
        Draws the order.
    """
    spin = spin.astype(np.int8)
    sweeps, settled = np.zeros(len(spin), np.int64), np.zeros(len(spin), bool)
    by_cell = np.ascontiguousarray(pattern.T.astype(np.int8))
    _settle_dense(by_cell, spin, order, max_sweeps, generator, sweeps, settled)
    return Settled(spin, sweeps, settled)


@numba.njit(cache=True)
def _shuffle(order, generator):
    for i in range(order.size - 1, 0, -1):
        j = int(generator.random() * (i + 1))
        order[i], order[j] = order[j], order[i]


@numba.njit(cache=True)
def _settle_hebbian(coupling, spin, max_sweeps, temperature, generator, sweeps, settled):
    n_cells = coupling.shape[0]
    order = np.arange(n_cells)
    for item in range(spin.shape[0]):
        field = np.zeros(n_cells)
        for j in range(n_cells):
            if spin[item, j] != 0:
                field += coupling[j] * spin[item, j]
        for sweep in range(max_sweeps):
            _shuffle(order, generator)
            changed = False
            for i in order:
                old, h = spin[item, i], field[i]
                if temperature > 0:
                    up = 1.0 / (1.0 + np.exp(-2.0 * h / temperature))
                    new = 1 if generator.random() < up else -1
                elif h != 0:
                    new = 1 if h > 0 else -1
                elif old != 0:
                    new = old
                else:
                    new = 1 if generator.random() < 0.5 else -1
                if new != old:
                    changed = True
                    spin[item, i] = new
                    field += coupling[i] * (new - old)
            sweeps[item] = sweep + 1
            if not changed and temperature == 0:
                settled[item] = True
                break


@numba.njit(cache=True)
def _gain(overlap, flip, order, n_cells):
    """What flipping one spin adds to the sum of the interactions, up to a positive factor."""
    gain = 0.0
    if order == EXPONENTIAL:
        highest = overlap[0]
        for value in overlap:
            highest = max(highest, value)
        for k in range(overlap.size):
            gain += np.exp(overlap[k] - highest) * np.expm1(flip[k])
        return gain
    for k in range(overlap.size):
        before, after = max(overlap[k], 0.0), max(overlap[k] + flip[k], 0.0)
        if before > 0 or after > 0:
            gain += (after / n_cells) ** order - (before / n_cells) ** order
    return gain


@numba.njit(cache=True)
def _settle_dense(pattern, spin, interaction, max_sweeps, generator, sweeps, settled):
    n_cells, n_stored = pattern.shape
    order = np.arange(n_cells)
    overlap, flip = np.empty(n_stored), np.empty(n_stored)
    for item in range(spin.shape[0]):
        overlap[:] = 0.0
        for i in range(n_cells):
            for k in range(n_stored):
                overlap[k] += pattern[i, k] * spin[item, i]
        for sweep in range(max_sweeps):
            _shuffle(order, generator)
            changed = False
            for i in order:
                for k in range(n_stored):
                    flip[k] = -2.0 * pattern[i, k] * spin[item, i]
                if _gain(overlap, flip, interaction, n_cells) > 0:
                    spin[item, i] = -spin[item, i]
                    overlap += flip
                    changed = True
            sweeps[item] = sweep + 1
            if not changed:
                settled[item] = True
                break
