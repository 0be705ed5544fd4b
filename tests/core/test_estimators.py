"""Every public estimator keeps every promise of ``estimator_checks.py``."""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
from typing import Any, NamedTuple

import estimator_checks
import numpy as np
import pytest
import xarray as xr
from estimator_checks import CHECKS, MakeData, check_estimator

import neurokit_sdr as nks
from neurokit_sdr.core import results
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.estimator import Estimator

#: Rooms that hold estimators, those that do not exist yet included.
ROOMS = ("sdr", "analysis", "generative")


class Case(NamedTuple):
    """An unfitted estimator that fits in a moment, and tiny data for it."""

    estimator: Estimator
    make_data: MakeData


def switching_counts(rng: np.random.Generator) -> xr.Dataset:
    seed = int(rng.integers(1000))
    truth = nks.snn.switching_population(4, 2, connection_probability=0.6, rng=seed)
    return nks.snn.simulate_switching_population(truth, 300, rng=seed)


def pattern_sequence(rng: np.random.Generator) -> xr.Dataset:
    pattern = ("time", "cell"), rng.random((60, 40)) < 0.15
    return xr.Dataset({"pattern": pattern}, {"cell": [f"cell {i}" for i in range(40)]})


def adapting_tuning(rng: np.random.Generator) -> xr.Dataset:
    circuit = nks.analysis.gain_circuit(8, 12, alpha=2.0, gamma=0.05)
    model = nks.analysis.RecurrentGainControl.from_parameters(circuit)
    return model.simulate(2, noise=0.02, rng=rng)


CASES = {
    "RecurrentGainControl": Case(nks.analysis.RecurrentGainControl(), adapting_tuning),
    "HMMGLM": Case(
        nks.analysis.HMMGLM(2, nonlinearity="sigmoid", restarts=2, max_iter=40), switching_counts
    ),
    "Sparsey": Case(
        nks.sdr.Sparsey(n_modules=8, n_units=40, signals="UH", exponent=10.0), pattern_sequence
    ),
    "LangevinFlow": Case(
        nks.generative.LangevinFlow(n_latents=4, n_hidden=8, n_steps=200, learning_rate=0.02),
        switching_counts,
    ),
    "Smoothing": Case(nks.generative.Smoothing(smoothing=[0.02, 0.05]), switching_counts),
    "FactorAnalysis": Case(
        nks.generative.FactorAnalysis(n_latents=2, smoothing=0.05), switching_counts
    ),
    "PoissonLDS": Case(
        nks.generative.PoissonLDS(n_latents=2, max_iter=30, tol=1e-3), switching_counts
    ),
}


def public_estimators() -> dict[str, type]:
    """Every concrete estimator that any module of the rooms defines."""
    found = {}
    for room in ROOMS:
        try:
            package = importlib.import_module(f"neurokit_sdr.{room}")
        except ModuleNotFoundError:
            continue
        modules = [package]
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            modules.append(importlib.import_module(info.name))
        for module in modules:
            for name, member in vars(module).items():
                concrete = inspect.isclass(member) and not inspect.isabstract(member)
                if concrete and issubclass(member, Estimator) and not name.startswith("_"):
                    found[name] = member
    return found


def test_every_public_estimator_is_checked():
    found = public_estimators()
    assert found, "none found: the walk is broken"
    assert set(found) == set(CASES), "give each estimator a row in CASES"
    for name, case in CASES.items():
        assert type(case.estimator) is found[name]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(name, check):
    case = CASES[name]
    check(copy.deepcopy(case.estimator), case.make_data)


@pytest.mark.parametrize("name", CASES)
def test_estimators_can_be_loaded_without_being_imported(name):
    points = importlib.metadata.entry_points(group=results.ENTRY_POINTS)
    named = {point.name: point.value for point in points}
    cls = type(CASES[name].estimator)
    assert named[name] == f"{cls.__module__}:{cls.__qualname__}"


class Broken(nks.analysis.HMMGLM):
    """Breaks one promise after another, to see that each is noticed."""

    breaks: Any = None

    def fit(self, data, *, rng=None, progress=True, checkpoint=None):
        """Fit."""
        if self.breaks == "rng":
            np.random.rand()  # noqa: NPY002
        if self.breaks == "input":
            data["count"].values[0] = 0
        if self.breaks == "prints":
            print("fitting")
        super().fit(data, rng=None if self.breaks == "seed" else rng, progress=progress)
        if self.breaks == "attribute":
            self.extra_ = 1
        if self.breaks == "attrs":
            del self.result_.attrs["status"]
        return self


@pytest.mark.parametrize(
    ("breaks", "check"),
    [
        ("rng", "check_global_randomness_is_untouched"),
        ("input", "check_input_stays_unchanged"),
        ("prints", "check_bars_show_and_can_be_silenced"),
        ("seed", "check_same_seed_same_result"),
        ("attribute", "check_fit_returns_self_and_sets_one_attribute"),
        ("attrs", "check_result_says_where_it_comes_from"),
    ],
)
def test_checks_notice_a_broken_promise(breaks, check, monkeypatch):
    monkeypatch.setattr(Broken, "breaks", breaks)
    broken = Broken(2, nonlinearity="sigmoid", restarts=1, max_iter=10)
    with pytest.raises((AssertionError, KeyError)):
        {c.__name__: c for c in CHECKS}[check](broken, switching_counts)
    results._registry.pop((Broken.__module__.partition(".")[0], "Broken"), None)


def test_check_estimator_runs_them_all(monkeypatch):
    ran = []
    monkeypatch.setattr(
        estimator_checks, "CHECKS", [lambda *_, n=n: ran.append(n) for n in range(len(CHECKS))]
    )
    case = CASES["HMMGLM"]
    check_estimator(case.estimator, case.make_data)
    assert ran == list(range(len(CHECKS)))
    assert len(ran) > 30


def test_a_file_of_an_unknown_estimator_says_which_are_known(tmp_path):
    case = CASES["HMMGLM"]
    model = estimator_checks.fit(
        copy.deepcopy(case.estimator), switching_counts(np.random.default_rng(0))
    )
    model.result_.attrs["estimator"] = "HMMGML"
    nks.save_result(model, tmp_path / "fit.nc")
    with pytest.raises(FileFormatError, match="Did you mean 'HMMGLM'"):
        nks.load_result(tmp_path / "fit.nc")
