"""Poisson HMM without coupling, fitted with dynamax by EM from a k-means start."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from _common import Fit, argument_parser, load_problem, run
from dynamax.hidden_markov_model import PoissonHMM
from scipy.cluster.vq import kmeans2


def main() -> None:
    """Fit the problem twice and write the report."""
    arguments = argument_parser(__doc__).parse_args()
    problem = load_problem(arguments.problem)
    counts = problem.counts.astype(np.float32)
    n_neurons = counts.shape[-1]
    emissions = jnp.asarray(counts)
    model = PoissonHMM(arguments.states, n_neurons, transition_matrix_stickiness=10.0)

    _, properties = model.initialize(jax.random.PRNGKey(0))

    # fit_em compiles a new closure at every call; one jit around it all compiles once.
    @jax.jit
    def compiled(parameters, emissions):
        parameters, log_probabilities = model.fit_em(
            parameters, properties, emissions, num_iters=arguments.em_steps, verbose=False
        )
        states = jax.vmap(partial(model.most_likely_states, parameters))(emissions)
        log_likelihoods = jax.vmap(partial(model.marginal_log_prob, parameters))(emissions)
        return parameters.emissions.rates, log_probabilities, states, log_likelihoods.sum()

    def fit(seed: int) -> Fit:
        # The default start draws rates from the prior, whose mean is 11 spikes a bin.
        centres, _ = kmeans2(counts.reshape(-1, n_neurons), arguments.states, minit="++", rng=seed)
        parameters, _ = model.initialize(
            jax.random.PRNGKey(seed), emission_rates=jnp.asarray(centres + 1e-3)
        )
        rates, log_probabilities, states, log_likelihood = jax.block_until_ready(
            compiled(parameters, emissions)
        )
        return Fit(np.asarray(states), log_probabilities, float(log_likelihood), {"rates": rates})

    run("dynamax PoissonHMM", ("dynamax", "jax", "numpy"), fit, problem, arguments)


if __name__ == "__main__":
    main()
