"""Memories on one task, the time of Sparsey, its saturation, and digits from single trials.

    python benchmarks/memories.py [task | hopfield | time | saturation | digits] [...]

Without a part named, all run. torchhd takes part in the task if its environment is there
(``python benchmarks/make_environments.py torchhd``). A pattern counts as recalled where what comes
back correlates with it by 0.9 or more.

Q, K and the exponents of Sparsey for the digits (50 x 100 and 80; 20 x 50 and 40) were set by hand
with these digits at hand. No part of them was kept apart for that choice, so read the accuracies as
optimistic; nothing is chosen within a run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from _tools import HERE, print_table, run_json, versions, write_json
from make_environments import environment_is_current, environment_python
from scipy.optimize import brentq
from scipy.special import erf
from scipy.stats import linregress
from sklearn.datasets import load_digits

import neurokit_sdr as nks

sdr = nks.sdr
N_CELLS = 256
#: Active cells of each task; in the diluted one as many entries are +1 or -1, in two cells each.
TASKS = {"half active": 128, "5 % active": 13, "diluted (80 % not 0)": 205}
SIZES = [
    2,
    4,
    8,
    12,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
    192,
    256,
    384,
    512,
    768,
    1024,
    1536,
    2048,
    3072,
    4096,
]
NOISES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
N_CUES = 50
#: Items of the noise sweep: below the capacity of every memory that is made for the task.
FEW = 8
RECALLED = 0.9
#: Items at which time and bytes are given.
TIMED = 1024


class Problem(NamedTuple):
    """What is stored and asked."""

    task: str
    noise: float
    stored: xr.Dataset
    cues: xr.Dataset


def dataset(pattern: np.ndarray, **variables: Any) -> xr.Dataset:
    """Patterns as the package takes them."""
    cell = np.arange(pattern.shape[1])
    return xr.Dataset({"pattern": (("item", "cell"), pattern)} | variables, {"cell": cell})


def moved(rng: np.random.Generator, pattern: np.ndarray, share: float) -> np.ndarray:
    """A share of the active cells of each pattern exchanged for silent ones."""
    out = pattern.copy()
    for row in out:
        on, off = (rng.permutation(np.flatnonzero(row == value)) for value in (True, False))
        number = round(share * on.size)
        row[on[:number]], row[off[:number]] = False, True
    return out


def make_problem(task: str, size: int, noise: float) -> Problem:
    """Random items, and cues that are noisy copies of the first."""
    rng = np.random.default_rng([list(TASKS).index(task), size, round(100 * noise)])
    chosen = np.argsort(rng.random((size, N_CELLS)), axis=1) < TASKS[task]
    if "diluted" not in task:
        return Problem(
            task, noise, dataset(chosen), dataset(moved(rng, chosen[:N_CUES], noise))
        )  # fmt: skip
    sign = np.where(rng.random(chosen.shape) < 0.5, -1, 1)
    ternary = (chosen * sign).astype(np.int8)
    flip = rng.random(ternary[:N_CUES].shape) < noise
    return Problem(
        task, noise, dataset(ternary), dataset(np.where(flip, -1, 1) * ternary[:N_CUES])
    )  # fmt: skip


def two_cells(ternary: np.ndarray) -> np.ndarray:
    """An entry as two cells: the first active for +1, the second for -1, none for 0."""
    return np.stack([ternary > 0, ternary < 0], axis=-1).reshape(len(ternary), -1)


def as_bits(data: xr.Dataset) -> xr.Dataset:
    """Booleans, in two cells each where entries are -1, 0 and 1."""
    values = data["pattern"].values
    return data if values.dtype == bool else dataset(two_cells(values))


def correlation(found: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Of each recalled pattern with its item; 0 for one without contrast."""
    found, item = (
        x - x.mean(axis=1, keepdims=True) for x in (found.astype(float), item.astype(float))
    )
    norm = np.sqrt((found**2).sum(axis=1) * (item**2).sum(axis=1))
    return np.where(norm > 0, (found * item).sum(axis=1) / np.where(norm > 0, norm, 1), 0)


