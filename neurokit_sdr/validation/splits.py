"""Parts of a recording to fit and to test on: one type, whatever was held out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, check_number
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.preprocessing.trials import concat_trials, cut_blocks


class _Pair(NamedTuple):
    train: xr.Dataset
    test: xr.Dataset


class Split(_Pair):
    """One division of a recording: ``train, test = split``, and ``split.truth``.

    Attributes
    ----------
    train
        What models are fitted to: all units, all bins.
    test
        What a model may see of the test trials: where units or bins are held out, the held-in
        units and the observed bins, and no others.
    truth
        The test trials: all units, all bins. The test itself where nothing of it is held out, and
        where it is not given.
    """

    truth: xr.Dataset

    def __new__(cls, train: xr.Dataset, test: xr.Dataset, truth: xr.Dataset | None = None) -> Split:
        split = super().__new__(cls, train, test)
        split.truth = test if truth is None else truth
        return split


def alternating_blocks(
    counts: xr.Dataset, n_blocks: int = 10, *, context: float = 2.5
) -> list[Split]:
    """Cut a recording into contiguous blocks that take turns as training and test data.

    Contiguous, because neighbouring bins are alike and a model tested next to what it was trained
    on looks better than it is. Alternating, because a recording drifts. Every block carries bins of
    the true past: a model whose history reached back to before the block, and found nothing, would
    lose what it can do.

    Parameters
    ----------
    counts
        ``count(time, unit)``. Other variables along time are cut alike.
    n_blocks
        An even number of blocks; the last may be a little shorter.
    context
        Seconds of the past that each block carries, as far as there are any, rounded to bins.
        Exponential history kernels reach back five time constants: 2.5 s is what those of 0.5 s
        need.

    Returns
    -------
    list of Split
        Two: trained on the even blocks and tested on the odd ones, and the other way round. The
        parts are trials as :func:`neurokit_sdr.concat_trials` makes them, with
        ``context(trial, time)`` true in the bins that are a block's past: models read them, and
        neither fit nor score them.

    Raises
    ------
    SchemaError
        If the counts break the schema, or have trials already.
    ParameterError
        If ``n_blocks`` is odd, or larger than the recording has bins, or ``context`` is no number
        of seconds >= 0.

    Examples
    --------
    >>> import numpy as np
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": np.arange(1, 80) / 8}, t_stop=10.0)
    >>> train, test = alternating_blocks(nks.bin_spikes(spikes, 0.1), 4, context=0.5)[0]
    >>> train["trial_length"].values  # 25 bins each, and 5 of the past
    array([25, 30])
    """
    schema.check(counts, "counts")
    if counts["count"].dims != ("time", "unit"):
        raise SchemaError(
            f"Expected one continuous recording count(time, unit), got {counts['count'].dims}: "
            f"split trials with .isel(trial=...) instead."
        )
    n_bins = counts.sizes["time"]
    if n_blocks not in Interval(int, 2, n_bins) or n_blocks % 2:
        raise ParameterError(
            f"Expected an even n_blocks between 2 and the {n_bins} bins, got {n_blocks!r}."
        )
    past = round(check_number("context", context, 0) / float(counts.attrs["bin_size"]))
    edges = np.linspace(0, n_bins, n_blocks + 1).astype(int)
    blocks = cut_blocks(counts, edges, past)
    even, odd = concat_trials(blocks[::2]), concat_trials(blocks[1::2])
    return [Split(even, odd), Split(odd, even)]
