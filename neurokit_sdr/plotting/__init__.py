"""Datasets in, matplotlib Axes out; nothing is computed here beyond arranging the data.

>>> import neurokit_sdr as nks
>>> sorted(nks.plotting.__all__)  # doctest: +NORMALIZE_WHITESPACE
['adaptation_time_course', 'convergence', 'coupling_matrices', 'error_probability',
 'fidelity_and_cost', 'flow_field', 'gain_model_comparison', 'gain_predictive',
 'held_out_comparison', 'overlap_matrix', 'pattern_raster', 'phase_portrait',
 'potential_landscape', 'preferred_shift', 'rate_spectrum', 'reader_reliability',
 'response_covariance', 'response_extremes', 'response_flatness', 'single_trial_rates',
 'spike_raster', 'state_raster', 'states_by_position', 'style', 'threshold_sweep', 'traces',
 'training_curves', 'transition_matrix']

Matplotlib is loaded by the first plot, not before. Every plot has the look of
``neurokit_sdr.mplstyle`` and leaves your own settings as they were; ``with nks.plotting.style():``
gives your own figures the same look.
"""

from __future__ import annotations

from neurokit_sdr.plotting._style import style
from neurokit_sdr.plotting.comparison import held_out_comparison, states_by_position
from neurokit_sdr.plotting.coupling import coupling_matrices
from neurokit_sdr.plotting.diagnostics import convergence
from neurokit_sdr.plotting.gain_control import (
    adaptation_time_course,
    fidelity_and_cost,
    gain_model_comparison,
    gain_predictive,
    preferred_shift,
    response_covariance,
    response_extremes,
    response_flatness,
)
from neurokit_sdr.plotting.latents import (
    flow_field,
    phase_portrait,
    potential_landscape,
    training_curves,
)
from neurokit_sdr.plotting.networks import rate_spectrum, spike_raster
from neurokit_sdr.plotting.recordings import traces
from neurokit_sdr.plotting.sdr import error_probability, threshold_sweep
from neurokit_sdr.plotting.single_trials import single_trial_rates
from neurokit_sdr.plotting.sparsey import overlap_matrix, pattern_raster, reader_reliability
from neurokit_sdr.plotting.states import state_raster, transition_matrix

__all__ = [
    "adaptation_time_course",
    "convergence",
    "coupling_matrices",
    "error_probability",
    "fidelity_and_cost",
    "flow_field",
    "gain_model_comparison",
    "gain_predictive",
    "held_out_comparison",
    "overlap_matrix",
    "pattern_raster",
    "phase_portrait",
    "potential_landscape",
    "preferred_shift",
    "rate_spectrum",
    "reader_reliability",
    "response_covariance",
    "response_extremes",
    "response_flatness",
    "single_trial_rates",
    "spike_raster",
    "state_raster",
    "states_by_position",
    "style",
    "threshold_sweep",
    "traces",
    "training_curves",
    "transition_matrix",
]
