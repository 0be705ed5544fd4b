"""The state of unfinished work on disk: plain arrays, written atomically, never pickled.

One rule for every ``checkpoint=``: work goes on only with the data, hyper-parameters and int seed
that it began with, and with the versions of the packages whose arithmetic it rests on, because
only then are its bits those of work that never stopped.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import numbers
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurokit_sdr.core.errors import FileFormatError, ParameterError
from neurokit_sdr.core.files import atomic_path, check_file
from neurokit_sdr.core.results import encode
from neurokit_sdr.core.seeding import RNG, resolve_seed

_IDENTITY = "identity"

#: Another version of any of these may round otherwise.
_ARITHMETIC = ("neurokit-sdr", "numpy", "scipy", "numba", "jax", "jaxlib")


def checkpoint_seed(rng: RNG, checkpoint: str | os.PathLike[str] | None) -> int:
    """Return the seed of ``rng``, which must be an int where there is a checkpoint.

    Raises
    ------
    ParameterError
        If it is not.
    """
    whole = isinstance(rng, numbers.Integral) and not isinstance(rng, bool)
    if checkpoint is not None and not whole:
        raise ParameterError(
            f"Expected rng as an int together with checkpoint, got {rng!r}: work can only go on "
            f"with the seed that it began with."
        )
    return resolve_seed(rng)


def _versions() -> dict[str, str]:
    found = {}
    for name in _ARITHMETIC:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


class Checkpoint:
    """One file that holds the arrays work needs to go on, and whose work they are.

    Parameters
    ----------
    path
        Where; None keeps nothing.
    identity
        What the work is (its data, parameters, seed): plain JSON values, to which the versions of
        the packages are added. A file of other work is refused, not overwritten.
    """

    def __init__(self, path: str | os.PathLike[str] | None, identity: Mapping[str, Any]) -> None:
        self._path = None if path is None else Path(path).expanduser()
        # Reading the versions takes milliseconds, which a call that keeps nothing need not wait.
        known = {} if path is None else {**identity, "versions": _versions()}
        self._identity = encode(known)

    def read(self) -> dict[str, np.ndarray] | None:
        """Return the saved arrays, or None where there are none.

        Raises
        ------
        ParameterError
            If the file belongs to other work.
        FileFormatError
            If it is damaged.
        """
        if self._path is None or not self._path.exists():
            return None
        check_file(self._path)
        try:
            # Opened here: of a damaged archive np.load would leave the file open.
            with self._path.open("rb") as stream, np.load(stream, allow_pickle=False) as opened:
                arrays = {name: opened[name] for name in opened.files}
            identity = str(arrays.pop(_IDENTITY))
        except Exception as error:  # damage surfaces as any kind, by where it sits
            raise FileFormatError(
                f"{self._path} is not a checkpoint, or is damaged ({error}): delete it to start "
                f"anew, or give another path."
            ) from error
        if identity != self._identity:
            raise ParameterError(
                f"{self._path} is the checkpoint of other work (other data, hyper-parameters, "
                f"rng or versions of packages): to go on with it, call with those; else delete it "
                f"or give another path."
            )
        return arrays

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the file with these arrays."""
        if self._path is None:
            return
        with atomic_path(self._path) as temporary, temporary.open("wb") as stream:
            named: dict[str, Any] = {_IDENTITY: np.array(self._identity), **arrays}
            np.savez(stream, **named)

    def remove(self) -> None:
        """Delete the file: the work is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
