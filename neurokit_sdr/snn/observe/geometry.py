"""Where sensors and populations lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurokit_sdr.core.arguments import Interval, check
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import stream

#: Between two contacts of the default shaft, in metres.
CONTACT_SPACING = 3.5e-3

#: Radius of the default helmet of magnetometers, in metres.
HELMET_RADIUS = 0.12

#: Where populations without a given position lie: the shell between these radii, in metres.
SOURCE_SHELL = (0.05, 0.07)

#: A contact nearer to a population than this, in metres, lies inside it: no point any more.
NEAREST_CONTACT = 1e-4


def place_sensors(positions: Any, kind: str) -> np.ndarray:
    """Sensors as they were given, or so many of the default ones, shape (channel, 3)."""
    if np.ndim(positions) > 0:
        return _points(positions, "positions in m")
    if kind == "meg":
        check("positions", positions, Interval(int, 1))
        return helmet(int(positions), HELMET_RADIUS)
    tip = np.array([0.075, 0.0, 0.03])
    longest = int(2 * tip[0] / CONTACT_SPACING) + 1
    check("positions", positions, Interval(int, 1, longest))
    return shaft(int(positions), tip, np.array([-CONTACT_SPACING, 0.0, 0.0]))


def place_populations(given: Any, number: int, seed: int) -> np.ndarray:
    """Populations as they were given, or drawn, shape (population, 3)."""
    if given is not None:
        return _points(given, "source_positions in m, one per population,", number)
    return random_positions(number, *SOURCE_SHELL, stream(seed, "sensors", "positions"))


def orient_dipoles(given: Any, number: int, seed: int) -> np.ndarray:
    """Directions of length 1 as they were given, or drawn, shape (population, 3)."""
    if given is None:
        return random_directions(number, stream(seed, "sensors", "orientations"))
    direction = _points(given, "source_orientations, one per population,", number)
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    if (length == 0).any():
        raise ParameterError(
            f"Expected source_orientations of any length but 0, got 0 for population "
            f"{int(np.argmin(length))}: give it a direction."
        )
    return direction / length


def _points(values: Any, name: str, number: int | None = None) -> np.ndarray:
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    rows = "at least one row" if number is None else f"{number} rows"
    fits = points.ndim == 2 and points.shape[1] == 3 and len(points) >= 1
    if not fits or number not in (None, len(points)) or not np.isfinite(points).all():
        raise ParameterError(
            f"Expected {name} as {rows} of three finite numbers x, y, z, got {values!r}."
        )
    return points


def check_geometry(sensor: np.ndarray, source: np.ndarray, kind: str) -> None:
    """Raise where a sensor lies in a population, or a magnetometer among them."""
    if kind == "seeg":
        distance = np.linalg.norm(sensor[:, None] - source, axis=2)
        if distance.min() < NEAREST_CONTACT:
            channel, population = np.unravel_index(int(np.argmin(distance)), distance.shape)
            raise ParameterError(
                f"Expected contacts at least {NEAREST_CONTACT:g} m from every population, got "
                f"{distance.min():g} m from contact {channel} to population {population}: a "
                f"point's potential has no limit; move one of them."
            )
    elif np.linalg.norm(sensor, axis=1).min() <= np.linalg.norm(source, axis=1).max():
        raise ParameterError(
            f"Expected magnetometers outside the sphere around the origin that holds all "
            f"populations, got radii from {np.linalg.norm(sensor, axis=1).min():g} m with a "
            f"population at {np.linalg.norm(source, axis=1).max():g} m: move them outwards."
        )


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
