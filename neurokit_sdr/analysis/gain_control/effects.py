"""What adaptation does to a population, as measurements on tuning curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.gain_control import kernels
from neurokit_sdr.analysis.gain_control.data import Tuning, preferred_stimulus, read_tuning
from neurokit_sdr.analysis.gain_control.model import RecurrentGainControl
from neurokit_sdr.core.arguments import check_names, check_number, check_whole
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream


def _pair(data: Any, control: Any, adapted: Any) -> tuple[Tuning, int]:
    tuning = read_tuning(data, control)
    other = tuning.conditions[1] if adapted is None else adapted
    check_names("adapted", [other], tuning.conditions[1:])
    return tuning, tuning.conditions.index(other)


def _distance(tuning: Tuning, adaptor: float) -> np.ndarray:
    check_number("adaptor", adaptor)
    return kernels.difference(tuning.preferred, np.array([adaptor]), tuning.period)[:, 0]


def _labelled(data: xr.Dataset, values: dict[str, Any], distance: np.ndarray) -> xr.Dataset:
    attrs = {k: v for k, v in data["stimulus"].attrs.items() if k == "units"}
    out = xr.Dataset({k: (("session", "unit"), v, a) for k, (v, a) in values.items()})
    coords = {d: data[d].values for d in ("session", "unit") if d in data.coords}
    return out.assign_coords(coords).assign_coords(distance=("unit", distance, attrs))


def response_extremes(
    data: xr.Dataset, *, adaptor: float = 0.0, control: Any = None, adapted: Any = None
) -> xr.Dataset:
    """How maxima and minima of tuning curves change, against the distance from the adaptor.

    Parameters
    ----------
    data
        ``response(session, unit, stimulus, condition)`` and ``probability``.
    adaptor
        The stimulus shown more.
    control, adapted
        Conditions; None takes the first, and the first other one.

    Returns
    -------
    xarray.Dataset
        ``maximum_ratio(session, unit)``, adapted over control; ``minimum_change(session, unit)``,
        adapted minus control in units of the control curve's height; ``distance(unit)`` of the
        preferred stimulus from the adaptor.

    Raises
    ------
    SchemaError, ParameterError
        If the tuning breaks the schema, or a condition is unknown.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> data = nks.analysis.simulate_gain_sessions("gain", 2, noise=0.0, rng=0)
    >>> found = nks.analysis.response_extremes(data)["maximum_ratio"].mean("session")
    >>> bool(found.sel(unit=6) < 1 < found.sel(unit=0))  # the adaptor's unit, and the farthest
    True
    """
    tuning, c = _pair(data, control, adapted)
    before, after = tuning.response[..., 0], tuning.response[..., c]
    height = np.ptp(before, axis=2)
    values = {
        "maximum_ratio": (after.max(axis=2) / before.max(axis=2), {"units": "1"}),
        "minimum_change": ((after.min(axis=2) - before.min(axis=2)) / height, {"units": "1"}),
    }
    return _labelled(data, values, _distance(tuning, adaptor))


def preferred_shift(
    data: xr.Dataset, *, adaptor: float = 0.0, control: Any = None, adapted: Any = None
) -> xr.Dataset:
    r"""How preferred stimuli move: away from the adaptor (repulsion) or towards it (attraction).

    The preferred stimulus is the direction of the mean vector of the curve above its minimum,

    .. math:: \arg \sum_s (r(s) - \min r)\, e^{2 \pi i s / \text{period}},

    or the weighted mean on an axis that is no circle.

    Parameters
    ----------
    data, adaptor, control, adapted
        As for :func:`response_extremes`.

    Returns
    -------
    xarray.Dataset
        ``shift(session, unit)``, positive away from the adaptor and 0 at it and opposite to it
        (within 1e-6 of the period); ``distance(unit)``.
    """
    tuning, c = _pair(data, control, adapted)
    found = [
        preferred_stimulus(tuning.response[..., k], tuning.stimulus, tuning.period) for k in (0, c)
    ]
    moved = found[1] - found[0]
    if tuning.period is not None:
        moved = (moved + tuning.period / 2) % tuning.period - tuning.period / 2
    distance = _distance(tuning, adaptor)
    side = np.sign(distance)
    span = tuning.period or float(np.ptp(tuning.stimulus))
    side[np.abs(distance) < 1e-6 * span] = 0
    if tuning.period is not None:
        side[np.abs(np.abs(distance) - tuning.period / 2) < 1e-6 * span] = 0
    units = str(data["stimulus"].attrs.get("units", "1"))
    return _labelled(data, {"shift": (moved * side, {"units": units})}, distance)


def response_flatness(data: xr.Dataset, *, control: Any = None, adapted: Any = None) -> xr.Dataset:
    """How evenly a population responds over time in each ensemble.

    Parameters
    ----------
    data, control, adapted
        As for :func:`response_extremes`.

    Returns
    -------
    xarray.Dataset
        ``mean_response(session, unit, case)``: the response averaged over the ensemble, in the
        control ensemble (``"control"``), in the biased one by unadapted responses
        (``"unadapted"``) and by adapted ones (``"adapted"``); ``variation(session, case)``, its
        standard deviation over units divided by its mean.
    """
    tuning, c = _pair(data, control, adapted)
    cases = _cases(tuning, c)
    mean = np.stack([np.einsum("kus,ks->ku", r, p) for r, p in cases], axis=-1)
    variation = mean.std(axis=1) / np.abs(mean.mean(axis=1))
    out = xr.Dataset(
        {
            "mean_response": (("session", "unit", "case"), mean),
            "variation": (("session", "case"), variation, {"units": "1"}),
        },
        coords={"case": ["control", "unadapted", "adapted"]},
    )
    return out.assign_coords(_labels(data, tuning))


def _labels(data: xr.Dataset, tuning: Tuning) -> dict[str, Any]:
    """The data's sessions and units, and what each unit prefers, in the stimulus' units."""
    known = {d: data[d].values for d in ("session", "unit") if d in data.coords}
    units = str(data["stimulus"].attrs.get("units", "1"))
    return known | {"preferred": ("unit", tuning.preferred, {"units": units})}


def _cases(tuning: Tuning, c: int) -> list[tuple[np.ndarray, np.ndarray]]:
    before, after = tuning.response[..., 0], tuning.response[..., c]
    p, q = tuning.probability[..., 0], tuning.probability[..., c]
    return [(before, p), (before, q), (after, q)]


def decorrelation(data: xr.Dataset, *, control: Any = None, adapted: Any = None) -> xr.Dataset:
    r"""Correlations between units that stimuli cause, before and after adaptation.

    .. math:: C = E_p[r r^T] - E_p[r] E_p[r]^T

    over the stimuli of an ensemble. Noise of the responses adds to the diagonal only if it is
    independent between units.

    Parameters
    ----------
    data, control, adapted
        As for :func:`response_extremes`.

    Returns
    -------
    xarray.Dataset
        ``correlation(session, unit, other_unit, case)`` and ``covariance``, the latter divided by
        the control standard deviations of both units; cases as for :func:`response_flatness`;
        ``mean_correlation(session, case)`` and ``mean_covariance(session, case)``, means of the
        absolute values off the diagonal.
    """
    tuning, c = _pair(data, control, adapted)
    matrices = []
    for r, p in _cases(tuning, c):
        mean = np.einsum("kus,ks->ku", r, p)
        second = np.einsum("kus,kvs,ks->kuv", r, r, p)
        matrices.append(second - mean[:, :, None] * mean[:, None, :])
    raw = np.stack(matrices, axis=-1)
    sd = np.sqrt(np.einsum("kuuc->kuc", raw))
    covariance = raw / (sd[:, :, None, :1] * sd[:, None, :, :1])
    correlation = raw / (sd[:, :, None] * sd[:, None])
    off = ~np.eye(raw.shape[1], dtype=bool)
    dims = ("session", "unit", "other_unit", "case")
    out = xr.Dataset(
        {
            "correlation": (dims, correlation, {"units": "1"}),
            "covariance": (dims, covariance, {"units": "1"}),
            "mean_correlation": (("session", "case"), np.abs(correlation[:, off]).mean(axis=1)),
            "mean_covariance": (("session", "case"), np.abs(covariance[:, off]).mean(axis=1)),
        },
        coords={"case": ["control", "unadapted", "adapted"]},
    )
    return out.assign_coords(_labels(data, tuning))


def fidelity_and_cost(model: RecurrentGainControl, probability: xr.DataArray) -> xr.Dataset:
    """Coding fidelity against metabolic cost over contexts, with and without adaptation.

    Parameters
    ----------
    model
        A circuit.
    probability
        Of each stimulus in each context, ``(stimulus, condition)``.

    Returns
    -------
    xarray.Dataset
        ``error(gains, condition)``, mean squared error of the decoded drive over its mean square;
        ``activity(gains, condition)``, mean squared response; ``gains`` is ``"adapted"`` (to each
        context) or ``"fixed"`` (at 1).

    Raises
    ------
    SchemaError
        If the probabilities do not fit the circuit.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> import xarray as xr
    >>> circuit = nks.analysis.gain_circuit(24, 48, alpha=2.0)
    >>> model = nks.analysis.RecurrentGainControl.from_parameters(circuit)
    >>> contexts = [nks.analysis.adaptor_ensemble(circuit["stimulus"], probability=p)
    ...             for p in (0.2, 0.6)]
    >>> found = fidelity_and_cost(model, xr.concat(contexts, "condition"))
    >>> bool((found["activity"].sel(gains="adapted") < found["activity"].sel(gains="fixed")).all())
    True
    """
    settled = model.equilibrium(probability)
    fixed = model.respond()
    result = model.result_
    decoder = np.eye(result.sizes["unit"])
    if model.get_params()["decoder"] == "inverse":
        decoder = decoder - result["weight"].values
    p = probability.transpose("stimulus", "condition").values
    drive = result["drive"].values
    wrong = ((drive - decoder @ fixed.values) ** 2).sum(axis=0)
    size = (drive**2).sum(axis=0) @ p
    error = np.stack([settled["error"].values / size, wrong @ p / size])
    activity = np.stack([settled["activity"].values, (fixed.values**2).sum(axis=0) @ p])
    out = xr.Dataset(
        {
            "error": (("gains", "condition"), error, {"units": "1"}),
            "activity": (("gains", "condition"), activity),
        },
        coords={"gains": ["adapted", "fixed"]},
    )
    known = "condition" in probability.coords
    return out.assign_coords(condition=probability["condition"].values) if known else out


def adaptation_time_course(
    model: RecurrentGainControl,
    probability: xr.DataArray,
    *,
    rate: float = 0.01,
    n_frames: int = 2000,
    n_repeats: int = 10,
    rng: RNG = None,
) -> xr.Dataset:
    """How fast gains adapt to an ensemble when it begins, and go back when it ends.

    Parameters
    ----------
    model
        A circuit; it starts from a gain of 1.
    probability
        Of each stimulus in the ensemble, ``(stimulus,)``; before and after the control ensemble is
        shown.
    rate
        Step size of the online rule.
    n_frames
        Stimuli of each of the two phases.
    n_repeats
        Streams that are averaged.
    rng
        Seed of the streams.

    Returns
    -------
    xarray.Dataset
        ``gain(time, unit)``, mean over streams; ``progress(time)``, projection of the gains on the
        way from 1 (0) to the equilibrium (1); ``phase(time)``, ``"adaptation"`` or
        ``"recovery"``; ``half_time(phase_name)``, frames until half of the way is gone, from
        where the phase began to where it leads (NaN if it never is). ``time`` counts stimuli.
    """
    check_whole("n_frames", n_frames, 2)
    check_whole("n_repeats", n_repeats, 1)
    seed = resolve_seed(rng)
    target = model.equilibrium(probability)["gain"].values - 1
    if not np.abs(target).max() > 1e-9:
        raise ParameterError(
            "Expected an ensemble that moves the gains, got one in which they stay at 1: its "
            "probabilities are those of the control ensemble."
        )
    home = model.result_["probability"].values
    total = np.zeros((2 * n_frames, len(target)))
    for repeat in range(n_repeats):
        draw = stream(seed, "stimuli", repeat)
        first = draw.choice(len(home), n_frames, p=probability.values)
        second = draw.choice(len(home), n_frames, p=home)
        total += model.adapt(np.concatenate([first, second]), rate=rate).values
    gain = total / n_repeats
    progress = (gain - 1) @ target / (target @ target)
    phases = np.repeat(["adaptation", "recovery"], n_frames)
    reached = progress[n_frames - 1]
    past_half = progress[:n_frames] >= 0.5, progress[n_frames:] / reached <= 0.5
    halves = [float(np.argmax(past)) if past.any() else np.nan for past in past_half]
    return xr.Dataset(
        {
            "gain": (("time", "unit"), gain, {"units": "1"}),
            "progress": (("time",), progress, {"units": "1"}),
            "half_time": (("phase_name",), halves, {"units": "stimuli"}),
        },
        coords={
            "time": ("time", np.arange(2.0 * n_frames), {"units": "stimuli"}),
            "phase": ("time", phases),
            "phase_name": ["adaptation", "recovery"],
            "unit": model.result_["unit"].values,
        },
        attrs={"seed": seed},
    )
