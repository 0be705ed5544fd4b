"""What an animal does while its neurons are in one state or another."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Interval
from neurokit_sdr.core.schema import describe
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream

#: Speed is the displacement over this many seconds: tracking jitters from frame to frame.
SPEED_WINDOW = 0.5

#: Gaps in tracking longer than this many seconds are not bridged.
LONGEST_GAP = 0.5

#: Circular shifts that the mutual information is compared with.
SHIFTS = 500

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def states_by_position(
    states: xr.Dataset, behavior: xr.Dataset, n_position_bins: int = 20, *, rng: RNG = None
) -> xr.Dataset:
    r"""Relate states to where the animal is along its track and how fast it moves.

    The position is projected on its first principal component, a straight track's long axis. The
    mutual information of state and position bin is compared with that after circular shifts of
    the states by at least a tenth of the recording, which keep both time courses and break their
    relation.

    Parameters
    ----------
    states
        ``state(time)`` and ``state_probability(time, state)``, as ``HMMGLM.predict`` returns.
    behavior
        ``position(time, space)`` on its own clock in seconds; NaN where tracking was lost.
    n_position_bins
        Bins of equal width along the track.
    rng
        Seed or generator of the shifts.

    Returns
    -------
    xarray.Dataset
        ``occupancy(state, position_bin)``, the share of the time at a position that each state
        takes (columns sum to 1); ``speed(state, quantile)`` in position units per second;
        ``time_at_position(position_bin)`` in s. Attributes: ``mutual_information`` and
        ``shift_p_value``, :math:`(1 + k) / (1 + n)` where :math:`k` of :math:`n` shifts reach it;
        ``bins_used`` and ``bins_total``.

    Raises
    ------
    SchemaError
        If there is no position, or none at the states' times.
    ParameterError
        If ``n_position_bins`` is not a whole number of at least 2.
    """
    if n_position_bins not in Interval(int, 2):
        raise ParameterError(
            f"Expected n_position_bins to be {Interval(int, 2)}, got {n_position_bins!r}."
        )
    if "state" not in states.variables or "state_probability" not in states.variables:
        raise SchemaError(
            f"Expected state and state_probability as predict returns, got {describe(states)}."
        )
    if "position" not in behavior or behavior["position"].dims != ("time", "space"):
        raise SchemaError(
            "Expected behavior with position(time, space), as /behavior of a session holds it."
        )
    if states["state"].dims != ("time",):
        raise SchemaError(f"Expected state(time), got {states['state'].dims}: select one trial.")
    time = states["time"].values
    position = _along_track(behavior, time)
    ahead = np.interp(time + SPEED_WINDOW / 2, time, position, left=np.nan, right=np.nan)
    behind = np.interp(time - SPEED_WINDOW / 2, time, position, left=np.nan, right=np.nan)
    speed = np.abs(ahead - behind) / SPEED_WINDOW
    path = states["state"].values
    used = np.isfinite(position) & np.isfinite(speed) & (path >= 0)
    if used.sum() < n_position_bins:
        raise SchemaError(
            f"Expected positions at the states' times, got {int(used.sum())} of {len(time)} bins "
            f"with one: do both run on the same clock, in seconds?"
        )
    position, speed, path = position[used], speed[used], path[used]
    n_states = states.sizes["state"]
    edges = np.linspace(position.min(), position.max(), n_position_bins + 1)
    place = np.clip(np.digitize(position, edges) - 1, 0, n_position_bins - 1)
    joint = _joint(path, place, n_states, n_position_bins)
    information = _mutual_information(joint)
    generator = stream(resolve_seed(rng), "states_by_position")
    shifts = generator.integers(len(path) // 10, len(path) - len(path) // 10, SHIFTS)
    shifted = [
        _mutual_information(_joint(np.roll(path, k), place, n_states, n_position_bins))
        for k in shifts
    ]
    units = str(behavior["position"].attrs.get("units", "1"))
    quantiles = np.full((n_states, len(QUANTILES)), np.nan)
    for s in range(n_states):
        if (path == s).any():
            quantiles[s] = np.quantile(speed[path == s], QUANTILES)
    width = float(np.median(np.diff(time)))
    total = joint.sum(axis=0)
    return xr.Dataset(
        {
            "occupancy": (
                ("state", "position_bin"),
                np.divide(joint, total, out=np.full(joint.shape, np.nan), where=total > 0),
                {"units": "1", "long_name": "share of time in state"},
            ),
            "speed": (
                ("state", "quantile"),
                quantiles,
                {"units": f"{units}/s", "long_name": "speed along the track"},
            ),
            "time_at_position": (("position_bin",), total * width, {"units": "s"}),
        },
        coords={
            "position_bin": (
                "position_bin",
                (edges[:-1] + edges[1:]) / 2,
                {"units": units, "long_name": "position along the track"},
            ),
            "quantile": list(QUANTILES),
        },
        attrs={
            "mutual_information": information,
            "mutual_information_units": "bits",
            "shift_p_value": float((1 + np.sum(np.array(shifted) >= information)) / (1 + SHIFTS)),
            "bins_used": int(used.sum()),
            "bins_total": len(time),
        },
    )


def _along_track(behavior: xr.Dataset, time: np.ndarray) -> np.ndarray:
    """Position along the first principal component at ``time``; NaN where tracking was lost."""
    known = np.isfinite(behavior["position"].values).all(axis=1)
    clock, place = behavior["time"].values[known], behavior["position"].values[known]
    if len(clock) < 2:
        raise SchemaError("Expected at least two tracked positions, got none to work with.")
    centred = place - place.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    clock, first = np.unique(clock, return_index=True)
    along = np.interp(time, clock, (centred @ axis)[first], left=np.nan, right=np.nan)
    after = np.clip(np.searchsorted(clock, time), 1, len(clock) - 1)
    along[clock[after] - clock[after - 1] > LONGEST_GAP] = np.nan
    return along


def _joint(path: np.ndarray, place: np.ndarray, n_states: int, n_places: int) -> np.ndarray:
    flat = np.bincount(path * n_places + place, minlength=n_states * n_places)
    return flat.reshape(n_states, n_places).astype(float)


def _mutual_information(joint: np.ndarray) -> float:
    """In bits."""
    p = joint / joint.sum()
    independent = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    seen = p > 0
    return float(np.sum(p[seen] * np.log2(p[seen] / independent[seen])))
