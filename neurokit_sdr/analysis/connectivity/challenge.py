"""The recipe that won the ChaLearn connectomics challenge (Sutera et al. 2014), and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.connectivity import advice, lags, recipe
from neurokit_sdr.analysis.connectivity.data import check_length, counts_of, label, signal_of
from neurokit_sdr.analysis.connectivity.partial import partial_of_signal, redundant_text
from neurokit_sdr.analysis.connectivity.profile import profile_lags, warn
from neurokit_sdr.core.arguments import Interval, check
from neurokit_sdr.core.errors import ParameterError

#: Of the recipe, in units of the scaled trace.
CHALLENGE_THRESHOLDS = np.linspace(0.10, 0.21, 12)


def challenge_partial_correlation(
    data: xr.Dataset | xr.DataTree | xr.DataArray,
    *,
    filters: Sequence[str] = ("f1", "f2"),
    thresholds: Sequence[float] | np.ndarray | None = None,
    direction: float = 0.003,
    pca: float | None = None,
) -> xr.Dataset:
    r"""The recipe that won the ChaLearn connectomics challenge, for calcium signals.

    Each signal :math:`x` is filtered (:math:`f`), differenced (:math:`g`), thresholded (:math:`h`)
    and weighed (:math:`w`), frame by frame:

    .. math::

       f_1(x)_t &= x_{t-1} + x_t + x_{t+1}, \quad
       f_2(x)_t = 0.4\, x_{t-3} + 0.8\, x_{t-2} + x_{t-1} + x_t, \\
       g(x)_t &= x_t - x_{t-1}, \quad h(x) = x\, [x \ge \tau], \quad
       w(x)_{t,i} = (x_{t,i} + 1)^{1 + 1/\sum_j x_{t,j}}.

    Partial correlations of the result are averaged over filters and thresholds into :math:`p`. Who
    leads is guessed from how often :math:`x_{t+1,i} - x_{t,j}` lies in (0.2, 0.5), less the other
    way round, scaled to at most 1 into :math:`d`:

    .. math:: w_{ij} = (1 - a)\, p_{ij} / \max |p| + a \operatorname{sign}(p_{ij})\, d_{ij},
              \qquad a = 0.003.

    Where we differ: traces are first scaled to median 0 and quantile 0.999 of 1, since the
    challenge's lay in that range and others do not; the sign of :math:`p` is kept; :math:`h`
    averages 12 thresholds from 0.10 to 0.21; and principal components are not cut by default.
    Cutting them gains in networks with bursts, as those of the challenge, but flips signs in
    asynchronous ones. Spike counts are events already: of the steps only :math:`w` is used for
    them, and :math:`d` is the difference of the lag-1 correlations.

    Parameters
    ----------
    data
        ``fluorescence(time, unit)`` as ``nks.snn.observe.calcium`` makes it, alone or in a session
        (``dff`` is used where there is one), any DataArray ``(time, unit)``, or counts without
        trials, in bins of about 20 ms.
    filters
        Of ``"f1"`` and ``"f2"``.
    thresholds
        :math:`\tau`, each above 0, in units of the scaled trace; not for counts.
    direction
        :math:`a`, between 0 and 1.
    pca
        Share of the principal components that is kept, 0.8 in the challenge; None keeps all.

    Returns
    -------
    xarray.Dataset
        ``weight(target, source)`` and ``z_score(target, source)``: smoothing leaves frames
        dependent, so errors are not those of a formula but 1.48 times the median absolute
        deviation of all weights, most of which are of pairs without a synapse.

    Raises
    ------
    SchemaError
        If the data are of another kind, hold NaN, have fewer than two units or too few frames.
    ParameterError
        If an argument is out of range.

    Warns
    -----
    DataWarning
        For counts, if the population's coincidences lie outside one bin or within a small part of
        it; for both, if some units are copies or sums of others.

    References
    ----------
    Sutera, Joly, François-Lavet, Qiu, Louppe, Ernst and Geurts, "Simple connectome inference from
    partial correlation statistics in calcium imaging", Neural Connectomics Workshop (2014).

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.5, 2.0], "b": [0.6, 3.0]}, t_stop=5.0)
    >>> seen = nks.snn.observe.calcium(spikes, rng=0)
    >>> found = nks.analysis.challenge_partial_correlation(seen)
    >>> dict(found.sizes)
    {'target': 2, 'source': 2}
    """
    check("direction", direction, Interval(float, 0, 1))
    if pca is not None:
        check("pca", pca, Interval(float, 0, 1, open_low=True))
    named = list(filters)
    if isinstance(filters, str) or not named or any(f not in recipe.FILTERS for f in named):
        raise ParameterError(
            f"Expected filters as a list from {list(recipe.FILTERS)}, got {filters!r}."
        )
    attrs: dict[str, Any] = {"direction": float(direction), "pca": np.nan if pca is None else pca}
    if isinstance(data, xr.Dataset) and "count" in data.variables:
        return _challenge_counts(data, thresholds, direction, pca, attrs)
    levels = CHALLENGE_THRESHOLDS if thresholds is None else np.asarray(thresholds, dtype=float)
    if levels.ndim != 1 or levels.size == 0 or not (np.isfinite(levels) & (levels > 0)).all():
        raise ParameterError(f"Expected thresholds > 0 in a list, got {thresholds!r}.")
    signal, units, interval = signal_of(data)
    silent = np.ptp(signal, axis=0) == 0
    warn(redundant_text(partial_of_signal(signal, pca)[2]))
    scaled = recipe.unit_range(signal[:, ~silent])
    found = np.zeros((len(units), len(units)))
    for name in named:
        for level in levels:
            steps = recipe.weigh(recipe.events(scaled, name, level))
            part, still, _ = partial_of_signal(steps, pca)
            # A unit without an event at this threshold says nothing, which is 0 in a mean.
            found[np.ix_(~silent, ~silent)] += np.where(still[:, None] | still, 0.0, part)
    order = np.zeros_like(found)
    lead = recipe.precedence(recipe.events(scaled, "f2", float(np.median(levels))))
    order[np.ix_(~silent, ~silent)] = lead
    attrs |= {"filters": named, "thresholds": [float(t) for t in levels], "lag": 0}
    if interval is not None:
        attrs["bin_size"] = interval
    return _challenge_label(
        found / (len(named) * len(levels)), order, units, silent, direction, attrs
    )


def _challenge_counts(
    data: xr.Dataset, thresholds: Any, direction: float, pca: float | None, attrs: dict[str, Any]
) -> xr.Dataset:
    """The recipe for events: weighing, partial correlation, direction."""
    if thresholds is not None:
        raise ParameterError(
            "Expected no thresholds with counts: spikes are events already, and are not filtered."
        )
    sequences, units = counts_of(data)
    trains = lags.trains_of_counts(sequences)
    check_length(trains, 1)
    of = lags.lagged(trains, max(profile_lags(trains, 0), 1))
    weighed = recipe.weigh(sequences.counts[sequences.observed])
    part, silent, redundant = partial_of_signal(weighed, pca)
    warn(redundant_text(redundant))
    # Weighing lifts all units of a bin with spikes, so that a silent one seems to do something.
    silent |= np.bincount(trains.unit, trains.number, trains.n_units) == 0
    lead = lags.correlation(of)[1]
    width = float(data.attrs["bin_size"])
    warn(advice.of_bin(lags.profile(of), width))
    return _challenge_label(
        part, np.nan_to_num(lead - lead.T), units, silent, direction, attrs | {"bin_size": width}
    )


def _challenge_label(
    part: np.ndarray,
    order: np.ndarray,
    units: np.ndarray,
    silent: np.ndarray,
    direction: float,
    attrs: dict[str, Any],
) -> xr.Dataset:
    """Mix partial correlations and order, and measure both against their own spread."""
    pairs = ~np.eye(len(units), dtype=bool) & ~silent[:, None] & ~silent
    part = recipe.to_one(np.where(pairs, part, 0.0))
    weight = (1 - direction) * part + direction * np.sign(part) * recipe.to_one(order)
    values = weight[pairs]
    centre = np.median(values) if values.size else 0.0
    spread = 1.4826 * np.median(np.abs(values - centre)) if values.size else 0.0
    z = (weight - centre) / spread if spread > 0 else np.zeros_like(weight)
    return label(weight, z, units, silent, "1", method="challenge_partial_correlation", **attrs)
