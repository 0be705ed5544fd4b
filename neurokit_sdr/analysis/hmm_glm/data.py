"""The data of an HMM-GLM on arrays: counts, their filtered history, and what never changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.sparse import csr_array
from scipy.special import gammaln

from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.engines.poisson.history import history_features


class Data(NamedTuple):
    """Binned sequences, one behind the other.

    Bins without any spike in their history have the drive of the bias alone. Real recordings are
    half made of them, so they are kept apart: the dense arrays hold the other bins only.

    Attributes
    ----------
    counts
        Shape (time, target); 0 in bins that are not scored.
    starts
        First bin of each sequence, and the number of bins last.
    observed
        Which bins are fitted and scored, shape (time,): not missing, and no context.
    active
        Indices of the observed bins with a spike in their history, shape (active,).
    design
        Their history features, the first column ones, shape (active, feature).
    active_counts, active_spikes
        Their counts, dense and sparse, shape (active, target).
    silent
        Indices of the other observed bins, shape (silent,).
    silent_spikes
        Their counts, sparse, shape (silent, target).
    log_factorial
        Sum of the log factorials of a bin's counts, shape (time,).
    """

    counts: np.ndarray
    starts: np.ndarray
    observed: np.ndarray
    active: np.ndarray
    design: np.ndarray
    active_counts: np.ndarray
    active_spikes: csr_array
    silent: np.ndarray
    silent_spikes: csr_array
    log_factorial: np.ndarray


def make_data(
    counts: np.ndarray,
    starts: np.ndarray,
    observed: np.ndarray,
    kernel: np.ndarray,
    scored: np.ndarray | None = None,
) -> Data:
    """Everything about the data that stays the same in every iteration.

    Bins that are observed and not ``scored`` are the past of those that follow, and nothing else;
    None scores all that are observed.
    """
    design = history_features(counts, starts, observed, kernel)
    used = observed if scored is None else scored
    if not used.all():
        counts = np.where(used[:, None], counts, 0.0)  # the first guess of the states sees these
    any_history = design[:, 1:].any(axis=1)
    active = np.flatnonzero(used & any_history)
    silent = np.flatnonzero(used & ~any_history)
    if len(active) < len(counts):
        design = design[active]
    active_counts = counts if len(active) == len(counts) else counts[active]
    return Data(
        counts,
        starts,
        used,
        active,
        design,
        active_counts,
        csr_array(active_counts),
        silent,
        csr_array(counts[silent]),
        gammaln(counts + 1.0).sum(axis=1),
    )


def refuse_held_out(data: xr.Dataset) -> None:
    """Raise where data ask for what a model of all units and bins cannot do."""
    hidden = {
        "unit": int((~data["held_in"].values).sum()) if "held_in" in data.variables else 0,
        "time": int(data["forward"].values.sum()) if "forward" in data.variables else 0,
    }
    if any(hidden.values()):
        raise SchemaError(
            f"Expected counts of which everything may be read, got {hidden['unit']} held-out units "
            f"(held_in) and {hidden['time']} bins to forecast (forward): HMMGLM predicts each bin "
            f"from what all units did before it. Select what it may read, such as "
            f"data.isel(unit=data['held_in'].values), or .drop_vars(['held_in', 'forward'])."
        )


def mean_count(arrays: Data) -> np.ndarray:
    """Mean counts; a silent neuron gets half a spike, so that one spike of it stays possible."""
    return mean_of(arrays.counts[arrays.observed])


def mean_of(counts: np.ndarray) -> np.ndarray:
    """As :func:`mean_count`, of counts (bin, unit)."""
    return np.maximum(counts.mean(axis=0), 0.5 / len(counts))
