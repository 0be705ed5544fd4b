"""GPFA of elephant: posterior latents of every trial.

    python elephant_gpfa.py REPORT.json PROBLEM.npz ANSWERS.npz --latents 8 --trials 640

``PROBLEM.npz``: counts ``train_in(trial, time, unit)`` and ``test_in``, and ``bin_size`` in
seconds. elephant takes spike trains, so a bin of n counts becomes n spikes evenly within it, and
elephant's binning of them is checked to give the counts back. The model is fitted to the first
``--trials`` of the training trials in an order drawn by ``--seed``; all trials get latents.
``ANSWERS.npz``: orthonormalized posterior means ``train_latents(trial, time, latent)`` and
``test_latents``.

Where ``--seconds`` of process CPU time do not hold ``--iterations`` of EM, fewer are done: two
trial iterations tell how many.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import neo
import numpy as np
import quantities as pq
from elephant.conversion import BinnedSpikeTrain
from elephant.gpfa import GPFA


def spike_trains(counts: np.ndarray, bin_size: float) -> list[list[neo.SpikeTrain]]:
    """Counts of shape (trials, bins, units) as a spike train per trial and unit."""
    stop = counts.shape[1] * bin_size * pq.s
    trains = []
    for trial in counts.astype(int):
        units = []
        for count in trial.T:
            bins = np.repeat(np.arange(count.size), count)
            within = np.concatenate([(np.arange(n) + 0.5) / n for n in count[count > 0]] or [[]])
            units.append(neo.SpikeTrain((bins + within) * bin_size * pq.s, t_stop=stop))
        trains.append(units)
    return trains


def check(trains: list[list[neo.SpikeTrain]], counts: np.ndarray, bin_size: float) -> None:
    """Stop if elephant's bins of the first trials are not the counts."""
    for units, count in zip(trains[:5], counts, strict=False):
        binned = BinnedSpikeTrain(units, bin_size=bin_size * pq.s).to_array()
        if not np.array_equal(binned, count.T):
            raise SystemExit("elephant bins the spikes otherwise than they were counted")


def fit(trains: list[Any], bin_size: float, latents: int, iterations: int) -> GPFA:
    """A fitted model; elephant needs its bin size in a unit of time."""
    model = GPFA(bin_size=bin_size * 1e3 * pq.ms, x_dim=latents, em_max_iters=iterations)
    return model.fit(trains)


def main() -> None:
    """Fit, transform and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("problem", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--latents", type=int, default=8)
    parser.add_argument("--trials", type=int, default=640)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600, help="CPU seconds of the fit")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with np.load(arguments.problem) as problem:
        train, test = problem["train_in"], problem["test_in"]
        bin_size = float(problem["bin_size"])
    train_trains, test_trains = (spike_trains(c, bin_size) for c in (train, test))
    check(train_trains, train, bin_size)
    order = np.random.default_rng(arguments.seed).permutation(len(train))[: arguments.trials]
    chosen = [train_trains[trial] for trial in order]
    begun = time.process_time()
    fit(chosen, bin_size, arguments.latents, 1)
    first = time.process_time() - begun
    fit(chosen, bin_size, arguments.latents, 3)
    each = (time.process_time() - begun - 2 * first) / 2
    iterations = int(
        np.clip((arguments.seconds - first) / max(each, 1e-3), 1, arguments.iterations)
    )
    begun = time.process_time()
    model = fit(chosen, bin_size, arguments.latents, iterations)
    seconds = time.process_time() - begun
    answers = {
        f"{name}_latents": np.stack([x.T for x in model.transform(trains)])
        for name, trains in (("train", train_trains), ("test", test_trains))
    }
    np.savez(arguments.answers, **answers)
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = {
        "cpu_seconds": seconds,
        "iterations": iterations,
        "log_likelihoods": [x for x in np.ravel(model.fit_info["log_likelihoods"]) if x == x],
        "peak_megabytes": size / (1e6 if sys.platform == "darwin" else 1e3),
        "settings": {k: str(v) for k, v in vars(arguments).items()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("elephant", "neo", "numpy", "scipy")},
        },
    }
    arguments.report.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