def share_recalled(found: np.ndarray, problem: Problem) -> float:
    """Share of the cues from which the item comes back."""
    items = as_bits(problem.stored)["pattern"].values[: len(found)]
    return float((correlation(found, items) >= RECALLED).mean())


class Sparsey:
    """Sparsey with the face of the other memories."""

    def __init__(self) -> None:
        self.model = sdr.Sparsey(n_modules=24, n_units=64, exponent=10.0)

    def store(self, data: xr.Dataset) -> Sparsey:
        self.model.fit(data, rng=0, progress=False)
        return self

    def recall(self, data: xr.Dataset, rng: int) -> xr.Dataset:
        return self.model.recall(data)

    @property
    def nbytes(self) -> int:
        return int(self.model.result_["bottom_up_weight"].nbytes)


MEMORIES: dict[str, Callable[[], Any]] = {
    "Sparsey, 24 x 64": Sparsey,
    "Hopfield": sdr.Hopfield,
    "dense, order 3": lambda: sdr.DenseAssociativeMemory(order=3),
    "dense, exponential": lambda: sdr.DenseAssociativeMemory(interaction="exponential"),
    "multitasking Hebbian": sdr.MultitaskingHebbian,
    "nearest neighbour": sdr.NearestNeighbor,
}


def answer(name: str, problem: Problem) -> dict[str, float]:
    """Store and recall one problem."""
    multitasking = name.startswith("multi")
    stored, cues = (
        data if multitasking else as_bits(data) for data in (problem.stored, problem.cues)
    )
    memory = MEMORIES[name]()
    begun = time.perf_counter()
    memory.store(stored)
    wrote = time.perf_counter()
    found = memory.recall(cues, rng=0)
    read = time.perf_counter()
    if multitasking:
        # Blank cells are free to retrieve other patterns: only the item's own entries count.
        overlap = sdr.mattis_overlap(stored.isel(item=slice(cues.sizes["item"])), found)
        whole = (stored["pattern"].values[: cues.sizes["item"]] != 0).mean(axis=1)
        share = float((overlap.values.diagonal() / whole >= RECALLED).mean())
    else:
        share = share_recalled(found["pattern"].values, problem)
    return {
        "share": share,
        "store_seconds": (wrote - begun) / stored.sizes["item"],
        "recall_seconds": (read - wrote) / cues.sizes["item"],
        "bytes": memory.nbytes,
    }


def answer_by_torchhd(problems: list[Problem]) -> dict[str, list[dict[str, float]]]:
    """The same problems in torchhd's environment."""
    with tempfile.TemporaryDirectory() as folder:
        path, answers = Path(folder) / "problems.npz", Path(folder) / "answers.npz"
        arrays = {}
        for k, problem in enumerate(problems):
            for name, data in (("store", problem.stored), ("cue", problem.cues)):
                arrays[f"{name}_{k}"] = 2 * as_bits(data)["pattern"].values.astype(np.int8) - 1
        np.savez(path, **arrays)
        report = run_json(
            environment_python("torchhd"), HERE / "peers" / "torchhd_memories.py", str(path),
            str(answers),
        )  # fmt: skip
        with np.load(answers) as found:
            return {
                f"torchhd {name.replace('_', ' ')}": [
                    report[name][k] | {"share": share_recalled(found[f"{name}_{k}"] > 0, problem)}
                    for k, problem in enumerate(problems)
                ]
                for name in ("sparse_distributed", "cleanup")
            }


def last_good(values: list[float], shares: list[float]) -> float:
    """The largest value up to which at least 0.9 of the cues are recalled; NaN if none."""
    good = np.array(shares) >= 0.9
    number = len(good) if good.all() else int(np.argmin(good))
    return values[number - 1] if number else float("nan")


