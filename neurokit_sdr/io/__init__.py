"""Files into labelled xarray.

Readers return an :class:`xarray.DataTree` whose groups and names follow
:mod:`neurokit_sdr.core.schema`. The libraries behind a file format load when a file of it is read.
"""

from __future__ import annotations

import importlib
from typing import Any

_FUNCTIONS = {
    "read_spikes": "neurokit_sdr.io.spikes",
    "from_spike_times": "neurokit_sdr.io.spikes",
    "write_spikes_nwb": "neurokit_sdr.io.spikes",
    "fetch_example": "neurokit_sdr.io.examples",
}
_MODULES = ("examples", "spikes")

__all__ = [*_FUNCTIONS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"neurokit_sdr.io.{name}")
    from neurokit_sdr.core.schema import did_you_mean

    raise AttributeError(f"neurokit_sdr.io has no {name!r}.{did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
