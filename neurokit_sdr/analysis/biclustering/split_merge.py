r"""Clusters appear by splits and vanish by merges, each with its whole acceptance ratio.

Two neurons are drawn. If they share a cluster, the second takes some others with it into a new one;
if not, its cluster joins the first one's. Dynamics and noise are integrated out, so that the cost
of a cluster more, all whose interactions with the others come with it, is counted exactly; they are
drawn anew afterwards.

A split draws, in turn: who leaves, by likeness of counts; their offsets and loadings; the dynamics
of the new cluster alone; and its trajectories, from a Gaussian law that fits those. All follow from
a few turns of a sampler of the group alone, which begins from a *gauge*: loadings along the main
directions of the group, drawn widely because trajectories can be turned, stretched and shifted. On
the way back a gauge is drawn near the loadings that are there, and dynamics as the trajectories
that are there tell them. Gauge, turns and dynamics are auxiliary: the first and the last enter the
ratio with their densities both ways, the turns are run anew from the gauge in either. A merge draws
offsets and loadings in the trajectory that stays, by Laplace's method.

References
----------
Jain, Neal (2007), Splitting and merging components of a nonconjugate Dirichlet process mixture
model. Bayesian Analysis 2.
Green (1995), Reversible jump Markov chain Monte Carlo. Biometrika 82.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from scipy.stats import norm

from neurokit_sdr.analysis.biclustering import laplace
from neurokit_sdr.analysis.biclustering.clusters import loading_precision
from neurokit_sdr.analysis.biclustering.equations import Counts, Parameters, Priors
from neurokit_sdr.analysis.biclustering.likeness import chances_to_leave, directions
from neurokit_sdr.analysis.biclustering.partition import log_partition
from neurokit_sdr.analysis.biclustering.smoother import (
    PathLaw,
    law_of_paths,
    log_density_of_path,
    path_of,
)
from neurokit_sdr.analysis.biclustering.states import (
    Regression,
    draw_dynamics,
    draw_regression,
    log_density_of_regression,
    log_evidence,
    regress,
)

#: Standard deviation of offsets along the directions of a group, in units of the prior's.
_ALONG = 0.5

#: How far a gauge may lie from that of what came of it, in units of its own standard deviation.
_FOUND = 0.15

#: How many bins a bin of a proposal's beginning counts for in the law of its dynamics.
_WORTH = 0.2

#: Turns of the sampler that a proposal begins with, and those before loadings move, too.
_TURNS = 10
_SETTLING = 4


class Known(NamedTuple):
    """What splits and merges need besides the data; all of it follows from them and the priors.

    Attributes
    ----------
    alike
        :func:`~neurokit_sdr.analysis.biclustering.likeness.likeness`.
    log_weight
        :func:`~neurokit_sdr.analysis.biclustering.partition.log_weights`.
    """

    alike: np.ndarray
    log_weight: np.ndarray


def split_or_merge(
    data: Counts, at: Parameters, prior: Priors, known: Known, rng: np.random.Generator
) -> Parameters:
    """Propose one split or merge, accept or not, and draw the dynamics anew."""
    if len(at.cluster) > 1:
        stays, leaves = rng.choice(len(at.cluster), 2, replace=False)
        if at.cluster[stays] == at.cluster[leaves]:
            at = _split(data, at, prior, known, stays, leaves, rng)
        else:
            at = _merge(data, at, prior, known, stays, leaves, rng)
    return draw_dynamics(data, at, prior, rng)


def _split(
    data: Counts,
    at: Parameters,
    prior: Priors,
    known: Known,
    stays: int,
    leaves: int,
    rng: np.random.Generator,
) -> Parameters:
    members = np.flatnonzero(at.cluster == at.cluster[stays])
    others = np.setdiff1d(members, [stays, leaves])
    chance = chances_to_leave(known.alike, stays, leaves, others)
    goes = rng.random(len(others)) < chance
    group = np.sort(np.r_[leaves, others[goes]])
    basis = directions(known.alike, group, prior.n_factors)
    gauge = draw_gauge(basis, prior, rng)
    begin = launch(data, at, prior, group, basis, gauge, rng)
    own = _draw_join(data, at, prior, group, begin.path, rng)
    moved = draw_regression(begin.dynamics, rng)
    law = group_law(data, at, prior, group, own, begin.path, *moved)
    path = path_of(law, rng.standard_normal(law.centre.shape))
    cluster = at.cluster.copy()
    cluster[group] = at.latent.shape[1]
    new = at._replace(
        cluster=cluster,
        offset=_replaced(at.offset, group, own[:, 0]),
        loading=_replaced(at.loading, group, own[:, 1:]),
        latent=np.concatenate([at.latent, path[:, None]], axis=1),
    )
    ratio = _log_target(data, new, prior, known, group) - _log_target(data, at, prior, known, group)
    before = np.column_stack([at.offset, at.loading])[group]
    stayed = np.ascontiguousarray(at.latent[:, at.cluster[stays]])
    ratio += _log_join(data, at, prior, group, stayed, before)
    ratio += log_density_of_gauge_found(gauge, data, basis, group, own, prior)
    ratio -= log_density_of_gauge(gauge, prior) + _log_leave(chance, goes)
    ratio -= _log_join(data, at, prior, group, begin.path, own) + log_density_of_path(law, path)
    there = regress(path, at.state, data.starts, prior)
    ratio += log_density_of_regression(there, *moved)
    ratio -= log_density_of_regression(begin.dynamics, *moved)
    return new if np.log(rng.random()) < ratio else at


def _merge(
    data: Counts,
    at: Parameters,
    prior: Priors,
    known: Known,
    stays: int,
    leaves: int,
    rng: np.random.Generator,
) -> Parameters:
    kept, gone = at.cluster[stays], at.cluster[leaves]
    group = np.flatnonzero(at.cluster == gone)
    others = np.setdiff1d(np.flatnonzero(at.cluster == kept), stays)
    others = np.union1d(others, np.setdiff1d(group, leaves))
    chance = chances_to_leave(known.alike, stays, leaves, others)
    goes = at.cluster[others] == gone
    basis = directions(known.alike, group, prior.n_factors)
    own = np.column_stack([at.offset, at.loading])[group]
    gauge = find_gauge(data, basis, group, own, prior, rng)
    begin = launch(data, at, prior, group, basis, gauge, rng)
    path = np.ascontiguousarray(at.latent[:, gone])
    there = regress(path, at.state, data.starts, prior)
    moved = draw_regression(there, rng)
    law = group_law(data, at, prior, group, own, begin.path, *moved)
    stayed = np.ascontiguousarray(at.latent[:, kept])
    joined = _draw_join(data, at, prior, group, stayed, rng)
    cluster = at.cluster.copy()
    cluster[group] = kept
    cluster -= cluster > gone
    new = at._replace(
        cluster=cluster,
        offset=_replaced(at.offset, group, joined[:, 0]),
        loading=_replaced(at.loading, group, joined[:, 1:]),
        latent=np.delete(at.latent, gone, axis=1),
    )
    ratio = _log_target(data, new, prior, known, group) - _log_target(data, at, prior, known, group)
    ratio += log_density_of_gauge(gauge, prior) + _log_leave(chance, goes)
    ratio -= log_density_of_gauge_found(gauge, data, basis, group, own, prior)
    ratio += _log_join(data, at, prior, group, begin.path, own)
    ratio += log_density_of_path(law, path)
    ratio += log_density_of_regression(begin.dynamics, *moved)
    ratio -= log_density_of_regression(there, *moved)
    ratio -= _log_join(data, at, prior, group, stayed, joined)
    return new if np.log(rng.random()) < ratio else at


def _replaced(values: np.ndarray, rows: np.ndarray, new: np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[rows] = new
    return changed


def _log_leave(chance: np.ndarray, goes: np.ndarray) -> float:
    return float(np.log(np.where(goes, chance, 1 - chance)).sum())


def _log_target(
    data: Counts, at: Parameters, prior: Priors, known: Known, group: np.ndarray
) -> float:
    """Log of all that a move of a group changes, with the dynamics integrated out."""
    total = log_partition(at.cluster, prior.concentration, known.log_weight)
    path = at.latent.reshape(len(at.latent), -1)
    total += log_evidence(path, at.state, data.starts, prior)
    paths = np.ascontiguousarray(np.swapaxes(at.latent, 0, 1))
    own = np.column_stack([at.offset, at.loading])
    return total + _log_posterior_of_group(
        group, at.cluster, own, data.spikes, data.observed, at.dispersion, paths,
        loading_precision(prior),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _log_posterior_of_group(group, cluster, own, spikes, observed, dispersion, paths, precision):
    total = 0.0
    for i in group:
        total += laplace.log_posterior(
            spikes[:, i], observed[:, i], dispersion[i], paths[cluster[i]], precision, own[i]
        )
    return total


def _draw_join(
    data: Counts,
    at: Parameters,
    prior: Priors,
    group: np.ndarray,
    path: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw offsets and loadings of a group in a trajectory, (unit, 1 + factor)."""
    own = np.empty((len(group), 1 + prior.n_factors))
    _join(group, own, True, data.spikes, data.observed, at.dispersion, path,
          loading_precision(prior), rng)  # fmt: skip
    return own


