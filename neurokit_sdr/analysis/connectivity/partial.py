"""Partial correlations, of the units that vary."""

from __future__ import annotations

import numpy as np

from neurokit_sdr.core.errors import SchemaError


def partial_of_varying(
    correlation: np.ndarray, n_bins: int, pca: float | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Partial correlations of the units that vary, which do not, and how many are redundant."""
    still = ~np.isfinite(np.diagonal(correlation))
    number = int((~still).sum())
    if n_bins < number + 3:
        raise SchemaError(
            f"Expected at least {number + 3} bins for {number} units, got {n_bins}: the partial "
            f"correlation needs more bins than units. Use narrower bins or a longer recording."
        )
    out = np.full(correlation.shape, np.nan)
    if number < 2:
        return out, still, 0
    inside = correlation[np.ix_(~still, ~still)]
    keep = None if pca is None else max(round(pca * number), 1)
    out[np.ix_(~still, ~still)] = partial_correlations(inside, keep)
    return out, still, number - int(np.linalg.matrix_rank(inside, hermitian=True))


def partial_of_signal(signal: np.ndarray, pca: float | None) -> tuple[np.ndarray, np.ndarray, int]:
    """The same of values (time, unit)."""
    centred = signal - signal.mean(axis=0)
    covariance = centred.T @ centred
    scale = np.sqrt(np.diagonal(covariance))
    # What rounding leaves of a constant is no variance.
    scale[scale <= 1e-9 * np.abs(signal).max(axis=0, initial=0.0) * np.sqrt(len(signal))] = np.nan
    return partial_of_varying(covariance / np.outer(scale, scale), len(signal), pca)


def redundant_text(number: int) -> str | None:
    if number == 0:
        return None
    return (
        f"{number} of the units are copies or sums of others (did sorting split one?): partial "
        f"correlations between them are not defined, and those given are of the pseudo-inverse. "
        f"Drop the copies."
    )


def partial_correlations(covariance: np.ndarray, keep: int | None = None) -> np.ndarray:
    r""":math:`-S^{-1}_{ij} / \sqrt{S^{-1}_{ii} S^{-1}_{jj}}`; no variance may be 0.

    With ``keep``, of the pseudo-inverse on that many leading principal components; directions
    without variance are always left out.
    """
    scale = np.sqrt(np.diagonal(covariance))
    variance, axes = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = variance > len(variance) * np.finfo(float).eps * variance[-1]
    if keep is not None:
        kept[: len(variance) - keep] = False
    precision = (axes[:, kept] / variance[kept]) @ axes[:, kept].T
    size = np.sqrt(np.diagonal(precision))
    return -precision / np.outer(size, size)
