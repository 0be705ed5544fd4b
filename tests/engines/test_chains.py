"""Chains of a sampler with known posterior: the same draws however they are run or ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from engines import conjugate_normal
from engines.conjugate_normal import Disturbed, State, numbered_states, sweep
from geweke import geweke
from scipy.stats import norm

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.parallel import limited_threads
from neurokit_sdr.engines.chains import chain as one_chain
from neurokit_sdr.engines.chains.chain import head_path, part_path
from neurokit_sdr.engines.chains.diagnostics import ess_mean
from neurokit_sdr.engines.chains.run import remove_checkpoint, run_chains
from neurokit_sdr.engines.chains.states import from_arrays, settled, to_arrays

STATES = [State(-5.0, 1.0), State(5.0, 9.0)]


@pytest.fixture
def here():
    """Chains run in this process."""
    with limited_threads(1):
        yield


@pytest.fixture
def listens_always(monkeypatch):
    """Chains look after every sweep whether they should stop."""
    monkeypatch.setattr(one_chain, "BEAT_SECONDS", 0.0)


def undisturbed(n_draws: int = 1000) -> xr.Dataset:
    nobody = Disturbed("", 0, at=-1)
    return run_chains(nobody, numbered_states(2), n_draws, seed=3, progress=False)


# -- right ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_draws_have_the_exact_posterior(seed):
    draws = run_chains(sweep, STATES, 4000, n_burn_in=50, seed=seed, progress=False)
    mean, sd = conjugate_normal.exact_posterior()
    limit = norm.isf(1e-4)
    for name in ("mean", "variance"):
        values = draws[name].values
        error = getattr(sd, name) / np.sqrt(ess_mean(values))
        assert abs(values.mean() - getattr(mean, name)) < limit * error
        # Of the second moment about the exact mean, whose own spread the draws tell.
        square = (values - getattr(mean, name)) ** 2
        error = square.std() / np.sqrt(ess_mean(square))
        assert abs(square.mean() - getattr(sd, name) ** 2) < limit * error


def of_state_and_data(state, y):
    return {
        "mean": state.mean,
        "log variance": np.log(state.variance),
        "mean squared": state.mean**2,
        "log variance squared": np.log(state.variance) ** 2,
        "standard mean squared": (state.mean - conjugate_normal.M) ** 2 / state.variance,
        "data": y[0],
    }


def kernel_of(move_variance):
    def kernel(state, y, rng):
        return move_variance(conjugate_normal.draw_mean(state, y, rng), y, rng)

    return kernel


def test_geweke_passes_the_right_kernel_and_finds_the_wrong_one(seed):
    model = (conjugate_normal.draw_prior, conjugate_normal.draw_data)
    rng = np.random.default_rng(seed)
    right = kernel_of(conjugate_normal.draw_variance)
    assert not geweke(*model, right, of_state_and_data, rng, n_steps=200).failed
    wrong = kernel_of(conjugate_normal.draw_variance_without_prior_of_mean)
    found = geweke(*model, wrong, of_state_and_data, rng, n_steps=200)
    assert "standard mean squared" in found.failed


# -- the same, however they are run ---------------------------------------------------------------


def test_a_killed_process_goes_on_to_the_same_draws(tmp_path):
    checkpoint, out = tmp_path / "chains", tmp_path / "out.nc"
    ended = run_disturbed(tmp_path, checkpoint, "SIGKILL", "own", out)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    head = np.load(head_path(checkpoint, 1))
    assert 0 < head["n_sweeps"] <= 300
    with limited_threads(1):
        again = Disturbed(str(tmp_path), signal.SIGKILL)
        resumed = run_chains(
            again, numbered_states(2), 1000, seed=3, checkpoint=checkpoint, progress=False
        )
        xr.testing.assert_identical(resumed, undisturbed())
        # All is drawn: nothing is done again.
        xr.testing.assert_identical(
            run_chains(
                again, numbered_states(2), 1000, seed=3, checkpoint=checkpoint, progress=False
            ),
            resumed,
        )
    remove_checkpoint(checkpoint)
    assert not checkpoint.exists()


def run_disturbed(folder, checkpoint, which, everyone, out) -> subprocess.CompletedProcess:
    arguments = [str(folder), str(checkpoint), which, everyone, str(out)]
    tests = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "engines.conjugate_normal", *arguments],
        cwd=tests,
        env=os.environ | {"PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"},
        start_new_session=True,  # so that Ctrl-C for all of the group does not reach pytest
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_killed_worker_is_replaced_and_draws_are_the_same(tmp_path):
    killed = Disturbed(str(tmp_path), signal.SIGKILL)
    with limited_threads(2):
        drawn = run_chains(killed, numbered_states(2), 1000, seed=3, progress=False)
    assert (tmp_path / "sent").exists()
    with limited_threads(1):
        xr.testing.assert_identical(drawn, undisturbed())


@pytest.mark.usefixtures("here", "listens_always")
def test_ctrl_c_keeps_the_draws(tmp_path):
    run = partial(
        run_chains,
        Disturbed(str(tmp_path), signal.SIGINT, at=30),
        numbered_states(3),
        100,
        seed=3,
        checkpoint=tmp_path / "chains",
        progress=False,
    )
    drawn = run()
    # The first chain was through, the second in its middle, the third not begun: the first has
    # more draws than both it and the second to the length of the second.
    assert drawn.attrs["interrupted"] == 1
    assert dict(drawn.sizes) == {"chain": 1, "draw": 100}
    whole = run_chains(Disturbed("", 0, at=-1), numbered_states(3), 100, seed=3, progress=False)
    xr.testing.assert_equal(drawn, whole.isel(chain=[0]))
    xr.testing.assert_identical(run(), whole)


def test_ctrl_c_keeps_the_draws_of_a_pool(tmp_path):
    out = tmp_path / "out.nc"
    ended = run_disturbed(tmp_path, tmp_path / "chains", "SIGINT", "everyone", out)
    assert ended.returncode == 0, ended.stderr
    with xr.open_dataset(out, engine="h5netcdf") as drawn, limited_threads(1):
        assert drawn.attrs["interrupted"] == 1
        # Of one chain alone at least: its own sweep number 300 sent the signal.
        assert drawn.sizes["chain"] * drawn.sizes["draw"] > 300
        length = drawn.sizes["draw"]
        xr.testing.assert_equal(
            drawn.load(), undisturbed().sel(chain=drawn["chain"], draw=range(length))
        )


@pytest.mark.usefixtures("here")
def test_an_error_in_one_chain_comes_out_at_once():
    with pytest.raises(LookupError, match="broken"):
        run_chains(broken, STATES, 10, seed=0, progress=False)


def broken(state, rng):
    raise LookupError("broken")


# -- burn-in, thinning, what is kept --------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_every_so_many_th_sweep_after_the_burn_in_is_kept():
    every = run_chains(sweep, STATES, 70, seed=1, progress=False)
    some = run_chains(sweep, STATES, 20, n_burn_in=10, thinning=3, seed=1, progress=False)
    np.testing.assert_array_equal(some["mean"], every["mean"][:, 12::3])
    assert some.attrs == {
        "n_burn_in": 10,
        "thinning": 3,
        "seed": 1,
        "n_draws": 20,
        "interrupted": 0,
    }


def walk(state, rng):
    """Metropolis for a standard normal, with a step that is part of the state."""
    proposed = state["x"] + state["step"] * rng.standard_normal()
    accepted = np.log(rng.random()) < (state["x"] ** 2 - proposed**2) / 2
    return state | {"x": proposed if accepted else state["x"], "accepted": bool(accepted)}


def tune(state, n_sweeps):
    factor = 1 + (0.56 if state["accepted"] else -0.44) / n_sweeps**0.5
    return state | {"step": state["step"] * factor, "tuned": n_sweeps}


@pytest.mark.usefixtures("here")
def test_adaptation_ends_with_the_burn_in():
    begin = [{"x": 0.0, "step": 100.0, "accepted": False, "tuned": 0}] * 2
    draws = run_chains(walk, begin, 50, n_burn_in=300, adapt=tune, seed=0, progress=False)
    assert (draws["tuned"] == 300).all()
    assert (draws["step"] == draws["step"].isel(draw=0)).all()
    assert (draws["step"] < 50).all()  # it came down by a factor that 300 turns easily make


def several(state):
    return {"table": np.array([[state.mean, state.variance, 0.0]] * 2), "sign": state.mean > 0}


@pytest.mark.usefixtures("here")
def test_recorded_values_have_named_dimensions_and_their_types():
    draws = run_chains(
        sweep, STATES, 5, record=several, dims={"table": ("row", "column")}, seed=0, progress=False
    )
    assert draws["table"].dims == ("chain", "draw", "row", "column")
    assert draws["sign"].dtype == bool
    plain = run_chains(sweep, STATES, 5, record=several, seed=0, progress=False)
    assert plain["table"].dims[2:] == ("table_dim_0", "table_dim_1")


@pytest.mark.usefixtures("here")
def test_one_bar_over_all_chains_shows_what_they_monitor(capsys):
    run_chains(
        sweep, STATES, 20, n_burn_in=5, monitor=lambda state: {"K": 3}, seed=0, description="mcmc"
    )
    shown = capsys.readouterr().err
    assert "mcmc: 100%" in shown
    assert "50/50" in shown
    assert "K 3/3" in shown


# -- states ---------------------------------------------------------------------------------------


def test_a_state_survives_a_file_in_type_value_and_order_of_memory(tmp_path):
    state = {
        "nested": State(np.float32(1.5), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        "flag": True,
        "number": 3,
        "weight": 0.1,
        "empty": np.zeros((0, 2), np.int32),
    }
    np.savez(tmp_path / "state.npz", **to_arrays(state))
    with np.load(tmp_path / "state.npz") as opened:
        found = from_arrays(opened, state)
    assert repr(found) == repr(state)
    assert found["nested"].variance.flags.f_contiguous
    assert [type(found[k]) for k in ("flag", "number", "weight")] == [bool, int, float]
    assert type(found["nested"].mean) is np.float32


def test_views_are_copied_and_nothing_else():
    whole = np.arange(6.0)
    state = settled({"view": whole[::2], "whole": whole})
    assert state["view"].flags.c_contiguous
    assert state["whole"] is whole


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n_draws": 0}, "n_draws to be a whole number >= 1"),
        ({"n_draws": 2.5}, "n_draws"),
        ({"n_burn_in": -1}, "n_burn_in to be a whole number >= 0"),
        ({"thinning": True}, "thinning"),
        ({"initial_states": []}, "one initial state per chain"),
        ({"initial_states": [["a", "list"]]}, "a chain as an array, a number"),
        ({"initial_states": [{"x": np.array([None])}]}, "state/x of a chain"),
    ],
)
def test_what_cannot_run_is_refused(changed, words):
    arguments = {"initial_states": STATES, "n_draws": 5} | changed
    with pytest.raises(ParameterError, match=words):
        run_chains(sweep, **arguments, seed=0, progress=False)


def growing(state, rng):
    return {"x": np.append(state["x"], rng.random())}


@pytest.mark.usefixtures("here")
def test_a_state_may_grow_but_not_what_is_kept():
    begin = [{"x": np.zeros(1)}]
    with pytest.raises(ParameterError, match="'x' of every draw in one shape"):
        run_chains(growing, begin, 5, seed=0, progress=False)
    draws = run_chains(
        growing, begin, 5, record=lambda state: {"n": len(state["x"])}, seed=0, progress=False
    )
    np.testing.assert_array_equal(draws["n"], [[2, 3, 4, 5, 6]])


@pytest.mark.usefixtures("here")
def test_the_checkpoint_of_other_chains_is_refused(tmp_path):
    run = partial(run_chains, sweep, STATES, 20, checkpoint=tmp_path, progress=False)
    first = run(seed=0, identity={"data": "a"})
    for other in ({"seed": 1, "identity": {"data": "a"}}, {"seed": 0, "identity": {"data": "b"}}):
        with pytest.raises(ParameterError, match="checkpoint of other work"):
            run(**other)
    part_path(tmp_path, 1, 0).unlink()
    with pytest.raises(ParameterError, match="beside the other files"):
        run(seed=0, identity={"data": "a"})
    remove_checkpoint(tmp_path)
    xr.testing.assert_identical(run(seed=0, identity={"data": "a"}), first)
