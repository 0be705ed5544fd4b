"""The past that trials are cut out with: read by every model, fitted and scored by none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ConvergenceWarning, SchemaError
from neurokit_sdr.core.estimator import Estimator
from neurokit_sdr.core.parallel import limited_threads
from neurokit_sdr.generative.rates.arrays import evaluation_arrays, training_arrays

PAST, N_BINS = 8, 40


@pytest.fixture(autouse=True)
def _here():
    with limited_threads(1):
        yield


def trials(n_trials=8, n_units=5, seed=0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n_trials, 1, 1)) + np.sin(np.arange(N_BINS) / 5)[:, None]
    rate = 0.6 * np.exp(0.7 * latent * np.linspace(-1, 1, n_units))
    return xr.Dataset(
        {
            "count": (("trial", "time", "unit"), rng.poisson(rate), {"units": "1"}),
            "context": ("time", np.arange(N_BINS) < PAST),
        },
        coords={
            "time": ("time", (np.arange(-PAST, N_BINS - PAST) + 0.5) * 0.02, {"units": "s"}),
            "unit": np.arange(n_units),
        },
        attrs={"bin_size": 0.02},
    )


def with_past(data: xr.Dataset, first: int, stop: int) -> xr.Dataset:
    """Other counts in some bins of the context."""
    changed = data.copy(deep=True)
    changed["count"].values[:, first:stop] = 7
    return changed


MODELS = {
    # Kernels of 5 bins: of a context of 8 bins the first three are out of reach.
    "HMMGLM": nks.analysis.HMMGLM(1, history=0.02, restarts=1, max_iter=30),
    "HMMGLM, two states": nks.analysis.HMMGLM(2, history=0.02, restarts=1, max_iter=30),
    "Smoothing": nks.generative.Smoothing(smoothing=0.04),
    "FactorAnalysis": nks.generative.FactorAnalysis(n_latents=2, smoothing=0.04),
    "PoissonLDS": nks.generative.PoissonLDS(n_latents=2, max_iter=5),
}


def fitted(name: str, data: xr.Dataset) -> Estimator:
    """A fit of its own; how far it came is not asked here."""
    model = type(MODELS[name])(**MODELS[name].get_params())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(data, rng=0, progress=False)


def parameters(name: str, data: xr.Dataset) -> xr.Dataset:
    """What was fitted, without what is said of the bins."""
    return fitted(name, data).result_.drop_dims(["trial", "time"], errors="ignore").drop_attrs()


@pytest.mark.parametrize("name", MODELS)
def test_what_lies_before_the_history_changes_no_fit(name):
    data = trials()
    out_of_reach = 3 if name.startswith("HMMGLM") else PAST
    xr.testing.assert_identical(
        parameters(name, data), parameters(name, with_past(data, 0, out_of_reach))
    )


def test_a_model_of_rates_sees_the_context_only_when_it_predicts():
    """All models of rates, LangevinFlow too, see these arrays and nothing else of the data."""
    data = trials()
    spoilt = with_past(data, 0, PAST)
    for one, other in zip(training_arrays(data), training_arrays(spoilt), strict=True):
        np.testing.assert_array_equal(one, other)
    result = fitted("Smoothing", data).result_
    seen = evaluation_arrays(spoilt, result)
    assert (seen.inputs[:, :PAST] == 7).all()
    assert not seen.scored[:, :PAST].any()
    assert seen.scored[:, PAST:].all()


def test_a_history_is_read_and_not_fitted():
    """The bins of a context enter a fit as the history of those after it, and as nothing else."""
    data = trials(seed=1)
    near = parameters("HMMGLM", with_past(data, PAST - 1, PAST))
    far = parameters("HMMGLM", data)
    assert float(np.abs(near["weight"] - far["weight"]).max()) > 1e-3
    # Mean counts are those of the scored bins.
    mean = data["count"].values[:, PAST:].mean(axis=(0, 1))
    np.testing.assert_allclose(far["mean_count"], mean, rtol=1e-14)


def test_the_history_is_the_true_one():
    """A trial with its past is scored as the same bins of the recording are."""
    truth = nks.snn.switching_population(5, 1, time_constants=[0.02], rng=0)
    model = nks.analysis.HMMGLM.from_parameters(truth)
    counts = nks.snn.simulate_switching_population(truth, 300, rng=0)
    whole = counts.assign(context=("time", np.arange(300) < 200))
    near = counts.isel(time=slice(195, None))
    near = near.assign(context=("time", np.arange(105) < 5))
    bare = counts.isel(time=slice(200, None))
    one, two, three = (model.log_likelihood(d) for d in (whole, near, bare))
    # The same 500 terms, less what the context gave, itself 1500.
    assert abs(one - two) < 2000 * np.finfo(float).eps * abs(model.log_likelihood(counts))
    assert abs(one - three) > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_a_context_is_not_scored(name):
    data = trials()
    model = fitted(name, trials(seed=1))
    score = model.score(data)
    if not name.startswith("HMMGLM"):
        # Of a model of rates its own call says what was expected in the scored bins.
        rate = model.predict(data)["expected_count"].isel(time=slice(PAST, None))
        scored = data.isel(time=slice(PAST, None)).drop_vars("context")
        assert score == pytest.approx(nks.validation.bits_per_spike(rate, scored), abs=1e-12)
        return
    expected = model.score(data, measure="nats_per_bin") * 8 * (N_BINS - PAST)
    assert model.log_likelihood(data) == pytest.approx(expected, rel=1e-12)


def test_measures_leave_the_context_out():
    data = trials().assign_coords(condition=("trial", list("lrlrlrlr")))
    own = data.isel(time=slice(PAST, None)).drop_vars("context")
    rate = data["count"] * 0.0 + 0.5
    spoilt = with_past(data, 0, PAST)
    assert nks.validation.bits_per_spike(rate, spoilt) == nks.validation.bits_per_spike(rate, own)
    held = {"held_in": ("unit", [True] * 4 + [False])}
    scores = [nks.validation.co_bits_per_spike(rate, d.assign_coords(held)) for d in (spoilt, own)]
    assert scores[0] == scores[1]
    histogram = nks.validation.psth(spoilt, smoothing=0)
    xr.testing.assert_equal(
        histogram.isel(time=slice(PAST, None)), nks.validation.psth(own, smoothing=0)
    )
    assert np.isnan(histogram.isel(time=slice(PAST))).all()


def test_connectivity_counts_each_bin_once():
    counts = nks.snn.simulate_switching_population(
        nks.snn.switching_population(5, 1, rng=0), 2000, rng=0
    )
    blocks = [nks.validation.alternating_blocks(counts, 10, context=c)[0].train for c in (0, 0.2)]
    found = [nks.analysis.connectivity.lagged_correlation(b, lag=1) for b in blocks]
    xr.testing.assert_equal(*found)


def test_a_context_comes_first():
    data = trials()
    late = data.assign(context=("time", np.arange(N_BINS) > 30))
    with pytest.raises(SchemaError, match="context true from a trial's first bin"):
        schema.check(late, "counts")
    everything = data.assign(context=("time", np.ones(N_BINS, bool)))
    for model in MODELS.values():
        with pytest.raises(SchemaError, match="at least one bin to fit or score"):
            type(model)(**model.get_params()).fit(everything, rng=0, progress=False)


def test_held_out_data_are_refused_where_all_is_read():
    data = trials().drop_vars("context")
    model = nks.analysis.HMMGLM(1, restarts=1).fit(data, rng=0, progress=False)
    marks = {
        r"2 held-out units": {"held_in": ("unit", [True] * 3 + [False] * 2)},
        r"4 bins to forecast": {"forward": ("time", np.arange(N_BINS) >= N_BINS - 4)},
    }
    for says, mark in marks.items():
        marked = data.assign_coords(mark)
        calls = (
            lambda d: nks.analysis.HMMGLM(1).fit(d, progress=False),
            model.predict,
            model.score,
            model.log_likelihood,
        )
        for call in calls:
            with pytest.raises(SchemaError, match=says):
                call(marked)
    nothing = data.assign_coords(held_in=("unit", np.ones(5, bool)))
    assert model.score(nothing.assign_coords(forward=("time", np.zeros(N_BINS, bool))))


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_checked_once_a_call(name, monkeypatch):
    data, calls = trials(), []
    check = schema.checks.check_attrs

    def counted(given: xr.Dataset) -> None:
        calls.append(1)
        check(given)

    monkeypatch.setattr(schema.checks, "check_attrs", counted)
    model = fitted(name, data)
    for call in (lambda d: fitted(name, d), model.predict, model.score):
        calls.clear()
        call(data)
        assert len(calls) == 1
