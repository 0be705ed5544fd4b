"""Gain control: populations that adapt to the ensemble of their stimuli."""

from __future__ import annotations

from neurokit_sdr.analysis.gain_control.circuits import adaptor_ensemble as adaptor_ensemble
from neurokit_sdr.analysis.gain_control.circuits import gain_circuit as gain_circuit
from neurokit_sdr.analysis.gain_control.comparison import (
    compare_gain_models as compare_gain_models,
)
from neurokit_sdr.analysis.gain_control.effects import (
    adaptation_time_course as adaptation_time_course,
)
from neurokit_sdr.analysis.gain_control.effects import decorrelation as decorrelation
from neurokit_sdr.analysis.gain_control.effects import fidelity_and_cost as fidelity_and_cost
from neurokit_sdr.analysis.gain_control.effects import preferred_shift as preferred_shift
from neurokit_sdr.analysis.gain_control.effects import response_extremes as response_extremes
from neurokit_sdr.analysis.gain_control.effects import response_flatness as response_flatness
from neurokit_sdr.analysis.gain_control.model import RecurrentGainControl as RecurrentGainControl
from neurokit_sdr.analysis.gain_control.sessions import load_benucci as load_benucci
from neurokit_sdr.analysis.gain_control.sessions import (
    simulate_gain_sessions as simulate_gain_sessions,
)
from neurokit_sdr.analysis.gain_control.whitening_circuit import (
    AdaptiveWhitening as AdaptiveWhitening,
)
