"""Problems of the HMM-GLM, as the package takes them and as the oracles do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import oracles
import xarray as xr
from oracles import EPS
from scipy.special import gammaln, xlogy

import neurokit_sdr as nks
from neurokit_sdr.analysis import HMMGLM
from neurokit_sdr.analysis.hmm_glm.data import Data, make_data
from neurokit_sdr.analysis.hmm_glm.equations import (
    NEGLIGIBLE,
    Parameters,
    emission_log_likelihood,
)
from neurokit_sdr.analysis.hmm_glm.prior import (
    BIAS_SD,
    CONCENTRATION,
    MEAN_SD,
    WEAK_WEIGHT_SD,
    ChainPrior,
    GaussianPrior,
    NoPrior,
)
from neurokit_sdr.analysis.hmm_glm.steps import Curvature, Direction, factorise
from neurokit_sdr.core.counts import flatten
from neurokit_sdr.engines import hmm
from neurokit_sdr.engines.poisson.history import history_features
from neurokit_sdr.engines.poisson.kernels import exponential_kernel, inverse_rate

NONLINEARITIES = ("softplus", "exp", "sigmoid")
BIN = 0.02

#: Below what the objective resolves: a fit that ends by it stands as still as floats can.
TINY = 1e-14


def serially(function, items):
    return [function(item) for item in items]


class Numbers(NamedTuple):
    """All that is fixed about the objective besides the data, as the oracles take it."""

    pooled: bool
    weight_sd: np.ndarray
    mean_sd: np.ndarray
    bias_mean: np.ndarray
    bias_sd: float
    stickiness: float
    concentration: float

    @property
    def on_weights(self) -> NoPrior | GaussianPrior:
        """As the package has it."""
        if self.pooled:
            return GaussianPrior(self.weight_sd, self.mean_sd, self.bias_mean, self.bias_sd)
        return NoPrior(self.weight_sd, self.bias_mean, self.bias_sd)

    @property
    def on_chain(self) -> ChainPrior:
        """As the package has it."""
        return ChainPrior(self.stickiness, self.concentration)


class Problem(NamedTuple):
    """The data as the oracles take them, and as the package does; and what else EM needs."""

    data: oracles.Data
    mine: Data
    prior: Numbers
    parameters: Parameters
    nonlinearity: str


def random_problem(rng, nonlinearity=None, nasty=False) -> Problem:
    """Ragged trials with missing bins, random size, prior, history and start."""
    nonlinearity = nonlinearity or str(rng.choice(NONLINEARITIES))
    n_states, n_units = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    lengths = rng.integers(1, 40, rng.integers(1, 5))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rates = rng.gamma(2.0, 0.4, (n_states, n_units))
    if nasty:
        rates *= rng.choice([0.01, 1.0, 300.0], n_units)
    state = rng.integers(n_states, size=starts[-1] // 5 + 1).repeat(5)[: starts[-1]]
    counts = rng.poisson(rates[state]).astype(float)
    observed = rng.random(starts[-1]) > rng.choice([0.0, 0.2])
    if nasty:
        counts[:, rng.integers(n_units)] = 0
    observed[rng.integers(starts[-1])] = True
    counts[~observed] = 0
    time_constants = [[], [0.02], [0.04], [0.02, 0.1], [0.02, 0.1, 0.5]][rng.integers(5)]
    kernel = exponential_kernel(time_constants, BIN)
    design = history_features(counts, starts, observed, kernel)
    n_features = design.shape[1]
    mean_count = np.maximum(counts[observed].mean(axis=0), 0.5 / observed.sum())
    bias_mean = inverse_rate(mean_count, nonlinearity)
    prior = Numbers(
        pooled=bool(rng.random() < 0.5),
        weight_sd=rng.choice([0.1, 1 / 3, 10.0]) * rng.uniform(0.5, 2, n_features - 1),
        mean_sd=rng.uniform(0.5, 2, n_features - 1),
        bias_mean=bias_mean,
        bias_sd=3.0,
        stickiness=float(rng.choice([0.0, 1.0, 10.0])),
        concentration=1.1,
    )
    theta = np.zeros((n_states, n_units, n_features))
    theta[:, :, 0] = bias_mean + 0.3 * rng.standard_normal((n_states, n_units))
    mean = np.zeros((n_units, n_features - 1))
    if not nasty:  # large counts times random weights would be no start anyone makes
        theta[:, :, 1:] = 0.2 * rng.standard_normal((n_states, n_units, n_features - 1))
        mean += prior.pooled * 0.2 * rng.standard_normal(mean.shape)
    parameters = Parameters(
        theta,
        mean,
        np.log(rng.dirichlet(np.full(n_states, 2.0), n_states)),
        np.log(rng.dirichlet(np.full(n_states, 2.0))),
    )
    return Problem(
        oracles.Data(counts, design, starts, observed),
        make_data(counts, starts, observed, kernel),
        prior,
        parameters,
        nonlinearity,
    )


def rounding(data: oracles.Data, theta: np.ndarray, nonlinearity: str) -> float:
    """How far two sums of the log likelihood's terms can differ: by their number and size."""
    size = 0.0
    for weights in theta:
        f = oracles.RATES[nonlinearity](data.design @ weights.T)
        f = np.maximum(f, 1e-300)  # a state that a bin excludes has no part in its sum
        size = max(size, (np.abs(xlogy(data.counts, f)) + f + gammaln(data.counts + 1)).sum())
    return 4 * EPS * sum(data.counts.shape) * (1 + size)


