"""Spiking networks driven by known latents: what of the latents, rates and dynamics is found again.

    python benchmarks/latent_recovery.py [recovery | dynamics | own] [--again]

``recovery``: a Lorenz attractor, and two oscillators, drive a population of integrate-and-fire
units; models against the truth. ``dynamics``: one oscillator of known frequency and coherence
time; what friction and frequency come out. ``own``: the same where a Langevin flow made the data.
All take half an hour on one core; every row is a process of its own and kept in
``results/latent_recovery`` until ``--again``.

The units have no formula for their rate. What is called true here is the mean over many runs of the
same network with the same latents and other noise, and its own error gives the ceiling of R2.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from _tools import RESULTS, print_table, versions, write_json

import neurokit_sdr as nks

FOLDER = RESULTS / "latent_recovery"
N_UNITS, HELD_OUT = 60, 15
#: Trials of 75 bins, one after another; the last are tested.
BIN, TRIAL, N_TRIALS, N_TEST = 0.02, 1.5, 200, 40
N_SEEDS = 3
#: Runs behind the true rates, and seconds of latents before each, so that it forgets its start.
N_RUNS, LEAD = 100, 0.5
#: The one oscillator whose constants are asked for: Hz, s.
FREQUENCY, COHERENCE = 3.0, 0.5
PROCESSES: dict[str, tuple[Any, str]] = {
    "lorenz": (nks.snn.Lorenz(), "a Lorenz attractor (3 latents)"),
    "oscillators": (
        nks.snn.Oscillator((1.0, 2.5), 1.0),
        "oscillators of 1 and 2.5 Hz, coherence time 1 s (4 latents)",
    ),
    "oscillator": (nks.snn.Oscillator((FREQUENCY,), COHERENCE), ""),
}
STEPS = {"n_steps": 2000}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "smoothing": ("smoothing + GLM", "Smoothing", {}),
    "factor_analysis": ("factor analysis, 8", "FactorAnalysis", {"n_latents": 8}),
    "poisson_lds": ("Poisson LDS, 8", "PoissonLDS", {"n_latents": 8}),
    "recurrent_only": (
        "flow, recurrent path only", "LangevinFlow", {"latent_path": "recurrent_only", **STEPS}
    ),
    "flow": ("Langevin flow", "LangevinFlow", STEPS),
}  # fmt: skip
#: They draw nothing: one seed says all.
CERTAIN = {"smoothing", "factor_analysis", "poisson_lds"}
SMALL = {"n_latents": 4, "n_hidden": 32, **STEPS}
#: Nothing but the evidence lower bound, and steps large enough to move the physics.
BOUND = {"kl_weight": 1.0, "coordinated_dropout": 0.0, "dropout": 0.0, "learning_rate": 1e-2}
FLOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "flow": ("flow, as it comes", STEPS),
    "flow_four": ("4 oscillators, KL weight 1", SMALL | {"kl_weight": 1.0}),
    "flow_bound": ("4 oscillators, lower bound alone, fast", SMALL | BOUND),
    "flow_bound_free": (
        "  the same from little friction", SMALL | BOUND | {"time_step": 0.1}
    ),
}  # fmt: skip


# -- recordings ---------------------------------------------------------------------------------


class Recording(NamedTuple):
    """A network, and its counts in trials, divided."""

    network: nks.snn.Network
    split: Any


def recording(name: str, seed: int) -> Recording:
    """Simulate a population that the named process drives."""
    process, _ = PROCESSES[name]
    network = nks.snn.latent_driven(N_UNITS, latents=process, rng=seed)
    session = nks.snn.simulate(network, N_TRIALS * TRIAL, rng=seed, progress=False)
    start = TRIAL * np.arange(N_TRIALS)
    counts = nks.bin_spikes(session, BIN, trials=np.stack([start, start + TRIAL], axis=1))
    frames = session["truth"]["latent"].values
    per_bin = round(BIN / process.frame_interval)
    latent = frames.reshape(N_TRIALS, -1, per_bin, frames.shape[1]).mean(axis=2)
    counts["latent"] = (("trial", "time", "latent_index"), latent, {"units": "1"})
    split = nks.validation.held_out_split(counts, neurons=HELD_OUT, trials=N_TEST)
    return Recording(network, split)


def true_rates(name: str) -> dict[str, np.ndarray]:
    """Spikes per bin of the test trials over runs with other noise: both halves' means."""
    path = FOLDER / f"{name}-rates.npz"
    if not path.exists():
        process, _ = PROCESSES[name]
        network, split = recording(name, 0)
        seconds = N_TEST * TRIAL
        # The test trials end the recording; its path comes again from the same seed.
        session = nks.snn.simulate(network, N_TRIALS * TRIAL, rng=0, progress=False)
        frames = round((seconds + LEAD) / process.frame_interval)
        latent = session["truth"]["latent"].values[-frames:]
        again = nks.snn.Schedule(latent, process.frame_interval)
        inputs = dataclasses.replace(network.inputs, process=again)
        network = dataclasses.replace(network, inputs=inputs)
        start = LEAD + TRIAL * np.arange(N_TEST)
        window = np.stack([start, start + TRIAL], axis=1)
        halves = [np.zeros(split.truth["count"].shape) for _ in range(2)]
        for run in range(N_RUNS):
            one = nks.snn.simulate(network, seconds + LEAD, rng=1000 + run, progress=False)
            halves[run % 2] += nks.bin_spikes(one, BIN, trials=window)["count"].values
        halves = [2 * half / N_RUNS for half in halves]
        np.savez_compressed(path, first=halves[0], second=halves[1])
    with np.load(path) as content:
        return dict(content)


