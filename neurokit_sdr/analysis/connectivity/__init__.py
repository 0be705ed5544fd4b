"""Which neuron drives which: six methods with one kind of answer, ``weight(target, source)``."""

from __future__ import annotations

from neurokit_sdr.analysis.connectivity.estimators import (
    challenge_partial_correlation as challenge_partial_correlation,
)
from neurokit_sdr.analysis.connectivity.estimators import (
    coupled_poisson_glm as coupled_poisson_glm,
)
from neurokit_sdr.analysis.connectivity.estimators import (
    cross_correlogram_peak as cross_correlogram_peak,
)
from neurokit_sdr.analysis.connectivity.estimators import lag_profile as lag_profile
from neurokit_sdr.analysis.connectivity.estimators import lagged_correlation as lagged_correlation
from neurokit_sdr.analysis.connectivity.estimators import (
    partial_correlation as partial_correlation,
)
from neurokit_sdr.analysis.connectivity.estimators import transfer_entropy as transfer_entropy
