"""Cutting recordings into blocks that know their past."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.validation import alternating_blocks


def recording(n_bins=103, n_units=2) -> xr.Dataset:
    return xr.Dataset(
        {
            "count": (
                ("time", "unit"),
                np.arange(n_bins * n_units).reshape(n_bins, n_units),
                {"units": "1"},
            )
        },
        coords={"unit": [f"u{i}" for i in range(n_units)], "depth": ("unit", [0.1] * n_units)},
        attrs={"bin_size": 0.02},
    )


@pytest.mark.parametrize("n_blocks", [2, 4, 10, 102])
def test_blocks_take_turns_and_lose_nothing(n_blocks):
    counts = recording()
    folds = alternating_blocks(counts, n_blocks)
    assert len(folds) == 2
    xr.testing.assert_identical(folds[0].train, folds[1].test)
    xr.testing.assert_identical(folds[0].test, folds[1].train)
    parts = []
    for fold in (folds[0].train, folds[0].test):
        own = schema.scored_bins(fold).sum(axis=1)
        assert len(own) == n_blocks // 2
        assert own.max() - own.min() <= 1
        lengths = fold["trial_length"].values
        parts.append(
            [
                fold["count"].values[k, n - m : n]
                for k, (n, m) in enumerate(zip(lengths, own, strict=True))
            ]
        )
        assert fold["depth"].values.tolist() == [0.1, 0.1]
    taken = [block for pair in zip(*parts, strict=True) for block in pair]
    np.testing.assert_array_equal(np.concatenate(taken), counts["count"])


@pytest.mark.parametrize("context", [0.0, 0.1, 0.4, 100.0])
def test_blocks_carry_their_true_past(context):
    counts = recording()
    whole, past = counts["count"].values, round(context / 0.02)
    edges = np.linspace(0, 103, 5).astype(int)
    for part, first in zip(alternating_blocks(counts, 4, context=context)[0], (0, 1), strict=True):
        for k, block in enumerate(part["count"].values):
            start, stop = edges[2 * k + first], edges[2 * k + first + 1]
            low = max(start - past, 0)
            assert part["trial_length"].values[k] == stop - low
            np.testing.assert_array_equal(block[: stop - low], whole[low:stop])
            mark = part["context"].values[k] if "context" in part else np.zeros(len(block), bool)
            np.testing.assert_array_equal(np.flatnonzero(mark), np.arange(start - low))
    if not context:
        assert "context" not in alternating_blocks(counts, 4, context=0)[0].train


def test_everything_along_time_comes_along():
    counts = recording(40).assign_coords(lap=("time", np.arange(40) // 7))
    counts["speed"] = ("time", np.arange(40) / 8, {"units": "m/s"})
    counts["position"] = (("time", "space"), np.arange(80.0).reshape(40, 2), {"units": "m"})
    counts["lick"] = ("time", np.arange(40) % 3 == 0)
    counts["task"] = ("time", np.array(["run", "rest"])[np.arange(40) % 2])
    counts["rate"] = (("time", "unit"), counts["count"].values / 2.0)
    counts = counts.assign_coords(space=["x", "y"])
    train, test = alternating_blocks(counts, 4, context=0.06)[0]
    for part, starts in ((train, (0, 20)), (test, (10, 30))):
        for k, start in enumerate(starts):
            low = max(start - 3, 0)
            n = start + 10 - low
            for name in ("speed", "position", "lick", "task", "rate", "lap", "count"):
                found = part[name].isel(trial=k, time=slice(n))
                wanted = counts[name].isel(time=slice(low, low + n))
                np.testing.assert_array_equal(found.values, wanted.values)
                assert found.dims == wanted.dims
                assert found.attrs == wanted.attrs
    assert "lap" in train.coords
    assert train["space"].values.tolist() == ["x", "y"]
    # Beyond the end of a ragged trial.
    beyond = train.isel(trial=0, time=slice(10, None))
    assert np.isnan(beyond["speed"]).all()
    assert not beyond["lick"].any()
    assert set(beyond["task"].values) == {""}


def test_blocks_of_marked_counts_carry_held_in():
    counts = recording(40).assign_coords(held_in=("unit", [True, False]))
    assert alternating_blocks(counts, 4)[0].train["held_in"].values.tolist() == [True, False]
    ahead = counts.assign_coords(forward=("time", np.arange(40) >= 35))
    with pytest.raises(SchemaError, match=r"same bins to forecast.*held_out_split"):
        alternating_blocks(ahead, 4)


def slow_population(n_states=1, n_bins=6000, seed=0) -> tuple[nks.analysis.HMMGLM, xr.Dataset]:
    """Coupling that lasts half a second, and counts of it."""
    truth = nks.snn.switching_population(
        8, n_states, time_constants=[0.5], strength=(2.0, 8.0), self_transition=0.995, rng=seed
    )
    counts = nks.snn.simulate_switching_population(truth, n_bins, rng=seed)
    return nks.analysis.HMMGLM.from_parameters(truth), counts


@pytest.mark.parametrize("n_blocks", [50, 200])
def test_the_true_model_loses_nothing_to_the_cuts(n_blocks, seed):
    """Blocks partition the recording: so do their log likelihoods, given the true past."""
    model, counts = slow_population(seed=seed)
    whole = model.log_likelihood(counts)
    spikes = float(counts["count"].sum())

    def loss(context: float) -> float:
        """Bits per spike that the blocks lose."""
        parts = alternating_blocks(counts, n_blocks, context=context)[0]
        return (whole - sum(map(model.log_likelihood, parts))) / np.log(2) / spikes

    # Sums of as many terms in another order.
    assert abs(loss(2.5)) < counts["count"].size * np.finfo(float).eps
    assert loss(0.0) > 1e-3


def test_a_hidden_state_is_remembered_across_the_cut(seed):
    """With states, what came before the context is lost too: little, and less of a longer one."""
    model, counts = slow_population(2, seed=seed)
    whole, terms = model.log_likelihood(counts), counts["count"].size
    loss = {}
    for context in (0.0, 2.5, 10.0):
        parts = alternating_blocks(counts, 50, context=context)[0]
        loss[context] = abs(whole - sum(map(model.log_likelihood, parts))) / 50
    assert loss[0.0] > 1000 * loss[2.5]
    assert loss[10.0] < terms * np.finfo(float).eps * abs(whole)
    # Ten seconds on, how the trial began is forgotten: the states are those of the whole, up to
    # the block's end, where nothing that follows is read.
    own = schema.scored_bins(parts[1])
    states = model.predict(parts[1])["state_probability"].values
    first = np.array([np.argmax(o) for o in own])
    start = np.linspace(0, counts.sizes["time"], 51).astype(int)[1:50:2]
    known = model.predict(counts)["state_probability"].values
    assert np.abs(states[np.arange(25), first] - known[start]).max() < 0.01


def test_blocks_keep_missing_bins():
    counts = recording(40)
    counts["observed"] = "time", np.arange(40) % 3 > 0
    fold = alternating_blocks(counts, 4)[0]
    assert sum(schema.scored_bins(part).sum() for part in fold) == 26


@pytest.mark.parametrize("wrong", [0, 1, 3, -2, 200, 2.5, "4", None])
def test_wrong_numbers_of_blocks(wrong):
    with pytest.raises(ParameterError, match=r"even n_blocks.*got"):
        alternating_blocks(recording(), wrong)


def test_trials_are_not_cut():
    with pytest.raises(SchemaError, match=r"one continuous recording.*isel"):
        alternating_blocks(recording().expand_dims("trial"), 2)
    with pytest.raises(SchemaError):
        alternating_blocks(xr.Dataset(), 2)


@pytest.mark.parametrize("wrong", [-1.0, "2", None, np.inf, True])
def test_wrong_pasts(wrong):
    with pytest.raises(ParameterError, match=r"context.*got"):
        alternating_blocks(recording(), 2, context=wrong)
