"""Sessions before and after adaptation: simulated with a known mechanism, or from a lab's file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.gain_control import kernels, rivals
from neurokit_sdr.analysis.gain_control.circuits import adaptor_ensemble
from neurokit_sdr.core.arguments import check_choice, check_number, check_whole
from neurokit_sdr.core.errors import FileFormatError, MissingDependencyError, ParameterError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream

#: Probability of the adaptor in the eleven sessions of Benucci, Saleem and Carandini 2013.
BENUCCI_PROBABILITY = (0.5, 0.35, 0.35, 0.5, 0.5, 0.5, 0.5, 0.4, 0.4, 0.3, 0.3)

#: Shared parameter of a mechanism when none is asked for.
_SHARED = {"recurrence": -2.0, "normalisation": 0.5}


def simulate_gain_sessions(
    mechanism: str = "gain",
    n_sessions: int = 11,
    *,
    n_units: int = 12,
    n_stimuli: int = 20,
    noise: float = 0.05,
    depth: float = 0.5,
    session_sd: float = 0.1,
    shared: float | None = None,
    offset: float = 0.1,
    tuning_width: float = 20.0,
    baseline: float = 0.1,
    kernel: str = "von_mises",
    width: float = 30.0,
    adaptor: float = 0.0,
    probability: float | Sequence[float] = 0.4,
    rng: RNG = None,
) -> xr.Dataset:
    r"""Tuning curves before and after adaptation by a known mechanism, with noise.

    Orientation curves of height 1 vary in width and height between sessions. The parameter of unit
    i in session s is :math:`m(\phi_i) + \sigma \epsilon_{si}`, m a dip of ``depth`` at the adaptor
    that is a third as high and of the other sign far from it. What the parameter is depends on the
    mechanism:

    ``gain``
        :math:`r' = e^{a} \circ r`, parameter a.
    ``gain_offset``
        :math:`r' = e^{a} \circ r + o`, parameters a, and o of its own.
    ``recurrent_gain``
        :math:`r' = (I - wK)^{-1} (e^a \circ (I - wK)\, r)`, parameter a, shared w.
    ``normalisation``
        :math:`r'_i = r_i / (1 + h(e_i \langle e q \rangle - \langle q \rangle))`, where
        :math:`e = e^{u / h}`, q is r over its mean and :math:`\langle \rangle` the mean over units;
        parameter -u, shared h.
    ``synaptic``
        :math:`r' = (I - \mathrm{diag}(w + (1 - w) v) K)^{-1} (I - wK)\, r`, parameter v, shared w.

    Parameters
    ----------
    mechanism
        One of the above.
    n_sessions, n_units, n_stimuli
        Numbers.
    noise
        Standard error of every response, in units of the curves' height.
    depth, session_sd
        Size of the dip, and :math:`\sigma`.
    shared
        w (None: -2) or h (None: 0.5).
    offset
        Of ``gain_offset``: o falls by this at the adaptor, and varies by a quarter of it.
    tuning_width, baseline
        Of the curves, deg, and in units of their height.
    kernel, width
        K, as in :class:`RecurrentGainControl`.
    adaptor, probability
        The stimulus shown more, deg, and its share in the adapted ensemble, one for all sessions
        or one for each.
    rng
        Seed.

    Returns
    -------
    xarray.Dataset
        ``response(session, unit, stimulus, condition)``, ``response_se``,
        ``probability(session, stimulus, condition)``, coordinates ``preferred(unit)``, ``stimulus``
        (deg, period 180), ``condition`` ("control", "adapted"); and the truth:
        ``response_truth``, the parameters by the names of ``compare_gain_models``'s result with
        ``_truth`` behind.

    Raises
    ------
    ParameterError
        If a name is unknown or a number out of range.

    Examples
    --------
    >>> data = simulate_gain_sessions("gain", 2, rng=0)
    >>> data["response"].sizes
    Frozen({'session': 2, 'unit': 12, 'stimulus': 20, 'condition': 2})
    """
    check_choice("mechanism", mechanism, rivals.MECHANISMS)
    check_whole("n_sessions", n_sessions, 1)
    check_whole("n_units", n_units, 2)
    check_whole("n_stimuli", n_stimuli, 3)
    check_number("noise", noise, 0)
    check_number("session_sd", session_sd, 0)
    check_number("depth", depth)
    share = np.broadcast_to(np.asarray(probability, float), (n_sessions,))
    seed = resolve_seed(rng)
    draw = stream(seed, "sessions")
    preferred = 180 * (np.arange(n_units) / n_units - 0.5)
    axis = xr.DataArray(
        180 * (np.arange(n_stimuli) / n_stimuli - 0.5),
        dims="stimulus",
        name="stimulus",
        attrs={"units": "deg", "period": 180.0},
    )
    axis = axis.assign_coords(stimulus=axis)["stimulus"]
    size = (n_sessions, n_units)
    apart = kernels.difference(preferred, axis.values, 180.0)
    widths = tuning_width * np.exp(0.1 * draw.normal(size=size))[..., None]
    heights = np.exp(0.1 * draw.normal(size=size))[..., None]
    scale = np.pi / 90
    control = heights * (
        baseline + (1 - baseline) * np.exp((np.cos(scale * apart) - 1) / (scale * widths) ** 2)
    )
    distance = kernels.difference(preferred, np.array([adaptor]), 180.0)[:, 0]
    dip = -depth * (1.33 * np.exp(-((distance / 25) ** 2) / 2) - 0.33)
    effect = dip + session_sd * draw.normal(size=size)
    spec = rivals.MECHANISMS[mechanism]
    truth: dict[str, Any] = {spec.effects[0]: -effect if mechanism == "normalisation" else effect}
    if mechanism == "gain_offset":
        truth["offset"] = -offset * np.exp(-((distance / 25) ** 2) / 2) + offset / 4 * draw.normal(
            size=size
        )
    if spec.shared:
        truth[spec.shared] = check_number(
            "shared",
            _SHARED[spec.shared] if shared is None else shared,
            high=0.95,
            hint="a recurrence of 1 or more runs away, and a normalisation of 1 is complete",
        )
    recurrence = rivals.recurrence_shape(preferred, kernel, width, 180.0)
    after, _ = rivals.adapted(mechanism, truth, control, np.zeros_like(control), recurrence)
    true = np.stack([control, after], axis=-1)
    dims = ("session", "unit", "stimulus", "condition")
    p = np.stack(
        [
            np.stack(
                [
                    np.full(n_stimuli, 1 / n_stimuli),
                    adaptor_ensemble(axis, adaptor=adaptor, probability=float(q)).values,
                ],
                axis=-1,
            )
            for q in share
        ]
    )
    data = xr.Dataset(
        {
            "response": (dims, true + noise * draw.normal(size=true.shape), {"units": "1"}),
            "response_se": (dims, np.full(true.shape, max(noise, 1e-9)), {"units": "1"}),
            "probability": (("session", "stimulus", "condition"), p, {"units": "1"}),
            "response_truth": (dims, true, {"units": "1"}),
        },
        coords={
            "session": np.arange(n_sessions),
            "unit": np.arange(n_units),
            "stimulus": axis,
            "condition": ["control", "adapted"],
            "preferred": ("unit", preferred, {"units": "deg"}),
        },
        attrs={"seed": seed, "mechanism": mechanism},
    )
    for name, value in truth.items():
        data[f"{name}_truth"] = (("session", "unit") if np.ndim(value) else (), value)
    return data


def load_benucci(
    path: str | os.PathLike[str],
    *,
    variable: str = "resps",
    probability: Sequence[float] = BENUCCI_PROBABILITY,
    normalise: bool = True,
) -> xr.Dataset:
    """Open tuning curves of sessions in the layout of Benucci, Saleem and Carandini 2013.

    A MATLAB file with one variable, sessions of arrays (13 units, 21 stimuli, 2 conditions), the
    first condition the uniform ensemble. Units are bins of preferred orientation and stimuli
    orientations, both evenly spaced from -90 to 90 deg with both ends, which are one orientation.
    The adaptor is at 0 deg; half of its probability falls on that bin and a quarter on each
    neighbour.

    Parameters
    ----------
    path
        The file. It is not ours to distribute.
    variable
        Its variable.
    probability
        Of the adaptor in each session.
    normalise
        Whether, per session and unit, to subtract the minimum of the unadapted curve and to divide
        by its amplitude, in both conditions.

    Returns
    -------
    xarray.Dataset
        Tuning, without standard errors: the layout holds none.

    Raises
    ------
    FileFormatError
        If the file is no MATLAB file of that layout.
    ParameterError
        If there is not one probability per session.

    References
    ----------
    Benucci, Saleem and Carandini 2013, "Adaptation maintains population homeostasis in primary
    visual cortex", Nature Neuroscience 16:724-729, doi:10.1038/nn.3382.
    """
    checked = check_file(path)
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingDependencyError("MATLAB files need scipy: pip install scipy.") from error
    try:
        found = loadmat(checked, variable_names=[variable])
    except Exception as error:  # damage surfaces as any kind, by where it sits
        raise FileFormatError(
            f"Expected a MATLAB file (before version 7.3) at {checked}, got one that scipy cannot "
            f"read ({error})."
        ) from error
    if variable not in found:
        raise FileFormatError(
            f"Expected a variable {variable!r} in {checked}, got none of that name: pass variable=."
        )
    value = found[variable]
    rows = list(value.ravel()) if value.dtype == object else _split(value)
    shapes = {np.shape(r) for r in rows}
    if not rows or len(shapes) != 1 or len(next(iter(shapes))) != 3 or next(iter(shapes))[2] != 2:
        raise FileFormatError(
            f"Expected sessions of (unit, stimulus, 2) in {variable!r}, got shapes "
            f"{sorted(shapes)}."
        )
    response = np.stack([np.asarray(r, float) for r in rows])
    if len(probability) != len(response):
        raise ParameterError(
            f"Expected one probability per session ({len(response)}), got {len(probability)}."
        )
    if normalise:
        low = response[..., :1].min(axis=2, keepdims=True)
        height = response[..., :1].max(axis=2, keepdims=True) - low
        response = (response - low) / height
    n_units, n_stimuli = response.shape[1:3]
    attrs = {"units": "deg", "period": 180.0}
    axis = xr.DataArray(np.linspace(-90, 90, n_stimuli), dims="stimulus", attrs=attrs)
    axis = axis.assign_coords(stimulus=axis)["stimulus"]
    p = np.stack(
        [
            np.stack(
                [
                    np.full(n_stimuli, 1 / n_stimuli),
                    adaptor_ensemble(axis, probability=float(q), spread=1).values,
                ],
                axis=-1,
            )
            for q in probability
        ]
    )
    return xr.Dataset(
        {
            "response": (("session", "unit", "stimulus", "condition"), response),
            "probability": (("session", "stimulus", "condition"), p, {"units": "1"}),
        },
        coords={
            "session": np.arange(len(response)),
            "unit": np.arange(n_units),
            "stimulus": ("stimulus", axis.values, attrs),
            "condition": ["control", "adapted"],
            "preferred": ("unit", np.linspace(-90, 90, n_units), attrs),
        },
    )


def _split(value: Any) -> list[np.ndarray]:
    """Sessions of a plain array, along its longest side but the three of the layout."""
    return list(value) if value.ndim == 4 else []
