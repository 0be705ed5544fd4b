"""Whether to believe a fit: held-out scores and recovery of known truth. Imports no model."""

from __future__ import annotations

from neurokit_sdr.validation._metrics import LatentR2 as LatentR2
from neurokit_sdr.validation._metrics import RateR2 as RateR2
from neurokit_sdr.validation.alignment import match_states as match_states
from neurokit_sdr.validation.connectivity import score_connectivity as score_connectivity
from neurokit_sdr.validation.cross_validation import cross_validate as cross_validate
from neurokit_sdr.validation.held_out import held_out_folds as held_out_folds
from neurokit_sdr.validation.held_out import held_out_split as held_out_split
from neurokit_sdr.validation.metrics import behavior_r2 as behavior_r2
from neurokit_sdr.validation.metrics import bits_per_spike as bits_per_spike
from neurokit_sdr.validation.metrics import co_bits_per_spike as co_bits_per_spike
from neurokit_sdr.validation.metrics import forward_bits_per_spike as forward_bits_per_spike
from neurokit_sdr.validation.metrics import produced_time_correlation as produced_time_correlation
from neurokit_sdr.validation.metrics import psth as psth
from neurokit_sdr.validation.metrics import psth_r2 as psth_r2
from neurokit_sdr.validation.recovery import latent_r2 as latent_r2
from neurokit_sdr.validation.recovery import rate_r2 as rate_r2
from neurokit_sdr.validation.splits import Split as Split
from neurokit_sdr.validation.splits import alternating_blocks as alternating_blocks

#: Names that the type had where blocks and held-out units were two.
Fold = HeldOutSplit = Split
