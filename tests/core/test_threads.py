"""One BLAS thread within a block, and as many as before after it, whoever else is in one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: A process whose BLAS and OpenMP may use two threads, whatever that of the tests may.
HEAD = """
import threading
import numpy, scipy.linalg, sklearn.cluster, threadpoolctl
from neurokit_sdr.core.threads import one_blas_thread, parallel_map

def threads():
    return sorted({p["num_threads"] for p in threadpoolctl.threadpool_info()})

class Fit(threading.Thread):
    '''A block in a thread of its own, which begins and ends when it is told to.'''
    def __init__(self):
        super().__init__()
        self.begun, self.end, self.inside = threading.Event(), threading.Event(), None
        self.start()
        self.begun.wait()
    def run(self):
        with one_blas_thread():
            self.inside = threads()
            self.begun.set()
            self.end.wait()
    def finish(self):
        self.end.set()
        self.join()

print(threads())
"""


def printed(code: str) -> list[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("order", ["first, second", "second, first"])
def test_the_last_to_end_lifts_the_limit_in_whichever_order(order):
    code = f"""
first, second = Fit(), Fit()
print(first.inside, second.inside)
one, other = {order}
one.finish()
with one_blas_thread():
    print(threads())
other.finish()
print(threads())
again = Fit()
again.finish()
print(again.inside, threads())
"""
    assert printed(code) == ["[2]", "[1] [1]", "[1]", "[2]", "[1] [2]"]


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "ValueError"])
def test_errors_and_ctrl_c_lift_it(error):
    code = f"""
for block in (one_blas_thread, lambda: parallel_map(2)):
    try:
        with block():
            print(threads())
            raise {error}
    except {error}:
        print(threads())
"""
    assert printed(code) == ["[2]", "[1]", "[2]", "[1]", "[2]"]


def test_blocks_lie_within_blocks_and_within_limits_of_the_users_own():
    code = """
with one_blas_thread():
    with parallel_map(2) as run:
        print(threads())
    print(threads())
print(threads())
with threadpoolctl.threadpool_limits(2):
    with one_blas_thread():
        print(threads())
    print(threads())
    fit = Fit()
    fit.finish()
    print(threads())
print(threads())
"""
    assert printed(code) == ["[2]", "[1]", "[1]", "[2]", "[1]", "[2]", "[2]", "[2]"]
