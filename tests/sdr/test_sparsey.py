"""Sparsey: an independent implementation, published values, and what a memory must do."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

mpl.use("Agg")

import matplotlib.pyplot as plt

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ConvergenceWarning, ParameterError, SchemaError
from neurokit_sdr.sdr import Sparsey
from neurokit_sdr.sdr.sparsey import equations as core
from neurokit_sdr.sdr.sparsey import model as module

GOLDEN = Path(__file__).parents[1] / "golden"

N, A = 300, 20


def dataset(active, **variables):
    active = np.asarray(active, bool)
    dims = ("item", "cell") if active.ndim == 2 else ("item", "time", "cell")
    cell = np.arange(active.shape[-1])
    return xr.Dataset({"pattern": (dims, active)} | variables, {"cell": cell})


def random_patterns(rng, *shape, a=A):
    """Exactly a active cells in each."""
    return np.argsort(rng.random(shape), axis=-1) < a


def moved(rng, active, number):
    """The same patterns with some active cells exchanged for silent ones."""
    out = active.copy()
    for row in out:
        on, off = (rng.permutation(np.flatnonzero(row == value)) for value in (True, False))
        row[on[:number]], row[off[:number]] = False, True
    return out


def stored(active, **parameters):
    return Sparsey(**parameters).fit(dataset(active), rng=0, progress=False)


# -- an independent implementation, unit by unit


def eta(sigmoid, g, k):
    if sigmoid in ("sparseycore", "sparsey_alt"):
        return 1 + max(0, (g - 0.1) / 0.9) ** 2 * 100 * k
    return 10_000 * g**7 if sigmoid == "rinkus_2010" else 2.5 * max(0, (g - 0.2) / 0.8)


def mu(sigmoid, v, e, c):
    if sigmoid == "sparseycore":
        return max(e, 1) if v >= 0.999 else max(e / (1 + math.exp(-4 * (v - c))), 1)
    if sigmoid == "sparsey_alt":
        return (e - 1) / (1 + (0.1 * math.exp(-4 * (v - 1))) ** 8) + 1
    if sigmoid == "rinkus_2010":
        return e / (1 + math.exp(-(26 * v - 13))) + 1
    return e / (1 + math.exp(-(28 * v - 5))) + 1e-6


class Plain:
    """Two macs over halves of the cells and one above, their synapses a set of pairs."""

    def __init__(self, n_cells, q, k, sigmoid, exponent):
        half = n_cells // 2
        self.q, self.k, self.sigmoid, self.exponent = q, k, sigmoid, exponent
        self.cells = [range(half), range(half, n_cells)]
        self.synapses = {kind: set() for kind in "UHD"}
        self.inflection, self.highest = [0.5] * 3, [0.0] * 3

    def evidence(self, kind, mac, unit, active, power):
        if not active:
            return None
        return (sum((a, mac, unit) in self.synapses[kind] for a in active) / len(active)) ** power

    def frame(self, pattern, previous, uniform, learn, first):
        codes, g_of = {}, {}
        heard = {}
        for mac in range(3):
            if mac < 2:
                up = [("cell", c) for c in self.cells[mac] if pattern[c]]
            else:
                up = [("unit", m, u) for m in (0, 1) if m in codes for u in codes[m]]
            across = [("unit", mac, u) for u in previous.get(mac, ())]
            down = [("unit", 2, u) for u in previous.get(2, ())] if mac < 2 else []
            heard[mac] = up, across, down
            if not up:
                continue
            powers = self.exponent[3 if first else 0], self.exponent[1], self.exponent[2]
            v = np.ones((self.q, self.k))
            for module_, unit in itertools.product(range(self.q), range(self.k)):
                for kind, active, power in zip("UHD", heard[mac], powers, strict=True):
                    e = self.evidence(kind, mac, module_ * self.k + unit, active, power)
                    v[module_, unit] *= 1 if e is None else e
            g_of[mac] = v.max(axis=1).mean()
            if learn and v.mean() > max(0.3, self.highest[mac]):
                self.highest[mac] = v.mean()
                self.inflection[mac] = min(self.inflection[mac] + 0.4 / 100, 0.9)
            code = []
            for module_ in range(self.q):
                if learn:
                    e, c = eta(self.sigmoid, g_of[mac], self.k), self.inflection[mac]
                    weight = np.array([mu(self.sigmoid, x, e, c) for x in v[module_]])
                    won = int(
                        np.searchsorted(np.cumsum(weight), uniform[mac, module_] * weight.sum())
                    )
                else:
                    won = int(v[module_].argmax())
                code.append(module_ * self.k + won)
            codes[mac] = code
        if learn:
            for mac, code in codes.items():
                for kind, active in zip("UHD", heard[mac], strict=True):
                    self.synapses[kind] |= {(a, mac, u) for a in active for u in code}
        return codes, g_of


@pytest.mark.parametrize("sigmoid", core.SIGMOIDS)
def test_codes_and_familiarity_equal_an_independent_implementation(sigmoid, seed):
    rng = np.random.default_rng(seed)
    n_cells, q, k = 20, 3, 4
    active = rng.random((4, 5, n_cells)) < 0.3
    data = dataset(active)
    model = Sparsey(
        n_modules=q, n_units=k, sigmoid=sigmoid, signals="UHD", n_macs=(2, 1), exponent=2.0,
        horizontal_exponent=1.5, top_down_exponent=0.5, initial_exponent=3.0,
    ).fit(data, rng=seed, progress=False)  # fmt: skip
    uniform = core_uniform(seed, (20, 3, q))
    plain = Plain(n_cells, q, k, sigmoid, (2.0, 1.5, 0.5, 3.0))
    winner = model.result_["learned_winner"].values
    familiarity = model.result_["learned_familiarity"].values
    recognised = model.predict(data)
    codes: dict = {}
    for learn in (True, False):
        for item, t in itertools.product(range(4), range(5)):
            frame = item * 5 + t
            previous = {} if t == 0 else codes
            codes, g = plain.frame(active[item, t], previous, uniform[frame], learn, t == 0)
            if not learn:
                winner[frame] = recognised["winner"].values[item, t]
                familiarity[frame] = recognised["familiarity"].values[item, t]
            for mac in range(3):
                found = winner[frame, mac] + np.arange(q) * k
                assert (winner[frame, mac, 0] >= 0) == (mac in codes)
                if mac in codes:
                    assert found.tolist() == codes[mac]
                    # A product of three powers of ratios, and a mean: a few roundings.
                    assert familiarity[frame, mac] == pytest.approx(g[mac], rel=1e-13, abs=1e-300)
    total = sum(int(model.result_[f"{name}_weight"].sum()) for name in module._TYPES)
    assert total == sum(map(len, plain.synapses.values()))


def core_uniform(seed, shape):
    return nks.core.seeding.stream(seed, "codes").random(shape)


def test_published_values_of_the_sigmoids():
    """SparseyCore: eta is 801 at G = 1 with K = 8, and 1 up to its floor."""
    for number in (0, 1):
        assert core.expansivity(number, 1.0, 8) == pytest.approx(801)
        assert core.expansivity(number, 0.1, 8) == 1.0
    assert core.expansivity(2, 1.0, 8) == 10_000
    assert core.expansivity(3, 1.0, 8) == pytest.approx(2.5)
    assert core.expansivity(3, 0.2, 8) == 0
    for number, name in enumerate(core.SIGMOIDS):
        for v, e, c in itertools.product((0.0, 0.3, 0.9, 1.0), (1.0, 801.0), (0.5, 0.9)):
            expected = mu(name, v, e, c)
            assert core.relative_likelihood(number, v, e, c) == pytest.approx(expected, rel=1e-13)


# -- what a memory must do


@pytest.mark.parametrize("sigmoid", core.SIGMOIDS)
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


@pytest.mark.parametrize("sigmoid", core.SIGMOIDS)
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


# -- parts of the rule


def test_a_mac_is_active_only_between_its_bounds():
    active = np.zeros((3, 100), bool)
    active[0, :2], active[1, :5], active[2, :20] = True, True, True
    model = stored(active, activation_min=0.03, activation_max=0.08)
    np.testing.assert_array_equal(model.result_["learned_winner"][:, 0, 0] >= 0, [0, 1, 0])
    assert np.isnan(model.predict(dataset(active))["familiarity"].values[[0, 2]]).all()
    assert model.predict(dataset(active))["signals"].values[:, 0].tolist() == ["", "U", ""]


def test_weak_signals_are_cut_off_and_strong_ones_are_whole():
    active = np.zeros((1, 100), bool)
    active[0, :10] = True
    parts = np.zeros((3, 100), bool)
    for row, number in zip(parts, (2, 5, 9), strict=True):
        row[:number] = True
        row[50 : 60 - number] = True
    plain, cut = (stored(active, **how) for how in ({}, {"cutoff_min": 0.3, "cutoff_max": 0.8}))
    np.testing.assert_allclose(plain.predict(dataset(parts))["familiarity"][:, 0], [0.2, 0.5, 0.9])
    np.testing.assert_allclose(cut.predict(dataset(parts))["familiarity"][:, 0], [0, 0.5, 1])


def test_back_off_ignores_a_wrong_context(seed):
    """A known frame in a place where it never was: G by U and H is small, by U alone 1."""
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 4, 5, N)
    strict = stored(active, signals="UH")
    lenient = Sparsey(signals="UH", back_off=[0.9, 0.93, 0.96])
    lenient.fit(dataset(active), rng=0, progress=False)
    mixed = dataset(active[[0, 1], [0, 3]][None])
    assert strict.predict(mixed)["familiarity"].values[0, 1, 0] < 0.5
    found = lenient.predict(mixed)
    assert found["familiarity"].values[0, 1, 0] == pytest.approx(1.0, rel=1e-14)
    assert found["signals"].values[0, :, 0].tolist() == ["U", "U"]
    right = lenient.predict(dataset(active))["signals"].values[:, 1:, 0]
    assert (right == "UH").all()


def test_novel_input_clears_no_threshold_unless_its_place_is_known(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 2, 3, N)
    model = Sparsey(signals="UH", back_off=0.9).fit(dataset(active), rng=0, progress=False)
    found = model.predict(dataset(random_patterns(rng, 1, 2, N))).isel(item=0, mac=0)
    assert found["signals"].values[0] == "U"
    assert found["familiarity"].values[0] < 0.9
    # All signals, or, where the code before was that of a stored frame, what it leads to.
    familiar = found["familiarity"].values[1] >= 0.9
    assert found["signals"].values[1] == ("H" if familiar else "UH")


def test_synapses_age_in_steps():
    """SparseyCore's table: 127 below 2000 frames, 120 below 3000, 50 below 4000, then 0."""
    ages = [0, 1999, 2000, 2999, 3000, 3999, 4000]
    weights = [127, 127, 120, 120, 50, 50, 0]
    assert [core.aged_weight(0, 0, age, 4000) for age in ages] == weights
    assert [core.aged_weight(0, 1, 2 * age, 4000) for age in ages] == weights
    assert core.aged_weight(0, 2, 10**9, 4000) == 127
    assert core.aged_weight(-1, 0, 5, 4000) == 0


