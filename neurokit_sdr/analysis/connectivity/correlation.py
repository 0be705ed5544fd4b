"""Correlations of counts: of a target with a source a lag earlier, and partial ones within bins."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.connectivity import advice, lags
from neurokit_sdr.analysis.connectivity.data import check_length, counts_of, label
from neurokit_sdr.analysis.connectivity.partial import partial_of_varying, redundant_text
from neurokit_sdr.analysis.connectivity.profile import profile_lags, warn
from neurokit_sdr.analysis.connectivity.significance import z_of_correlation
from neurokit_sdr.core.arguments import Interval, check


def lagged_correlation(counts: xr.Dataset, *, lag: int = 1) -> xr.Dataset:
    r"""Pearson correlation of each target with each source a lag earlier.

    .. math:: w_{ij} = \operatorname{corr}(x_{t,i},\, x_{t - k,j})

    ``z_score`` is the size that a normal variable exceeds as rarely as a permutation of the bins
    gives such a correlation, with its sign. Few coincidences are not normal, so it comes from a
    Poisson distribution that has the variance and the skewness of :math:`w_{ij}` under
    permutations; it is 0 where chance gives as much more often than not, and in dense data it is
    :math:`w_{ij} \sqrt{T_k - 1}`.

    Parameters
    ----------
    counts
        ``count([trial,] time, unit)``.
    lag
        :math:`k` in bins; 0 is the symmetric correlation within bins.

    Returns
    -------
    xarray.Dataset
        ``weight(target, source)``, a correlation, and ``z_score(target, source)``.

    Raises
    ------
    SchemaError
        If the counts break the schema, or there are fewer than two units, or no four bins of one
        trial are ``lag`` apart.
    ParameterError
        If ``lag`` is not a whole number of at least 0.

    Warns
    -----
    DataWarning
        If the population's coincidences lie at another lag or within one bin.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(4, 1, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 2000, rng=0)
    >>> dict(nks.analysis.lagged_correlation(counts).sizes)
    {'target': 4, 'source': 4}
    """
    check("lag", lag, Interval(int, 0))
    sequences, units = counts_of(counts)
    trains = lags.trains_of_counts(sequences)
    check_length(trains, lag)
    n_lags = profile_lags(trains, 2 * lag)
    of = lags.lagged(trains, n_lags)
    weight = lags.correlation(of)[lag]
    result = label(
        weight,
        z_of_correlation(weight, of.n_bins[lag], of, lag),
        units,
        np.zeros(len(units), dtype=bool),
        "1",
        method="lagged_correlation",
        bin_size=float(counts.attrs["bin_size"]),
        lag=int(lag),
    )
    warn(advice.of_lag(lags.profile(of), lag, lag, float(counts.attrs["bin_size"])))
    return result


def partial_correlation(counts: xr.Dataset) -> xr.Dataset:
    r"""Correlation of each two units within bins that no other unit explains.

    With :math:`P` the inverse of the covariance of the counts, of :math:`N` units in :math:`T`
    bins,

    .. math:: w_{ij} = -P_{ij} / \sqrt{P_{ii} P_{jj}},

    which is symmetric: it does not say who drives whom. ``z_score`` is that of
    :func:`lagged_correlation` with :math:`T - N + 2` bins; in dense data
    :math:`w_{ij} \sqrt{T - N + 1}`.

    Parameters
    ----------
    counts
        ``count([trial,] time, unit)`` in bins that hold both the spike of a source and its effect,
        about 20 ms.

    Returns
    -------
    xarray.Dataset
        ``weight(target, source)``, a correlation, and ``z_score(target, source)``.

    Raises
    ------
    SchemaError
        If the counts break the schema, or there are fewer than two units, or fewer bins than
        units + 3.

    Warns
    -----
    DataWarning
        If the population's coincidences lie outside one bin, or within a small part of it; or if
        some units are copies or sums of others, for which there is no partial correlation (the
        pseudo-inverse is used).

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> import numpy as np
    >>> source = np.sort(np.random.default_rng(0).uniform(0, 99, 400))
    >>> spikes = nks.io.from_spike_times({"a": source, "b": source[::2] + 0.004}, t_stop=100.0)
    >>> found = nks.analysis.partial_correlation(nks.bin_spikes(spikes, 0.02))
    >>> bool(found["z_score"].sel(target="b", source="a") > 10)
    True
    """
    sequences, units = counts_of(counts)
    trains = lags.trains_of_counts(sequences)
    of = lags.lagged(trains, profile_lags(trains, 0))
    weight, silent, redundant = partial_of_varying(lags.correlation(of)[0], int(of.n_bins[0]), None)
    result = label(
        weight,
        z_of_correlation(weight, of.n_bins[0] - (~silent).sum() + 2, of, 0),
        units,
        silent,
        "1",
        method="partial_correlation",
        bin_size=float(counts.attrs["bin_size"]),
        lag=0,
    )
    warn(redundant_text(redundant))
    warn(advice.of_bin(lags.profile(of), float(counts.attrs["bin_size"])))
    return result