def smoothed(problem: Problem) -> hmm.Posterior:
    p = problem.parameters
    emission = emission_log_likelihood(problem.mine, p.theta, problem.nonlinearity, serially)
    return hmm.forward_backward(p.log_initial, p.log_transition, emission, problem.data.starts)


def simulated(n_units, n_states, n_bins, seed, **settings) -> xr.Dataset:
    truth = nks.snn.switching_population(n_units, n_states, rng=seed, **settings)
    return nks.snn.simulate_switching_population(truth, n_bins, rng=seed)


def last(trace: xr.DataArray) -> float:
    """The last value before the NaN that pads a run shorter than others."""
    return float(trace.values[np.isfinite(trace.values)][-1])


def gradient_tolerance(problem: Problem) -> float:
    """Rounding of the posterior and of the sum over bins, and what negligible states may add."""
    data, p = problem.data, problem.parameters
    largest = total = 0.0
    for weights in p.theta:
        f = oracles.RATES[problem.nonlinearity](data.design @ weights.T)
        term = np.abs(data.counts / f - 1) @ np.ones(f.shape[1]) * data.design.max(axis=1)
        largest, total = max(largest, term.max()), max(total, term.sum())
    posterior = rounding(data, p.theta, problem.nonlinearity) + EPS * len(data.counts)
    return 4 * (posterior * total + NEGLIGIBLE * len(data.counts) * largest)


def flat(parts) -> np.ndarray:
    """Several arrays as one vector."""
    return np.concatenate([np.ravel(part) for part in parts])


def oracle_objective(problem: Problem, p: Parameters) -> float:
    return float(oracles.log_posterior(problem.data, problem.prior, problem.nonlinearity, *p))


def documented_prior(model: HMMGLM, data: oracles.Data) -> Numbers:
    """The prior as the class's text has it, with the package's numbers."""
    time_constants = [] if model.history is None else list(np.atleast_1d(model.history))
    kernels = exponential_kernel(time_constants, BIN)
    norms = [np.linalg.norm(k) for k in kernels]
    scale = np.array([max(norms) / norm for _ in range(data.counts.shape[1]) for norm in norms])
    pooled = model.prior == "gaussian"
    mean_count = np.maximum(data.counts[data.observed].mean(axis=0), 0.5 / data.observed.sum())
    return Numbers(
        pooled=pooled,
        weight_sd=(model.prior_sd if pooled else WEAK_WEIGHT_SD) * scale,
        mean_sd=MEAN_SD * scale,
        bias_mean=inverse_rate(mean_count, model.nonlinearity),
        bias_sd=BIAS_SD,
        stickiness=model.stickiness,
        concentration=CONCENTRATION,
    )


def oracle_data(counts: xr.Dataset, time_constants: list[float]) -> oracles.Data:
    sequences = flatten(counts)
    design = oracles.history_features(*sequences, time_constants, BIN)
    return oracles.Data(sequences.counts, design, sequences.starts, sequences.observed)


def problem_of(model: HMMGLM, counts: xr.Dataset) -> Problem:
    """The problem that a fit solved, with the parameters it found."""
    time_constants = [] if model.history is None else list(np.atleast_1d(model.history))
    data = oracle_data(counts, time_constants)
    return Problem(
        data,
        make_data(*flatten(counts), exponential_kernel(time_constants, BIN)),
        documented_prior(model, data),
        fitted_parameters(model),
        model.nonlinearity,
    )


def fitted_parameters(model: HMMGLM) -> Parameters:
    r = model.result_
    theta = np.concatenate(
        [r["bias"].values[..., None], r["weight"].values.reshape(*r["bias"].shape, -1)], axis=2
    )
    mean = np.zeros(theta.shape[1:])[:, 1:]
    if "weight_mean" in r:
        mean = r["weight_mean"].values.reshape(mean.shape)
    return Parameters(
        theta,
        mean,
        np.log(r["transition_probability"].values),
        np.log(r["initial_probability"].values),
    )


def slopes(expected: np.ndarray, p: Parameters, prior: Numbers) -> Direction:
    """Gradient of the log posterior from that of the expected log likelihood."""
    own = prior.on_weights.gradient(p.theta, p.mean)
    return own._replace(theta=expected + own.theta)


def curvature(information: np.ndarray, p: Parameters, prior: Numbers) -> Curvature:
    """What turns a gradient into a step."""
    return factorise(information, prior.on_weights.curvature(p.theta, p.mean))
