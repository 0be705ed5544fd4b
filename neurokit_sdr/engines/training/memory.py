"""Memory that a training leaves behind: compiled code of other shapes, and pages that are free."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Hashable

#: Trainings of so many different shapes stay compiled, for those that come again: folds whose
#: numbers of trials differ by one are two.
KEPT = 3

_compiled: set[Hashable] = set()


def make_room(signature: Hashable, forget: Callable[[], None]) -> None:
    """Drop compiled code where there is too much of it.

    Parameters
    ----------
    signature
        Of a training that begins; equal for trainings that use the same compiled code.
    forget
        Drops all compiled code: one training's alone cannot be dropped.
    """
    if signature not in _compiled and len(_compiled) >= KEPT:
        forget()
        _compiled.clear()
    _compiled.add(signature)


def give_back() -> None:
    """Return pages that are free to the system.

    Compiling fills hundreds of megabytes, and glibc keeps for itself what was freed of them.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # other libraries of C have none, and no need of it
            trim(0)
