r"""R-hat and effective draws of chains, after Vehtari et al. (2021), for many numbers at once.

Arrays are ``(chain, draw, ...)``; what follows are the numbers that are judged, each on its own.
Every chain is cut into halves, so that a drift within a chain counts as a difference between two.
With :math:`z` the normal scores of the ranks over all draws (Blom: rank :math:`r` of :math:`S`
becomes :math:`\Phi^{-1}((r - 3/8) / (S + 1/4))`), :math:`W` the mean variance within halves and
:math:`B/n` the variance of their means,

.. math:: \hat R = \sqrt{\frac{(n-1) W / n + B / n}{W}}

is taken of :math:`z` (location) and of the scores of :math:`|x - \mathrm{median}|` (scale); the
larger one counts. The effective number of draws is :math:`S / \hat\tau`, with :math:`\hat\tau` the
sum of autocorrelations by Geyer's initial monotone sequence, of :math:`z` for the bulk and of the
indicators of the 5 % and 95 % quantiles for the tails (the smaller one counts).

Values equal those of ArviZ, also where nothing can be said: fewer than 4 draws or a NaN among them
give NaN; one chain has no R-hat; draws that are all equal have NaN as R-hat, because nothing
varies, and count as independent; chains that are stuck at different values have R-hat infinity.

References
----------
Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021), Rank-normalization, folding, and localization:
an improved R-hat for assessing convergence of MCMC. Bayesian Analysis 16. arXiv:1903.08008.
Geyer (1992), Practical Markov chain Monte Carlo. Statistical Science 7.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft
from scipy.special import ndtri
from scipy.stats import rankdata

#: Fewer draws than this say nothing.
LEAST_DRAWS = 4

#: Numbers are judged in groups whose draws take up this many floats, to bound memory.
_GROUP = 2**21


def r_hat(draws: np.ndarray) -> np.ndarray:
    """Rank-normalised split R-hat.

    Parameters
    ----------
    draws
        Shape (chain, draw, ...).

    Returns
    -------
    numpy.ndarray
        Shape (...). Near 1 where chains agree; below 1.01 is the usual demand.
    """
    return _judge(_r_hat, draws, least_chains=2)


def ess_bulk(draws: np.ndarray) -> np.ndarray:
    """Effective number of draws in the bulk; shapes as in :func:`r_hat`."""
    return _judge(lambda x: _ess(_normal_scores(_halves(x))), draws)


def ess_tail(draws: np.ndarray) -> np.ndarray:
    """Effective number of draws in the worse of the 5 % tails; shapes as in :func:`r_hat`."""
    return _judge(_ess_tail, draws)


def ess_mean(draws: np.ndarray) -> np.ndarray:
    """Effective number of draws for the mean itself; shapes as in :func:`r_hat`.

    The Monte Carlo error of a mean is the standard deviation over its root.
    """
    return _judge(lambda x: _ess(_halves(x)), draws)


def _judge(
    judge: Callable[[np.ndarray], np.ndarray], draws: np.ndarray, least_chains: int = 1
) -> np.ndarray:
    """Apply a function of (number, chain, draw) to the numbers that are whole, in groups."""
    draws = np.asarray(draws, dtype=float)
    n_chains, n_draws = draws.shape[:2]
    flat = draws.reshape(n_chains, n_draws, -1)
    found = np.full(flat.shape[2], np.nan)
    if n_draws >= LEAST_DRAWS and n_chains >= least_chains:
        whole = np.flatnonzero(~np.isnan(flat).any(axis=(0, 1)))
        step = max(1, _GROUP // (n_chains * n_draws))
        for first in range(0, len(whole), step):
            numbers = whole[first : first + step]
            # Draws last: ranks and Fourier transforms run along them.
            group = np.ascontiguousarray(np.moveaxis(flat[:, :, numbers], 2, 0))
            with np.errstate(divide="ignore", invalid="ignore"):
                found[numbers] = judge(group)
    return found.reshape(draws.shape[2:])


def _halves(draws: np.ndarray) -> np.ndarray:
    """Cut every chain in two, without its middle draw if there is one."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[:, :, :half], draws[:, :, -half:]], axis=1)


