"""One sweep: every kernel in its turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurokit_sdr.analysis.biclustering.clusters import draw_clusters
from neurokit_sdr.analysis.biclustering.dispersion import draw_dispersion
from neurokit_sdr.analysis.biclustering.equations import Counts, Parameters, Priors
from neurokit_sdr.analysis.biclustering.loadings import draw_loadings
from neurokit_sdr.analysis.biclustering.smoother import draw_information, draw_latent
from neurokit_sdr.analysis.biclustering.split_merge import Known, split_or_merge
from neurokit_sdr.analysis.biclustering.states import draw_dynamics, draw_states, draw_transitions

#: Share of the neurons that may change their cluster in one sweep.
_MOVERS = 0.2

#: Chance of a sweep to try a split or merge.
_SPLIT_OR_MERGE = 0.2


@dataclass(frozen=True)
class Sweep:
    """The kernel of one chain, ``sweep(state, rng) -> state``.

    Attributes
    ----------
    data
        What is observed.
    prior
        What is believed beforehand.
    known
        What splits and merges are proposed by.
    """

    data: Counts
    prior: Priors
    known: Known

    def __call__(self, at: Parameters, rng: np.random.Generator) -> Parameters:
        """Return the next state."""
        data, prior = self.data, self.prior
        n_units = len(at.cluster)
        movers = rng.choice(n_units, max(1, round(_MOVERS * n_units)), replace=False)
        at = draw_clusters(data, at, prior, movers, rng)
        if rng.random() < _SPLIT_OR_MERGE:
            at = split_or_merge(data, at, prior, self.known, rng)
        else:
            at = draw_dynamics(data, at, prior, rng)
        information = draw_information(data, at, rng)
        at = draw_latent(data, at, information, prior, rng)
        at = draw_loadings(at, information, prior, rng)
        at = draw_dispersion(data, at, prior, rng)
        at = draw_states(data, at, rng)
        return draw_transitions(data, at, prior, rng)
