"""Simulated populations with known truth."""

from __future__ import annotations

from neurokit_sdr.snn.point_process import (
    exponential_kernel as exponential_kernel,
)
from neurokit_sdr.snn.point_process import (
    simulate_switching_population as simulate_switching_population,
)
from neurokit_sdr.snn.point_process import (
    spikes_from_counts as spikes_from_counts,
)
from neurokit_sdr.snn.point_process import (
    switching_population as switching_population,
)
