"""The training engine where numbers blow up, after a kill, and on several devices."""

from __future__ import annotations

import json
import signal
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_problems import (
    ADAM,
    CLIPPED,
    EPS,
    LONG,
    PLAIN,
    Plan,
    bits,
    endless,
    fit,
    line_data,
    long_fit,
    noisy,
    printed,
    saving_always,
    squared_error,
    start,
)

from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import NeurokitError, TrainingError
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import train as training
from neurokit_sdr.engines.training.plan import Progress
from neurokit_sdr.engines.training.run import Run

# ---------------------------------------------------------------- numbers that blow up


def test_a_poisoned_trial_is_named(seed):
    data = line_data(seed)
    trial = int(stream(seed, "poisoned").integers(101))
    data["x"][trial, 1] = np.nan
    with pytest.raises(TrainingError, match="stopped at epoch 0, step") as caught:
        fit(data)
    text = str(caught.value)
    assert "learning rate 0.05: term 'data' of the loss is nan." in text
    assert f"Alone it comes from training trial {trial}: 'x' has 1 values that are not" in text
    assert "Lower learning_rate, set gradient_clip, or look for extreme values" in text
    assert isinstance(caught.value, NeurokitError)


def test_an_extreme_count_is_named_by_its_size():
    data = line_data(0)
    data["y"][4] = 3e30
    with pytest.raises(TrainingError, match=r"training trial 4: 'x' reaches .*'y' reaches 3e\+30"):
        fit(data)


def test_a_poisoned_validation_trial_is_named():
    data, validation = line_data(0), line_data(1, 60)
    validation["y"][41] = np.inf
    match = r"at the validation after epoch 0 .* term 'data' .* inf.*from validation trial 41: "
    with pytest.raises(TrainingError, match=match):
        fit(data, PLAIN, validation)


def test_an_exploding_learning_rate_is_named():
    match = r"step 1 .* rate 1e\+20: term 'data' .* (nan|inf) and term 'kl' .* inf\. Every training"
    with pytest.raises(TrainingError, match=match):
        fit(line_data(0), PLAIN._replace(learning_rate=1e20))


class Cliff(NamedTuple):
    """A loss that is infinite once the bias went beyond a bound."""

    bound: float

    def __call__(self, model, batch, key, schedules, training):
        value = model.bias[0]
        return -value + jnp.where(value > self.bound, jnp.inf, 0.0), {"kl": value}


def test_weights_from_before_an_explosion_are_returned_with_a_status():
    data = line_data(0, 4)
    trained = fit(data, Plan(50, 4, 0.1), data, loss=Cliff(0.55))
    # Six steps of .1: validated at .5, stopped at the validation at .6.
    assert trained.best_epoch == 4
    assert "stopped at the validation after epoch 5" in trained.status
    assert "the loss is inf though each of its terms is finite" in trained.status
    assert trained.status.endswith("The result is the best before, of epoch 4.")
    np.testing.assert_allclose(trained.best.bias, 0.5, rtol=ADAM)
    assert np.isfinite(trained.last.bias).all()
    assert len(trained.history["loss"]) == 5
    assert not trained.interrupted


def reporting(model, batch, key, schedules, training):
    loss, terms = squared_error(model, batch, key, schedules, training)
    return loss, terms | {"forward": jnp.nan * loss}


def test_a_term_that_only_reports_may_be_nan():
    data = line_data(0)
    trained = fit(data, PLAIN, data, loss=reporting)
    assert np.isnan(trained.history["validation_forward"]).all()
    assert bits(trained)[0] == bits(fit(data, PLAIN, data))[0]
    data["y"][3] = np.inf
    with pytest.raises(TrainingError, match="Alone it comes from training trial 3: "):
        fit(data, PLAIN, loss=reporting)


def root(model, batch, key, schedules, training):
    return jnp.sqrt(model.weight).sum() + squared_error(
        model, batch, key, {"kl_weight": 0}, training
    )[0], {}


def test_a_gradient_alone_is_named_by_its_weights():
    with pytest.raises(TrainingError, match=r"its gradient is not, in weight\. Every"):
        fit(line_data(0), loss=root)


