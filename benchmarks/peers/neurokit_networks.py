"""CUBA and COBA in this package, timed as the peers are."""

import sys
import time
from importlib.util import find_spec

import numpy as np
from _networks import Run, argument_parser, run

_begun = time.perf_counter()
import numba  # noqa: E402, F401

NUMBA_SECONDS = time.perf_counter() - _begun
_begun = time.perf_counter()
import neurokit_sdr as nks  # noqa: E402

# Rooms are loaded when first used.
nks.snn.simulate  # noqa: B018
PACKAGE_SECONDS = time.perf_counter() - _begun
IMPORT_SECONDS = {"numba": NUMBA_SECONDS, "neurokit_sdr": PACKAGE_SECONDS}
if find_spec("dask"):
    # xarray imports it, where it is installed, with the first array that is made.
    _begun = time.perf_counter()
    import dask.array  # noqa: F401

    IMPORT_SECONDS["dask"] = time.perf_counter() - _begun

SHORT = 0.05


def simulate(network: str, seed: int, duration: float) -> Run:
    """Simulate one network from nothing.

    Parameters
    ----------
    network : str
        ``"cuba"`` or ``"coba"``.
    seed : int
        Of the wiring and the start.
    duration : float
        Seconds.

    Returns
    -------
    Run
        Spikes and times. The set-up is making the network and a first short simulation, less the
        same simulation again: all compilation is in it. The loop is a whole call of ``simulate``,
        with its checks and its labelled result.
    """
    begun = time.perf_counter()
    made = getattr(nks.snn, network)(rng=seed)
    nks.snn.simulate(made, SHORT, rng=seed, progress=False)
    first_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    nks.snn.simulate(made, SHORT, rng=seed, progress=False)
    again_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    session = nks.snn.simulate(made, duration, rng=seed, progress=False)
    loop_seconds = time.perf_counter() - begun
    spikes = session["spikes"]
    return Run(
        spikes["spike_time"].values,
        np.searchsorted(spikes["unit"].values, spikes["spike_unit"].values),
        first_seconds - again_seconds,
        loop_seconds,
    )


def main() -> None:
    """Simulate and write the report."""
    arguments = argument_parser(__doc__).parse_args()
    run(
        "neurokit_sdr",
        ("neurokit-sdr", "numba", "numpy"),
        lambda seed: simulate(arguments.network, seed, arguments.duration),
        arguments,
        IMPORT_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