def ceiling(halves: dict[str, np.ndarray], held_out: np.ndarray) -> dict[str, float]:
    """The R2 that the true rate itself would reach against the mean of the runs."""
    first, second = (halves[name].reshape(-1, held_out.size) for name in ("first", "second"))
    mean = (first + second) / 2
    error = ((first - second) ** 2).sum(axis=0) / 4
    total = ((mean - mean.mean(axis=0)) ** 2).sum(axis=0)
    return {
        "rate_median": float(np.median(1 - error / total)),
        "rate_pooled": float(1 - error.sum() / total.sum()),
        "rate_held_out": float(1 - error[held_out].sum() / total[held_out].sum()),
    }


def best_score(halves: dict[str, np.ndarray], truth: xr.Dataset) -> float:
    """Co-bps of the true rates: that of the mean of the runs, carried on to endlessly many.

    The error of a mean costs in proportion to 1 / runs, so that what halving them costs is what
    doubling them without end would gain. Smoothing by less than a bin keeps the higher orders
    small.
    """
    from scipy.ndimage import gaussian_filter1d

    def score(rates: np.ndarray, n_runs: int) -> float:
        smooth = gaussian_filter1d(rates, 0.7, axis=1, mode="nearest")
        # A tenth of a run at the unit's mean: no bin is impossible.
        shrunk = (n_runs * smooth + 0.1 * smooth.mean(axis=(0, 1))) / (n_runs + 0.1)
        like = truth["count"].copy(data=shrunk).rename("expected_count")
        return nks.validation.co_bits_per_spike(like.assign_attrs(units="1"), truth)

    first, second = halves["first"], halves["second"]
    half = (score(first, N_RUNS // 2) + score(second, N_RUNS // 2)) / 2
    return 2 * score((first + second) / 2, N_RUNS) - half


# -- what is found ------------------------------------------------------------------------------


def recovered(name: str, row: str) -> list[dict[str, float]]:
    """One model on one recording, scored for each seed."""
    split = recording(name, 0).split
    halves = true_rates(name)
    rates = (halves["first"] + halves["second"]) / 2
    truth = split.truth["count"].copy(data=rates).rename("expected_count")
    held_out = ~split.truth["held_in"].values
    if row == "true_rates":
        return [{"co_bps": best_score(halves, split.truth), **ceiling(halves, held_out)}]
    _, estimator, parameters = MODELS[row]
    seen = split.train.sel(unit=split.test["unit"])
    found = []
    for seed in range(1 if row in CERTAIN else N_SEEDS):
        begun = time.process_time()
        model = getattr(nks.generative, estimator)(**parameters)
        model.fit(split.train, rng=seed, progress=False)
        seconds = time.process_time() - begun
        predicted = model.predict(split.test)["expected_count"]
        r2 = nks.validation.rate_r2(predicted, truth)
        unseen = nks.validation.rate_r2(predicted.isel(unit=held_out), truth.isel(unit=held_out))
        one = {
            "co_bps": nks.validation.co_bits_per_spike(predicted, split.truth),
            "rate_median": r2.median,
            "rate_pooled": r2.pooled,
            "rate_held_out": unseen.pooled,
            "cpu_seconds": seconds,
        }
        features = [model.transform(data) for data in (seen, split.test)]
        for variable in ("latent", "factor"):
            if variable in features[0]:
                one[f"{variable}_r2"] = nks.validation.latent_r2(
                    features[0][variable], split.train["latent"],
                    features[1][variable], split.truth["latent"],
                ).pooled  # fmt: skip
        found.append(one)
    return found


class Mode(NamedTuple):
    """One small oscillation: its share of the variance of log rates, Hz, and friction in 1/s."""

    share: float
    frequency: float
    friction: float


def modes(model: Any, seen: xr.Dataset) -> list[Mode]:
    """Damped oscillations of a flow about its origin, the ones that the rates use first.

    The linearised motion has eigenvalues -friction/2 ± 2 pi i frequency. How much a mode does is
    read from the latents of a recording and a regression of the log rates on them.
    """
    result = model.result_
    n, unit = result.sizes["oscillator"], result.attrs["bin_size"] / model.time_step
    hessian = np.diag(result["stiffness"].values) + result["coupling"].values
    motion = np.zeros((2 * n, 2 * n))
    motion[:n, n:] = np.eye(n)
    motion[n:, :n] = -hessian / result["mass"].values[:, None]
    motion[n:, n:] = -np.diag(result["friction"].values * unit)
    values, vectors = np.linalg.eig(motion)
    latent = model.transform(seen)["latent"].values.reshape(-1, 2 * n)
    log_rate = np.log(model.predict(seen)["expected_count"].values).reshape(len(latent), -1)
    latent, log_rate = (x - x.mean(axis=0) for x in (latent, log_rate))
    slope = np.linalg.lstsq(latent, log_rate, rcond=None)[0]
    excited = latent @ np.linalg.inv(vectors).T
    found = []
    for k in np.flatnonzero(values.imag >= 0):
        both = 2 if values[k].imag > 0 else 1
        part = both * (np.outer(excited[:, k], vectors[:, k] @ slope)).real
        share = part.var(axis=0).sum() / log_rate.var(axis=0).sum()
        hertz = values[k].imag / (2 * np.pi * unit)
        found.append(Mode(float(share), float(hertz), float(-2 * values[k].real / unit)))
    return sorted(found, reverse=True)


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """Of (trial, bin, column), summed over columns; half a trial of lags."""
    values = values - values.mean(axis=(0, 1))
    n_bins = values.shape[1]
    lags = [
        (values[:, : n_bins - lag] * values[:, lag:]).sum() / (n_bins - lag)
        for lag in range(n_bins // 2)
    ]
    return np.array(lags) / lags[0]


def damped_rotation(correlation: np.ndarray, width: float) -> tuple[float, float]:
    r"""Frequency in Hz and friction in 1/s by least squares.

    Of :math:`a e^{-\gamma t/2} (\cos 2\pi f t + b \sin 2\pi f t)` from the first lag on; what is
    in no two bins, such as noise, is in lag 0.
    """
    from scipy.optimize import least_squares

    lag = width * np.arange(1, len(correlation))

    def left(p: np.ndarray) -> np.ndarray:
        turn = 2 * np.pi * p[0] * lag
        shape = p[2] * np.cos(turn) + p[3] * np.sin(turn)
        return np.exp(-np.exp(p[1]) * lag / 2) * shape - correlation[1:]

    starts = [
        np.array([f, np.log(g), 1.0, 0.0]) for f in (0.5, 1.5, 3.0, 6.0) for g in (1.0, 4.0, 12.0)
    ]
    best = min((least_squares(left, start) for start in starts), key=lambda fit: fit.cost)
    return float(abs(best.x[0])), float(np.exp(best.x[1]))


def constants(model: Any, split: Any) -> dict[str, float]:
    """What a fitted flow says about the dynamics, in two ways."""
    seen = split.train.sel(unit=split.test["unit"])
    top = modes(model, seen)
    weight = [mode.share for mode in top]
    drawn = model.simulate([split.train.sizes["time"]] * 400, rng=0)
    frequency, friction = damped_rotation(
        autocorrelation(np.log(drawn["expected_count"].values)), BIN
    )
    return {
        "mode_frequency": float(np.average([m.frequency for m in top], weights=weight)),
        "mode_friction": float(np.average([m.friction for m in top], weights=weight)),
        "drawn_frequency": frequency,
        "drawn_friction": friction,
    }


def dynamics(row: str) -> list[dict[str, float]]:
    """Frequency and friction of one row on recordings of the one oscillator."""
    found = []
    for seed in range(N_SEEDS):
        split = recording("oscillator", seed).split
        if row == "latents":
            # The real and the imaginary part have one autocorrelation.
            frequency, friction = damped_rotation(
                autocorrelation(split.train["latent"].values), BIN
            )
            found.append({"drawn_frequency": frequency, "drawn_friction": friction})
            continue
        begun = time.process_time()
        if row == "poisson_lds":
            model = nks.generative.PoissonLDS(n_latents=2)
            model.fit(split.train, rng=seed, progress=False)
            root = np.linalg.eigvals(model.result_["transition"].values)[0]
            said = {
                "mode_frequency": float(abs(np.angle(root)) / (2 * np.pi * BIN)),
                "mode_friction": float(-2 * np.log(abs(root)) / BIN),
            }
        else:
            model = nks.generative.LangevinFlow(**FLOWS[row][1])
            model.fit(split.train, rng=seed, progress=False)
            said = constants(model, split)
        said["cpu_seconds"] = time.process_time() - begun
        found.append(said | {"co_bps": model.score(split.truth)})
    return found


def with_physics(model: Any, frequency: float, friction: float) -> Any:
    """A fitted flow with its decoder, but alike and uncoupled oscillators; in Hz and 1/s."""
    result = model.result_.copy(deep=True)
    unit = BIN / model.time_step
    stiffness = (2 * np.pi * frequency * unit) ** 2 + (friction * unit / 2) ** 2
    raw = {
        "raw_stiffness": np.log(np.expm1(stiffness)),
        "raw_friction": np.log(np.expm1(friction * unit)),
        "log_mass": 0.0,
        "log_temperature": 0.0,
        "kernel": 0.0,
    }
    for variable in ("weight", "last_weight"):
        vector = result[variable].values
        for name, (first, shape) in json.loads(result[variable].attrs["layout"]).items():
            if (leaf := name.rpartition(".")[2]) in raw:
                vector[first : first + int(np.prod(shape))] = raw[leaf]
    physics = {
        "stiffness": stiffness, "friction": friction, "mass": 1.0, "temperature": 1.0,
        "coupling": 0.0,
    }  # fmt: skip
    for name, value in physics.items():
        result[name][:] = value
    result["frequency"][:] = np.sqrt(stiffness) / (2 * np.pi * unit)
    result["mode_shape"][:] = np.eye(result.sizes["oscillator"])
    return type(model).from_parameters(result)


def own(row: str) -> list[dict[str, float]]:
    """A flow fitted to what another flow drew from its prior."""
    decoding = nks.generative.LangevinFlow(**SMALL | {"n_steps": 500})
    decoding.fit(recording("oscillator", 0).split.train, rng=0, progress=False)
    maker = with_physics(decoding, FREQUENCY, 2 / COHERENCE)
    n_bins = round(TRIAL / BIN)
    found = []
    for seed in range(N_SEEDS):
        counts = maker.simulate([n_bins] * N_TRIALS, rng=seed)
        split = nks.validation.held_out_split(
            counts.drop_vars("trial_length", errors="ignore"), neurons=HELD_OUT, trials=N_TEST
        )
        if row == "latents":
            latent = counts["latent"].values
            frequency, friction = damped_rotation(autocorrelation(latent[..., :4]), BIN)
            found.append({"drawn_frequency": frequency, "drawn_friction": friction})
            continue
        begun = time.process_time()
        model = nks.generative.LangevinFlow(**FLOWS[row][1])
        model.fit(split.train, rng=100 + seed, progress=False)
        said = constants(model, split) | {"cpu_seconds": time.process_time() - begun}
        found.append(said | {"co_bps": model.score(split.truth)})
    return found


# -- rows and tables ----------------------------------------------------------------------------


def kept(arguments: argparse.Namespace, *task: str) -> list[dict[str, float]]:
    """A row, computed in a process of its own unless it is there."""
    path = FOLDER / f"{'-'.join(task)}.json"
    if arguments.again or not path.exists():
        begun = time.perf_counter()
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        done = subprocess.run(
            [sys.executable, __file__, "row", *task],
            env=os.environ | {"XLA_FLAGS": flags, "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{' '.join(task)} failed:\n{done.stderr[-3000:]}")
        print(f"{' '.join(task)}: {time.perf_counter() - begun:.0f} s", flush=True)
    return json.loads(path.read_text())


def compute(part: str, *task: str) -> None:
    """One row; this runs in the child."""
    parts: dict[str, Callable[..., Any]] = {
        "recovery": recovered, "dynamics": dynamics, "own": own
    }  # fmt: skip
    found = parts[part](*task)
    (FOLDER / f"{'-'.join((part, *task))}.json").write_text(json.dumps(found, indent=1))


def cell(rows: Iterable[dict[str, float]], name: str, digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    numbers = [row[name] for row in rows if name in row]
    if not numbers:
        return "-"
    text = f"{statistics.fmean(numbers):.{digits}f}"
    return text + (f" ± {statistics.stdev(numbers):.{digits}f}" if len(numbers) > 1 else "")


def recovery_table(arguments: argparse.Namespace) -> dict[str, Any]:
    """Latents and rates of both networks."""
    columns = {
        "co-bps": "co_bps", "latent R2": "latent_r2", "(of factors)": "factor_r2",
        "rate R2, median unit": "rate_median", "pooled": "rate_pooled",
        "(of units predicted)": "rate_held_out",
    }  # fmt: skip
    found = {}
    for name in ("lorenz", "oscillators"):
        rows = {row: kept(arguments, "recovery", name, row) for row in ("true_rates", *MODELS)}
        print(
            f"== {N_UNITS} integrate-and-fire units driven by {PROCESSES[name][1]}: "
            f"{N_UNITS - HELD_OUT} read, {HELD_OUT} predicted; {N_TRIALS - N_TEST} trials of "
            f"{TRIAL} s to fit, {N_TEST} to test; mean ± sd over seeds"
        )
        titles = {"true_rates": f"true rates ({N_RUNS} runs)"} | {
            r: m[0] for r, m in MODELS.items()
        }
        print_table(
            ["method", *columns, "CPU s"],
            [
                [titles[row], *(cell(of, c) for c in columns.values()), cell(of, "cpu_seconds", 0)]
                for row, of in rows.items()
            ],
        )
        found[name] = rows
    return found


def dynamics_table(arguments: argparse.Namespace, part: str) -> dict[str, Any]:
    """Frequency and friction against the truth."""
    fitted = ("poisson_lds", *FLOWS) if part == "dynamics" else ("flow_four", "flow_bound")
    rows = {row: kept(arguments, part, row) for row in ("latents", *fitted)}
    what = {
        "dynamics": f"one oscillator of {FREQUENCY:g} Hz, coherence time {COHERENCE:g} s, drives "
        f"integrate-and-fire units; recordings and fits of {N_SEEDS} seeds",
        "own": f"a Langevin flow of four such oscillators drew the counts, {N_SEEDS} times",
    }
    print(f"== {what[part]}")
    columns = {
        "frequency (Hz) of the modes in use": ("mode_frequency", 2),
        "their friction (1/s)": ("mode_friction", 1),
        "frequency of what is drawn": ("drawn_frequency", 2),
        "its friction": ("drawn_friction", 1),
        "co-bps": ("co_bps", 3),
        "CPU s": ("cpu_seconds", 0),
    }
    titles = {"latents": "the true latents", "poisson_lds": "Poisson LDS, 2"}
    titles |= {row: title for row, (title, _) in FLOWS.items()}
    exact = ["exact", f"{FREQUENCY:.2f}", f"{2 / COHERENCE:.1f}"]
    print_table(
        ["", *columns],
        [[*exact, *exact[1:], "-", "-"]]
        + [[titles[row], *(cell(of, *c) for c in columns.values())] for row, of in rows.items()],
    )
    if part == "dynamics":
        print(
            "Flows start at 1.26 Hz and 12.5 /s, those from little friction at 0.25 Hz and 2.5 /s."
            "\nModes weigh by their share of the log rates' variance; drawn are trials from the "
            "prior.\n"
        )
    return rows


def main() -> None:
    """Run the parts that were asked for."""
    if sys.argv[1:2] == ["row"]:
        compute(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="recovery | dynamics | own")
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    tables: dict[str, Callable[[], Any]] = {
        "recovery": lambda: recovery_table(arguments),
        "dynamics": lambda: dynamics_table(arguments, "dynamics"),
        "own": lambda: dynamics_table(arguments, "own"),
    }
    if unknown := set(arguments.parts) - set(tables):
        parser.error(f"expected parts among {list(tables)}, got {sorted(unknown)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = {part: tables[part]() for part in arguments.parts or tables}
    write_json("latent_recovery", {"versions": versions("jax", "xarray"), **found})


if __name__ == "__main__":
    main()
