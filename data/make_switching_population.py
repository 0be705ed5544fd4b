"""Make the bundled recording: ten minutes of a simulated population that switches its wiring.

    python data/make_switching_population.py

Twelve units, three hidden states with couplings of their own, 20 ms bins. The hidden states and
all parameters lie in the file's ``/truth``. The same versions of the libraries give the same file.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

import neurokit_sdr as nks

BIN_SIZE = 0.02
MINUTES = 10


def make_session() -> xr.DataTree:
    """Simulate the population and return it as a session with its truth."""
    parameters = nks.snn.switching_population(
        n_units=12,
        n_states=3,
        mean_count=0.15,
        self_transition=0.99,
        nonlinearity="sigmoid",
        bin_size=BIN_SIZE,
        rng=0,
    )
    parameters = parameters.assign_coords(
        target=[f"unit{n:02d}" for n in range(12)], source=[f"unit{n:02d}" for n in range(12)]
    )
    simulated = nks.snn.simulate_switching_population(
        parameters, int(MINUTES * 60 / BIN_SIZE), rng=0
    )
    truth = parameters.assign_coords(time=simulated["time"], state=simulated["state"])
    spikes = nks.snn.spikes_from_counts(simulated, rng=0)
    return xr.DataTree.from_dict({"/spikes": spikes, "/truth": truth})


def main() -> None:
    path = Path(__file__).with_name("switching_population.nwb")
    nks.io.write_nwb(
        make_session(),
        path,
        identifier="neurokit-sdr-switching-population",
        session_start_time="2026-01-01T00:00:00+00:00",
        session_description="Simulated switching coupled Poisson population with known truth",
    )
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
