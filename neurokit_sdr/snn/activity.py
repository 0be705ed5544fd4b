"""How a network fires: rates, irregularity, synchrony and rhythms, as labelled Datasets."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, as_numbers, check_whole
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.snn.synapses import check_memory


def _window(data: xr.Dataset, window: tuple[float, float] | None) -> tuple[float, float]:
    begin, end = float(data.attrs["t_start"]), float(data.attrs["t_stop"])
    given = (begin, end) if window is None else window
    array = as_numbers("window=(start, stop)", given)
    if array.shape != (2,):
        raise ParameterError(f"Expected window=(start, stop) in seconds, got {window!r}.")
    start, stop = map(float, array)
    if not begin - 1e-9 <= start < stop <= end + 1e-9:
        raise ParameterError(
            f"Expected window=(start, stop) within {begin:g} to {end:g} s, got {window!r}."
        )
    return start, stop


def _populations(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Names in their order, and the position of each unit's name."""
    if "population" not in data.coords:
        return np.array(["all"]), np.zeros(data.sizes["unit"], int)
    names = np.asarray(data["population"].values).astype(str)
    unique, first, index = np.unique(names, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return unique[order], np.argsort(order)[index]


def population_rate(
    spikes: xr.Dataset | xr.DataTree,
    bin_size: float = 1e-3,
    *,
    window: tuple[float, float] | None = None,
) -> xr.Dataset:
    r"""Mean rate per unit of each population over time, and how far it is from constant.

    With :math:`k_b` spikes of N units in bins of :math:`\Delta` seconds,

    .. math:: R_b = \frac{k_b}{N\Delta}, \qquad
              S = \frac{\sqrt{\max(0,\ \mathrm{Var}\,R - \bar R / (N\Delta))}}{\bar R}

    S is the coefficient of variation of the rate that is left when the variance of as many
    independent Poisson units is taken away: about 0 where units are independent, whatever N, and
    :math:`m/\sqrt2` where all follow one rhythm :math:`1 + m\cos\omega t` that the bins resolve.

    Parameters
    ----------
    spikes
        Spikes of one recording, as ``simulate(...)["spikes"]``, or a session that holds them.
        Units without the coordinate ``population`` are one population, ``"all"``.
    bin_size
        :math:`\Delta`, s.
    window
        ``(start, stop)`` in seconds; None takes everything. A last bin that is not full is left
        out.

    Returns
    -------
    xarray.Dataset
        ``rate(population, time)`` in Hz, ``mean_rate(population)`` in Hz, ``synchrony(population)``
        (S), ``n_units(population)``; ``time`` holds bin centres. NaN where nothing fired.

    Raises
    ------
    SchemaError
        If there are no spikes of that layout.
    ParameterError
        If the window or the bins lie outside the recording.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.snn.simulate(nks.snn.cuba(400, rng=0), 0.2, rng=0, progress=False)
    >>> dict(nks.snn.population_rate(session, 0.01)["rate"].sizes)
    {'population': 2, 'time': 20}
    """
    data = schema.check(schema.select(spikes, "spikes"), "spikes")
    start, stop = _window(data, window)
    if bin_size not in Interval(float, 0, stop - start, open_low=True):
        raise ParameterError(
            f"Expected bin_size in seconds, above 0 and at most {stop - start:g}, got {bin_size!r}."
        )
    names, index = _populations(data)
    n_bins = int((stop - start) / bin_size * (1 + 1e-12))
    check_memory(3 * 8.0 * n_bins * names.size, f"A rate in {n_bins} bins")
    # Spikes lie on the simulation's grid: without a nudge, rounding would move those on an edge.
    when = np.floor((data["spike_time"].values - start) / bin_size + 1e-6).astype(np.int64)
    kept = (when >= 0) & (when < n_bins)
    flat = index[data["spike_unit"].values[kept]] * n_bins + when[kept]
    count = np.bincount(flat, minlength=names.size * n_bins).reshape(names.size, n_bins)
    n_units = np.bincount(index, minlength=names.size)
    rate = count / (n_units[:, None] * bin_size)
    mean = rate.mean(axis=1)
    beyond = np.maximum(rate.var(axis=1) - mean / (n_units * bin_size), 0.0)
    synchrony = np.full(mean.size, np.nan)
    np.divide(np.sqrt(beyond), mean, out=synchrony, where=mean > 0)
    hertz = {"units": "Hz"}
    return xr.Dataset(
        {
            "rate": (("population", "time"), rate, {**hertz, "long_name": "rate per unit"}),
            "mean_rate": ("population", mean, hertz),
            "synchrony": ("population", synchrony, {"units": "1"}),
            "n_units": ("population", n_units, {"units": "1"}),
        },
        coords={
            "population": names,
            "time": ("time", start + (np.arange(n_bins) + 0.5) * bin_size, {"units": "s"}),
        },
        attrs={"bin_size": float(bin_size)},
    )


def interval_statistics(
    spikes: xr.Dataset | xr.DataTree,
    *,
    window: tuple[float, float] | None = None,
    min_spikes: int = 3,
) -> xr.Dataset:
    r"""Rate of each unit and the coefficient of variation (CV) of its interspike intervals.

    .. math:: \mathrm{CV} = \sqrt{\overline{d^2} - \bar d^{\,2}}\ /\ \bar d

    over the intervals d between the spikes in the window: 0 for a clock, 1 for a Poisson process,
    more where spikes come in bursts.

    Parameters
    ----------
    spikes, window
        As for :func:`population_rate`.
    min_spikes
        Units with fewer spikes in the window have no CV (NaN); at least 3, two intervals.

    Returns
    -------
    xarray.Dataset
        ``rate(unit)`` in Hz, ``interval_cv(unit)``; ``population(unit)`` where the spikes have it.

    Raises
    ------
    SchemaError
        If there are no spikes of that layout.
    ParameterError
        If the window lies outside the recording, or ``min_spikes`` is below 3.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.snn.simulate(nks.snn.izhikevich_2003(rng=0), 1.0, rng=0, progress=False)
    >>> cv = nks.snn.interval_statistics(session, window=(0.2, 1.0))["interval_cv"]
    >>> bool(0.2 < cv.mean() < 0.6)
    True
    """
    data = schema.check(schema.select(spikes, "spikes"), "spikes")
    start, stop = _window(data, window)
    check_whole("min_spikes", min_spikes, 3)
    time, owner = data["spike_time"].values, data["spike_unit"].values
    kept = (time >= start) & (time < stop)
    time, owner = time[kept], owner[kept]
    order = np.argsort(owner, kind="stable")  # times are sorted within each unit
    time, owner = time[order], owner[order]
    number = data.sizes["unit"]
    n_spikes = np.bincount(owner, minlength=number)
    same = owner[1:] == owner[:-1]
    interval, whose = np.diff(time)[same], owner[1:][same]
    divisor = np.maximum(n_spikes - 1, 1)
    mean = np.bincount(whose, interval, minlength=number) / divisor
    spread = np.bincount(whose, (interval - mean[whose]) ** 2, minlength=number) / divisor
    cv = np.full(number, np.nan)
    np.divide(np.sqrt(spread), mean, out=cv, where=(n_spikes >= min_spikes) & (mean > 0))
    coords = {"unit": data["unit"].variable}
    if "population" in data.coords:
        coords["population"] = data["population"].variable
    return xr.Dataset(
        {
            "rate": ("unit", n_spikes / (stop - start), {"units": "Hz"}),
            "interval_cv": ("unit", cv, {"units": "1"}),
        },
        coords=coords,
    )


def rate_spectrum(rates: xr.Dataset, resolution: float = 4.0) -> xr.Dataset:
    r"""Power spectrum of each population's rate, in multiples of that of Poisson units.

    Welch's estimate from K segments of 1/``resolution`` seconds with a Hann window, which do not
    overlap; one-sided, the mean taken away. N independent Poisson units of rate r have the power
    :math:`2r/N` at every frequency; the ratio to it is 1 on average, and at one frequency it is
    Gamma distributed with mean 1 and variance 1/K. Synchrony of all units makes it grow with N.

    Parameters
    ----------
    rates
        What :func:`population_rate` returns.
    resolution
        Width of a segment's frequency bin, Hz.

    Returns
    -------
    xarray.Dataset
        ``relative_power(population, frequency)``; ``poisson_power(population)`` in Hz;
        ``peak_frequency(population)`` in Hz and ``peak_power(population)``, the largest ratio.
        Frequencies begin at two bins: the window spreads the mean that was taken away over the
        first. The attribute ``n_segments`` is K.

    Raises
    ------
    SchemaError
        If these are no rates.
    ParameterError
        If the recording is shorter than one segment, or a segment shorter than 8 bins.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.snn.simulate(nks.snn.cuba(400, rng=0), 1.0, rng=0, progress=False)
    >>> spectrum = nks.snn.rate_spectrum(nks.snn.population_rate(session))
    >>> spectrum.attrs["n_segments"]
    4
    """
    wanted = {"rate", "mean_rate", "n_units"}
    if (
        not isinstance(rates, xr.Dataset)
        or not wanted <= set(rates)
        or not {"population", "time"} <= set(rates.coords)
        or "bin_size" not in rates.attrs
    ):
        raise SchemaError(
            f"Expected what nks.snn.population_rate returns, got {schema.describe(rates)}."
        )
    width, n_bins = float(rates.attrs["bin_size"]), rates.sizes["time"]
    if resolution not in Interval(float, 1 / (n_bins * width) * (1 - 1e-9), 1 / (8 * width)):
        raise ParameterError(
            f"Expected a resolution between {1 / (n_bins * width):g} and {1 / (8 * width):g} Hz "
            f"for {n_bins} bins of {width:g} s, got {resolution!r}."
        )
    from scipy.signal import welch

    length = min(round(1 / (resolution * width)), n_bins)
    rate = np.asarray(rates["rate"].transpose("population", "time").values)
    mean = np.asarray(rates["mean_rate"].values)
    frequency, power = welch(
        rate - mean[:, None], 1 / width, nperseg=length, noverlap=0, detrend=False
    )
    frequency, power = frequency[2:], power[:, 2:]
    floor = 2 * mean / rates["n_units"].values
    ratio = np.full(power.shape, np.nan)
    np.divide(power, floor[:, None], out=ratio, where=floor[:, None] > 0)
    hertz = {"units": "Hz"}
    return xr.Dataset(
        {
            "relative_power": (("population", "frequency"), ratio, {"units": "1"}),
            "poisson_power": ("population", floor, hertz),
            "peak_frequency": ("population", frequency[power.argmax(axis=1)], hertz),
            "peak_power": ("population", ratio.max(axis=1), {"units": "1"}),
        },
        coords={
            "population": rates["population"].values,
            "frequency": ("frequency", frequency, hertz),
        },
        attrs={"n_segments": n_bins // length},
    )
