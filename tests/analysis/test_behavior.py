"""States against position and speed: recovery of a known relation, and its absence."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import SchemaError

SECONDS, WIDTH = 400, 0.02


def recording(state_of_position):
    """An animal that runs to and fro on a tilted track of 100 cm, 10 s each way."""
    clock = np.arange(0, SECONDS, 1 / 30)
    along = 50 * (1 - np.cos(2 * np.pi * clock / 20))
    position = np.stack([along * np.cos(0.3), along * np.sin(0.3) + 7], axis=1)
    behavior = xr.Dataset(
        {"position": (("time", "space"), position, {"units": "cm"})},
        coords={"time": ("time", clock, {"units": "s"}), "space": ["x", "y"]},
    )
    time = (np.arange(int(SECONDS / WIDTH)) + 0.5) * WIDTH
    state = state_of_position(50 * (1 - np.cos(2 * np.pi * time / 20)))
    states = xr.Dataset(
        {"state": ("time", state), "state_probability": (("time", "state"), np.eye(2)[state])},
        coords={"time": ("time", time, {"units": "s"})},
    )
    return states, behavior


def test_a_state_that_is_half_the_track():
    states, behavior = recording(lambda along: (along > 50).astype(int))
    found = nks.analysis.states_by_position(states, behavior, 20, rng=0)
    np.testing.assert_allclose(found["occupancy"].sum("state"), 1)
    assert (found["occupancy"].values[1, 11:] == 1).all()
    assert (found["occupancy"].values[1, :9] == 0).all()
    # The halves take the same time and the state follows from the position: one bit.
    assert found.attrs["mutual_information"] == pytest.approx(1, abs=0.02)
    # At peak the animal runs 50 * 2 pi / 20 cm/s.
    fastest = found["speed"].sel(quantile=0.95).values
    assert (fastest < 50 * 2 * np.pi / 20).all()
    assert (fastest > 0.9 * 50 * 2 * np.pi / 20).all()
    assert found["position_bin"].attrs["units"] == "cm"
    assert found["speed"].attrs["units"] == "cm/s"
    assert found.attrs["bins_used"] <= found.attrs["bins_total"] == len(states["time"])


def test_states_without_relation_are_not_significant():
    rng = np.random.default_rng(0)
    blocks = np.repeat(rng.integers(2, size=400), 50)
    states, behavior = recording(lambda along: blocks)
    assert nks.analysis.states_by_position(states, behavior, rng=0).attrs["shift_p_value"] > 0.01


def test_lost_tracking_is_left_out_not_invented():
    states, behavior = recording(lambda along: (along > 50).astype(int))
    lost = behavior.copy(deep=True)
    lost["position"].values[3000:6000] = np.nan
    found = nks.analysis.states_by_position(states, lost, rng=0)
    whole = nks.analysis.states_by_position(states, behavior, rng=0)
    # 100 s of tracking are missing, and the bins whose speed would need them.
    gone = whole.attrs["bins_used"] - found.attrs["bins_used"]
    assert 100 / WIDTH - 2 <= gone <= 101 / WIDTH


@pytest.mark.parametrize("wrong", ["none", "clock", "nan", "trials"])
def test_what_cannot_be_related(wrong):
    states, behavior = recording(lambda along: (along > 50).astype(int))
    if wrong == "none":
        behavior = behavior.drop_vars("position")
    elif wrong == "clock":
        behavior = behavior.assign_coords(time=behavior["time"] + 1e5)
    elif wrong == "nan":
        behavior = behavior * np.nan
    else:
        path = states["state"].values[None]
        states = xr.Dataset(
            {
                "state": (("trial", "time"), path),
                "state_probability": (("trial", "time", "state"), np.eye(2)[path]),
            },
            coords={"time": states["time"].values},
        )
    with pytest.raises(SchemaError, match=r"Expected .*"):
        nks.analysis.states_by_position(states, behavior)