def test_what_is_not_repeated_is_forgotten(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 41, N)
    first, repeated, others = active[:1], active[:1], active[1:]
    model = Sparsey(n_modules=10, n_units=60, learning="ageing", lifetime=20)
    once = np.concatenate([first, others])
    thrice = np.concatenate([first, repeated, repeated, others])
    familiarity = {}
    for name, items in (("once", once), ("thrice", thrice)):
        fitted = model.fit(dataset(items), rng=0, progress=False)
        familiarity[name] = fitted.score(dataset(first))
        assert int(fitted.result_["bottom_up_stiffness"].max()) <= 2
    # Set again twice while fresh, a synapse is permanent; once set, it is gone after 20 frames.
    assert familiarity["thrice"] == pytest.approx(1.0, rel=1e-14)
    assert familiarity["once"] < 0.7
    assert fitted.score(dataset(others[-5:])) == pytest.approx(1.0, rel=1e-14)


def test_full_units_learn_no_more():
    rng = np.random.default_rng(0)
    active = random_patterns(rng, 300, N)
    free, frozen = (
        stored(active, n_modules=4, n_units=6, exponent=10.0, freezing=share)
        for share in (1.0, 0.4)
    )
    assert float(free.result_["saturation"][0]) > 0.6
    share = (frozen.result_["bottom_up_weight"].values > 0).mean(axis=0)
    # The item that froze a unit may have set 20 more of 300.
    assert share.max() <= 0.4 + A / N
    assert frozen.result_["bottom_up_frozen"].values.sum() > 0
    ageing = stored(active, n_modules=4, n_units=6, learning="ageing", lifetime=50, freezing=0.4)
    assert (ageing.result_["bottom_up_stiffness"].values == 2).any()


