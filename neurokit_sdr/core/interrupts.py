"""Ctrl-C collected instead of raised, so that work ends where its state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def collected(on_first: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Collect Ctrl-C in a list, which is true once it came; a second one ends everything.

    Nothing is collected outside the main thread, or where somebody else already handles Ctrl-C:
    theirs is the word.

    Parameters
    ----------
    on_first
        Called when the first one comes: to tell others.
    """
    asked: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        on_first()

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, remember)
    try:
        yield asked
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
