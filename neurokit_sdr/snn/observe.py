r"""What instruments see of a simulated network: calcium, sorted spikes, fewer units, sensors.

Each function takes a session with known truth, as ``nks.snn.simulate`` returns it, and returns a
session with what the instrument records beside the truth, which stays whole: what the instrument
loses moves to ``/truth``. Inputs are never changed. A real recording of spikes will do as well.

The order is that of an experiment: :func:`subsample` (what lies in the field of view), then
:func:`calcium` or :func:`sensors`, and :func:`sorting_errors` last, because it changes which units
there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Interval, Options
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn import _observe

__all__ = ["calcium", "sensors", "sorting_errors", "subsample"]

#: Dimensions of /truth that run over the units.
UNIT_DIMS = ("unit", "target", "source")

#: Between two contacts of the default shaft, in metres.
CONTACT_SPACING = 3.5e-3

#: Radius of the default helmet of magnetometers, in metres.
HELMET_RADIUS = 0.12

#: Where populations without a given position lie: the shell between these radii, in metres.
SOURCE_SHELL = (0.05, 0.07)

#: A contact nearer to a population than this, in metres, lies inside it: no point any more.
NEAREST_CONTACT = 1e-4

#: What one pA of synaptic current stands for: A of a point source ...
AMPERE_PER_PICOAMPERE = 1e-12

#: ... and A m of a dipole whose sink and return current lie this far apart, in metres.
DIPOLE_LENGTH = 1e-4

#: pA in one unit of synaptic current; one mV of drive is that over a leak of 10 nS.
PICOAMPERE_PER = {"pA": 1.0, "mV": 10.0}

_POSITIVE = Interval(float, 0, open_low=True)
_NOT_NEGATIVE = Interval(float, 0)


def calcium(
    session: xr.Dataset | xr.DataTree,
    *,
    frame_rate: float = 30.0,
    rise_time: float = 0.016,
    decay_time: float = 0.2,
    amplitude: float = 0.2,
    saturation: float | None = None,
    hill_exponent: float = 1.0,
    baseline: float = 1.0,
    noise: float = 0.05,
    scattering: float | None = None,
    scattering_strength: float = 0.15,
    rng: RNG = None,
) -> xr.DataTree:
    r"""Fluorescence of a calcium indicator, frame by frame.

    Each spike at :math:`t_k` adds a double-exponential response, evaluated exactly at the frame
    times whatever the frame rate (no time step, no rounding of spikes to frames),

    .. math::

       c_i(t) = A \sum_{t_k \le t} \frac{e^{-(t - t_k)/\tau_d} - e^{-(t - t_k)/\tau_r}}{p}, \qquad
       F_i(t) = F_0 + S(c_i(t)), \qquad
       S(c) = K \frac{c^n}{c^n + K^n},

    with :math:`p` the peak of the numerator, so that one spike peaks at the amplitude :math:`A`,
    and :math:`S(c) = c` without saturation. Neighbours' light leaks in by distance and the camera
    adds white noise,

    .. math:: F_i^\mathrm{seen}(t) = F_i(t) + a \sum_{j \ne i} e^{-(d_{ij}/\lambda)^2} F_j(t)
              + \sigma \varepsilon_i(t).

    The forms are those in common use: exponential calcium behind a Hill function after Vogelstein
    et al. (2009), rise and decay after Wei et al. (2020), leaking light after Stetter et al.
    (2012). Here the Hill function is scaled so that :math:`K` is both the ceiling of
    :math:`F - F_0` and the calcium at which half of it is reached (for :math:`n = 1` a single weak
    response keeps its size), and noise comes last.

    Parameters
    ----------
    session
        With ``/spikes``; or a Dataset of spikes. With ``scattering``, coordinates ``x``, ``y`` and
        where there is one ``z`` on ``unit``, in m.
    frame_rate
        Frames per second; the first frame is at ``t_start``.
    rise_time, decay_time
        Time constants :math:`\tau_r < \tau_d` in seconds; a rise time of 0 jumps. The defaults
        give a peak after 44 ms and half of it about 0.16 s later, in the range reported for
        GCaMP6f; they are typical numbers, not a fit.
    amplitude
        :math:`A`, in the unit of the baseline.
    saturation
        :math:`K`, in the unit of the baseline; None is linear.
    hill_exponent
        :math:`n`, at most 20; needs ``saturation``.
    baseline
        :math:`F_0`. With 1, :math:`F - 1` is :math:`\Delta F / F`.
    noise
        Standard deviation :math:`\sigma` of a frame, in the unit of the baseline.
    scattering
        Length constant :math:`\lambda` in m; None for no leaking light.
    scattering_strength
        :math:`a`, the share of light that leaks over distance 0; used with ``scattering``.
    rng
        Seed or generator of the noise.

    Returns
    -------
    xarray.DataTree
        The session and ``/calcium``: ``fluorescence(time, unit)`` with the coordinates of the
        units, the parameters and the seed as attributes. ``/truth`` gains the noiseless
        :math:`c` as ``calcium(calcium_time, unit)``, on a clock of its own because ``time`` there
        belongs to states and latents.

    Raises
    ------
    SchemaError
        If there are no spikes in the session, no units, no time; if it holds ``/calcium`` already;
        if scattering lacks positions in m.
    ParameterError
        If an argument is out of range.

    References
    ----------
    Vogelstein, Watson, Packer, Yuste, Jedynak and Paninski, Biophysical Journal 97 (2009).
    Wei, Lin, Chen, Daie, Svoboda and Druckmann, PLoS Computational Biology 16 (2020).
    Stetter, Battaglia, Soriano and Geisel, PLoS Computational Biology 8 (2012).

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> from neurokit_sdr.snn import observe
    >>> spikes = nks.io.from_spike_times({"a": [0.5, 0.6], "b": []}, t_stop=2.0)
    >>> seen = observe.calcium(spikes, frame_rate=20, noise=0.0, rng=0)
    >>> seen["/calcium/fluorescence"].sel(unit="a").values[9:14].round(2)
    array([1.  , 1.  , 1.2 , 1.16, 1.33])
    """
    _check_arguments(
        ("frame_rate", frame_rate, _POSITIVE),
        ("rise_time", rise_time, _NOT_NEGATIVE),
        ("decay_time", decay_time, _POSITIVE),
        ("amplitude", amplitude, _POSITIVE),
        ("saturation", 1.0 if saturation is None else saturation, _POSITIVE),
        ("hill_exponent", hill_exponent, Interval(float, 0, 20, open_low=True)),
        ("baseline", baseline, _NOT_NEGATIVE),
        ("noise", noise, _NOT_NEGATIVE),
        ("scattering", 1.0 if scattering is None else scattering, _POSITIVE),
        ("scattering_strength", scattering_strength, _NOT_NEGATIVE),
    )
    if rise_time >= decay_time:
        raise ParameterError(
            f"Expected rise_time below decay_time, got {rise_time} and {decay_time} s: swap them, "
            f"or for equal times make one a little smaller."
        )
    if saturation is None and hill_exponent != 1.0:
        raise ParameterError(
            f"Expected saturation with hill_exponent, got None and {hill_exponent}: give the "
            f"ceiling of the fluorescence above baseline."
        )
    seed = resolve_seed(rng)
    groups, spikes, truth = _take_apart(session, "/calcium")
    time = _frame_times(spikes, frame_rate)
    leak = None
    if scattering is not None:
        leak = _observe.light_leak(_unit_positions(spikes), scattering, scattering_strength)
    inside = _observe.calcium_trace(
        time,
        spikes["spike_time"].values,
        spikes["spike_unit"].values,
        spikes.sizes["unit"],
        rise_time,
        decay_time,
    )
    inside *= amplitude
    if saturation is None:
        light = inside + baseline
    else:
        light = _observe.saturate(inside, saturation, hill_exponent)
        light += baseline
    if leak is not None:
        light = light @ leak
    if noise:
        generator = stream(seed, "calcium", "noise")
        for frame in light:  # a second array of this size would double the memory
            frame += noise * generator.standard_normal(frame.size)
    options = {
        "frame_rate": float(frame_rate),
        "rise_time": float(rise_time),
        "decay_time": float(decay_time),
        "amplitude": float(amplitude),
        "baseline": float(baseline),
        "noise": float(noise),
    }
    if saturation is not None:
        options |= {"saturation": float(saturation), "hill_exponent": float(hill_exponent)}
    if scattering is not None:
        options |= {
            "scattering": float(scattering),
            "scattering_strength": float(scattering_strength),
        }
    groups["/calcium"] = schema.check(
        xr.Dataset(
            {
                "fluorescence": (
                    ("time", "unit"),
                    light,
                    {"units": "1", "long_name": "fluorescence"},
                )
            },
            coords={"time": ("time", time, {"units": "s"}), **_unit_coords(spikes)},
            attrs={**options, "seed": seed},
        ),
        "calcium",
    )
    groups["/truth"] = _extended(
        truth,
        xr.Dataset(
            {
                "calcium": (
                    ("calcium_time", "unit"),
                    inside,
                    {"units": "1", "long_name": "calcium without noise"},
                )
            },
            coords={"calcium_time": ("calcium_time", time, {"units": "s"})},
        ),
    )
    return xr.DataTree.from_dict(groups)


def sorting_errors(
    session: xr.Dataset | xr.DataTree,
    *,
    miss_rate: float = 0.0,
    false_rate: float = 0.0,
    merges: int | Sequence[tuple[Any, Any]] = 0,
    rng: RNG = None,
) -> xr.DataTree:
    """Spikes as a spike sorter gives them: some missed, some false, some units taken for one.

    Each spike is missed with probability ``miss_rate``, whatever the others do. Each recorded unit
    gets false spikes as a Poisson process. The two units of a merged pair are recorded as the
    earlier of them, with its id and coordinates.

    Parameters
    ----------
    session
        With ``/spikes``; or a Dataset of spikes.
    miss_rate
        Probability that a spike is missed.
    false_rate
        False spikes per second (Hz) and recorded unit.
    merges
        How many pairs of units are merged, drawn at random without a unit in two pairs; or the
        pairs, as ids.
    rng
        Seed or generator.

    Returns
    -------
    xarray.DataTree
        The session with new ``/spikes``, unit after unit. ``/truth`` keeps the true spikes as
        ``true_spike_time(true_spike)`` in s and ``true_spike_unit(true_spike)``, with everything
        else known per spike, and gains ``spike_source(spike)``, the position on its ``unit``
        of who fired each spike of ``/spikes`` (-1 for a false one); ``missed(unit)``, how many
        spikes were not recorded; ``merged_into(unit)``, the position on the ``unit`` of
        ``/spikes`` that each true unit is recorded as.

    Raises
    ------
    SchemaError
        If there are no spikes in the session or no units, or its errors were drawn before.
    ParameterError
        If an argument is out of range, a pair names an unknown unit or a unit is in two pairs.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> from neurokit_sdr.snn import observe
    >>> spikes = nks.io.from_spike_times({"a": [0.5, 0.7], "b": [0.6], "c": []}, t_stop=1.0)
    >>> seen = observe.sorting_errors(spikes, merges=[("a", "b")], rng=0)
    >>> seen["/spikes/unit"].values.tolist(), seen["/truth/spike_source"].values.tolist()
    (['a', 'c'], [0, 1, 0])
    """
    _check_arguments(
        ("miss_rate", miss_rate, Interval(float, 0, 1)), ("false_rate", false_rate, _NOT_NEGATIVE)
    )
    seed = resolve_seed(rng)
    groups, spikes, truth = _take_apart(session)
    n_units = spikes.sizes["unit"]
    first = np.arange(n_units)
    for one, other in _pairs(spikes["unit"].values, merges, stream(seed, "sorting", "merges")):
        first[max(one, other)] = min(one, other)
    kept, recorded_as = np.unique(first, return_inverse=True)
    found = _observe.sort_spikes(
        spikes["spike_time"].values,
        spikes["spike_unit"].values,
        recorded_as,
        miss_rate,
        false_rate,
        (float(spikes.attrs["t_start"]), float(spikes.attrs["t_stop"])),
        stream(seed, "sorting", "missed"),
        stream(seed, "sorting", "false"),
    )
    recorded = spikes.drop_dims("spike").isel(unit=kept)
    recorded = recorded.assign(
        spike_time=("spike", found.time, spikes["spike_time"].attrs),
        spike_unit=("spike", found.unit, spikes["spike_unit"].attrs),
    ).assign_attrs(
        sorting_miss_rate=float(miss_rate),
        sorting_false_rate=float(false_rate),
        sorting_merges=n_units - kept.size,
        sorting_seed=seed,
    )
    true_spikes = {
        name if (name := str(key)).startswith("true_") else f"true_{name}": (
            ["true_spike" if d == "spike" else str(d) for d in variable.dims],
            variable.values,
            variable.attrs,
        )
        for key, variable in spikes.variables.items()
        if "spike" in variable.dims
    }
    groups["/spikes"] = schema.check(recorded, "spikes")
    groups["/truth"] = _extended(
        truth,
        xr.Dataset(
            {
                **true_spikes,
                "spike_source": (
                    "spike",
                    found.source,
                    {"long_name": "position of the unit that fired, -1 for a false spike"},
                ),
                "missed": ("unit", found.missed, {"units": "1", "long_name": "missed spikes"}),
                "merged_into": (
                    "unit",
                    recorded_as,
                    {"long_name": "position of the recorded unit on the units of /spikes"},
                ),
            }
        ),
    )
    return xr.DataTree.from_dict(groups)


def subsample(
    session: xr.Dataset | xr.DataTree,
    n_units: int | None = None,
    *,
    units: Sequence[Any] | np.ndarray | None = None,
    rng: RNG = None,
) -> xr.DataTree:
    """Keep a subset of the units, as an electrode or a field of view does.

    Every group, such as ``/voltage``, is reduced to the observed units. In ``/truth``, every array
    over units, targets, sources or synapses becomes its observed block, and the whole is kept under
    the same name with ``_full`` behind it and behind its dimensions: ``weight(target, source)`` and
    ``weight_full(target_full, source_full)``. The same for the spikes, ``spike_time_full`` and
    ``spike_unit_full`` (``spike_full``), and the coordinates of the units. Of a session subsampled
    before, the first whole is kept.

    Parameters
    ----------
    session
        With ``/spikes``; or a Dataset of spikes.
    n_units
        How many units to keep, drawn at random without replacement.
    units
        The ids of those to keep, instead. They keep the order of the session.
    rng
        Seed or generator.

    Returns
    -------
    xarray.DataTree
        The session with the observed units.

    Raises
    ------
    SchemaError
        If there are no spikes in the session or no units.
    ParameterError
        If not exactly one of ``n_units`` and ``units`` is given, there are not so many units, or
        an id is unknown or given twice.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> from neurokit_sdr.snn import observe
    >>> spikes = nks.io.from_spike_times({"a": [0.5], "b": [0.6], "c": []}, t_stop=1.0)
    >>> seen = observe.subsample(spikes, units=["c", "b"])
    >>> seen["/spikes/unit"].values.tolist(), seen["/truth/unit_full"].values.tolist()
    (['b', 'c'], ['a', 'b', 'c'])
    """
    groups, spikes, truth = _take_apart(session)
    ids = spikes["unit"].values
    if (n_units is None) == (units is None):
        raise ParameterError(
            f"Expected either n_units or units, got {'neither' if units is None else 'both'}: say "
            f"how many to draw, or name them."
        )
    seed = resolve_seed(rng)
    if units is not None:
        kept = _positions_of(ids, list(units))
    else:
        _check_arguments(("n_units", n_units, Interval(int, 1, ids.size)))
        kept = stream(seed, "subsample").choice(ids.size, int(n_units or 0), replace=False)
    kept = np.sort(kept)
    place = np.full(ids.size, -1)
    place[kept] = np.arange(kept.size)
    seen = place[spikes["spike_unit"].values] >= 0
    observed = spikes.isel(unit=kept, spike=np.flatnonzero(seen))
    unit = observed["spike_unit"]
    observed = observed.assign(spike_unit=unit.copy(data=place[unit.values]))
    if units is None:
        observed = observed.assign_attrs(subsample_seed=seed)
    for name, dataset in groups.items():
        if name != "/truth" and "unit" in dataset.indexes:
            inside = np.isin(dataset["unit"].values, ids[kept])
            groups[name] = dataset.isel(unit=np.flatnonzero(inside))
    groups["/spikes"] = schema.check(observed, "spikes")
    if "unit_full" not in truth.variables:
        truth = _with_full(truth, spikes)
    groups["/truth"] = _observed_block(truth, ids, kept, place)
    return xr.DataTree.from_dict(groups)


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
    _check_arguments(
        ("kind", kind, Options("seeg", "meg")),
        ("source", source, Options("dipole", "monopole")),
        ("scale", 1.0 if scale is None else scale, _POSITIVE),
        ("conductivity", conductivity, _POSITIVE),
        ("noise", noise, _NOT_NEGATIVE),
        ("sampling_interval", 1.0 if sampling_interval is None else sampling_interval, _POSITIVE),
    )
    if kind == "meg" and source == "monopole":
        raise ParameterError(
            "Expected source='dipole' with kind='meg', got 'monopole': a point source drives its "
            "current evenly in all directions and has no magnetic field."
        )
    seed = resolve_seed(rng)
    groups = _groups(session, "/signal")
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
    sensor = _sensor_positions(positions, kind)
    place = _source_positions(source_positions, number, seed)
    direction = _directions(source_orientations, number, seed) if source == "dipole" else None
    _check_geometry(sensor, place, kind)
    if direction is None:
        leadfield = _observe.monopole_potential(sensor, place, conductivity)
    elif kind == "seeg":
        leadfield = _observe.dipole_potential(sensor, place, direction, conductivity)
    else:
        radial = sensor / np.linalg.norm(sensor, axis=1, keepdims=True)
        field = _observe.sphere_field(sensor, place, direction)
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
    groups["/truth"] = _extended(groups.get("/truth", xr.Dataset()), xr.Dataset(known, coords))
    return xr.DataTree.from_dict(groups)


# -- sessions -----------------------------------------------------------------------------------


def _check_arguments(*allowed: tuple[str, Any, Interval | Options]) -> None:
    for name, value, constraint in allowed:
        if value not in constraint:
            raise ParameterError(f"Expected {name} to be {constraint}, got {value!r}.")


def _groups(session: Any, new: str | None = None) -> dict[str, xr.Dataset]:
    """The session's groups, none of which is the new one."""
    if isinstance(session, xr.Dataset):
        groups = {"/": xr.Dataset(), "/spikes": session}
    elif isinstance(session, xr.DataTree):
        groups = {n.path: n.to_dataset(inherit=False) for n in session.subtree}
    else:
        raise SchemaError(
            f"Expected a session (DataTree) or a Dataset of spikes, got "
            f"{schema.describe(session)}: simulate one with nks.snn.simulate, or read one with "
            f"nks.io.read_spikes."
        )
    if new in groups:
        raise SchemaError(
            f"Expected a session without {new}, got {schema.describe(session)}: observe the "
            f"session as it was before, or drop the group."
        )
    return groups