def task() -> dict[str, Any]:
    """Capacity, noise tolerance, time and bytes of every memory."""
    sweeps = [(name, size, 0.1) for name in TASKS for size in SIZES]
    sweeps += [(name, FEW, noise) for name in TASKS for noise in NOISES]
    problems = [make_problem(*sweep) for sweep in sweeps]
    found: dict[str, list[dict[str, float] | None]] = {}
    for name in MEMORIES:
        found[name] = []
        for problem in problems:
            fits = "diluted" in problem.task or not name.startswith("multi")
            found[name].append(answer(name, problem) if fits else None)
        print(f"{name}: done", flush=True)
    if environment_is_current("torchhd"):
        found |= answer_by_torchhd(problems)
    else:
        print("torchhd: no environment; python benchmarks/make_environments.py torchhd")
    table: dict[str, Any] = {}
    for name, answers in found.items():
        table[name] = {}
        for what in TASKS:
            mine = [a for a, p in zip(answers, problems, strict=True) if p.task == what]
            if mine[0] is None:
                continue
            shares = [a["share"] for a in mine if a is not None]
            at = mine[SIZES.index(TIMED)]
            assert at is not None
            table[name][what] = {
                "capacity": last_good(SIZES, shares[: len(SIZES)]),
                "noise": last_good(NOISES, shares[len(SIZES) :]),
                "store_microseconds": 1e6 * at["store_seconds"],
                "recall_microseconds": 1e6 * at["recall_seconds"],
                "bytes": at["bytes"],
                "share_by_size": shares[: len(SIZES)],
                "share_by_noise": shares[len(SIZES) :],
            }
    headers = ["memory", "capacity", "noise", f"us to store, of {TIMED}", "us to recall", "bytes"]
    for what, number in TASKS.items():
        print(f"== {what}: {N_CELLS} cells, {number} of them; cues with 10 % noise")
        keys = ("capacity", "noise", "store_microseconds", "recall_microseconds", "bytes")
        print_table(
            headers, [[n, *(t[what][k] for k in keys)] for n, t in table.items() if what in t]
        )
    return {"sizes": SIZES, "noises": NOISES, "memories": table}


def mean_field_overlap(load: float) -> float:
    """Of the classical network (Amit, Gutfreund and Sompolinsky 1985); 0 above its capacity."""

    def excess(y: Any) -> Any:
        return erf(y) - y * (np.sqrt(2 * load) + 2 / np.sqrt(np.pi) * np.exp(-(y**2)))

    y = np.linspace(0.5, 6, 2000)
    found = np.flatnonzero(np.diff(np.sign(excess(y))))
    return float(erf(brentq(excess, y[found[-1]], y[found[-1] + 1]))) if found.size else 0.0


def hopfield() -> dict[str, Any]:
    """Overlap of the classical network with what it stores, up to 0.138 N and beyond."""
    loads, found, rows = [0.08, 0.1, 0.12, 0.13, 0.138, 0.15, 0.17, 0.2], {}, []
    for load in loads:
        row: list[Any] = [load, mean_field_overlap(load)]
        for size in (500, 1000, 2000):
            rng = np.random.default_rng(size)
            items = dataset(rng.random((round(load * size), size)) < 0.5)
            cues = items.isel(item=slice(100))
            recalled = sdr.Hopfield().store(items).recall(cues, rng=0)["pattern"]
            overlap = 2 * (recalled == cues["pattern"]).mean("cell").values - 1
            row.append(float(overlap.mean()))
        rows.append(row)
        found[str(load)] = row[1:]
    print("== overlap of the classical network with its patterns, from the patterns themselves")
    print_table(["items / N", "mean field", "N = 500", "N = 1000", "N = 2000"], rows)
    return found


def interval(slope: Any) -> list[float]:
    """Slope and its standard error, of seconds over items."""
    return [slope.slope, slope.stderr]


