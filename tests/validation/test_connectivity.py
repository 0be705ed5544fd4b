"""Scores of connectivity, against scikit-learn, enumeration and cases whose scores are known."""

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.seeding import stream


def labelled(values, units=None):
    units = np.arange(len(values)) if units is None else units
    return xr.DataArray(
        values, dims=("target", "source"), coords={"target": units, "source": units}
    )


@pytest.fixture
def case(seed):
    rng = stream(seed, "scores")
    n = 25
    true = rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.15)
    np.fill_diagonal(true, 0)
    noisy = true + rng.normal(0, 0.3, (n, n))
    return labelled(true), xr.Dataset({"weight": labelled(noisy), "z_score": labelled(noisy / 0.3)})


def test_scores_equal_scikit_learn_on_off_diagonal_pairs(case):
    truth, estimate = case
    table = nks.validation.score_connectivity({"m": estimate}, truth).sel(estimate="m")
    off = ~np.eye(25, dtype=bool)
    joined, score = truth.values[off] != 0, np.abs(estimate["z_score"].values[off])
    assert table["auroc"] == roc_auc_score(joined, score)
    assert table["auprc"] == average_precision_score(joined, score)
    every = [matthews_corrcoef(joined, score >= t) for t in np.unique(score)]
    np.testing.assert_allclose(table["mcc"], max(every), rtol=1e-12)
    right = np.sign(truth.values[off]) == np.sign(estimate["weight"].values[off])
    np.testing.assert_allclose(table["sign_accuracy"], right[joined].mean())


def test_the_threshold_is_bonferronis(case):
    from scipy.stats import norm

    truth, estimate = case
    table = nks.validation.score_connectivity({"m": estimate}, truth).sel(estimate="m")
    off = ~np.eye(25, dtype=bool)
    p = 2 * norm.sf(np.abs(estimate["z_score"].values[off]))
    wanted = matthews_corrcoef(truth.values[off] != 0, p < 0.05 / p.size)
    np.testing.assert_allclose(table["mcc_significant"], wanted, rtol=1e-12)


def test_truth_is_perfect_and_a_constant_is_chance(case):
    truth, _ = case
    flat = labelled(np.ones(truth.shape))
    table = nks.validation.score_connectivity({"true": truth, "flat": flat}, truth)
    perfect = table.sel(estimate="true")
    for name in ("auroc", "auprc", "mcc", "sign_accuracy", "undirected_auroc"):
        np.testing.assert_allclose(perfect[name], 1.0)
    assert np.isnan(perfect["mcc_significant"])  # no z-score, no threshold
    for name in ("auroc", "auprc", "undirected_auprc"):
        np.testing.assert_allclose(
            table[name].sel(estimate="flat"), table[name].sel(estimate="chance")
        )
    assert table.attrs["density"] == (truth.values != 0).sum() / (25 * 24)


def test_a_method_blind_to_direction_scores_as_the_undirected_truth(case):
    truth, _ = case
    both = labelled(((truth.values != 0) | (truth.values.T != 0)).astype(float))
    table = nks.validation.score_connectivity({"m": both}, truth)
    for name in ("auroc", "auprc"):
        assert table[name].sel(estimate="m") == table[name].sel(estimate="undirected truth") < 1
    assert table["undirected_auprc"].sel(estimate="m") == 1


def test_units_are_matched_by_label(case):
    truth, estimate = case
    shuffled = estimate.isel(target=slice(None, None, -1), source=np.roll(np.arange(25), 3))
    a = nks.validation.score_connectivity({"m": estimate}, truth)
    b = nks.validation.score_connectivity({"m": shuffled}, truth)
    assert a.identical(b)
    with pytest.raises(SchemaError, match=r"lacks \[0\]"):
        nks.validation.score_connectivity({"m": estimate.isel(target=slice(1, None))}, truth)


def test_hubs_are_ranked_by_significant_connections():
    network = nks.snn.hub_network(rng=0)
    session = nks.snn.simulate(network, 0.01, rng=0, progress=False)
    weight = session["truth"]["weight"]
    estimate = xr.Dataset({"weight": weight, "z_score": 100 * weight})
    table = nks.validation.score_connectivity({"m": estimate}, session)
    assert sorted(table["hub_rank"].sel(estimate="m").values) == [1, 2, 3]
    assert np.isnan(table["hub_rank"].sel(estimate="chance")).all()


