"""Rates by smoothing and by factor analysis: what a latent model has to beat."""

from __future__ import annotations

from neurokit_sdr.generative.baselines.model import FactorAnalysis as FactorAnalysis
from neurokit_sdr.generative.baselines.model import Smoothing as Smoothing
