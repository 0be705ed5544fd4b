"""Which method finds the wiring of a known network: the table of ``analysis/connectivity``.

``python benchmarks/connectivity.py [--seeds N] [--minutes M ...]`` simulates ``hub_network`` (100
units, a fifth inhibitory, density 0.1, three hubs) with strong and weak coupling, and scores every
method over 9,900 ordered pairs: means over seeds, and the CPU seconds of each method.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import xarray as xr
from _tools import print_table, versions, write_json

import neurokit_sdr as nks

METHODS: dict[str, Callable[[dict[str, xr.Dataset]], xr.Dataset]] = {
    "coupled Poisson GLM": lambda d: nks.analysis.coupled_poisson_glm(d["2 ms"]),
    "correlogram peak": lambda d: nks.analysis.cross_correlogram_peak(d["spikes"]),
    "lagged correlation": lambda d: nks.analysis.lagged_correlation(d["2 ms"]),
    "transfer entropy": lambda d: nks.analysis.transfer_entropy(d["2 ms"]),
    "partial correlation, 20 ms": lambda d: nks.analysis.partial_correlation(d["20 ms"]),
    "challenge recipe, 20 ms": lambda d: nks.analysis.challenge_partial_correlation(d["20 ms"]),
}
#: From best to worst on networks of another, independent simulator.
ORDER = ("coupled Poisson GLM", "lagged correlation", "challenge recipe, 20 ms")
SCORES = ("auroc", "auprc", "sign_accuracy", "weight_correlation", "mcc", "undirected_auprc")


def score(coupling: str, minutes: float, seed: int) -> tuple[xr.Dataset, dict[str, float], float]:
    """Simulate one network and score every method on it."""
    network = nks.snn.hub_network(coupling=coupling, rng=seed)
    session = nks.snn.simulate(network, 60 * minutes, rng=seed, progress=False)
    data = {
        "spikes": session["spikes"].to_dataset(),
        "2 ms": nks.bin_spikes(session, 0.002),
        "20 ms": nks.bin_spikes(session, 0.02),
    }
    estimates, seconds = {}, {}
    for name, method in METHODS.items():
        begun = time.process_time()
        with warnings.catch_warnings():
            # 20 ms bins are too wide for this network, which is what the methods say; the table
            # shows by how much.
            warnings.simplefilter("ignore", nks.core.errors.DataWarning)
            estimates[name] = method(data)
        seconds[name] = time.process_time() - begun
    rate = session["spikes"].sizes["spike"] / network.n_units / (60 * minutes)
    return nks.validation.score_connectivity(estimates, session), seconds, rate


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0, 10.0])
    arguments = parser.parse_args()
    # The first call of each method compiles.
    score("strong", 1.0, 0)
    kept = {}
    for minutes in arguments.minutes:
        for coupling in ("strong", "weak"):
            runs = [score(coupling, minutes, seed) for seed in range(arguments.seeds)]
            tables = xr.concat([run[0] for run in runs], "seed", join="override")
            mean = tables.mean("seed")
            rate = np.mean([run[2] for run in runs])
            print(f"{coupling}, {minutes:g} min, {arguments.seeds} seeds, {rate:.1f} Hz")
            rows = []
            for name in mean["estimate"].values:
                numbers = [float(mean[s].sel(estimate=name)) for s in SCORES]
                ranks = tables["hub_rank"].sel(estimate=name).values
                used = [run[1].get(name, np.nan) for run in runs]
                rows.append([str(name), *numbers, np.median(ranks), float(np.median(used))])
            print_table(["method", *SCORES, "median hub rank", "CPU s"], rows)
            in_order = [
                (tables[name].sel(estimate=list(ORDER)).diff("estimate") < 0).all("estimate")
                for name in ("auroc", "auprc")
            ]
            print(
                f"{' > '.join(ORDER)}, of each network: AUROC {int(in_order[0].sum())}, "
                f"AUPRC {int(in_order[1].sum())} of {arguments.seeds}\n"
            )
            kept[f"{coupling} {minutes:g} min"] = {
                "rows": rows,
                "auroc by seed": tables["auroc"].values.tolist(),
                "auprc by seed": tables["auprc"].values.tolist(),
                "rate": rate,
            }
    write_json("connectivity", {"versions": versions("scikit-learn"), "tables": kept})
    return 0


if __name__ == "__main__":
    sys.exit(main())
