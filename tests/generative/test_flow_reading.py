"""What Langevin flows may read, in training and in predictions."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from flow_problems import (
    EPS,
    N_BINS,
    N_ERRORS,
    N_FORWARD,
    N_TRIALS,
    N_UNITS,
    N_WINDOW,
    QUICK,
    SIZES,
    changed,
    fit,
    flow,
    recording,
    small_batch,
)

from neurokit_sdr.core.errors import (
    ParameterError,
    SchemaError,
)
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.poisson.score import bits_per_spike
from neurokit_sdr.generative.langevin_flow import network as networks
from neurokit_sdr.generative.langevin_flow.network import Loss

pytestmark = pytest.mark.usefixtures("quickly")

# ---------------------------------------------------------------- no leak


def test_training_reads_neither_held_out_counts_nor_bins_ahead_nor_hidden_counts(fitted, seed):
    """The loss is linear in a count that is not read: its slope is minus the log of its rate."""
    loss = Loss(SIZES.n_inputs, 2, keep=0.5, crop=0.0, kl_per_trial=False)
    network, key = flow(seed, SIZES), jax.random.key(seed)
    batch = {k: v.astype(np.float32) if v.dtype.kind == "f" else v
             for k, v in small_batch(seed).items()}  # fmt: skip
    counts = batch["counts"] + 1
    (_, (inputs, log_rate)), slope = slope_of_loss(loss, network, counts, batch, key)
    inputs, log_rate, slope = (np.asarray(x, float) for x in (inputs, log_rate, slope))
    scored = batch["observed"] & (batch["trial_weight"] > 0)[:, None]
    window = np.arange(7) < batch["n_window"][:, None]
    read = np.zeros(slope.shape, dtype=bool)
    read[:, :, :3] = inputs > 0
    # Shown counts are scaled by what is kept, hidden ones and all others are not there.
    expected = np.where(read, counts / loss.keep, 0)[:, :, :3]
    np.testing.assert_allclose(inputs, expected, rtol=2 * EPS)
    assert not (read & ~(batch["observed"] & window)[:, :, None]).any()
    n_shown, n_visible = read[:2].sum(), 3 * (scored & window).sum()
    assert abs(n_shown - n_visible / 2) <= N_ERRORS * np.sqrt(n_visible) / 2
    unread = ~read & scored[:, :, None]
    # All of them are scored, so that the slope of each gives the same number of counts.
    number = -log_rate[unread] / slope[unread]
    total = np.median(number)
    assert unread.sum() <= round(total) <= scored.sum() * 5
    # Every slope is a few operations; the rate is computed once for both.
    np.testing.assert_allclose(
        slope[unread], -log_rate[unread] / round(total), rtol=20 * EPS, atol=1e-30
    )
    assert not slope[~read & ~scored[:, :, None]].any()
    # What is shown has its say in the rates of all: another slope.
    shown = slope[read & scored[:, :, None]]
    assert (shown != 0).all()
    assert np.abs(shown + log_rate[read & scored[:, :, None]] / round(total)).min() > 0


@functools.partial(jax.jit, static_argnames="loss", compiler_options=QUICK)
def slope_of_loss(loss, network, counts, batch, key):
    """The loss in training with what the network read and said, and its gradient by the counts."""

    def value(counts):
        seen = []

        def spy(trials, *rest):
            seen.append((trials.inputs, network(trials, *rest)))
            return seen[0][1]

        found = loss(spy, batch | {"counts": counts}, key, {"kl_weight": jnp.float32(0.7)}, True)[0]
        inputs, output = seen[0]
        return found, (inputs, output.log_rate)

    return jax.value_and_grad(value, has_aux=True)(counts)


def test_a_window_that_is_cut_out_moves_all_of_a_trial_together(seed):
    n_trials, n_bins, n_forward = 200, 20, 3
    rng = stream(seed, "crop")
    lengths = rng.integers(1, 18, n_trials)
    full = lengths == 17
    place = np.arange(n_bins)
    inside = np.where(full, n_bins, lengths)
    valid = place < inside[:, None]
    number = np.where(valid, 1 + place, 0)[:, :, None] * np.ones(5)
    batch = {
        "counts": number.astype(np.float32),
        "observed": valid,
        "covariates": number[:, :, :1].astype(np.float32),
        "n_window": lengths.astype(np.int32),
        "n_inside": inside.astype(np.int32),
    }
    loss = Loss(3, n_forward, 1.0, 0.5, kl_per_trial=False)
    moved = {k: np.asarray(v) for k, v in loss._cropped(batch, jax.random.key(seed)).items()}
    trials = jax.tree.map(np.asarray, networks.make_trials(moved, 3))
    cut = moved["n_window"] < lengths
    shortest = np.maximum((lengths * networks.SHORTEST_WINDOW).astype(int), 1)
    assert (moved["n_window"] >= shortest).all()
    # Half of those that can be cut are drawn; of these one of the lengths is the whole.
    share = 0.5 * (1 - 1 / (lengths - shortest + 1))
    assert abs(cut.sum() - share.sum()) <= N_ERRORS * np.sqrt((share * (1 - share)).sum())
    starts = moved["counts"][:, 0, 0].astype(int) - 1
    for i in range(n_trials):
        window, behind = moved["n_window"][i], moved["n_inside"][i]
        expected = starts[i] + 1 + place
        np.testing.assert_array_equal(trials.inputs[i, :, 0], np.where(place < window, expected, 0))
        np.testing.assert_array_equal(trials.inside[i], place < behind)
        np.testing.assert_array_equal(moved["observed"][i], place < behind)
        # The bins right behind the window are ahead of it, as many as there are.
        assert behind == min(window + n_forward, inside[i] - starts[i])
        np.testing.assert_array_equal(moved["counts"][i, :behind, 4], expected[:behind])
        np.testing.assert_array_equal(trials.covariates[i, :behind, 0], expected[:behind])
    assert len(set(starts[cut])) > 5


def test_predictions_are_the_same_bits_whatever_lies_in_what_they_may_not_read(fitted, seed):
    data = recording(seed)
    lengths = np.full(N_TRIALS, N_BINS)
    lengths[[2, 5]] = 9, 14
    data["trial_length"] = ("trial", lengths, {"units": "1"})
    beyond = (np.arange(N_BINS) >= lengths[:, None])[:, :, None]
    data["stimulus"] = data["stimulus"].where(
        ~xr.DataArray(beyond[:, :, 0], dims=("trial", "time")), 0
    )
    held_out = ~data["held_in"].values
    ahead = data["forward"].values[:, None] & np.ones(N_UNITS, dtype=bool)
    calls = {
        "predict": fitted.predict,
        "transform": fitted.transform,
        "forecast": lambda d: fitted.forecast(d, N_FORWARD, n_draws=3, rng=seed),
    }
    for name, call in calls.items():
        reference = call(data)
        for where in (held_out, ahead, beyond):
            xr.testing.assert_identical(call(changed(data, where)), reference)
        fewer = call(data.isel(unit=~held_out))
        xr.testing.assert_identical(fewer, reference)
        other = call(changed(data, ~held_out & ~ahead & ~beyond))
        assert not other.equals(reference), name
    said = fitted.predict(data)
    for i, length in enumerate(lengths):
        known = np.isfinite(said["expected_count"].values[i]).all(axis=-1)
        np.testing.assert_array_equal(known, np.arange(N_BINS) < length)


def test_a_trial_is_said_the_same_of_in_any_company(fitted, seed):
    """Where a trial stands, and what stands beside it, moves its draws by rounding alone."""
    data = recording(seed)
    six = [data.isel(trial=np.roll(np.arange(N_TRIALS), shift)) for shift in range(6)]
    many = xr.concat(six, "trial", coords="minimal", compat="override", join="override")
    calls = (fitted.predict, lambda d: fitted.forecast(d, 2, n_draws=3, rng=seed))
    for call in calls:
        few, all_ = call(data), call(many)
        for name in ("expected_count", "expected_count_low", "expected_count_high"):
            for shift in range(6):
                said = all_[name][shift * N_TRIALS : (shift + 1) * N_TRIALS]
                expected = few[name].values[np.roll(np.arange(N_TRIALS), shift)]
                np.testing.assert_allclose(said, expected, rtol=1000 * EPS, err_msg=name)
    # The same draws stand for trials that are alike; others have their own.
    assert fitted.predict(data)["expected_count_low"].std("trial").min() > 0


def test_counts_hidden_by_observed_are_not_read(fitted, seed):
    data = recording(seed)
    gap = np.zeros((N_TRIALS, N_BINS), dtype=bool)
    gap[:, 5:8] = True
    data["observed"] = ("trial", "time"), ~gap
    reference = fitted.predict(data)
    xr.testing.assert_identical(fitted.predict(changed(data, gap[:, :, None])), reference)
    assert np.isfinite(reference["expected_count"]).all()
    # The score does not look at them either.
    assert fitted.score(changed(data, gap[:, :, None])) == fitted.score(data)


def test_a_clean_score_stays_below_the_oracle(fitted, seed):
    """Held-out units: nothing can predict them better than the rates they were drawn from."""
    data, test = recording(seed), recording(seed + 1000)
    trained = fit(data, rng=seed, n_steps=600)
    out = ~data["held_in"].values
    said = trained.predict(test)["expected_count"]
    count, rate = (test[n].values[:, :N_WINDOW, out] for n in ("count", "rate"))
    model_rate = said.values[:, :N_WINDOW, out]
    assert trained.score(test) == pytest.approx(bits_per_spike(model_rate, count), rel=1e-9)
    gain = count * np.log(model_rate / rate) - (model_rate - rate)
    per_trial = gain.sum(axis=(1, 2))
    error = per_trial.std(ddof=1) * np.sqrt(N_TRIALS)
    assert per_trial.sum() <= N_ERRORS * error
    bits = np.log(2) * count.sum()
    oracle = bits_per_spike(rate, count)
    assert trained.score(test) <= oracle + N_ERRORS * error / bits
    # And it has learned something, so that the test can fail.
    assert trained.score(test) > 0.2 * oracle


# ---------------------------------------------------------------- covariates


def test_a_covariate_that_drives_improves_the_prediction(fitted):
    """Against the same covariate of other trials, at rates that say little themselves."""
    data, test = recording(1, driven=True), recording(2, driven=True)
    out = ~data["held_in"].values
    gains = {}
    for name, order in (("own", np.arange(N_TRIALS)), ("other", np.roll(np.arange(N_TRIALS), 1))):
        trained = fit(data.assign(stimulus=data["stimulus"][order]), n_steps=1000)
        rate = trained.predict(test.assign(stimulus=test["stimulus"][order]))["expected_count"]
        rate, count = rate.values[:, :N_WINDOW, out], test["count"].values[:, :N_WINDOW, out]
        gains[name] = (count * np.log(rate) - rate).sum(axis=(1, 2))
    gain = gains["own"] - gains["other"]
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(N_TRIALS)
    result = trained.result_
    np.testing.assert_allclose(result["covariate_mean"], float(data["stimulus"].mean()), atol=1e-6)
    np.testing.assert_allclose(result["covariate_sd"], float(data["stimulus"].std()), rtol=1e-6)


def test_covariates_that_cannot_be_used(fitted):
    data = recording(0)
    with pytest.raises(SchemaError, match="Expected the covariate 'stimulus' beside the counts"):
        fitted.predict(data.drop_vars("stimulus"))
    with pytest.raises(SchemaError, match="Did you mean 'stimulus'"):
        fit(data, covariates=["stimulis"])
    holes = data["stimulus"].copy()
    holes[0, 3] = np.nan
    with pytest.raises(SchemaError, match=r"Expected finite values of the covariate .* in 1: fill"):
        fit(data.assign(stimulus=holes))
    with pytest.raises(SchemaError, match=r"with dims among \('trial', 'time'\), got float64 with"):
        fit(data.assign(stimulus=data["stimulus"].expand_dims(screen=2)))
    with pytest.raises(SchemaError, match="as numbers with dims among"):
        fit(data.assign(stimulus=("time", np.full(N_BINS, "a"))))
    for wrong in ("stimulus", [], ["a", "a"], [3]):
        with pytest.raises(ParameterError, match="covariates"):
            fit(data, covariates=wrong)
