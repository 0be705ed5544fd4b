"""Poisson GLM-HMM with coupling, fitted with dynamax through emissions of one's own.

dynamax ships no such model; its guide to custom HMMs shows how a user adds one. The emissions
here have rate ``f(bias[s, n] + sum_m weights[s, n, m] * history[t, m])``, and a Gaussian prior
that pools every weight towards its mean over the states.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tensorflow_probability.substrates.jax.distributions as tfd
from _common import Fit, argument_parser, load_problem, run
from dynamax.hidden_markov_model.models.abstractions import HMM, HMMEmissions
from dynamax.hidden_markov_model.models.initial import StandardHMMInitialState
from dynamax.hidden_markov_model.models.transitions import StandardHMMTransitions
from dynamax.parameters import ParameterProperties
from jax.scipy.special import xlogy
from scipy.special import gammaln, logit

# Each rate function with its inverse, which sets the first bias. No sigmoid rate exceeds one.
NONLINEARITIES = {
    "sigmoid": (jax.nn.sigmoid, lambda rate: logit(np.minimum(rate, 0.99))),
    "softplus": (jax.nn.softplus, lambda rate: np.log(np.expm1(rate))),
    "exp": (jnp.exp, np.log),
}

# At 0.01 the objective ends lower with 5 states and 20 neurons, at 0.1 with 3 states and 10.
LEARNING_RATE = 0.03


class EmissionParameters(NamedTuple):
    """Coupling (states, targets, sources) and bias (states, neurons), or their properties."""

    weights: jax.Array | ParameterProperties
    bias: jax.Array | ParameterProperties


class ModelParameters(NamedTuple):
    """The three parts of a dynamax HMM."""

    initial: NamedTuple
    transitions: NamedTuple
    emissions: EmissionParameters


class CoupledPoissonEmissions(HMMEmissions):
    """Poisson GLM emissions whose inputs are the filtered counts of the population.

    Parameters
    ----------
    n_states, n_neurons : int
        Sizes of the model.
    nonlinearity : callable
        Maps the linear drive to the rate.
    prior_sd : float
        Standard deviation of a weight about its mean over the states.
    m_steps : int
        Adam steps in one M-step.
    """

    def __init__(self, n_states, n_neurons, nonlinearity, prior_sd, m_steps):
        super().__init__(m_step_optimizer=optax.adam(LEARNING_RATE), m_step_num_iters=m_steps)
        self.num_states = n_states
        self.n_neurons = n_neurons
        self.nonlinearity = nonlinearity
        self.prior_sd = prior_sd

    @property
    def emission_shape(self):
        """Shape of one bin's counts."""
        return (self.n_neurons,)

    def initialize(self, key, base_bias):
        """Start at small random weights, with the bias that gives the mean rate."""
        shape = (self.num_states, self.n_neurons, self.n_neurons)
        parameters = EmissionParameters(
            weights=0.1 * jax.random.normal(key, shape),
            bias=jnp.tile(base_bias, (self.num_states, 1)),
        )
        return parameters, EmissionParameters(ParameterProperties(), ParameterProperties())

    def log_prior(self, params):
        """Log density of the weights about their mean over the states."""
        mean = params.weights.mean(axis=0)
        return tfd.Normal(mean, self.prior_sd).log_prob(params.weights).sum()

    def distribution(self, params, state, inputs):
        """Distribution of one bin's counts in one state."""
        drive = params.weights[state] @ inputs + params.bias[state]
        return tfd.Independent(tfd.Poisson(self.nonlinearity(drive)), 1)


class LeanPoissonEmissions(CoupledPoissonEmissions):
    """The same model, whose log likelihood leaves out the factorials of the counts.

    They change no fit, being the same in every state, but through :meth:`distribution` they are
    computed again in every Adam step, which takes most of the time.
    """

    def _compute_conditional_logliks(self, params, emissions, inputs=None):
        drive = jnp.einsum("snm,tm->tsn", params.weights, inputs) + params.bias
        rates = self.nonlinearity(drive)
        return (xlogy(emissions[:, None], rates) - rates).sum(axis=-1)


