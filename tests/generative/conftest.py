"""One small flow, trained once, for every test of flows."""

from __future__ import annotations

import pytest
from flow_problems import LangevinFlow, compile_quickly, fit, recording


@pytest.fixture(scope="module")
def quickly():
    with pytest.MonkeyPatch.context() as patch:
        compile_quickly(patch)
        yield


@pytest.fixture(scope="session")
def fitted() -> LangevinFlow:
    with pytest.MonkeyPatch.context() as patch:
        compile_quickly(patch)
        return fit(recording(0))
