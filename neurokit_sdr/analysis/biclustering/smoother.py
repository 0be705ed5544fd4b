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
    pull, precision = about_latent(at, information)
    path = draw_path(
        pull, precision, at.dynamics, at.noise, at.state, data.starts, prior.first_sd,
        rng.standard_normal(pull.shape),
    )  # fmt: skip
    return at._replace(latent=path.reshape(at.latent.shape))


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


def draw_path(
    pull: np.ndarray,
    precision: np.ndarray,
    dynamics: np.ndarray,
    noise: np.ndarray,
    state: np.ndarray,
    starts: np.ndarray,
    first_sd: float,
    normal: np.ndarray,
) -> np.ndarray:
    """Return the draw that belongs to standard normal variates; of zeros, the mean.

    Parameters
    ----------
    pull, precision
        As from :func:`about_latent`.
    dynamics, noise, state, starts, first_sd
        See :mod:`~neurokit_sdr.analysis.biclustering.equations`.
    normal
        Shape (time, k).
    """
    inverse = np.linalg.inv(noise)
    turn, shift = dynamics[:, :, :-1], dynamics[:, :, -1]
    back = np.ascontiguousarray(np.swapaxes(turn, 1, 2) @ inverse)  # A' Q^-1
    through = back @ turn
    arriving = np.einsum("sij,sj->si", inverse, shift)
    leaving = -np.einsum("sij,sj->si", back, shift)
    return _draw_path(
        np.ascontiguousarray(pull), precision, inverse, back, through, arriving, leaving, state,
        starts, first_sd**-2, np.ascontiguousarray(normal),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _draw_path(
    pull, precision, inverse, back, through, arriving, leaving, state, starts, first, normal
):
    n_bins, k = pull.shape
    n_blocks, width = precision.shape[1], precision.shape[2]
    factor = np.empty((n_bins, k, k))  # lower triangles of the Cholesky factor
    onward = np.empty((n_bins, k, k))  # L^-1 A' Q^-1: the factor's band, transposed and negated
    path = np.empty((n_bins, k))
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
        for t in range(end - 1, begin - 1, -1):
            block = factor[t]
            x = path[t]
            for i in range(k):
                x[i] += normal[t, i]
                if t + 1 < end:
                    for j in range(k):
                        x[i] += onward[t, i, j] * path[t + 1, j]
            for i in range(k - 1, -1, -1):
                x[i] /= block[i, i]
                for j in range(i):
                    x[j] -= block[i, j] * x[i]
    return path


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
