"""Linear systems of chains of Gaussian latents: block-tridiagonal, one per trial."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def _invert(a, inverse):
    """Inverse of a positive definite matrix by Cholesky, and its log determinant; spoils a."""
    d = a.shape[0]
    logarithm = 0.0
    for j in range(d):
        for k in range(j):
            a[j, j] -= a[j, k] * a[j, k]
        a[j, j] = np.sqrt(a[j, j])
        logarithm += 2.0 * np.log(a[j, j])
        for i in range(j + 1, d):
            for k in range(j):
                a[i, j] -= a[i, k] * a[j, k]
            a[i, j] /= a[j, j]
    # The inverse of the triangle, then its product with itself.
    for j in range(d):
        a[j, j] = 1.0 / a[j, j]
        for i in range(j + 1, d):
            total = 0.0
            for k in range(j, i):
                total -= a[i, k] * a[k, j]
            a[i, j] = total / a[i, i]
    for i in range(d):
        for j in range(i, d):
            total = 0.0
            for k in range(j, d):
                total += a[k, i] * a[k, j]
            inverse[i, j] = total
            inverse[j, i] = total
    return logarithm


@numba.njit(cache=True)
def solve(
    information, gradient, lengths, first, noise, through, back, step, covariance, lagged, full
):
    """Solve the block-tridiagonal system of every trial; log determinants of its matrix.

    ``information`` of the counts (trial, bin, pair); ``first`` and ``noise`` precisions of the
    first latent and of a transition, ``through`` what a transition adds to the bin it leaves,
    ``back`` the block below the diagonal. With ``full`` the covariances are made too.
    """
    d = first.shape[0]
    longest = step.shape[1]
    logarithm = np.zeros(lengths.size)
    inverse = np.empty((longest, d, d))
    block = np.empty((d, d))
    gain = np.empty((d, d))
    carried = np.empty((longest, d))
    for trial in range(lengths.size):
        n = lengths[trial]
        for t in range(n):
            k = 0
            for i in range(d):
                for j in range(i, d):
                    value = information[trial, t, k] + (first[i, j] if t == 0 else noise[i, j])
                    if t < n - 1:
                        value += through[i, j]
                    block[i, j] = value
                    block[j, i] = value
                    k += 1
                carried[t, i] = gradient[trial, t, i]
            if t > 0:
                for i in range(d):
                    for j in range(d):
                        total = 0.0
                        for m in range(d):
                            total += back[i, m] * inverse[t - 1, m, j]
                        gain[i, j] = total
                for i in range(d):
                    for j in range(d):
                        carried[t, i] -= gain[i, j] * carried[t - 1, j]
                    for j in range(i + 1):
                        total = 0.0
                        for m in range(d):
                            total += gain[i, m] * back[j, m]
                        block[i, j] -= total
            logarithm[trial] += _invert(block, inverse[t])
        for t in range(n - 1, -1, -1):
            for i in range(d):
                if t < n - 1:
                    for m in range(d):
                        carried[t, i] -= back[m, i] * step[trial, t + 1, m]
            for i in range(d):
                total = 0.0
                for m in range(d):
                    total += inverse[t, i, m] * carried[t, m]
                step[trial, t, i] = total
        if full:
            _covariances(inverse, back, n, covariance[trial], lagged[trial], block, gain)
    return logarithm


@numba.njit(cache=True)
def _covariances(inverse, back, n, covariance, lagged, later, gain):
    """Diagonal blocks of the inverse, and the sum of those one above, from last to first."""
    d = back.shape[0]
    product = np.empty((d, d))
    for t in range(n - 1, -1, -1):
        if t == n - 1:
            later[:] = inverse[t]
        else:
            for i in range(d):
                for j in range(d):
                    total = 0.0
                    for m in range(d):
                        total -= inverse[t, i, m] * back[j, m]
                    gain[i, j] = total
            for i in range(d):
                for j in range(d):
                    total = 0.0
                    for m in range(d):
                        total += later[i, m] * gain[j, m]
                    product[i, j] = total
                    lagged[i, j] += total
            for i in range(d):
                for j in range(i, d):
                    total = inverse[t, i, j]
                    for m in range(d):
                        total += gain[i, m] * product[m, j]
                    later[i, j] = total
                    later[j, i] = total
        k = 0
        for i in range(d):
            for j in range(i, d):
                covariance[t, k] = later[i, j]
                k += 1
