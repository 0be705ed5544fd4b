"""What a microscope sees: the fluorescence of a calcium indicator."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, check
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn.observe.fluorescence import calcium_trace, light_leak, saturate
from neurokit_sdr.snn.observe.sessions import extended, take_apart, unit_coords

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
    check("frame_rate", frame_rate, _POSITIVE)
    check("rise_time", rise_time, _NOT_NEGATIVE)
    check("decay_time", decay_time, _POSITIVE)
    check("amplitude", amplitude, _POSITIVE)
    check("saturation", 1.0 if saturation is None else saturation, _POSITIVE)
    check("hill_exponent", hill_exponent, Interval(float, 0, 20, open_low=True))
    check("baseline", baseline, _NOT_NEGATIVE)
    check("noise", noise, _NOT_NEGATIVE)
    check("scattering", 1.0 if scattering is None else scattering, _POSITIVE)
    check("scattering_strength", scattering_strength, _NOT_NEGATIVE)
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
    groups, spikes, truth = take_apart(session, "/calcium")
    time = _frame_times(spikes, frame_rate)
    leak = None
    if scattering is not None:
        leak = light_leak(_unit_positions(spikes), scattering, scattering_strength)
    inside = calcium_trace(
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
        light = saturate(inside, saturation, hill_exponent)
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
            coords={"time": ("time", time, {"units": "s"}), **unit_coords(spikes)},
            attrs={**options, "seed": seed},
        ),
        "calcium",
    )
    groups["/truth"] = extended(
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
