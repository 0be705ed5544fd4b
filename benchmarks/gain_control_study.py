"""Does ``compare_gain_models`` name the mechanism that sessions were made with, and how sure is it?

Sessions are simulated with each mechanism; every one of the five is fitted to each data set. Said
are how often the true one is named, how often 90 % intervals hold the true parameters, the largest
R-hat and the divergences. A mechanism is compiled once a process, and given one data set after
another.

    python benchmarks/gain_control_study.py --data-sets 50 --sessions 4 --noise 0.05 --out DIR
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import neurokit_sdr as nks
from neurokit_sdr.analysis.gain_control import comparison, posterior, rivals
from neurokit_sdr.analysis.gain_control.data import read_tuning
from neurokit_sdr.core.parallel import limited_threads
from neurokit_sdr.core.seeding import stream

_samplers: dict[str, posterior.Sampler] = {}


def fit(task: tuple[str, str, int, argparse.Namespace]) -> dict[str, Any]:
    """Fit one mechanism to one data set."""
    truth, mechanism, number, options = task
    data = simulated(truth, number, options)
    observed = comparison.observe(read_tuning(data), 1, "von_mises", 30.0)
    with limited_threads(1):
        if mechanism not in _samplers:
            _samplers[mechanism] = posterior.Sampler(mechanism, observed)
        sampler = _samplers[mechanism]
        sampler.give(observed)
        seed = int(stream(number, "study", truth, mechanism).integers(2**30))
        began = time.perf_counter()
        draws = sampler.sample(options.draws, options.tune, options.chains, seed, 0.9)
        row = comparison.judge(mechanism, observed, draws)
    row["seconds"] = time.perf_counter() - began
    row |= {"truth": truth, "mechanism": mechanism, "number": number}
    if truth == mechanism:
        row["inside"] = {
            name: coverage(data[f"{name}_truth"].values, draws[name].values)
            for name in rivals.MECHANISMS[truth].effects
        }
    row["unchanged"] = comparison.no_change(observed)
    return row


def simulated(truth: str, number: int, options: argparse.Namespace) -> Any:
    """Data set ``number`` of a mechanism."""
    seed = int(stream(number, "data", truth).integers(2**30))
    return nks.analysis.simulate_gain_sessions(
        truth, options.sessions, noise=options.noise, depth=options.depth, offset=0.2, rng=seed
    )


def coverage(true: np.ndarray, draws: np.ndarray) -> list[int]:
    """How many true parameters lie inside their 90 % intervals, and of how many."""
    low, high = np.quantile(draws, [0.05, 0.95], axis=(0, 1))
    return [int(((true > low) & (true < high)).sum()), int(true.size)]


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=50)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--depth", type=float, default=0.5)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=500)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop starting new data sets")
    parser.add_argument("--out", type=Path, default=Path("out/gain_control_study"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    names = list(rivals.MECHANISMS)
    rows: list[dict[str, Any]] = []
    began = time.perf_counter()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for number in range(options.data_sets):
            if time.perf_counter() - began > 60 * options.minutes:
                break
            tasks = [(t, m, number, options) for t in names for m in names]
            rows += list(pool.map(fit, tasks))
            table = summary(names, rows)
            (options.out / "summary.json").write_text(json.dumps(table, indent=1))
            print(f"{number + 1} data sets, {time.perf_counter() - began:.0f} s", flush=True)
            for truth, line in table.items():
                print(f"  {truth}: {line}", flush=True)


def summary(names: list[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What was named, covered and diagnosed, by true mechanism."""
    table = {}
    for truth in names:
        own = [r for r in rows if r["truth"] == truth]
        verdicts: dict[str, int] = {}
        for number in sorted({r["number"] for r in own}):
            fits = {r["mechanism"]: r for r in own if r["number"] == number}
            density = np.stack([fits[m]["density"] for m in names])
            named, _ = comparison.decide(names, density, fits[truth]["unchanged"])
            verdicts[named] = verdicts.get(named, 0) + 1
        true_fits = [r for r in own if r["mechanism"] == truth]
        table[truth] = {
            "named": verdicts,
            "covered": {
                name: round(
                    sum(r["inside"][name][0] for r in true_fits)
                    / sum(r["inside"][name][1] for r in true_fits),
                    4,
                )
                for name in rivals.MECHANISMS[truth].effects
            },
            "largest_r_hat": round(max(r["r_hat"] for r in true_fits), 4),
            "divergences": int(sum(r["divergences"] for r in true_fits)),
            "seconds_a_fit": round(float(np.mean([r["seconds"] for r in own])), 2),
        }
    return table


if __name__ == "__main__":
    main()