def test_the_inflection_moves_as_the_mac_fills():
    rng = np.random.default_rng(0)
    few = stored(random_patterns(rng, 5, 40, a=10), sigmoid="sparseycore", n_modules=6, n_units=4)
    many = stored(
        random_patterns(rng, 200, 40, a=10), sigmoid="sparseycore", n_modules=6, n_units=4
    )
    assert float(few.result_["inflection"][0]) < float(many.result_["inflection"][0]) <= 0.9


def test_argmax_selection_breaks_ties_at_random(seed):
    """Without evidence all V are equal: codes must still differ."""
    active = np.eye(30, dtype=bool)
    codes = stored(active, selection="argmax").result_["learned_winner"].values[:, 0]
    assert len(np.unique(codes, axis=0)) == 30


def test_macs_see_their_window():
    model = stored(np.ones((1, 12), bool), n_macs=(3, 1), n_modules=2, n_units=2)
    assert model.result_["bottom_up_mac"].values[:12].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert model.result_["bottom_up_source"].values[:12].tolist() == list(range(12))
    wide = stored(np.ones((1, 12), bool), n_macs=3, receptive_field=2.0, n_modules=2, n_units=2)
    mac = wide.result_["bottom_up_mac"].values
    cells = [wide.result_["bottom_up_source"].values[mac == m].tolist() for m in range(3)]
    assert cells == [list(range(6)), list(range(2, 10)), list(range(6, 12))]
    x, y = np.meshgrid(np.arange(4.0), np.arange(4.0), indexing="ij")
    square = dataset(np.ones((1, 16), bool)).assign_coords(
        x=("cell", x.ravel()), y=("cell", y.ravel())
    )
    grid = Sparsey(n_macs=4, n_modules=2, n_units=2).fit(square, rng=0, progress=False).result_
    first = grid["bottom_up_source"].values[grid["bottom_up_mac"].values == 0]
    assert first.tolist() == [0, 1, 4, 5]
    assert "x" in grid.coords


