"""Gain control in a recurrent circuit, as a model of a population that adapts."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr
from scipy.optimize import least_squares

from neurokit_sdr.analysis.gain_control import equations, kernels
from neurokit_sdr.analysis.gain_control.circuits import adaptor_ensemble, circuit_dataset
from neurokit_sdr.analysis.gain_control.data import (
    DIMS,
    Tuning,
    check_probability,
    read_tuning,
)
from neurokit_sdr.core import results
from neurokit_sdr.core.arguments import check_number, check_whole
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Estimator, Interval, Options, Tags
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream

#: Where the search for alpha, gamma and the strength of recurrence starts.
_STARTS = ((0.5, 0.3, -2.0), (0.5, 0.3, -0.3), (0.5, 0.3, 0.5), (0.1, 0.05, -1.0))
_STRONGEST = (-20.0, 0.95)


class RecurrentGainControl(Estimator):
    r"""Gains of single neurons, spread by recurrence, that adapt a population to its ensemble.

    .. math::
        \tau \dot r = -r + W r + g \circ f(s), \qquad r(s) = (I - W)^{-1} (g \circ f(s))

    f is the feedforward drive of each unit, W the recurrent weights, g the gains. Drive and weights
    stay; the gains minimise, for the ensemble p(s) of stimuli,

    .. math::
        E_p \|f - D r\|^2 + \alpha E_p \|r\|^2 + \gamma \|g - 1\|^2 - 2 c \cdot g,

    the error of the drive read out by a fixed decoder D, the price of activity, and homeostasis. c
    is chosen so that g = 1 is the optimum in the control ensemble. With
    :math:`B = (I - W)^{-1}, A = D B, S = E_p f f^T`,

    .. math::
        g = (Q + \gamma I)^{-1} (b + \gamma + c), \quad Q = (A^T A + \alpha B^T B) \circ S, \quad
        b = \mathrm{diag}(A^T S).

    ``fit`` finds :math:`\alpha, \gamma` and the strength of W from tuning curves before and after
    adaptation: the drive is what makes the control response, :math:`f = (I - W) r_0`, and the three
    numbers are those whose gains best predict the other conditions (least squares, weighted by
    ``response_se`` where there is one). For intervals, and for rivals that explain the same data,
    see :func:`compare_gain_models`; for a circuit of your own, :func:`gain_circuit` and
    ``from_parameters``.

    Parameters
    ----------
    gain_on
        ``"drive"``: gains multiply the feedforward drive. ``"total"``: they multiply drive and
        recurrent input, :math:`r = g \circ (f + W r)`; then there is no closed form, and the gains
        are found by descent.
    decoder
        ``"inverse"``: D = I - W, which reads the drive without error while g = 1. ``"identity"``:
        D = I, responses are read as they are.
    kernel
        Shape of the recurrence over the distance of preferred stimuli, ``"von_mises"``,
        ``"gaussian"``, ``"mexican_hat"`` or ``"uniform"``.
    width
        Its width in the units of the stimulus.
    sign
        ``"any"``, or ``"non_negative"``: gains stay at 0 or above.

    Attributes
    ----------
    result_ : xarray.Dataset
        ``alpha()``, ``gamma()``, ``recurrence()`` (the eigenvalue of W of largest size),
        ``drive(unit, stimulus)`` (mean over sessions), ``weight(target, source)``,
        ``gain(session, unit, condition)``, ``probability(stimulus)`` of the control ensemble,
        ``start_loss(start)`` of every start of the search; coordinate ``preferred(unit)``.

    Raises
    ------
    ParameterError
        If the recurrence does not settle, a hyper-parameter is out of range, or a condition is
        missing.
    SchemaError
        If the tuning breaks the schema, has one condition, untuned units, or probabilities that do
        not sum to 1.

    Notes
    -----
    The idea is that of Duong, Simoncelli, Chklovskii and Lipshutz 2023, "Adaptive coding efficiency
    in recurrent cortical circuits via gain control" (arXiv:2305.19869): single-neuron gains,
    propagated through fixed recurrence, that trade fidelity against activity. The equations above
    are a derivation from its abstract; the text, the weights and the parameters of the paper could
    not be checked against, so nothing here claims to reproduce its figures.

    One regime in which this form shows all effects together is ``gain_circuit(60, 120,
    tuning_width=11.0, baseline=0.4, recurrence=0.4, width=70.0, alpha=1.5, gamma=0.1)``, narrow
    tuning on a high baseline and weak, broad excitation, adapted to 0 deg with a share of 0.4
    (``spread=1``): the gain there falls to 0.47, the maximum to 0.57 of itself (and rises to 1.20
    at 90 deg), the minimum by 0.17 of the curve's height, preferred orientations move away by up to
    1.9 deg, mean correlations between units fall from 0.347 to 0.341 and covariances from 0.298 to
    0.287, and time-averaged responses vary by 6 % over units instead of 12 %. Decorrelation is the
    rarest and smallest of these. ``benchmarks/gain_control_regimes.py`` maps where each appears and
    where it fails.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> circuit = nks.analysis.gain_circuit(n_units=24, recurrence=-2.0)
    >>> model = nks.analysis.RecurrentGainControl.from_parameters(circuit)
    >>> biased = nks.analysis.adaptor_ensemble(circuit["stimulus"], adaptor=0.0, probability=0.4)
    >>> gain = model.equilibrium(biased)["gain"]
    >>> bool(gain.sel(unit=12) < gain.sel(unit=0))  # the unit that prefers the adaptor
    True
    """

    tags = Tags(kind="tuning", samples="session", trials="")
    _allowed: ClassVar[dict[str, Any]] = {
        "gain_on": Options("drive", "total"),
        "decoder": Options("inverse", "identity"),
        "kernel": Options(*kernels.KERNELS),
        "width": Interval(float, 0, open_low=True),
        "sign": Options("any", "non_negative"),
    }

    def __init__(
        self,
        *,
        gain_on: str = "drive",
        decoder: str = "inverse",
        kernel: str = "von_mises",
        width: float = 30.0,
        sign: str = "any",
    ) -> None:
        self.gain_on = gain_on
        self.decoder = decoder
        self.kernel = kernel
        self.width = width
        self.sign = sign

    def fit(self, data: xr.Dataset, *, rng: RNG = None, progress: bool = True) -> Self:
        """Find price of activity, homeostasis and strength of recurrence from tuning curves.

        Parameters
        ----------
        data
            ``response(session, unit, stimulus, condition)``, ``probability([session,] stimulus,
            condition)``; the first condition is the control. Optional: ``response_se`` of the same
            dims, coordinate ``preferred(unit)``, ``stimulus.attrs["period"]`` of a circle.
        rng
            Recorded; the search is deterministic.
        progress
            Whether to show a bar over the starts of the search.
        """
        self._check_params()
        tuning = read_tuning(data)
        seed = resolve_seed(rng)
        found = []
        with progress_bar(len(_STARTS), "RecurrentGainControl", progress) as bar:
            for start in _STARTS:
                found.append(self._search(tuning, start))
                bar.update()
        loss = np.array([f.cost for f in found])
        best = found[int(np.argmin(loss))]
        alpha, gamma, recurrence = _unpacked(best.x)
        _, gain = self._predicted(tuning, alpha, gamma, recurrence)
        weight = recurrence * self._shape(tuning)
        drive = tuning.response[..., 0].mean(axis=0)
        drive = drive - weight @ drive
        result = circuit_dataset(
            drive,
            weight,
            tuning.preferred,
            tuning.stimulus,
            tuning.probability[..., 0].mean(axis=0),
            alpha,
            gamma,
            tuning.period,
            {d: data[d] for d in ("unit", "stimulus") if d in data.coords},
        )
        result["recurrence"] = ((), recurrence, {"units": "1"})
        result["gain"] = (("session", "unit", "condition"), gain, {"units": "1"})
        result["start_loss"] = (("start",), loss)
        result = result.assign_coords(condition=tuning.conditions)
        if "session" in data.coords:
            result = result.assign_coords(session=data["session"].values)
        status = (
            results.CONVERGED
            if best.success
            else "search did not converge: alpha, gamma and recurrence may trade off in these data"
        )
        return self._finish(result, seed=seed, status=status, fingerprint=results.fingerprint(data))

    def predict(self, data: xr.Dataset) -> xr.Dataset:
        """Predict every condition from the control responses and the ensembles alone.

        Parameters
        ----------
        data
            As for :meth:`fit`, with the same units; responses but those of the first condition are
            not read.

        Returns
        -------
        xarray.Dataset
            ``response(session, unit, stimulus, condition)`` and ``gain(session, unit, condition)``.
        """
        fitted = self._check_fitted()
        tuning = read_tuning(data, n_conditions=1, preferred=fitted["preferred"].values)
        if not np.array_equal(data["unit"], fitted["unit"]):
            raise SchemaError(
                f"Expected the units of the fit, {fitted['unit'].values[:5].tolist()} and on, got "
                f"{data['unit'].values[:5].tolist()}: select them with "
                f".sel(unit=model.result_['unit'])."
            )
        response, gain = self._predicted(
            tuning,
            float(fitted["alpha"]),
            float(fitted["gamma"]),
            _strength(fitted["weight"].values),
        )
        labelled = data["response"].transpose(*DIMS).sel(condition=tuning.conditions)
        gains = labelled.isel(stimulus=0, drop=True).copy(data=gain).rename("gain")
        out = xr.Dataset({"response": labelled.copy(data=response), "gain": gains})
        return out.sel(condition=data["condition"].values)

    def score(self, data: xr.Dataset) -> float:
        """Share of the change with adaptation that is predicted: 1 is all, 0 no better than none.

        One minus the squared error of the conditions other than the control, over that of the
        prediction that they equal the control.

        Parameters
        ----------
        data
            As for :meth:`predict`.
        """
        self._check_fitted()
        said = self.predict(data)
        tuning = read_tuning(data, preferred=self.result_["preferred"].values)
        predicted = said.sel(condition=tuning.conditions)["response"].transpose(*DIMS).values
        error = ((tuning.response - predicted)[..., 1:] ** 2).sum()
        change = ((tuning.response[..., 1:] - tuning.response[..., :1]) ** 2).sum()
        return float(1 - error / max(float(change), 1e-300))

    def simulate(
        self,
        n_sessions: int = 1,
        *,
        probability: xr.DataArray | None = None,
        noise: float = 0.0,
        rng: RNG = None,
    ) -> xr.Dataset:
        """Make sessions of a population that adapts as this model says.

        Parameters
        ----------
        n_sessions
            Repetitions with other noise.
        probability
            Of the stimuli in the adapted ensemble, ``(stimulus,)``; None is an adaptor in the
            middle of the axis with a share of 0.4.
        noise
            Standard deviation of the Gaussian noise of every response.
        rng
            Seed.

        Returns
        -------
        xarray.Dataset
            Tuning as :meth:`fit` takes it, with ``response_truth`` and ``gain_truth`` beside it.
        """
        fitted = self._check_fitted()
        check_whole("n_sessions", n_sessions, 1)
        check_number("noise", noise, 0)
        stimulus = fitted["stimulus"]
        if probability is None:
            middle = float(stimulus[stimulus.size // 2])
            probability = adaptor_ensemble(stimulus, adaptor=middle, probability=0.4)
        both = fitted["probability"].expand_dims(condition=["control", "adapted"]).copy()
        both = both.transpose("stimulus", "condition")
        both[:, 1] = probability.values
        settled = self.equilibrium(both)
        truth = settled["response"].expand_dims(session=np.arange(n_sessions)).copy()
        seed = resolve_seed(rng)
        draw = stream(seed, "simulate").normal(size=truth.shape)
        data = xr.Dataset(
            {
                "response": truth + noise * draw,
                "probability": both,
                "response_truth": truth,
                "gain_truth": settled["gain"],
            },
            attrs={"seed": seed},
        )
        if noise > 0:
            data["response_se"] = xr.full_like(truth, noise)
        return data

    @classmethod
    def from_parameters(cls, parameters: xr.Dataset) -> Self:
        """A circuit with known parameters, such as :func:`gain_circuit` makes.

        Parameters
        ----------
        parameters
            ``drive(unit, stimulus)``, ``weight(target, source)``, ``alpha``, ``gamma``,
            ``probability(stimulus)`` of the control ensemble, coordinate ``preferred(unit)``.
        """
        if not isinstance(parameters, xr.Dataset):
            raise SchemaError(
                f"Expected a Dataset of parameters, got {type(parameters).__name__}: make one with "
                f"nks.analysis.gain_circuit."
            )
        missing = [
            name
            for name in ("drive", "weight", "alpha", "gamma", "probability", "preferred")
            if name not in parameters.variables
        ]
        if missing:
            raise SchemaError(
                f"Expected drive, weight, alpha, gamma, probability and preferred, got no "
                f"{', '.join(missing)}: make a circuit with nks.analysis.gain_circuit."
            )
        check_probability(parameters["probability"].values)
        equations.check_stable(parameters["weight"].values)
        return cls._known(parameters, **cls._named(parameters))

    def equilibrium(self, probability: xr.DataArray) -> xr.Dataset:
        """The gains that a circuit settles at in an ensemble, and its responses.

        Parameters
        ----------
        probability
            Of each stimulus, ``(stimulus,)`` or ``(stimulus, condition)``.

        Returns
        -------
        xarray.Dataset
            ``gain(unit[, condition])``, ``response(unit, stimulus[, condition])``, and the mean
            squared ``error`` of the decoded drive and ``activity`` per condition.
        """
        fitted = self._check_fitted()
        circuit = self._circuit()
        names = [d for d in probability.dims if d != "stimulus"]
        if "stimulus" not in probability.dims or len(names) > 1:
            raise SchemaError(
                f"Expected probability with dims ('stimulus',) or ('stimulus', 'condition'), got "
                f"{probability.dims}."
            )
        if probability.sizes["stimulus"] != fitted.sizes["stimulus"]:
            raise SchemaError(
                f"Expected the probability of {fitted.sizes['stimulus']} stimuli, got "
                f"{probability.sizes['stimulus']}."
            )
        p = check_probability(probability.transpose("stimulus", ...).values, axis=0)
        columns = p.reshape(len(p), -1)
        home = fitted["probability"].values
        gain = np.stack([self._gain(circuit, q, home) for q in columns.T])
        total = self.gain_on == "total"
        cost = [equations.costs(circuit, g, q, total) for g, q in zip(gain, columns.T, strict=True)]
        response = np.stack([equations.response(circuit, g, total) for g in gain])
        out = xr.Dataset(
            {
                "gain": (("condition", "unit"), gain, {"units": "1"}),
                "response": (("condition", "unit", "stimulus"), response),
                "error": (("condition",), [c[0] for c in cost]),
                "activity": (("condition",), [c[1] for c in cost]),
            },
            coords={n: fitted[n] for n in ("unit", "stimulus", "preferred") if n in fitted.coords},
        )
        if names and names[0] in probability.coords:
            out = out.assign_coords(condition=probability[names[0]].values)
        out = out.transpose("unit", "stimulus", "condition")
        return out if names else out.isel(condition=0, drop=True)

    def respond(self, gain: xr.DataArray | None = None) -> xr.DataArray:
        """The steady response to every stimulus with given gains, ``(unit, stimulus)``.

        Parameters
        ----------
        gain
            ``(unit,)``, or with one more dim such as ``condition`` or ``time``, which the response
            then has too. None is 1.
        """
        fitted = self._check_fitted()
        if gain is None:
            gain = xr.DataArray(np.ones(fitted.sizes["unit"]), dims="unit")
        if "unit" not in gain.dims or gain.ndim > 2:
            raise SchemaError(f"Expected gain(unit) with at most one more dim, got {gain.dims}.")
        if gain.sizes["unit"] != fitted.sizes["unit"]:
            raise SchemaError(
                f"Expected the gains of {fitted.sizes['unit']} units, got {gain.sizes['unit']}."
            )
        circuit, total = self._circuit(), self.gain_on == "total"
        rest = [str(d) for d in gain.dims if d != "unit"]
        rows = gain.transpose("unit", *rest).values.reshape(gain.sizes["unit"], -1).T
        values = np.stack([equations.response(circuit, g, total) for g in rows], axis=-1)
        coords = {n: fitted[n] for n in ("unit", "stimulus", "preferred") if n in fitted.coords}
        if not rest:
            return xr.DataArray(values[..., 0], coords, ("unit", "stimulus"), "response")
        coords |= {rest[0]: gain[rest[0]]} if rest[0] in gain.coords else {}
        return xr.DataArray(values, coords, ("unit", "stimulus", rest[0]), "response")

    def adapt(
        self, stimulus_index: Any, *, rate: float = 0.01, gain: xr.DataArray | None = None
    ) -> xr.DataArray:
        """Let the gains follow a stream of stimuli, one gradient step for each.

        Parameters
        ----------
        stimulus_index
            Position of each frame's stimulus on the axis, ``(time,)``.
        rate
            Step size; 1 / rate over the curvature of the objective is the time constant in frames.
        gain
            Where to start, ``(unit,)``; None is 1.

        Returns
        -------
        xarray.DataArray
            ``gain(time, unit)``, after each frame.
        """
        fitted = self._check_fitted()
        index = np.asarray(stimulus_index)
        n = fitted.sizes["stimulus"]
        if index.ndim != 1 or index.dtype.kind not in "iu" or not index.size:
            raise ParameterError("Expected stimulus_index as integers (time,), one per frame.")
        if index.min() < 0 or index.max() >= n:
            raise ParameterError(
                f"Expected stimulus_index from 0 to {n - 1}, got {index.min()} to {index.max()}."
            )
        check_number("rate", rate, 0, open_low=True)
        circuit, home = self._circuit(), fitted["probability"].values
        bound = self.sign == "non_negative"
        start = None if gain is None else np.asarray(gain.values, float)
        if self.gain_on == "drive":
            path = equations.online(circuit, index, rate, home, start, bound)
        else:
            path = equations.online_total(circuit, index, rate, home, start, bound)
        coords = {n: fitted[n] for n in ("unit", "preferred") if n in fitted.coords}
        return xr.DataArray(path, coords, ("time", "unit"), "gain", {"units": "1"})

    def _circuit(self) -> equations.Circuit:
        fitted = self._check_fitted()
        weight = fitted["weight"].values
        return equations.Circuit(
            fitted["drive"].values,
            weight,
            self._decoder(weight),
            float(fitted["alpha"]),
            float(fitted["gamma"]),
        )

    def _decoder(self, weight: np.ndarray) -> np.ndarray:
        eye = np.eye(len(weight))
        return eye if self.decoder == "identity" else eye - weight

    def _gain(self, circuit: equations.Circuit, p: np.ndarray, home: np.ndarray) -> np.ndarray:
        bound = self.sign == "non_negative"
        if self.gain_on == "total":
            return equations.descend(circuit, p, home, bound).gain
        return equations.closed_form(equations.quadratic(circuit, p, home), bound)

    def _shape(self, tuning: Tuning) -> np.ndarray:
        return kernels.recurrence(tuning.preferred, self.kernel, self.width, tuning.period)

    def _predicted(
        self, tuning: Tuning, alpha: float, gamma: float, recurrence: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Responses, as (session, unit, stimulus, condition), and gains of every condition."""
        weight = recurrence * self._shape(tuning)
        decoder = self._decoder(weight)
        response = np.empty_like(tuning.response)
        gain = np.ones(np.delete(tuning.response.shape, 2))
        for k, control in enumerate(tuning.response[..., 0]):
            circuit = equations.Circuit(control - weight @ control, weight, decoder, alpha, gamma)
            for c in range(tuning.response.shape[-1]):
                if c:
                    p = tuning.probability[k]
                    gain[k, :, c] = self._gain(circuit, p[:, c], p[:, 0])
                response[k, ..., c] = equations.response(
                    circuit, gain[k, :, c], self.gain_on == "total"
                )
        return response, gain

    def _search(self, tuning: Tuning, start: tuple[float, float, float]) -> Any:
        scale = 1.0 if tuning.error is None else tuning.error[..., 1:]

        def residual(x: np.ndarray) -> np.ndarray:
            predicted, _ = self._predicted(tuning, *_unpacked(x))
            return ((tuning.response - predicted)[..., 1:] / scale).ravel()

        alpha, gamma, recurrence = start
        return least_squares(
            residual,
            [np.log(alpha), np.log(gamma), recurrence],
            bounds=([-9.0, -9.0, _STRONGEST[0]], [5.0, 5.0, _STRONGEST[1]]),
            x_scale=[1.0, 1.0, 1.0],
        )


def _unpacked(x: np.ndarray) -> tuple[float, float, float]:
    return float(np.exp(x[0])), float(np.exp(x[1])), float(x[2])


def _strength(weight: np.ndarray) -> float:
    """The eigenvalue of largest size."""
    values = np.linalg.eigvalsh(weight)
    return float(values[np.argmax(np.abs(values))])
