"""HMM-GLM: a population whose coupling switches with a hidden state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

import numpy as np
import xarray as xr
from scipy.special import gammaln

from neurokit_sdr._version import __version__
from neurokit_sdr.analysis.hmm_glm import equations as core
from neurokit_sdr.analysis.hmm_glm.data import Data, make_data
from neurokit_sdr.analysis.hmm_glm.start import Search, search
from neurokit_sdr.core import results, schema
from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.counts import flatten, time_coords, unflatten
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Estimator, Interval, OneOrSeveral, Options
from neurokit_sdr.core.parallel import thread_count
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG, resolve_seed
from neurokit_sdr.core.threads import parallel_map
from neurokit_sdr.engines import hmm as _hmm
from neurokit_sdr.engines.poisson.kernels import NONLINEARITIES, exponential_kernel, inverse_rate
from neurokit_sdr.snn.point_process import (
    label_parameters,
    simulate_switching_population,
    unlabel_parameters,
)

#: Bounds the objective where the data do not: weights far beyond any measured coupling.
WEAK_WEIGHT_SD = 10.0

#: Of the mean that the Gaussian prior pools states around: the published prior is flat, and a pair
#: of units that never fires together would then have no maximum.
MEAN_SD = 0.4

#: Of each bias around the drive that gives the neuron's mean rate.
BIAS_SD = 6.0

#: One tenth of a pseudo-count keeps every transition and first state possible.
CONCENTRATION = 1.1


class HMMGLM(Estimator):
    r"""Population Poisson GLM whose couplings and rates switch with a hidden Markov state.

    .. math::

       z_1 \sim \mathrm{Cat}(\pi), \quad z_{t+1} \mid z_t = i \sim \mathrm{Cat}(P_{i\cdot}), \quad
       x_{tn} \mid z_t = s \sim \mathrm{Poisson}\Big(f\big(b_{sn} + \textstyle\sum_{m,h} w_{snmh}
       \sum_{k\ge1} \phi_{hk} x_{t-k,m}\big)\Big)

    Fitted by generalised EM to the maximum of the posterior: forward-backward over every trial
    (scaled, with logarithms where scaling underflows), then one quasi-Newton step on all biases
    and weights, pooled over trials. Several starts (k-means, then a Poisson HMM) get a few
    iterations each; the best two run to convergence.

    Parameters
    ----------
    n_states
        Number of states :math:`S`. One state is the coupled Poisson GLM.
    prior
        On the weights: ``"none"`` (bounded by a normal of standard deviation 10) or
        ``"gaussian"``: :math:`w_{snmh} \sim N(\mu_{nmh}, \sigma_h^2)`, the states pooled around a
        mean :math:`\mu_{nmh} \sim N(0, 0.4^2)` (scaled like :math:`\sigma_h`) that is fitted with
        them.
    nonlinearity
        :math:`f`: ``"softplus"``, ``"exp"`` or ``"sigmoid"`` (at most one spike per bin expected).
    history
        Time constants of the exponential history kernels in seconds, one or several; None leaves
        the coupling out: a Poisson HMM.
    prior_sd
        :math:`\sigma` of the Gaussian prior, for the shortest kernel. The published demonstration
        uses 1/3, which shrinks strong couplings too far to decode their states as well as the data
        allow; 1/2 does not, and predicts real recordings as well. A longer kernel spreads each
        spike more thinly; its :math:`\sigma_h` is larger in proportion to the inverse norm of the
        kernel, so that the prior on the drive is the same.
    stickiness
        Pseudo-counts of staying, for every state (sticky Dirichlet prior on :math:`P`).
    restarts
        Number of starts.
    max_iter
        EM iterations at most, for each start.
    tol
        A run has converged once the log posterior gains less than this per bin, in nats.

    Attributes
    ----------
    result_ : xarray.Dataset
        ``weight(state, target, source, time_constant)`` (drive per unit of filtered spike count),
        ``bias(state, target)``, ``weight_mean(target, source, time_constant)`` (Gaussian prior),
        ``kernel(time_constant, lag)``, ``transition_probability(state, next_state)``,
        ``initial_probability(state)``, ``mean_count(target)`` (spikes per bin);
        the training data's ``state([trial,] time)`` (Viterbi; -1 beyond a trial's end) and
        ``state_probability([trial,] time, state)``; ``objective(iteration)`` (log posterior,
        nats), ``log_likelihood(iteration)`` and ``restart_objective(restart, iteration)``, NaN
        beyond a run's last iteration.
        States are numbered by how much of the time they take, most first.

    Notes
    -----
    The model is the one-hot HMM-GLM's without its one-hot prior (Li, Kim, Rodgers, Choi and Wu,
    *One-hot generalized linear model for switching brain state discovery*, ICLR 2024). Here the
    initial state and the transitions are learned from all trials, biases may differ between
    states, the prior counts once and not once per trial, and fitting stops by tolerance.
    Bins before a trial's start and missing bins count as silent in the history.

    The one-hot prior will be a third ``prior``, and posterior uncertainty of the weights new
    variables in ``result_``.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(n_units=5, n_states=2, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 2000, rng=0)
    >>> model = nks.analysis.HMMGLM(n_states=2, nonlinearity="sigmoid")
    >>> model = model.fit(counts, rng=0, progress=False)
    >>> model.result_.attrs["status"]
    'converged'
    >>> model.predict(counts)["state_probability"].dims
    ('time', 'state')
    """

    _allowed: ClassVar[dict[str, Interval | Options | OneOrSeveral]] = {
        "n_states": Interval(int, 1),
        "prior": Options("none", "gaussian"),
        "nonlinearity": Options(*NONLINEARITIES),
        "history": OneOrSeveral(Interval(float, 0, open_low=True), none=True),
        "prior_sd": Interval(float, 1e-6, 1e6),
        "stickiness": Interval(float, 0),
        "restarts": Interval(int, 1),
        "max_iter": Interval(int, 1),
        "tol": Interval(float, 0),
    }

    def __init__(
        self,
        n_states: int = 2,
        *,
        prior: str = "gaussian",
        nonlinearity: str = "softplus",
        history: float | Sequence[float] | None = 0.02,
        prior_sd: float = 0.5,
        stickiness: float = 10.0,
        restarts: int = 10,
        max_iter: int = 300,
        tol: float = 1e-5,
    ) -> None:
        self.n_states = n_states
        self.prior = prior
        self.nonlinearity = nonlinearity
        self.history = history
        self.prior_sd = prior_sd
        self.stickiness = stickiness
        self.restarts = restarts
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self,
        data: xr.Dataset,
        *,
        rng: RNG = None,
        progress: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Fit to binned spikes.

        Parameters
        ----------
        data
            ``count(time, unit)``, or ``count(trial, time, unit)`` with ``trial_length(trial)`` for
            trials of different length (``nks.concat_trials`` joins sessions); optionally
            ``observed([trial,] time)``, false in missing bins.
        rng
            Seed or generator.
        progress
            Whether to show a bar.
        checkpoint
            A file to keep the fit's state in; needs an int ``rng``. If it exists and belongs to
            this fit, the fit goes on from there and ends exactly as if it had not been killed; it
            is removed at the end.

        Returns
        -------
        HMMGLM
            This model, with ``result_``.

        Raises
        ------
        SchemaError
            If the data break the schema, or hold nothing to fit: fewer than two units, no spikes,
            no observed bins.
        ParameterError
            If a hyper-parameter is out of range, or the checkpoint is of another fit.

        Warns
        -----
        ConvergenceWarning
            If the best run stopped before its tolerance, or Ctrl-C ended it; ``result_`` then
            holds the best so far.
        """
        self._check_params()
        sequences = flatten(data)
        kernel = exponential_kernel(self._time_constants(), float(data.attrs["bin_size"]))
        arrays = make_data(*sequences, kernel)
        _refuse_hopeless(arrays, self.history, self.n_states)
        if checkpoint is not None and rng is None:
            raise ParameterError(
                "Expected rng as an int together with checkpoint, got None: a fit can only go on "
                "with the seed that it began with."
            )
        seed = resolve_seed(rng)
        fingerprint = results.fingerprint(data)
        saved = Checkpoint(
            checkpoint,
            {
                "seed": seed,
                "data": fingerprint,
                "bin_size": float(data.attrs["bin_size"]),
                "parameters": self.get_params(),
                "version": __version__,
            },
        )
        state = saved.read()
        with (
            progress_bar(None, "HMM-GLM", progress) as bar,
            parallel_map(thread_count()) as run,
        ):

            def report(start: int, fit: core.Fit) -> None:
                text = f"start {start}, log posterior {fit.objective[-1]:.1f}"
                bar.set_postfix_str(text, refresh=False)
                bar.update()

            best, runs = search(
                arrays,
                self.n_states,
                self._prior(arrays, kernel),
                self.nonlinearity,
                restarts=self.restarts,
                max_iter=self.max_iter,
                tol=self.tol,
                seed=seed,
                run=run,
                resume=None if state is None else Search.from_arrays(state),
                on_iteration=report,
                on_state=lambda state: saved.write(state.to_arrays()),
            )
            emission = core.emission_log_likelihood(
                arrays, best.parameters.theta, self.nonlinearity, run
            )
        decoded = _decode(arrays.starts, best.parameters, emission)
        order = np.argsort(-decoded.state_probability.sum(axis=0), kind="stable")
        result = _label_fit(data, arrays, best, runs, order, self)
        result = result.merge(_label_states(data, decoded, order))
        status = results.outcome(best.converged, best.interrupted, self.max_iter)
        self.result_ = results.stamp(
            result,
            estimator=type(self).__name__,
            parameters=self.get_params(),
            seed=seed,
            status=status,
            fingerprint=fingerprint,
        )
        if not best.interrupted:
            saved.remove()
        self._warn_unless_converged(status)
        return self

    def predict(self, data: xr.Dataset) -> xr.Dataset:
        """Infer the states of recorded or simulated counts.

        Parameters
        ----------
        data
            As for :meth:`fit`, with the same units and bin size.

        Returns
        -------
        xarray.Dataset
            ``state([trial,] time)``, the jointly most likely path (-1 beyond a trial's end), and
            ``state_probability([trial,] time, state)`` given the whole trial (NaN beyond its end).

        Raises
        ------
        NotFittedError, SchemaError
        """
        arrays, parameters, emission = self._evaluate(data)
        decoded = _decode(arrays.starts, parameters, emission)
        return _label_states(data, decoded, np.arange(len(parameters.theta)))

    def score(self, data: xr.Dataset, *, measure: str = "bits_per_spike") -> float:
        r"""Held-out log likelihood, with the states summed out.

        .. math:: \text{bits per spike} = \frac{\log p(x) - \log p_0(x)}{\log 2 \cdot \#
                  \text{spikes}}, \qquad p_0 = \prod_{tn} \mathrm{Poisson}(\bar x_n)

        Parameters
        ----------
        data
            As for :meth:`predict`.
        measure
            ``"bits_per_spike"`` over the neuron's mean count :math:`\bar x_n` in the training data
            (in the evaluated data for a model with known parameters), or ``"nats_per_bin"``, the
            log likelihood of the whole population per observed bin.

        Returns
        -------
        float
            Higher is better.

        Raises
        ------
        NotFittedError, SchemaError
        ParameterError
            If there is no such measure.
        """
        if measure not in ("bits_per_spike", "nats_per_bin"):
            raise ParameterError(
                f"Expected measure to be 'bits_per_spike' or 'nats_per_bin', got {measure!r}."
            )
        arrays, parameters, emission = self._evaluate(data)
        log_likelihood = _hmm.forward_backward(
            parameters.log_initial, parameters.log_transition, emission, arrays.starts
        ).log_likelihood.sum()
        if measure == "nats_per_bin":
            return float(log_likelihood) / int(arrays.observed.sum())
        counts = arrays.counts[arrays.observed]
        if counts.sum() == 0:
            raise SchemaError(
                "Expected at least one spike to score per spike, got none: use "
                "measure='nats_per_bin'."
            )
        if "mean_count" in self.result_:
            mean = self.result_["mean_count"].values
        else:
            mean = _mean_count(arrays)
        null = np.sum(counts * np.log(mean) - mean - gammaln(counts + 1.0))
        return float((log_likelihood - null) / (np.log(2.0) * counts.sum()))

    def simulate(self, n_bins: int | Sequence[int], *, rng: RNG = None) -> xr.Dataset:
        """Simulate the fitted population.

        Parameters
        ----------
        n_bins
            Length of the recording, or lengths of the trials.
        rng
            Seed or generator.

        Returns
        -------
        xarray.Dataset
            ``count([trial,] time, unit)`` with the true ``state([trial,] time)``.

        Raises
        ------
        NotFittedError
        ParameterError
            If the population runs away.
        """
        return simulate_switching_population(self._check_fitted(), n_bins, rng=rng)

    @classmethod
    def from_parameters(cls, parameters: xr.Dataset) -> Self:
        """Return a model with known parameters.

        Parameters
        ----------
        parameters
            As ``nks.snn.switching_population`` returns.

        Returns
        -------
        HMMGLM

        Raises
        ------
        SchemaError
            If a parameter is missing, misshapen or not finite.
        """
        arrays = unlabel_parameters(parameters)
        time_constants = [float(tau) for tau in parameters["time_constant"].values]
        model = cls(
            len(arrays["initial"]),
            nonlinearity=str(parameters.attrs["nonlinearity"]),
            history=time_constants or None,
        )
        model.result_ = results.stamp(
            parameters,
            estimator=cls.__name__,
            parameters=model.get_params(),
            seed=0,
            status="known parameters",
            fingerprint=results.fingerprint(parameters),
        )
        return model

    def _time_constants(self) -> list[float]:
        if self.history is None:
            return []
        return [float(tau) for tau in np.atleast_1d(self.history)]

    def _prior(self, arrays: Data, kernel: np.ndarray) -> core.Prior:
        norm = np.sqrt((kernel**2).sum(axis=1))
        scale = np.tile(norm.max(initial=1e-300) / norm, arrays.counts.shape[1])
        pooled = self.prior == "gaussian"
        return core.Prior(
            pooled=pooled,
            weight_sd=(self.prior_sd if pooled else WEAK_WEIGHT_SD) * scale,
            mean_sd=MEAN_SD * scale,
            bias_mean=inverse_rate(_mean_count(arrays), self.nonlinearity),
            bias_sd=BIAS_SD,
            stickiness=self.stickiness,
            concentration=CONCENTRATION,
        )

    def _evaluate(self, data: xr.Dataset) -> tuple[Data, core.Parameters, np.ndarray]:
        """The data as arrays, the parameters as arrays, and the log likelihood of every bin."""
        result = self._check_fitted()
        schema.check(data, "counts")
        if not np.array_equal(data["unit"].values, result["target"].values):
            raise SchemaError(
                f"Expected the {result.sizes['target']} units the model was fitted to, in that "
                f"order, got {data.sizes['unit']} units {data['unit'].values[:5].tolist()}...: "
                f"use data.sel(unit=model.result_['target'].values)."
            )
        if not np.isclose(data.attrs["bin_size"], result.attrs["bin_size"], rtol=1e-9):
            raise SchemaError(
                f"Expected bins of {result.attrs['bin_size']} s as in the fit, got "
                f"{data.attrs['bin_size']} s: bin the data alike."
            )
        known = unlabel_parameters(result)
        arrays = make_data(*flatten(data), known["kernel"])
        weight = known["weight"].reshape(*known["bias"].shape, -1)
        with np.errstate(divide="ignore"):  # known parameters may rule transitions out
            parameters = core.Parameters(
                np.concatenate([known["bias"][:, :, None], weight], axis=2),
                np.zeros(weight.shape[1:]),
                np.log(known["transition"]),
                np.log(known["initial"]),
            )
        with parallel_map(thread_count()) as run:
            emission = core.emission_log_likelihood(
                arrays, parameters.theta, str(result.attrs["nonlinearity"]), run
            )
        return arrays, parameters, emission


