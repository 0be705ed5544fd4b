"""Gain control: populations that adapt to the ensemble of their stimuli."""

from __future__ import annotations

from neurokit_sdr.analysis.gain_control.circuits import adaptor_ensemble as adaptor_ensemble
from neurokit_sdr.analysis.gain_control.circuits import gain_circuit as gain_circuit
from neurokit_sdr.analysis.gain_control.comparison import (
    compare_gain_models as compare_gain_models,
)
from neurokit_sdr.analysis.gain_control.model import RecurrentGainControl as RecurrentGainControl
from neurokit_sdr.analysis.gain_control.sessions import load_benucci as load_benucci
from neurokit_sdr.analysis.gain_control.sessions import (
    simulate_gain_sessions as simulate_gain_sessions,
)
from neurokit_sdr.analysis.gain_control.whitening_circuit import (
    AdaptiveWhitening as AdaptiveWhitening,
)
