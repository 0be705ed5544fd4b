"""Tasks on any executor: the same numbers everywhere, whoever is killed on the way."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import NeurokitError, ParameterError
from neurokit_sdr.core.parallel import (
    POOL_RESTARTS,
    available_cores,
    limited_threads,
    map_tasks,
    thread_count,
)

# -- tasks: importable by name, because they travel to other processes ----------------------------


def square(x: int) -> int:
    return x * x


def slower_first(x: int) -> int:
    time.sleep(0.2 / (x + 1))
    return x


def where_and_how(_: int) -> tuple[int, int, int]:
    return os.getpid(), thread_count(), len(map_tasks(square, range(3), progress=False))


def fail_at_two(x: int) -> int:
    if x == 2:
        raise LookupError(f"task {x}")
    return x


def die_once(task: tuple[str, int]) -> int:
    """The third task kills its own process, unless the flag says that it did so already."""
    flag, x = task
    with (Path(flag) / f"ran-{x}-{os.getpid()}").open("x"):
        pass
    if x == 2 and not (Path(flag) / "killed").exists():
        (Path(flag) / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KillsItsWorkerOnce(nks.analysis.HMMGLM):
    """The first fit anywhere ends its process, as an out-of-memory killer would."""

    def fit(self, data, *, rng=None, progress=True, checkpoint=None):
        """Fit, or die."""
        if "KILL_FLAG" in os.environ:
            with contextlib.suppress(FileExistsError), open(os.environ["KILL_FLAG"], "x"):
                os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(data, rng=rng, progress=progress, checkpoint=checkpoint)


# -- map_tasks ------------------------------------------------------------------------------------


def test_one_core_needs_no_other_process():
    with limited_threads(1):
        found = map_tasks(where_and_how, range(3), progress=False)
    assert found == [(os.getpid(), 1, 3)] * 3
    assert map_tasks(square, [], progress=False) == []


def test_a_pool_gives_results_in_order_and_one_thread_to_each_task():
    with limited_threads(2):
        assert map_tasks(slower_first, range(6), progress=False) == list(range(6))
        found = map_tasks(where_and_how, range(4), progress=False)
        assert thread_count() == 2
    assert all(pid != os.getpid() for pid, _, _ in found)
    assert {threads for _, threads, _ in found} == {1}


@pytest.mark.parametrize("make", [lambda: ThreadPoolExecutor(2), lambda: spawning(1)])
def test_any_executor_will_do(make):
    with make() as executor:
        assert map_tasks(square, range(5), executor=executor, progress=False) == [0, 1, 4, 9, 16]
        found = map_tasks(where_and_how, range(2), executor=executor, progress=False)
        assert {threads for _, threads, _ in found} == {1}
        assert executor.submit(square, 3).result() == 9, "yours is left open"


def spawning(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_of_a_task_come_through(workers):
    with limited_threads(workers), pytest.raises(LookupError, match="task 2"):
        map_tasks(fail_at_two, range(20), progress=False)


def test_a_killed_worker_is_replaced_and_finished_tasks_are_kept(tmp_path):
    tasks = [(str(tmp_path), x) for x in range(8)]
    with limited_threads(2):
        found = map_tasks(die_once, tasks, progress=False)
    assert found == [x * x for x in range(8)]
    assert (tmp_path / "killed").exists()
    runs = [p.name.split("-")[1] for p in tmp_path.glob("ran-*")]
    assert runs.count("2") == 2
    assert all(1 <= runs.count(str(x)) <= 2 for x in range(8))


def test_workers_that_keep_dying_are_given_up():
    with (
        limited_threads(2),
        pytest.raises(
            NeurokitError,
            match=rf"killed {POOL_RESTARTS + 1} times with 2 of 2 tasks left.*memory.*executor=",
        ),
    ):
        map_tasks(die, range(2), progress=False)


@pytest.mark.parametrize("wrong", [4, "dask", ThreadPoolExecutor, object()])
def test_what_is_no_executor_is_refused(wrong):
    with pytest.raises(ParameterError, match=r"Expected executor.*get_executor\(\)"):
        map_tasks(square, [1], executor=wrong, progress=False)


def test_bars_show_and_can_be_silenced():
    for progress in (True, False):
        err = io.StringIO()
        with contextlib.redirect_stderr(err), limited_threads(1):
            map_tasks(square, range(3), description="squares", progress=progress)
        assert ("squares" in err.getvalue()) == progress


def test_thread_limits_nest_and_end():
    outside = thread_count()
    assert outside == available_cores()
    with limited_threads(3):
        assert thread_count() == 3
        with limited_threads(1):
            assert thread_count() == 1
        assert thread_count() == 3
    with contextlib.suppress(KeyError), limited_threads(7):
        raise KeyError
    assert thread_count() == outside


# -- the comparison of models, on this machine and on a cluster ------------------------------------


@pytest.fixture(scope="module")
def folds():
    truth = nks.snn.switching_population(4, 2, rng=0)
    counts = nks.snn.simulate_switching_population(truth, 600, rng=0)
    return nks.validation.alternating_blocks(counts, 4)


MODELS = {
    f"{n} states": KillsItsWorkerOnce(n, nonlinearity="sigmoid", restarts=2, max_iter=30)
    for n in (1, 2)
}


def compare(folds, executor=None) -> xr.Dataset:
    return nks.validation.cross_validate(MODELS, folds, rng=0, executor=executor, progress=False)


@pytest.fixture(scope="module")
def serial(folds):
    with limited_threads(1):
        return compare(folds)


def test_the_pool_gives_the_same_numbers(folds, serial):
    with limited_threads(2):
        xr.testing.assert_identical(compare(folds), serial)


def test_the_pool_gives_the_same_numbers_when_a_worker_is_killed(
    folds, serial, tmp_path, monkeypatch
):
    monkeypatch.setenv("KILL_FLAG", str(tmp_path / "killed"))
    with limited_threads(2):
        found = compare(folds)
    assert (tmp_path / "killed").exists()
    xr.testing.assert_identical(found, serial)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Two worker processes, and the flag that the first fit dies by once it is armed."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("KILL_FLAG", str(tmp_path / "killed"))
    (tmp_path / "killed").touch()  # not yet
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            local_directory=str(tmp_path),
            silence_logs=50,
        ) as running,
        distributed.Client(running) as client,
    ):
        yield client, tmp_path / "killed"


def test_a_dask_cluster_gives_the_same_numbers_also_when_a_worker_is_killed(folds, serial, cluster):
    client, flag = cluster
    with client.get_executor() as executor:
        xr.testing.assert_identical(compare(folds, executor), serial)
        before = set(client.run(os.getpid).values())
        flag.unlink()  # from here on the first fit kills its worker
        xr.testing.assert_identical(compare(folds, executor), serial)
        assert flag.exists()
    client.wait_for_workers(2, timeout=30)
    assert len(before - set(client.run(os.getpid).values())) == 1