def retrieval_time() -> dict[str, Any]:
    """Time to store and to recognise one item, by the number of items stored before."""
    sizes, repeats, batch = [10, 30, 100, 300, 1000, 3000, 10_000], 31, 200
    rng = np.random.default_rng(0)
    active = np.argsort(rng.random((sizes[-1] + batch, N_CELLS)), axis=1) < 13
    new = dataset(active[-batch:])
    models, others = {}, {}
    for size in sizes:
        models[size] = sdr.Sparsey(n_modules=24, n_units=64, exponent=10.0)
        models[size].fit(dataset(active[:size]), rng=0, progress=False)
        others[size] = sdr.NearestNeighbor().store(dataset(active[:size]))
    at: list[int] = []
    seconds: dict[str, list[float]] = {"store": [], "recognise": [], "nearest neighbour": []}
    # Sizes take turns, so that what else the machine does falls on all of them.
    for _ in range(repeats):
        for size in rng.permutation(sizes):
            result = models[size].result_
            begun = time.perf_counter()
            models[size].partial_fit(new)
            stored = time.perf_counter()
            models[size].result_ = result
            between = time.perf_counter()
            models[size].predict(new)
            recognised = time.perf_counter()
            others[size].recall(new, rng=0)
            answered = time.perf_counter()
            at.append(int(size))
            for name, value in zip(
                seconds, (stored - begun, recognised - between, answered - recognised), strict=True
            ):
                seconds[name].append(value / batch)
    found: dict[str, Any] = {"sizes": sizes, "repeats": repeats}
    rows = []
    for name, values in seconds.items():
        medians = [float(np.median([v for v, s in zip(values, at, strict=True) if s == size]))
                   for size in sizes]  # fmt: skip
        # Its error is that of the scatter of sizes, in which what a machine does to each is.
        slope = linregress(sizes, medians)
        found[name] = {
            "microseconds": [1e6 * m for m in medians], "slope": interval(slope),
            "slope_over_error": slope.slope / slope.stderr,
            "slope_over_mean": slope.slope / float(np.mean(medians)),
            "within_two_errors_of_0": bool(abs(slope.slope) <= 2 * slope.stderr),
            "below_1e-3_of_mean": bool(abs(slope.slope) < 1e-3 * float(np.mean(medians))),
        }  # fmt: skip
        rows.append(
            [name, *(1e6 * m for m in medians), 1e9 * slope.slope, 1e9 * slope.stderr]
        )  # fmt: skip
    print("== microseconds for one item, by the number stored; slope in ns for each 1 item stored")
    print_table(["", *map(str, sizes), "slope", "its error"], rows)
    tests = ("within_two_errors_of_0", "below_1e-3_of_mean")
    answers = [
        [
            name, found[name]["slope_over_error"], found[name]["slope_over_mean"],
            *("yes" if found[name][test] else "no" for test in tests),
        ]
        for name in seconds
    ]  # fmt: skip
    headers = [
        "",
        "slope / error",
        "slope / mean time",
        "within 2 errors of 0",
        "below 1e-3 of mean",
    ]
    print_table(headers, answers)
    # The second test is lenient: say by how much.
    print(f"time in proportion to the items would have slope / mean time {1 / np.mean(sizes):.1e}")
    return found


def saturation() -> dict[str, Any]:
    """How many items are stored until recall fails, by the size of the field."""
    rng = np.random.default_rng(0)
    active = np.argsort(rng.random((6400, N_CELLS)), axis=1) < 13
    sizes = [25, 50, 100, 200, 400, 800, 1600, 3200, 6400]
    found, rows = {}, []
    for n_modules, n_units in ((24, 16), (24, 64), (24, 256), (48, 64)):
        model, before, shares, filled = (
            sdr.Sparsey(n_modules=n_modules, n_units=n_units, exponent=10.0), 0, [], [],
        )  # fmt: skip
        for size in sizes:
            model.partial_fit(dataset(active[before:size]), rng=0)
            before = size
            chosen = rng.permutation(size)[:N_CUES]
            recalled = model.recall(dataset(active[chosen]))["pattern"].values
            shares.append(float((recalled == active[chosen]).all(axis=1).mean()))
            filled.append(float(model.result_["saturation"][0]))
        name = f"{n_modules} x {n_units}"
        found[name] = {"recalled": shares, "synapses_set": filled}
        rows.append([name, last_good(sizes, shares), *shares])
    print("== share of items recalled exactly, by the number stored (Q x K)")
    print_table(["Q x K", "up to 0.9", *map(str, sizes)], rows)
    return {"sizes": sizes, "fields": found}


