"""Randomness by SPEC 7: one ``rng=`` argument, one recorded seed, named child streams.

``rng`` is an int, a :class:`numpy.random.Generator` or None. :func:`resolve_seed` turns it into
one int that is recorded in the result, so that every run can be repeated. Every use of randomness
then draws its own stream by name, so that adding one never shifts another and no two collide
(``seed + i`` does: run 0 part 1 is run 1 part 0).
"""

from __future__ import annotations

import hashlib
import numbers

import numpy as np

from neurokit_sdr.core.errors import ParameterError

RNG = int | np.random.Generator | None


def resolve_seed(rng: RNG) -> int:
    """Return the one seed a run is repeated by.

    Parameters
    ----------
    rng
        An int is the seed itself; a Generator gives one draw; None gives fresh entropy.

    Returns
    -------
    int
        Between 0 and 2**63 - 1.

    Raises
    ------
    ParameterError
        If ``rng`` is anything else (NumPy's legacy RandomState included).

    Examples
    --------
    >>> resolve_seed(3)
    3
    """
    if rng is None:
        return int(np.random.default_rng().integers(2**63))
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, numbers.Integral) and not isinstance(rng, bool) and 0 <= rng < 2**63:
        return int(rng)
    raise ParameterError(
        f"Expected rng to be a non-negative int, a numpy.random.Generator or None, got {rng!r}."
    )


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """Return the random stream of one named use.

    Examples
    --------
    >>> a = stream(0, "restart", 1).random()
    >>> a == stream(0, "restart", 1).random(), a == stream(1, "restart", 0).random()
    (True, False)
    """
    # Escaped, so that ("a/b",) and ("a", "b") are two names.
    parts = [str(part).replace("\\", "\\\\").replace("/", "\\/") for part in name]
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    words = np.frombuffer(digest[:16], dtype=np.uint32)
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=tuple(words)))
