"""Where EM starts, and which of several starts wins.

k-means on smoothed counts guesses the states, a Poisson HMM (no coupling) refines the guess, and
the HMM-GLM goes on from there. Local optima are real, so several starts at different time scales
each get a few iterations, and the best of them run to convergence.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.ndimage import uniform_filter1d
from scipy.special import gammaln

from neurokit_sdr.analysis.hmm_glm.data import Data
from neurokit_sdr.analysis.hmm_glm.em import Fit, maximise, resumable
from neurokit_sdr.analysis.hmm_glm.equations import Parameters, update_chain
from neurokit_sdr.analysis.hmm_glm.prior import ChainPrior, Prior
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.core.threads import Map
from neurokit_sdr.engines import hmm
from neurokit_sdr.engines.poisson.kernels import inverse_rate

#: What successive starts cluster: the width of smoothing in bins, and whether every unit counts
#: alike or the busy ones more.
VIEWS = ((50, True), (50, False), (50, True), (100, True), (10, False))

#: Successive halving: in each round, how many runs go on, and to how many iterations at most.
ROUNDS = ((1_000_000, 3), (5, 6), (3, 12), (2, 1_000_000))

#: Refinement of the first guess by a Poisson HMM.
POISSON_ITERATIONS = 4


class Search(NamedTuple):
    """All that is carried between iterations of a search over starts; what a checkpoint holds.

    Attributes
    ----------
    runs
        One for each start so far.
    at_work
        Which of :data:`ROUNDS` is at work.
    """

    runs: list[Fit]
    at_work: int

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The search as named arrays, for a checkpoint."""
        arrays = {"at_work": np.array(self.at_work)}
        for number, fit in enumerate(self.runs):
            arrays[f"{number}.objective"] = fit.objective
            arrays[f"{number}.log_likelihood"] = fit.log_likelihood
            arrays[f"{number}.converged"] = np.array(fit.converged)
            for name, value in fit.parameters._asdict().items():
                arrays[f"{number}.{name}"] = value
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Search:
        """The inverse of :meth:`to_arrays`."""
        runs: list[Fit] = []
        while f"{len(runs)}.objective" in arrays:
            number = len(runs)
            parameters = Parameters(*(arrays[f"{number}.{f}"] for f in Parameters._fields))
            runs.append(
                Fit(
                    parameters,
                    arrays[f"{number}.objective"],
                    arrays[f"{number}.log_likelihood"],
                    bool(arrays[f"{number}.converged"]),
                )
            )
        return cls(runs, int(arrays["at_work"]))


