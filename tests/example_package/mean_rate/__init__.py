"""A whole model, kept small: the contract of every estimator, and nothing else."""

from __future__ import annotations

from mean_rate.model import MeanRate as MeanRate
