"""What a memory must do: find, complete, tell apart, recall sequences."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

mpl.use("Agg")


from neurokit_sdr.sdr import Sparsey
from neurokit_sdr.sdr.sparsey.rule import SIGMOIDS
from tests.sdr.stored_patterns import A, N, dataset, moved, random_patterns, stored

# -- what a memory must do


@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_items_get_codes_of_their_own_and_find_them_again(sigmoid, seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 60, N)
    model = stored(active, sigmoid=sigmoid, n_modules=20, n_units=30, exponent=3.0)
    codes = model.result_["learned_winner"].values[:, 0]
    assert len(np.unique(codes, axis=0)) == 60
    again = model.predict(dataset(active))
    # Every winner has learnt every active cell: V is 1 but for rounding.
    np.testing.assert_allclose(again["familiarity"], 1.0, rtol=1e-14)
    # A unit holds on average 2 items; that another than the winner of a module has learnt all 20
    # cells of an item has a chance of about (2 * 20 / 300)**20: none in 36,000 units.
    np.testing.assert_array_equal(again["winner"].values[:, 0], codes)
    novel = model.predict(dataset(random_patterns(rng, 60, N)))["familiarity"]
    assert float(novel.max()) < 0.5 < model.score(dataset(active))


@pytest.mark.parametrize(
    ("sigmoid", "exponent"),
    [("sparseycore", 1.0), ("sparsey_alt", 2.0), ("rinkus_2010", 1.0), ("sparseypy", 2.0)],
)
def test_the_more_alike_inputs_are_the_more_their_codes_overlap(sigmoid, exponent, seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 60, N)
    model = stored(
        active, sigmoid=sigmoid, exponent=exponent, n_modules=24, n_units=32, recognition="draw"
    )
    codes = model.result_["learned_winner"].values
    kept = np.arange(0, A + 1)
    overlap = [
        float((model.predict(dataset(moved(rng, active, A - k)))["winner"].values == codes).mean())
        for k in kept
    ]
    if sigmoid == "sparseypy":
        # With eta(1) = 2.5 it does not tell near inputs from equal ones: the overlap rises up to
        # half of the cells, and from there on only its noise moves the ranks (of 0.86 to 0.98).
        assert overlap[A // 2] > overlap[0] + 0.3
        assert abs(overlap[-1] - overlap[A // 2]) < 0.1
    else:
        assert spearmanr(kept, overlap).statistic > 0.9
    # Without similarity codes agree by chance: 1 in K, over 1440 draws.
    assert overlap[0] < 1 / 32 + 5 * np.sqrt(1 / 32 / 1440)


def test_familiarity_rises_with_similarity(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 40, N)
    model = stored(active)
    scores = [model.score(dataset(moved(rng, active, k))) for k in (0, 4, 8, 12, 20)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1.0, rel=1e-14)


def test_a_half_completes_to_the_whole(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 60, N)
    model = stored(active)
    cue = active & (np.cumsum(active, axis=1) <= A // 2)
    found = model.recall(dataset(cue))
    np.testing.assert_array_equal(found["pattern"], active)
    assert found["cell"].equals(model.result_["cell"])


def test_the_best_match_is_found_under_noise(seed):
    """A fifth of the cells moved: still the code of the stored item, from 60 of them."""
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 60, N)
    model = stored(active)
    noisy = model.predict(dataset(moved(rng, active, A // 5)))["winner"].values
    codes = model.result_["learned_winner"].values
    same = (noisy[:, None] == codes).mean(axis=(2, 3))
    np.testing.assert_array_equal(same.argmax(axis=1), np.arange(60))


def test_what_is_stored_until_saturation(seed):
    """Recall falls as synapses fill up, and a larger field holds more."""
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 1600, N)
    correct = {}
    for n_units in (16, 64):
        model, shares, fill = Sparsey(n_modules=20, n_units=n_units, exponent=10.0), [], []
        for first in (0, 100, 400):
            model.partial_fit(dataset(active[first : 100 if first == 0 else 4 * first]), rng=0)
            recalled = model.recall(dataset(active[:50]))["pattern"].values
            shares.append((recalled == active[:50]).all(axis=1).mean())
            fill.append(float(model.result_["saturation"][0]))
        assert fill == sorted(fill)
        correct[n_units] = shares
        # Winners drawn at random would set 1 - (1 - a/(nK))**M of the synapses; codes that overlap
        # share them, so it can only be less.
        bound = 1 - (1 - A / N / n_units) ** 1600
        assert fill[-1] <= bound + 5 * np.sqrt(bound * (1 - bound) / (N * 20 * n_units)) + 0.01
    # 100, 400 and 1600 items: about 12 K are held.
    assert correct[16][0] == correct[64][0] == correct[64][1] == 1.0
    assert correct[16][1] < 0.5
    assert max(correct[16][2], correct[64][2]) < 0.1


def test_the_memory_does_not_grow_with_what_is_stored():
    rng = np.random.default_rng(0)
    sizes = []
    for number in (10, 1000):
        result = stored(random_patterns(rng, number, 50, a=5), n_modules=4, n_units=8).result_
        kept = result.drop_vars([v for v in result.data_vars if str(v).startswith("learned")])
        sizes.append(kept.nbytes)
    assert sizes[0] == sizes[1]


# -- sequences


@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_sequences_are_recalled_from_their_first_frame(sigmoid, seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 10, 12, N)
    model = stored(active, sigmoid=sigmoid, signals="UH", n_modules=24, n_units=32)
    cue = dataset(active).isel(time=[0])
    found = model.recall(cue, n_frames=11)
    np.testing.assert_array_equal(found["pattern"], active)
    np.testing.assert_allclose(found["familiarity"], 1.0, rtol=1e-14)
    alone = dataset(active[:, 0])
    again = model.recall(alone, n_frames=11)
    xr.testing.assert_equal(again["pattern"], found["pattern"])


def test_the_same_frame_has_another_code_in_another_context(seed):
    """Sequences that share their middle frame go on as they began."""
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 2, 5, N)
    active[1, 2] = active[0, 2]
    model = stored(active, signals="UH")
    codes = model.result_["learned_winner"].values.reshape(2, 5, -1)
    assert (codes[0, 2] == codes[1, 2]).mean() < 0.5
    found = model.recall(dataset(active).isel(time=[0]), n_frames=4)
    np.testing.assert_array_equal(found["pattern"], active)


def test_levels_recall_sequences_by_signals_from_above(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 5, 8, N, a=40)
    model = stored(active, signals="UHD", n_macs=(2, 1), n_modules=20, n_units=30)
    assert model.result_["level"].values.tolist() == [0, 0, 1]
    assert set(model.result_["top_down_mac"].values) == {0, 1}
    found = model.recall(dataset(active).isel(time=[0]), n_frames=7)["pattern"].values
    # Parts of a frame differ in number, so a few cells too many may come up.
    assert (found >= active).all()
    assert (found != active).mean() < 0.01


def test_sequences_of_different_length(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 3, 6, N)
    length = np.array([6, 2, 4])
    active[np.arange(6) >= length[:, None]] = False
    data = dataset(active, item_length=("item", length, {"units": "1"}))
    model = Sparsey(signals="UH").fit(data, rng=0, progress=False)
    assert model.result_.attrs["frames_learned"] == 12
    found = model.predict(data)
    assert np.isnan(found["familiarity"].values[1, 2:]).all()
    np.testing.assert_allclose(found["familiarity"].values[0], 1.0, rtol=1e-14)
    went_on = model.recall(data, n_frames=2)
    np.testing.assert_array_equal(went_on["item_length"], length + 2)
    assert not went_on["pattern"].values[1, 4:].any()


def test_persistent_codes_stay(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 1, 6, N)
    model = stored(active, signals="UH", n_macs=(1, 1), persistence=(1, 3))
    codes = model.result_["learned_winner"].values
    lower, upper = codes[:, 0], codes[:, 1]
    assert len(np.unique(lower, axis=0)) == 6
    np.testing.assert_array_equal(upper[:3], upper[[0, 0, 0]])
    np.testing.assert_array_equal(upper[3:], upper[[3, 3, 3]])
    assert (upper[0] != upper[3]).any()
