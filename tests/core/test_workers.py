"""What a script or notebook is told before worker processes start, and what Ctrl-C leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neurokit_sdr.core.parallel import TasksInterrupted, limited_threads, map_tasks

HEAD = """
import os, sys, time
from pathlib import Path
from neurokit_sdr.core.parallel import TasksInterrupted, map_tasks

def double(x):
    return 2 * x

def slow_from_two_on(task):
    folder, x = task
    (Path(folder) / str(x)).touch()
    if x >= 2:
        time.sleep(60)
    return 2 * x
"""
CALL = "print(map_tasks(double, range(4), progress=False))"


def run(code: str, folder: Path, *, as_file: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program as a script, or as a prompt does, with two cores."""
    script = folder / "script.py"
    script.write_text(code)
    command = [sys.executable, str(script)] if as_file else [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


needs_a_pool = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else os.cpu_count() == 1,
    reason="on one core tasks run in this process, and nothing can go wrong",
)


@needs_a_pool
@pytest.mark.parametrize(
    "call",
    [
        CALL,
        f"def study():\n    {CALL}\nstudy()",
        f"if True:\n    {CALL}",
        f"if __name__ == 'elsewhere' or True:\n    {CALL}",
    ],
    ids=["plain", "in a function", "under another if", "under another name"],
)
def test_a_script_without_its_guard_is_told_so_at_once_and_once(tmp_path, call):
    done = run(f"{HEAD}\n{call}\n", tmp_path)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if "__main__" in line]
    assert len(said) == 1
    assert "script.py under if __name__ == '__main__':" in said[0]
    assert done.stderr.count("Traceback") == 1
    assert done.stdout == ""


@needs_a_pool
@pytest.mark.parametrize(
    "guarded",
    [
        f"if __name__ == '__main__':\n    {CALL}",
        f"def main():\n    {CALL}\nif '__main__' == __name__:\n    main()",
        f"if __name__ == '__main__' and len(sys.argv) == 1:\n    {CALL}",
    ],
    ids=["plain", "in a function", "with more"],
)
def test_a_script_with_its_guard_runs(tmp_path, guarded):
    done = run(f"{HEAD}\n{guarded}\n", tmp_path)
    assert (done.stdout, done.stderr) == ("[0, 2, 4, 6]\n", "")


NOTEBOOK_MODEL = """
import neurokit_sdr as nks
class Mine(nks.analysis.HMMGLM):
    pass
import numpy as np, xarray as xr
rng = np.random.default_rng(0)
counts = xr.Dataset(
    {"count": (("time", "unit"), rng.poisson(0.5, (200, 2)), {"units": "1"})},
    {"time": ("time", (np.arange(200) + 0.5) * 0.02, {"units": "s"}), "unit": ["a", "b"]},
    {"bin_size": 0.02},
)
nks.validation.cross_validate({"mine": Mine(1)}, nks.validation.alternating_blocks(counts), rng=0)
"""


@needs_a_pool
@pytest.mark.parametrize(
    ("code", "named"), [(f"{HEAD}\n{CALL}", "double"), (NOTEBOOK_MODEL, "Mine")]
)
def test_what_only_a_notebook_defines_is_named_before_a_worker_starts(tmp_path, code, named):
    done = run(code, tmp_path, as_file=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert f"got {named!r}, defined in this notebook" in last
    assert "move it to a .py file" in last
    assert done.stderr.count("Traceback") == 1


@needs_a_pool
def test_ctrl_c_keeps_what_finished_and_says_what_is_missing(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"""{HEAD}
if __name__ == "__main__":
    try:
        map_tasks(slow_from_two_on, [({str(tmp_path)!r}, x) for x in range(5)], progress=False)
    except TasksInterrupted as interrupted:
        print(interrupted.results, interrupted.missing)
        print(interrupted)
"""
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not ((tmp_path / "2").exists() and (tmp_path / "3").exists()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    out, err = process.communicate(timeout=60)
    assert out.splitlines() == [
        "[0, 2, None, None, None] [2, 3, 4]",
        "interrupted with 2 of 5 tasks done; missing are [2, 3, 4]",
    ]
    assert err == ""
    assert time.monotonic() - begin < 30, "it waited for tasks that take a minute"


def interrupt_at_two(x: int) -> int:
    if x == 2:
        raise KeyboardInterrupt
    return x


def test_ctrl_c_in_this_process_keeps_what_finished():
    with limited_threads(1), pytest.raises(TasksInterrupted) as caught:
        map_tasks(interrupt_at_two, range(4), progress=False, description="fits")
    assert caught.value.results == [0, 1, None, None]
    assert caught.value.missing == [2, 3]
    assert isinstance(caught.value, KeyboardInterrupt)
    assert str(caught.value) == "interrupted with 2 of 4 fits done; missing are [2, 3]"