def test_where_an_animal_is_says_nothing_of_where_cells_are():
    """Coordinates x and y along time or items are not positions of cells, however many."""
    rng = np.random.default_rng(0)
    for dim, number in (("time", 10), ("item", 10), ("item", 40), ("item", 100)):
        active = random_patterns(rng, number, 40, a=8)
        plain = xr.Dataset({"pattern": ((dim, "cell"), active)}, {"cell": np.arange(40)})
        tracked = plain.assign_coords({axis: (dim, rng.random(number)) for axis in "xy"})
        model = Sparsey(n_macs=4, n_modules=3, n_units=4)
        expected = model.fit(plain, rng=0, progress=False).result_
        found = model.fit(tracked, rng=0, progress=False).result_
        assert found.sizes["bottom_up_afferent"] == 40
        np.testing.assert_array_equal(found["bottom_up_weight"], expected["bottom_up_weight"])
        assert "x" not in found.coords
        recalled = model.recall(tracked)
        assert recalled["x"].dims == (dim,)
        np.testing.assert_array_equal(recalled["pattern"], model.recall(plain)["pattern"])


# -- labels, similarity, simulation


def test_labels_are_told_from_single_trials(seed):
    rng = np.random.default_rng(seed)
    prototype = random_patterns(rng, 5, N)
    label = np.repeat(["à", "b", "c", "d", "e"], 10)
    train = dataset(moved(rng, np.repeat(prototype, 10, axis=0), 4), label=("item", label))
    test = dataset(moved(rng, np.repeat(prototype, 10, axis=0), 4))
    model = Sparsey(exponent=10.0).fit(train, rng=0, progress=False)
    found = model.predict(test)
    assert (found["label"].values == label).mean() > 0.9
    assert found["label_support"].dims == ("item", "label_value")
    parts = Sparsey(exponent=10.0).partial_fit(train.isel(item=slice(10)), rng=0)
    parts.partial_fit(train.isel(item=slice(10, None)))
    xr.testing.assert_identical(parts.predict(test), found)
    parts.partial_fit(test)  # without labels: those known stay
    assert "label_weight" in parts.result_
    with pytest.raises(SchemaError, match="labels of one kind, got int64 after <U1"):
        parts.partial_fit(train.assign(label=("item", np.arange(50))))


