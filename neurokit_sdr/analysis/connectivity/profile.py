"""At which lags a population's coincidences lie, and what a method that looks elsewhere is told."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.connectivity import advice, lags
from neurokit_sdr.analysis.connectivity.data import counts_of, spikes_of
from neurokit_sdr.core import errors
from neurokit_sdr.core.arguments import Interval, check
from neurokit_sdr.core.errors import ParameterError

#: Lags of a profile, in bins: the farther half of them is its floor.
PROFILE_LAGS = 20

#: Bin of a profile of spike times, s, and how far it reaches, in bins.
PROFILE_BIN = 1e-3
SPIKE_PROFILE_LAGS = 60


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
        check("bin_size", width, Interval(float, 0, open_low=True))
        trains = lags.trains_of_spikes(time, unit, len(units), width, duration)
    else:
        if bin_size is not None:
            raise ParameterError(
                "Expected bin_size with spike times only: counts have one, bin the spikes anew."
            )
        trains, width = lags.trains_of_counts(counts_of(data)[0]), float(data.attrs["bin_size"])
    number = n_lags if n_lags is not None else SPIKE_PROFILE_LAGS if is_spikes else PROFILE_LAGS
    check("n_lags", number, Interval(int, 2))
    profile = profile_of(trains, number)
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


def profile_lags(trains: lags.Trains, wanted: int) -> int:
    """As far as asked and as a floor needs, and as the longest run allows."""
    longest = int(np.diff(trains.starts).max())
    return max(min(max(wanted, PROFILE_LAGS), longest - 2), wanted // 2, 1)


def profile_of(trains: lags.Trains, n_lags: int) -> lags.Profile:
    longest = int(np.diff(trains.starts).max())
    return lags.profile(lags.lagged(trains, max(min(n_lags, longest - 2), 1)))


def warn(text: str | None) -> None:
    if text:
        errors.warn(text)
