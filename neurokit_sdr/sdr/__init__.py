"""Sparse distributed representations: exact theory, active dendrites, and memories.

>>> import neurokit_sdr as nks
>>> stored = nks.sdr.Patterns.random(2048, 40, 1000, rng=0)
>>> stored.nearest(stored[7].corrupted(20, rng=0))["pattern"].item()
7
"""

from __future__ import annotations

from neurokit_sdr.core.errors import MissingDependencyError

try:
    import numba as _numba  # noqa: F401
except ImportError as error:
    raise MissingDependencyError(
        "Sparse distributed representations need numba: pip install 'neurokit-sdr[analysis]'."
    ) from error

from neurokit_sdr.sdr.patterns import Patterns as Patterns