def test_labels_of_sequences_are_told_of_whole_sequences(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 4, 5, N)
    data = dataset(active, label=("item", [3, 1, 3, 2]))
    model = Sparsey(signals="UH").fit(data, rng=0, progress=False)
    assert model.predict(data)["label"].values.tolist() == [3, 1, 3, 2]


def test_similarity_is_the_share_of_equal_winners(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 10, N)
    model = stored(active)
    found = model.similarity(dataset(active))
    assert found.dims == ("pattern", "other_pattern")
    np.testing.assert_array_equal(np.diag(found), 1.0)
    winner = model.predict(dataset(active))["winner"].values
    assert found.values[2, 5] == (winner[2] == winner[5]).mean()
    near = model.similarity(dataset(active), dataset(moved(rng, active, 4)))
    assert near.values.diagonal().mean() > near.values[~np.eye(10, dtype=bool)].mean() + 0.3
    silent = model.similarity(dataset(np.zeros((1, N))))
    assert np.isnan(silent.values).all()


def test_what_is_drawn_from_the_memory_is_familiar(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 20, N)
    model = stored(active, exponent=5.0)
    drawn = model.simulate(30, rng=seed)
    assert model.score(drawn[["pattern"]]) > 0.9
    assert model.score(drawn[["pattern"]]) > model.score(dataset(random_patterns(rng, 30, N))) + 0.5
    sequences = stored(random_patterns(rng, 3, 6, N), signals="UH")
    drawn = sequences.simulate(15, rng=seed)
    assert drawn["pattern"].dims == ("time", "cell")
    assert drawn["pattern"].any("cell").all()


# -- parts, files and errors


def test_storing_in_parts_stores_the_same(seed):
    rng = np.random.default_rng(seed)
    data = dataset(random_patterns(rng, 50, N))
    for how in ({}, {"learning": "ageing", "lifetime": 30, "freezing": 0.3}):
        whole = Sparsey(**how).fit(data, rng=seed, progress=False).result_
        parts = Sparsey(**how).partial_fit(data.isel(item=slice(20)), rng=seed)
        parts = parts.partial_fit(data.isel(item=slice(20, None))).result_
        for name in whole.data_vars:
            if not str(name).startswith("learned"):
                np.testing.assert_array_equal(whole[name], parts[name], err_msg=str(name))
        assert whole.attrs["frames_learned"] == parts.attrs["frames_learned"] == 50


def test_a_saved_memory_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    data = dataset(random_patterns(rng, 30, N), label=("item", ["x", "y", "z"] * 10))
    model = Sparsey(n_macs=(2, 1), signals="UHD", persistence=[1, 2]).fit(
        data, rng=0, progress=False
    )
    nks.save_result(model, tmp_path / "memory.nc")
    loaded = nks.load_result(tmp_path / "memory.nc")
    xr.testing.assert_identical(loaded.predict(data), model.predict(data))
    more = dataset(random_patterns(rng, 10, N))
    xr.testing.assert_identical(loaded.partial_fit(more).result_, model.partial_fit(more).result_)


def test_files_of_the_first_schema_still_open():
    model = nks.load_result(GOLDEN / "sparsey_v1.nc")
    data = xr.load_dataset(GOLDEN / "sparsey_v1_patterns.nc", engine="h5netcdf")
    assert model.result_.attrs["schema_version"] == 1
    assert model.result_.attrs["status"] == "stored 12 frames"
    found = model.predict(data)
    np.testing.assert_array_equal(found["winner"], data["winner"])
    np.testing.assert_allclose(found["familiarity"], data["familiarity"], rtol=1e-13)
    assert found["label"].values.tolist() == ["left", "right", "left"]
    assert model.partial_fit(data).result_.attrs["frames_learned"] == 24


