"""HMM-GLM: a population whose coupling switches with a hidden state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from scipy.special import gammaln

from neurokit_sdr.analysis.hmm_glm.data import (
    Data,
    make_data,
    mean_count,
    mean_of,
    refuse_held_out,
)
from neurokit_sdr.analysis.hmm_glm.em import Fit
from neurokit_sdr.analysis.hmm_glm.equations import (
    Parameters,
    decode,
    emission_log_likelihood,
)
from neurokit_sdr.analysis.hmm_glm.labels import label_fit, label_states, parameters_of
from neurokit_sdr.analysis.hmm_glm.prior import PRIORS, ChainPrior, Prior
from neurokit_sdr.analysis.hmm_glm.start import Search, search
from neurokit_sdr.core import results, schema
from neurokit_sdr.core.checkpoint import Checkpoint, checkpoint_seed
from neurokit_sdr.core.counts import flatten, flatten_bins
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Estimator, Interval, OneOrSeveral, Options
from neurokit_sdr.core.parallel import thread_count
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG
from neurokit_sdr.core.threads import parallel_map
from neurokit_sdr.engines import hmm
from neurokit_sdr.engines.poisson.kernels import NONLINEARITIES, exponential_kernel, inverse_rate
from neurokit_sdr.snn.point_process import simulate_switching_population, unlabel_parameters


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
        "prior": Options(*PRIORS),
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
            ``observed([trial,] time)``, false in missing bins, and ``context([trial,] time)``, true
            in the past that a trial was cut out with, which is read and not fitted.
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
            If the data break the schema, hold units or bins that may not be read (``held_in``,
            ``forward``), or nothing to fit: fewer than two units, no spikes, no observed bins.
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
        refuse_held_out(data)
        scored = flatten_bins(schema.scored_bins(data), data)
        kernel = exponential_kernel(self._time_constants(), float(data.attrs["bin_size"]))
        arrays = make_data(*sequences, kernel, scored)
        _refuse_hopeless(arrays, self.history, self.n_states)
        prior = self._prior(arrays, kernel)
        seed = checkpoint_seed(rng, checkpoint)
        fingerprint = results.fingerprint(data)
        saved = Checkpoint(
            checkpoint,
            {
                "seed": seed,
                "data": fingerprint,
                "bin_size": float(data.attrs["bin_size"]),
                "parameters": self.get_params(),
            },
        )
        state = saved.read()
        with (
            progress_bar(None, "HMM-GLM", progress) as bar,
            parallel_map(thread_count()) as run,
        ):

            def report(start: int, fit: Fit) -> None:
                text = f"start {start}, log posterior {fit.objective[-1]:.1f}"
                bar.set_postfix_str(text, refresh=False)
                bar.update()

            best, runs = search(
                arrays,
                self.n_states,
                prior,
                ChainPrior(self.stickiness),
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
            # The past that trials were cut out with says in which state they begin.
            whole = arrays if scored.all() else make_data(*sequences, kernel)
            emission = emission_log_likelihood(whole, best.parameters.theta, self.nonlinearity, run)
        decoded = decode(arrays.starts, best.parameters, emission)
        order = np.argsort(-decoded.state_probability.sum(axis=0), kind="stable")
        result = label_fit(
            data,
            best,
            runs,
            order,
            mean_count=mean_count(arrays),
            time_constants=self._time_constants(),
            nonlinearity=self.nonlinearity,
            pooled=prior.pooled,
        )
        result = result.merge(label_states(data, decoded, order))
        status = results.outcome(best.converged, best.interrupted, self.max_iter)
        self._finish(result, seed=seed, status=status, fingerprint=fingerprint)
        if not best.interrupted:
            saved.remove()
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
        decoded = decode(arrays.starts, parameters, emission)
        return label_states(data, decoded, np.arange(len(parameters.theta)))

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
        log_likelihood, counts = self._log_likelihood(data)
        if measure == "nats_per_bin":
            return log_likelihood / len(counts)
        if counts.sum() == 0:
            raise SchemaError(
                "Expected at least one spike to score per spike, got none: use "
                "measure='nats_per_bin'."
            )
        if "mean_count" in self.result_:
            mean = self.result_["mean_count"].values
        else:
            mean = mean_of(counts)
        null = np.sum(counts * np.log(mean) - mean - gammaln(counts + 1.0))
        return float((log_likelihood - null) / (np.log(2.0) * counts.sum()))

    def log_likelihood(self, data: xr.Dataset) -> float:
        """Return the log likelihood of all units, each bin given what all did before it, in nats.

        The states are summed out. Bins of ``context`` are given, and add nothing.

        Parameters
        ----------
        data
            As for :meth:`predict`.

        Raises
        ------
        NotFittedError, SchemaError
        """
        return self._log_likelihood(data)[0]

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
        return cls._known(
            parameters,
            n_states=len(arrays["initial"]),
            nonlinearity=str(parameters.attrs["nonlinearity"]),
            history=time_constants or None,
        )

    def _time_constants(self) -> list[float]:
        if self.history is None:
            return []
        return [float(tau) for tau in np.atleast_1d(self.history)]

    def _prior(self, arrays: Data, kernel: np.ndarray) -> Prior:
        norm = np.sqrt((kernel**2).sum(axis=1))
        return PRIORS[self.prior].make(
            self.prior_sd,
            np.tile(norm.max(initial=1e-300) / norm, arrays.counts.shape[1]),
            inverse_rate(mean_count(arrays), self.nonlinearity),
        )

    def _log_likelihood(self, data: xr.Dataset) -> tuple[float, np.ndarray]:
        """Of the scored bins given their past, in nats, and the counts in them (bin, unit)."""
        arrays, parameters, emission = self._evaluate(data)
        chain = (parameters.log_initial, parameters.log_transition)
        total = hmm.forward_backward(*chain, emission, arrays.starts).log_likelihood.sum()
        scored = flatten_bins(schema.scored_bins(data), data)
        if not scored[arrays.observed].all():
            emission[scored] = 0.0
            total -= hmm.forward_backward(*chain, emission, arrays.starts).log_likelihood.sum()
        return float(total), arrays.counts[scored]

    def _evaluate(self, data: xr.Dataset) -> tuple[Data, Parameters, np.ndarray]:
        """The data as arrays, the parameters as arrays, and the log likelihood of every bin."""
        result = self._check_fitted()
        sequences = flatten(data)
        refuse_held_out(data)
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
        parameters, kernel = parameters_of(result)
        arrays = make_data(*sequences, kernel)
        with parallel_map(thread_count()) as run:
            emission = emission_log_likelihood(
                arrays, parameters.theta, str(result.attrs["nonlinearity"]), run
            )
        return arrays, parameters, emission


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