class _Decoded(NamedTuple):
    state: np.ndarray
    state_probability: np.ndarray


def _refuse_hopeless(arrays: Data, history: object, n_states: int) -> None:
    """Raise where the data could be read but nothing could be learned."""
    n_units = arrays.counts.shape[1]
    if n_units < 2 and history is not None:
        raise SchemaError(
            f"Expected at least 2 units to estimate couplings between, got {n_units}: record more "
            f"units, or use history=None for a Poisson HMM of one."
        )
    n_observed = int(arrays.observed.sum())
    if n_states > n_observed:
        raise ParameterError(
            f"Expected n_states of at most the {n_observed} observed bins, got {n_states}."
        )
    if not arrays.counts.any():
        raise SchemaError(
            f"Expected spikes, got none in {n_observed} observed bins of "
            f"{n_units} units: check the recording's time range and units."
        )


def _mean_count(arrays: Data) -> np.ndarray:
    """Mean counts; a silent neuron gets half a spike, so that one spike of it stays possible."""
    counts = arrays.counts[arrays.observed]
    return np.maximum(counts.mean(axis=0), 0.5 / len(counts))


def _decode(starts: np.ndarray, parameters: core.Parameters, emission: np.ndarray) -> _Decoded:
    chain = (parameters.log_initial, parameters.log_transition, emission, starts)
    return _Decoded(_hmm.most_likely_path(*chain), _hmm.forward_backward(*chain).state_probability)


