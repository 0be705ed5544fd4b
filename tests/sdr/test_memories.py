"""Memories to compare with: against enumeration, mean-field theory and what they promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import brentq
from scipy.special import erf

import neurokit_sdr as nks
from neurokit_sdr.core.errors import NotFittedError, ParameterError, SchemaError
from neurokit_sdr.sdr import (
    DenseAssociativeMemory,
    Hopfield,
    MultitaskingHebbian,
    NearestNeighbor,
    diluted_patterns,
    mattis_overlap,
    noisy_examples,
)
from neurokit_sdr.sdr.memories import equations as core

ALL = {
    "hopfield": Hopfield,
    "polynomial": DenseAssociativeMemory,
    "exponential": lambda: DenseAssociativeMemory(interaction="exponential"),
    "multitasking": MultitaskingHebbian,
    "nearest": NearestNeighbor,
}


def patterns(active, **variables):
    active = np.asarray(active, bool)
    return xr.Dataset(
        {"pattern": (("item", "cell"), active)} | variables, {"cell": np.arange(active.shape[1])}
    )


def random_patterns(n_items, n_cells, seed, share=0.5):
    return patterns(np.random.default_rng(seed).random((n_items, n_cells)) < share)


def flipped(data, share, seed):
    flip = np.random.default_rng([seed, 1]).random(data["pattern"].shape) < share
    return data.assign(pattern=data["pattern"] ^ flip)


def every_state(n):
    return np.array(list(itertools.product((-1, 1), repeat=n)), np.int8)


# -- the common face


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_few_patterns_are_recalled_from_a_tenth_of_noise(make, seed):
    items = random_patterns(4, 200, seed)
    found = make().store(items).recall(flipped(items, 0.1, seed), rng=0)
    xr.testing.assert_equal(found["pattern"], items["pattern"])
    assert found["settled"].all()
    assert found.attrs["seed"] == 0


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_storing_in_parts_stores_the_same(make, seed):
    items = random_patterns(20, 60, seed)
    parts = make().store(items.isel(item=slice(7))).store(items.isel(item=slice(7, None)))
    cues = flipped(items, 0.1, seed)
    whole = make().store(items)
    xr.testing.assert_identical(whole.recall(cues, rng=1), parts.recall(cues, rng=1))
    assert whole.nbytes == parts.nbytes > 0


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_input_stays_as_it_was_and_labels_come_along(make):
    items = random_patterns(3, 30, 0).assign_coords(item=["à", "b", "c"])
    before = items.copy(deep=True)
    found = make().store(items).recall(items, rng=0)
    xr.testing.assert_identical(items, before)
    assert found["item"].values.tolist() == ["à", "b", "c"]
    frames = items.rename(item="time").drop_vars("time")
    assert make().store(frames).recall(frames, rng=0)["pattern"].dims == ("time", "cell")


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_one_cell_and_one_item_will_do(make):
    one = patterns([[True]])
    assert make().store(one).recall(one, rng=0)["pattern"].item() is True


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_bad_data_are_refused(make):
    items = random_patterns(3, 30, 0)
    with pytest.raises(NotFittedError, match="holds nothing: call store"):
        make().recall(items)
    memory = make().store(items)
    with pytest.raises(SchemaError, match=r"Expected the 30 cells .* got 29 others"):
        memory.recall(items.isel(cell=slice(29)))
    with pytest.raises(SchemaError, match="Expected the 30 cells"):
        memory.store(items.isel(cell=slice(None, None, -1)))
    with pytest.raises(SchemaError, match="at least one item, got none"):
        memory.store(items.isel(item=slice(0)))
    with pytest.raises(SchemaError, match=r"Expected an xarray.Dataset of patterns"):
        memory.store(items["pattern"].values)
    with pytest.raises(SchemaError, match="dtype of kind 'b'"):
        memory.store(items.assign(pattern=items["pattern"].astype(float)))
    with pytest.raises(ParameterError, match="max_sweeps to be a whole number >= 1, got 0"):
        memory.recall(items, max_sweeps=0)
    ragged = items.assign(item_length=("item", [1, 1, 1], {"units": "1"}))
    with pytest.raises(SchemaError, match="got item_length"):
        memory.store(ragged)


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        (DenseAssociativeMemory(interaction="cubic"), "interaction to be one of 'polynomial'"),
        (DenseAssociativeMemory(order=1), "order to be an integer >= 2, got 1"),
        (MultitaskingHebbian(temperature=-1.0), "temperature to be a number >= 0, got -1.0"),
        (NearestNeighbor(k=0), "k to be an integer >= 1, got 0"),
    ],
)
def test_parameters_out_of_range_are_refused(memory, says):
    with pytest.raises(ParameterError, match=says):
        memory.store(random_patterns(3, 30, 0))


# -- Hopfield


def test_couplings_and_energy_are_their_definition(seed):
    spin = np.random.default_rng(seed).choice([-1, 1], (3, 5)).astype(np.int8)
    coupling = core.hebbian_coupling(spin)
    for i, j in itertools.product(range(5), repeat=2):
        assert coupling[i, j] == (0 if i == j else sum(int(p[i]) * int(p[j]) for p in spin))
    energy = core.hebbian_energy(coupling, spin)
    expected = [-0.5 * sum(coupling[i, j] * s[i] * s[j] for i in range(5) for j in range(5))
                for s in spin.astype(float)]  # fmt: skip
    np.testing.assert_allclose(energy, expected, rtol=0, atol=1e-14)


def test_every_state_settles_where_no_flip_lowers_the_energy(seed):
    """All 1024 states of 10 cells, by enumeration."""
    rng = np.random.default_rng(seed)
    stored = rng.choice([-1, 1], (3, 10)).astype(np.int8)
    coupling, start = core.hebbian_coupling(stored), every_state(10)
    end = core.settle_hebbian(coupling, start, 100, 0.0, rng)
    assert end.settled.all()
    before, after = (core.hebbian_energy(coupling, s) for s in (start, end.spin))
    assert (after <= before + 1e-12).all()
    for cell in range(10):
        neighbour = end.spin.copy()
        neighbour[:, cell] *= -1
        assert (core.hebbian_energy(coupling, neighbour) >= after - 1e-12).all()


def mean_field_overlap(load):
    """Amit, Gutfreund and Sompolinsky 1985 at zero temperature; 0 above the capacity."""

    def excess(y):
        return erf(y) - y * (np.sqrt(2 * load) + 2 / np.sqrt(np.pi) * np.exp(-(y**2)))

    y = np.linspace(0.5, 6, 2000)
    found = np.flatnonzero(np.diff(np.sign(excess(y))))
    return float(erf(brentq(excess, y[found[-1]], y[found[-1] + 1]))) if found.size else 0.0


def test_the_oracle_has_the_published_capacity():
    capacity = brentq(lambda load: mean_field_overlap(load) - 0.5, 0.1, 0.2, xtol=1e-6)
    assert capacity == pytest.approx(0.138, abs=5e-4)  # to its printed digits
    assert mean_field_overlap(0.1379) == pytest.approx(0.967, abs=5e-3)


def measured_overlap(load, n_cells, seed, n_cues=100):
    items = random_patterns(round(load * n_cells), n_cells, seed)
    cues = items.isel(item=slice(min(n_cues, items.sizes["item"])))
    found = Hopfield().store(items).recall(cues, rng=seed)
    agree = (found["pattern"] == cues["pattern"]).mean("cell").values
    return 2 * agree - 1


def test_overlap_follows_mean_field_theory_up_to_its_capacity(seed):
    n_cells = 1000
    for load in (0.05, 0.10):
        overlap = measured_overlap(load, n_cells, seed)
        expected = mean_field_overlap(load)
        # Errors are few and nearly independent between cells; patterns share couplings, which
        # widens the spread between patterns, so that is taken from them.
        binomial = np.sqrt((1 - expected**2) / n_cells / overlap.size)
        error = max(binomial, overlap.std() / np.sqrt(overlap.size))
        assert abs(overlap.mean() - expected) < 5 * error + 1 / n_cells
    # Far above capacity what is left is a remnant, well below any overlap of theory's branch.
    assert measured_overlap(0.25, n_cells, seed).mean() < 0.8 * mean_field_overlap(0.1379)


# -- dense associative memory


@pytest.mark.parametrize("order", [core.EXPONENTIAL, 2, 3, 4])
def test_dense_states_settle_where_no_flip_lowers_the_energy(order, seed):
    rng = np.random.default_rng(seed)
    stored = rng.choice([-1, 1], (6, 9)).astype(np.int8)
    start = every_state(9)
    end = core.settle_dense(stored, start, order, 100, rng)
    assert end.settled.all()
    before, after = (core.dense_energy(stored, s, order) for s in (start, end.spin))
    assert (after <= before + 1e-12).all()
    for cell in range(9):
        neighbour = end.spin.copy()
        neighbour[:, cell] *= -1
        assert (core.dense_energy(stored, neighbour, order) >= after - 1e-12).all()


def test_dense_energies_are_their_definition(seed):
    rng = np.random.default_rng(seed)
    stored, state = (rng.choice([-1, 1], (k, 7)).astype(np.int8) for k in (4, 5))
    for s, cubic, exponential in zip(
        state, core.dense_energy(stored, state, 3), core.dense_energy(stored, state, 0), strict=True
    ):
        overlap = [sum(int(a) * int(b) for a, b in zip(p, s, strict=True)) for p in stored]
        assert cubic == pytest.approx(-sum(max(0, m / 7) ** 3 for m in overlap), rel=1e-13)
        expected = -np.log(sum(np.exp(m) for m in overlap)) / 7
        assert exponential == pytest.approx(expected, rel=1e-13)


def test_steeper_energies_hold_more_than_hopfield(seed):
    """100 patterns of 100 cells: seven times what the classical network holds.

    The polynomial of order 3 holds N**2 / (12 ln N) = 181 without error.
    """
    items = random_patterns(100, 100, seed)
    cues = flipped(items, 0.05, seed)
    for memory in (
        DenseAssociativeMemory(order=4), DenseAssociativeMemory(interaction="exponential")
    ):  # fmt: skip
        xr.testing.assert_equal(
            memory.store(items).recall(cues, rng=0)["pattern"], items["pattern"]
        )
    classical = Hopfield().store(items).recall(cues, rng=0)["pattern"] == items["pattern"]
    assert classical.all("cell").mean() < 0.05


def test_a_thousand_cells_do_not_overflow():
    items = random_patterns(20, 1000, 0)
    memory = DenseAssociativeMemory(interaction="exponential").store(items)
    xr.testing.assert_equal(
        memory.recall(flipped(items, 0.2, 0), rng=0)["pattern"], items["pattern"]
    )


# -- multitasking Hebbian network


def test_diluted_patterns_have_the_dilution(seed):
    pattern = diluted_patterns(20, 5000, 0.3, rng=seed)["pattern"].values
    assert pattern.dtype == np.int8
    size = pattern.size
    for share, expected in (((pattern == 0).mean(), 0.3), ((pattern == 1).mean(), 0.35)):
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / size)


def consistent_overlap(overlap, d, temperature=0.0):
    """Mean-field overlaps that given ones lead to, by enumeration of a cell's entries."""
    total = np.zeros(len(overlap))
    for entry in itertools.product((-1, 0, 1), repeat=len(overlap)):
        entry = np.array(entry)
        probability = np.prod(np.where(entry == 0, d, (1 - d) / 2))
        field = entry @ overlap
        spin = np.tanh(field / temperature) if temperature else np.sign(field)
        total += probability * spin * entry
    return total


