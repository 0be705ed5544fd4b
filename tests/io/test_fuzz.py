"""A short run of the fuzz harness over every family of formats."""

from __future__ import annotations

import random
import shutil

import pytest
from fuzz_readers import FAMILIES, Worker, damage, fuzz

#: Each of its files is read in another process first, because SciPy's reader can die of it.
SLOW = {"matlab"}


@pytest.fixture(scope="module")
def worker():
    made = Worker()
    yield made
    made.stop()


@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=[pytest.mark.slow] if f in SLOW else []) for f in FAMILIES]
)
def test_damaged_files_are_read_or_refused(worker, family):
    report = fuzz(worker, family, 15, seed=1)
    assert report.findings == []
    assert sum(report.outcomes.values()) == 15


def test_damage_is_the_same_for_the_same_seed(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    FAMILIES["phy"](whole)
    made = []
    for k in range(2):
        copy = tmp_path / str(k)
        shutil.copytree(whole, copy)
        how = damage(copy, random.Random("x"))
        made.append((how, [p.read_bytes() for p in sorted(copy.rglob("*")) if p.is_file()]))
    assert made[0] == made[1]