def _log_join(
    data: Counts,
    at: Parameters,
    prior: Priors,
    group: np.ndarray,
    path: np.ndarray,
    own: np.ndarray,
) -> float:
    """Log density of :func:`_draw_join`."""
    return _join(group, own, False, data.spikes, data.observed, at.dispersion, path,
                 loading_precision(prior), np.random.default_rng(0))  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _join(group, own, draws, spikes, observed, dispersion, path, precision, rng):
    """Draw offsets and loadings of a group if asked; log density of what they are."""
    q = path.shape[1]
    mode = np.empty(q)
    factor = np.empty((q, q))
    total = 0.0
    for n, i in enumerate(group):
        y, seen = spikes[:, i].copy(), observed[:, i].copy()
        laplace.fit(y, seen, dispersion[i], path, precision, mode, factor)
        if draws:
            own[n] = laplace.draw(mode, factor, rng)
        total += laplace.log_density(own[n], mode, factor)
    return total


# -- offsets, loadings and trajectories of a group that leaves -------------------------------------


def draw_gauge(basis: np.ndarray, prior: Priors, rng: np.random.Generator) -> np.ndarray:
    """Draw offsets and loadings along the directions of a group, (direction, 1 + factor).

    How trajectories are turned, stretched and shifted is arbitrary, and so are these.
    """
    return rng.standard_normal((basis.shape[1], 1 + prior.n_factors)) * _gauge_sd(prior)


