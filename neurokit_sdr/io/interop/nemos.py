"""Counts as nemos takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.io.interop.pynapple import import_pynapple, quiet


def to_nemos(counts: xr.Dataset) -> Any:
    """Give spike counts to nemos, as it takes them for ``GLM.fit``.

    Parameters
    ----------
    counts
        ``count(time, unit)`` or ``count(trial, time, unit)``, as :func:`neurokit_sdr.bin_spikes`
        makes them. Bins beyond a trial's length and bins that were not observed are left out.

    Returns
    -------
    pynapple.TsdFrame
        Float64 counts, time by unit, at the bin centres; columns are the unit ids. Each trial and
        each stretch between missing bins is an interval of the time support, over whose ends
        nemos does not convolve. Trials follow one another, each from one trial length after the
        one before on, with a bin free between them.

    Raises
    ------
    SchemaError
        If the counts break the schema.
    MissingDependencyError
        If pynapple is not installed.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({3: [0.1, 0.4], 8: [0.2]}, t_stop=0.5)
    >>> nks.io.to_nemos(nks.bin_spikes(spikes, 0.25)).values
    array([[1., 1.],
           [1., 0.]])
    """
    nap = import_pynapple()
    counts = schema.check(counts, "counts")
    width = float(counts.attrs["bin_size"])
    values = counts["count"].values
    valid = np.atleast_2d(schema.valid_bins(counts))
    time = counts["time"].values
    n_bins, n_units = values.shape[-2:]
    length = (n_bins + 1) * width
    start = time + np.arange(valid.shape[0])[:, None] * length
    flat = values.reshape(-1, n_units)[valid.ravel()]
    if not flat.shape[0]:
        raise SchemaError("Expected at least one bin that was observed, got none.")
    with quiet():
        return nap.TsdFrame(
            t=start[valid],
            d=flat.astype(np.float64),
            columns=counts["unit"].values.tolist(),
            time_support=_support(nap, start, valid, width),
        )


def _support(nap: Any, start: np.ndarray, valid: np.ndarray, width: float) -> Any:
    """An interval for each run of valid bins, from half a bin before its first centre on."""
    begin, end = [], []
    for row, inside in zip(start, valid, strict=True):
        edge = np.diff(np.concatenate([[0], inside.astype(np.int8), [0]]))
        for first, last in zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1), strict=True):
            begin.append(row[first] - width / 2)
            end.append(row[last - 1] + width / 2)
    return nap.IntervalSet(np.array(begin), np.array(end))
