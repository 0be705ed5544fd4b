"""Measures of latent variable models: closed forms, independent implementations, labels, masks."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.special import gammaln
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.validation import (
    behavior_r2,
    bits_per_spike,
    co_bits_per_spike,
    forward_bits_per_spike,
    held_out_split,
    latent_r2,
    produced_time_correlation,
    psth,
    psth_r2,
    rate_r2,
)

EPS = np.finfo(float).eps
DIMS = ("trial", "time", "unit")


def counts(count, *, bin_size=0.02, attrs=None, **variables) -> xr.Dataset:
    count = np.asarray(count)
    n_trials, n_bins, n_units = count.shape
    return xr.Dataset(
        {"count": (DIMS, count, {"units": "1"})},
        coords={
            "trial": np.arange(n_trials),
            "time": ("time", (np.arange(n_bins) + 0.5) * bin_size, {"units": "s"}),
            "unit": np.arange(n_units),
        },
        attrs={"bin_size": bin_size},
    ).assign_coords(variables)


def expecting(truth: xr.Dataset, rate) -> xr.Dataset:
    rate = np.array(np.broadcast_to(rate, truth["count"].shape), dtype=float)
    return xr.Dataset({"expected_count": (truth["count"].dims, rate)}, coords=truth.coords)


def shuffled(data: xr.Dataset, seed: int) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    order = {d: rng.permutation(data.sizes[d]) for d in ("trial", "unit")}
    return data.isel(order).transpose("unit", "time", "trial")


def draw(seed: int, shape=(7, 9, 5)):
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 0.5, shape)
    count = rng.poisson(rate)
    count[0, 0] += 1  # every unit fires
    return rng, rate, count


# -- bits per spike ---------------------------------------------------------------------------


def test_two_bins_by_hand():
    # Counts 3 and 1, expected exactly: the mean is 2, so (3 log2(3/2) + log2(1/2)) / 4.
    truth = counts([[[3], [1]]])
    by_hand = (3 * np.log2(1.5) - 1) / 4
    assert bits_per_spike(expecting(truth, [[[3], [1]]]), truth) == pytest.approx(
        by_hand, abs=1e-15
    )
    # One unit too many expected in each bin: it costs (2 - 3) + (2 - 1) less 2 more nats.
    worse = (3 * np.log(4 / 2) + np.log(2 / 2) - (4 + 2) + (2 + 2)) / (4 * np.log(2))
    assert bits_per_spike(expecting(truth, [[[4], [2]]]), truth) == pytest.approx(worse, abs=1e-15)
    # A spike where none was expected counts as if 1e-9 had been.
    zero = (3 * np.log(3 / 2) + np.log(1e-9 / 2) - (3 + 1e-9) + 4) / (4 * np.log(2))
    assert bits_per_spike(expecting(truth, [[[3], [0]]]), truth) == pytest.approx(zero, rel=1e-14)


def likelihood(rate, count):
    rate = np.where(rate == 0, 1e-9, rate)
    return (rate - count * np.log(rate) + gammaln(count + 1.0)).sum()


def test_the_definition_written_out(seed):
    rng, rate, count = draw(seed)
    rate[rng.random(rate.shape) < 0.1] = 0
    spikes = count.astype(float)
    spikes[rng.random(spikes.shape[:2]) < 0.2] = np.nan
    spikes[0] = count[0]
    used = ~np.isnan(spikes)
    null = np.broadcast_to(np.nanmean(spikes, axis=(0, 1)), spikes.shape)
    sums = likelihood(null[used], spikes[used]), likelihood(rate[used], spikes[used])
    expected = (sums[0] - sums[1]) / np.nansum(spikes) / np.log(2)
    # Each sum has at most `size` terms, each rounded a few times.
    error = 8 * spikes.size * EPS * sum(np.abs(sums)) / np.nansum(spikes)
    assert bits_per_spike(rate, spikes) == pytest.approx(expected, abs=error)
    truth = counts(np.nan_to_num(spikes)).assign(observed=(("trial", "time"), used[..., 0]))
    given = shuffled(expecting(truth, rate), seed)
    assert bits_per_spike(given, truth) == pytest.approx(expected, abs=error)


def test_only_what_was_hidden_is_scored(seed):
    _, rate, count = draw(seed)
    truth = held_out_split(counts(count), neurons=[1, 4], trials=6, forward=3).truth
    given = expecting(truth, rate[1:])
    co, ahead = co_bits_per_spike(given, truth), forward_bits_per_spike(given, truth)
    hidden = count[1:, :6][..., [1, 4]]
    assert co == pytest.approx(bits_per_spike(rate[1:, :6][..., [1, 4]], hidden), abs=1e-13)
    assert ahead == pytest.approx(bits_per_spike(rate[1:, 6:], count[1:, 6:]), abs=1e-13)
    # What held-in units and forward bins were expected to do, or did, has no part in co-bps.
    other = given.copy(deep=True)
    other["expected_count"][:, :, [0, 2, 3]] = 7.0
    other["expected_count"][:, 6:] = 7.0
    changed = truth.copy(deep=True)
    changed["count"][:, :, [0, 2, 3]] = 9
    changed["count"][:, 6:] = 9
    assert co_bits_per_spike(other, changed) == co
    assert co_bits_per_spike(shuffled(given, seed), truth) == pytest.approx(co, abs=1e-13)
    assert co_bits_per_spike(given["expected_count"], truth["count"]) == co
    # A prediction of the held-out units alone is enough.
    assert co_bits_per_spike(given.isel(unit=[4, 1], time=slice(0, 6)), truth) == co


def test_ragged_trials_count_what_they_have(seed):
    _, rate, count = draw(seed)
    length = np.array([9, 7, 3, 9, 8, 9, 6])
    truth = counts(count).assign(trial_length=("trial", length, {"units": "1"}))
    truth = held_out_split(truth, neurons=2, trials=[0, 1, 2, 6], forward=3).truth
    inside = np.arange(9) < length[[0, 1, 2, 6], None]
    spikes = np.where(inside[..., None], count[[0, 1, 2, 6]], np.nan)
    mine = rate[[0, 1, 2, 6]]
    garbage = expecting(truth, np.where(inside[..., None], mine, -5.0))
    expected = bits_per_spike(mine[:, 6:], spikes[:, 6:])
    assert forward_bits_per_spike(garbage, truth) == pytest.approx(expected, abs=1e-13)
    expected = bits_per_spike(mine[:, :6, 3:], spikes[:, :6, 3:])
    assert co_bits_per_spike(garbage, truth) == pytest.approx(expected, abs=1e-13)


def test_truth_beats_what_is_not_true():
    rng = np.random.default_rng(0)
    rate = rng.gamma(2.0, 0.5, (50, 20, 4))
    truth = counts(rng.poisson(rate))
    oracle = bits_per_spike(expecting(truth, rate), truth)
    mean = truth["count"].mean(("trial", "time"))
    assert bits_per_spike(expecting(truth, mean), truth) == pytest.approx(0, abs=1e-12)
    assert oracle > bits_per_spike(expecting(truth, 1.2 * rate), truth)
    assert oracle > bits_per_spike(expecting(truth, rate[::-1]), truth)


def test_without_trials():
    _, rate, count = draw(0)
    truth = counts(count).isel(trial=0, drop=True)
    given = expecting(truth, rate[0])
    assert bits_per_spike(given, truth) == pytest.approx(
        bits_per_spike(rate[0], count[0]), abs=1e-13
    )


# -- PSTH -------------------------------------------------------------------------------------


def test_psth_by_hand():
    count = np.array([[[1], [0], [2]], [[3], [0], [0]], [[5], [5], [5]]])
    truth = counts(count, condition=("trial", ["a", "a", "b"]))
    found = psth(truth, smoothing=0)
    assert found.dims == ("condition", "time", "unit")
    assert found.sel(condition="a").values.ravel().tolist() == [2, 0, 1]
    assert found.sel(condition="b").values.ravel().tolist() == [5, 5, 5]
    ragged = truth.assign(trial_length=("trial", [1, 3, 2], {"units": "1"}))
    found = psth(ragged, smoothing=0)
    assert found.sel(condition="a").values.ravel().tolist() == [2, 0, 0]
    np.testing.assert_array_equal(found.sel(condition="b").values.ravel(), [5, 5, np.nan])
    missing = truth.assign_coords(condition=("trial", [0.0, np.nan, 1.0]))
    assert psth(missing, smoothing=0).sel(condition=0.0).values.ravel().tolist() == [1, 0, 2]


def test_smoothing_keeps_a_constant_and_spreads_a_spike():
    flat = counts(np.full((2, 30, 1), 3), condition=("trial", [0, 0]))
    np.testing.assert_allclose(psth(flat, smoothing=0.1).values, 3.0, rtol=1e-14)
    spike = np.zeros((1, 41, 1), dtype=int)
    spike[0, 20] = 1
    found = psth(counts(spike, condition=("trial", [0])), smoothing=0.06).values.ravel()
    # sd of three bins, cut off at three of them: twice 9 bins beside the middle one.
    weight = np.exp(-0.5 * (np.arange(-9, 10) / 3) ** 2)
    np.testing.assert_allclose(found[11:30], weight / weight.sum(), rtol=1e-12)
    assert (found[:11] == 0).all()
    assert (found[30:] == 0).all()


def test_psth_r2_is_that_of_all_conditions_and_bins(seed):
    _, rate, count = draw(seed, (12, 8, 4))
    condition = np.arange(12) % 4
    truth = counts(count, condition=("trial", condition))
    given = expecting(truth, rate).isel(trial=slice(0, 7))
    reference = psth(truth, smoothing=0.03)
    mean = np.stack([rate[:7][condition[:7] == k].mean(axis=0) for k in range(4)])
    expected = r2_score(reference.values.reshape(-1, 4), mean.reshape(-1, 4))
    # Differences of numbers of order 1, squared and summed over 32 bins.
    same = pytest.approx(expected, abs=1e-12 * (1 + abs(expected)))
    assert psth_r2(given, truth, smoothing=0.03) == same
    assert psth_r2(shuffled(given, seed), reference) == same
    # The condition is looked up by the trial's label where the prediction does not carry it.
    assert psth_r2(shuffled(given, seed).drop_vars("condition"), truth, smoothing=0.03) == same
    # Conditions without a predicted trial are left out.
    few = given.isel(trial=[0, 1, 4])
    mean = np.stack([rate[[0, 4]].mean(axis=0), rate[1]])
    expected = r2_score(reference.values[:2].reshape(-1, 4), mean.reshape(-1, 4))
    assert psth_r2(few, reference) == pytest.approx(expected, abs=1e-12 * (1 + abs(expected)))


def test_psth_r2_of_ragged_trials_and_forward_bins():
    count = np.ones((4, 6, 1), dtype=int) * np.arange(6)[:, None]
    truth = counts(count, condition=("trial", [0, 0, 1, 1])).assign(
        trial_length=("trial", [6, 3, 4, 2], {"units": "1"})
    )
    rate = count.astype(float)
    rate[1, 3:] = rate[3, 2:] = 1e3  # beyond the end
    given = expecting(truth, rate)
    assert psth_r2(given, truth, smoothing=0) == 1.0
    ahead = truth.assign_coords(forward=("time", np.arange(6) >= 4))
    given["expected_count"][:, 4:] = np.nan
    assert psth_r2(given, ahead, smoothing=0) == 1.0
    with pytest.raises(SchemaError, match="finite predictions wherever the PSTH is, got 2 NaN"):
        psth_r2(given, truth, smoothing=0)


def test_constant_psth_as_scikit_learn_has_it():
    truth = counts(np.ones((2, 5, 2), int), condition=("trial", [0, 1]))
    rate = np.ones((2, 5, 2))
    rate[..., 1] = 0.5
    assert psth_r2(expecting(truth, rate), truth, smoothing=0) == 0.5  # 1 for one unit, 0 for other


# -- behaviour --------------------------------------------------------------------------------


def moving(seed, n_trials=9, n_bins=11, n_units=4, noise=0.3):
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 0.1, (n_trials, n_bins, n_units))
    weight = np.random.default_rng(1).normal(size=(n_units, 2))
    return rate, rate @ weight + 2.0 + noise * rng.normal(size=(n_trials, n_bins, 2))


def labelled(rate, behavior, bin_size=0.02):
    n_trials, n_bins, n_units = rate.shape
    time = ("time", np.arange(n_bins) * bin_size, {"units": "s"})
    one = xr.DataArray(rate, {"trial": np.arange(n_trials), "time": time}, DIMS)
    two = xr.DataArray(behavior, one.coords, ("trial", "time", "space"))
    return one.assign_coords(unit=np.arange(n_units)), two


def sklearn_r2(train, test):
    flat = [a.reshape(-1, a.shape[-1]) for pair in (train, test) for a in pair]
    decoder = GridSearchCV(Ridge(), {"alpha": np.logspace(-4, 0, 9)}).fit(*flat[:2])
    return decoder.score(*flat[2:])


def test_decoder_is_the_benchmarks(seed):
    train, test = moving(seed), moving(seed + 1000)
    expected = sklearn_r2(train, test)
    # Solving normal equations of condition number < 1e6 loses six digits of sixteen.
    assert behavior_r2(*train, *test) == pytest.approx(expected, abs=1e-9)
    one, two = labelled(*train), labelled(*test)
    mixed = (one[0].isel(unit=[2, 0, 3, 1]), one[1].isel(trial=slice(None, None, -1)))
    given = (
        two[0]
        .isel(trial=np.random.default_rng(seed).permutation(9))
        .to_dataset(name="expected_count")
    )
    assert behavior_r2(*one, given, two[1]) == pytest.approx(expected, abs=1e-9)
    assert behavior_r2(*mixed, *two) == pytest.approx(expected, abs=1e-9)


def test_rows_without_behavior_are_left_out(seed):
    train, test = moving(seed), moving(seed + 1000)
    hidden = np.random.default_rng(seed).random((9, 11)) < 0.2
    for rate, behavior in (train, test):
        behavior[hidden, 1] = np.nan
        rate[hidden] = np.nan
    kept = [tuple(a[~hidden] for a in pair) for pair in (train, test)]
    assert behavior_r2(*train, *test) == pytest.approx(sklearn_r2(*kept), abs=1e-9)
    train[0][~hidden] = np.nan
    with pytest.raises(SchemaError, match=r"Expected finite rates.*got NaN or infinity in"):
        behavior_r2(*train, *test)


def test_lag_pairs_a_rate_with_later_behavior():
    (rate, _), (other, _) = moving(0), moving(1)
    weight = np.array([[1.0, -1.0], [2.0, 0.5], [0.0, 1.0], [-1.0, 1.0]])
    pairs = [labelled(r, np.roll(r @ weight, 3, axis=1)) for r in (rate, other)]
    for _, behavior in pairs:
        behavior[:, :3] = np.nan  # what rolled round
    given = [part for pair in pairs for part in pair]
    # Penalty 1e-4 beside variances of 1e-2 times 72 rows: short of 1 by (1e-4 / 0.7)^2.
    assert behavior_r2(*given, lag=0.06) == pytest.approx(1.0, abs=1e-6)
    assert behavior_r2(*given) < 0.2
    fine = [pairs[0][0], pairs[0][1].assign_coords(time=pairs[0][1]["time"] + 0.006)]
    assert behavior_r2(*fine, *fine, lag=0.06) == pytest.approx(1.0, abs=1e-6)


def test_one_decoder_for_each_group(seed):
    train, test = moving(seed, 12), moving(seed + 1000, 12)
    train[1][::2] *= -1
    test[1][::2] *= -1
    expected = np.mean(
        [sklearn_r2(*[tuple(a[k::2] for a in pair) for pair in (train, test)]) for k in (0, 1)]
    )
    group = ("trial", np.arange(12) % 2)
    one, two = labelled(*train), labelled(*test)
    found = behavior_r2(
        one[0].assign_coords(passive=group),
        one[1],
        two[0].assign_coords(passive=group),
        two[1],
        group="passive",
    )
    assert found == pytest.approx(expected, abs=1e-9)


def test_behavior_of_one_column_and_of_one_recording():
    rate, behavior = moving(0, noise=0.0)
    one, two = labelled(rate, behavior)
    whole = one[0], two[0, :, 0]
    assert behavior_r2(*whole, *whole) == pytest.approx(1.0, abs=1e-3)
    assert behavior_r2(rate, behavior[..., 0], rate, behavior[..., 0]) > 0.99


# -- produced intervals -----------------------------------------------------------------------


def timing(steps, interval, **coords):
    """One unit that rises by `step` from bin to bin."""
    rate = np.array(steps)[:, None, None] * np.arange(5.0)[None, :, None]
    truth = counts(np.ones((len(steps), 5, 1), int), tp=("trial", np.array(interval, float)))
    return expecting(truth, rate), truth.assign_coords(coords)


def test_speed_against_interval_by_hand():
    given, truth = timing([1, 2, 3, 3, 1], [3, 2, 1, 1, 2], c=("trial", [0, 0, 0, 1, 1]))
    assert produced_time_correlation(given, truth, condition="c") == pytest.approx(-1, abs=1e-14)
    given, truth = timing([1, 2, 3, 1, 2], [3, 2, 1, 4, 9], c=("trial", [0, 0, 0, 1, 1]))
    # -1 in the first condition, +1 in the second.
    assert produced_time_correlation(given, truth, condition=["c"]) == pytest.approx(0, abs=1e-14)


def test_interval_is_what_was_observed():
    given, truth = timing([1, 2, 3], [3, 2, 1], c=("trial", [0, 0, 0]))
    observed = np.ones((3, 5), dtype=bool)
    observed[1, :2] = False
    given["expected_count"][1, :2] = np.nan
    truth = truth.assign(observed=(("trial", "time"), observed))
    assert produced_time_correlation(given, truth, condition="c") == pytest.approx(-1, abs=1e-14)
    # Trials without an interval or a condition have no part.
    given, truth = timing([1, 2, 3, 9], [3, 2, 1, np.nan], c=("trial", [0.0, 0.0, 0.0, 0.0]))
    assert produced_time_correlation(given, truth, condition="c") == pytest.approx(-1, abs=1e-14)
    given, truth = timing([1, 2, 3, 9], [3, 2, 1, 9], c=("trial", [0.0, 0.0, 0.0, np.nan]))
    assert produced_time_correlation(given, truth, condition="c") == pytest.approx(-1, abs=1e-14)


# -- truth ------------------------------------------------------------------------------------


def test_rate_r2_by_hand():
    true = np.array([[[0.0, 1.0, 5.0], [2.0, 3.0, 5.0]]])
    guess = np.array([[[0.0, 1.0, 5.0], [1.0, 3.0, 5.0]]])
    found = rate_r2(guess, true)
    np.testing.assert_allclose(found.unit, [0.5, 1.0, np.nan])  # the third does not vary
    assert found.median == found.uniform == 0.75
    mean = 16 / 6
    assert found.pooled == pytest.approx(1 - 1 / ((true - mean) ** 2).sum(), abs=1e-15)
    assert rate_r2(true, true)[1:] == (1.0, 1.0, 1.0)


def test_rate_r2_of_labels_and_hertz(seed):
    rng, rate, count = draw(seed)
    truth = counts(count)
    truth["rate"] = (DIMS, rate / 0.02, {"units": "Hz"})
    given = expecting(truth, rate * rng.uniform(0.8, 1.2, rate.shape))
    expected = rate_r2(given["expected_count"].values, rate)
    for right in (truth, expecting(truth, rate), expecting(truth, rate)["expected_count"]):
        found = rate_r2(shuffled(given, seed), right)
        assert found.unit.dims == ("unit",)
        np.testing.assert_allclose(found.unit, expected.unit, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found[1:], expected[1:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        expected.unit,
        r2_score(
            rate.reshape(-1, 5),
            given["expected_count"].values.reshape(-1, 5),
            multioutput="raw_values",
        ),
        atol=1e-12,
    )
    ragged = truth.assign(trial_length=("trial", np.full(7, 4), {"units": "1"}))
    short = rate_r2(given["expected_count"].values[:, :4], rate[:, :4])
    assert rate_r2(given, ragged).pooled == pytest.approx(short.pooled, abs=1e-12)
    with pytest.raises(SchemaError, match="true rates as expected counts per bin, got units 'Hz'"):
        rate_r2(given, truth["rate"])
    with pytest.raises(SchemaError, match="predicted rates as expected counts per bin"):
        rate_r2(truth["rate"], truth)


def test_latents_are_read_whatever_their_basis(seed):
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(10, 12, 2))
    mixed = latent @ rng.normal(size=(2, 3)) * [1e-6, 1.0, 1e6] + 5.0
    found = latent_r2(mixed[:6], latent[:6], mixed[6:], latent[6:])
    # The smallest penalty is 1e-4 beside 72 rows of unit variance.
    np.testing.assert_allclose(found.latent, 1.0, atol=1e-3)
    assert found.pooled == pytest.approx(1.0, abs=1e-3)
    unrelated = rng.normal(size=mixed.shape)
    assert latent_r2(unrelated[:6], latent[:6], unrelated[6:], latent[6:]).uniform < 0.3


def test_latent_r2_of_labels(seed):
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(10, 12, 2)) * [1.0, 3.0]
    feature = latent @ rng.normal(size=(2, 3)) + rng.normal(size=(10, 12, 3))
    expected = latent_r2(feature[:6], latent[:6], feature[6:], latent[6:])
    coords = {"trial": np.arange(10), "time": np.arange(12) * 0.02}
    one = xr.DataArray(feature, coords, ("trial", "time", "latent_dim"))
    two = xr.DataArray(latent, coords, ("trial", "time", "latent_dim"))
    order = rng.permutation(10)
    first, last = slice(0, 6), slice(6, 10)
    found = latent_r2(
        one.isel(trial=first),
        two.isel(trial=order).transpose("latent_dim", "time", "trial"),
        one.isel(trial=last),
        two.isel(trial=order),
    )
    np.testing.assert_allclose(found.latent, expected.latent, rtol=0, atol=1e-12)
    # Pooled weighs by variance.
    total = latent[6:].reshape(-1, 2).var(axis=0)
    pooled = (expected.latent * total).sum() / total.sum()
    assert found.pooled == pytest.approx(pooled, abs=1e-12)
    assert found.uniform == pytest.approx(expected.latent.mean(), abs=1e-12)


def test_real_truth_scores_what_was_measured(data_folder):
    """The Lorenz benchmark: 0.845 bits per spike for the true rates of the last 15 units."""
    from neurokit_sdr.io.published.spikes import read_lorenz

    recorded = read_lorenz(data_folder / "spikes" / "lorenz")["/counts"].to_dataset()
    tested = recorded["split"].values == "valid"
    truth = held_out_split(recorded, neurons=15, trials=tested).truth
    oracle = (truth["rate"] * 0.01).assign_attrs(units="1")
    assert co_bits_per_spike(oracle, truth) == pytest.approx(0.845, abs=5e-4)
    assert rate_r2(oracle, truth).pooled == pytest.approx(1.0, abs=1e-9)


# -- errors -----------------------------------------------------------------------------------


def test_errors_of_predictions():
    _, rate, count = draw(0)
    truth = held_out_split(counts(count), neurons=2, trials=3, forward=2).truth
    given = expecting(truth, rate[4:])
    with pytest.raises(SchemaError, match=r"Expected all labelled or all arrays, got a NumPy"):
        bits_per_spike(rate, truth)
    with pytest.raises(SchemaError, match=r"a Dataset with 'expected_count'.*Did you mean"):
        bits_per_spike(given.rename(expected_count="expectedcount"), truth)
    with pytest.raises(SchemaError, match=r"none for 2 of them, such as \[3, 4\]"):
        co_bits_per_spike(given.isel(unit=slice(0, 3)), truth)
    with pytest.raises(SchemaError, match=r"labels of 'time', got none for 2"):
        forward_bits_per_spike(given.isel(time=slice(0, 7)), truth)
    with pytest.raises(SchemaError, match=r"with dims \('trial', 'time', 'unit'\) as the truth"):
        bits_per_spike(given.isel(trial=0), truth)
    with pytest.raises(SchemaError, match="units with held_in false to score, got none among 5"):
        co_bits_per_spike(given, counts(count))
    with pytest.raises(SchemaError, match="bins with forward true to score, got none among 9"):
        forward_bits_per_spike(given, counts(count))
    with pytest.raises(SchemaError, match="finite expected counts >= 0"):
        bits_per_spike(expecting(truth, -1.0), truth)
    with pytest.raises(SchemaError, match="at least one spike to score per spike"):
        bits_per_spike(given, truth.assign(count=truth["count"] * 0).assign_attrs(truth.attrs))
    with pytest.raises(SchemaError, match=r"unique labels along 'trial'.*\[4\] twice"):
        bits_per_spike(given.assign_coords(trial=[4, 4, 5]), truth)
    unlabelled = given.drop_vars("trial").isel(trial=[0, 1])
    with pytest.raises(SchemaError, match=r"labels along 'trial'.*on one side only"):
        bits_per_spike(unlabelled, truth)
    with pytest.raises(SchemaError, match="with 3 along 'trial', got 2: without labels"):
        bits_per_spike(unlabelled, truth.drop_vars("trial"))
    with pytest.raises(SchemaError, match="a coordinate 'unit' with one id per unit"):
        bits_per_spike(given, truth.drop_vars("unit"))


def test_errors_of_psth():
    _, rate, count = draw(0)
    truth = counts(count, condition=("trial", np.arange(7) % 2))
    given = expecting(truth, rate)
    with pytest.raises(ParameterError, match="smoothing to be a number >= 0, got -1"):
        psth(truth, smoothing=-1)
    with pytest.raises(SchemaError, match=r"coordinate 'side' along 'trial', got \['condition'\]"):
        psth(truth, "side")
    with pytest.raises(SchemaError, match="this measure compares trials"):
        psth_r2(given.isel(trial=0), truth)
    other = given.assign_coords(condition=("trial", np.arange(7) + 5))
    with pytest.raises(SchemaError, match="predicted trials of the 2 conditions that have a PSTH"):
        psth_r2(other, truth)


def test_errors_of_decoders():
    train = moving(0)
    one = labelled(*train)
    with pytest.raises(ParameterError, match="lag to be a finite number, got '3'"):
        behavior_r2(*train, *train, lag="3")
    with pytest.raises(ParameterError, match=r"DataArrays with trial and time for lag=0\.1"):
        behavior_r2(*train, *train, lag=0.1)
    with pytest.raises(SchemaError, match=r"same leading dimensions, got \(9, 11, 4\) and \(8,"):
        behavior_r2(train[0], train[1][:8], *train)
    with pytest.raises(SchemaError, match="at least 10 bins to fit, got 9"):
        behavior_r2(train[0][:1, :9], train[1][:1, :9], *train)
    with pytest.raises(SchemaError, match="at least two bins to score, got 1"):
        behavior_r2(*train, train[0][:1, :1], train[1][:1, :1])
    with pytest.raises(SchemaError, match="same units and columns in training and test, got 4"):
        behavior_r2(*train, train[0][..., :3], train[1])
    with pytest.raises(SchemaError, match="Expected a DataArray with time, got a Dataset"):
        behavior_r2(one[0], one[1].to_dataset(name="velocity"), *one)
    with pytest.raises(SchemaError, match="Expected both with trials or both without"):
        behavior_r2(one[0], one[1].isel(trial=0), *one)
    with pytest.raises(SchemaError, match="coordinate 'group' along 'trial'"):
        behavior_r2(*one, *one, group="group")
    still = train[0], np.zeros((9, 11, 2))
    with pytest.raises(SchemaError, match=r"true latents that vary.*at position 0"):
        latent_r2(*train, *still)
    with pytest.raises(SchemaError, match="predicted and true rates of one shape"):
        rate_r2(train[0], train[1])
    with pytest.raises(SchemaError, match="finite predictions wherever there is a true rate"):
        rate_r2(np.nan * train[0], train[0])
    with pytest.raises(SchemaError, match="at least two bins to evaluate"):
        rate_r2(train[0], np.nan * train[0])


def test_errors_of_intervals():
    given, truth = timing([1, 2, 3], [3, 2, 1], c=("trial", [0, 0, 1]))
    with pytest.raises(SchemaError, match=r"two trials.*got 1 with speeds \[3\.0\].*\{'c': 1\}"):
        produced_time_correlation(given, truth, condition="c")
    with pytest.raises(SchemaError, match="coordinate 'is_eye' along 'trial'"):
        produced_time_correlation(given, truth)
    silent = truth.assign_coords(tp=("trial", np.full(3, np.nan)))
    with pytest.raises(SchemaError, match="Expected trials with 'tp'"):
        produced_time_correlation(given, silent, condition="c")


def test_exported():
    for name in ("bits_per_spike", "co_bits_per_spike", "rate_r2", "RateR2", "LatentR2", "psth"):
        assert hasattr(nks.validation, name)