def log_density_of_gauge(gauge: np.ndarray, prior: Priors) -> float:
    """Log density of :func:`draw_gauge`."""
    return float(norm.logpdf(gauge, scale=_gauge_sd(prior)).sum())


def find_gauge(
    data: Counts,
    basis: np.ndarray,
    group: np.ndarray,
    own: np.ndarray,
    prior: Priors,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw a gauge that offsets and loadings may have come from."""
    around = _gauge_of(data, basis, group, own)
    return around + _FOUND * _gauge_sd(prior) * rng.standard_normal(around.shape)


def log_density_of_gauge_found(
    gauge: np.ndarray,
    data: Counts,
    basis: np.ndarray,
    group: np.ndarray,
    own: np.ndarray,
    prior: Priors,
) -> float:
    """Log density of :func:`find_gauge`."""
    around = _gauge_of(data, basis, group, own)
    return float(norm.logpdf(gauge, around, _FOUND * _gauge_sd(prior)).sum())


def _gauge_sd(prior: Priors) -> np.ndarray:
    return np.array([_ALONG * prior.offset_sd, *[prior.loading_sd] * prior.n_factors])


def _gauge_of(data: Counts, basis: np.ndarray, group: np.ndarray, own: np.ndarray) -> np.ndarray:
    relative = own.copy()
    relative[:, 0] -= _usual_offset(data, group)
    return basis.T @ relative


def _usual_offset(data: Counts, group: np.ndarray) -> np.ndarray:
    seen = data.observed[:, group]
    total = np.where(seen, data.spikes[:, group], 0.0).sum(axis=0)
    return np.log((total + 0.5) / (seen.sum(axis=0) + 0.5))


class Launch(NamedTuple):
    """What a proposal begins with.

    Attributes
    ----------
    path
        A trajectory, shape (time, 1 + factor).
    dynamics
        The law that its dynamics and noise are drawn from, wider than what the path would say.
    """

    path: np.ndarray
    dynamics: Regression


def launch(
    data: Counts,
    at: Parameters,
    prior: Priors,
    group: np.ndarray,
    basis: np.ndarray,
    gauge: np.ndarray,
    rng: np.random.Generator,
) -> Launch:
    """Find trajectories of a group by some turns of a sampler of its own, from a gauge.

    What it takes of the chain is not changed by a split or merge: states and dispersions.
    """
    own = basis @ gauge
    own[:, 0] += _usual_offset(data, group)
    path = np.zeros((len(data.spikes), 1 + prior.n_factors))
    # The empty path that begins would fit noise of no size at all.
    nothing = regress(path, at.state, data.starts, prior, 0.0)
    dynamics, noise = draw_regression(nothing, rng)
    for turn in range(_TURNS):
        law = group_law(data, at, prior, group, own, path, dynamics, noise)
        path = path_of(law, rng.standard_normal(path.shape))
        if turn >= _SETTLING:
            own = _draw_join(data, at, prior, group, path, rng)
        found = regress(path, at.state, data.starts, prior)
        dynamics, noise = draw_regression(found, rng)
    return Launch(path, regress(path, at.state, data.starts, prior, _WORTH))


def group_law(
    data: Counts,
    at: Parameters,
    prior: Priors,
    group: np.ndarray,
    own: np.ndarray,
    near: np.ndarray,
    dynamics: np.ndarray,
    noise: np.ndarray,
) -> PathLaw:
    """Return a Gaussian law of the trajectories of a group: the posterior, but for the counts.

    Those are replaced by their auxiliary variates' means near a trajectory.
    """
    r, seen, y = at.dispersion[group], data.observed[:, group], data.spikes[:, group]
    width = 1 + prior.n_factors
    design = np.column_stack([np.ones(len(group)), own[:, 1:]])
    squares = (design[:, :, None] * design[:, None, :]).reshape(len(group), -1)
    known = own[:, 0] - np.log(r)
    psi = known + near @ design.T
    # The mean of the auxiliary variates; its limit at 0 is 1/4.
    mean = np.where(np.abs(psi) < 1e-6, 0.25, np.tanh(psi / 2) / (2 * psi + (psi == 0)))
    weight = np.where(seen, (y + r) * mean, 0.0)
    pull = (np.where(seen, (y - r) / 2, 0.0) - weight * known) @ design
    precision = (weight @ squares).reshape(len(y), 1, width, width)
    return law_of_paths(pull, precision, dynamics, noise, at.state, data.starts, prior.first_sd)
