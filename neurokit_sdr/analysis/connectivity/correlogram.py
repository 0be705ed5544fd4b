"""Peaks and troughs of cross-correlograms of spike times."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.connectivity import advice, lags
from neurokit_sdr.analysis.connectivity.data import label, spikes_of
from neurokit_sdr.analysis.connectivity.profile import (
    PROFILE_BIN,
    SPIKE_PROFILE_LAGS,
    profile_of,
    warn,
)
from neurokit_sdr.analysis.connectivity.significance import z_of_count
from neurokit_sdr.core.arguments import Interval, Options, check
from neurokit_sdr.core.errors import ParameterError

#: Steps per window.
_STEPS = 3

_POSITIVE = Interval(float, 0, open_low=True)


def cross_correlogram_peak(
    spikes: xr.Dataset | xr.DataTree,
    *,
    lag_range: tuple[float, float] = (0.001, 0.012),
    window: float = 0.003,
    baseline: str = "rate",
    jitter_window: float = 0.05,
) -> xr.Dataset:
    r"""Highest peak or deepest trough of each pair's cross-correlogram.

    For a window :math:`[\ell, \ell + w)` within the range of lags, :math:`n_{ij}(\ell)` counts the
    spikes of target :math:`i` that follow a spike of source :math:`j` at such a lag, and
    :math:`E_{ij}(\ell)` those expected without a coupling. Windows overlap by two thirds. The one
    that a Poisson count of mean :math:`E` would reach or pass most rarely counts, with

    .. math:: w_{ij} = (n - E) / n_j,

    the spikes gained or lost per source spike. ``z_score`` is the size that a normal variable
    exceeds as rarely as the rarest of as many independent windows is as rare as this one, with the
    sign of :math:`n - E`; because windows overlap it is somewhat too small.

    Parameters
    ----------
    spikes
        Spikes, or a session with ``/spikes``.
    lag_range
        Shortest and longest lag in s.
    window
        :math:`w` in s.
    baseline
        ``"rate"``: :math:`E = n_i n_j w / T`, of two independent trains of constant rates.
        ``"jitter"``: the mean over all ways to move each target spike within its
        ``jitter_window``, which keeps slower changes of the rates, common ones too.
    jitter_window
        In s; several times the range of lags, or the baseline takes up the peak.

    Returns
    -------
    xarray.Dataset
        ``weight(target, source)`` in spikes per source spike, ``z_score(target, source)`` and
        ``peak_lag(target, source)``, the middle of the window in s.

    Raises
    ------
    SchemaError
        If the spikes break the schema or there are fewer than two units.
    ParameterError
        If an argument is out of range.

    Warns
    -----
    DataWarning
        If most of the population's coincidences lie at other lags.

    Notes
    -----
    Counts are exact: no bins, but time differences. Memory is that of as many matrices as there
    are windows. The jitter baseline is that of Amarasingham, Harrison, Hatsopoulos and Geman,
    Journal of Neurophysiology 107 (2012).

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> import numpy as np
    >>> source = np.arange(0.05, 100, 0.1)
    >>> spikes = nks.io.from_spike_times({"a": source, "b": source + 0.004}, t_stop=100.0)
    >>> found = nks.analysis.cross_correlogram_peak(spikes)
    >>> float(found["weight"].sel(target="b", source="a").round(2))
    0.97
    """
    check("window", window, _POSITIVE)
    check("baseline", baseline, Options("rate", "jitter"))
    check("jitter_window", jitter_window, _POSITIVE)
    first, last = _check_range(lag_range, window)
    time, unit, units, duration = spikes_of(spikes)
    n_units = len(units)
    step = window / _STEPS
    n_steps = int(np.floor((last - first) / step + 1e-6))
    total = np.bincount(unit, minlength=n_units).astype(float)
    fine = lags.correlograms(time, unit, first, step, n_steps, n_units)
    if baseline == "rate":
        lag = first + (np.arange(n_steps) + 0.5) * step
        # Source spikes in the last moments have no lag behind them within the recording.
        inside = np.maximum(duration - lag, 0) / duration if duration > 0 else np.zeros(n_steps)
        rate = np.outer(total, total) * step / max(duration, np.finfo(float).tiny)
        fine_expected = inside[:, None, None] * rate
    else:
        fine_expected = lags.jittered(
            time, unit, first, step, n_steps, n_units, jitter_window, duration
        )
    count, expected = lags.sliding(fine, _STEPS), lags.sliding(fine_expected, _STEPS)
    z = z_of_count(count, expected)
    best = np.abs(z).argmax(axis=0)[None]
    excess = np.take_along_axis(count - expected, best, 0)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = excess / total
    result = label(
        weight,
        lags.z_of_largest(np.take_along_axis(z, best, 0)[0], len(z)),
        units,
        total == 0,
        "1",
        method="cross_correlogram_peak",
        lag=[first, last],
        lag_units="s",
        window=float(window),
        baseline=baseline,
    )
    where = np.where(result["weight"].notnull(), first + best[0] * step + window / 2, np.nan)
    result["peak_lag"] = (("target", "source"), where, {"units": "s"})
    trains = lags.trains_of_spikes(time, unit, n_units, PROFILE_BIN, duration)
    reach = max(SPIKE_PROFILE_LAGS, int(np.ceil(2 * last / PROFILE_BIN)))
    warn(advice.of_range(profile_of(trains, reach), PROFILE_BIN, first, last))
    return result


def _check_range(lag_range: Any, window: float) -> tuple[float, float]:
    pair = lag_range if isinstance(lag_range, tuple | list) and len(lag_range) == 2 else (0, 0)
    first, last = pair
    good = first in Interval(float, 0) and last in _POSITIVE
    if not good or last - first < window * (1 - 1e-9):
        raise ParameterError(
            f"Expected lag_range as (shortest, longest) in s, at least one window of {window:g} s "
            f"apart and not negative, got {lag_range!r}."
        )
    return float(first), float(last)
