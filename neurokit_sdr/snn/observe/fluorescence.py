"""Calcium and light as functions of arrays."""

from __future__ import annotations

import numba
import numpy as np

#: Numbers below this are taken for zero: a silent unit's calcium would otherwise decay into
#: subnormal numbers, which processors handle a hundred times slower.
NEGLIGIBLE = 1e-200


def kernel_peak(rise_time: float, decay_time: float) -> float:
    """The largest value of ``exp(-t / decay_time) - exp(-t / rise_time)``."""
    if rise_time == 0:
        return 1.0
    moment = np.log(decay_time / rise_time) * rise_time * decay_time / (decay_time - rise_time)
    return float(np.exp(-moment / decay_time) - np.exp(-moment / rise_time))


def calcium_trace(
    frame_time: np.ndarray,
    spike_time: np.ndarray,
    spike_unit: np.ndarray,
    n_units: int,
    rise_time: float,
    decay_time: float,
) -> np.ndarray:
    """Sum of double-exponential responses to each unit's spikes, exactly at the frame times.

    Parameters
    ----------
    frame_time
        Seconds, ascending, shape (frame,). The clock may be irregular.
    spike_time, spike_unit
        Seconds in any order, and the position of the unit, shape (spike,).
    n_units
        How many units.
    rise_time, decay_time
        Time constants in seconds, ``0 <= rise_time < decay_time``.

    Returns
    -------
    numpy.ndarray, shape ``(frame, unit)``
        The response to one spike peaks at 1.
    """
    order = np.argsort(spike_time, kind="stable")
    trace = np.empty((frame_time.size, n_units))
    _fill_trace(
        np.ascontiguousarray(frame_time, dtype=np.float64),
        np.asarray(spike_time, dtype=np.float64)[order],
        np.asarray(spike_unit, dtype=np.int64)[order],
        float(rise_time),
        float(decay_time),
        1.0 / kernel_peak(rise_time, decay_time),
        trace,
    )
    return trace


@numba.njit(cache=True)
def _fill_trace(frame_time, spike_time, spike_unit, rise_time, decay_time, scale, trace):
    n_frames, n_units = trace.shape
    slow, fast = np.zeros(n_units), np.zeros(n_units)
    spike = 0
    for f in range(n_frames):
        now = frame_time[f]
        passed = now - frame_time[f - 1] if f else 0.0
        keep_slow = np.exp(-passed / decay_time)
        keep_fast = np.exp(-passed / rise_time) if rise_time > 0.0 else 0.0
        for u in range(n_units):
            slow[u] = slow[u] * keep_slow if slow[u] > NEGLIGIBLE else 0.0
            fast[u] = fast[u] * keep_fast if fast[u] > NEGLIGIBLE else 0.0
        while spike < spike_time.size and spike_time[spike] <= now:
            age = now - spike_time[spike]
            slow[spike_unit[spike]] += np.exp(-age / decay_time)
            if rise_time > 0.0:
                fast[spike_unit[spike]] += np.exp(-age / rise_time)
            spike += 1
        for u in range(n_units):
            trace[f, u] = scale * (slow[u] - fast[u])


def saturate(calcium: np.ndarray, ceiling: float, exponent: float) -> np.ndarray:
    """``ceiling * c**n / (c**n + ceiling**n)``: half the ceiling where calcium equals it."""
    # Rounding may leave -1e-17 where a response is zero; a power of it would be NaN.
    share = np.maximum(calcium, 0.0)
    share /= ceiling  # in place: traces are large
    share **= exponent
    share /= 1.0 + share
    share *= ceiling
    return share


def light_leak(position: np.ndarray, length: float, strength: float) -> np.ndarray:
    """``strength * exp(-(distance / length)**2)`` between units, 1 on the diagonal.

    Parameters
    ----------
    position
        Metres, shape (unit, space).
    length
        In metres.
    strength
        Share of a neighbour's light at distance 0.

    Returns
    -------
    numpy.ndarray, shape ``(unit, unit)``
        Symmetric.
    """
    square = np.zeros((len(position), len(position)))
    for axis in position.T:
        square += np.subtract.outer(axis, axis) ** 2
    leak = strength * np.exp(-square / length**2)
    np.fill_diagonal(leak, 1.0)
    return leak