def _take_apart(
    session: Any, new: str | None = None
) -> tuple[dict[str, xr.Dataset], xr.Dataset, xr.Dataset]:
    """Groups, checked spikes, and the truth about the same units (empty where there is none)."""
    groups = _groups(session, new)
    if "/spikes" not in groups:
        raise SchemaError(
            f"Expected a session with a /spikes group, got {schema.describe(session)}: "
            f"{schema.KINDS['spikes'].hint}."
        )
    spikes = schema.check(groups["/spikes"], "spikes")
    if not spikes.sizes["unit"]:
        raise SchemaError("Expected a session with at least one unit, got none: simulate more.")
    truth = groups.get("/truth", xr.Dataset())
    ids = spikes["unit"].values
    if "unit" not in truth.coords:
        truth = truth.assign_coords(unit=("unit", ids))
    elif not _same(truth["unit"].values, ids):
        raise SchemaError(
            f"Expected /spikes and /truth with the same units, got {ids.size} and "
            f"{truth.sizes['unit']}: sorting_errors changes the units and comes last; use the "
            f"session from before it."
        )
    return groups, spikes, truth


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def _extended(truth: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """The truth with new variables; raise where it holds one of them already."""
    taken = sorted(set(map(str, new.data_vars)) & set(map(str, truth.variables)))
    if taken:
        raise SchemaError(
            f"Expected a session whose /truth does not hold {', '.join(taken)} yet, got one that "
            f"does: observe the session as it was before."
        )
    for name, size in new.sizes.items():
        known = truth[name].values if name in truth.variables else None
        clash = known is not None and truth[name].dims != (name,)
        clash |= known is not None and name in new.coords and not _same(known, new[name].values)
        if clash or truth.sizes.get(name, size) != size:
            raise SchemaError(
                f"Expected a /truth where {name!r}, if there at all, is the dimension of the "
                f"observation, got {schema.describe(truth)}: rename it there."
            )
    return truth.assign_coords(new.coords).assign(new.data_vars)


def _unit_coords(spikes: xr.Dataset) -> dict[Any, xr.Variable]:
    return {n: c.variable for n, c in spikes.coords.items() if c.dims == ("unit",)}


def _frame_times(spikes: xr.Dataset, frame_rate: float) -> np.ndarray:
    start, stop = float(spikes.attrs["t_start"]), float(spikes.attrs["t_stop"])
    if stop <= start:
        raise SchemaError(
            f"Expected a recording longer than 0 s, got t_start {start:g} and t_stop {stop:g} s: "
            f"give t_stop where you make the spikes."
        )
    time = start + np.arange(int(np.ceil((stop - start) * frame_rate))) / frame_rate
    return time[time < stop]


def _unit_positions(spikes: xr.Dataset) -> np.ndarray:
    axes = [a for a in "xyz" if a in spikes.coords]
    if axes[:2] != ["x", "y"]:
        raise SchemaError(
            f"Expected coordinates x, y (and z) on unit for scattering, got coords "
            f"{sorted(map(str, spikes.coords))}: add them in m, to a network with "
            f".with_(unit_coords={{'x': x, 'y': y}}) or to spikes with .assign_coords, or leave "
            f"scattering=None."
        )
    for axis in axes:
        where = spikes[axis]
        if where.dims != ("unit",) or where.attrs.get("units") != "m":
            raise SchemaError(
                f"Expected {axis!r} on unit with attrs['units'] == 'm', got dims {where.dims} in "
                f"{where.attrs.get('units')!r}: convert the values and set the attribute."
            )
        if where.dtype.kind not in "iuf" or not np.isfinite(where.values).all():
            raise SchemaError(f"Expected finite {axis!r} of every unit, got NaN: drop those units.")
    return np.stack([spikes[a].values.astype(np.float64) for a in axes], axis=1)


# -- units --------------------------------------------------------------------------------------


def _positions_of(ids: np.ndarray, wanted: list[Any]) -> np.ndarray:
    place = {unit: k for k, unit in enumerate(ids.tolist())}
    plain = [w.item() if isinstance(w, np.generic) else w for w in wanted]
    unknown = [w for w in plain if w not in place]
    if unknown or not plain:
        raise ParameterError(
            f"Expected ids among {ids[:5].tolist()}{'...' if ids.size > 5 else ''}, got "
            f"{unknown[:5] or 'none'}: see session['/spikes/unit']."
        )
    if len(set(plain)) < len(plain):
        raise ParameterError(f"Expected each unit once, got {plain}: drop the repetitions.")
    return np.array([place[w] for w in plain])


def _pairs(
    ids: np.ndarray, merges: int | Sequence[tuple[Any, Any]], rng: np.random.Generator
) -> np.ndarray:
    """Positions of the units to merge, of shape (pair, 2)."""
    given: Any = merges
    if not isinstance(given, list | tuple | np.ndarray):
        _check_arguments(("merges", given, Interval(int, 0, ids.size // 2)))
        return rng.permutation(ids.size)[: 2 * int(given)].reshape(-1, 2)
    if not all(isinstance(p, list | tuple | np.ndarray) and len(p) == 2 for p in given):
        raise ParameterError(
            f"Expected merges as a number or a list of pairs of ids, got {merges!r}."
        )
    if not len(given):
        return np.empty((0, 2), dtype=np.int64)
    return _positions_of(ids, [unit for pair in given for unit in pair]).reshape(-1, 2)


def _listed(truth: xr.Dataset) -> bool:
    """Whether the truth holds synapses as a list of positions of their units."""
    return all(
        n in truth.variables and truth[n].dims == ("synapse",)
        for n in ("synapse_source", "synapse_target")
    )


def _with_full(truth: xr.Dataset, spikes: xr.Dataset) -> xr.Dataset:
    """The truth, with all that :func:`subsample` will reduce once more under ``NAME_full``."""
    dims = _unit_dims(truth, spikes["unit"].values)
    if _listed(truth):
        dims.add("synapse")

    def full(variable: xr.Variable, reduced: set[str]) -> xr.Variable:
        names = [f"{d}_full" if d in reduced else d for d in variable.dims]
        return xr.Variable(names, variable.values, variable.attrs)

    coords: dict[Any, xr.Variable] = {}
    variables: dict[Any, xr.Variable] = {}
    for name, variable in truth.variables.items():
        if dims & set(map(str, variable.dims)):
            holder = coords if name in truth.coords else variables
            holder[f"{name}_full"] = full(variable, dims)
    for name in ("spike_time", "spike_unit"):
        variables[f"{name}_full"] = full(spikes[name].variable, {"spike"})
    for name, variable in _unit_coords(spikes).items():
        coords.setdefault(f"{name}_full", full(variable, {"unit"}))
    return _extended(truth, xr.Dataset(variables, coords))


def _unit_dims(truth: xr.Dataset, ids: np.ndarray) -> set[str]:
    return {
        d
        for d in UNIT_DIMS
        if truth.sizes.get(d) == ids.size and (d not in truth.coords or _same(truth[d].values, ids))
    }


def _observed_block(
    truth: xr.Dataset, ids: np.ndarray, kept: np.ndarray, place: np.ndarray
) -> xr.Dataset:
    block = truth
    if _listed(truth):
        source = place[truth["synapse_source"].values]
        target = place[truth["synapse_target"].values]
        inside = np.flatnonzero((source >= 0) & (target >= 0))
        block = block.isel(synapse=inside)
        for name, position in (("synapse_source", source), ("synapse_target", target)):
            block = block.assign({name: block[name].copy(data=position[inside])})
    return block.isel(dict.fromkeys(_unit_dims(truth, ids), kept))


# -- sensors ------------------------------------------------------------------------------------


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
    return _observe.block_means(time, size), _observe.block_means(values, size)


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


def _sensor_positions(positions: Any, kind: str) -> np.ndarray:
    if np.ndim(positions) > 0:
        return _points(positions, "positions in m")
    if kind == "meg":
        _check_arguments(("positions", positions, Interval(int, 1)))
        return _observe.helmet(int(positions), HELMET_RADIUS)
    tip = np.array([0.075, 0.0, 0.03])
    longest = int(2 * tip[0] / CONTACT_SPACING) + 1
    _check_arguments(("positions", positions, Interval(int, 1, longest)))
    return _observe.shaft(int(positions), tip, np.array([-CONTACT_SPACING, 0.0, 0.0]))


def _source_positions(given: Any, number: int, seed: int) -> np.ndarray:
    if given is not None:
        return _points(given, "source_positions in m, one per population,", number)
    return _observe.random_positions(number, *SOURCE_SHELL, stream(seed, "sensors", "positions"))


def _directions(given: Any, number: int, seed: int) -> np.ndarray:
    if given is None:
        return _observe.random_directions(number, stream(seed, "sensors", "orientations"))
    direction = _points(given, "source_orientations, one per population,", number)
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    if (length == 0).any():
        raise ParameterError(
            f"Expected source_orientations of any length but 0, got 0 for population "
            f"{int(np.argmin(length))}: give it a direction."
        )
    return direction / length


def _check_geometry(sensor: np.ndarray, source: np.ndarray, kind: str) -> None:
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
