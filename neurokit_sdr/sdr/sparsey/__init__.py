"""Sparsey: a memory of sparse codes that stores each input in one trial."""

from __future__ import annotations

from neurokit_sdr.sdr.sparsey.model import Sparsey as Sparsey
