"""The measures on plain arrays, rows first; :mod:`neurokit_sdr.validation.metrics` labels them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import SchemaError

#: Penalties among which the benchmark's decoder chooses.
DECODER_PENALTIES = np.logspace(-4, 0, 9)
#: The same for features brought to unit variance, whose number of rows is not known beforehand.
LATENT_PENALTIES = np.logspace(-4, 4, 9)
#: Of the cross-validation that chooses a penalty.
N_FOLDS = 5


class RateR2(NamedTuple):
    """Coefficients of determination of rates against the true ones.

    Attributes
    ----------
    unit
        :math:`1 - SSE_n / SST_n` of each unit, around its mean; NaN where its true rate is
        constant. A DataArray ``(unit)`` where the input is labelled.
    median, uniform
        Median and mean over units, without the NaN. Units that hardly fire rule the mean.
    pooled
        :math:`1 - \\sum SSE_n / SST` around the mean over all units and bins.
    """

    unit: xr.DataArray | np.ndarray
    median: float
    uniform: float
    pooled: float


class LatentR2(NamedTuple):
    """How well the true latents can be read from a model's, on trials not used for the reading.

    Attributes
    ----------
    latent
        :math:`1 - SSE_d / SST_d` of each true latent, shape (latent,).
    uniform
        Mean over the latents.
    pooled
        :math:`1 - \\sum_d SSE_d / \\sum_d SST_d`: latents weigh by their variance.
    """

    latent: np.ndarray
    uniform: float
    pooled: float


class Ridge(NamedTuple):
    """A fitted linear map with an intercept.

    Attributes
    ----------
    weight
        Shape (feature, column).
    center, middle
        Means of features and of columns in the training rows.
    penalty
        The one chosen.
    """

    weight: np.ndarray
    center: np.ndarray
    middle: np.ndarray
    penalty: float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Columns for rows of features."""
        return (x - self.center) @ self.weight + self.middle


