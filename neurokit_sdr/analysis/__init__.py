"""Models of recordings: what a population does, and which of its parts do it.

>>> import neurokit_sdr as nks
>>> nks.analysis.HMMGLM(n_states=3)
HMMGLM(n_states=3, prior='gaussian', ...)
"""

from __future__ import annotations

from neurokit_sdr.core.errors import MissingDependencyError

try:
    from neurokit_sdr.analysis.behavior import states_by_position as states_by_position
    from neurokit_sdr.analysis.connectivity import (
        challenge_partial_correlation as challenge_partial_correlation,
    )
    from neurokit_sdr.analysis.connectivity import coupled_poisson_glm as coupled_poisson_glm
    from neurokit_sdr.analysis.connectivity import cross_correlogram_peak as cross_correlogram_peak
    from neurokit_sdr.analysis.connectivity import lag_profile as lag_profile
    from neurokit_sdr.analysis.connectivity import lagged_correlation as lagged_correlation
    from neurokit_sdr.analysis.connectivity import partial_correlation as partial_correlation
    from neurokit_sdr.analysis.connectivity import transfer_entropy as transfer_entropy
    from neurokit_sdr.analysis.gain_control import AdaptiveWhitening as AdaptiveWhitening
    from neurokit_sdr.analysis.gain_control import RecurrentGainControl as RecurrentGainControl
    from neurokit_sdr.analysis.gain_control import adaptation_time_course as adaptation_time_course
    from neurokit_sdr.analysis.gain_control import adaptor_ensemble as adaptor_ensemble
    from neurokit_sdr.analysis.gain_control import compare_gain_models as compare_gain_models
    from neurokit_sdr.analysis.gain_control import decorrelation as decorrelation
    from neurokit_sdr.analysis.gain_control import fidelity_and_cost as fidelity_and_cost
    from neurokit_sdr.analysis.gain_control import gain_circuit as gain_circuit
    from neurokit_sdr.analysis.gain_control import load_benucci as load_benucci
    from neurokit_sdr.analysis.gain_control import preferred_shift as preferred_shift
    from neurokit_sdr.analysis.gain_control import response_extremes as response_extremes
    from neurokit_sdr.analysis.gain_control import response_flatness as response_flatness
    from neurokit_sdr.analysis.gain_control import simulate_gain_sessions as simulate_gain_sessions
    from neurokit_sdr.analysis.hmm_glm.model import HMMGLM as HMMGLM
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"Models need {error.name}: pip install 'neurokit-sdr[analysis]'."
    ) from error
