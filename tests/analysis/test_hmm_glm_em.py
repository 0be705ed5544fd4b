"""EM of the HMM-GLM never falls, and ends at the optimum however the data are laid out."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import xarray as xr
from hmm_glm_problems import (
    TINY,
    Numbers,
    Problem,
    curvature,
    fitted_parameters,
    flat,
    gradient_tolerance,
    last,
    oracle_data,
    oracle_objective,
    problem_of,
    random_problem,
    rounding,
    serially,
    simulated,
    smoothed,
)
from oracles import EPS
from scipy.optimize import minimize

import neurokit_sdr as nks
from neurokit_sdr.analysis import HMMGLM
from neurokit_sdr.analysis.hmm_glm.em import Fit, maximise
from neurokit_sdr.analysis.hmm_glm.equations import Parameters, fisher_information, log_prior
from neurokit_sdr.analysis.hmm_glm.prior import MEAN_SD, WEAK_WEIGHT_SD


@pytest.mark.parametrize("number", range(100))
def test_em_never_lowers_the_objective(number, seed):
    problem = random_problem(np.random.default_rng([seed, number]), nasty=number % 3 == 0)
    seen: list[Fit] = []
    fit = maximise(
        problem.mine,
        Fit(problem.parameters, np.empty(0), np.empty(0)),
        problem.prior.on_weights,
        problem.prior.on_chain,
        problem.nonlinearity,
        max_iter=25,
        tol=0.0,
        run=serially,
        on_iteration=seen.append,
    )
    priors = problem.prior.on_weights, problem.prior.on_chain
    # Not what EM says of itself, but the oracle's objective at the parameters it passed through.
    trace = np.array([oracle_objective(problem, f.parameters) for f in seen])
    slack = np.array(
        [
            rounding(problem.data, f.parameters.theta, problem.nonlinearity)
            + 4 * EPS * f.parameters.theta.size * abs(log_prior(f.parameters, *priors))
            for f in seen
        ]
    )
    np.testing.assert_array_less(np.abs(fit.objective[: len(seen)] - trace), slack)
    assert (np.diff(trace) >= -slack[1:] - slack[:-1]).all()
    assert np.isfinite(fit.parameters.theta).all()


def test_the_text_names_the_priors_numbers():
    assert f"standard deviation {WEAK_WEIGHT_SD:g})" in HMMGLM.__doc__
    assert f"N(0, {MEAN_SD:g}^2)" in HMMGLM.__doc__


@pytest.mark.parametrize("nonlinearity", ["softplus", "exp"])
@pytest.mark.parametrize("prior", ["none", "gaussian"])
@pytest.mark.parametrize("history", [0.02, [0.02, 0.1]])
def test_one_state_is_what_an_independent_optimiser_finds(nonlinearity, prior, history, seed):
    counts = simulated(3, 1, [80, 120, 50], seed, nonlinearity="softplus", strength=(0.2, 0.6))
    counts["observed"] = ("trial", "time"), np.random.default_rng(seed).random((3, 120)) > 0.1
    model = HMMGLM(1, prior=prior, nonlinearity=nonlinearity, history=history, tol=TINY)
    model.fit(counts, rng=0, progress=False)
    data, _, fixed, mine, _ = problem_of(model, counts)
    start = np.zeros(mine.theta.size + mine.mean.size)
    one = np.zeros((1, 1))

    def loss(point):
        theta = point[: mine.theta.size].reshape(mine.theta.shape)
        mean = point[mine.theta.size :].reshape(mine.mean.shape)
        if not fixed.pooled:
            mean = np.zeros(mine.mean.shape)
        return -oracles.log_posterior(data, fixed, nonlinearity, theta, mean, one, one[0])

    found = minimize(
        loss,
        start,
        jac=lambda x: oracles.gradient(loss, x),
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10_000, "ftol": 0, "gtol": 1e-9, "maxcor": 30},
    )
    here = flat([mine.theta, mine.mean])
    # Both lie on one concave hill that bends at least as much as its prior: a point is no further
    # from the top than its slope over that bend.
    bend = np.linalg.eigvalsh(prior_precision(fixed, mine)).min()
    assert bend > 0
    slopes = [np.linalg.norm(oracles.gradient(loss, x)) for x in (here, found.x)]
    assert max(slopes) / bend < 0.01
    np.testing.assert_allclose(here, found.x, atol=sum(slopes) / bend)
    slack = 2 * rounding(data, mine.theta, nonlinearity)
    assert -loss(here) >= -found.fun - slack
    assert last(model.result_["objective"]) == pytest.approx(-loss(here), abs=slack)


def prior_precision(prior: Numbers, p: Parameters) -> np.ndarray:
    """Second derivatives of minus the log prior in theta and the mean."""
    here = flat(prior.on_weights.gradient(p.theta, p.mean))
    columns = []
    for unit in np.eye(p.theta.size + p.mean.size):
        moved = prior.on_weights.gradient(
            p.theta + unit[: p.theta.size].reshape(p.theta.shape),
            p.mean + unit[p.theta.size :].reshape(p.mean.shape),
        )
        columns.append(here - flat(moved))
    size = p.theta.size if not prior.pooled else None  # there the mean is a constant zero
    return np.array(columns)[:size, :size]


@pytest.mark.parametrize("n_states", [2, 3])
def test_without_history_it_is_a_poisson_hmm(n_states, seed):
    rng = np.random.default_rng(seed)
    rates = np.array([[0.2, 3.0, 1.0], [4.0, 0.3, 1.0], [1.0, 1.0, 8.0]])[:n_states]
    state = rng.integers(n_states, size=20).repeat(15)
    counts = nks.snn.simulate_switching_population(
        nks.snn.switching_population(3, 1, rng=0), len(state), rng=0
    )
    counts["count"].values[:] = rng.poisson(rates[state])
    model = HMMGLM(n_states, history=None, nonlinearity="exp", tol=TINY)
    model.fit(counts, rng=0, progress=False)
    assert model.result_.sizes["time_constant"] == 0
    problem = problem_of(model, counts)
    data, _, prior, mine, _ = problem
    bias, log_transition, log_initial = oracles.poisson_hmm(data.counts, prior, np.log(rates), 100)
    truth = Parameters(bias[:, :, None], np.zeros((3, 0)), log_transition, log_initial)
    slack = 2 * rounding(data, mine.theta, "exp")
    assert oracle_objective(problem, mine) == pytest.approx(
        oracle_objective(problem, truth), abs=slack
    )
    order = [int(np.abs(truth.theta - one).sum(axis=(1, 2)).argmin()) for one in mine.theta]
    assert sorted(order) == list(range(n_states))
    # An objective known to `slack` fixes a parameter to sqrt(2 slack / curvature); the curvature of
    # a log rate is the number of spikes it rests on, of which states that overlap take a part.
    spikes = (smoothed(problem).state_probability.T @ data.counts).min()
    np.testing.assert_allclose(mine.theta, truth.theta[order], atol=4 * np.sqrt(slack / spikes))


@pytest.mark.parametrize("prior", ["none", "gaussian"])
def test_a_fit_ends_where_the_objective_is_flat(prior, seed):
    counts = simulated(4, 2, [300, 200], seed, nonlinearity="softplus", strength=(0.3, 0.8))
    model = HMMGLM(2, prior=prior, restarts=2, tol=TINY, max_iter=3000)
    model.fit(counts, rng=0, progress=False)
    problem = problem_of(model, counts)
    data, p = problem.data, problem.parameters
    slack = rounding(data, p.theta, "softplus")
    assert last(model.result_["objective"]) == pytest.approx(
        oracle_objective(problem, p), abs=slack
    )
    sizes = np.cumsum([part.size for part in p])

    def objective(point):
        theta, mean, transition, initial = np.split(point, sizes[:-1])
        transition = transition.reshape(2, 2)  # free numbers, normalised here
        return oracles.log_posterior(
            data,
            problem.prior,
            "softplus",
            theta.reshape(p.theta.shape),
            mean.reshape(p.mean.shape) if problem.prior.pooled else p.mean,
            transition - oracles.log_sum_exp(transition, 1)[:, None],
            initial - oracles.log_sum_exp(initial, 0),
        )

    slope = oracles.gradient(objective, flat(p))
    # What one more Newton step would gain is beyond what the objective can resolve.
    probability = smoothed(problem).state_probability
    information = fisher_information(problem.mine, p.theta, probability, "softplus", serially)
    bend = curvature(information, p, problem.prior)
    theta_slope = slope[: p.theta.size].reshape(p.theta.shape)
    gain = 0.5 * np.einsum("sni,snij,snj", theta_slope, bend.inverse, theta_slope)
    assert gain < slack
    # A transition's log odds bend by its expected number, at least the prior's pseudo-counts.
    chain_slope = slope[sizes[1] :]
    assert (chain_slope**2 / (2 * (problem.prior.concentration - 1)) < 100 * slack).all()


def test_trials_and_joined_sessions_have_the_pooled_objective(seed):
    truth = nks.snn.switching_population(4, 2, rng=seed)
    sessions = [
        nks.snn.simulate_switching_population(truth, n, rng=seed + n) for n in (150, 90, 200)
    ]
    joined = nks.concat_trials(sessions)
    model = HMMGLM(2, nonlinearity="sigmoid", restarts=2).fit(joined, rng=0, progress=False)
    p = fitted_parameters(model)
    parts = [oracle_data(s, [0.02]) for s in sessions]
    total = 0.0
    for part in parts:
        emission = oracles.poisson_log_likelihood(
            part.counts, part.design, part.observed, p.theta, "sigmoid"
        )
        total += oracles.sequence_log_likelihood(p.log_initial, p.log_transition, emission)
    problem = problem_of(model, joined)
    slack = rounding(problem.data, p.theta, "sigmoid")
    assert last(model.result_["log_likelihood"]) == pytest.approx(total, abs=slack)
    assert last(model.result_["objective"]) == pytest.approx(
        oracle_objective(problem, p), abs=slack
    )


def test_an_empty_trial_changes_nothing(seed):
    counts = simulated(3, 2, [60, 80], seed)
    padded = counts.isel(trial=[0, 1, 1, 0, 0]).copy(deep=True)
    padded["trial_length"].values[:] = [60, 0, 80, 0, 0]
    padded["count"].values[2] = counts["count"].values[1]
    settings = {"nonlinearity": "sigmoid", "restarts": 2}
    with_empty = HMMGLM(2, **settings).fit(padded, rng=0, progress=False)
    without = HMMGLM(2, **settings).fit(counts, rng=0, progress=False)
    for name in ("weight", "bias", "transition_probability", "initial_probability", "objective"):
        xr.testing.assert_identical(
            with_empty.result_[name].variable, without.result_[name].variable
        )


def test_missing_bins_have_no_influence(seed):
    counts = simulated(4, 2, 400, seed)
    rng = np.random.default_rng(seed)
    counts["observed"] = "time", rng.random(400) > 0.2
    other = counts.copy(deep=True)
    other["count"].values[~other["observed"].values] = 7
    lost = counts.copy(deep=True).assign(count=counts["count"].astype(float))
    lost["count"].values[~lost["observed"].values] = np.nan
    fits = [
        HMMGLM(2, nonlinearity="sigmoid", restarts=2).fit(data, rng=0, progress=False)
        for data in (counts, other, lost)
    ]
    for one in fits[1:]:
        xr.testing.assert_identical(
            one.result_.drop_attrs(deep=False), fits[0].result_.drop_attrs(deep=False)
        )
        assert one.score(lost) == fits[0].score(counts)


def test_permuting_the_units_permutes_the_weights(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, "softplus")
    while problem.data.counts.shape[1] < 3 or problem.data.design.shape[1] < 4:
        problem = random_problem(rng, "softplus")
    data, mine, prior, p, _ = problem
    n_units = data.counts.shape[1]
    n_kernels = (data.design.shape[1] - 1) // n_units
    order = rng.permutation(n_units)
    columns = (order[:, None] * n_kernels + np.arange(n_kernels)).ravel()
    features = np.concatenate([[0], 1 + columns])
    permuted = Problem(
        data,
        mine._replace(
            counts=mine.counts[:, order],
            design=mine.design[:, features],
            active_counts=mine.active_counts[:, order],
            active_spikes=mine.active_spikes[:, order],
            silent_spikes=mine.silent_spikes[:, order],
        ),
        prior._replace(
            weight_sd=prior.weight_sd[columns],
            mean_sd=prior.mean_sd[columns],
            bias_mean=prior.bias_mean[order],
        ),
        p._replace(theta=p.theta[:, order][:, :, features], mean=p.mean[order][:, columns]),
        "softplus",
    )
    fits = [
        maximise(
            one.mine,
            Fit(one.parameters, np.empty(0), np.empty(0)),
            one.prior.on_weights,
            one.prior.on_chain,
            "softplus",
            max_iter=6,
            tol=0.0,
            run=serially,
        )
        for one in (problem, permuted)
    ]
    information = fisher_information(
        mine,
        fits[0].parameters.theta,
        smoothed(problem).state_probability,
        "softplus",
        serially,
    )
    bend = 1 / prior.weight_sd.max() ** 2
    condition = np.linalg.norm(information, axis=(2, 3)).max() / bend
    error = 6 * condition * (EPS * len(data.counts) + gradient_tolerance(problem))
    np.testing.assert_allclose(
        fits[1].parameters.theta, fits[0].parameters.theta[:, order][:, :, features], atol=error
    )
    np.testing.assert_allclose(
        fits[1].objective,
        fits[0].objective,
        atol=rounding(data, fits[0].parameters.theta, "softplus") * (1 + condition),
    )


def test_states_are_numbered_by_how_long_they_last(seed):
    counts = simulated(6, 3, 1500, seed)
    result = (
        HMMGLM(3, nonlinearity="sigmoid", restarts=3).fit(counts, rng=0, progress=False).result_
    )
    occupancy = result["state_probability"].sum("time").values
    assert (np.diff(occupancy) <= 0).all()
    # One numbering everywhere: decoding the training data again gives the training states.
    model = HMMGLM.from_parameters(result)
    again = model.predict(counts)
    np.testing.assert_array_equal(again["state"], result["state"])
    np.testing.assert_allclose(
        again["state_probability"], result["state_probability"], atol=1500 * EPS
    )


def test_result_adds_up(seed):
    counts = simulated(4, 2, [100, 250, 30], seed)
    model = HMMGLM(2, nonlinearity="sigmoid", restarts=3).fit(counts, rng=0, progress=False)
    result = model.result_
    beyond = np.arange(250) >= counts["trial_length"].values[:, None]
    assert (result["state"].values[beyond] == -1).all()
    assert np.isnan(result["state_probability"].values[beyond]).all()
    inside = result["state_probability"].values[~beyond]
    np.testing.assert_allclose(inside.sum(axis=1), 1, atol=250 * EPS)
    np.testing.assert_allclose(result["transition_probability"].sum("next_state"), 1, atol=4 * EPS)
    np.testing.assert_allclose(result["initial_probability"].sum("state"), 1, atol=4 * EPS)
    traces = result["restart_objective"].values
    assert traces.shape[0] == 3
    assert np.nanmax(traces) == np.nanmax(result["objective"].values)
    for trace in traces:
        assert (np.diff(trace[np.isfinite(trace)]) >= 0).all()
