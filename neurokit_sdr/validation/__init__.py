"""Whether to believe a fit: held-out scores and recovery of known truth. Imports no model."""

from __future__ import annotations

from neurokit_sdr.validation.alignment import match_states as match_states
from neurokit_sdr.validation.connectivity import score_connectivity as score_connectivity
from neurokit_sdr.validation.cross_validation import Fold as Fold
from neurokit_sdr.validation.cross_validation import alternating_blocks as alternating_blocks
from neurokit_sdr.validation.cross_validation import cross_validate as cross_validate
