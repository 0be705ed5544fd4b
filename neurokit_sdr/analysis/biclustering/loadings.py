"""Offsets and loadings of neurons, given the trajectory of their cluster."""

from __future__ import annotations

import numpy as np

from neurokit_sdr.analysis.biclustering.equations import Parameters, Priors
from neurokit_sdr.analysis.biclustering.smoother import Information


def draw_loadings(
    at: Parameters, information: Information, prior: Priors, rng: np.random.Generator
) -> Parameters:
    r"""Draw :math:`(\delta_i, c_i)` of each neuron from its Gaussian conditional."""
    width = at.latent.shape[2]
    drawn = np.empty((len(at.cluster), width))
    normal = rng.standard_normal(drawn.shape)
    own = np.array([prior.offset_sd**-2, *[prior.loading_sd**-2] * (width - 1)])
    for j in range(at.latent.shape[1]):
        units = np.flatnonzero(at.cluster == j)
        design = at.latent[:, j].copy()
        design[:, 0] = 1.0
        weight = information.weight[:, units]
        known = at.latent[:, j, :1] - np.log(at.dispersion[units])
        pull = (information.pull[:, units] - weight * known).T @ design
        squares = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
        precision = (weight.T @ squares).reshape(-1, width, width) + np.diag(own)
        factor = np.linalg.cholesky(precision)
        upper = np.swapaxes(factor, 1, 2)
        half = np.linalg.solve(factor, pull[:, :, None])
        drawn[units] = np.linalg.solve(upper, half + normal[units][:, :, None])[:, :, 0]
    return at._replace(offset=drawn[:, 0].copy(), loading=drawn[:, 1:].copy())
