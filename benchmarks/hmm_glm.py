"""HMM-GLM against dynamax and ssm: states found, and time.

    python benchmarks/hmm_glm.py [--seeds 20] [--peer-seeds 3]

Needs the peers' environments (``python benchmarks/make_environments.py``). For every problem the
peers run on the same counts in the same run. dynamax ships no HMM-GLM: its users write the
emission, either as its notebook does (*recipe*) or without recomputing log factorials in each
gradient step (*lean*, 2 to 4 times faster, the same numbers). Its time is that of ONE start of
50 EM steps; ours is a whole fit with all its restarts. *cold* is the first fit in a fresh process
with nothing compiled, *warm* the second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _tools import HERE, print_table, run_json, versions, write_json
from make_environments import environment_is_current, environment_python

import neurokit_sdr as nks
from neurokit_sdr.engines.poisson.history import history_features

PEERS = HERE / "peers"
PROBLEMS = {
    "S=3, N=10, 1 x 5,000 bins": {"n_units": 10, "n_states": 3, "n_bins": [5000], "margin": 0.01},
    "S=5, N=20, 10 x 2,000 bins": {
        "n_units": 20,
        "n_states": 5,
        "n_bins": [2000] * 10,
        "margin": 0.003,
    },
}


def simulate(problem: dict[str, Any], seed: int) -> tuple[Any, Any]:
    """The facts' problem: 20 % of pairs coupled with |w| in .5 to 3, mean count about .5."""
    truth = nks.snn.switching_population(problem["n_units"], problem["n_states"], rng=seed)
    return truth, nks.snn.simulate_switching_population(truth, problem["n_bins"], rng=seed)


def fit(counts: Any, n_states: int, seed: int) -> tuple[Any, float]:
    """Fit with defaults and return the model and the seconds it took."""
    model = nks.analysis.HMMGLM(n_states, nonlinearity="sigmoid")
    begun = time.perf_counter()
    model.fit(counts, rng=seed, progress=False)
    return model, time.perf_counter() - begun


def ours(name: str, seeds: int, timed: int) -> dict[str, Any]:
    """Accuracy of the fit and of the true parameters, and the median seconds of the first few."""
    problem = PROBLEMS[name]
    fit(simulate(problem, seeds)[1], problem["n_states"], 0)  # compiles
    rows = []
    for seed in range(seeds):
        truth, counts = simulate(problem, seed)
        model, seconds = fit(counts, problem["n_states"], seed)
        oracle = nks.analysis.HMMGLM.from_parameters(truth)
        state = counts["state"].values
        match = nks.validation.match_states(state, model.result_["state"].values)
        best = nks.validation.match_states(state, oracle.predict(counts)["state"].values)
        weight = model.result_["weight"].values[match.order]
        rows.append(
            {
                "seed": seed,
                "seconds": seconds,
                "accuracy": match.accuracy,
                "oracle": best.accuracy,
                "weight_correlation": float(
                    np.corrcoef(weight.ravel(), truth["weight"].values.ravel())[0, 1]
                ),
            }
        )
    return {
        "fits": rows,
        "warm": statistics.median(r["seconds"] for r in rows[:timed]),
        "within": sum(r["oracle"] - r["accuracy"] <= problem["margin"] for r in rows),
    }


def cold(name: str, compiled: str) -> dict[str, float]:
    """Seconds of two fits in a fresh process that keeps compiled code in a folder."""
    return run_json(sys.executable, Path(__file__), name, "--child", NUMBA_CACHE_DIR=compiled)


def child(name: str, out: Path) -> None:
    problem = PROBLEMS[name]
    _, counts = simulate(problem, 0)
    first = fit(counts, problem["n_states"], 0)[1]
    second = fit(counts, problem["n_states"], 1)[1]
    out.write_text(json.dumps({"first": first, "second": second}))


def peer(script: str, environment: str, problem: Path, n_states: int, *options: str) -> Any:
    return run_json(
        environment_python(environment),
        PEERS / script,
        str(problem),
        "--states",
        str(n_states),
        *options,
    )


