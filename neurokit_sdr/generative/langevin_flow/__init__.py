"""Langevin flows: latents that move like coupled oscillators in a heat bath."""

from __future__ import annotations

from neurokit_sdr.generative.langevin_flow.model import LangevinFlow as LangevinFlow
