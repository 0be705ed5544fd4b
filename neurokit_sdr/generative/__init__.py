"""Generative models: latent dynamics and rates of single trials, learned from the spikes.

Models are imported when first asked for, because JAX takes a second to load.
"""

from __future__ import annotations

import importlib
from typing import Any

from neurokit_sdr.core.errors import MissingDependencyError

_CLASSES: dict[str, str] = {
    "LangevinFlow": "langevin_flow",
    "Smoothing": "baselines",
    "FactorAnalysis": "baselines",
    "PoissonLDS": "poisson_lds",
}

__all__ = [*_CLASSES]


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        try:
            return getattr(importlib.import_module(f"{__name__}.{_CLASSES[name]}"), name)
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"Generative models need {error.name}: pip install 'neurokit-sdr[generative]'."
            ) from error
    from neurokit_sdr.core.schema import did_you_mean

    raise AttributeError(f"{__name__} has no {name!r}.{did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