def digit_bits() -> tuple[xr.Dataset, np.ndarray]:
    """Digits as on and off cells at each of 8 x 8 places, and their 17 grey levels."""
    digits = load_digits()
    on = digits.data >= 8
    x, y = (axis.ravel() for axis in np.meshgrid(range(8), range(8), indexing="ij"))
    data = dataset(np.concatenate([on, ~on], axis=1), label=("item", digits.target))
    return (
        data.assign_coords(x=("cell", np.tile(x, 2)), y=("cell", np.tile(y, 2))), digits.data,
    )  # fmt: skip


def with_labels(data: xr.Dataset, known: bool) -> xr.Dataset:
    """Twelve cells more for each label, active for the own one where it is known."""
    label = np.repeat(np.eye(10, dtype=bool)[data["label"].values], 12, axis=1)
    return dataset(np.concatenate([data["pattern"].values, label & known], axis=1))


def labels_by_completion(memory: Any, train: xr.Dataset, test: xr.Dataset) -> np.ndarray:
    """Labels that a memory of patterns with label cells completes."""
    memory.store(with_labels(train, True))
    found = memory.recall(with_labels(test, False), rng=0)["pattern"].values
    return found[:, -120:].reshape(-1, 10, 12).sum(axis=2).argmax(axis=1)


def digits() -> dict[str, Any]:
    """Accuracy on digits after each training digit was seen once, over ten random halves."""
    data, grey = digit_bits()
    plain = data.drop_vars(["x", "y"])
    size = data.sizes["item"]
    found: dict[str, list[float]] = {}

    def add(name: str, predicted: np.ndarray, truth: np.ndarray) -> None:
        found.setdefault(name, []).append(float((predicted == truth).mean()))

    for split in range(10):
        order = np.random.default_rng(split).permutation(size)
        first, second = order[: size // 2], order[size // 2 :]
        train, test = data.isel(item=first), data.isel(item=second)
        truth, label = test["label"].values, train["label"].values
        distance = (
            (grey[second] ** 2).sum(axis=1)[:, None] - 2 * grey[second] @ grey[first].T
            + (grey[first] ** 2).sum(axis=1)
        )  # fmt: skip
        add("1-NN on 17 grey levels", label[distance.argmin(axis=1)], truth)
        a, b = (d["pattern"].values.astype(float) for d in (test, train))
        add("1-NN on the same bits", label[(a @ b.T).argmax(axis=1)], truth)
        for name, memory in (
            ("Hopfield, label cells", sdr.Hopfield()),
            (
                "dense exponential, label cells",
                sdr.DenseAssociativeMemory(interaction="exponential"),
            ),
        ):
            add(name, labels_by_completion(memory, train, test), truth)
        for sigmoid in nks.sdr.Sparsey._allowed["sigmoid"].words:  # type: ignore[union-attr]
            one = sdr.Sparsey(n_modules=50, n_units=100, exponent=80.0, sigmoid=sigmoid)
            one.fit(plain.isel(item=first), rng=split, progress=False)
            add(
                f"Sparsey, one mac, {sigmoid}",
                one.predict(plain.isel(item=second))["label"].values,
                truth,
            )
            macs = sdr.Sparsey(
                n_modules=20, n_units=50, n_macs=16, receptive_field=2.0, exponent=40.0,
                sigmoid=sigmoid,
            )  # fmt: skip
            macs.fit(train, rng=split, progress=False)
            add(f"Sparsey, 4 x 4 macs, {sigmoid}", macs.predict(test)["label"].values, truth)
    print(f"== digits: {size // 2} seen once, {size - size // 2} asked, ten random halves")
    rows = [[n, np.mean(v), np.std(v, ddof=1) / np.sqrt(len(v))] for n, v in found.items()]
    print_table(["", "accuracy", "standard error"], sorted(rows, key=lambda row: -row[1]))
    return found


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "task": task, "hopfield": hopfield, "time": retrieval_time, "saturation": saturation,
    "digits": digits,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"no part is called {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    found = {name: PARTS[name]() for name in parts}
    write_json("memories", {"versions": versions("scikit-learn"), **found})


if __name__ == "__main__":
    main()