def write_problem(path: Path, problem: dict[str, Any], seed: int) -> None:
    truth, counts = simulate(problem, seed)
    y = counts["count"].values.astype(float)
    n_trials, n_bins, n_units = y.shape
    flat = y.reshape(-1, n_units)
    starts = np.arange(n_trials + 1) * n_bins
    kernel = truth["kernel"].values
    features = history_features(flat, starts, np.ones(len(flat), dtype=bool), kernel)
    np.savez(
        path,
        counts=counts["count"].values,
        history=features[:, 1:].reshape(y.shape),
        states=counts["state"].values,
    )


def compare(name: str, seeds: int, peer_seeds: int) -> dict[str, Any]:
    problem = PROBLEMS[name]
    print(f"== {name}")
    with tempfile.TemporaryDirectory() as compiled:
        nothing, cached = cold(name, compiled), cold(name, compiled)
    mine = ours(name, seeds, peer_seeds)
    found: dict[str, list[Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(peer_seeds):
            path = Path(folder) / f"{seed}.npz"
            write_problem(path, problem, seed)
            n_states = problem["n_states"]
            glm = ("dynamax_hmm_glm.py", "dynamax", path, n_states)
            found.setdefault("dynamax HMM-GLM, recipe", []).append(peer(*glm, "--recipe"))
            found.setdefault("dynamax HMM-GLM, lean", []).append(peer(*glm))
            plain = ("dynamax_poisson_hmm.py", "dynamax", path, n_states)
            found.setdefault("dynamax Poisson HMM", []).append(peer(*plain))
            plain = ("ssm_poisson_hmm.py", "ssm", path, n_states)
            found.setdefault("ssm Poisson HMM", []).append(peer(*plain))
    accuracy = [r["accuracy"] for r in mine["fits"]]
    restarts = nks.analysis.HMMGLM().restarts
    rows: list[list[Any]] = [
        [
            f"HMMGLM, {restarts} restarts",
            nothing["first"],
            mine["warm"],
            "1",
            "1",
            f"{statistics.median(accuracy):.4f}",
            f"{min(accuracy):.4f}",
        ]
    ]
    ratios = {}
    for label, fits in found.items():
        seconds = {k: statistics.median(f[k]["seconds"] for f in fits) for k in ("cold", "warm")}
        ratios[label] = {
            "cold": seconds["cold"] / nothing["first"],
            "warm": seconds["warm"] / mine["warm"],
        }
        scores = [f["cold"]["accuracy"] for f in fits]
        rows.append(
            [
                f"{label}, 1 start",
                seconds["cold"],
                seconds["warm"],
                f"{ratios[label]['cold']:.1f}",
                f"{ratios[label]['warm']:.1f}",
                f"{statistics.median(scores):.4f}",
                f"{min(scores):.4f}",
            ]
        )
    print_table(
        ["method", "cold s", "warm s", "cold ratio", "warm ratio", "accuracy", "worst"], rows
    )
    oracle = statistics.median(r["oracle"] for r in mine["fits"])
    print(
        f"true parameters {oracle:.4f}; ours within {problem['margin']} of them on "
        f"{mine['within']} of {seeds} seeds; first fit of a process that finds its compiled code "
        f"cached {cached['first']:.2f} s\n"
    )
    return {"ours": mine, "cold": nothing, "cached": cached, "peers": found, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("out", nargs="?", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seeds", type=int, default=20, help="problems that ours is scored on")
    parser.add_argument("--peer-seeds", type=int, default=3, help="problems that peers run on")
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.name, chosen.out)
        return
    for name in ("dynamax", "ssm"):
        if not environment_is_current(name):
            sys.exit(f"No environment {name}: run python benchmarks/make_environments.py first.")
    results = {
        name: compare(name, chosen.seeds if number == 0 else 5, chosen.peer_seeds)
        for number, name in enumerate(PROBLEMS)
    }
    write_json("hmm_glm", {"versions": versions(), "problems": results})


if __name__ == "__main__":
    main()
