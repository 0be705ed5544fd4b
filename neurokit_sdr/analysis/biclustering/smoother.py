r"""Trajectories of all clusters at once, given Gaussian information about each bin.

With Pólya-Gamma variates :math:`\omega_{ti} \sim PG(y_{ti} + r_i, \psi_{ti})`,
:math:`\psi = \log \lambda - \log r`, a count is worth
:math:`\exp(\kappa \psi - \omega \psi^2 / 2)`, :math:`\kappa = (y - r) / 2`. All trajectories then
have one Gaussian law whose precision has a band of blocks: its Cholesky factor, forward in time,
and one solution backward give an exact draw. The cost is linear in time and cubic in
:math:`k = K (1 + p)`, and does not depend on the number of neurons but by a sum over them.

References
----------
Carter, Kohn (1994); Frühwirth-Schnatter (1994): forward filtering, backward sampling.
Rue (2001), Fast sampling of Gaussian Markov random fields. JRSS B 63.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from neurokit_sdr.analysis.biclustering.equations import Counts, Parameters, Priors, log_rate
from neurokit_sdr.analysis.biclustering.polya_gamma import draw_polya_gamma


class Information(NamedTuple):
    r"""What counts say about each unit's :math:`\psi`: exp(pull psi - weight psi^2 / 2).

    Attributes
    ----------
    pull, weight
        :math:`\kappa` and :math:`\omega`, shape (time, unit); 0 where nothing was observed.
    """

    pull: np.ndarray
    weight: np.ndarray


def draw_information(data: Counts, at: Parameters, rng: np.random.Generator) -> Information:
    """Draw the auxiliary variates of every observed count."""
    psi = log_rate(at) - np.log(at.dispersion)
    shape = np.where(data.observed, data.spikes + at.dispersion, 0.0)
    pull = np.where(data.observed, (data.spikes - at.dispersion) / 2, 0.0)
    return Information(pull, draw_polya_gamma(shape, psi, rng))


def draw_latent(
    data: Counts, at: Parameters, information: Information, prior: Priors, rng: np.random.Generator
) -> Parameters:
    """Draw the trajectories of all clusters from their joint conditional."""
    law = law_of_paths(
        *about_latent(at, information), at.dynamics, at.noise, at.state, data.starts, prior.first_sd
    )
    normal = rng.standard_normal(law.centre.shape)
    return at._replace(latent=path_of(law, normal).reshape(at.latent.shape))


def about_latent(at: Parameters, information: Information) -> tuple[np.ndarray, np.ndarray]:
    """Return what counts say of each bin: pull (time, k), precision (time, cluster, q, q)."""
    n_bins, n_clusters, width = at.latent.shape
    pull = np.empty((n_bins, n_clusters, width))
    precision = np.empty((n_bins, n_clusters, width, width))
    known = at.offset - np.log(at.dispersion)
    for j in range(n_clusters):
        units = np.flatnonzero(at.cluster == j)
        weight = information.weight[:, units]
        design = np.column_stack([np.ones(len(units)), at.loading[units]])
        pull[:, j] = (information.pull[:, units] - weight * known[units]) @ design
        squares = (design[:, :, None] * design[:, None, :]).reshape(len(units), -1)
        precision[:, j] = (weight @ squares).reshape(n_bins, width, width)
    return pull.reshape(n_bins, -1), precision


class PathLaw(NamedTuple):
    """A Gaussian law of paths by its Cholesky factor: a draw solves L' x = centre + normal.

    Attributes
    ----------
    factor
        Blocks on the diagonal of L, shape (time, k, k); what is above their diagonals is void.
    onward
        Blocks of L' beside them, negated, shape (time, k, k); void where a trial ends.
    centre
        Shape (time, k).
    starts
        First bin of each trial, and the number of bins last.
    """

    factor: np.ndarray
    onward: np.ndarray
    centre: np.ndarray
    starts: np.ndarray


def law_of_paths(
    pull: np.ndarray,
    precision: np.ndarray,
    dynamics: np.ndarray,
    noise: np.ndarray,
    state: np.ndarray,
    starts: np.ndarray,
    first_sd: float,
) -> PathLaw:
    """Return the law of paths given what is known of each bin.

    Parameters
    ----------
    pull, precision
        As from :func:`about_latent`.
    dynamics, noise, state, starts, first_sd
        See :mod:`~neurokit_sdr.analysis.biclustering.equations`.
    """
    inverse = np.linalg.inv(noise)
    turn, shift = dynamics[:, :, :-1], dynamics[:, :, -1]
    back = np.ascontiguousarray(np.swapaxes(turn, 1, 2) @ inverse)  # A' Q^-1
    through = back @ turn
    arriving = np.einsum("sij,sj->si", inverse, shift)
    leaving = -np.einsum("sij,sj->si", back, shift)
    factor = np.empty((*pull.shape, pull.shape[1]))
    onward = np.empty_like(factor)
    centre = np.empty_like(pull)
    _factorise(
        np.ascontiguousarray(pull), precision, inverse, back, through, arriving, leaving, state,
        starts, first_sd**-2, factor, onward, centre,
    )  # fmt: skip
    return PathLaw(factor, onward, centre, starts)


def path_of(law: PathLaw, normal: np.ndarray) -> np.ndarray:
    """Return the path (time, k) of standard normal variates; of zeros, the mean."""
    path = law.centre + normal
    _solve_back(law.factor, law.onward, law.starts, path)
    return path


def log_density_of_path(law: PathLaw, path: np.ndarray) -> float:
    """Log density of a path (time, k)."""
    return float(_log_density(law.factor, law.onward, law.centre, law.starts, path))


@numba.njit(cache=True, nogil=True)
def _factorise(
    pull, precision, inverse, back, through, arriving, leaving, state, starts, first,
    factor, onward, path,
):  # fmt: skip
    """Fill the Cholesky factor of the precision, and what forward substitution makes of pull."""
    k = pull.shape[1]
    n_blocks, width = precision.shape[1], precision.shape[2]
    for trial in range(starts.size - 1):
        begin, end = starts[trial], starts[trial + 1]
        for t in range(begin, end):
            block = factor[t]
            y = path[t]
            if t == begin:
                for i in range(k):
                    for j in range(i + 1):
                        block[i, j] = 0.0
                    block[i, i] = first
                    y[i] = pull[t, i]
            else:
                here = state[t]
                before = onward[t - 1]
                for i in range(k):
                    y[i] = pull[t, i] + arriving[here, i]
                    for j in range(i + 1):
                        block[i, j] = inverse[here, i, j]
                for m in range(k):
                    for i in range(k):
                        y[i] += before[m, i] * path[t - 1, m]
                        weight = before[m, i]
                        for j in range(i + 1):
                            block[i, j] -= weight * before[m, j]
            if t + 1 < end:
                after = state[t + 1]
                for i in range(k):
                    y[i] += leaving[after, i]
                    for j in range(i + 1):
                        block[i, j] += through[after, i, j]
            for c in range(n_blocks):
                for i in range(width):
                    for j in range(i + 1):
                        block[c * width + i, c * width + j] += precision[t, c, i, j]
            _cholesky(block)
            for i in range(k):
                for j in range(i):
                    y[i] -= block[i, j] * y[j]
                y[i] /= block[i, i]
            if t + 1 < end:
                band = onward[t]
                after = state[t + 1]
                for i in range(k):
                    for j in range(k):
                        band[i, j] = back[after, i, j]
                    for m in range(i):
                        weight = block[i, m]
                        for j in range(k):
                            band[i, j] -= weight * band[m, j]
                    scale = 1.0 / block[i, i]
                    for j in range(k):
                        band[i, j] *= scale


@numba.njit(cache=True, nogil=True)
def _solve_back(factor, onward, starts, path):
    """Solve in place, from the last bin of a trial to its first."""
    k = path.shape[1]
    for trial in range(starts.size - 1):
        for t in range(starts[trial + 1] - 1, starts[trial] - 1, -1):
            block = factor[t]
            x = path[t]
            if t + 1 < starts[trial + 1]:
                for i in range(k):
                    for j in range(k):
                        x[i] += onward[t, i, j] * path[t + 1, j]
            for i in range(k - 1, -1, -1):
                x[i] /= block[i, i]
                for j in range(i):
                    x[j] -= block[i, j] * x[i]


@numba.njit(cache=True, nogil=True)
def _log_density(factor, onward, centre, starts, path):
    n_bins, k = path.shape
    total = -0.5 * n_bins * k * np.log(2 * np.pi)
    for trial in range(starts.size - 1):
        for t in range(starts[trial], starts[trial + 1]):
            for i in range(k):
                normal = -centre[t, i]
                for j in range(i, k):
                    normal += factor[t, j, i] * path[t, j]
                if t + 1 < starts[trial + 1]:
                    for j in range(k):
                        normal -= onward[t, i, j] * path[t + 1, j]
                total += np.log(factor[t, i, i]) - 0.5 * normal * normal
    return total


@numba.njit(cache=True, nogil=True)
def _cholesky(a):
    """Lower factor in place, of the lower triangle."""
    k = a.shape[0]
    for i in range(k):
        for j in range(i):
            total = a[i, j]
            for m in range(j):
                total -= a[i, m] * a[j, m]
            a[i, j] = total / a[j, j]
        total = a[i, i]
        for m in range(i):
            total -= a[i, m] * a[i, m]
        a[i, i] = np.sqrt(total)
