"""Adding a model, done: a package of its own whose model keeps every promise."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from estimator_checks import CHECKS, check_estimator

import neurokit_sdr as nks
from neurokit_sdr.core import results
from neurokit_sdr.core.errors import FileFormatError

PACKAGE = Path(__file__).parents[1] / "example_package"


def counts(rng: np.random.Generator) -> xr.Dataset:
    seed = int(rng.integers(1000))
    truth = nks.snn.switching_population(4, 2, connection_probability=0.6, rng=seed)
    return nks.snn.simulate_switching_population(truth, 300, rng=seed)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """What installing it leaves: its code, and its entry points as its pyproject names them."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("site")
    (folder / "mean_rate").symlink_to(PACKAGE / "mean_rate", target_is_directory=True)
    information = folder / f"mean_rate-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def package(installed, monkeypatch) -> Iterator[object]:
    monkeypatch.syspath_prepend(str(installed))
    import mean_rate

    yield mean_rate
    for name in [n for n in sys.modules if n.partition(".")[0] == "mean_rate"]:
        del sys.modules[name]
    results._registry.pop(("mean_rate", "MeanRate"), None)


def test_it_keeps_every_promise(package):
    check_estimator(package.MeanRate(), counts)
    assert len(CHECKS) > 30


def test_its_example_runs(package):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    done = doctest.testmod(sys.modules["mean_rate.model"], optionflags=options)
    assert (done.failed, done.attempted > 0) == (0, True)


def in_a_fresh_process(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run code where only these folders are imported from besides what is installed."""
    here = Path(nks.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [here, *folders]))}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


def test_its_files_open_where_it_is_installed_and_say_whose_they_are_where_not(
    package, installed, tmp_path
):
    data = counts(np.random.default_rng(0))
    model = package.MeanRate().fit(data, rng=0, progress=False)
    nks.save_result(model, tmp_path / "fit.nc")
    code = (
        "import json, sys, neurokit_sdr as nks; before = 'mean_rate' in sys.modules; "
        f"model = nks.load_result({str(tmp_path / 'fit.nc')!r}); "
        "print(json.dumps([before, type(model).__name__, list(model.result_.mean_count.values)]))"
    )
    opened = in_a_fresh_process(code, installed)
    assert json.loads(opened.stdout) == [
        False,
        "MeanRate",
        model.result_["mean_count"].values.tolist(),
    ]
    missing = in_a_fresh_process(code)
    said = missing.stderr.strip().splitlines()[-1]
    assert FileFormatError.__name__ in said
    assert "'MeanRate' of mean_rate, which is not installed here" in said


def test_its_rates_are_those_that_are_most_likely(package):
    """The derivative of the log likelihood, by finite differences, is 0 without a pseudo-count."""
    data = counts(np.random.default_rng(1))
    model = package.MeanRate(pseudo_count=1e-12).fit(data, rng=0, progress=False)
    best = model.result_["mean_count"].values
    for unit in range(len(best)):
        scores = []
        for step in (-1e-3, 0.0, 1e-3):
            moved = model.result_.copy(deep=True)
            moved["mean_count"].values[unit] *= 1 + step
            scores.append(package.MeanRate.from_parameters(moved).score(data))
        assert scores[1] > max(scores[0], scores[2])


def test_rates_of_a_simulation_come_back(package, seed):
    parameters = xr.Dataset(
        {"mean_count": ("unit", [0.1, 1.0, 5.0])}, {"unit": list("abc")}, {"bin_size": 0.02}
    )
    n_bins = 2000
    simulated = package.MeanRate.from_parameters(parameters).simulate(n_bins, rng=seed)
    found = package.MeanRate().fit(simulated, rng=0, progress=False).result_["mean_count"]
    standard_error = np.sqrt(parameters["mean_count"] / n_bins)
    assert (abs(found - parameters["mean_count"]) < 5 * standard_error + 0.5 / n_bins).all()