def poisson_hmm(
    counts: np.ndarray,
    starts: np.ndarray,
    observed: np.ndarray,
    probability: np.ndarray,
    chain: ChainPrior,
    *,
    max_iter: int,
    tol: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """EM for the HMM without coupling, from state probabilities.

    Returns
    -------
    rates (state, target), log_transition, log_initial
    """
    constant = gammaln(counts + 1.0).sum(axis=1)
    n_states = probability.shape[1]
    log_transition = np.log(np.full((n_states, n_states), 0.05 / max(1, n_states - 1)))
    np.fill_diagonal(log_transition, np.log(0.95))
    log_initial = np.full(n_states, -np.log(n_states))
    overall = counts[observed].mean(axis=0) + 1e-4
    last = -np.inf
    for _ in range(max_iter):
        weight = probability * observed[:, None]
        # One pseudo-bin at the overall mean keeps a state without spikes finite.
        rates = (weight.T @ counts + overall) / (weight.sum(axis=0)[:, None] + 1.0)
        emission = counts @ np.log(rates).T - rates.sum(axis=1) - constant[:, None]
        emission[~observed] = 0.0
        posterior = hmm.forward_backward(log_initial, log_transition, emission, starts)
        likelihood = float(posterior.log_likelihood.sum())
        probability = posterior.state_probability
        log_transition, log_initial = update_chain(posterior, starts, chain)
        if likelihood - last < tol * len(counts):
            break
        last = likelihood
    return rates, log_transition, log_initial


def cluster_bins(
    counts: np.ndarray,
    starts: np.ndarray,
    n_states: int,
    view: tuple[int, bool],
    rng: np.random.Generator,
) -> np.ndarray:
    """First guess of the states: k-means on square roots of smoothed counts, shape (time, state).

    The square root makes the variance of a Poisson count nearly the same at every rate. A view is
    one of :data:`VIEWS`.
    """
    width, alike = view
    smooth = np.empty(counts.shape)
    for first, last in itertools.pairwise(starts):
        smooth[first:last] = np.sqrt(
            uniform_filter1d(counts[first:last].astype(float), width, axis=0, mode="nearest")
        )
    if alike:
        smooth /= smooth.std(axis=0) + 1e-3
    chosen = smooth
    if len(smooth) > 20_000:
        chosen = smooth[np.sort(rng.choice(len(smooth), 20_000, replace=False))]
    # Silent stretches repeat one point; a little noise keeps k-means from losing a cluster there.
    spread = chosen + 1e-6 * rng.standard_normal(chosen.shape)
    centres, _ = kmeans2(spread, n_states, iter=20, minit="++", rng=rng)
    nearest = ((centres**2).sum(axis=1) - 2.0 * smooth @ centres.T).argmin(axis=1)
    return np.eye(n_states)[nearest]


def first_parameters(
    data: Data,
    n_states: int,
    chain: ChainPrior,
    nonlinearity: str,
    view: tuple[int, bool],
    rng: np.random.Generator,
) -> Parameters:
    """k-means, then a Poisson HMM, then biases from its rates and no coupling."""
    guess = cluster_bins(data.counts, data.starts, n_states, view, rng)
    rates, log_transition, log_initial = poisson_hmm(
        data.counts,
        data.starts,
        data.observed,
        guess,
        chain,
        max_iter=POISSON_ITERATIONS,
        tol=1e-5,
    )
    n_units, n_features = data.counts.shape[1], data.design.shape[1]
    theta = np.zeros((n_states, n_units, n_features))
    theta[:, :, 0] = inverse_rate(rates, nonlinearity)
    return Parameters(theta, np.zeros((n_units, n_features - 1)), log_transition, log_initial)


def search(
    data: Data,
    n_states: int,
    prior: Prior,
    chain: ChainPrior,
    nonlinearity: str,
    *,
    restarts: int,
    max_iter: int,
    tol: float,
    seed: int,
    run: Map,
    resume: Search | None = None,
    on_iteration: Callable[[int, Fit], None] = lambda start, fit: None,
    on_state: Callable[[Search], None] = lambda state: None,
) -> tuple[Fit, list[Fit]]:
    """Try several starts, go on with fewer in every round, and finish the best.

    Parameters
    ----------
    restarts
        How many starts; one state needs only one, because nothing is hidden.
    resume
        A state to go on from.
    on_iteration
        Called after every iteration with the number of the start and its run.
    on_state
        Called with every state from which the search can go on to the same end.

    Returns
    -------
    best, runs
    """
    restarts = restarts if n_states > 1 else 1
    runs, first_round = ([], 0) if resume is None else (list(resume.runs), resume.at_work)
    same = tol * max(1, int(data.observed.sum()))

    def go_on(number: int, limit: int, at_work: int) -> None:
        def report(fit: Fit) -> None:
            on_iteration(number, fit)
            if resumable(len(fit.objective) - 1):
                on_state(Search([*runs[:number], fit, *runs[number + 1 :]], at_work))

        runs[number] = maximise(
            data,
            runs[number],
            prior,
            chain,
            nonlinearity,
            max_iter=min(limit, max_iter),
            tol=tol,
            run=run,
            on_iteration=report,
        )
        if not runs[number].interrupted:
            on_state(Search(list(runs), at_work))

    reached = 0
    chosen: list[int] = []
    for at_work, (places, limit) in enumerate(ROUNDS):
        # Compared where this round began, so that going on from a checkpoint chooses alike.
        if at_work == 0:
            chosen = list(range(restarts))
        else:
            chosen = _best(runs, chosen, reached, places, same)
        reached = limit
        for number in chosen if at_work >= first_round else []:
            try:
                if number == len(runs):
                    rng = stream(seed, "start", number)
                    view = VIEWS[number % len(VIEWS)]
                    start = first_parameters(data, n_states, chain, nonlinearity, view, rng)
                    runs.append(Fit(start, np.empty(0), np.empty(0)))
                if not runs[number].converged:
                    go_on(number, limit, at_work)
            except KeyboardInterrupt:
                if not any(len(run.objective) for run in runs):
                    raise
                return _winner(runs)._replace(interrupted=True), runs
            if runs[number].interrupted:
                return _winner(runs)._replace(interrupted=True), runs
    return _winner([runs[number] for number in chosen]), runs


def _best(
    runs: list[Fit], candidates: list[int], reached: int, places: int, same: float
) -> list[int]:
    """Numbers of the best candidates at an iteration, those alike counted once."""
    value = {i: runs[i].objective[:reached].max(initial=-np.inf) for i in candidates}
    chosen: list[int] = []
    for number in sorted(candidates, key=lambda i: -value[i]):
        if len(chosen) < places and all(value[c] - value[number] > same for c in chosen):
            chosen.append(number)
    return chosen


def _winner(runs: list[Fit]) -> Fit:
    return max(runs, key=lambda run: run.objective.max(initial=-np.inf))
