"""What MEG and sEEG sensors measure of the populations' synaptic currents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, Options, check
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn.observe.geometry import (
    check_geometry,
    orient_dipoles,
    place_populations,
    place_sensors,
)
from neurokit_sdr.snn.observe.leadfield import dipole_potential, monopole_potential, sphere_field
from neurokit_sdr.snn.observe.sessions import extended, groups_of

#: What one pA of synaptic current stands for: A of a point source ...
AMPERE_PER_PICOAMPERE = 1e-12

#: ... and A m of a dipole whose sink and return current lie this far apart, in metres.
DIPOLE_LENGTH = 1e-4

#: pA in one unit of synaptic current; one mV of drive is that over a leak of 10 nS.
PICOAMPERE_PER = {"pA": 1.0, "mV": 10.0}
_POSITIVE = Interval(float, 0, open_low=True)


_NOT_NEGATIVE = Interval(float, 0)


def sensors(
    session: xr.DataTree,
    positions: int | Sequence[Sequence[float]] | np.ndarray,
    *,
    kind: str = "seeg",
    source: str = "dipole",
    source_positions: Sequence[Sequence[float]] | np.ndarray | None = None,
    source_orientations: Sequence[Sequence[float]] | np.ndarray | None = None,
    scale: float | None = None,
    conductivity: float = 0.33,
    noise: float = 0.0,
    sampling_interval: float | None = None,
    rng: RNG = None,
) -> xr.DataTree:
    r"""MEG or sEEG: a linear mixture of the populations' synaptic currents, by sensor geometry.

    .. math:: s_c(t) = \sum_p L_{cp}\, I_p(t) + \sigma \varepsilon_c(t)

    Each population :math:`p` is one point :math:`r_p`. For ``kind="seeg"`` the contacts lie in an
    infinite homogeneous conductor and measure a potential against infinity,

    .. math:: L_{cp} = \frac{k\; \hat q_p \cdot (r_c - r_p)}{4\pi\sigma_0 |r_c - r_p|^3}
              \text{ (dipole)} \qquad \text{or} \qquad
              L_{cp} = \frac{k}{4\pi\sigma_0 |r_c - r_p|} \text{ (monopole)}.

    For ``kind="meg"`` magnetometers outside a spherical conductor around the origin measure the
    field along their radius, :math:`L_{cp} = k\, B(r_c; r_p, \hat q_p) \cdot \hat r_c`, with
    Sarvas' (1987) field of a dipole, volume currents included. Radial dipoles are silent there.

    Parameters
    ----------
    session
        With ``/current``: ``synaptic_current(time, population)``, which
        ``nks.snn.simulate(..., record_current=True)`` records.
    positions
        Sensors as (channel, 3) in m; or how many. Then sEEG contacts lie in a row 3.5 mm apart,
        from (0.075, 0, 0.03) m along -x, and magnetometers evenly over the upper half of a sphere
        of 0.12 m.
    kind
        ``"seeg"`` (V) or ``"meg"`` (T).
    source
        ``"dipole"`` or, for sEEG, ``"monopole"``.
    source_positions
        Of the populations, (population, 3) in m. None draws them uniformly in the upper half of
        the shell from 0.05 to 0.07 m: the same for both kinds, given the seed.
    source_orientations
        Directions :math:`\hat q_p` of the dipoles, (population, 3) of any length but 0. None draws
        them uniformly.
    scale
        :math:`k`, what one unit of synaptic current stands for: A m for dipoles, A for monopoles.
        None takes 1 pA as 1e-12 A, and for dipoles puts its sink and return current 0.1 mm apart
        (1e-16 A m), a round number for pyramidal cells and not a measurement; 1 mV of a
        current-based model counts as 10 pA, its current through a leak of 10 nS. Currents in
        another unit need a scale.
    conductivity
        :math:`\sigma_0` in S/m, for sEEG.
    noise
        Standard deviation :math:`\sigma` of a sample, in V or T.
    sampling_interval
        Seconds between samples, a whole multiple of the current's: each sample is the mean over
        its interval, at the interval's middle; an incomplete last one is left out. None samples as
        the current is.
    rng
        Seed or generator.

    Returns
    -------
    xarray.DataTree
        The session and ``/signal``: ``signal(time, channel)`` in V or T, per channel
        ``channel_type`` ("seeg" or "mag"), ``channel_unit``, ``bad``, ``x``, ``y``, ``z`` in m and
        ``coord_frame`` ("head": the origin is the sphere's centre). ``/truth`` gains
        ``leadfield(channel, population)`` in V or T per unit of current, with :math:`k` in it, and
        ``population_x``, ``_y``, ``_z`` in m; of dipoles ``orientation_x``, ``_y``, ``_z``.

    Raises
    ------
    SchemaError
        If the session has no ``/current`` or one that is not finite; or holds ``/signal`` already.
    ParameterError
        If an argument is out of range, a contact lies in a population, or a magnetometer not
        outside the sphere that holds all populations.

    References
    ----------
    Sarvas, Physics in Medicine and Biology 32 (1987) 11-22.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from neurokit_sdr.snn import observe
    >>> current = xr.Dataset(
    ...     {"synaptic_current": (("time", "population"), np.ones((3, 1)), {"units": "pA"})},
    ...     coords={"time": ("time", [0.0, 0.1, 0.2], {"units": "s"}), "population": ["e"]},
    ... )
    >>> session = xr.DataTree.from_dict({"/current": current})
    >>> contacts = [[0.01, 0, 0], [0.02, 0, 0]]
    >>> seen = observe.sensors(session, contacts, source="monopole", source_positions=[[0, 0, 0]])
    >>> potential = seen["/signal/signal"].values[0]
    >>> round(potential[0] / potential[1], 6)
    np.float64(2.0)
    """
    check("kind", kind, Options("seeg", "meg"))
    check("source", source, Options("dipole", "monopole"))
    check("scale", 1.0 if scale is None else scale, _POSITIVE)
    check("conductivity", conductivity, _POSITIVE)
    check("noise", noise, _NOT_NEGATIVE)
    check("sampling_interval", 1.0 if sampling_interval is None else sampling_interval, _POSITIVE)
    if kind == "meg" and source == "monopole":
        raise ParameterError(
            "Expected source='dipole' with kind='meg', got 'monopole': a point source drives its "
            "current evenly in all directions and has no magnetic field."
        )
    seed = resolve_seed(rng)
    groups = groups_of(session, "/signal")
    current = _current(groups)
    time, values = _sampled(current, sampling_interval)
    units = str(current["synaptic_current"].attrs["units"])
    if scale is None:
        if units not in PICOAMPERE_PER:
            raise ParameterError(
                f"Expected scale for a synaptic current in {units!r}, got None: say how many "
                f"{'A m' if source == 'dipole' else 'A'} one {units} stands for; the default for "
                f"one pA is {AMPERE_PER_PICOAMPERE * (DIPOLE_LENGTH if source == 'dipole' else 1)}."
            )
        scale = PICOAMPERE_PER[units] * AMPERE_PER_PICOAMPERE
        scale *= DIPOLE_LENGTH if source == "dipole" else 1.0
    number = current.sizes["population"]
    sensor = place_sensors(positions, kind)
    place = place_populations(source_positions, number, seed)
    direction = orient_dipoles(source_orientations, number, seed) if source == "dipole" else None
    check_geometry(sensor, place, kind)
    if direction is None:
        leadfield = monopole_potential(sensor, place, conductivity)
    elif kind == "seeg":
        leadfield = dipole_potential(sensor, place, direction, conductivity)
    else:
        radial = sensor / np.linalg.norm(sensor, axis=1, keepdims=True)
        field = sphere_field(sensor, place, direction)
        leadfield = (field * radial[:, None]).sum(axis=2)
    leadfield = leadfield * scale
    signal = values @ leadfield.T
    if noise:
        generator = stream(seed, "sensors", "noise")
        for sample in signal:
            sample += noise * generator.standard_normal(sample.size)
    unit = "V" if kind == "seeg" else "T"
    names = np.array([f"{kind.upper()}{k + 1:03d}" for k in range(len(sensor))])
    attrs: dict[str, Any] = {
        "kind": kind,
        "source": source,
        "scale": float(scale),
        "noise": float(noise),
        "seed": seed,
    }
    if kind == "seeg":
        attrs |= {"conductivity": float(conductivity), "reference": "infinity"}
    groups["/signal"] = schema.check(
        xr.Dataset(
            {"signal": (("time", "channel"), signal, {"units": unit, "long_name": kind})},
            coords={
                "time": ("time", time, {"units": "s"}),
                "channel": ("channel", names),
                "channel_type": ("channel", np.full(names.size, {"V": "seeg", "T": "mag"}[unit])),
                "channel_unit": ("channel", np.full(names.size, unit)),
                "bad": ("channel", np.zeros(names.size, dtype=bool)),
                **{k: ("channel", sensor[:, i], {"units": "m"}) for i, k in enumerate("xyz")},
                "coord_frame": ("channel", np.full(names.size, "head")),
            },
            attrs=attrs,
        ),
        "signal",
    )
    known: dict[str, Any] = {
        "leadfield": (("channel", "population"), leadfield, {"units": f"{unit}/{units}"})
    }
    for i, axis in enumerate("xyz"):
        known[f"population_{axis}"] = ("population", place[:, i], {"units": "m"})
        if direction is not None:
            known[f"orientation_{axis}"] = ("population", direction[:, i], {"units": "1"})
    coords: dict[str, Any] = {"channel": ("channel", names)}
    if "population" in current.coords:
        coords["population"] = current["population"].variable
    groups["/truth"] = extended(groups.get("/truth", xr.Dataset()), xr.Dataset(known, coords))
    return xr.DataTree.from_dict(groups)


def _current(groups: dict[str, xr.Dataset]) -> xr.Dataset:
    current = groups.get("/current", xr.Dataset())
    if "synaptic_current" not in current:
        raise SchemaError(
            f"Expected a session with synaptic_current(time, population) in /current, got groups "
            f"{[g for g in groups if g != '/']}: simulate with record_current=True."
        )
    array = current["synaptic_current"]
    if array.dims != ("time", "population") or 0 in array.shape:
        raise SchemaError(
            f"Expected synaptic_current(time, population) with at least one of each, got "
            f"{dict(array.sizes)}: rename or transpose the dimensions."
        )
    if "units" not in array.attrs or "time" not in current.coords:
        raise SchemaError(
            f"Expected synaptic_current with attrs['units'] and a coordinate 'time', got attrs "
            f"{array.attrs} and coords {sorted(map(str, current.coords))}: add them."
        )
    if not np.isfinite(array.values).all():
        raise SchemaError(
            "Expected finite synaptic_current, got NaN or infinite values: the simulation went "
            "astray; take a smaller dt or weaker weights."
        )
    return current


def _sampled(current: xr.Dataset, interval: float | None) -> tuple[np.ndarray, np.ndarray]:
    time = current["time"].values.astype(np.float64)
    values = current["synaptic_current"].values.astype(np.float64)
    if interval is None:
        return time, values
    steps = np.diff(time)
    step = float(steps.mean()) if steps.size else np.nan
    size = round(interval / step) if steps.size else 0
    # Recorded times are sums or products of a step: equal to it up to rounding of the time itself.
    slack = 1e-6 * step
    whole = size >= 1 and abs(size * step - interval) <= slack * size
    if not whole or (np.abs(steps - step) > slack).any() or size > time.size:
        raise ParameterError(
            f"Expected sampling_interval as a whole multiple of the current's regular interval "
            f"({step:g} s) and no longer than it ({time.size} samples), got {interval} s: choose "
            f"one, or record the current at another interval."
        )
    return _block_means(time, size), _block_means(values, size)


def _block_means(values: np.ndarray, size: int) -> np.ndarray:
    """Means over blocks of ``size`` along the first axis; an incomplete last block is left out."""
    number = values.shape[0] // size
    return values[: number * size].reshape(number, size, *values.shape[1:]).mean(axis=1)
