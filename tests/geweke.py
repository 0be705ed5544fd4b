"""Geweke's joint-distribution test: does a kernel leave the posterior of its model as it is?

Two ways to draw parameters and data together must agree. One draws parameters from the prior, then
data. The other goes on from there by turns: the kernel under test moves the parameters given the
data, then fresh data are drawn given the parameters. A kernel that is right for every data set
leaves the joint law as it is; one that is not drifts away.

Geweke (2004), Getting it right: joint distribution tests of posterior simulators. JASA 99.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from neurokit_sdr.engines.chains.diagnostics import ess_mean

#: Chance that the test fails for a right kernel, over all its numbers together.
FALSE_ALARM = 1e-3

#: Fewer effective draws than this make no standard error.
LEAST_ESS = 100


class Geweke(NamedTuple):
    """What the test found.

    Attributes
    ----------
    z
        Difference of the two ways' means of each measure over its standard error, by name, but for
        measures that never change within a chain.
    threshold
        The largest |z| that chance explains, by Bonferroni over the measures.
    """

    z: dict[str, float]
    threshold: float

    @property
    def failed(self) -> dict[str, float]:
        """The measures by which the two ways differ."""
        return {name: z for name, z in self.z.items() if not abs(z) <= self.threshold}


def geweke(
    prior: Callable[[np.random.Generator], Any],
    simulate: Callable[[Any, np.random.Generator], Any],
    kernel: Callable[[Any, Any, np.random.Generator], Any],
    measures: Callable[[Any, Any], dict[str, float]],
    rng: np.random.Generator,
    *,
    n_chains: int = 100,
    n_steps: int = 100,
) -> Geweke:
    """Run the test.

    Parameters
    ----------
    prior
        ``prior(rng)``: the state of a chain, drawn from the prior.
    simulate
        ``simulate(state, rng)``: data, drawn given the state.
    kernel
        ``kernel(state, data, rng)``: the next state.
    measures
        ``measures(state, data)``: numbers whose means are compared, with finite variance.
    rng
        Of everything.
    n_chains, n_steps
        Chains of the second way, and turns of each. Each begins at a draw of the first way, so that
        none has to burn in; the first way draws as many as the second has in all.

    Notes
    -----
    The error of the first mean is that of independent draws, the error of the second that of as
    many as its effective draws. Chains differ by chance only, so what varies between them counts
    in the effective draws, too.
    """
    successive: list[list[dict[str, float]]] = []
    independent: list[dict[str, float]] = []
    for _ in range(n_chains):
        state = prior(rng)
        data = simulate(state, rng)
        steps = []
        for _ in range(n_steps):
            state = kernel(state, data, rng)
            data = simulate(state, rng)
            steps.append(measures(state, data))
            fresh = prior(rng)
            independent.append(measures(fresh, simulate(fresh, rng)))
        successive.append(steps)
    names = list(independent[0])
    second = np.array([[[turn[name] for name in names] for turn in steps] for steps in successive])
    first = np.array([[draw[name] for name in names] for draw in independent])
    # What the kernel leaves alone tells nothing of it.
    moves = np.ptp(second, axis=1).any(axis=0)
    names = [name for name, moved in zip(names, moves, strict=True) if moved]
    first, second = first[:, moves], second[:, :, moves]
    ess = ess_mean(second)
    short = {name: float(n) for name, n in zip(names, ess, strict=True) if not n >= LEAST_ESS}
    assert not short, f"too few effective draws to judge, take more chains or steps: {short}"
    error = np.sqrt(first.var(axis=0) / len(first) + second.var(axis=(0, 1)) / ess)
    z = (second.mean(axis=(0, 1)) - first.mean(axis=0)) / error
    threshold = float(norm.isf(FALSE_ALARM / 2 / len(names)))
    return Geweke({name: float(v) for name, v in zip(names, z, strict=True)}, threshold)
