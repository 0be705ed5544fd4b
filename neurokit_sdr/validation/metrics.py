"""Measures of latent variable models, as the Neural Latents Benchmark defines them.

Rates are expected counts per bin throughout, never Hz. Predictions and truth are brought together
by their labels; ragged trials (``trial_length``), gaps (``observed``), held-out units (``held_in``)
and bins to predict ahead (``forward``) are read from the truth. The numbers are those of nlb_tools
0.0.4, to rounding (``benchmarks/latent_metrics.py``).

References
----------
Pei, Ye, et al. (2021), Neural Latents Benchmark '21, NeurIPS Datasets and Benchmarks,
arXiv 2109.04463.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import check_number
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.engines.poisson import score as likelihood
from neurokit_sdr.validation import _labelled, _metrics


def bits_per_spike(expected_count: Any, count: Any) -> float:
    """Poisson log likelihood over that of every unit's mean count, in bits per spike.

    Parameters
    ----------
    expected_count
        Spikes per bin: a Dataset with ``expected_count``, a DataArray, or an array (..., unit).
        Zero counts as 1e-9.
    count
        A Dataset of counts, a DataArray, or an array (..., unit). What is expected is aligned to
        its labels, and may hold more. Bins beyond ``trial_length``, not ``observed``, or NaN in an
        array or DataArray are left out.

    Returns
    -------
    float
        Zero for the units' means over the bins that are evaluated, which is what the benchmark
        compares with although it takes the test data to know them; higher is better.

    Raises
    ------
    SchemaError
        If labels are missing, one side alone is labelled, an expectation is negative or NaN beside
        a count, or there is no spike.

    See Also
    --------
    neurokit_sdr.engines.poisson.score.bits_per_spike : The equation.

    Examples
    --------
    >>> round(bits_per_spike([[2.0], [0.0]], [[2.0], [0.0]]), 6)
    1.0
    """
    if not _labelled.is_labelled(expected_count, count):
        return likelihood.bits_per_spike(expected_count, count)
    return _bits(expected_count, _labelled.masked_counts(count))


def co_bits_per_spike(prediction: Any, truth: Any) -> float:
    """co-bps: bits per spike of the held-out units in the observed bins.

    Parameters
    ----------
    prediction
        ``expected_count([trial,] time, unit)``, a Dataset with it or the DataArray; more units and
        bins than are needed do no harm.
    truth
        Counts of the test trials with ``held_in(unit)`` and, where there are any, ``forward(time)``
        as :func:`held_out_split` returns them. Bins not observed or beyond a trial are left out.

    Returns
    -------
    float
        As :func:`bits_per_spike`.

    Raises
    ------
    SchemaError
        If no unit of the truth is held out, or as :func:`bits_per_spike`.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> count = np.random.default_rng(0).poisson(0.5, (20, 30, 8))
    >>> counts = xr.Dataset(
    ...     {"count": (("trial", "time", "unit"), count, {"units": "1"})},
    ...     coords={"time": ("time", np.arange(30) * 0.02, {"units": "s"}), "unit": np.arange(8)},
    ...     attrs={"bin_size": 0.02},
    ... )
    >>> split = nks.validation.held_out_split(counts, neurons=2, trials=5, forward=10)
    >>> rates = (split.truth["count"] * 0.0 + 0.5).to_dataset(name="expected_count")
    >>> abs(nks.validation.co_bits_per_spike(rates, split.truth)) < 0.05  # no better than the mean
    True
    """
    count = _labelled.masked_counts(truth)
    held_out = ~_flags(count, "held_in", True)
    if not held_out.any():
        raise SchemaError(
            f"Expected units with held_in false to score, got none among {held_out.size}: split "
            f"the counts with nks.validation.held_out_split(counts, neurons=0.25), or score all "
            f"units with bits_per_spike."
        )
    seen = ~_flags(count, "forward", False)
    return _bits(prediction, count.isel(unit=np.flatnonzero(held_out), time=np.flatnonzero(seen)))


def forward_bits_per_spike(prediction: Any, truth: Any) -> float:
    """fp-bps: bits per spike of all units, held in and held out, in the forward bins.

    Parameters
    ----------
    prediction, truth
        As in :func:`co_bits_per_spike`; the truth has ``forward(time)``. A ragged trial counts
        with the forward bins that it reaches.

    Returns
    -------
    float
        As :func:`bits_per_spike`.

    Raises
    ------
    SchemaError
        If no bin of the truth lies ahead, or as :func:`bits_per_spike`.

    Examples
    --------
    >>> count = xr.DataArray(
    ...     [[[2.0]], [[0.0]]],
    ...     {"forward": ("time", [True])},
    ...     ("trial", "time", "unit"),
    ... )
    >>> round(forward_bits_per_spike(count, count), 6)
    1.0
    """
    count = _labelled.masked_counts(truth)
    ahead = _flags(count, "forward", False)
    if not ahead.any():
        raise SchemaError(
            f"Expected bins with forward true to score, got none among {ahead.size}: split the "
            f"counts with nks.validation.held_out_split(counts, forward=10)."
        )
    return _bits(prediction, count.isel(time=np.flatnonzero(ahead)))


def psth(
    counts: xr.Dataset, condition: str = "condition", *, smoothing: float = 0.07
) -> xr.DataArray:
    r"""Peri-stimulus time histogram of every condition, smoothed.

    .. math:: \mathrm{PSTH}_{ctn} = \frac{\sum_s g_{t-s} \sum_{r \in c} m_{rs} x_{rsn}}
                                         {\sum_s g_{t-s} \sum_{r \in c} m_{rs}}

    with :math:`m` whether a bin carries data and :math:`g` a Gaussian cut off at three standard
    deviations. Dividing by the weight that lies inside keeps the edges from sinking; the benchmark
    smooths the continuous recording instead, where it has one.

    Parameters
    ----------
    counts
        ``count(trial, time, unit)`` with a coordinate ``condition(trial)``. Trials whose condition
        is NaN or empty are left out, as are bins beyond ``trial_length`` or not ``observed``.
    condition
        The coordinate's name.
    smoothing
        Standard deviation in seconds; 0 does not smooth.

    Returns
    -------
    xarray.DataArray
        ``psth(condition, time, unit)`` in spikes per bin; NaN where no trial has data.

    Raises
    ------
    SchemaError
        If the counts break the schema, or lack trials or the coordinate.
    ParameterError
        If ``smoothing`` is no number of seconds >= 0.

    Examples
    --------
    >>> counts = xr.Dataset(
    ...     {"count": (("trial", "time", "unit"), [[[2]], [[0]], [[5]]], {"units": "1"})},
    ...     coords={"time": ("time", [0.01], {"units": "s"}), "unit": ["a"],
    ...             "condition": ("trial", ["left", "left", "right"])},
    ...     attrs={"bin_size": 0.02},
    ... )
    >>> psth(counts, smoothing=0)["condition"].values.tolist()
    ['left', 'right']
    >>> psth(counts, smoothing=0).values.ravel().tolist()
    [1.0, 5.0]
    """
    check_number("smoothing", smoothing, 0, hint="it is in seconds")
    schema.check(counts, "counts")
    count = _labelled.masked_counts(counts)
    _need_trials(count, "counts")
    labels = _labelled.coordinate(count, condition, "trial").values
    values, index = _conditions(labels)
    valid = np.isfinite(count.values)
    shape = (len(values), *count.shape[1:])
    spikes, weight = np.zeros(shape), np.zeros(shape)
    np.add.at(spikes, index[index >= 0], np.where(valid, count.values, 0.0)[index >= 0])
    np.add.at(weight, index[index >= 0], valid[index >= 0].astype(np.float64))
    there = weight > 0
    if smoothing:
        width = smoothing / float(counts.attrs["bin_size"])
        spikes, weight = (
            gaussian_filter1d(a, width, axis=1, mode="constant", truncate=3.0)
            for a in (spikes, weight)
        )
    mean = np.divide(spikes, weight, out=np.full(shape, np.nan), where=there)
    coords = {n: c for n, c in count.coords.items() if set(c.dims) <= {"time", "unit"}}
    return xr.DataArray(
        mean, coords | {condition: values}, (condition, "time", "unit"), "psth", {"units": "1"}
    )


def psth_r2(
    prediction: Any,
    truth: Any,
    condition: str = "condition",
    smoothing: float = 0.07,
) -> float:
    """PSTH R2: the predicted trials' mean over each condition against the conditions' PSTH.

    The coefficient of determination over conditions and bins, averaged over units: the benchmark's,
    which is scikit-learn's. A unit whose PSTH is constant scores 0, or 1 if met exactly.

    Parameters
    ----------
    prediction
        ``expected_count(trial, time, unit)`` of test trials: a Dataset or the DataArray.
    truth
        Counts of the trials that the PSTH is made of, with the coordinate ``condition(trial)``;
        the benchmark takes all trials, those of training and of test. Or ``psth(condition, time,
        unit)`` as :func:`psth` gives. Bins to predict ahead are left out.
    condition
        Name of the coordinate, which the prediction has along ``trial``; where it has not, it is
        looked up in the counts by the trials' labels. Conditions without a predicted trial, or
        without counts, are left out.
    smoothing
        Standard deviation in seconds for :func:`psth`.

    Returns
    -------
    float
        At most 1. Bins where the PSTH is NaN for any unit are left out, as are predictions beyond
        the end of a trial that the counts hold.

    Raises
    ------
    SchemaError
        If labels are missing or a prediction is NaN where the PSTH is not.

    Examples
    --------
    >>> time = ("time", [0.01, 0.03], {"units": "s"})
    >>> truth = xr.DataArray(
    ...     [[[1.0], [0.0]], [[0.0], [1.0]]],
    ...     {"condition": ["left", "right"], "time": time},
    ...     ("condition", "time", "unit"),
    ... )
    >>> rates = xr.DataArray(
    ...     [[[0.5], [0.5]], [[1.5], [-0.5]], [[0.0], [1.0]]],
    ...     {"condition": ("trial", ["left", "left", "right"]), "time": time},
    ...     ("trial", "time", "unit"),
    ... )
    >>> psth_r2(rates, truth)
    1.0
    """
    expected = _labelled.variable_of(prediction, "expected_count")
    _need_trials(expected, "prediction")
    count = None
    if isinstance(truth, xr.DataArray) and condition in truth.dims:
        reference = truth
    else:
        reference = psth(truth, condition, smoothing=smoothing)
        count = _labelled.masked_counts(truth)
    reference = reference.isel(time=np.flatnonzero(~_flags(reference, "forward", False)))
    reference = reference.transpose(condition, "time", "unit")
    if condition not in expected.coords and count is not None:
        where = _labelled.positions(count, expected, "trial", "counts")
        own = _labelled.coordinate(count, condition, "trial").values[where]
        expected = expected.assign_coords({condition: ("trial", own)})
    labels = _labelled.coordinate(expected, condition, "trial").values
    for dim in ("time", "unit"):
        where = _labelled.positions(expected, reference, dim, "a prediction")
        expected = expected.isel({dim: where})
    values = expected.transpose("trial", "time", "unit").values.astype(np.float64)
    seen = np.ones(values.shape[:2], dtype=bool)
    if count is not None and "trial" in count.coords and "trial" in expected.coords:
        # Beyond the end of a ragged trial a model may predict anything.
        where = _labelled.find(count["trial"].values, expected["trial"].values, "trial", "counts")
        times = _labelled.positions(count, reference, "time", "counts")
        inside = np.isfinite(count.isel(time=times).values[where]).any(axis=2)
        seen = inside | (where < 0)[:, None]
    members = [labels == value for value in reference[condition].values]
    return _metrics.profile_r2(reference.values.astype(np.float64), values, members, seen)


def behavior_r2(
    rates_train: Any,
    behavior_train: Any,
    rates_test: Any,
    behavior_test: Any,
    *,
    lag: float = 0.0,
    group: str | None = None,
) -> float:
    """Behaviour R2 (vel R2): how well rates of single bins predict behaviour, linearly.

    Ridge regression with an intercept from all units' rates in a bin to the behaviour ``lag``
    later, its penalty one of nine from 1e-4 to 1 by five-fold cross-validation on the training
    trials, in their order; scored on the test trials, averaged over the behaviour's columns.

    Parameters
    ----------
    rates_train, rates_test
        ``expected_count([trial,] time, unit)`` of all units, predicted for the training and for the
        test trials: Datasets, DataArrays, or arrays (..., unit).
    behavior_train, behavior_test
        DataArray ``([trial,] time[, space])`` aligned by trial and time, or an array of as many
        rows. Rows with NaN are left out. (nlb_tools asks the first column alone.)
    lag
        Seconds by which behaviour follows; needs labels. The sample nearest in time is taken, at
        most half a bin away; where there is none the bin is left out. The benchmark's tensors, and
        :func:`neurokit_sdr.io.read_neural_latents`, are shifted already: 0.
    group
        Name of a coordinate along ``trial`` of the rates. Every value gets a decoder of its own,
        and their R2 are averaged (active and passive reaches of area2_bump).

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    SchemaError
        If shapes or labels do not fit, a rate is NaN beside behaviour, or fewer than ten rows are
        left to fit or two to score.
    ParameterError
        If ``lag`` or ``group`` is given for arrays, or ``lag`` is no number.

    Examples
    --------
    >>> rates = np.random.default_rng(0).gamma(1.0, 0.1, (20, 30, 3))
    >>> velocity = rates @ [[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]
    >>> round(behavior_r2(rates[:15], velocity[:15], rates[15:], velocity[15:]), 3)
    1.0
    """
    check_number("lag", lag, hint="it is in seconds")
    if not _labelled.is_labelled(rates_train, behavior_train, rates_test, behavior_test):
        if lag or group is not None:
            raise ParameterError(
                f"Expected DataArrays with trial and time for lag={lag!r} and group={group!r}, got "
                f"arrays: shift or split them yourself."
            )
        train = _metrics.paired_rows(rates_train, behavior_train, "rates")
        test = _metrics.paired_rows(rates_test, behavior_test, "rates")
        return _metrics.decoder_r2(train, test)
    first, second = (_labelled.variable_of(r, "expected_count") for r in (rates_train, rates_test))
    if "unit" in first.dims and "unit" in second.dims:
        second = second.isel(unit=_labelled.positions(second, first, "unit", "test rates"))
    pairs = [(first, behavior_train), (second, behavior_test)]
    if group is None:
        return _metrics.decoder_r2(*(_labelled.paired_rows(r, b, lag, "unit") for r, b in pairs))
    labels = [_labelled.coordinate(r, group, "trial").values for r, _ in pairs]
    score = []
    for value in _conditions(labels[0])[0]:
        parts = [
            _labelled.paired_rows(r.isel(trial=np.flatnonzero(mine == value)), b, lag, "unit")
            for (r, b), mine in zip(pairs, labels, strict=True)
        ]
        score.append(_metrics.decoder_r2(*parts))
    return float(np.mean(score))


def produced_time_correlation(
    prediction: Any,
    truth: xr.Dataset,
    produced_time: str = "tp",
    condition: Sequence[str] = ("is_eye", "theta", "is_short"),
) -> float:
    r"""Correlation (tp corr) of neural speed with the interval that was produced, over trials.

    .. math:: v_r = \frac{1}{T_r - 1} \sum_{t=2}^{T_r} \lVert \lambda_{rt} - \lambda_{r,t-1}
              \rVert_2

    over the bins of the interval, all units; Pearson's correlation of :math:`v_r` with the
    produced interval within each condition, averaged over conditions. Faster trajectories end
    sooner: the more negative, the better.

    Parameters
    ----------
    prediction
        ``expected_count(trial, time, unit)``: a Dataset or the DataArray, all units.
    truth
        Counts with the same trials. Their valid bins (``trial_length``, ``observed``, not
        ``forward``) are the interval from set to go.
    produced_time
        Name of the coordinate along ``trial`` with the produced interval. Trials where it is NaN
        are left out.
    condition
        Names of the coordinates along ``trial`` that together are a condition. Trials where one is
        NaN are left out.

    Returns
    -------
    float
        Between -1 and 1.

    Raises
    ------
    SchemaError
        If a coordinate is missing, a trial has fewer than two bins or a NaN prediction, or a
        condition has fewer than two trials or no spread.

    Examples
    --------
    >>> rise = np.array([1.0, 2.0, 3.0])[:, None, None] * np.arange(4.0)[:, None]
    >>> counts = xr.DataArray(
    ...     np.ones((3, 4, 1)),
    ...     {"tp": ("trial", [0.9, 0.6, 0.5]), "theta": ("trial", [0, 0, 0])},
    ...     ("trial", "time", "unit"),
    ... )
    >>> round(produced_time_correlation(counts.copy(data=rise), counts, condition="theta"), 3)
    -0.961
    """
    expected = _labelled.variable_of(prediction, "expected_count")
    count = _labelled.masked_counts(truth)
    for part, what in ((expected, "prediction"), (count, "truth")):
        _need_trials(part, what)
    count = count.isel(time=np.flatnonzero(~_flags(count, "forward", False)))
    for dim in ("trial", "time"):
        expected = expected.isel({dim: _labelled.positions(expected, count, dim, "a prediction")})
    rate = expected.transpose("trial", "time", "unit").values.astype(np.float64)
    valid = np.isfinite(count.values).any(axis=2)
    interval = _labelled.coordinate(count, produced_time, "trial").values.astype(np.float64)
    names = [condition] if isinstance(condition, str) else list(condition)
    index = [_conditions(_labelled.coordinate(count, n, "trial").values)[1] for n in names]
    group = np.stack(index, axis=1)
    used = np.isfinite(interval) & (group >= 0).all(axis=1)
    correlation = []
    for one in np.unique(group[used], axis=0):
        mine = np.flatnonzero(used & (group == one).all(axis=1))
        speed = np.array([_metrics.speed(rate[r, valid[r]]) for r in mine])
        spread = [float(np.ptp(v)) if v.size else 0.0 for v in (speed, interval[mine])]
        if mine.size < 2 or not np.isfinite(speed).all() or min(spread) == 0:
            which = {n: count[n].values[mine[0]].item() for n in names}
            raise SchemaError(
                f"Expected at least two trials with different speeds and intervals in every "
                f"condition, got {mine.size} with speeds {speed[:3].tolist()} and intervals "
                f"{interval[mine][:3].tolist()} in {which}: name fewer conditions, or drop it."
            )
        correlation.append(np.corrcoef(speed, interval[mine])[0, 1])
    if not correlation:
        raise SchemaError(
            f"Expected trials with {produced_time!r} and {names}, got none without NaN among "
            f"{interval.size}."
        )
    return float(np.mean(correlation))


def _bits(prediction: Any, count: xr.DataArray) -> float:
    expected = _labelled.variable_of(prediction, "expected_count")
    return likelihood.bits_per_spike(
        _labelled.matched(expected, count, "a prediction"), count.values
    )


def _flags(data: xr.DataArray, name: str, absent: bool) -> np.ndarray:
    """A boolean coordinate, or what its absence means."""
    dim = {"held_in": "unit", "forward": "time"}[name]
    if name not in data.coords:
        return np.full(data.sizes[dim], absent)
    return data[name].values.astype(bool)


def _need_trials(data: xr.DataArray, what: str) -> None:
    if set(data.dims) != {"trial", "time", "unit"}:
        raise SchemaError(
            f"Expected {what} with dims ('trial', 'time', 'unit'), got {data.dims}: this measure "
            f"compares trials."
        )


def _conditions(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values there are, in order, and which each trial has; -1 for NaN and empty text."""
    missing = np.zeros(labels.size, dtype=bool)
    if labels.dtype.kind == "f":
        missing = np.isnan(labels)
    elif labels.dtype.kind in "UTO":
        missing = labels == ""
    index = np.full(labels.size, -1)
    values, index[~missing] = np.unique(labels[~missing], return_inverse=True)
    return values, index
