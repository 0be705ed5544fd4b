r"""One run of EM: states by messages, parameters by steps that never lower the objective.

Each iteration smooths the states, sets transition and initial probabilities to their maximisers and
moves :math:`\theta` and :math:`\mu` by one Newton step with exact gradient, lengthened by what past
steps taught. A step that lowers the objective is replaced by a shorter one, so it never falls
(generalised EM, Dempster, Laird and Rubin 1977).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from neurokit_sdr.analysis.hmm_glm.data import Data
from neurokit_sdr.analysis.hmm_glm.equations import (
    Parameters,
    emission_log_likelihood,
    expected_gradient,
    fisher_information,
    log_prior,
    update_chain,
)
from neurokit_sdr.analysis.hmm_glm.prior import ChainPrior, Prior
from neurokit_sdr.analysis.hmm_glm.steps import (
    Curvature,
    Direction,
    Pair,
    accelerated_step,
    factorise,
    newton_step,
)
from neurokit_sdr.core.threads import Map
from neurokit_sdr.engines import hmm

#: Past steps that the next one learns from.
MEMORY = 8

#: An accelerated step more often the Newton step's size than this has learned from noise.
LONGEST_STEP = 30.0

#: A step that still lowers the objective at this size is rounding: EM has converged.
SMALLEST_STEP = 1e-10


class Fit(NamedTuple):
    """A finished (or interrupted) run of EM.

    Attributes
    ----------
    parameters
        The best reached.
    objective
        Log posterior at the start of every iteration, shape (iteration,).
    log_likelihood
        Its data part, shape (iteration,).
    converged
        Whether the last gain was below the tolerance.
    interrupted
        Whether Ctrl-C ended it.
    """

    parameters: Parameters
    objective: np.ndarray
    log_likelihood: np.ndarray
    converged: bool = False
    interrupted: bool = False


def refreshes(iteration: int) -> bool:
    """Whether the curvature is taken anew: past steps make up for its age."""
    return iteration in (2, 6) or resumable(iteration)


def resumable(iteration: int) -> bool:
    """Whether an iteration starts from the parameters alone, so that a fit can go on from it."""
    return iteration % 20 == 0


def maximise(
    data: Data,
    start: Fit,
    prior: Prior,
    chain: ChainPrior,
    nonlinearity: str,
    *,
    max_iter: int,
    tol: float,
    run: Map,
    on_iteration: Callable[[Fit], None] = lambda fit: None,
) -> Fit:
    """Run EM from a start, or go on with a run where it stopped.

    Parameters
    ----------
    start
        Its parameters; its traces hold the iterations already done, and grow.
    prior, chain
        On biases and weights, and on the states.
    max_iter
        Iterations at most, those already done included.
    tol
        Stop once the objective twice gains no more than this per observed bin, in nats.
    run
        Maps over chunks, as :func:`~neurokit_sdr.core.threads.parallel_map` makes.
    on_iteration
        Called with the run so far after every iteration. A run that goes on from a fit seen at an
        iteration for which :func:`resumable` is true does exactly what this one will do.
    """
    enough = tol * max(1, int(data.observed.sum()))
    done = start
    current = start.parameters
    step: Direction | None = None
    shorter = Direction(np.zeros(0), np.zeros(0))
    last: tuple[Direction, Direction] | None = None
    pairs: list[Pair] = []
    curvature: Curvature | None = None
    if len(start.objective):  # its last iteration is smoothed again, for the messages
        done = start._replace(
            objective=start.objective[:-1], log_likelihood=start.log_likelihood[:-1]
        )
    try:
        while len(done.objective) < max_iter:
            emission = emission_log_likelihood(data, current.theta, nonlinearity, run)
            posterior = hmm.forward_backward(
                current.log_initial, current.log_transition, emission, data.starts, run
            )
            likelihood = float(posterior.log_likelihood.sum())
            objective = likelihood + log_prior(current, prior, chain)
            if step is not None and not objective >= done.objective[-1]:
                if not step.size() >= SMALLEST_STEP:
                    return done._replace(converged=True)
                # What led here is forgotten: the next try is a plain Newton step, ever shorter.
                step, shorter = shorter, shorter.scaled(0.5)
                pairs, curvature, last = [], None, None
                current = current._replace(
                    theta=done.parameters.theta + step.theta, mean=done.parameters.mean + step.mean
                )
                continue
            done = Fit(
                current,
                np.append(done.objective, objective),
                np.append(done.log_likelihood, likelihood),
            )
            on_iteration(done)
            iteration = len(done.objective) - 1
            # Twice, because one step of an accelerated run can be small by chance.
            if iteration > 1 and (np.diff(done.objective[-3:]) <= enough).all():
                return done._replace(converged=True)
            if len(done.objective) == max_iter:
                return done
            if resumable(iteration):
                pairs, curvature, last = [], None, None
            probability = posterior.state_probability
            if curvature is None or refreshes(iteration):
                curvature = factorise(
                    fisher_information(data, current.theta, probability, nonlinearity, run),
                    prior.curvature(current.theta, current.mean),
                )
            gradient = prior.gradient(current.theta, current.mean)
            gradient = gradient._replace(
                theta=expected_gradient(data, current.theta, probability, nonlinearity, run)
                + gradient.theta
            )
            if last is not None:
                fall = last[1].plus(gradient, -1.0)
                if last[0].dot(fall) > 0:
                    pairs = [*pairs, Pair(last[0], fall)][-MEMORY:]
            step = newton = newton_step(gradient, curvature)
            shorter = newton.scaled(0.5)
            if pairs:
                longer = accelerated_step(gradient, pairs, curvature)
                if longer.size() < LONGEST_STEP * newton.size():
                    step, shorter = longer, newton
            last = (step, gradient)
            log_transition, log_initial = update_chain(posterior, data.starts, chain)
            current = Parameters(
                current.theta + step.theta, current.mean + step.mean, log_transition, log_initial
            )
    except KeyboardInterrupt:
        return done._replace(interrupted=True)
    return done