def test_ctrl_c_keeps_what_is_stored(monkeypatch):
    rng = np.random.default_rng(0)
    data = dataset(random_patterns(rng, 300, N))
    run, calls = core.run, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(*args, **kwargs)

    monkeypatch.setattr(core, "run", interrupted)
    model = Sparsey()
    with pytest.warns(ConvergenceWarning, match="stored 256 of 300 frames"):
        model.fit(data, rng=0, progress=False)
    monkeypatch.undo()
    assert model.score(data.isel(item=slice(256))) == pytest.approx(1.0, rel=1e-14)
    model.partial_fit(data.isel(item=slice(256, None)))
    whole = Sparsey().fit(data, rng=0, progress=False)
    np.testing.assert_array_equal(
        model.result_["bottom_up_weight"], whole.result_["bottom_up_weight"]
    )


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"persistence": [1, 2]}, "one for each of 1 levels, got .1, 2."),
        ({"activation_min": 0.5, "activation_max": 0.1}, "activation_min <= activation_max, got"),
        ({"cutoff_min": 0.5, "cutoff_max": 0.1}, "cutoff_min <= cutoff_max, got"),
        ({"back_off": [0.9, 0.9]}, "one threshold, or three"),
        ({"n_macs": 400}, "macs that each have something in their window, got n_macs=400 for 300"),
        ({"sigmoid": "sparsy"}, "sigmoid of Sparsey to be one of 'sparseycore'"),
    ],
)
def test_hyper_parameters_that_do_not_fit_are_refused(how, says):
    with pytest.raises(ParameterError, match=says):
        stored(np.ones((2, N), bool), **how)


def test_a_grid_needs_square_numbers():
    data = dataset(np.ones((1, 4), bool)).assign_coords(
        x=("cell", [0.0, 0, 1, 1]), y=("cell", [0.0, 1, 0, 1])
    )
    with pytest.raises(ParameterError, match="square numbers, for cells with x and y, got 2"):
        Sparsey(n_macs=2).fit(data, progress=False)


def test_calls_that_cannot_be_answered_are_refused():
    data = dataset(np.eye(5, N, dtype=bool))
    model = Sparsey(n_modules=4, n_units=4).fit(data, rng=0, progress=False)
    with pytest.raises(ParameterError, match="signals='UH' or 'UHD' to recall sequences, got 'U'"):
        model.recall(data, n_frames=3)
    with pytest.raises(ParameterError, match="n_frames to be a whole number >= 0, got -1"):
        model.recall(data, n_frames=-1)
    with pytest.raises(ParameterError, match="n_frames to be a whole number >= 1, got 0"):
        model.simulate(0)
    with pytest.raises(ParameterError, match="hyper-parameters of the first fit, got others"):
        model.set_params(n_modules=5).partial_fit(data)
    with pytest.raises(SchemaError, match="none that is active: lower the threshold"):
        Sparsey().fit(data.assign(pattern=data["pattern"] & False), progress=False)
    for length, says in (([0, 0], "at least one frame, got item_length 0"), ([1, 4], "got 1 to 4")):
        frames = dataset(np.ones((2, 3, 4), bool), item_length=("item", length, {"units": "1"}))
        with pytest.raises(SchemaError, match=says):
            Sparsey().fit(frames, progress=False)
    wrong = model.result_.assign_attrs(parameters='{"n": 1}')
    with pytest.raises(SchemaError, match=r"Expected attrs.* as the hyper-parameters of Sparsey"):
        Sparsey.from_parameters(wrong)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_modules": 7}, {"n_units": 8}, {"signals": "UHD", "n_macs": 2}, {"signals": "U"},
        {"learning": "ageing"}, {"sigmoid": "sparseypy", "exponent": 4.0}, {"persistence": [1, 2]},
    ],
)  # fmt: skip
def test_hyper_parameters_set_after_a_fit_count_from_the_next(changed):
    data = dataset(random_patterns(np.random.default_rng(0), 4, 5, N))
    calls = {
        "predict": lambda m: m.predict(data),
        "score": lambda m: m.score(data),
        "recall": lambda m: m.recall(data, n_frames=2),
        "similarity": lambda m: m.similarity(data),
        "simulate": lambda m: m.simulate(3, rng=0),
    }
    model = Sparsey(n_modules=5, n_units=6, signals="UH").fit(data, rng=0, progress=False)
    before = {name: call(model) for name, call in calls.items()}
    model.set_params(**changed)
    for name, call in calls.items():
        again = call(model)
        same = again == before[name] if name == "score" else again.identical(before[name])
        assert same, name
    assert model.get_params() | changed == model.get_params()
    with pytest.raises(ParameterError, match="hyper-parameters of the first fit, got others"):
        model.partial_fit(data)