class CoupledPoissonHMM(HMM):
    """Sticky HMM around a :class:`CoupledPoissonEmissions`."""

    def __init__(self, emissions):
        n_states = emissions.num_states
        self.n_neurons = emissions.n_neurons
        super().__init__(
            n_states,
            StandardHMMInitialState(n_states),
            StandardHMMTransitions(n_states, stickiness=10.0),
            emissions,
        )

    @property
    def inputs_shape(self):
        """Shape of one bin's inputs."""
        return (self.n_neurons,)

    def initialize(self, key, base_bias):
        """Start every part; states last 20 bins on average."""
        keys = jax.random.split(key, 3)
        leave = 0.05 / max(self.num_states - 1, 1)
        transitions = jnp.full((self.num_states, self.num_states), leave)
        transitions = jnp.fill_diagonal(transitions, 0.95, inplace=False)
        parts = (
            self.initial_component.initialize(keys[0]),
            self.transition_component.initialize(keys[1], transition_matrix=transitions),
            self.emission_component.initialize(keys[2], base_bias),
        )
        parameters, properties = zip(*parts, strict=True)
        return ModelParameters(*parameters), ModelParameters(*properties)


def main() -> None:
    """Fit the problem twice and write the report."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--m-steps", type=int, default=50, help="Adam steps in one M-step")
    parser.add_argument("--prior-sd", type=float, default=0.33, help="sd of the pooling prior")
    parser.add_argument("--nonlinearity", choices=NONLINEARITIES, default="sigmoid")
    parser.add_argument("--chains", type=int, default=1, help="starts; the best one is kept")
    parser.add_argument(
        "--recipe",
        action="store_true",
        help="write the emissions as dynamax's guide does, which is slower and fits the same",
    )
    arguments = parser.parse_args()

    problem = load_problem(arguments.problem)
    nonlinearity, inverse = NONLINEARITIES[arguments.nonlinearity]
    mean_rates = problem.counts.mean(axis=(0, 1)).clip(0.001)
    base_bias = jnp.asarray(inverse(mean_rates), dtype=jnp.float32)
    # dynamax wants float emissions and inputs; float32 is what jax gives a user.
    counts = jnp.asarray(problem.counts, dtype=jnp.float32)
    history = jnp.asarray(problem.history, dtype=jnp.float32)
    if arguments.recipe:
        emissions_class, log_factorials = CoupledPoissonEmissions, 0.0
    else:
        emissions_class, log_factorials = LeanPoissonEmissions, gammaln(problem.counts + 1).sum()
    model = CoupledPoissonHMM(
        emissions_class(
            arguments.states,
            counts.shape[-1],
            nonlinearity,
            arguments.prior_sd,
            arguments.m_steps,
        )
    )

    def fit_chain(key, counts, history):
        parameters, properties = model.initialize(key, base_bias)
        parameters, log_probabilities = model.fit_em(
            parameters, properties, counts, history, num_iters=arguments.em_steps, verbose=False
        )
        states = jax.vmap(partial(model.most_likely_states, parameters))(counts, history)
        log_likelihoods = jax.vmap(partial(model.marginal_log_prob, parameters))(counts, history)
        return parameters.emissions, log_probabilities, states, log_likelihoods.sum()

    # fit_em compiles a new closure at every call; one jit around it all compiles once.
    fit_chains = jax.jit(jax.vmap(fit_chain, in_axes=(0, None, None)))

    def fit(seed: int) -> Fit:
        keys = jax.random.split(jax.random.PRNGKey(seed), arguments.chains)
        results = jax.block_until_ready(fit_chains(keys, counts, history))
        best = int(results[1][:, -1].argmax())
        emissions, log_probabilities, states, log_likelihood = jax.tree.map(
            lambda leaf: np.asarray(leaf[best]), results
        )
        return Fit(
            states,
            log_probabilities - log_factorials,
            float(log_likelihood) - log_factorials,
            emissions._asdict(),
        )

    run("dynamax HMM-GLM", ("dynamax", "jax", "optax", "numpy"), fit, problem, arguments)


if __name__ == "__main__":
    main()
