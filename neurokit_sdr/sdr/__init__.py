"""Sparse distributed representations: exact theory, active dendrites, and memories.

>>> import neurokit_sdr as nks
>>> stored = nks.sdr.Patterns.random(2048, 40, 1000, rng=0)
>>> stored.nearest(stored[7].corrupted(20, rng=0))["pattern"].item()
7
"""

from __future__ import annotations

from neurokit_sdr.core.errors import MissingDependencyError

try:
    import numba as _numba  # noqa: F401
except ImportError as error:
    raise MissingDependencyError(
        "Sparse distributed representations need numba: pip install 'neurokit-sdr[analysis]'."
    ) from error

from neurokit_sdr.sdr.dendrites.segments import clustered_patterns as clustered_patterns
from neurokit_sdr.sdr.dendrites.segments import learn_segments as learn_segments
from neurokit_sdr.sdr.dendrites.segments import neuron_response as neuron_response
from neurokit_sdr.sdr.dendrites.segments import power_nonlinearity as power_nonlinearity
from neurokit_sdr.sdr.dendrites.segments import sigmoid_nonlinearity as sigmoid_nonlinearity
from neurokit_sdr.sdr.dendrites.segments import threshold_nonlinearity as threshold_nonlinearity
from neurokit_sdr.sdr.dendrites.trials import estimate_false_negatives as estimate_false_negatives
from neurokit_sdr.sdr.dendrites.trials import estimate_false_positives as estimate_false_positives
from neurokit_sdr.sdr.dendrites.trials import simulate_false_negatives as simulate_false_negatives
from neurokit_sdr.sdr.dendrites.trials import simulate_false_positives as simulate_false_positives
from neurokit_sdr.sdr.encoders import encode as encode
from neurokit_sdr.sdr.encoders import estimate_sparsity as estimate_sparsity
from neurokit_sdr.sdr.encoders import overlap_matrix as overlap_matrix
from neurokit_sdr.sdr.encoders import reader_reliability as reader_reliability
from neurokit_sdr.sdr.memories.model import DenseAssociativeMemory as DenseAssociativeMemory
from neurokit_sdr.sdr.memories.model import Hopfield as Hopfield
from neurokit_sdr.sdr.memories.model import MultitaskingHebbian as MultitaskingHebbian
from neurokit_sdr.sdr.memories.model import NearestNeighbor as NearestNeighbor
from neurokit_sdr.sdr.memories.ternary import diluted_patterns as diluted_patterns
from neurokit_sdr.sdr.memories.ternary import mattis_overlap as mattis_overlap
from neurokit_sdr.sdr.memories.ternary import noisy_examples as noisy_examples
from neurokit_sdr.sdr.patterns import Patterns as Patterns
from neurokit_sdr.sdr.sparsey.model import Sparsey as Sparsey
from neurokit_sdr.sdr.theory.grids import tabulate as tabulate
from neurokit_sdr.sdr.theory.probabilities import capacity as capacity
from neurokit_sdr.sdr.theory.probabilities import (
    false_negative_probability as false_negative_probability,
)
from neurokit_sdr.sdr.theory.probabilities import (
    false_positive_probability as false_positive_probability,
)
from neurokit_sdr.sdr.theory.probabilities import (
    list_false_positive_probability as list_false_positive_probability,
)
from neurokit_sdr.sdr.theory.probabilities import (
    neuron_false_positive_probability as neuron_false_positive_probability,
)
from neurokit_sdr.sdr.theory.probabilities import overlap_count as overlap_count
from neurokit_sdr.sdr.theory.probabilities import (
    sequence_memory_similarity as sequence_memory_similarity,
)
from neurokit_sdr.sdr.theory.probabilities import (
    union_false_positive_probability as union_false_positive_probability,
)
from neurokit_sdr.sdr.theory.probabilities import union_size as union_size
from neurokit_sdr.sdr.theory.requirements import optimal_threshold as optimal_threshold
from neurokit_sdr.sdr.theory.requirements import required_population as required_population
from neurokit_sdr.sdr.theory.requirements import required_synapses as required_synapses
from neurokit_sdr.sdr.theory.requirements import required_threshold as required_threshold
from neurokit_sdr.sdr.theory.requirements import tolerated_activity as tolerated_activity
from neurokit_sdr.sdr.theory.requirements import tolerated_noise as tolerated_noise
from neurokit_sdr.sdr.theory.requirements import tolerated_patterns as tolerated_patterns
