"""Rows of the public BIDS datasets, by the standard library."""

from __future__ import annotations

import csv
from pathlib import Path

HFO = "sub-01/ieeg/sub-01_task-interictalsleep_run-01"


DBS = "sub-testsub/ses-EphysMedOff/ieeg/sub-testsub_ses-EphysMedOff"


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a table, by the standard library."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def column(rows: list[dict[str, str]], name: str) -> list[str]:
    return [row[name] for row in rows]
