"""Poisson HMM without coupling, fitted with ssm by EM from its own k-means start."""

import os
import sys
import types

import autograd.scipy.special
import numpy as np
from _common import Fit, argument_parser, load_problem, run

# The ssm on PyPI imports logsumexp from a module that autograd has dropped since.
_misc = types.ModuleType("autograd.scipy.misc")
_misc.logsumexp = autograd.scipy.special.logsumexp
sys.modules[_misc.__name__] = _misc

# Its progress bar has no switch of its own.
os.environ["TQDM_DISABLE"] = "1"

import ssm  # noqa: E402


def main() -> None:
    """Fit the problem twice and write the report."""
    arguments = argument_parser(__doc__).parse_args()
    problem = load_problem(arguments.problem)
    trials = list(problem.counts)

    def fit(seed: int) -> Fit:
        np.random.seed(seed)  # noqa: NPY002 - ssm and its k-means draw from the global generator
        model = ssm.HMM(arguments.states, problem.counts.shape[-1], observations="poisson")
        log_probabilities = model.fit(trials, method="em", num_em_iters=arguments.em_steps)
        return Fit(
            states=np.stack([model.most_likely_states(trial) for trial in trials]),
            log_probabilities=np.array(log_probabilities),
            log_likelihood=model.log_likelihood(trials),
            parameters={"rates": np.exp(model.observations.log_lambdas)},
        )

    run("ssm PoissonHMM", ("ssm", "autograd", "numpy"), fit, problem, arguments)


if __name__ == "__main__":
    main()
