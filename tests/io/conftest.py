"""Files that tests of several readers read."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def raw_file(tmp_path: Path) -> Path:
    """A raw recording with gradiometers, magnetometers, EEG, a trigger channel, annotations."""
    pytest.importorskip("mne")
    from mne_files import made_raw

    path = tmp_path / "made_raw.fif"
    made_raw().save(path, fmt="double", verbose="ERROR")
    return path
