"""Circuits with known parameters, and ensembles of stimuli for them to adapt to."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.gain_control import equations, kernels
from neurokit_sdr.analysis.gain_control.data import check_probability
from neurokit_sdr.core.arguments import check_choice, check_number, check_whole
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.results import encode

#: Dims of a circuit's parameters.
_LAYOUT: dict[str, tuple[str, ...]] = {
    "drive": ("unit", "stimulus"),
    "weight": ("target", "source"),
    "alpha": (),
    "gamma": (),
    "probability": ("stimulus",),
    "preferred": ("unit",),
}


def gain_circuit(
    n_units: int = 60,
    n_stimuli: int = 120,
    *,
    tuning: str = "von_mises",
    tuning_width: float = 20.0,
    baseline: float = 0.2,
    recurrence: float = -2.0,
    kernel: str = "von_mises",
    width: float = 30.0,
    alpha: float = 0.5,
    gamma: float = 0.1,
    period: float = 180.0,
    gain_on: str = "drive",
    decoder: str = "inverse",
    sign: str = "any",
) -> xr.Dataset:
    r"""A ring of tuned units with translation-invariant recurrence.

    .. math:: f_i(s) = b + h(s - \phi_i), \qquad W_{ij} = w\, k(\phi_i - \phi_j)

    Preferred stimuli and stimuli are evenly spaced over one period; h has height 1; k is scaled so
    that its largest eigenvalue has size 1, w is the strength of the recurrence.

    Parameters
    ----------
    n_units, n_stimuli
        Numbers.
    tuning, tuning_width, baseline
        Kernel and width of h, and b.
    recurrence, kernel, width
        w (below 1; negative inhibits), kernel and width of k.
    alpha, gamma
        Price of activity, and of gains other than 1.
    period
        Of the stimulus, deg.
    gain_on, decoder, sign
        As in :class:`RecurrentGainControl`.

    Returns
    -------
    xarray.Dataset
        What ``RecurrentGainControl.from_parameters`` takes: ``drive(unit, stimulus)``,
        ``weight(target, source)``, ``alpha``, ``gamma``, ``probability(stimulus)`` of the uniform
        control ensemble; coordinates ``preferred(unit)`` and ``stimulus`` (deg).

    Raises
    ------
    ParameterError
        If the recurrence does not settle, or a name is unknown.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.analysis.gain_circuit(12, 24)["drive"].sizes
    Frozen({'unit': 12, 'stimulus': 24})
    """
    check_whole("n_units", n_units, 2)
    check_whole("n_stimuli", n_stimuli, 2)
    for name, value in (("tuning_width", tuning_width), ("width", width), ("period", period)):
        check_number(name, value, 0, open_low=True)
    for name, value in (("alpha", alpha), ("gamma", gamma)):
        check_number(name, value, 0)
    check_number("baseline", baseline)
    check_number("recurrence", recurrence)
    check_choice("tuning", tuning, kernels.KERNELS)
    check_choice("kernel", kernel, kernels.KERNELS)
    preferred = period * (np.arange(n_units) / n_units - 0.5)
    stimulus = period * (np.arange(n_stimuli) / n_stimuli - 0.5)
    drive = kernels.tuning(preferred, stimulus, tuning, tuning_width, baseline, period)
    weight = recurrence * kernels.recurrence(preferred, kernel, width, period)
    equations.check_stable(weight)
    out = circuit_dataset(
        drive,
        weight,
        preferred,
        stimulus,
        np.full(n_stimuli, 1 / n_stimuli),
        alpha,
        gamma,
        period,
        {},
    )
    words = {"gain_on": gain_on, "decoder": decoder, "sign": sign}
    out.attrs["parameters"] = encode({**words, "kernel": kernel, "width": float(width)})
    return out


def circuit_dataset(
    drive: np.ndarray,
    weight: np.ndarray,
    preferred: np.ndarray,
    stimulus: np.ndarray,
    probability: np.ndarray,
    alpha: float,
    gamma: float,
    period: float | None,
    known: dict[str, xr.DataArray],
) -> xr.Dataset:
    """Arrays of a circuit with their labels; ``known`` coordinates replace positions."""
    unit = known["unit"].values if "unit" in known else np.arange(len(drive))
    attrs: dict[str, Any] = dict(known["stimulus"].attrs) if "stimulus" in known else {}
    if not known:
        attrs["units"] = "deg"
    if period is not None:
        attrs["period"] = float(period)
    return xr.Dataset(
        {
            "drive": (("unit", "stimulus"), drive),
            "weight": (("target", "source"), weight, {"units": "1"}),
            "alpha": ((), float(alpha), {"units": "1"}),
            "gamma": ((), float(gamma), {"units": "1"}),
            "probability": (("stimulus",), probability, {"units": "1"}),
        },
        coords={
            "unit": unit,
            "target": unit,
            "source": unit,
            "stimulus": ("stimulus", np.asarray(stimulus, float), attrs),
            "preferred": ("unit", np.asarray(preferred, float), attrs),
        },
    )


def check_circuit(parameters: Any) -> xr.Dataset:
    """Parameters of a circuit, dims in order, once they are finite and the circuit settles.

    Raises
    ------
    SchemaError
        If an array is missing, has other dims or sizes, or is not of finite numbers, or
        probabilities do not sum to 1.
    ParameterError
        If alpha or gamma is no number of at least 0, or the recurrence does not settle.
    """
    if not isinstance(parameters, xr.Dataset):
        raise SchemaError(
            f"Expected a Dataset of parameters, got {type(parameters).__name__}: make one with "
            f"nks.analysis.gain_circuit."
        )
    missing = [name for name in _LAYOUT if name not in parameters.variables]
    if missing:
        raise SchemaError(
            f"Expected drive, weight, alpha, gamma, probability and preferred, got no "
            f"{', '.join(missing)}: make a circuit with nks.analysis.gain_circuit."
        )
    for name, dims in _LAYOUT.items():
        given = parameters[name]
        if set(given.dims) != set(dims):
            raise SchemaError(f"Expected {name} with dims {dims}, got {given.dims}: rename them.")
        if not dims:
            check_number(name, given.values.item(), 0)
        elif given.dtype.kind not in "iuf" or not np.isfinite(given.values).all():
            raise SchemaError(
                f"Expected {name} as finite numbers, got NaN or infinite ones or {given.dtype} "
                f"that is none: make a circuit with nks.analysis.gain_circuit."
            )
    sizes = {dim: parameters.sizes[dim] for dim in ("unit", "target", "source", "stimulus")}
    if not sizes["unit"] == sizes["target"] == sizes["source"] or not all(sizes.values()):
        raise SchemaError(
            f"Expected units, targets and sources of the same number, and at least one stimulus, "
            f"got {sizes}."
        )
    check_probability(parameters["probability"].values)
    both = {name: parameters[name].transpose(*_LAYOUT[name]) for name in ("drive", "weight")}
    equations.check_stable(both["weight"].values)
    return parameters.assign(both)


def check_labelled(name: str, value: Any) -> xr.DataArray:
    """A DataArray of numbers, or a :class:`SchemaError`."""
    if not isinstance(value, xr.DataArray):
        raise SchemaError(
            f"Expected {name} as a DataArray with named dims, got {type(value).__name__}: label "
            f"it with xr.DataArray(values, dims=...)."
        )
    if value.dtype.kind not in "biuf":
        raise SchemaError(f"Expected {name} as numbers, got {value.dtype}.")
    return value


def adaptor_ensemble(
    stimulus: xr.DataArray, *, adaptor: float = 0.0, probability: float = 0.4, spread: int = 0
) -> xr.DataArray:
    """How often stimuli come when one is shown more than the others.

    Parameters
    ----------
    stimulus
        The stimulus axis.
    adaptor
        The value shown more; the nearest stimulus is taken.
    probability
        Its share; the others divide the rest evenly.
    spread
        0 puts the share on one stimulus. 1 puts half of it there and a quarter on each neighbour,
        as the ensembles of Benucci et al. 2013 are modelled.

    Returns
    -------
    xarray.DataArray
        ``probability(stimulus)``, which sums to 1.

    Raises
    ------
    ParameterError
        If ``probability`` is not between 0 and 1, or ``spread`` is not 0 or 1.

    Examples
    --------
    >>> import xarray as xr
    >>> axis = xr.DataArray([-90.0, -45.0, 0.0, 45.0], dims="stimulus")
    >>> adaptor_ensemble(axis, probability=0.4).values.round(2)
    array([0.2, 0.2, 0.4, 0.2])
    """
    check_number("adaptor", adaptor)
    check_number("probability", probability, 0, 1)
    if spread not in (0, 1):
        raise ParameterError(f"Expected spread 0 or 1, got {spread!r}.")
    check_labelled("stimulus", stimulus)
    n = stimulus.size
    if n < 2 + 2 * spread:
        raise SchemaError(f"Expected at least {2 + 2 * spread} stimuli, got {n}.")
    centre = int(np.argmin(np.abs(stimulus.values - adaptor)))
    if spread:
        where = (centre + np.array([-1, 0, 1])) % n
        mass = probability * np.array([0.25, 0.5, 0.25])
    else:
        where, mass = np.array([centre]), np.array([probability])
    p = np.full(n, (1 - probability) / (n - len(where)))
    p[where] = mass
    return xr.DataArray(p, {"stimulus": stimulus}, ("stimulus",), "probability", {"units": "1"})
