"""What instruments do to spikes and currents: pure functions on arrays.

:mod:`neurokit_sdr.snn.observe` checks, calls and labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurokit_sdr.core.errors import MissingDependencyError

try:
    import numba
except ImportError as error:
    raise MissingDependencyError(
        "Observing simulated populations needs numba: pip install 'neurokit-sdr[analysis]'."
    ) from error

#: mu_0 / 4 pi in T m / A: what SI fixed until 2019, and to nine digits what is measured since.
MAGNETIC_CONSTANT = 1e-7

#: Numbers below this are taken for zero: a silent unit's calcium would otherwise decay into
#: subnormal numbers, which processors handle a hundred times slower.
NEGLIGIBLE = 1e-200


# -- calcium ------------------------------------------------------------------------------------


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


# -- spike sorting ------------------------------------------------------------------------------


class SortedSpikes(NamedTuple):
    """What a spike sorter gives.

    Attributes
    ----------
    time
        Seconds, unit after unit and ascending in each, shape (spike,).
    unit
        Position of the recorded unit, shape (spike,).
    source
        Position of the true unit that fired, -1 for a false spike, shape (spike,).
    missed
        Spikes of each true unit that were not recorded, shape (true unit,).
    """

    time: np.ndarray
    unit: np.ndarray
    source: np.ndarray
    missed: np.ndarray


def sort_spikes(
    spike_time: np.ndarray,
    spike_unit: np.ndarray,
    recorded_as: np.ndarray,
    miss_rate: float,
    false_rate: float,
    window: tuple[float, float],
    miss_rng: np.random.Generator,
    false_rng: np.random.Generator,
) -> SortedSpikes:
    """Miss spikes, add false ones and give each to the unit its true unit is recorded as.

    Parameters
    ----------
    spike_time, spike_unit
        True spikes in seconds, and the position of their unit, shape (spike,).
    recorded_as
        Position of the recorded unit of each true unit, from 0 without gaps, shape (true unit,).
    miss_rate
        Probability that a spike is missed.
    false_rate
        False spikes per second and recorded unit, a Poisson process.
    window
        First and last moment in seconds.
    miss_rng, false_rng
        Generators, one for each kind of error.
    """
    kept = miss_rng.random(spike_time.size) >= miss_rate
    n_recorded = int(recorded_as.max()) + 1
    number = false_rng.poisson(false_rate * (window[1] - window[0]), n_recorded)
    false_time = false_rng.uniform(*window, int(number.sum()))
    time = np.concatenate([spike_time[kept], false_time])
    unit = np.concatenate([recorded_as[spike_unit[kept]], np.repeat(np.arange(n_recorded), number)])
    source = np.concatenate([spike_unit[kept], np.full(false_time.size, -1)])
    order = np.lexsort((time, unit))
    missed = np.bincount(spike_unit[~kept], minlength=recorded_as.size)
    return SortedSpikes(time[order], unit[order], source[order], missed)


# -- sensors ------------------------------------------------------------------------------------


def monopole_potential(contact: np.ndarray, source: np.ndarray, conductivity: float) -> np.ndarray:
    r"""Potential of a current source of 1 A in an infinite homogeneous conductor.

    .. math:: \phi(r) = \frac{1}{4\pi\sigma\, |r - r_0|}

    Parameters
    ----------
    contact, source
        Metres, shapes (channel, 3) and (source, 3).
    conductivity
        In S/m.

    Returns
    -------
    numpy.ndarray, shape ``(channel, source)``
        V per A.
    """
    distance = np.linalg.norm(contact[:, None] - source, axis=2)
    return 1.0 / (4 * np.pi * conductivity * distance)


def dipole_potential(
    contact: np.ndarray, source: np.ndarray, direction: np.ndarray, conductivity: float
) -> np.ndarray:
    r"""Potential of a current dipole of 1 A m in an infinite homogeneous conductor.

    .. math:: \phi(r) = \frac{q \cdot (r - r_0)}{4\pi\sigma\, |r - r_0|^3}

    Parameters
    ----------
    contact, source, direction
        Shapes (channel, 3), (source, 3) and (source, 3); positions in metres, directions of
        length 1.
    conductivity
        In S/m.

    Returns
    -------
    numpy.ndarray, shape ``(channel, source)``
        V per A m.
    """
    away = contact[:, None] - source
    distance = np.linalg.norm(away, axis=2)
    return (away * direction).sum(axis=2) / (4 * np.pi * conductivity * distance**3)


def sphere_field(sensor: np.ndarray, source: np.ndarray, direction: np.ndarray) -> np.ndarray:
    r"""Magnetic field outside a spherical conductor of a current dipole of 1 A m inside it.

    Sarvas (1987), with the sphere's centre as origin, :math:`a = r - r_0`:

    .. math::

       B(r) = \frac{\mu_0}{4\pi F^2} \big(F\, q \times r_0 - (q \times r_0 \cdot r) \nabla F\big),
       \quad F = |a| (|r| |a| + |r|^2 - r_0 \cdot r),

       \nabla F = \Big(\frac{|a|^2}{|r|} + \frac{a \cdot r}{|a|} + 2|a| + 2|r|\Big) r
       - \Big(|a| + 2|r| + \frac{a \cdot r}{|a|}\Big) r_0 .

    The sphere's radius and its radial profile of conductivity do not matter.

    Parameters
    ----------
    sensor, source, direction
        Shapes (channel, 3), (source, 3) and (source, 3); positions in metres, directions of
        length 1.

    Returns
    -------
    numpy.ndarray, shape ``(channel, source, 3)``
        T per A m.
    """
    r, r0 = sensor[:, None], source[None]
    a = r - r0
    a_norm = np.linalg.norm(a, axis=2, keepdims=True)
    r_norm = np.linalg.norm(r, axis=2, keepdims=True)
    a_r = (a * r).sum(axis=2, keepdims=True)
    f = a_norm * (r_norm * a_norm + r_norm**2 - (r0 * r).sum(axis=2, keepdims=True))
    gradient = (a_norm**2 / r_norm + a_r / a_norm + 2 * a_norm + 2 * r_norm) * r - (
        a_norm + 2 * r_norm + a_r / a_norm
    ) * r0
    turn = np.cross(direction, source)[None]
    return MAGNETIC_CONSTANT * (f * turn - (turn * r).sum(axis=2, keepdims=True) * gradient) / f**2


def helmet(number: int, radius: float) -> np.ndarray:
    """Points spread evenly (Fibonacci spiral) over the upper half of a sphere, (channel, 3)."""
    index = np.arange(number)
    height = 1.0 - (index + 0.5) / number
    angle = index * np.pi * (3.0 - np.sqrt(5.0))
    across = np.sqrt(1.0 - height**2)
    return radius * np.stack([across * np.cos(angle), across * np.sin(angle), height], axis=1)


def shaft(number: int, tip: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Points in a row from ``tip``, each ``step`` further, shape (channel, 3)."""
    return tip + np.arange(number)[:, None] * step


def random_directions(number: int, rng: np.random.Generator) -> np.ndarray:
    """Vectors of length 1, uniform over the sphere, shape (number, 3)."""
    direction = rng.standard_normal((number, 3))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True)


def random_positions(
    number: int, inner: float, outer: float, rng: np.random.Generator
) -> np.ndarray:
    """Points uniform in the volume of the upper half of a shell, shape (number, 3)."""
    direction = random_directions(number, rng)
    direction[:, 2] = np.abs(direction[:, 2])
    return np.cbrt(rng.uniform(inner**3, outer**3, number))[:, None] * direction


def block_means(values: np.ndarray, size: int) -> np.ndarray:
    """Means over blocks of ``size`` along the first axis; an incomplete last block is left out."""
    number = values.shape[0] // size
    return values[: number * size].reshape(number, size, *values.shape[1:]).mean(axis=1)
