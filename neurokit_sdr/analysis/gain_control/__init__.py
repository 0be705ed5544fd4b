"""Gain control: populations that adapt to the ensemble of their stimuli."""

from __future__ import annotations

from neurokit_sdr.analysis.gain_control.circuits import adaptor_ensemble as adaptor_ensemble
from neurokit_sdr.analysis.gain_control.circuits import gain_circuit as gain_circuit
from neurokit_sdr.analysis.gain_control.whitening_circuit import (
    AdaptiveWhitening as AdaptiveWhitening,
)