@pytest.mark.parametrize("d", [0.25, 0.5, 0.8])
def test_one_state_holds_several_diluted_patterns(d, seed):
    n_cells = 4000
    items = diluted_patterns(3, n_cells, d, rng=seed)
    found = MultitaskingHebbian().store(items).recall(items.isel(item=[0]), rng=seed)
    overlap = mattis_overlap(items, found).values[0]
    # Each overlap is a mean over cells of variance at most 1 - d.
    expected = consistent_overlap(overlap, d)
    assert (abs(overlap - expected) < 5 * np.sqrt((1 - d) / n_cells)).all()
    if d == 0.25:  # a hierarchy: each pattern speaks where those before it are silent
        hierarchy = (1 - d) * d ** np.arange(3)
        error = 5 * np.sqrt((1 - d) / n_cells)
        assert (abs(np.sort(abs(overlap))[::-1] - hierarchy) < error).all()


def test_with_heat_and_much_dilution_patterns_are_retrieved_in_parallel(seed):
    n_cells, d, temperature = 2000, 0.8, 0.1
    items = diluted_patterns(3, n_cells, d, rng=seed)
    memory = MultitaskingHebbian(temperature=temperature).store(items)
    cues = items.isel(item=[0] * 5)
    found = memory.recall(cues, max_sweeps=60, rng=seed)
    overlap = abs(mattis_overlap(items, found).values)
    expected = np.full(3, 0.1)
    for _ in range(2000):
        expected = consistent_overlap(expected, d, temperature)
    assert np.ptp(expected) < 1e-12
    step = 1e-6 * np.eye(3)
    slope = np.array([
        (consistent_overlap(expected + s, d, temperature) - expected) / 1e-6 for s in step
    ])  # fmt: skip
    # Fluctuations of the patterns and of the spins, amplified by the feedback.
    error = np.sqrt(2 * (1 - d) / n_cells) / (1 - np.linalg.eigvals(slope).real.max())
    assert (abs(overlap - expected) < 5 * error).all()


