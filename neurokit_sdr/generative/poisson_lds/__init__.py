"""Poisson linear dynamical systems."""

from __future__ import annotations

from neurokit_sdr.generative.poisson_lds.model import PoissonLDS as PoissonLDS
