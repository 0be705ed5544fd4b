"""Sparse patterns and their theory: matching against memory and torchhd, grids, simulated trials.

    python benchmarks/sdr.py [matching | theory | trials] [...]

Matching needs torchhd's environment (``python benchmarks/make_environments.py torchhd``). Without a
part named, all run. Rates of matching are bytes of stored patterns over seconds; a copy reads and
writes each byte, and both are counted, as is usual.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from _tools import HERE, peak_megabytes, print_table, run_json, versions, write_json
from make_environments import environment_is_current, environment_python
from scipy.stats import hypergeom

import neurokit_sdr as nks
from neurokit_sdr.core.parallel import limited_threads, thread_count

sdr = nks.sdr
N_PATTERNS, N_CELLS, N_ACTIVE, THETA = 1_000_000, 2048, 41, 20
N_QUERIES = 5
REPEATS = 15


def best(function: Any, repeats: int = REPEATS) -> float:
    """Shortest of several runs: other work on the machine only ever adds."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def copy_seconds(source: np.ndarray, target: np.ndarray, threads: int) -> float:
    """Seconds to copy an array with so many threads."""
    edges = np.linspace(0, len(source), threads + 1).astype(int)
    blocks = [slice(edges[i], edges[i + 1]) for i in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return best(lambda: list(pool.map(lambda b: np.copyto(target[b], source[b]), blocks)))


def matching() -> dict[str, Any]:
    """One query against a million stored patterns."""
    stored = sdr.Patterns.random(N_CELLS, N_ACTIVE, N_PATTERNS, rng=0)
    queries = stored[::200_000].corrupted(10, rng=0)
    truth = [200_000 * i for i in range(N_QUERIES)]
    size = stored.words.nbytes
    target = np.empty_like(stored.words)
    np.copyto(target, stored.words)
    rows, found = [], {}
    for threads in sorted({1, thread_count()}):
        with limited_threads(threads):
            stored.matches(queries[:1], THETA)
            match = best(lambda: stored.matches(queries[:1], THETA))
            nearest = best(lambda: stored.nearest(queries[:1]))
        copy = copy_seconds(stored.words, target, threads)
        rates = {"match": size / match, "nearest": size / nearest, "copy": 2 * size / copy}
        found[f"{threads} threads"] = {
            "match_seconds": match, "nearest_seconds": nearest, "copy_seconds": copy,
            "gigabytes_per_second": {k: v / 1e9 for k, v in rates.items()},
            "copy_over_match": rates["copy"] / rates["match"],
        }  # fmt: skip
        rows.append([threads, *(rates[k] / 1e9 for k in rates), rates["copy"] / rates["match"]])
    print(f"== one query against {N_PATTERNS:,} patterns of {N_CELLS} bits ({size / 1e6:.0f} MB)")
    print_table(["threads", "match GB/s", "nearest GB/s", "copy GB/s", "copy/match"], rows)
    del target
    if not environment_is_current("torchhd"):
        print("torchhd: no environment; python benchmarks/make_environments.py torchhd")
        return found
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patterns.npy"
        np.save(path, queries.joined(stored).words)
        report = run_json(
            environment_python("torchhd"), HERE / "peers" / "torchhd_matching.py", str(path),
            str(N_QUERIES),
        )  # fmt: skip
    assert report["nearest"] == truth == stored.nearest(queries)["pattern"].values.ravel().tolist()
    ours = found[f"{thread_count()} threads"]["nearest_seconds"]
    theirs, dot = min(report["seconds"]), min(report["float_seconds"])
    print_table(
        ["nearest of a million", "seconds", "ratio", "peak MB"],
        [["neurokit_sdr", ours, 1.0, peak_megabytes()],
         [f"torchhd {report['versions']['torch-hd']}, BSC", theirs, theirs / ours,
          report["peak_megabytes"]],
         [f"torchhd {report['versions']['torch-hd']}, MAP in float32 (scaled)", dot, dot / ours,
          ""]],
    )  # fmt: skip
    return {
        **found,
        "torchhd": report,
        "torchhd_over_ours": theirs / ours,
        "torchhd_dot_over_ours": dot / ours,
    }


def published_grid() -> Any:
    """The 210 populations and segments at 22 thresholds."""
    return sdr.tabulate(
        sdr.false_positive_probability,
        n=[1000, 5000, 9000, 13_000, 17_000],
        sparsity=[0.005, 0.01, 0.015, 0.02, 0.025, 0.03],
        s=range(20, 51, 5),
        theta=range(3, 25),
    )


def rational(n: int, a: int, s: int, theta: int) -> Fraction:
    """The same probability in whole numbers."""
    s, a = min(s, a), max(s, a)
    first = max(0, theta, s + a - n)
    if first > s:
        return Fraction(0)
    term = math.comb(s, first) * math.perm(a, first) * math.perm(n - a, s - first)
    total = 0
    for b in range(first, s + 1):
        total += term
        term = term * (s - b) * (a - b) // ((b + 1) * (n - s - a + b + 1))
    return Fraction(total, math.perm(n, s))


def theory() -> dict[str, Any]:
    """Time of the published grid, and the largest error over random points, against SciPy."""
    begun = time.perf_counter()
    published_grid()
    first = time.perf_counter() - begun
    grid = best(published_grid)
    rng = np.random.default_rng(0)
    n = (10 ** rng.uniform(0.3, 6, 5000)).astype(int)
    n[::10] = 1_000_000
    a = rng.integers(0, np.minimum(n, 4000) + 1)
    s = rng.integers(0, np.minimum(n, 200) + 1)
    theta = rng.integers(0, np.minimum(s, a) + 1)
    exact = [rational(*map(int, point)) for point in zip(n, a, s, theta, strict=True)]
    errors: dict[str, list[float]] = {"neurokit_sdr": [], "scipy.stats.hypergeom.sf": []}
    seconds = {}
    for name, function in (
        ("neurokit_sdr", lambda: sdr.false_positive_probability(n, a, s, theta)),
        ("scipy.stats.hypergeom.sf", lambda: hypergeom.sf(theta - 1, n, s, a)),
    ):
        found = function()
        seconds[name] = best(function, 3)
        for value, right in zip(found, exact, strict=True):
            if right > Fraction(1, 10**300):
                errors[name].append(float(abs(Fraction(float(value)) - right) / right))
    print("== theory")
    print(f"210 x 22 grid: {grid * 1e3:.1f} ms, the first time in a process {first:.2f} s")
    rows = [
        [name, max(errors[name]), statistics.median(errors[name]), 1e3 * seconds[name]]
        for name in errors
    ]
    print_table(["5000 points, n to 1e6", "largest error", "median error", "ms"], rows)
    return {
        "grid_seconds": grid, "grid_seconds_first": first, "seconds": seconds,
        "largest_relative_error": {name: max(errors[name]) for name in errors},
    }  # fmt: skip


def trials() -> dict[str, Any]:
    """A hundred million pairs of a pattern and a segment, and the same one by one in NumPy."""
    sdr.simulate_false_positives(N_CELLS, 40, 20, n_trials=1000, rng=0, progress=False)
    begun = time.perf_counter()
    found = sdr.simulate_false_positives(
        N_CELLS, 40, 20, n_trials=100_000_000, rng=0, progress=False
    )
    ours = time.perf_counter() - begun
    rng = np.random.default_rng(0)
    segment = np.zeros(N_CELLS, bool)
    segment[:20] = True
    begun = time.perf_counter()
    for _ in range(20_000):
        segment[rng.choice(N_CELLS, 40, replace=False)].sum()
    plain = (time.perf_counter() - begun) * 100_000_000 / 20_000
    theta = found["theta"].values
    p = sdr.false_positive_probability(N_CELLS, 40, 20, theta)
    z = (found["probability"].values - p) / np.sqrt(p * (1 - p) / found.attrs["n_trials"] + 1e-300)
    seen = p * found.attrs["n_trials"] > 100
    begun = time.perf_counter()
    rare = sdr.estimate_false_positives(N_CELLS, 40, 20, range(4, 21), rng=0)
    sampling = time.perf_counter() - begun
    right = sdr.false_positive_probability(N_CELLS, 40, 20, range(4, 21))
    error = np.abs(rare["probability"].values / right - 1)
    print(f"== {found.attrs['n_trials']:,} simulated trials")
    print_table(
        ["", "seconds"],
        [["neurokit_sdr", ours], ["a pattern at a time in NumPy (extrapolated)", plain]],
    )
    print(f"largest deviation of thresholds seen over 100 times: {np.abs(z[seen]).max():.2f} se")
    print(
        f"importance sampling, thresholds 4 to 20 (down to {right.min():.1e}), 10,000 patterns "
        f"each: {sampling:.2f} s, largest relative error {error.max():.1e}"
    )
    return {
        "seconds": ours, "numpy_seconds": plain, "deviation": float(np.abs(z[seen]).max()),
        "importance_seconds": sampling, "importance_error": float(error.max()),
    }  # fmt: skip


PARTS = {"matching": matching, "theory": theory, "trials": trials}


def main() -> int:
    """Run the parts named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parts = parser.parse_args().parts or list(PARTS)
    unknown = set(parts) - set(PARTS)
    if unknown:
        parser.error(f"expected parts of {list(PARTS)}, got {sorted(unknown)}")
    results = {name: PARTS[name]() for name in parts}
    write_json("sdr", {"versions": versions(), **results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
