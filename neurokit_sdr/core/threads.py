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
    """The limit is the whole process's: the last fit that runs lifts it, not the first to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limit: Any = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._limit = threadpool_limits(1)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._limit.restore_original_limits()


#: Within the block BLAS and OpenMP run on one thread, whoever else is in such a block.
one_blas_thread = _OneBlasThread()