def r2_of_columns(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """R2 of every column; as scikit-learn has it, 1 or 0 where the truth is constant."""
    error = ((true - predicted) ** 2).sum(axis=0)
    total = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    constant = np.where(error == 0, 1.0, 0.0)
    return np.where(total > 0, 1 - error / np.where(total > 0, total, 1.0), constant)


def profile_r2(
    profiles: np.ndarray, values: np.ndarray, members: list[np.ndarray], seen: np.ndarray
) -> float:
    """R2 of the trials' mean against their condition's profile, over all, averaged over units.

    Parameters
    ----------
    profiles
        Shape (condition, time, unit); bins with NaN are left out.
    values
        Shape (trial, time, unit).
    members
        Which trials are of each condition.
    seen
        Shape (trial, time): the bins that count.
    """
    true, mean = [], []
    for member, profile in zip(members, profiles, strict=True):
        mine, weight = values[member], seen[member]
        used = np.isfinite(profile).all(axis=1) & weight.any(axis=0)
        mine, weight = mine[:, used], weight[:, used, None]
        missing = weight & ~np.isfinite(mine)
        if missing.any():
            raise SchemaError(
                f"Expected finite predictions wherever the PSTH is, got {int(missing.sum())} NaN "
                f"or infinite values."
            )
        true.append(profile[used])
        mean.append(np.where(weight, mine, 0.0).sum(axis=0) / weight.sum(axis=0))
    if not sum(map(len, true)):
        raise SchemaError(
            f"Expected predicted trials of the {len(members)} conditions that have a PSTH, got "
            f"none: do both use the same names of conditions?"
        )
    return float(r2_of_columns(np.concatenate(true), np.concatenate(mean)).mean())


def rate_r2(predicted: np.ndarray, true: np.ndarray) -> RateR2:
    """All but the last dimension, the units, count as one; NaN of the truth is left out."""
    predicted, true = (a.reshape(-1, true.shape[-1]) for a in (predicted, true))
    used = np.isfinite(true)
    wrong = used & ~np.isfinite(predicted)
    if wrong.any():
        raise SchemaError(
            f"Expected finite predictions wherever there is a true rate, got {int(wrong.sum())} "
            f"NaN or infinite."
        )
    if used.sum() < 2:
        raise SchemaError(f"Expected at least two bins to evaluate, got {int(used.sum())}.")
    number = used.sum(axis=0)
    mean = np.where(used, true, 0.0).sum(axis=0) / np.maximum(number, 1)
    error = np.where(used, true - predicted, 0.0)
    total = (np.where(used, true - mean, 0.0) ** 2).sum(axis=0)
    squares = (error**2).sum(axis=0)
    unit = 1 - np.divide(squares, total, out=np.full(total.shape, np.nan), where=total > 0)
    grand = ((true[used] - true[used].mean()) ** 2).sum()
    defined = unit[np.isfinite(unit)]
    return RateR2(
        unit,
        float(np.median(defined)) if defined.size else np.nan,
        float(defined.mean()) if defined.size else np.nan,
        float(1 - squares.sum() / grand) if grand > 0 else np.nan,
    )


def speed(rate: np.ndarray) -> float:
    """Mean length of the steps between bins; NaN of fewer than two."""
    if len(rate) < 2:
        return np.nan
    return float(np.linalg.norm(np.diff(rate, axis=0), axis=1).mean())


def paired_rows(features: Any, targets: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays with the same leading dimensions as rows, without those of unknown target."""
    x, y = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if x.ndim < 2 or y.shape[: x.ndim - 1] != x.shape[:-1] or y.ndim not in (x.ndim, x.ndim - 1):
        raise SchemaError(
            f"Expected {what} (..., feature) and targets (..., column) with the same leading "
            f"dimensions, got {x.shape} and {y.shape}."
        )
    size = int(np.prod(x.shape[:-1]))
    return complete(x.reshape(size, -1), y.reshape(size, -1), what)


def complete(x: np.ndarray, y: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose targets are all known."""
    used = np.isfinite(y).all(axis=1)
    x, y = x[used], y[used]
    if not np.isfinite(x).all():
        raise SchemaError(
            f"Expected finite {what} wherever there is something to predict, got NaN or infinity "
            f"in {int((~np.isfinite(x)).any(axis=1).sum())} of {len(x)} bins."
        )
    return x, y


def decoder_r2(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """The benchmark's decoder, fitted to rows of features and targets, and scored on others."""
    if len(test[0]) < 2:
        raise SchemaError(f"Expected at least two bins to score, got {len(test[0])}.")
    decoder = ridge(*train, DECODER_PENALTIES)
    if test[0].shape[1] != train[0].shape[1] or test[1].shape[1] != train[1].shape[1]:
        raise SchemaError(
            f"Expected the same units and columns in training and test, got {train[0].shape[1]} to "
            f"{train[1].shape[1]} and {test[0].shape[1]} to {test[1].shape[1]}."
        )
    return float(r2_of_columns(test[1], decoder.predict(test[0])).mean())


def ridge(x: np.ndarray, y: np.ndarray, penalties: np.ndarray) -> Ridge:
    """Ridge regression whose penalty five folds of contiguous rows choose.

    scikit-learn's ``GridSearchCV(Ridge(), {"alpha": penalties})``: an intercept that is not
    penalised, R2 averaged over the columns of a fold and then over folds, of equal penalties the
    first. One product of the whole design serves all folds and penalties.
    """
    if len(x) < 2 * N_FOLDS:
        raise SchemaError(f"Expected at least {2 * N_FOLDS} bins to fit, got {len(x)}.")
    center, middle = x.mean(axis=0), y.mean(axis=0)
    x, y = x - center, y - middle
    gram, moment = x.T @ x, x.T @ y
    score = np.zeros(len(penalties))
    for fold in np.array_split(np.arange(len(x)), N_FOLDS):
        left_x, left_y = x[fold], y[fold]
        n_kept = len(x) - len(fold)
        # The means of all rows are zero now, so those of the rows kept follow from the others'.
        mean_x, mean_y = (-part.sum(axis=0) / n_kept for part in (left_x, left_y))
        weights = _ridge_weights(
            gram - left_x.T @ left_x - n_kept * np.outer(mean_x, mean_x),
            moment - left_x.T @ left_y - n_kept * np.outer(mean_x, mean_y),
            penalties,
        )
        for k, weight in enumerate(weights):
            predicted = (left_x - mean_x) @ weight + mean_y
            score[k] += r2_of_columns(left_y, predicted).mean() / N_FOLDS
    best = penalties[[np.argmax(score)]]
    return Ridge(_ridge_weights(gram, moment, best)[0], center, middle, float(best[0]))


def _ridge_weights(gram: np.ndarray, moment: np.ndarray, penalties: np.ndarray) -> list[np.ndarray]:
    size, basis = np.linalg.eigh(gram)
    turned = basis.T @ moment
    return [basis @ (turned / (np.maximum(size, 0.0) + a)[:, None]) for a in penalties]
