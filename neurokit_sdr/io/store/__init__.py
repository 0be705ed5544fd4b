"""Recordings on disk as netCDF or Zarr: what is loaded is what was saved."""

from __future__ import annotations

from neurokit_sdr.io.store.read import load
from neurokit_sdr.io.store.write import save

__all__ = ["load", "save"]
