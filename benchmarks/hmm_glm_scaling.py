"""HMM-GLM on long recordings: seconds and peak memory against the number of bins.

    python benchmarks/hmm_glm_scaling.py

100 units, 4 states, up to 100,000 bins; each length in a process of its own. The physical limit it
is compared with is the memory that the counts and the history features themselves take.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from _tools import peak_megabytes, print_table, run_json, versions, write_json

import neurokit_sdr as nks

UNITS, STATES = 100, 4


def child(n_bins: int, out: Path) -> None:
    """Fit one length and write its figures."""
    truth = nks.snn.switching_population(
        UNITS, STATES, connection_probability=0.05, mean_count=0.2, rng=0
    )
    counts = nks.snn.simulate_switching_population(truth, n_bins, rng=0)
    before = peak_megabytes()
    begun = time.perf_counter()
    model = nks.analysis.HMMGLM(STATES, nonlinearity="sigmoid")
    model.fit(counts, rng=0, progress=False)
    seconds = time.perf_counter() - begun
    match = nks.validation.match_states(counts["state"].values, model.result_["state"].values)
    oracle = nks.analysis.HMMGLM.from_parameters(truth).predict(counts)
    best = nks.validation.match_states(counts["state"].values, oracle["state"].values)
    out.write_text(
        json.dumps(
            {
                "bins": n_bins,
                "seconds": seconds,
                "iterations": int(model.result_["restart_objective"].notnull().sum()),
                "peak_mb": peak_megabytes(),
                "before_mb": before,
                "data_mb": n_bins * (2 * UNITS + 1) * 8 / 1e6,
                "accuracy": match.accuracy,
                "oracle": best.accuracy,
                "status": model.result_.attrs["status"],
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n_bins", nargs="?", type=int, help=argparse.SUPPRESS)
    parser.add_argument("out", nargs="?", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.n_bins:
        child(chosen.n_bins, chosen.out)
        return
    lengths = [12_500, 25_000, 50_000, 100_000]
    found = [run_json(sys.executable, Path(__file__), str(n)) for n in lengths]
    rows = [
        [
            f"{f['bins']:,}",
            f["seconds"],
            str(f["iterations"]),
            1e6 * f["seconds"] / f["iterations"] / f["bins"],
            f["peak_mb"],
            f["data_mb"],
            f["accuracy"],
            f["oracle"],
        ]
        for f in found
    ]
    print(f"{UNITS} units, {STATES} states, all restarts")
    print_table(
        ["bins", "seconds", "EM steps", "us/step/bin", "peak MB", "data MB", "accuracy", "true"],
        rows,
    )
    per_step = [f["seconds"] / f["iterations"] for f in found]
    slope = float(np.polyfit(np.log(lengths), np.log(per_step), 1)[0])
    print(f"time per EM step grows as bins^{slope:.2f} (1 is linear)\n")
    write_json("hmm_glm_scaling", {"versions": versions(), "fits": found, "slope": slope})


if __name__ == "__main__":
    main()