def test_a_huge_gradient_is_recorded_and_clipped():
    data = line_data(0, 40)
    data["y"] *= 1e12
    trained = fit(data, CLIPPED)
    assert trained.history["gradient_norm"][0] > 1e12
    assert np.isfinite(trained.last.weight).all()


# ---------------------------------------------------------------- stopping and going on


def interrupting(monkeypatch, at: int) -> None:
    """Press Ctrl-C during one of the calls."""
    calls = iter(range(10**9))
    real = Run.advance

    def advance(self, n_steps):
        if next(calls) == at:
            signal.raise_signal(signal.SIGINT)
        return real(self, n_steps)

    monkeypatch.setattr(Run, "advance", advance)


def test_ctrl_c_leaves_a_result_and_going_on_gives_the_same_bits(seed, monkeypatch, tmp_path):
    data, validation = line_data(seed), line_data(seed, 20)
    settings = LONG._replace(n_epochs=20, learning_rate_schedule="plateau")
    whole = fit(data, settings, validation, loss=noisy)
    monkeypatch.setattr(training, "CALL_SECONDS", 0.0)  # one step a call
    saved = Checkpoint(tmp_path / "state.npz", {"of": "this"})
    at = int(stream(seed, "interrupted").integers(20 * 15))
    with monkeypatch.context() as patch:
        interrupting(patch, at)
        stopped = fit(data, settings, validation, loss=noisy, saved=saved)
    assert stopped.interrupted
    assert stopped.status.startswith("interrupted: the result is the best so far")
    assert len(stopped.history.get("loss", [])) == at // 15
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(stopped.best))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    went_on = fit(data, settings, validation, loss=noisy, saved=saved)
    assert bits(went_on) == bits(whole)
    assert went_on.status == whole.status
    # Done already: nothing is left to do.
    assert bits(fit(data, settings, validation, loss=noisy, saved=saved)) == bits(whole)


def test_a_second_ctrl_c_ends_everything(monkeypatch):
    def advance(self, n_steps):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Run, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        fit(line_data(0))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_of_a_real_process_ends_within_seconds():
    child = start(endless)
    assert child.stdout.readline() == "ready\n"
    time.sleep(1)
    begin = time.perf_counter()
    child.send_signal(signal.SIGINT)
    text, _ = child.communicate(timeout=60)
    assert text.startswith("interrupted")
    assert time.perf_counter() - begin < 10


def test_a_run_killed_at_a_random_moment_goes_on_to_the_same_bits(seed, tmp_path):
    path = tmp_path / "state.npz"
    rng = np.random.default_rng([seed, time.time_ns()])  # any moment must do: a new one each time
    child = start(saving_always, path)
    try:
        begin = time.perf_counter()
        while not path.exists():
            assert child.poll() is None
            assert time.perf_counter() - begin < 120
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 2))
        assert child.poll() is None, "finished before it was killed: give it more epochs"
    finally:
        child.kill()
        child.communicate()
    saved = Checkpoint(path, {"of": "this"})
    assert Progress.from_arrays(saved.read()).epoch < LONG.n_epochs
    assert bits(long_fit(saved=saved)) == bits(long_fit())


def test_the_checkpoint_is_written_while_work_goes_on_not_at_each_step(monkeypatch):
    class Counting(Checkpoint):
        written = 0

        def write(self, arrays):
            self.written += 1

    saved = Counting(None, {})
    fit(line_data(0), saved=saved)
    assert saved.written == 1  # at the end
    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    saved = Counting(None, {})
    fit(line_data(0), saved=saved)
    assert saved.written > 1


# ---------------------------------------------------------------- several devices


def test_two_devices_give_the_losses_of_one():
    child = start(printed, flags="--xla_force_host_platform_device_count=2")
    devices, traces, history = json.loads(child.communicate(timeout=120)[0])
    assert devices == 2
    assert traces == 3
    one = long_fit(LONG._replace(n_epochs=4)).history
    assert history.keys() == one.keys()
    # Each of 60 steps sums 7 trials in another order; a rate of .05 makes no more of it.
    for name, values in one.items():
        size = np.abs(values) + np.abs(one["loss"])
        assert (np.abs(history[name] - values) <= 60 * 7 * EPS * size).all(), name