def test_heat_melts_the_overlap_as_mean_field_theory_says(seed):
    """One pattern without dilution is a ferromagnet: m = tanh(m / T)."""
    n_cells = 3000
    items = diluted_patterns(1, n_cells, 0.0, rng=seed)
    for temperature in (0.5, 0.8):
        memory = MultitaskingHebbian(temperature=temperature).store(items)
        found = memory.recall(items.isel(item=[0] * 10), max_sweeps=40, rng=seed)
        m = brentq(lambda m, t=temperature: m - np.tanh(m / t), 1e-3, 1)
        slope = (1 - m**2) / temperature
        # Fluctuations of the magnetisation: susceptibility times temperature over the cells.
        sd = np.sqrt((1 - m**2) / (1 - slope) / n_cells)
        mean = float(mattis_overlap(items, found).mean())
        assert abs(mean - m) < 5 * sd / np.sqrt(10) + 5 / n_cells


def test_examples_have_the_quality_and_their_mean_is_stored(seed):
    patterns_ = diluted_patterns(3, 2000, 0.2, rng=seed)
    examples = noisy_examples(patterns_, 0.4, 200, rng=seed)
    assert examples.attrs["dataset_entropy"] == pytest.approx(0.84 / (200 * 0.16))
    agree = examples["pattern"].values * patterns_["pattern"].values[examples["label"].values]
    there = agree != 0
    assert abs(agree[there].mean() - 0.4) < 5 * np.sqrt(0.84 / there.sum())
    supervised = MultitaskingHebbian().store(examples)
    unsupervised = MultitaskingHebbian().store(examples.drop_vars("label"))
    for memory in (supervised, unsupervised):
        found = memory.recall(patterns_.isel(item=[0]), rng=0)
        # The retrieved pattern speaks in all of its cells: m is the share of them.
        share = float((patterns_["pattern"].values[0] != 0).mean())
        assert float(mattis_overlap(patterns_, found)[0, 0]) > 0.99 * share