WHOLE = {"learning": "ageing", "freezing": 0.5, "signals": "UHD", "n_macs": (2, 1)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p["level"], "laid out like result_ of a fitted Sparsey, with attrs"),
        (lambda p: p.drop_attrs(), "laid out like result_ of a fitted Sparsey, with attrs"),
        (lambda p: p.drop_vars("cell"), "got none of cell"),
        (lambda p: p.drop_vars("level"), "got none of level"),
        *((lambda p, name=name: p.drop_vars(name), f"got no {name}")
          for name in ("inflection", "highest_mean_v", "bottom_up_weight", "bottom_up_source",
                       "horizontal_weight", "top_down_mac", "bottom_up_stamp",
                       "horizontal_stiffness", "top_down_frozen", "label_value")),
        (lambda p: p.isel(module=slice(3)), "bottom_up_weight with dimensions .* of sizes .*4, 5"),
        (lambda p: p.isel(module_unit=slice(3)), "bottom_up_weight with dimensions"),
        (lambda p: p.isel(bottom_up_afferent=slice(30)), "bottom_up_weight with dimensions"),
        (lambda p: p.isel(bottom_up_afferent=slice(None, None, -1)), "bottom_up_source as the cel"),
        (lambda p: p.isel(cell=slice(30)), "bottom_up_weight with dimensions"),
        (lambda p: p.isel(mac=[0]), "level with dimensions"),
        (lambda p: p.transpose(), "bottom_up_weight with dimensions"),
        (lambda p: p.assign(inflection=p["inflection"] * np.nan), "inflection as numbers, none mi"),
        (lambda p: p.assign(inflection=p["inflection"].astype(str)), "inflection as numbers, none"),
        (lambda p: p.assign(bottom_up_weight=p["bottom_up_weight"].astype(int) + 200),
         "bottom_up_weight from 0 to 127, got 0 to 327"),
        (lambda p: p.assign_attrs(frames_learned="many"), "frames_learned.* whole number >= 0, go"),
        (lambda p: p.assign_attrs(fewest_active=-1), "fewest_active.* whole number >= 0, got -1"),
    ],
)  # fmt: skip
def test_what_is_not_a_whole_memory_is_refused(change, says):
    active = random_patterns(np.random.default_rng(0), 3, 4, 40, a=8)
    data = dataset(active, label=("item", ["a", "b", "c"]))
    model = Sparsey(n_modules=4, n_units=5, **WHOLE).fit(data, rng=0, progress=False)
    again = Sparsey.from_parameters(model.result_)
    xr.testing.assert_identical(again.predict(data), model.predict(data))
    with pytest.raises(SchemaError, match=says):
        Sparsey.from_parameters(change(model.result_))


# -- plots


def test_a_raster_shows_what_was_recalled():
    stored_, recalled = dataset([[1, 1, 0], [0, 1, 0]]), dataset([[1, 0, 0], [0, 1, 1]])
    ax = nks.plotting.pattern_raster(stored_, recalled)
    points = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert points == {"recalled": [[0, 0], [1, 1]], "missed": [[0, 1]], "not stored": [[1, 2]]}
    plt.close(ax.figure)
    ax = nks.plotting.pattern_raster(stored_)
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [0, 1], [1, 1]]
    plt.close(ax.figure)
    with pytest.raises(SchemaError, match=r"recalled patterns of shape \(2, 3\)"):
        nks.plotting.pattern_raster(stored_, recalled.isel(item=[0]))
    with pytest.raises(SchemaError, match="select one item"):
        nks.plotting.pattern_raster(dataset(np.ones((2, 3, 4), bool)))
