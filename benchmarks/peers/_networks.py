"""What the spiking peers share: the two networks, the command line, the statistics, the report.

CUBA and COBA are the networks of Vogels and Abbott (2005) as Brette et al. (2007) made them
benchmarks: 3,200 excitatory and 800 inhibitory integrate-and-fire neurons, each pair connected
with probability .02, steps of .1 ms. Only numpy and the standard library are imported, because
this module runs inside each peer's own environment.

The report is one JSON object::

    {"peer": ..., "versions": {...}, "processors": ..., "settings": {...},
     "import_seconds": {...}, "runs": [RUN, ...]}

where RUN holds ``seed``, ``setup_seconds`` (everything a user waits for between the import and
the first step), ``loop_seconds`` (the steps alone), ``n_spikes`` and what :func:`statistics`
returns.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

N_EXCITATORY = 3200
N_INHIBITORY = 800
N_UNITS = N_EXCITATORY + N_INHIBITORY
PROBABILITY = 0.02
# ms and mV
STEP = 0.1
TAU_MEMBRANE = 20.0
TAU_EXCITATORY = 5.0
TAU_INHIBITORY = 10.0
THRESHOLD = -50.0
RESET = -60.0
REFRACTORY = 5.0

# Statistics leave out the onset, in which all neurons start together.
WINDOW_START = 0.2


class Cuba(NamedTuple):
    """Currents: mV, since they are in units of the membrane's resistance."""

    rest: float = -49.0
    weight_excitatory: float = 1.62
    weight_inhibitory: float = -9.0


class Coba(NamedTuple):
    """Conductances, in units of the leak's."""

    rest: float = -60.0
    reversal_excitatory: float = 0.0
    reversal_inhibitory: float = -80.0
    weight_excitatory: float = 0.6
    weight_inhibitory: float = 6.7


class Start(NamedTuple):
    """State at time 0, one number per neuron, excitatory neurons first.

    Attributes
    ----------
    voltage : numpy.ndarray
        mV.
    excitatory, inhibitory : numpy.ndarray
        Synaptic currents (mV) or conductances (leaks).
    """

    voltage: np.ndarray
    excitatory: np.ndarray
    inhibitory: np.ndarray


class Run(NamedTuple):
    """What one simulation gives back.

    Attributes
    ----------
    spike_time : numpy.ndarray
        Seconds.
    spike_unit : numpy.ndarray
        Number of the neuron of each spike, excitatory neurons first.
    setup_seconds : float
        From the import to the first step.
    loop_seconds : float
        The steps alone, all spikes recorded.
    """

    spike_time: np.ndarray
    spike_unit: np.ndarray
    setup_seconds: float
    loop_seconds: float


def start(network: str, seed: int) -> Start:
    """Draw the state at time 0.

    Parameters
    ----------
    network : str
        ``"cuba"`` or ``"coba"``.
    seed : int
        Of the draw.

    Returns
    -------
    Start
        Voltage uniform between -60 and -50 mV, no currents (CUBA); normal voltage and
        conductances (COBA), some of them negative, as in the published scripts.
    """
    rng = np.random.default_rng(seed)
    if network == "cuba":
        voltage = rng.uniform(RESET, THRESHOLD, N_UNITS)
        return Start(voltage, np.zeros(N_UNITS), np.zeros(N_UNITS))
    coba = Coba()
    return Start(
        coba.rest - 5 + 5 * rng.standard_normal(N_UNITS),
        (4 + 1.5 * rng.standard_normal(N_UNITS)) * coba.weight_excitatory,
        (20 + 12 * rng.standard_normal(N_UNITS)) * coba.weight_inhibitory / 10,
    )


def statistics(spike_time: np.ndarray, spike_unit: np.ndarray, stop: float) -> dict[str, float]:
    """Compute the mean rate and the mean irregularity after the onset.

    Parameters
    ----------
    spike_time, spike_unit : numpy.ndarray
        Spikes of :data:`N_UNITS` neurons, in any order, seconds.
    stop : float
        End of the window that starts at :data:`WINDOW_START`, seconds.

    Returns
    -------
    dict of str to float
        ``rate``, spikes per neuron and second. ``cv_isi`` and ``cv_isi_5``: standard deviation of
        a neuron's intervals (divided by their number, not by one less) over their mean, averaged
        over the neurons with at least 3, and 5, spikes in the window. Short windows and few
        spikes both make it smaller, so compare only like with like.
    """
    inside = (spike_time >= WINDOW_START) & (spike_time < stop)
    time_inside, unit = spike_time[inside], spike_unit[inside]
    order = np.lexsort((time_inside, unit))
    ends = np.cumsum(np.bincount(unit, minlength=N_UNITS))[:-1]
    intervals = [np.diff(train) for train in np.split(time_inside[order], ends)]

    def irregularity(n_spikes: int) -> float:
        chosen = [i for i in intervals if len(i) >= n_spikes - 1]
        # A network may fall silent.
        return float(np.mean([i.std() / i.mean() for i in chosen])) if chosen else float("nan")

    return {
        "rate": len(unit) / N_UNITS / (stop - WINDOW_START),
        "cv_isi": irregularity(3),
        "cv_isi_5": irregularity(5),
    }


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Make the command line that all spiking peers have.

    Parameters
    ----------
    description : str
        One line on the peer.

    Returns
    -------
    argparse.ArgumentParser
        A parser to which a peer may add options of its own.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("network", choices=["cuba", "coba"])
    parser.add_argument("out", type=Path, help="report to write (.json)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="wiring and start")
    parser.add_argument("--duration", type=float, default=1.0, help="seconds simulated")
    return parser


def run(
    peer: str,
    packages: tuple[str, ...],
    simulate: Callable[[int], Run],
    arguments: argparse.Namespace,
    import_seconds: dict[str, float],
) -> None:
    """Simulate with every seed, write the report and print a summary.

    Parameters
    ----------
    peer : str
        Name of the peer in the report.
    packages : tuple of str
        Distributions whose versions are recorded.
    simulate : callable
        Takes a seed and returns a finished :class:`Run`.
    arguments : argparse.Namespace
        The parsed command line.
    import_seconds : dict of str to float
        What importing each of its libraries took.
    """
    runs = []
    for seed in arguments.seeds:
        begun = time.perf_counter()
        found = simulate(seed)
        numbers = statistics(found.spike_time, found.spike_unit, arguments.duration)
        runs.append(
            {
                "seed": seed,
                "setup_seconds": found.setup_seconds,
                "loop_seconds": found.loop_seconds,
                "whole_seconds": time.perf_counter() - begun,
                "n_spikes": len(found.spike_time),
                **numbers,
            }
        )
        print(
            f"{peer} {arguments.network}: seed {seed}, set-up {found.setup_seconds:.2f} s, loop "
            f"{found.loop_seconds:.3f} s, {numbers['rate']:.2f} Hz, CV {numbers['cv_isi']:.3f}",
            flush=True,
        )
    settings = {name: value for name, value in vars(arguments).items() if name != "out"}
    report = {
        "peer": peer,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
        # Not os.cpu_count(): a run may be bound to fewer processors than the machine has.
        "processors": len(os.sched_getaffinity(0)),
        "settings": {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()},
        "import_seconds": import_seconds,
        "runs": runs,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
