"""Sparsey against an independent implementation, and each part of its rule."""

from __future__ import annotations

import itertools
import math

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

mpl.use("Agg")


import neurokit_sdr as nks
from neurokit_sdr.sdr import Sparsey
from neurokit_sdr.sdr.sparsey import recognition
from neurokit_sdr.sdr.sparsey.memory import aged_weight
from neurokit_sdr.sdr.sparsey.rule import SIGMOIDS
from tests.sdr.stored_patterns import A, N, dataset, random_patterns, stored

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


@pytest.mark.parametrize("sigmoid", SIGMOIDS)
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
    total = sum(
        int(model.result_[f"{name}_weight"].sum())
        for name in ("bottom_up", "horizontal", "top_down")
    )
    assert total == sum(map(len, plain.synapses.values()))


def core_uniform(seed, shape):
    return nks.core.seeding.stream(seed, "codes").random(shape)


def test_published_values_of_the_sigmoids():
    """SparseyCore: eta is 801 at G = 1 with K = 8, and 1 up to its floor."""
    for number in (0, 1):
        assert recognition.expansivity(number, 1.0, 8) == pytest.approx(801)
        assert recognition.expansivity(number, 0.1, 8) == 1.0
    assert recognition.expansivity(2, 1.0, 8) == 10_000
    assert recognition.expansivity(3, 1.0, 8) == pytest.approx(2.5)
    assert recognition.expansivity(3, 0.2, 8) == 0
    for number, name in enumerate(SIGMOIDS):
        for v, e, c in itertools.product((0.0, 0.3, 0.9, 1.0), (1.0, 801.0), (0.5, 0.9)):
            expected = mu(name, v, e, c)
            assert recognition.relative_likelihood(number, v, e, c) == pytest.approx(
                expected, rel=1e-13
            )


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
    assert [aged_weight(0, 0, age, 4000) for age in ages] == weights
    assert [aged_weight(0, 1, 2 * age, 4000) for age in ages] == weights
    assert aged_weight(0, 2, 10**9, 4000) == 127
    assert aged_weight(-1, 0, 5, 4000) == 0


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
