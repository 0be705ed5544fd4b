r"""Who drives whom, by the methods that a lab tries first.

Every function returns ``weight(target, source)``, the effect of the source on the target in the
method's own unit, and ``z_score(target, source)``, the same in standard errors, which is what
connections are found by. Both are NaN on the diagonal and where a unit never spikes: there the
method does not say. Lags never lead over the end of a trial or over missing bins.

================================== ========== ============= ===========================
function                           directed   signed        input
================================== ========== ============= ===========================
:func:`cross_correlogram_peak`     yes        yes           spike times
:func:`lagged_correlation`         yes        yes           counts, bins of about 2 ms
:func:`coupled_poisson_glm`        yes        yes           counts, bins of about 2 ms
:func:`transfer_entropy`           yes        no            counts, bins of about 2 ms
:func:`partial_correlation`        no         yes           counts, bins of about 20 ms
:func:`challenge_partial_correlation` barely  yes           calcium, or counts of 20 ms
================================== ========== ============= ===========================

A method that looks at the wrong lag finds little. So each function that works on spikes measures
at which lags the population's coincidences lie (:func:`lag_profile`), and warns with a better lag
or bin width where its own does not fit. Score a result with
``nks.validation.score_connectivity``.

Transfer entropy is counted here. Of the kept libraries (October 2026), ``infomeasure`` 0.6.3 took
84 ms for a pair of trains of 60,000 bins, 14 minutes for the 9,900 pairs of 100 units, where
sparse counting takes less than a second; ``pyinform`` would take seconds but had its last release
in 2019; ``idtxl`` needs Java or OpenCL. The tests hold ours against plug-in counting.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.connectivity import advice, challenge, entropy, glm, lags
from neurokit_sdr.analysis.connectivity.data import (
    check_length,
    counts_of,
    label,
    signal_of,
    spikes_of,
)
from neurokit_sdr.core.arguments import Interval, Options, check
from neurokit_sdr.core.errors import (
    ConvergenceWarning,
    DataWarning,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.core.parallel import thread_count
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.core.threads import parallel_map

#: Lags of a profile, in bins: the farther half of them is its floor.
PROFILE_LAGS = 20

#: Bin of a profile of spike times, s, and how far it reaches, in bins.
PROFILE_BIN = 1e-3
SPIKE_PROFILE_LAGS = 60

#: Steps per window of a cross-correlogram.
_STEPS = 3

#: Prior standard deviation of a weight of the GLM: exp(5) is far beyond any synapse, and a pair
#: that never fired together has a finite weight.
PRIOR_SD = 5.0

#: Of the challenge's recipe, in units of the scaled trace.
CHALLENGE_THRESHOLDS = np.linspace(0.10, 0.21, 12)

_WHOLE = Interval(int, 1)
_POSITIVE = Interval(float, 0, open_low=True)


def lag_profile(
    data: xr.Dataset | xr.DataTree, *, n_lags: int | None = None, bin_size: float | None = None
) -> xr.Dataset:
    r"""At which lags the pairs of a population fire together more or less often than by chance.

    With :math:`r_{ij}(k)` the correlation of target :math:`i` with source :math:`j` a lag of
    :math:`k` bins earlier, over :math:`T_k` pairs of bins,

    .. math:: e(k) = \frac{1}{N(N-1)} \sum_{i \ne j} T_k\, r_{ij}(k)^2 - 1,

    which is 0 without any coupling, and counts excitation and inhibition alike. Slow common
    changes lift all lags: the median of the farther half is taken off.

    Parameters
    ----------
    data
        Spikes (or a session with ``/spikes``), or counts.
    n_lags
        Largest lag in bins; None is 20 for counts and 60 for spikes. Let it reach twice as far as
        the coupling does.
    bin_size
        For spikes only, in s; None is 1 ms.

    Returns
    -------
    xarray.Dataset
        ``excess(lag)`` as above; ``error(lag)``, its standard error without coupling;
        ``amplitude(lag)``, its root where it stands out by 4 errors, else 0, and at lag 0 that of
        half of it, because both ordered pairs see the same coincidences. ``lag`` is in s.
        Attributes: ``bin_size``, ``peak_lag`` and ``mean_lag`` in s, ``same_bin_share`` of the
        amplitude, and the bin widths that would suit a directed method at lag 1 and a symmetric
        one, ``directed_bin_size`` and ``symmetric_bin_size``; NaN where nothing stands out.

    Raises
    ------
    SchemaError
        If the data break the schema or hold fewer than two units.
    ParameterError
        If an argument is out of range, or ``bin_size`` is given for counts.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(8, 1, bin_size=0.002, time_constants=[0.002], rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 5000, rng=0)
    >>> nks.analysis.lag_profile(counts).attrs["peak_lag"]
    0.002
    """
    is_spikes = isinstance(data, xr.DataTree) or "spike_time" in getattr(data, "variables", ())
    if is_spikes:
        time, unit, units, duration = spikes_of(data)
        width = PROFILE_BIN if bin_size is None else bin_size
        check("bin_size", width, _POSITIVE)
        trains = lags.trains_of_spikes(time, unit, len(units), width, duration)
    else:
        if bin_size is not None:
            raise ParameterError(
                "Expected bin_size with spike times only: counts have one, bin the spikes anew."
            )
        trains, width = lags.trains_of_counts(counts_of(data)[0]), float(data.attrs["bin_size"])
    number = n_lags if n_lags is not None else SPIKE_PROFILE_LAGS if is_spikes else PROFILE_LAGS
    check("n_lags", number, Interval(int, 2))
    profile = _profile(trains, number)
    amplitude = profile.amplitude
    mean, total = lags.mean_lag(amplitude), amplitude.sum()
    found = total > 0
    return xr.Dataset(
        {
            "excess": (("lag",), profile.excess, {"units": "1", "long_name": "excess coincidence"}),
            "error": (("lag",), profile.error, {"units": "1"}),
            "amplitude": (("lag",), amplitude, {"units": "1", "long_name": "typical z-score"}),
        },
        coords={"lag": ("lag", np.arange(len(amplitude)) * width, {"units": "s"})},
        attrs={
            "bin_size": width,
            "peak_lag": float(np.argmax(amplitude) * width) if found else np.nan,
            "mean_lag": mean * width,
            "same_bin_share": float(amplitude[0] / total) if found else np.nan,
            "directed_bin_size": advice.directed_bin(amplitude, width) if found else np.nan,
            "symmetric_bin_size": advice.symmetric_bin(amplitude, width) if found else np.nan,
        },
    )


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
    with the largest signed root of the Poisson deviance counts,

    .. math:: z = \operatorname{sign}(n - E)\,\sqrt{2\,(n \ln(n/E) - n + E)}, \qquad
              w_{ij} = (n - E) / n_j,

    the weight being the spikes gained or lost per source spike. ``z_score`` is the size that a
    normal variable exceeds as rarely as the largest of as many independent windows exceeds
    :math:`|z|`, with its sign; because windows overlap it is somewhat too small.

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
    z = lags.deviance_root(count, expected)
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
    _warn(advice.of_range(_profile(trains, reach), PROFILE_BIN, first, last))
    return result


def lagged_correlation(counts: xr.Dataset, *, lag: int = 1) -> xr.Dataset:
    r"""Pearson correlation of each target with each source a lag earlier.

    .. math:: w_{ij} = \operatorname{corr}(x_{t,i},\, x_{t - k,j}), \qquad
              z_{ij} = \operatorname{artanh}(w_{ij})\, \sqrt{T_k - 3}

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
    n_lags = _profile_lags(trains, 2 * lag)
    of = lags.lagged(trains, n_lags)
    weight = lags.correlation(of)[lag]
    result = label(
        weight,
        lags.fisher_z(weight, of.n_bins[lag]),
        units,
        np.zeros(len(units), dtype=bool),
        "1",
        method="lagged_correlation",
        bin_size=float(counts.attrs["bin_size"]),
        lag=int(lag),
    )
    _warn(advice.of_lag(lags.profile(of), lag, lag, float(counts.attrs["bin_size"])))
    return result


