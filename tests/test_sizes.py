"""No file is too long to be read at a sitting."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 600
FOLDERS = ("neurokit_sdr", "tests", "benchmarks", "tutorials", "data")


def files(folder: Path) -> list[Path]:
    """Every Python file of ours below a folder; environments in hidden folders are others'."""
    found = sorted(folder.rglob("*.py"))
    return [p for p in found if not any(n.startswith(".") for n in p.relative_to(ROOT).parts)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_over_600_lines(folder):
    found = files(ROOT / folder)
    assert found
    lines = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in found}
    assert {name: n for name, n in lines.items() if n > LONGEST} == {}
