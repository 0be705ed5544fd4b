"""Independent tasks on any ``concurrent.futures.Executor``, with numbers that do not depend on it.

The default is a process pool on this machine. ``dask.distributed.Client(...).get_executor()`` runs
the same tasks on a cluster. Every task runs single-threaded, wherever it runs, so that the order
of floating-point sums, and so the result, is the same everywhere.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from neurokit_sdr.core.errors import NeurokitError, ParameterError
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.workers import check_can_start

Task = TypeVar("Task")
Result = TypeVar("Result")

_threads: ContextVar[int | None] = ContextVar("threads", default=None)

#: How often a pool whose worker was killed is started again before the tasks are given up.
POOL_RESTARTS = 3


class TasksInterrupted(KeyboardInterrupt):
    """Ctrl-C came while tasks ran.

    Attributes
    ----------
    results
        In the order of the tasks; None where a task did not finish.
    missing
        Which tasks did not finish.
    """

    def __init__(self, results: list[Any], missing: list[int], description: str) -> None:
        self.results = results
        self.missing = missing
        super().__init__(
            f"interrupted with {len(results) - len(missing)} of {len(results)} {description} done; "
            f"missing are {missing}"
        )


def available_cores() -> int:
    """Cores this process may use (its affinity, which containers and clusters set)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count() -> int:
    """Threads a computation may use here: 1 inside a task, else all cores."""
    return _threads.get() or available_cores()


@contextmanager
def limited_threads(number: int) -> Iterator[None]:
    """Within the block :func:`thread_count` returns ``number``."""
    token = _threads.set(number)
    try:
        yield
    finally:
        _threads.reset(token)


def _run_single_threaded(function: Callable[[Any], Any], task: Any) -> Any:
    with limited_threads(1):
        return function(task)


def map_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    executor: Executor | None = None,
    description: str = "tasks",
    progress: bool = True,
) -> list[Result]:
    """Apply a function to each task and return the results in the tasks' order.

    Parameters
    ----------
    function
        Importable by name (defined in a module), because it travels to other processes.
    tasks
        Each is handed over whole: keep them small or let them carry a path.
    executor
        Any executor; None starts a process pool on this machine and closes it. A pool of ours
        whose worker is killed is started again and only the unfinished tasks are repeated; an
        executor of yours is expected to do the same (``dask.distributed`` does).
    description
        What the progress bar says.
    progress
        Whether to show it.

    Raises
    ------
    ParameterError
        If ``executor`` is not an executor, or worker processes could not do the tasks: the call
        lies at the top level of a script, or names what only a notebook defines.
    NeurokitError
        If workers keep dying.
    TasksInterrupted
        After Ctrl-C, a KeyboardInterrupt that holds the results of what finished.
    """
    # A class has submit too: ThreadPoolExecutor where ThreadPoolExecutor() was meant.
    if executor is not None and (isinstance(executor, type) or not hasattr(executor, "submit")):
        raise ParameterError(
            f"Expected executor to be a concurrent.futures.Executor or None, got "
            f"{executor!r}: for dask pass Client(...).get_executor()."
        )
    results: dict[int, Result] = {}
    with progress_bar(len(tasks), description, progress) as bar:
        try:
            if executor is not None:
                _collect(executor, function, tasks, results, bar)
            else:
                _collect_in_own_pool(function, tasks, results, bar)
        except KeyboardInterrupt:
            missing = [i for i in range(len(tasks)) if i not in results]
            kept = [results.get(i) for i in range(len(tasks))]
            raise TasksInterrupted(kept, missing, description) from None
    return [results[i] for i in range(len(tasks))]


def _collect_in_own_pool(
    function: Callable[[Task], Result], tasks: Sequence[Task], results: dict[int, Result], bar: Any
) -> None:
    workers = max(1, min(thread_count(), len(tasks)))
    if workers == 1:
        for i, task in enumerate(tasks):
            results[i] = _run_single_threaded(function, task)
            bar.update()
        return
    check_can_start(function, tasks)
    # spawn, not fork: forking a process that runs BLAS or numba threads can deadlock.
    context = multiprocessing.get_context("spawn")
    for attempt in range(POOL_RESTARTS + 1):
        try:
            with ProcessPoolExecutor(
                workers, mp_context=context, initializer=_leave_ctrl_c_to_the_parent
            ) as pool:
                try:
                    _collect(pool, function, tasks, results, bar)
                except KeyboardInterrupt:
                    _stop(pool)
                    raise
            return
        except BrokenProcessPool as error:
            if attempt == POOL_RESTARTS:
                raise NeurokitError(
                    f"Worker processes were killed {POOL_RESTARTS + 1} times with "
                    f"{len(tasks) - len(results)} of {len(tasks)} tasks left: most often memory "
                    f"ran out. Use fewer workers (pass executor=ProcessPoolExecutor(1)) or "
                    f"smaller data."
                ) from error


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers in the middle of their tasks: leaving the pool would wait for them."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.terminate()


def _collect(
    executor: Executor,
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    results: dict[int, Result],
    bar: Any,
) -> None:
    """Run the tasks that have no result yet; what finishes before an error is kept."""
    futures: dict[Future[Result], int] = {
        executor.submit(_run_single_threaded, function, task): i
        for i, task in enumerate(tasks)
        if i not in results
    }
    try:
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            bar.update()
    finally:
        for future in futures:
            future.cancel()