def _label_states(data: xr.Dataset, decoded: _Decoded, order: np.ndarray) -> xr.Dataset:
    """States renumbered so that ``order[k]`` becomes ``k``."""
    dims = data["count"].dims[:-1]
    number = np.argsort(order)
    probability = decoded.state_probability[:, order]
    return xr.Dataset(
        {
            "state": (
                dims,
                unflatten(number[decoded.state], data, -1),
                {"long_name": "most likely state"},
            ),
            "state_probability": (
                (*dims, "state"),
                unflatten(probability, data, np.nan),
                {"units": "1", "long_name": "probability of state"},
            ),
        },
        coords=time_coords(data),
    )


def _label_fit(
    data: xr.Dataset,
    arrays: Data,
    best: core.Fit,
    runs: list[core.Fit],
    order: np.ndarray,
    model: HMMGLM,
) -> xr.Dataset:
    units = data["unit"].values
    time_constants = model._time_constants()
    theta = best.parameters.theta[order]
    shape = (len(units), len(units), len(time_constants))
    labelled = label_parameters(
        weight=theta[:, :, 1:].reshape(len(theta), *shape),
        bias=theta[:, :, 0],
        transition=np.exp(best.parameters.log_transition[np.ix_(order, order)]),
        initial=np.exp(best.parameters.log_initial[order]),
        units=units,
        time_constants=time_constants,
        bin_size=float(data.attrs["bin_size"]),
        nonlinearity=model.nonlinearity,
    )
    if model.prior == "gaussian":
        labelled["weight_mean"] = (
            ("target", "source", "time_constant"),
            best.parameters.mean.reshape(shape),
            {"units": "1", "long_name": "mean coupling weight of the states"},
        )
    traces = np.full((len(runs), max(len(r.objective) for r in runs)), np.nan)
    for trace, fit in zip(traces, runs, strict=True):
        trace[: len(fit.objective)] = fit.objective
    nats = {"units": "nats", "long_name": "log posterior"}
    winner = next(i for i, fit in enumerate(runs) if fit.objective is best.objective)
    likelihood = np.full(traces.shape[1], np.nan)
    likelihood[: len(best.log_likelihood)] = best.log_likelihood
    labelled["restart_objective"] = (("restart", "iteration"), traces, nats)
    labelled["objective"] = (("iteration",), traces[winner], nats)
    labelled["log_likelihood"] = (
        ("iteration",),
        likelihood,
        {"units": "nats", "long_name": "log likelihood"},
    )
    labelled["mean_count"] = (
        ("target",),
        _mean_count(arrays),
        {"units": "1", "long_name": "mean count per bin"},
    )
    return labelled
