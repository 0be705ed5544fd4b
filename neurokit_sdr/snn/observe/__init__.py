r"""What instruments see of a simulated network: calcium, sorted spikes, fewer units, sensors.

Each function takes a session with known truth, as ``nks.snn.simulate`` returns it, and returns a
session with what the instrument records beside the truth, which stays whole: what the instrument
loses moves to ``/truth``. Inputs are never changed. A real recording of spikes will do as well.

The order is that of an experiment: :func:`subsample` (what lies in the field of view), then
:func:`calcium` or :func:`sensors`, and :func:`sorting_errors` last, because it changes which units
there are.
"""

from __future__ import annotations

from neurokit_sdr.snn.observe.imaging import calcium as calcium
from neurokit_sdr.snn.observe.sensing import sensors as sensors
from neurokit_sdr.snn.observe.sorting import sorting_errors as sorting_errors
from neurokit_sdr.snn.observe.subsampling import subsample as subsample

__all__ = ["calcium", "sensors", "sorting_errors", "subsample"]
