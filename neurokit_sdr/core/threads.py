"""Threads over chunks of one computation, with sums that do not depend on how many there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

#: Maps a function over items, perhaps with threads, and returns the results in order.
Map = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]


@contextmanager
def parallel_map(threads: int) -> Iterator[Map]:
    """Map over chunks with threads; BLAS itself runs on one, so sums do not depend on how many."""
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:

        def run(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
            several = list(items)
            # One item waits for a thread longer than it takes to do.
            return list((pool.map if len(several) > 1 else map)(function, several))

        yield run


class _OneBlasThread:
    """The limit is the whole process's: the last block to end lifts it, whichever thread it is in.

    A thread of its own sets and lifts it, because BLAS obeys only the thread that limited it first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: set[object] = set()
        self._lift: Callable[[], None] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        user = object()
        try:
            with self._lock:
                self._users.add(user)
                if self._lift is None:
                    self._lift = _limit()
            with threadpool_limits(1):  # OpenMP has a limit for each thread besides
                yield
        finally:
            with self._lock:
                self._users.discard(user)
                if not self._users and self._lift is not None:
                    self._lift()
                    self._lift = None


def _limit() -> Callable[[], None]:
    """Limit the process to one BLAS thread, and return what lifts the limit."""
    begun, ended = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with threadpool_limits(1):
                begun.set()
                ended.wait()
        finally:
            begun.set()

    holder = threading.Thread(target=hold, name="one BLAS thread", daemon=True)
    holder.start()
    begun.wait()

    def lift() -> None:
        ended.set()
        holder.join()

    return lift


#: Within the block BLAS and OpenMP run on one thread, whoever else is in such a block.
one_blas_thread = _OneBlasThread()