def test_missing_estimates_come_last(case):
    truth, estimate = case
    holes = estimate["weight"].copy()
    holes[3, 4] = np.nan
    table = nks.validation.score_connectivity({"m": holes}, truth)
    assert np.isfinite(table["auroc"].sel(estimate="m"))


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda t: t * 0, ParameterError, "nothing could be found"),
        (lambda t: t * np.nan, SchemaError, "finite true weight"),
        (lambda t: t.drop_vars("target"), SchemaError, "unit ids on target"),
        (lambda t: t.rename(target="unit"), SchemaError, r"weight\(target, source\)"),
        (lambda t: t.to_dataset(name="w"), SchemaError, r"weight\(target, source\)"),
    ],
)
def test_a_bad_truth_is_named(case, change, error, text):
    truth, estimate = case
    with pytest.raises(error, match=text):
        nks.validation.score_connectivity({"m": estimate}, change(truth))


def test_nothing_to_score():
    truth = labelled(np.eye(3)[::-1])
    with pytest.raises(ParameterError, match="at least one estimate"):
        nks.validation.score_connectivity({}, truth)
    with pytest.raises(ParameterError, match="significance"):
        nks.validation.score_connectivity({"m": truth}, truth, significance=0.0)


def _refused(error, text, estimates, truth, **options):
    with pytest.raises(error, match=text):
        nks.validation.score_connectivity(estimates, truth, **options)


def test_sources_are_checked_like_targets(case):
    truth, estimate = case
    fewer = estimate.isel(source=slice(1, None))
    _refused(SchemaError, r"'m' lacks \[0\] as source: select the observed", {"m": fewer}, truth)
    other = estimate.assign_coords(source=estimate["source"] + 1)
    _refused(SchemaError, r"'m' lacks \[0\] as source", {"m": other}, truth)
    weight_only = estimate.assign(z_score=estimate["z_score"].isel(source=slice(3)))
    assert np.isnan(weight_only["z_score"]).any()  # xarray fills up: no estimate, not an error
    nks.validation.score_connectivity({"m": weight_only}, truth)
    text = r"every target of the truth among its sources, lacks \[0\]"
    _refused(SchemaError, text, {"m": estimate}, truth.isel(source=slice(1, None)))


@pytest.mark.parametrize("dim", ["target", "source"])
def test_units_that_come_twice(case, dim):
    truth, estimate = case
    twice = {dim: np.r_[0, 0, 2:25]}
    text = rf"each unit once on {dim} of .*, got \[0\] more than once"
    _refused(SchemaError, text, {"m": estimate}, truth.assign_coords(twice))
    _refused(SchemaError, text, {"m": estimate.assign_coords(twice)}, truth)


def test_weights_that_are_no_numbers(case):
    truth, estimate = case
    _refused(SchemaError, "signed weights in the truth, got bool", {"m": estimate}, truth != 0)
    _refused(SchemaError, "numbers as weights of the truth", {"m": estimate}, truth.astype(str))
    _refused(SchemaError, "numbers as weights of 'm'", {"m": truth.astype(str)}, truth)
    table = nks.validation.score_connectivity({"m": truth != 0}, truth)  # joined or not
    np.testing.assert_allclose(table["auroc"].sel(estimate="m"), 1.0)


def test_hubs_need_the_ids_of_their_units(case):
    truth, estimate = case
    named = truth.assign_coords({d: [f"u{i}" for i in range(25)] for d in ("target", "source")})
    hub = ("unit", np.arange(25) < 2)
    for weight in (truth, named):
        bare = xr.Dataset({"weight": weight, "hub": hub})
        _refused(SchemaError, r"hub\(unit\), true or false, with unit ids", {"m": weight}, bare)
        whole = bare.assign_coords(unit=weight["target"].values)
        table = nks.validation.score_connectivity({"m": weight}, whole)
        assert table.sizes["hub"] == 2
    part = xr.Dataset({"weight": truth, "hub": hub}).assign_coords(unit=np.arange(25) + 1)
    _refused(SchemaError, r"hub of every unit of the truth, lacks \[0\]", {"m": estimate}, part)
    twice = part.assign_coords(unit=np.r_[0, 0, 2:25])
    _refused(SchemaError, r"each unit once on unit of hub of the truth", {"m": estimate}, twice)


@pytest.mark.parametrize("name", ["chance", "undirected truth", 1, None])
def test_names_of_estimates(case, name):
    truth, estimate = case
    text = "names of estimates as str, other than 'undirected truth' and 'chance'.*rename it"
    _refused(ParameterError, text, {name: estimate}, truth)


def test_estimates_come_by_name(case):
    truth, estimate = case
    for wrong in ([estimate], estimate, truth, None, ("m", estimate)):
        _refused(ParameterError, 'estimates by name, such as {"glm": estimate}, got', wrong, truth)


@pytest.mark.parametrize("level", ["a", None, 0, 1, 1.5, np.nan, True])
def test_levels(case, level):
    truth, estimate = case
    text = "significance between 0 and 1, got"
    _refused(ParameterError, text, {"m": estimate}, truth, significance=level)
