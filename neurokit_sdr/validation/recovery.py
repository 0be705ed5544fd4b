"""How well a model recovers the rates and latents that made the counts, where they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.validation import _labelled, _metrics
from neurokit_sdr.validation._metrics import LatentR2, RateR2


def rate_r2(prediction: Any, truth: Any) -> RateR2:
    """Coefficients of determination of predicted rates against the true ones.

    Parameters
    ----------
    prediction
        Spikes per bin: a Dataset with ``expected_count``, a DataArray, or an array (..., unit).
    truth
        The same; or a Dataset with a true ``rate`` in Hz and ``attrs["bin_size"]``, as simulations
        carry it beside their counts. Bins where it is NaN, beyond ``trial_length`` or not
        ``observed`` are left out.

    Returns
    -------
    RateR2

    Raises
    ------
    SchemaError
        If labels are missing, one side alone is labelled, a rate is in Hz without a bin size, a
        prediction is NaN where there is a truth, or fewer than two bins are left.

    Examples
    --------
    >>> found = rate_r2([[0.0, 1.0], [1.0, 3.0]], [[0.0, 1.0], [2.0, 3.0]])
    >>> found.unit.tolist(), round(found.pooled, 3)
    ([0.5, 1.0], 0.8)
    """
    if not _labelled.is_labelled(prediction, truth):
        true, predicted = (np.asarray(a, dtype=np.float64) for a in (truth, prediction))
        if true.shape != predicted.shape or true.ndim < 2:
            raise SchemaError(
                f"Expected predicted and true rates of one shape (..., unit), got "
                f"{predicted.shape} and {true.shape}."
            )
        return _metrics.rate_r2(
            predicted.reshape(-1, true.shape[-1]), true.reshape(-1, true.shape[-1])
        )
    expected = _labelled.variable_of(prediction, "expected_count")
    right = _true_rates(truth)
    if expected.attrs.get("units") == "Hz":
        raise SchemaError(_HERTZ.format("predicted"))
    left = _labelled.matched(expected, right, "a prediction")
    found = _metrics.rate_r2(
        left.reshape(-1, right.shape[-1]), right.values.reshape(-1, right.shape[-1])
    )
    units = {n: c for n, c in right.coords.items() if c.dims == ("unit",)}
    return found._replace(unit=xr.DataArray(found.unit, units, ("unit",), "r2"))


def latent_r2(
    features_train: Any, latents_train: Any, features_test: Any, latents_test: Any
) -> LatentR2:
    """How well true latents can be read linearly from a model's, on trials not used for it.

    Ridge regression with an intercept from the features of a bin, brought to zero mean and unit
    variance, to the true latents; its penalty is one of nine from 1e-4 to 1e4 by five-fold
    cross-validation on the training trials, in their order.

    Parameters
    ----------
    features_train, features_test
        A model's latents (or its log rates): DataArrays ``([trial,] time, any)``, or arrays (...,
        feature).
    latents_train, latents_test
        The true ones: DataArrays aligned by trial and time, or arrays (..., latent). Bins where
        any is NaN are left out.

    Returns
    -------
    LatentR2

    Raises
    ------
    SchemaError
        If shapes or labels do not fit, a feature is NaN beside a latent, a true latent is constant
        in the test, or fewer than ten rows are left to fit.

    Examples
    --------
    >>> latents = np.random.default_rng(0).normal(size=(20, 30, 2))
    >>> features = latents @ [[1.0, 2.0], [-1.0, 0.5]]
    >>> round(latent_r2(features[:15], latents[:15], features[15:], latents[15:]).pooled, 3)
    1.0
    """
    if _labelled.is_labelled(features_train, latents_train, features_test, latents_test):
        train = _labelled.paired_rows(features_train, latents_train, 0.0, "a latent")
        test = _labelled.paired_rows(features_test, latents_test, 0.0, "a latent")
    else:
        train = _metrics.paired_rows(features_train, latents_train, "features")
        test = _metrics.paired_rows(features_test, latents_test, "features")
    mean, spread = train[0].mean(axis=0), train[0].std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = [((x - mean) / spread, y) for x, y in (train, test)]
    decoder = _metrics.ridge(*scaled[0], _metrics.LATENT_PENALTIES)
    true = scaled[1][1]
    left = true - decoder.predict(scaled[1][0])
    total = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    if not (total > 0).all():
        raise SchemaError(
            f"Expected true latents that vary over the test bins, got a constant one at position "
            f"{int(np.argmin(total))}: leave it out."
        )
    error = (left**2).sum(axis=0)
    r2 = 1 - error / total
    return LatentR2(r2, float(r2.mean()), float(1 - error.sum() / total.sum()))


_HERTZ = (
    "Expected {} rates as expected counts per bin, got units 'Hz': multiply them by the bin size."
)


def _true_rates(truth: xr.Dataset | xr.DataArray) -> xr.DataArray:
    """True expected counts ([trial,] time, unit), NaN where nothing is to be evaluated."""
    if isinstance(truth, xr.Dataset) and "expected_count" not in truth and "rate" in truth:
        rate = truth["rate"]
        if rate.attrs.get("units") == "Hz" and "bin_size" in truth.attrs:
            rate = (rate * float(truth.attrs["bin_size"])).assign_attrs(units="1")
    else:
        rate = _labelled.variable_of(truth, "expected_count")
    if rate.attrs.get("units") == "Hz":
        raise SchemaError(_HERTZ.format("true"))
    if not {"time", "unit"} <= set(rate.dims) <= {"trial", "time", "unit"}:
        raise SchemaError(f"Expected true rates with dims ([trial,] time, unit), got {rate.dims}.")
    rate = rate.transpose(*(d for d in ("trial", "time", "unit") if d in rate.dims))
    if isinstance(truth, xr.Dataset) and "count" in truth:
        valid = schema.scored_bins(schema.check(truth, "counts"))
        rate = rate.where(xr.DataArray(valid, dims=truth["count"].dims[:-1]))
    return rate.astype(np.float64)
