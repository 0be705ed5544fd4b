"""The HMM-GLM: coupling between neurons that switches with a hidden state."""

from __future__ import annotations

from neurokit_sdr.analysis.hmm_glm.model import HMMGLM as HMMGLM