def partial_correlation(counts: xr.Dataset) -> xr.Dataset:
    r"""Correlation of each two units within bins that no other unit explains.

    With :math:`P` the inverse of the covariance of the counts, of :math:`N` units in :math:`T`
    bins,

    .. math:: w_{ij} = -P_{ij} / \sqrt{P_{ii} P_{jj}}, \qquad
              z_{ij} = \operatorname{artanh}(w_{ij})\, \sqrt{T - N - 1},

    which is symmetric: it does not say who drives whom.

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
    of = lags.lagged(trains, _profile_lags(trains, 0))
    weight, silent, redundant = _partial(lags.correlation(of)[0], int(of.n_bins[0]), None)
    result = label(
        weight,
        lags.fisher_z(weight, of.n_bins[0] - (~silent).sum() + 2),
        units,
        silent,
        "1",
        method="partial_correlation",
        bin_size=float(counts.attrs["bin_size"]),
        lag=0,
    )
    _warn(_redundant(redundant))
    _warn(advice.of_bin(lags.profile(of), float(counts.attrs["bin_size"])))
    return result


def coupled_poisson_glm(
    counts: xr.Dataset,
    n_lags: int = 10,
    *,
    kernel: Sequence[float] | np.ndarray | None = None,
    max_iter: int = 50,
) -> xr.Dataset:
    r"""Regress every unit on the recent spikes of all units, itself included.

    .. math:: x_{t,i} \sim \operatorname{Poisson}(e^{\eta_{t,i}}), \qquad
              \eta_{t,i} = b_i + \sum_j w_{ij} \sum_{k=1}^{K} \phi_k\, x_{t-k,j}

    All pairs share one kernel :math:`\phi`, so that each has one parameter. By default it is
    learnt: the shape that most of the cross-correlations at lags 1 to :math:`K` have in common
    (their first singular vector, without its negative part). Its absolute values sum to 1.

    A Gaussian prior of standard deviation 5 keeps the weights of pairs that never fire together
    finite; elsewhere it does not show. :math:`z_{ij}` is the weight over its standard error, the
    Wald statistic, from the Fisher information of all of a target's weights together. What lies
    before a trial's start or in missing bins counts as silence.

    Parameters
    ----------
    counts
        ``count([trial,] time, unit)`` in bins of about 2 ms.
    n_lags
        :math:`K`, how far the kernel reaches, in bins.
    kernel
        :math:`\phi_1 \ldots \phi_K`, for example a row of ``nks.snn.exponential_kernel``; None
        learns it.
    max_iter
        Newton steps at most; usually 5 to 10 are needed.

    Returns
    -------
    xarray.Dataset
        ``weight(target, source)`` in log rate (at lag :math:`k` one source spike multiplies the
        rate by :math:`e^{w \phi_k}`), ``z_score(target, source)``, ``standard_error(target,
        source)``, ``bias(target)`` (log of the expected count), ``history(target)``, the weight of
        a unit's own past, and ``kernel(lag)``, ``lag`` in s.

    Raises
    ------
    SchemaError
        If the counts break the schema, or there are fewer than two units that spike, or no trial
        is longer than the kernel.
    ParameterError
        If ``n_lags`` or ``max_iter`` is not a whole number of at least 1, or ``kernel`` is not
        ``n_lags`` finite numbers, some not 0.

    Warns
    -----
    DataWarning
        If most of the population's coincidences lie within one bin, or at the last lag or beyond.
    ConvergenceWarning
        If a unit's fit has not converged.

    Notes
    -----
    The cost is that of the pairs of units that spike within one kernel: twice the rates or twice
    the kernel, four times the time. 100 units at 9 Hz for 10 minutes in bins of 2 ms take about
    5 s of one core.

    References
    ----------
    Truccolo, Eden, Fellows, Donoghue and Brown, Journal of Neurophysiology 93 (2005).
    Pillow, Shlens, Paninski, Sher, Litke, Chichilnisky and Simoncelli, Nature 454 (2008).

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(4, 1, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 5000, rng=0)
    >>> found = nks.analysis.coupled_poisson_glm(counts, n_lags=5)
    >>> found["kernel"].sizes["lag"]
    5
    """
    check("n_lags", n_lags, _WHOLE)
    check("max_iter", max_iter, _WHOLE)
    sequences, units = counts_of(counts)
    trains = lags.trains_of_counts(sequences)
    check_length(trains, n_lags)
    total = np.bincount(trains.unit, trains.number, trains.n_units)
    live = np.flatnonzero(total)
    if len(live) < 2:
        raise SchemaError(
            f"Expected at least two units with spikes, got {len(live)} of {len(units)}: is the "
            f"recording longer than this, or are most bins missing?"
        )
    of = lags.lagged(trains, max(_profile_lags(trains, 2 * n_lags), n_lags))
    shape = lags.common_shape(of, n_lags) if kernel is None else _given_kernel(kernel, n_lags)
    position = np.full(trains.n_units, -1)
    position[live] = np.arange(len(live))
    seen = trains._replace(unit=position[trains.unit], n_units=len(live))
    observed = np.tensordot(shape, of.product[1 : n_lags + 1], 1)[np.ix_(live, live)]
    with parallel_map(thread_count()) as run:
        fit = glm.fit(glm.features(seen, shape), observed, total[live], PRIOR_SD**-2, max_iter, run)
    n = len(units)
    weight, error, bias = np.full((n, n), np.nan), np.full((n, n), np.nan), np.full(n, np.nan)
    weight[np.ix_(live, live)], error[np.ix_(live, live)], bias[live] = (
        fit.weight,
        fit.error,
        fit.bias,
    )
    width = float(counts.attrs["bin_size"])
    result = label(
        weight,
        weight / error,
        units,
        total == 0,
        "1",
        method="coupled_poisson_glm",
        bin_size=width,
        lag=[1, int(n_lags)],
        kernel_source="learnt" if kernel is None else "given",
        n_iter=int(fit.n_iter.max()),
        status="converged" if fit.converged.all() else f"stopped at {max_iter} steps",
    )
    result["standard_error"] = (("target", "source"), error, {"units": "1"})
    result["bias"] = (("target",), bias, {"units": "1", "long_name": "log expected count"})
    result["history"] = (("target",), np.diagonal(weight).copy(), {"units": "1"})
    result["kernel"] = (("lag",), shape, {"units": "1", "long_name": "coupling kernel"})
    result = result.assign_coords(lag=("lag", np.arange(1, n_lags + 1) * width, {"units": "s"}))
    _warn(advice.of_reach(lags.profile(of), n_lags, width))
    if not fit.converged.all():
        warnings.warn(
            f"The GLM of {int((~fit.converged).sum())} of {len(live)} units has not converged "
            f"after {max_iter} steps: give more with max_iter=.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return result


def transfer_entropy(
    counts: xr.Dataset,
    *,
    lag: int = 1,
    window: int = 1,
    history: int = 1,
    null: str = "chi2",
    n_shifts: int = 20,
    rng: RNG = None,
) -> xr.Dataset:
    r"""What a source's spike tells about a target's next bin beyond the target's own past.

    With :math:`x_t` whether the target spikes in bin :math:`t`, :math:`h_t` its last ``history``
    bins and :math:`y_t` whether the source spiked ``lag`` to ``lag + window - 1`` bins earlier,

    .. math:: w = I(x_t; y_t \mid h_t) - \frac{2^{h}}{2\, T \ln 2} \quad \text{bits per bin}.

    The plug-in information is exact, the second term is its mean without a coupling
    (:math:`2 T \ln 2\, I` then follows :math:`\chi^2` with :math:`2^h` degrees of freedom). It is
    not signed: inhibition informs too.

    Parameters
    ----------
    counts
        ``count([trial,] time, unit)``; only whether a bin holds spikes is used.
    lag, window
        In bins.
    history
        In bins, at most 6.
    null
        ``"chi2"``: a z-score is what a normal variable exceeds in size as rarely as the
        information exceeds its own without a coupling. ``"shift"``: the same against the mean over
        circular shifts of all sources by at least a tenth of the recording, for trains with a
        rhythm or memory of their own, which multiply the information that there is by chance;
        with :math:`S` shifts and :math:`d = 2^h` patterns of :math:`h` bins of the past, the ratio
        to that mean follows :math:`F(d, S d)`.
    n_shifts
        Number of shifts.
    rng
        Seed or generator of the shifts.

    Returns
    -------
    xarray.Dataset
        ``weight(target, source)`` in bits per bin and ``z_score(target, source)``, which are both
        high where there is a coupling, of either sign. ``attrs["signed"]`` is 0.

    Raises
    ------
    SchemaError
        If the counts break the schema, or there are fewer than two units, or no trial is longer
        than what is looked back at.
    ParameterError
        If an argument is out of range.

    Warns
    -----
    DataWarning
        If the population's coincidences lie at other lags or within one bin.

    References
    ----------
    Schreiber, Physical Review Letters 85 (2000). Ito, Hansen, Heiland, Lumsdaine, Litke and Beggs,
    PLoS ONE 6 (2011).

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(4, 1, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 2000, rng=0)
    >>> nks.analysis.transfer_entropy(counts)["weight"].attrs["units"]
    'bits'
    """
    for name, value, allowed in (
        ("lag", lag, _WHOLE),
        ("window", window, _WHOLE),
        ("history", history, Interval(int, 1, 6)),
        ("null", null, Options("chi2", "shift")),
        ("n_shifts", n_shifts, Interval(int, 2)),
    ):
        check(name, value, allowed)
    sequences, units = counts_of(counts)
    trains = lags.trains_of_counts(sequences)
    reach = max(history, lag + window - 1)
    check_length(trains, reach)
    spiking = np.zeros((int(trains.starts[-1]), len(units)), dtype=bool)
    spiking[trains.bin, trains.unit] = True
    data = entropy.binary(spiking, trains.starts, lag, window, history)
    plug_in = entropy.transfer_entropy(data)
    n_bins, degrees = data.source.shape[0], 2**history
    attrs: dict[str, Any] = {}
    if null == "chi2":
        z = entropy.z_of_statistic(2 * n_bins * np.log(2) * plug_in, degrees)
    else:
        seed = resolve_seed(rng)
        draw = stream(seed, "transfer_entropy").integers(
            max(n_bins // 10, 1), max(n_bins - n_bins // 10, 2), n_shifts
        )
        rows = np.arange(n_bins)
        shifted = np.array(
            [
                entropy.transfer_entropy(data._replace(source=data.source[np.roll(rows, k)]))
                for k in draw
            ]
        )
        z = entropy.z_of_shifts(plug_in, shifted, degrees)
        attrs = {"n_shifts": int(n_shifts), "seed": seed}
    width = float(counts.attrs["bin_size"])
    result = label(
        plug_in - degrees / (2 * n_bins * np.log(2)),
        z,
        units,
        ~np.asarray(spiking.any(axis=0)),
        "bits",
        method="transfer_entropy",
        bin_size=width,
        lag=[int(lag), int(lag + window - 1)],
        history=int(history),
        null=null,
        **attrs,
    )
    result.attrs["signed"] = 0
    of = lags.lagged(trains, _profile_lags(trains, 2 * (lag + window - 1)))
    _warn(advice.of_lag(lags.profile(of), lag, lag + window - 1, width))
    return result


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
    if isinstance(filters, str) or not named or any(f not in challenge.FILTERS for f in named):
        raise ParameterError(
            f"Expected filters as a list from {list(challenge.FILTERS)}, got {filters!r}."
        )
    attrs: dict[str, Any] = {"direction": float(direction), "pca": np.nan if pca is None else pca}
    if isinstance(data, xr.Dataset) and "count" in data.variables:
        return _challenge_counts(data, thresholds, direction, pca, attrs)
    levels = CHALLENGE_THRESHOLDS if thresholds is None else np.asarray(thresholds, dtype=float)
    if levels.ndim != 1 or levels.size == 0 or not (np.isfinite(levels) & (levels > 0)).all():
        raise ParameterError(f"Expected thresholds > 0 in a list, got {thresholds!r}.")
    signal, units, interval = signal_of(data)
    silent = np.ptp(signal, axis=0) == 0
    _warn(_redundant(_partial_of_signal(signal, pca)[2]))
    scaled = challenge.unit_range(signal[:, ~silent])
    found = np.zeros((len(units), len(units)))
    for name in named:
        for level in levels:
            steps = challenge.weigh(challenge.events(scaled, name, level))
            part, still, _ = _partial_of_signal(steps, pca)
            # A unit without an event at this threshold says nothing, which is 0 in a mean.
            found[np.ix_(~silent, ~silent)] += np.where(still[:, None] | still, 0.0, part)
    order = np.zeros_like(found)
    lead = challenge.precedence(challenge.events(scaled, "f2", float(np.median(levels))))
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
    of = lags.lagged(trains, max(_profile_lags(trains, 0), 1))
    weighed = challenge.weigh(sequences.counts[sequences.observed])
    part, silent, redundant = _partial_of_signal(weighed, pca)
    _warn(_redundant(redundant))
    # Weighing lifts all units of a bin with spikes, so that a silent one seems to do something.
    silent |= np.bincount(trains.unit, trains.number, trains.n_units) == 0
    lead = lags.correlation(of)[1]
    width = float(data.attrs["bin_size"])
    _warn(advice.of_bin(lags.profile(of), width))
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
    part = challenge.to_one(np.where(pairs, part, 0.0))
    weight = (1 - direction) * part + direction * np.sign(part) * challenge.to_one(order)
    values = weight[pairs]
    centre = np.median(values) if values.size else 0.0
    spread = 1.4826 * np.median(np.abs(values - centre)) if values.size else 0.0
    z = (weight - centre) / spread if spread > 0 else np.zeros_like(weight)
    return label(weight, z, units, silent, "1", method="challenge_partial_correlation", **attrs)


def _partial(
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
    out[np.ix_(~still, ~still)] = challenge.partial_correlations(inside, keep)
    return out, still, number - int(np.linalg.matrix_rank(inside, hermitian=True))


def _partial_of_signal(signal: np.ndarray, pca: float | None) -> tuple[np.ndarray, np.ndarray, int]:
    """The same of values (time, unit)."""
    centred = signal - signal.mean(axis=0)
    covariance = centred.T @ centred
    scale = np.sqrt(np.diagonal(covariance))
    # What rounding leaves of a constant is no variance.
    scale[scale <= 1e-9 * np.abs(signal).max(axis=0, initial=0.0) * np.sqrt(len(signal))] = np.nan
    return _partial(covariance / np.outer(scale, scale), len(signal), pca)


def _redundant(number: int) -> str | None:
    if number == 0:
        return None
    return (
        f"{number} of the units are copies or sums of others (did sorting split one?): partial "
        f"correlations between them are not defined, and those given are of the pseudo-inverse. "
        f"Drop the copies."
    )


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


def _given_kernel(kernel: Any, n_lags: int) -> np.ndarray:
    try:
        values = np.asarray(kernel, dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (n_lags,) or not np.isfinite(values).all() or not values.any():
        raise ParameterError(
            f"Expected kernel as {n_lags} finite numbers, one per lag of n_lags and not all 0, "
            f"got {kernel!r}."
        )
    return values / np.abs(values).sum()


def _profile_lags(trains: lags.Trains, wanted: int) -> int:
    """As far as asked and as a floor needs, and as the longest run allows."""
    longest = int(np.diff(trains.starts).max())
    return max(min(max(wanted, PROFILE_LAGS), longest - 2), wanted // 2, 1)


def _profile(trains: lags.Trains, n_lags: int) -> lags.Profile:
    longest = int(np.diff(trains.starts).max())
    return lags.profile(lags.lagged(trains, max(min(n_lags, longest - 2), 1)))


def _warn(text: str | None) -> None:
    if text:
        # At the line of the user, who called the function that called this.
        warnings.warn(text, DataWarning, stacklevel=3)