def test_without_quality_nothing_is_known():
    examples = noisy_examples(diluted_patterns(2, 10, 0.5, rng=0), 0.0, 3, rng=0)
    assert examples.attrs["dataset_entropy"] == float("inf")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: diluted_patterns(0, 5, 0.5), ParameterError, "n_items to be a whole number >= 1"),
        (lambda: diluted_patterns(2, 5, 1.5), ParameterError, "dilution to be a number >= 0"),
        (lambda: noisy_examples(random_patterns(2, 5, 0), 0.5, 2), SchemaError, "-1, 0 and 1"),
        (
            lambda: noisy_examples(diluted_patterns(2, 5, 0.5, rng=0), 2.0, 2),
            ParameterError, "Expected quality to be a number >= 0 and <= 1, got 2.0",
        ),
        (
            lambda: MultitaskingHebbian().store(
                diluted_patterns(2, 5, 0.5, rng=0) + xr.Dataset({"pattern": 2}).astype("int8")
            ),
            SchemaError, "Expected entries -1, 0 and 1",
        ),
        (
            lambda: mattis_overlap(random_patterns(2, 5, 0), random_patterns(2, 6, 0)),
            SchemaError, "Expected states of the 5 cells of the patterns, got 6 others",
        ),
    ],
)  # fmt: skip
def test_diluted_patterns_out_of_range_are_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


# -- nearest neighbour


def test_the_nearest_pattern_has_the_fewest_cells_that_differ(seed):
    items, cues = random_patterns(40, 70, seed, 0.2), random_patterns(300, 70, seed + 1, 0.3)
    found = NearestNeighbor().store(items).recall(cues)["pattern"].values
    stored, asked = items["pattern"].values, cues["pattern"].values
    distance = (asked[:, None] != stored).sum(axis=2)
    np.testing.assert_array_equal(found, stored[distance.argmin(axis=1)])


def test_several_neighbours_vote_for_each_cell(seed):
    items, cues = random_patterns(40, 30, seed), random_patterns(10, 30, seed + 1)
    found = NearestNeighbor(k=3).store(items).recall(cues)["pattern"].values
    stored = items["pattern"].values
    for cue, answer in zip(cues["pattern"].values, found, strict=True):
        near = np.argsort((stored != cue).sum(axis=1), kind="stable")[:3]
        np.testing.assert_array_equal(answer, stored[near].sum(axis=0) >= 2)
    with pytest.raises(ParameterError, match="k up to 40, the stored patterns, got 41"):
        NearestNeighbor(k=41).store(items).recall(cues)


def test_bits_take_an_eighth_of_a_byte():
    assert NearestNeighbor().store(random_patterns(100, 128, 0)).nbytes == 100 * 16
    assert Hopfield().store(random_patterns(100, 128, 0)).nbytes == 128**2 * 8
    assert nks.sdr.Hopfield is Hopfield
