"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from compiled import stale

import neurokit_sdr as nks


def pytest_configure(config: pytest.Config) -> None:
    """Compile again what was compiled from other sources, before any worker of xdist begins."""
    if not hasattr(config, "workerinput"):
        for code in stale(Path(nks.__file__).parent):
            code.unlink(missing_ok=True)


#: A package of its own: its test puts it where it can be imported.
collect_ignore = ["example_package"]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real recordings: NEUROKIT_SDR_DATA, else ../shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    named = os.environ.get("NEUROKIT_SDR_DATA")
    folder = Path(named).expanduser() if named else beside
    if not folder.is_dir():
        pytest.skip(
            "no real recordings: NEUROKIT_SDR_DATA names no folder, and there is no ../shared/data"
        )
    return folder


def chosen_seeds() -> list[int]:
    """The seeds of tests that take ``seed``: 0, or those of NEUROKIT_SDR_SEEDS ("0-99", "3,7")."""
    seeds: list[int] = []
    for part in os.environ.get("NEUROKIT_SDR_SEEDS", "0").split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that asks for ``seed``, and sets none itself, the chosen seeds."""
    marks = metafunc.definition.iter_markers("parametrize")
    named = [name for mark in marks for name in str(mark.args[0]).replace(",", " ").split()]
    if "seed" in metafunc.fixturenames and "seed" not in named:
        metafunc.parametrize("seed", chosen_seeds())
