"""What a model of rates may read: counts taken apart into arrays, by ``held_in`` and ``forward``.

The labelled layout is taken apart only here, and put together only in ``labels``; a model sees
:class:`Arrays`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.counts import check_counts
from neurokit_sdr.core.errors import ParameterError, SchemaError


class Arrays(NamedTuple):
    """Counts of trials of equal length, what of them may be read, and what is to be predicted.

    The observed window comes first, the forward bins behind it. There is always a trial axis.

    Attributes
    ----------
    inputs
        Counts of the held-in units in the window, float32, shape (trial, window, held_in); 0 in
        missing bins and beyond a trial's end. The only thing a prediction may depend on, with
        ``valid[:, :n_window]`` and the sizes.
    counts
        Counts of the units of the fit in all bins, float32, shape (trial, bin, unit); 0 where
        ``valid`` is false, NaN for units that the data lack.
    valid
        Bins that hold data: inside the trial and observed, shape (trial, bin). In a fit the past
        that trials were cut out with (``context``) is left out, for it may be another part's.
    scored
        Those that are fitted and scored, shape (trial, bin): no context.
    inside
        Bins to say something about: inside the trial, shape (trial, bin). Forward bins follow a
        trial that fills the window.
    held_in
        Shape (unit,).
    forward
        Shape (bin,).
    covariates
        What a model is conditioned on besides, shape (trial, bin, covariate), float32.
    """

    inputs: np.ndarray
    counts: np.ndarray
    valid: np.ndarray
    scored: np.ndarray
    inside: np.ndarray
    held_in: np.ndarray
    forward: np.ndarray
    covariates: np.ndarray

    @property
    def n_window(self) -> int:
        """Bins before the forward ones."""
        return int((~self.forward).sum())

    @property
    def seen(self) -> np.ndarray:
        """Which bins of the window hold data, shape (trial, window)."""
        return self.valid[:, : self.n_window]


def training_arrays(data: xr.Dataset, n_units: int = 1, covariates: Sequence[str] = ()) -> Arrays:
    """Take the counts of a fit apart.

    Parameters
    ----------
    data
        As the models' ``fit`` takes them.
    n_units
        Held-in units that the model needs at least.
    covariates
        Names of the variables that the model is conditioned on.

    Raises
    ------
    SchemaError
        If the data break the schema, are not whole counts, or hold nothing to learn from: no bin,
        no observed bin, too few held-in units, no spike of one.
    """
    check_counts(data)
    held_in = _marks(data, "held_in", "unit", default=True)
    forward = _marks(data, "forward", "time", default=False)
    if forward.all():
        raise SchemaError(
            f"Expected at least one bin before the forward ones, got forward true in all "
            f"{forward.size} bins: a model would have nothing to read."
        )
    if held_in.sum() < n_units:
        raise SchemaError(
            f"Expected at least {n_units} held-in units to find what they share, got "
            f"{int(held_in.sum())} of {held_in.size} units: record or hold in more."
        )
    arrays = _assemble(
        data, schema.scored_bins(data), np.arange(held_in.size), held_in, forward, covariates
    )
    if not arrays.inputs.any():
        raise SchemaError(
            f"Expected spikes of the held-in units, got none in {int(arrays.seen.sum())} observed "
            f"bins of {int(held_in.sum())} units: check the recording's time range and units."
        )
    return arrays


def evaluation_arrays(data: xr.Dataset, result: xr.Dataset, n_ahead: int | None = None) -> Arrays:
    """Take counts apart for a fitted model.

    Parameters
    ----------
    data
        The units of the fit or the held-in ones of them, in their order; its forward bins, where
        it marks any, are not read.
    result
        The ``result_`` of the model, for its units, held-in units, bin size, forward bins and
        covariates.
    n_ahead
        Bins ahead of the window; None for as many as the fit had, or more where the data mark
        more.

    Raises
    ------
    SchemaError
        If the data break the schema, are not whole counts, or differ from the fit in units or
        bin size.
    """
    check_counts(data)
    units, held_in = result["unit"].values, result["held_in"].values.astype(bool)
    given = data["unit"].values
    if np.array_equal(given, units):
        position = np.arange(units.size)
    elif np.array_equal(given, units[held_in]):
        position = np.flatnonzero(held_in)
    else:
        other = "" if held_in.all() else f", or the {int(held_in.sum())} held-in ones of them"
        raise SchemaError(
            f"Expected the {units.size} units the model was fitted to{other}, in that order, got "
            f"{given.size} units {given[:5].tolist()}...: use "
            f"data.sel(unit=model.result_['unit'].values)."
        )
    if not np.isclose(data.attrs["bin_size"], result.attrs["bin_size"], rtol=1e-9):
        raise SchemaError(
            f"Expected bins of {result.attrs['bin_size']} s as in the fit, got "
            f"{data.attrs['bin_size']} s: bin the data alike."
        )
    forward = _marks(data, "forward", "time", default=False)
    if forward.all():
        raise SchemaError(
            f"Expected at least one bin before the forward ones, got forward true in all "
            f"{forward.size} bins: the model would have nothing to read."
        )
    if n_ahead is not None:
        data, forward = data.isel(time=~forward), forward[~forward]
    ahead = int(result.attrs["n_forward"]) if n_ahead is None else n_ahead
    missing = max(ahead - int(forward.sum()), 0)
    forward = np.append(forward, np.ones(missing, dtype=bool))
    names = result["covariate"].values.tolist() if "covariate" in result.coords else ()
    return _assemble(data, schema.valid_bins(data), position, held_in, forward, names)


def _marks(data: xr.Dataset, name: str, dim: str, *, default: bool) -> np.ndarray:
    if name in data.variables:
        return np.array(data[name].values, dtype=bool)
    return np.full(data.sizes[dim], default)


def _assemble(
    data: xr.Dataset,
    read: np.ndarray,
    position: np.ndarray,
    held_in: np.ndarray,
    forward: np.ndarray,
    covariates: Sequence[str],
) -> Arrays:
    """Arrays of the fit's units at ``position``, in the data's bins and those that follow them.

    ``read`` says which of the data's bins are read at all.
    """
    n_given, n_bins = data.sizes["time"], forward.size
    lengths = schema.trial_lengths(data)
    valid, scored = np.zeros((2, lengths.size, n_bins), dtype=bool)
    valid[:, :n_given] = read.reshape(lengths.size, n_given)
    scored[:, :n_given] = schema.scored_bins(data).reshape(lengths.size, n_given)
    count = np.asarray(data["count"].values).reshape(lengths.size, n_given, position.size)
    counts = np.full((lengths.size, n_bins, held_in.size), np.nan, dtype=np.float32)
    counts[:, :, position] = 0.0
    counts[:, :n_given, position] = np.where(valid[:, :n_given, None], count, 0)
    # Only a trial that lasts as long as the data do can have bins after them.
    until = np.where(lengths == n_given, n_bins, lengths)
    n_window = int((~forward).sum())
    return Arrays(
        np.ascontiguousarray(counts[:, :n_window, held_in]),
        counts,
        valid,
        scored,
        np.arange(n_bins) < until[:, None],
        held_in,
        forward,
        _covariates(data, covariates, lengths, n_bins),
    )


def _covariates(
    data: xr.Dataset, names: Sequence[str], lengths: np.ndarray, n_bins: int
) -> np.ndarray:
    """Covariates (trial, bin, covariate), their last values held in bins that the data lack."""
    n_given = data.sizes["time"]
    inside = np.arange(n_given) < lengths[:, None]
    columns = [np.zeros((lengths.size, n_given, 0), dtype=np.float32)]
    for name in names:
        if name not in data.variables:
            guess = schema.did_you_mean(name, map(str, data.variables))
            raise SchemaError(
                f"Expected the covariate {name!r} beside the counts, got "
                f"{schema.describe(data)}.{guess}"
            )
        values = data[name]
        if not set(values.dims) <= {"trial", "time"} or values.dtype.kind not in "biuf":
            raise SchemaError(
                f"Expected the covariate {name!r} as numbers with dims among ('trial', 'time'), "
                f"got {values.dtype} with {values.dims}: name each of several columns as a "
                f"variable of its own, and code categories as 0 and 1."
            )
        dims = [d for d in ("trial", "time") if d in data["count"].dims]
        wide = values.broadcast_like(data["count"].isel(unit=0, drop=True)).transpose(*dims)
        column = np.asarray(wide.values, dtype=np.float32).reshape(lengths.size, n_given)
        if not np.isfinite(column[inside]).all():
            raise SchemaError(
                f"Expected finite values of the covariate {name!r} in all bins, got NaN or "
                f"infinity in {int((~np.isfinite(column[inside])).sum())}: fill them in, and mark "
                f"where with a second covariate."
            )
        columns.append(np.where(inside, column, 0)[:, :, None])
    known = np.concatenate(columns, axis=-1)
    return known[:, np.minimum(np.arange(n_bins), n_given - 1)]


def check_n_latents(n_latents: int, arrays: Arrays) -> None:
    """Raise :class:`ParameterError` where there are more latents than units to find them in."""
    n_units = int(arrays.held_in.sum())
    if n_latents > n_units:
        raise ParameterError(
            f"Expected n_latents of at most the {n_units} held-in units, got {n_latents}."
        )
