"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
