"""Neural recordings in labelled xarray, published models in three lines.

>>> import neurokit_sdr as nks
>>> nks.__version__
'0.1.0'

Rooms load on first use: ``nks.io``, ``nks.snn``, ``nks.sdr``, ``nks.analysis``, ``nks.generative``,
``nks.validation``, ``nks.plotting``.
"""

from __future__ import annotations

import importlib
from typing import Any

from neurokit_sdr._version import __version__ as __version__

_ROOMS = (
    "core",
    "preprocessing",
    "engines",
    "io",
    "snn",
    "sdr",
    "analysis",
    "generative",
    "validation",
    "plotting",
)
_FUNCTIONS = {
    "bin_spikes": "neurokit_sdr.preprocessing.binning",
    "estimate_tuning": "neurokit_sdr.preprocessing.tuning",
    "concat_trials": "neurokit_sdr.preprocessing.trials",
    "split_at_gaps": "neurokit_sdr.preprocessing.trials",
    "bin_signal": "neurokit_sdr.preprocessing.signals",
    "epoch": "neurokit_sdr.preprocessing.signals",
    "bandpass": "neurokit_sdr.preprocessing.signals",
    "save": "neurokit_sdr.io.store",
    "load": "neurokit_sdr.io.store",
    "save_result": "neurokit_sdr.core.results",
    "load_result": "neurokit_sdr.core.results",
}

__all__ = ["__version__", *_ROOMS, *_FUNCTIONS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"neurokit_sdr.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    from neurokit_sdr.core.schema import did_you_mean

    raise AttributeError(f"neurokit_sdr has no {name!r}.{did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
