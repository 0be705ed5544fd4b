"""Patterns to store, and a Sparsey that stored them."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr

mpl.use("Agg")


from neurokit_sdr.sdr import Sparsey

N, A = 300, 20


def dataset(active, **variables):
    active = np.asarray(active, bool)
    dims = ("item", "cell") if active.ndim == 2 else ("item", "time", "cell")
    cell = np.arange(active.shape[-1])
    return xr.Dataset({"pattern": (dims, active)} | variables, {"cell": cell})


def random_patterns(rng, *shape, a=A):
    """Exactly a active cells in each."""
    return np.argsort(rng.random(shape), axis=-1) < a


def moved(rng, active, number):
    """The same patterns with some active cells exchanged for silent ones."""
    out = active.copy()
    for row in out:
        on, off = (rng.permutation(np.flatnonzero(row == value)) for value in (True, False))
        row[on[:number]], row[off[:number]] = False, True
    return out


def stored(active, **parameters):
    return Sparsey(**parameters).fit(dataset(active), rng=0, progress=False)
