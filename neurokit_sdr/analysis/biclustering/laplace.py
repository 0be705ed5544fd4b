r"""One neuron's offset and loading under its exact likelihood: proposals that are nearly right.

The log likelihood is concave in :math:`(\delta, c)`. A Student t around the mode, of the curvature
there, is proposed; what it misses is what a Metropolis-Hastings ratio mends. It depends on the
counts, the dispersion and the trajectory only, never on where the chain is.
"""

from __future__ import annotations

import math

import numba
import numpy as np

#: Degrees of freedom of proposals: tails heavier than those of what they are for.
_DF = 10.0

#: Newton's steps end where none is longer than this; the mode only has to be near.
_NEAR = 1e-3
_MOST_STEPS = 30
_LONGEST_STEP = 2.0

#: Logarithms of rates are kept within this, far beyond any count.
_LARGEST_LOG = 50.0


@numba.njit(cache=True, nogil=True)
def fit(y, seen, r, path, precision, mode, factor):
    """Fill the mode and the Cholesky factor of the curvature; return log of the evidence there.

    ``path`` is (time, 1 + p), ``precision`` the prior's (1 + p,); constants of y are left out.
    """
    q = mode.size
    mode[:] = 0.0
    total = 0.0
    base = 0.0
    for t in range(y.size):
        if seen[t]:
            total += y[t]
            base += math.exp(min(path[t, 0], _LARGEST_LOG))
    mode[0] = math.log((total + 0.5) / (base + 0.5))
    gradient = np.empty(q)
    design = np.empty(q)
    design[0] = 1.0
    for _ in range(_MOST_STEPS):
        for i in range(q):
            gradient[i] = -precision[i] * mode[i]
            for j in range(i):
                factor[i, j] = 0.0
            factor[i, i] = precision[i]
        for t in range(y.size):
            if not seen[t]:
                continue
            eta = path[t, 0] + mode[0]
            for i in range(1, q):
                design[i] = path[t, i]
                eta += design[i] * mode[i]
            eta = min(max(eta, -_LARGEST_LOG), _LARGEST_LOG)
            rate = math.exp(eta)
            share = rate / (r + rate)
            pull = y[t] - (y[t] + r) * share
            weight = (y[t] + r) * share * (1 - share)
            for i in range(q):
                gradient[i] += pull * design[i]
                for j in range(i + 1):
                    factor[i, j] += weight * design[i] * design[j]
        _cholesky(factor)
        _solve(factor, gradient)
        longest = np.abs(gradient).max()
        scale = min(1.0, _LONGEST_STEP / longest) if longest > 0 else 1.0
        for i in range(q):
            mode[i] += scale * gradient[i]
        if longest < _NEAR:
            break
    evidence = log_posterior(y, seen, r, path, precision, mode)
    for i in range(q):
        evidence += 0.5 * math.log(2 * math.pi) - math.log(factor[i, i])
    return evidence


@numba.njit(cache=True, nogil=True)
def log_posterior(y, seen, r, path, precision, at):
    """Log of likelihood and prior at an offset and loading, without what y alone decides."""
    total = 0.0
    for i in range(at.size):
        total += 0.5 * math.log(precision[i] / (2 * math.pi)) - 0.5 * precision[i] * at[i] ** 2
    log_r = math.log(r)
    for t in range(y.size):
        if seen[t]:
            eta = path[t, 0] + at[0]
            for i in range(1, at.size):
                eta += path[t, i] * at[i]
            # log(r + exp(eta)), of whichever is larger first.
            if eta > log_r:
                both = eta + math.log1p(math.exp(log_r - eta))
            else:
                both = log_r + math.log1p(math.exp(eta - log_r))
            total += y[t] * eta - (y[t] + r) * both + r * log_r
    return total


@numba.njit(cache=True, nogil=True)
def draw(mode, factor, rng):
    """Draw from the proposal."""
    q = mode.size
    found = np.empty(q)
    for i in range(q):
        found[i] = rng.standard_normal()
    scale = math.sqrt(_DF / (2 * rng.standard_gamma(_DF / 2)))
    for i in range(q - 1, -1, -1):
        for j in range(i + 1, q):
            found[i] -= factor[j, i] * found[j]
        found[i] /= factor[i, i]
    for i in range(q):
        found[i] = mode[i] + scale * found[i]
    return found


@numba.njit(cache=True, nogil=True)
def log_density(at, mode, factor):
    """Log density of the proposal."""
    q = mode.size
    total = math.lgamma((_DF + q) / 2) - math.lgamma(_DF / 2) - 0.5 * q * math.log(_DF * math.pi)
    quadratic = 0.0
    for i in range(q):
        left = 0.0
        for j in range(i, q):
            left += factor[j, i] * (at[j] - mode[j])
        quadratic += left * left
        total += math.log(factor[i, i])
    return total - 0.5 * (_DF + q) * math.log1p(quadratic / _DF)


@numba.njit(cache=True, nogil=True)
def _cholesky(a):
    for i in range(a.shape[0]):
        for j in range(i + 1):
            total = a[i, j]
            for m in range(j):
                total -= a[i, m] * a[j, m]
            a[i, j] = math.sqrt(total) if i == j else total / a[j, j]


@numba.njit(cache=True, nogil=True)
def _solve(factor, b):
    q = b.size
    for i in range(q):
        for j in range(i):
            b[i] -= factor[i, j] * b[j]
        b[i] /= factor[i, i]
    for i in range(q - 1, -1, -1):
        for j in range(i + 1, q):
            b[i] -= factor[j, i] * b[j]
        b[i] /= factor[i, i]
