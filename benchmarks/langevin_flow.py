"""Langevin flows against baselines, the released code and the truth: quality and time of a step.

    python benchmarks/langevin_flow.py [speed | lorenz | reach] [--rows flow,gpfa] [--seeds 0,1]

Without a part named, all run, which takes hours; every row is kept in ``results/langevin_flow`` and
not computed again (``--again`` does), so that a run that was stopped goes on. ``lorenz`` and
``reach`` run two rows at a time, each in a process of its own bound to one core. CPU seconds are
those of the fit.

GPFA and the released code have environments of their own (``python benchmarks/make_environments.py
elephant langevin_flow``), and the released code is a checkout that you make; each is left out, with
the reason, where it is not there. See ``peers/langevin_flow_released.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from _latent_models import (
    CERTAIN,
    CLONE,
    FOLDER,
    PEERS,
    ROWS,
    SHARING,
    SOURCE,
    TITLES,
    Problem,
    Skip,
    lorenz,
    reach,
    reach_counts,
    scores,
)
from _tools import HERE, peak_megabytes, print_table, run_json, write_json
from make_environments import environment_is_current, environment_python

PARTS: dict[str, tuple[str, ...]] = {
    "lorenz": ("file", "conditions"),
    "reach": ("0", "1", "2", "3", "4"),
}
SPLITS: dict[str, Callable[[str], Any]] = {"lorenz": lorenz, "reach": reach}
#: One thread, whoever computes.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
BASELINES = ("smoothing", "factor_analysis", "gpfa", "poisson_lds", "recurrent_only")
FLOORS = {"co_bps": 0.80, "latent_r2": 0.95, "rate_median": 0.88}
#: Seconds in which the flow trains.
LONGEST = 20 * 60
SIZES = {
    "H=64, B=64, T=100, 60 units": (64, 64, 100, 60),
    "H=64, B=64, T=100, 45 of 60 units": (64, 64, 100, 45),
    "H=128, B=64, T=100, 60 units": (128, 64, 100, 60),
    "H=64, B=8, T=1000, 60 units": (64, 8, 1000, 60),
}
#: Runs that take turns, and steps of the released code that are timed in each.
ROUNDS, STEPS = 3, 6


# -- rows, each in a process of its own ---------------------------------------------------------


def sources() -> str:
    """What stands for the state of the models' code."""
    digest = hashlib.sha256()
    package = HERE.parent / "neurokit_sdr"
    for room in ("engines", "generative"):
        for path in sorted((package / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def bind(slot: int) -> None:
    """Keep this process and its children on one core."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[slot % len(cores)]})


def compute(experiment: str, row: str, part: str, seed: int, budget: float) -> None:
    """One row, scored and kept; this runs in the child."""
    problem = Problem(SPLITS[experiment](part), experiment, part, budget)
    try:
        answer = ROWS[row](problem, seed)
    except Skip as reason:
        kept(experiment, row, part, seed).write_text(json.dumps({"skipped": str(reason)}))
        return
    order = answer.rates.transpose("trial", "time", "unit")
    np.savez_compressed(problem.path(row, seed, ".npz"), rates=order.values.astype(np.float32))
    found = scores(problem, answer) | {"sources": sources(), "peak_megabytes": peak_megabytes()}
    kept(experiment, row, part, seed).write_text(json.dumps(found, indent=1))


def kept(experiment: str, row: str, part: str, seed: int) -> Path:
    """Where a row's scores are."""
    return FOLDER / f"{experiment}-{row}-{part}-{seed}.json"


def run_rows(arguments: argparse.Namespace, experiment: str) -> dict[tuple[str, str], list[Any]]:
    """Scores by (row, part), one for each seed; rows that cannot run are named and left out."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    tasks = [
        (experiment, row, part, seed)
        for seed in arguments.seeds
        for row in arguments.rows
        for part in PARTS[experiment]
        if not arguments.splits or part in arguments.splits
        if seed == arguments.seeds[0] or row not in CERTAIN
    ]
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(arguments.jobs):
        slots.put(slot)

    def run(task: tuple[str, str, str, int]) -> dict[str, Any]:
        path = kept(*task)
        if path.exists() and not arguments.again:
            found = json.loads(path.read_text())
            if "skipped" not in found:
                return found
        path.unlink(missing_ok=True)
        slot = slots.get()
        begun = time.perf_counter()
        command = [sys.executable, __file__, "row", *map(str, task)]
        try:
            done = subprocess.run(
                [*command, str(arguments.seconds), str(slot)],
                env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            slots.put(slot)
        if done.returncode or not path.exists():
            last = done.stderr.strip().splitlines() or ["it said nothing"]
            return {"skipped": f"failed: {last[-1]}", "stderr": done.stderr[-4000:]}
        print(f"{' '.join(map(str, task))}: {time.perf_counter() - begun:.0f} s", flush=True)
        return json.loads(path.read_text())

    # What looks at another row's training waits for it instead of training twice.
    tasks.sort(key=lambda task: task[1] in SHARING)
    first = sum(task[1] not in SHARING for task in tasks)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(run, tasks[:first]))
    outcomes += map(run, tasks[first:])
    found: dict[tuple[str, str], list[Any]] = {}
    reasons: dict[str, list[str]] = {}
    for (_, row, part, seed), outcome in zip(tasks, outcomes, strict=True):
        if "skipped" in outcome:
            reasons.setdefault(f"{TITLES[row].strip()}: {outcome['skipped']}", []).append(
                f"{part} {seed}"
            )
        else:
            found.setdefault((row, part), []).append(outcome | {"seed": seed})
    for reason, where in reasons.items():
        print(f"left out ({', '.join(where)}): {reason}")
    old = sorted(
        {r for (r, _), rows in found.items() for one in rows if one["sources"] != sources()}
    )
    if ours := [row for row in old if row not in CERTAIN and not row.startswith("released_code")]:
        print(f"kept from other sources than today's: {', '.join(ours)}; --again computes anew")
    print()
    return found


def values(rows: Iterable[dict[str, Any]], name: str) -> list[float]:
    """One measure over seeds or folds, where it exists."""
    return [row[name] for row in rows if name in row]


def cell(numbers: list[float], digits: int = 3) -> str:
    """Mean, and the standard deviation over seeds."""
    if not numbers:
        return "-"
    text = f"{statistics.fmean(numbers):.{digits}f}"
    if len(numbers) > 1:
        text += f" ± {statistics.stdev(numbers):.{digits}f}"
    return text


def verdict(claim: str, holds: bool | None) -> None:
    """One line of judgement."""
    word = {True: "YES", False: "NO", None: "not run"}[holds]
    print(f"  {word:8}{claim}")


# -- the Lorenz recording -----------------------------------------------------------------------


def lorenz_table(arguments: argparse.Namespace) -> dict[str, Any]:
    """Quality on both splits, and what has to hold."""
    found = run_rows(arguments, "lorenz")
    columns = {
        "co-bps": "co_bps",
        "latent R2": "latent_r2",
        "(z, v alone)": "state_r2",
        "rate R2, median": "rate_median",
        "pooled": "rate_pooled",
        "(uniform)": "rate_uniform",
    }
    for part in PARTS["lorenz"]:
        if all(key[1] != part for key in found):
            continue
        title = {"file": "the file's own split", "conditions": "whole conditions left out"}[part]
        print(f"== Lorenz, {title}: {HELD_OUT_TEXT}, mean ± sd over seeds")
        print_table(
            ["method", *columns, "CPU s", "seconds"],
            [
                [TITLES[row], *(cell(values(found[row, part], c)) for c in columns.values()),
                 *(cell(values(found[row, part], c), 0) for c in ("cpu_seconds", "wall_seconds"))]
                for row in arguments.rows
                if (row, part) in found
            ],
        )  # fmt: skip
    print("What has to hold (uniform rate R2 is ruled by near-silent units and never judged):")
    flow = found.get(("flow", "file"), [])
    for name, floor in FLOORS.items():
        mean = statistics.fmean(values(flow, name)) if flow else math.nan
        verdict(
            f"flow, file's split: {name} at least {floor} ({mean:.3f})",
            mean >= floor if flow else None,
        )
    longest = max(values(flow, "wall_seconds"), default=math.nan)
    verdict(
        f"trained in under {LONGEST / 60:.0f} min, one core ({longest:.0f} s)",
        longest < LONGEST if flow else None,
    )
    for part in PARTS["lorenz"]:
        for row in BASELINES:
            ahead(found, part, row)
    clean = {
        key: max(values(rows, "co_bps"))
        for key, rows in found.items()
        if key[0] != "oracle" and ("oracle", key[1]) in found
    }
    leaks = [k for k, v in clean.items() if v > found["oracle", k[1]][0]["co_bps"]]
    verdict(f"no co-bps above the oracle's {leaks or ''}", not leaks if clean else None)
    print()
    return {" / ".join(key): rows for key, rows in found.items()}


HELD_OUT_TEXT = "45 units read, 15 predicted"


def ahead(found: dict[tuple[str, str], list[Any]], part: str, row: str) -> None:
    """Whether the flow's worst seed is ahead of a baseline's best, in co-bps."""
    if ("flow", part) not in found or (row, part) not in found:
        verdict(f"ahead of {TITLES[row]}, {part}", None)
        return
    ours, theirs = (values(found[name, part], "co_bps") for name in ("flow", row))
    gain = statistics.fmean(ours) - statistics.fmean(theirs)
    verdict(
        f"worst seed ahead of the best of {TITLES[row]}, {part} (mean gain {gain:+.3f})",
        min(ours) > max(theirs),
    )


# -- the reach recording ------------------------------------------------------------------------


def reach_table(arguments: argparse.Namespace) -> dict[str, Any]:
    """Paired gains over folds, PSTH R2 of all trials, and the condition read from single bins."""
    import neurokit_sdr as nks

    arguments = argparse.Namespace(**vars(arguments) | {"seeds": arguments.seeds[:1]})
    found = run_rows(arguments, "reach")
    seed = arguments.seeds[0]
    counts = reach_counts()
    rows = []
    for row in arguments.rows:
        folds = [found.get((row, part)) for part in PARTS["reach"]]
        if None in folds:
            continue
        score = [f[0]["co_bps"] for f in folds]  # type: ignore[index]
        gains = []
        for other in ("smoothing", "factor_analysis"):
            theirs = [found.get((other, part)) for part in PARTS["reach"]]
            if None in theirs or other == row:
                gains.append("-")
                continue
            gain = np.subtract(score, [f[0]["co_bps"] for f in theirs])  # type: ignore[index]
            error = gain.std(ddof=1) / np.sqrt(gain.size)
            gains.append(f"{gain.mean():+.4f} ± {error:.4f}")
        parts = []
        for part in PARTS["reach"]:
            truth = reach(part).truth
            path = Problem(None, "reach", part, 0).path(row, seed, ".npz")
            with np.load(path) as content:
                like = truth["count"].transpose("trial", "time", "unit")
                parts.append(like.copy(data=content["rates"]).rename("expected_count"))
        # Every trial is predicted once.
        predicted = xr_concat(parts)
        r2 = nks.validation.psth_r2(predicted, counts, smoothing=0.05)
        accuracy = [
            cell([f[0][n] for f in folds if n in f[0]][:], 3)  # type: ignore[index]
            for n in ("decoding_latents", "decoding_rates")
        ]
        seconds = statistics.fmean(f[0]["cpu_seconds"] for f in folds)  # type: ignore[index]
        rows.append([TITLES[row], statistics.fmean(score), *gains, r2, *accuracy, f"{seconds:.0f}"])
    print("== reaches, 61 units in 20 ms bins, 5 folds of trials, the last 15 units predicted")
    print_table(
        ["method", "co-bps", "gain over smoothing ± se", "over factor analysis ± se",
         "PSTH R2, 50 ms", "condition from a bin's latents", "from its rates", "CPU s a fold"],
        rows,
    )  # fmt: skip
    print("The PSTH of known conditions is told the condition, and chance is 1 in 7.\n")
    print("What has to hold:")
    for other in ("smoothing", "factor_analysis"):
        pairs = [(found.get(("flow", p)), found.get((other, p))) for p in PARTS["reach"]]
        if any(a is None or b is None for a, b in pairs):
            verdict(f"ahead of {TITLES[other]}", None)
            continue
        gain = np.array([a[0]["co_bps"] - b[0]["co_bps"] for a, b in pairs])  # type: ignore[index]
        error = gain.std(ddof=1) / np.sqrt(gain.size)
        verdict(
            f"ahead of {TITLES[other]} by more than two standard errors of the paired gain "
            f"({gain.mean():+.4f} ± {error:.4f})",
            bool(gain.mean() > 2 * error),
        )
    print()
    return {" / ".join(key): one for key, one in found.items()}


def xr_concat(parts: list[Any]) -> Any:
    """Trials of several folds, one after another."""
    import xarray as xr

    return xr.concat(parts, "trial", coords="minimal", compat="override", join="override")


# -- time of a step -----------------------------------------------------------------------------


def our_steps(out: Path, hidden: int, batch: int, bins: int, read: int, variant: str) -> None:
    """CPU seconds of our training steps, taken inside a fit; this runs in the child."""
    bind(0)
    import jax
    import xarray as xr

    import neurokit_sdr as nks
    from neurokit_sdr.engines.training import steps

    # Whole batches when a tenth of the trials is set apart for validation.
    count = np.random.default_rng(0).poisson(0.2, (10 * batch, bins, 60))
    width = 0.01
    data = xr.Dataset(
        {"count": (("trial", "time", "unit"), count, {"units": "1"})},
        coords={
            "time": ("time", (np.arange(bins) + 0.5) * width, {"units": "s"}),
            "unit": np.arange(60),
            "held_in": ("unit", np.arange(60) < read),
        },
        attrs={"bin_size": width},
    )
    before = peak_megabytes()
    seconds: list[list[float]] = []
    advance = steps.advance

    def timed(program: Any, state: Any, constants: Any, given: Any, rows: Any, *rest: Any) -> Any:
        if rows.shape[1] != batch:
            raise SystemExit(f"a step of {rows.shape[1]} trials and not {batch}: change the number")
        number = int(rest[-1]) - int(rest[-2])
        begun = time.process_time()
        result = jax.block_until_ready(advance(program, state, constants, given, rows, *rest))
        seconds.append([(time.process_time() - begun) / number] * number)
        return result

    steps.advance = timed
    # As many latents as hidden units, as the released code has.
    model = nks.generative.LangevinFlow(
        variant=variant,
        latent_path="full",
        n_latents=hidden,
        n_hidden=hidden,
        batch_size=batch,
        n_steps=2 * STEPS,
        validation_fraction=0.1,
    )
    model.fit(data, rng=0, progress=False)
    report = {
        # The first call compiles.
        "step_seconds": [each for call in seconds[1:] for each in call],
        "compile_seconds": sum(seconds[0]),
        "weights": model.result_.sizes["parameter"],
        "peak_megabytes": peak_megabytes(),
        "megabytes_before": before,
    }
    out.write_text(json.dumps(report))


def speed_table(arguments: argparse.Namespace) -> dict[str, Any]:
    """Our step and the released one in turn, each on one core."""
    theirs = None
    if not environment_is_current("langevin_flow"):
        theirs = "no environment: python benchmarks/make_environments.py langevin_flow"
    elif not (SOURCE / "nlb_lightning" / "models.py").exists():
        theirs = f"no checkout: {CLONE}"
    if theirs:
        print(f"released code left out: {theirs}")
    found: dict[str, Any] = {}
    rows = []
    for size, (hidden, batch, bins, read) in SIZES.items():
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "paper": [], "released": []}
        for _ in range(ROUNDS):
            for who, variant in (
                (("ours", "released"), ("paper", "paper")) if arguments.ours else ()
            ):
                numbers = map(str, (hidden, batch, bins, read))
                runs[who].append(run_json(sys.executable, Path(__file__), "steps", *numbers,
                                          variant, **ONE_THREAD))  # fmt: skip
            if theirs is None:
                runs["released"].append(
                    run_json(
                        environment_python("langevin_flow"), PEERS / "langevin_flow_released.py",
                        "speed", "--hidden", str(hidden), "--batch", str(batch), "--bins",
                        str(bins), "--units-in", str(read), "--steps", str(STEPS), "--warm-up",
                        "2", **ONE_THREAD,
                    )
                )  # fmt: skip
        found[size] = runs
        row: list[Any] = [size]
        median = {}
        for who, each in runs.items():
            if not each:
                row += ["-"] * 3
                continue
            every = [s for run in each for s in run["step_seconds"]]
            median[who] = statistics.median(every)
            used = statistics.median(r["peak_megabytes"] - r["megabytes_before"] for r in each)
            row += [1e3 * median[who], f"{each[0]['weights']:,}", f"{used:.0f}"]
        forward = [s for run in runs["released"] for s in run["forward_seconds"]]
        row.append(1e3 * statistics.median(forward) if forward else "-")
        ratio = median["released"] / median["ours"] if len(median) == 3 else None
        row.append("-" if ratio is None else f"{ratio:.2f}")
        rows.append(row)
        found[size]["ratio"] = ratio
    print(f"== one training step, CPU ms on one core, median over {ROUNDS} turns")
    print_table(
        ["size", "ours, released variant", "weights", "MB", "ours, the paper's, h decoded too",
         "weights", "MB", "released code", "weights", "MB", "its forward pass",
         "released code / our variant of it"],
        rows,
    )  # fmt: skip
    ratio = found[next(iter(SIZES))]["ratio"]
    verdict(f"at least twice the released code's speed ({ratio})", ratio and ratio >= 2)
    print("MB: what the process grew by at its peak, with the batch and for us the compiler\n")
    return found


TABLES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "speed": speed_table,
    "lorenz": lorenz_table,
    "reach": reach_table,
}


def main() -> None:
    if sys.argv[1:2] == ["row"]:
        experiment, row, part, seed, budget, slot = sys.argv[2:]
        bind(int(slot))
        compute(experiment, row, part, int(seed), float(budget))
        return
    if sys.argv[1:2] == ["steps"]:
        our_steps(Path(sys.argv[2]), *map(int, sys.argv[3:7]), sys.argv[7])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(TABLES)}")
    parser.add_argument("--rows", default="", help=f"comma-separated: {', '.join(ROWS)}")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated; reach takes the first")
    parser.add_argument("--splits", default="", help="lorenz: file,conditions; reach: 0,...,4")
    parser.add_argument("--seconds", type=float, default=600, help="CPU seconds a peer trains")
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time")
    parser.add_argument("--again", action="store_true", help="compute what is kept anew")
    parser.add_argument("--released-only", dest="ours", action="store_false", help="speed only")
    arguments = parser.parse_args()
    arguments.seeds = [int(seed) for seed in arguments.seeds.split(",")]
    arguments.splits = arguments.splits.split(",") if arguments.splits else []
    arguments.rows = arguments.rows.split(",") if arguments.rows else list(ROWS)
    splits = [part for parts in PARTS.values() for part in parts]
    for given, known in (
        (arguments.parts, TABLES),
        (arguments.rows, ROWS),
        (arguments.splits, splits),
    ):
        if unknown := sorted(set(given) - set(known)):
            parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    for part in arguments.parts or TABLES:
        write_json(f"langevin_flow_{part}", TABLES[part](arguments))


if __name__ == "__main__":
    main()
