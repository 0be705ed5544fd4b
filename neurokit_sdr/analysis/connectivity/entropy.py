"""What a source's spikes tell about a target's next bin beyond its own past."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.connectivity import advice, counting, lags
from neurokit_sdr.analysis.connectivity.data import check_length, counts_of, label
from neurokit_sdr.analysis.connectivity.profile import profile_lags, warn
from neurokit_sdr.core.arguments import Interval, Options, check
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream

_WHOLE = Interval(int, 1)


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
        to that mean follows :math:`F(d, S d)`. Where the shifts hold less information than
        :math:`\chi^2_d` would, their mean is taken to be that of :math:`\chi^2_d`.
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
    data = counting.binary(spiking, trains.starts, lag, window, history)
    plug_in = counting.transfer_entropy(data)
    n_bins, degrees = data.source.shape[0], 2**history
    attrs: dict[str, Any] = {}
    to_chi2 = 2 * n_bins * np.log(2)
    if null == "chi2":
        z = counting.z_of_statistic(to_chi2 * plug_in, degrees)
    else:
        seed = resolve_seed(rng)
        draw = stream(seed, "transfer_entropy").integers(
            max(n_bins // 10, 1), max(n_bins - n_bins // 10, 2), n_shifts
        )
        rows = np.arange(n_bins)
        shifted = np.array(
            [
                counting.transfer_entropy(data._replace(source=data.source[np.roll(rows, k)]))
                for k in draw
            ]
        )
        z = counting.z_of_shifts(to_chi2 * plug_in, to_chi2 * shifted, degrees)
        attrs = {"n_shifts": int(n_shifts), "seed": seed}
    width = float(counts.attrs["bin_size"])
    result = label(
        plug_in - degrees / to_chi2,
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
    of = lags.lagged(trains, profile_lags(trains, 2 * (lag + window - 1)))
    warn(advice.of_lag(lags.profile(of), lag, lag + window - 1, width))
    return result
