r"""Dispersions of neurons, given their rates.

With the mean held fixed, the conditional of :math:`r` is no gamma law, however the counts are
augmented: :math:`\log \lambda - \log r`, which such an augmentation holds fixed, moves with
:math:`r`. So each :math:`\log r_i` is drawn by slice sampling from

.. math:: \sum_t \log \frac{\Gamma(y_t + r)}{\Gamma(r)} + r \log r - (y_t + r) \log(r + \lambda_t)

plus its prior: exact, and there is nothing to tune.

References
----------
Neal (2003), Slice sampling. Annals of Statistics 31.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from neurokit_sdr.analysis.biclustering.equations import Counts, Parameters, Priors, log_rate

#: First width of a slice of log r; it steps out from there.
_WIDTH = 1.0


def draw_dispersion(
    data: Counts, at: Parameters, prior: Priors, rng: np.random.Generator
) -> Parameters:
    """Draw each neuron's dispersion from its conditional."""
    drawn = at.dispersion.copy()
    _draw_all(
        drawn, data.spikes, data.observed, np.exp(log_rate(at)),
        prior.dispersion_shape, prior.dispersion_rate, rng,
    )  # fmt: skip
    return at._replace(dispersion=drawn)


@numba.njit(cache=True, nogil=True)
def _draw_all(dispersion, count, observed, rate, shape, scale, rng):
    for i in range(dispersion.size):
        seen = observed[:, i]
        y = count[:, i][seen]
        mean = rate[:, i][seen]
        # How many counts lie above 0, 1, ...: Gamma(y + r) / Gamma(r) = r (r + 1) ... (r + y - 1).
        above = np.zeros(int(y.max()) if y.size else 0)
        for value in y:
            for j in range(int(value)):
                above[j] += 1.0
        here = math.log(dispersion[i])
        level = _log_density(here, y, mean, above, shape, scale) - rng.standard_exponential()
        low = here - _WIDTH * rng.random()
        high = low + _WIDTH
        while _log_density(low, y, mean, above, shape, scale) > level:
            low -= _WIDTH
        while _log_density(high, y, mean, above, shape, scale) > level:
            high += _WIDTH
        while True:
            new = low + (high - low) * rng.random()
            if _log_density(new, y, mean, above, shape, scale) > level:
                break
            if new < here:
                low = new
            else:
                high = new
        dispersion[i] = math.exp(new)


@numba.njit(cache=True, nogil=True)
def _log_density(log_r, y, mean, above, shape, scale):
    """Of log r, up to a constant."""
    r = math.exp(log_r)
    total = shape * log_r - scale * r + y.size * r * log_r
    for j in range(above.size):
        total += above[j] * math.log(r + j)
    for t in range(y.size):
        total -= (y[t] + r) * math.log(r + mean[t])
    return total
