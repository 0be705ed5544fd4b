"""How a fit of the HMM-GLM ends: killed, interrupted, too early, on several threads."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hmm_glm_problems import simulated

import neurokit_sdr as nks
from neurokit_sdr.analysis import HMMGLM
from neurokit_sdr.analysis.hmm_glm import equations
from neurokit_sdr.analysis.hmm_glm import model as hmm_glm
from neurokit_sdr.core.errors import ConvergenceWarning, ParameterError
from neurokit_sdr.core.parallel import limited_threads


class Stopping:
    """A progress bar that raises at its n-th step."""

    def __init__(self, after: int, error: BaseException) -> None:
        self.after, self.error, self.steps = after, error, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def set_postfix_str(self, *_, **__):
        pass

    def update(self, *_):
        self.steps += 1
        if self.steps > self.after:
            raise self.error


class KilledError(Exception):
    """Stands for a process that ends without warning."""


SMALL = {"nonlinearity": "sigmoid", "restarts": 3, "tol": 1e-9}


def steps_of_a_fit(monkeypatch, counts, settings) -> tuple[int, xr.Dataset]:
    counting = Stopping(10**9, KilledError())
    with monkeypatch.context() as patch:
        patch.setattr(hmm_glm, "progress_bar", lambda *_: counting)
        model = HMMGLM(2, **settings).fit(counts, rng=1)
    return counting.steps, model.result_


def test_a_killed_fit_resumes_to_the_identical_result(monkeypatch, tmp_path, seed):
    counts = simulated(4, 2, [300, 200], seed)
    n_steps, whole = steps_of_a_fit(monkeypatch, counts, SMALL)
    rng = np.random.default_rng(seed)
    path = tmp_path / "fit.checkpoint"
    moments = [0, 1, n_steps - 1, *rng.integers(n_steps, size=12).tolist()]
    for after in moments:
        stopping = Stopping(after, KilledError())
        with monkeypatch.context() as patch:
            patch.setattr(hmm_glm, "progress_bar", lambda *_, bar=stopping: bar)
            with pytest.raises(KilledError):
                HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path)
        assert path.exists() or after == 0
        resumed = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path, progress=False)
        xr.testing.assert_identical(resumed.result_, whole)
        assert not path.exists()


def test_a_fit_killed_again_and_again_still_ends_the_same(monkeypatch, tmp_path, seed):
    counts = simulated(4, 2, 400, seed)
    n_steps, whole = steps_of_a_fit(monkeypatch, counts, SMALL)
    path = tmp_path / "fit.checkpoint"
    for _ in range(n_steps):
        stopping = Stopping(45, KilledError())  # further than from one checkpoint to the next
        try:
            with monkeypatch.context() as patch:
                patch.setattr(hmm_glm, "progress_bar", lambda *_, bar=stopping: bar)
                model = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path)
        except KilledError:
            continue
        xr.testing.assert_identical(model.result_, whole)
        return
    pytest.fail("no run got further than the one before")


KILLED_FIT = """
import os, signal, sys
import xarray as xr
from neurokit_sdr.analysis.hmm_glm import HMMGLM, model

class Killing:
    steps = 0
    def __enter__(self): return self
    def __exit__(self, *_): return None
    def set_postfix_str(self, *_, **__): pass
    def update(self):
        self.steps += 1
        if self.steps == 45:
            os.kill(os.getpid(), signal.SIGKILL)