def _normal_scores(draws: np.ndarray) -> np.ndarray:
    flat = draws.reshape(len(draws), -1)
    rank = rankdata(flat, axis=1)
    return ndtri((rank - 3 / 8) / (flat.shape[1] + 1 / 4)).reshape(draws.shape)


def _r_hat(draws: np.ndarray) -> np.ndarray:
    halves = _halves(draws)
    location = _plain_r_hat(_normal_scores(halves))
    distance = np.abs(halves - np.median(halves, axis=(1, 2), keepdims=True))
    scale = _plain_r_hat(_normal_scores(distance))
    # Where all draws lie equally far from the median, scale is NaN and says nothing.
    return np.where(scale > location, scale, location)


def _plain_r_hat(chains: np.ndarray) -> np.ndarray:
    n = chains.shape[2]
    within = chains.var(axis=2, ddof=1).mean(axis=1)
    # A mean of equal numbers rounds; and what is left would be divided by.
    within[(np.ptp(chains, axis=2) == 0).all(axis=1)] = 0.0
    centre = chains.mean(axis=2)
    between = n * np.where(np.ptp(chains, axis=(1, 2)) == 0, 0.0, centre.var(axis=1, ddof=1))
    return np.sqrt((between / within + n - 1) / n)


def _ess_tail(draws: np.ndarray) -> np.ndarray:
    low, high = np.quantile(draws, (0.05, 0.95), axis=(1, 2), keepdims=True)
    return np.minimum(*[_ess(_halves((draws <= at).astype(float))) for at in (low, high)])


def _ess(chains: np.ndarray) -> np.ndarray:
    """Effective draws of (number, chain, draw), by Geyer's initial monotone sequence."""
    n_numbers, n_chains, n = chains.shape
    total = n_chains * n
    correlation = _autocorrelation(chains)
    # Sums of lags (0, 1), (2, 3), ... are positive and fall, for a reversible chain; the last pair
    # that may be used leaves the longest lags out.
    n_pairs = max(1, (n - 1) // 2)
    pairs = correlation[:, : 2 * n_pairs].reshape(n_numbers, n_pairs, 2).sum(axis=2)
    ends = pairs <= 0
    ends[:, -1] = True
    end = ends.argmax(axis=1)
    falling = np.minimum.accumulate(pairs, axis=1)
    used = np.where(np.arange(n_pairs) < end[:, None], falling, 0.0).sum(axis=1)
    number = np.arange(n_numbers)
    # Of the pair that ends the sum, its even lag still counts, unless both it and the pair fall
    # below zero.
    odd_one = correlation[number, 2 * end]
    odd_one = np.where((pairs[number, end] < 0) & (odd_one < 0), 0.0, odd_one)
    time = np.maximum(-1 + 2 * used + odd_one, 1 / np.log10(total))
    constant = np.ptp(chains, axis=(1, 2)) < np.finfo(float).resolution
    return np.where(constant, total, total / time)


def _autocorrelation(chains: np.ndarray) -> np.ndarray:
    """Of each lag, shape (number, lag), as a mixture of all chains around one mean."""
    n_chains, n = chains.shape[1:]
    centred = chains - chains.mean(axis=2, keepdims=True)
    padded = fft.next_fast_len(2 * n, real=True)
    spectrum = fft.rfft(centred, padded, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    covariance = fft.irfft(power, padded, axis=1)[:, :n] / n
    within = covariance[:, :1] * n / (n - 1)
    total = covariance[:, :1].copy()
    if n_chains > 1:
        total += chains.mean(axis=2).var(axis=1, ddof=1)[:, None]
    correlation = 1 - (within - covariance) / total
    correlation[:, 0] = 1.0
    return correlation
