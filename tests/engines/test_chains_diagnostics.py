"""R-hat and effective draws: ArviZ's numbers, exact cases, and the verdict in words."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.engines.chains.diagnostics import ess_bulk, ess_mean, ess_tail, r_hat
from neurokit_sdr.engines.chains.verdict import diagnose, verdict

#: Relative: what Fourier transforms of some hundred numbers round to is far below.
EQUAL = 1e-10


@pytest.fixture(scope="module")
def arviz():
    """ArviZ in either of its two shapes: 0.x as one package, 1.x as three."""
    with warnings.catch_warnings():
        # 0.23 announces 1.0 whenever it is imported.
        warnings.simplefilter("ignore", FutureWarning)
        return pytest.importorskip("arviz", reason="ArviZ is not installed: pip install arviz")


def is_old(arviz) -> bool:
    return arviz.__version__.startswith("0.")


def by_arviz(arviz, draws: np.ndarray) -> dict[str, float]:
    if is_old(arviz):
        found = {m: arviz.ess(draws, method=m) for m in ("bulk", "tail", "mean")}
        return {name: float(v) for name, v in (found | {"r_hat": arviz.rhat(draws)}).items()}
    from arviz_stats.base import array_stats

    axes = {"chain_axis": 0, "draw_axis": 1}
    found = {m: array_stats.ess(draws, method=m, **axes) for m in ("bulk", "mean")}
    found["tail"] = array_stats.ess(draws, method="tail", prob=(0.05, 0.95), **axes)
    found["r_hat"] = array_stats.rhat(draws, **axes)
    return {name: float(v) for name, v in found.items()}


def ours(draws: np.ndarray) -> dict[str, float]:
    functions = {"bulk": ess_bulk, "tail": ess_tail, "mean": ess_mean, "r_hat": r_hat}
    return {name: float(function(draws)) for name, function in functions.items()}


def autoregressive(rng, n_chains: int, n_draws: int, weight: float) -> np.ndarray:
    x = rng.standard_normal((n_chains, n_draws))
    for t in range(1, n_draws):
        x[:, t] += weight * x[:, t - 1]
    return x


MAKERS = {
    "independent": lambda rng, c, n: rng.standard_normal((c, n)),
    "slow": lambda rng, c, n: autoregressive(rng, c, n, 0.9),
    "alternating": lambda rng, c, n: autoregressive(rng, c, n, -0.8),
    "walk": lambda rng, c, n: rng.standard_normal((c, n)).cumsum(axis=1),
    "apart": lambda rng, c, n: rng.standard_normal((c, n)) + np.arange(c)[:, None],
    "counts": lambda rng, c, n: rng.poisson(2, (c, n)).astype(float),
    "binary": lambda rng, c, n: (rng.random((c, n)) < 0.5).astype(float),
    "heavy tails": lambda rng, c, n: rng.standard_cauchy((c, n)),
}


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # ArviZ's
@pytest.mark.filterwarnings("ignore:divide by zero encountered:RuntimeWarning")
@pytest.mark.parametrize("kind", MAKERS)
def test_numbers_equal_those_of_arviz(arviz, kind, seed):
    rng = np.random.default_rng(seed)
    for _ in range(30):
        n_chains, n_draws = rng.integers(1, 6), rng.integers(4, 400)
        draws = MAKERS[kind](rng, n_chains, n_draws)
        found, expected = ours(draws), by_arviz(arviz, draws)
        if is_old(arviz) and (draws.size - 1) % 20 == 0:
            # The quantile is one of the draws, and ArviZ 0.x rounds it to beside it.
            del found["tail"], expected["tail"]
        for name, value in expected.items():
            np.testing.assert_allclose(
                found[name], value, rtol=EQUAL, err_msg=f"{name} of {draws.shape}"
            )


def test_many_numbers_are_judged_each_on_its_own(seed):
    rng = np.random.default_rng(seed)
    draws = autoregressive(rng, 3, 60, 0.5)[:, :, None, None] + rng.random((3, 60, 2, 4))
    draws[1, 7, 1, 2] = np.nan
    for function in (r_hat, ess_bulk, ess_tail, ess_mean):
        together = function(draws)
        assert together.shape == (2, 4)
        assert np.isnan(together[1, 2])
        alone = [[function(draws[:, :, i, j]) for j in range(4)] for i in range(2)]
        np.testing.assert_array_equal(together, alone)


def test_draws_that_do_not_vary_have_defined_answers():
    equal = np.full((4, 100), 0.1)
    assert np.isnan(r_hat(equal))
    assert ess_bulk(equal) == ess_tail(equal) == 400
    stuck = np.arange(4.0)[:, None] + np.zeros((4, 100))
    assert r_hat(stuck) == np.inf
    assert r_hat(stuck + 0.1) == np.inf
    assert ess_bulk(stuck) < 8


def test_too_little_to_judge_is_nan():
    rng = np.random.default_rng(0)
    assert np.isnan(r_hat(rng.random((1, 100))))
    assert ess_bulk(rng.random((1, 100))) > 0
    for function in (r_hat, ess_bulk, ess_tail, ess_mean):
        assert np.isnan(function(rng.random((4, 3))))


# -- in words -------------------------------------------------------------------------------------


def dataset(**variables) -> xr.Dataset:
    return xr.Dataset({name: (("chain", "draw"), values) for name, values in variables.items()})


@pytest.fixture
def good():
    return np.random.default_rng(0).standard_normal((4, 1000))


def said(draws: xr.Dataset, **thresholds) -> str:
    return verdict(draws, diagnose(draws), **thresholds)


def test_the_verdict_names_the_worst_and_what_to_do(good):
    slow = autoregressive(np.random.default_rng(1), 4, 1000, 0.95)
    constant = np.full((4, 1000), 3)
    assert said(dataset(x=good, n_clusters=constant)) == results.CONVERGED
    assert said(dataset(x=constant)) == results.CONVERGED
    apart = said(dataset(x=good, y=good + np.arange(4)[:, None]))
    assert apart.startswith("chains disagree: R-hat of y is")
    assert said(dataset(x=good, y=good + 0 * good, k=constant + np.arange(4)[:, None])).startswith(
        "chains disagree: R-hat of k is inf"
    )
    few = said(dataset(x=good, y=slow), largest_r_hat=2)
    assert few.startswith("too few draws: y has")
    assert "400 wanted: raise n_draws about" in few
    assert said(dataset(x=good[:1])).startswith("one chain, which cannot be compared")
    assert said(dataset(x=good[:, :3])).startswith("too few draws to judge (3)")
    lost = good.copy()
    lost[2, 5] = np.nan
    assert said(dataset(x=lost, y=good)).startswith("not a number among the draws of x")
    ended = dataset(x=good).assign_attrs(interrupted=1, n_draws=5000)
    assert said(ended).startswith("interrupted: 4 chains of 1000 draws, 5000 were wanted")


def test_diagnoses_keep_the_dimensions_of_what_they_judge(good):
    draws = xr.Dataset(
        {"rate": (("chain", "draw", "unit"), np.stack([good, good], axis=2))},
        coords={"unit": ["a", "b"]},
    )
    judged = diagnose(draws)
    assert set(judged) == {"rate_r_hat", "rate_ess_bulk", "rate_ess_tail"}
    assert judged["rate_ess_bulk"].dims == ("unit",)
    assert list(judged["unit"].values) == ["a", "b"]
    np.testing.assert_array_equal(judged["rate_r_hat"], [r_hat(good)] * 2)


def test_draws_open_in_arviz(arviz, good):
    draws = xr.Dataset(
        {"x": (("chain", "draw"), good), "rate": (("chain", "draw", "unit"), good[:, :, None])},
        coords={"chain": np.arange(4), "draw": np.arange(1000), "unit": [7]},
    )
    if is_old(arviz):
        opened = arviz.convert_to_inference_data(draws)
    else:
        opened = xr.DataTree.from_dict({"posterior": draws})
    table = arviz.summary(opened, round_to="none")
    judged = diagnose(draws)
    assert list(table.index) == ["x", "rate[7]"]
    np.testing.assert_allclose(table["r_hat"].astype(float), judged["x_r_hat"], rtol=EQUAL)
    np.testing.assert_allclose(table["ess_bulk"].astype(float), judged["x_ess_bulk"], rtol=EQUAL)