model.progress_bar = lambda *_: Killing()
counts = xr.load_dataset(sys.argv[1], engine="h5netcdf")
HMMGLM(2, nonlinearity="sigmoid", restarts=3, tol=1e-9).fit(
    counts, rng=1, checkpoint=sys.argv[2]
)
"""


def test_a_process_killed_for_good_leaves_a_checkpoint_to_go_on_from(tmp_path, monkeypatch):
    counts = simulated(4, 2, 400, 0)
    counts.to_netcdf(tmp_path / "counts.nc", engine="h5netcdf")
    path = tmp_path / "fit.checkpoint"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_FIT, str(tmp_path / "counts.nc"), str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(nks.__file__).parents[1])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.exists()
    _, whole = steps_of_a_fit(monkeypatch, counts, SMALL)
    resumed = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path, progress=False)
    xr.testing.assert_identical(resumed.result_, whole)


def test_a_checkpoint_of_other_work_is_refused(monkeypatch, tmp_path):
    counts = simulated(4, 2, 200, 0)
    path = tmp_path / "fit.checkpoint"
    with monkeypatch.context() as patch:
        patch.setattr(hmm_glm, "progress_bar", lambda *_: Stopping(5, KilledError()))
        with pytest.raises(KilledError):
            HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path)
    kept = path.read_bytes()
    others = [
        (HMMGLM(2, **SMALL), counts, 2),
        (HMMGLM(3, **SMALL), counts, 1),
        (HMMGLM(2, **SMALL), counts.isel(time=slice(100)), 1),
    ]
    for model, data, rng in others:
        with pytest.raises(ParameterError, match="checkpoint of other work"):
            model.fit(data, rng=rng, checkpoint=path, progress=False)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6, 0.95])
def test_ctrl_c_leaves_the_best_so_far(monkeypatch, tmp_path, share, seed):
    counts = simulated(4, 2, 400, seed)
    n_steps, whole = steps_of_a_fit(monkeypatch, counts, SMALL)
    path = tmp_path / "fit.checkpoint"
    stopping = Stopping(int(share * n_steps), KeyboardInterrupt())
    with monkeypatch.context() as patch:
        patch.setattr(hmm_glm, "progress_bar", lambda *_: stopping)
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path)
    assert model.result_.attrs["status"].startswith("interrupted")
    traces = model.result_["restart_objective"].values
    assert model.result_["objective"].max() == np.nanmax(traces, initial=-np.inf)
    assert set(model.result_.data_vars) == set(whole.data_vars)
    assert np.isfinite(model.score(counts))
    assert model.predict(counts)["state"].shape == (400,)
    nks.save_result(model, tmp_path / "fit.nc")
    resumed = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path, progress=False)
    xr.testing.assert_identical(resumed.result_, whole)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_ctrl_c_while_a_start_is_made_loses_nothing(monkeypatch, call):
    from neurokit_sdr.analysis.hmm_glm import start

    counts = simulated(4, 2, 400, 0)
    made = start.first_parameters
    calls = itertools.count(1)

    def interrupted(*args):
        if next(calls) == call:
            raise KeyboardInterrupt
        return made(*args)

    monkeypatch.setattr(start, "first_parameters", interrupted)
    if call == 1:  # nothing is there to keep yet
        with pytest.raises(KeyboardInterrupt):
            HMMGLM(2, **SMALL).fit(counts, rng=1, progress=False)
        return
    model = HMMGLM(2, **SMALL)
    try:
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model.fit(counts, rng=1, progress=False)
    except KeyboardInterrupt:  # let through it would end pytest, not the test
        pytest.fail("what the starts before had found is lost")
    assert np.isfinite(model.score(counts))


def test_too_few_iterations_are_said(seed):
    counts = simulated(4, 2, 300, seed)
    with pytest.warns(ConvergenceWarning, match="max_iter reached") as caught:
        model = HMMGLM(2, nonlinearity="sigmoid", max_iter=1).fit(counts, rng=0, progress=False)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert model.result_.attrs["status"] == "max_iter reached (1): raise max_iter or tol"
    assert model.result_.sizes["iteration"] == 1
    assert np.isfinite(model.score(counts))


def test_threads_do_not_change_the_numbers(monkeypatch, seed):
    monkeypatch.setattr(equations, "CHUNK", 2000)  # many chunks even of little data
    counts = simulated(6, 3, [700, 500], seed)
    results = []
    for number in (1, 2, 5):
        with limited_threads(number):
            model = HMMGLM(3, **SMALL)
            results.append(model.fit(counts, rng=0, progress=False).result_)
    for other in results[1:]:
        xr.testing.assert_identical(other, results[0])
