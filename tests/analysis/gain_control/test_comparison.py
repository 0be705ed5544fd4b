"""The comparison of mechanisms by their posteriors: with PyMC where it is installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core.errors import MissingDependencyError, ParameterError, SchemaError
from neurokit_sdr.core.parallel import limited_threads

# Small and quick; seeds are fixed, and the bounds hold for the draws that they give.
SMALL = {"n_units": 8, "n_stimuli": 14, "noise": 0.05}
QUICK = {"draws": 200, "tune": 300, "chains": 2, "n_folds": 0, "progress": False}


def compare(data, **options):
    pytest.importorskip("pymc", reason="needs the extra 'bayes'", exc_type=ImportError)
    with limited_threads(1):
        return nks.analysis.compare_gain_models(data, **{**QUICK, **options})


@pytest.fixture(scope="module")
def gain_and_offset():
    data = nks.analysis.simulate_gain_sessions("gain_offset", 4, offset=0.3, rng=1, **SMALL)
    return data, compare(data, mechanisms=["gain", "gain_offset"], rng=0, n_folds=2)


def test_offsets_are_told_from_pure_gain(gain_and_offset):
    _, compared = gain_and_offset
    assert compared.attrs["verdict"] == "gain_offset"
    assert compared["mechanism"].values.tolist() == ["gain", "gain_offset"]
    assert float(compared["elpd_difference"].sel(mechanism="gain")) < 0
    assert (compared["divergences"] == 0).all()
    r2 = compared["held_out_r2"]
    assert 0 < float(r2.sel(mechanism="gain")) < float(r2.sel(mechanism="gain_offset")) < 1


def test_draws_are_labelled_and_hold_the_truth(gain_and_offset):
    data, compared = gain_and_offset
    draws = compared["gain_offset"].to_dataset()
    assert draws["log_gain"].dims == ("chain", "draw", "session", "unit")
    for name in ("log_gain", "offset"):
        mean, sd = (getattr(draws[name], f)(("chain", "draw")) for f in ("mean", "std"))
        z = ((data[f"{name}_truth"] - mean) / sd).values
        # 32 numbers, not independent: with as few as 8 of them a mean square above 3 has p < 0.002.
        assert (z**2).mean() < 3
        assert np.corrcoef(mean.values.ravel(), data[f"{name}_truth"].values.ravel())[0, 1] > 0.8
    seen = data["response"].sel(condition="adapted") / _height(data)
    inside = (seen >= draws["response_low"]) & (seen <= draws["response_high"])
    n = inside.size
    assert abs(float(inside.mean()) - 0.9) < 5 * np.sqrt(0.9 * 0.1 / n) + 0.05


def _height(data):
    control = data["response"].sel(condition="control")
    return float((control.max("stimulus") - control.min("stimulus")).mean())


def test_the_same_seed_gives_the_same_draws(gain_and_offset):
    data, compared = gain_and_offset
    again = compare(data, mechanisms=["gain"], rng=0)
    np.testing.assert_array_equal(again["gain"]["log_gain"], compared["gain"]["log_gain"])


def test_noise_alone_is_undecided_and_one_session_is_said():
    data = nks.analysis.simulate_gain_sessions("gain", 1, depth=0, session_sd=0, rng=3, **SMALL)
    compared = compare(data, mechanisms=["gain"], rng=0, n_folds=2)
    assert compared.attrs["verdict"] == "undecided"
    assert "no change" in compared.attrs["reason"]
    assert "one session" in compared.attrs["reason"]
    assert np.isnan(compared["held_out_r2"]).all()


def test_without_pymc_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymc", None)
    data = nks.analysis.simulate_gain_sessions("gain", 2, rng=0, **SMALL)
    with pytest.raises(MissingDependencyError, match=r"neurokit-sdr\[bayes\]"):
        nks.analysis.compare_gain_models(data, progress=False)


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        ({}, {"mechanisms": ["gains"]}, ParameterError, "gain"),
        ({}, {"mechanisms": []}, ParameterError, "at least one"),
        ({}, {"mechanisms": ["gain", "gain"]}, ParameterError, "different"),
        ({}, {"control": "before"}, ParameterError, "control"),
        ({}, {"adapted": "control"}, ParameterError, "adapted"),
        ({}, {"draws": 10}, ParameterError, "draws"),
        ({}, {"kernel": "round"}, ParameterError, "kernel"),
        ({"condition": [0]}, {}, SchemaError, "at least 2 conditions"),
        ({"stimulus": slice(0, 13)}, {}, SchemaError, "sums? to 1|sums to 1"),
    ],
)
def test_bad_input_is_said(change, options, error, says):
    data = nks.analysis.simulate_gain_sessions("gain", 2, rng=0, **SMALL).isel(change)
    with pytest.raises(error, match=says):
        nks.analysis.compare_gain_models(data, progress=False, **options)


def test_errors_are_needed_where_they_cannot_be_estimated():
    data = nks.analysis.simulate_gain_sessions("gain", 2, n_units=8, n_stimuli=12, rng=0)
    with pytest.raises(SchemaError, match=r"response_se.*estimate_tuning"):
        nks.analysis.compare_gain_models(data.drop_vars("response_se"), progress=False)
