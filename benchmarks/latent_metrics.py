"""The measures of latent variable models against nlb_tools, case by case, and against an oracle.

Prints the largest difference of each measure over many random cases (ragged trials, gaps, NaN,
expected counts of zero, silent units; nlb_tools gets arrays with NaN, we get labels in another
order), of the reader of the benchmark's files, and, where the recording is present, what the truth
of the Lorenz benchmark scores.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from _tools import HERE, print_table, run_json, versions, write_json
from make_environments import environment_is_current, environment_python

import neurokit_sdr as nks
from neurokit_sdr import validation

# The writer of small files of the benchmark's layout.
sys.path.insert(0, str(HERE.parent / "tests"))

N_CASES = 200
LARGEST = 1e-8
Case = tuple[dict[str, np.ndarray], Callable[[], float]]


def labels(rng: np.random.Generator, *sizes: int) -> dict[str, Any]:
    """Coordinates trial, time and unit."""
    names = ("trial", "time", "unit")
    coords: dict[str, Any] = {n: np.arange(s) for n, s in zip(names, sizes, strict=True)}
    coords["trial"] = rng.permutation(10 * sizes[0])[: sizes[0]]
    coords["time"] = ("time", (np.arange(sizes[1]) + 0.5) * 0.02, {"units": "s"})
    return coords


def shuffled(rng: np.random.Generator, rates: np.ndarray, coords: dict[str, Any]) -> xr.Dataset:
    """The same prediction with its labels in another order, as a Dataset."""
    dims = ("trial", "time", "unit")
    named = {name: coords[name] for name in coords if name not in ("held_in", "forward")}
    data = xr.Dataset({"expected_count": (dims, rates)}, coords=named)
    order = {"trial": rng.permutation(rates.shape[0]), "unit": rng.permutation(rates.shape[2])}
    return data.isel(order).transpose("unit", "trial", "time")


def spiking(rng: np.random.Generator) -> dict[str, Case]:
    """Bits per spike of all, of held-out units, of forward bins."""
    shape = rng.integers((2, 6, 3), (8, 20, 9))
    n_trials, n_bins, n_units = shape
    truth = rng.gamma(1.0, 0.4, shape) * (rng.random(shape) > 0.1)
    truth[..., 0] *= rng.random() > 0.3  # a silent unit
    count = rng.poisson(truth).astype(float)
    count[0, :, -1] += 1  # at least one spike everywhere
    rates = truth * rng.uniform(0.5, 2.0, shape) * (rng.random(shape) > 0.05)
    ahead = int(rng.integers(1, n_bins // 2))
    length = rng.integers(n_bins - ahead + 1, n_bins + 1, n_trials)
    length[0] = n_bins
    observed = rng.random(shape[:2]) > 0.15
    observed[0] = True
    held_in = np.arange(n_units) < rng.integers(1, n_units)
    coords = labels(rng, *shape)
    data = xr.Dataset(
        {
            "count": (("trial", "time", "unit"), count, {"units": "1"}),
            "trial_length": ("trial", length, {"units": "1"}),
            "observed": (("trial", "time"), observed),
        },
        coords=coords
        | {
            "held_in": ("unit", held_in),
            "forward": ("time", np.arange(n_bins) >= n_bins - ahead),
        },
        attrs={"bin_size": 0.02},
    )
    valid = observed & (np.arange(n_bins) < length[:, None])
    spikes = np.where(valid[..., None], count, np.nan)
    prediction = shuffled(rng, rates, coords)
    seen, later = slice(None, n_bins - ahead), slice(n_bins - ahead, None)
    out = ~held_in

    def of(measure: Callable[[Any, Any], float]) -> Callable[[], float]:
        return lambda: measure(prediction, data)

    return {
        "bits_per_spike": ({"rates": rates, "spikes": spikes}, of(validation.bits_per_spike)),
        "co_bits_per_spike": (
            {"rates": rates[:, seen][..., out], "spikes": spikes[:, seen][..., out]},
            of(validation.co_bits_per_spike),
        ),
        "forward_bits_per_spike": (
            {"rates": rates[:, later], "spikes": spikes[:, later]},
            of(validation.forward_bits_per_spike),
        ),
    }


def decoding(rng: np.random.Generator) -> dict[str, Case]:
    """Behaviour from rates, with one decoder or two."""
    n_bins, n_units = rng.integers((8, 2), (20, 15))
    weight = rng.normal(size=(n_units, 2))
    parts: dict[str, Any] = {}
    n_groups = int(rng.integers(1, 3))
    for name in ("train", "test"):
        n_trials = int(rng.integers(8, 16))
        rates = rng.gamma(1.0, 0.1, (n_trials, n_bins, n_units))
        moved = rates @ weight + 0.1 * rng.normal(size=(n_trials, n_bins, 2))
        moved[rng.random((n_trials, n_bins)) < 0.1] = np.nan
        group = np.arange(n_trials) % n_groups
        parts[name] = rates, moved, group
    arrays = {}
    for prefix, name in (("train_", "train"), ("", "test")):
        rates, moved, group = parts[name]
        mask = group[:, None] == np.arange(n_groups)
        arrays |= {f"{prefix}rates": rates, f"{prefix}behavior": moved, f"{prefix}mask": mask}

    def ours() -> float:
        given: list[Any] = []
        for rates, moved, group in parts.values():
            coords = labels(rng, *rates.shape)
            one = xr.DataArray(rates, coords, ("trial", "time", "unit"))
            two = xr.DataArray(
                moved, {k: coords[k] for k in ("trial", "time")}, ("trial", "time", "space")
            )
            given += [
                one.assign_coords(group=("trial", group)).isel(unit=rng.permutation(n_units)),
                two.isel(trial=rng.permutation(len(moved))),
            ]
        return validation.behavior_r2(*given, group="group")

    return {"behavior_r2": (arrays, ours)}


def profiles(rng: np.random.Generator) -> dict[str, Case]:
    """PSTHs with bins that are missing, conditions without trials, trials without condition."""
    n_conditions, n_bins, n_units, n_trials = rng.integers((2, 4, 1, 4), (6, 15, 9, 20))
    reference = rng.gamma(1.0, 0.3, (n_conditions, n_bins, n_units))
    for profile in reference:
        profile[: rng.integers(0, 3)] = np.nan
    condition = rng.integers(0, n_conditions + 1, n_trials)
    condition[0] = 0
    rates = rng.gamma(1.0, 0.3, (n_trials, n_bins, n_units))
    coords = labels(rng, n_trials, n_bins, n_units)
    given = shuffled(rng, rates, coords | {"condition": ("trial", condition)})
    truth = xr.DataArray(
        reference,
        {"condition": np.arange(n_conditions), "time": coords["time"], "unit": coords["unit"]},
        ("condition", "time", "unit"),
    )
    arrays = {"psth": reference, "condition": condition, "rates": rates}
    return {"psth_r2": (arrays, lambda: validation.psth_r2(given, truth))}


def intervals(rng: np.random.Generator) -> dict[str, Case]:
    """Intervals that end together, trials to leave out, eight conditions."""
    n_trials, n_bins, n_units = 48, int(rng.integers(8, 20)), int(rng.integers(2, 9))
    rates = rng.gamma(1.0, 0.3, (n_trials, n_bins, n_units))
    first = rng.integers(0, n_bins - 2, n_trials)
    observed = np.arange(n_bins) >= first[:, None]
    count = rng.poisson(rates).astype(float)
    code = np.arange(n_trials) % 8
    columns = np.stack(
        [code % 2, 180.0 * (code // 2 % 2), code // 4, rng.random(n_trials), rng.random(n_trials)],
        axis=1,
    )
    columns[rng.random(n_trials) < 0.1] = np.nan
    names = ("is_eye", "theta", "is_short", "ts", "tp")
    coords = labels(rng, n_trials, n_bins, n_units)
    extra = {n: ("trial", c) for n, c in zip(names, columns.T, strict=True)}
    data = xr.Dataset(
        {
            "count": (("trial", "time", "unit"), count, {"units": "1"}),
            "observed": (("trial", "time"), observed),
        },
        coords=coords | extra,
        attrs={"bin_size": 0.02},
    )
    given = shuffled(rng, rates, coords)
    arrays = {
        "spikes": np.where(observed[..., None], count, np.nan),
        "rates": rates,
        "behavior": columns,
    }
    return {
        "produced_time_correlation": (
            arrays,
            lambda: validation.produced_time_correlation(given, data),
        )
    }


def random_cases(folder: Path) -> list[dict[str, Any]]:
    """Both sides' numbers on the same cases."""
    arrays: dict[str, np.ndarray] = {}
    ours: dict[str, float] = {}
    for number in range(N_CASES):
        rng = np.random.default_rng([6, number])
        for make in (spiking, decoding, profiles, intervals):
            for measure, (given, value) in make(rng).items():
                arrays |= {f"{number}/{measure}/{k}": v for k, v in given.items()}
                ours[f"{number}/{measure}"] = value()
    np.savez(folder / "cases.npz", **arrays)
    report = run_json(
        environment_python("nlb_tools"),
        HERE / "peers" / "nlb_metrics.py",
        str(folder / "cases.npz"),
        OMP_NUM_THREADS="1",
    )
    print("versions:", report["versions"], "\n")
    rows = []
    for measure in dict.fromkeys(key.split("/")[1] for key in ours):
        keys = [key for key in ours if key.endswith(f"/{measure}")]
        theirs = np.array([report["values"][key] for key in keys])
        mine = np.array([ours[key] for key in keys])
        if not np.isfinite(theirs).all():
            sys.exit(f"nlb_tools gives no number for {measure} in some case")
        rows.append(
            {
                "measure": measure,
                "cases": len(keys),
                "smallest": theirs.min(),
                "largest": theirs.max(),
                "largest difference": float(np.abs(mine - theirs).max()),
            }
        )
    return rows


def tensors(folder: Path) -> list[dict[str, Any]]:
    """The reader against nlb_tools' tensors, on files of the benchmark's layout."""
    from test_io_neural_latents import write_file

    rows = []
    for name, align, behavior in (
        ("mc_maze", "move_onset_time", "hand_vel"),
        ("mc_rtt", "start_time", "finger_vel"),
        ("area2_bump", "move_onset_time", "hand_vel"),
        ("dmfc_rsg", "go_cue", None),
    ):
        splits = ("train", "val", "test") * 5
        columns: dict[str, Any] = {"ctr_hold_bump": np.arange(15) % 2, "cond_dir": np.zeros(15)}
        if name == "dmfc_rsg":
            go = np.round(2.0 + 1.9 * np.arange(15) + 0.0037 * np.arange(15), 3)
            tasks = dict.fromkeys(("is_eye", "theta", "is_short", "ts", "is_outlier"), np.zeros(15))
            # Intervals so long that nlb_tools draws no jitter.
            columns = tasks | {"go_time": go, "set_time": go - 0.813, "tp": np.full(15, 1600.0)}
        written = write_file(
            folder / f"{name}.nwb",
            splits=splits,
            align=align,
            behavior=behavior,
            length=32.0,
            columns=columns,
            seed=len(rows),
        )
        for width in (5, 20):
            out = folder / f"{name}_{width}.npz"
            empty = folder / "empty.npz"
            np.savez(empty)
            run_json(
                environment_python("nlb_tools"),
                HERE / "peers" / "nlb_metrics.py",
                *(str(empty), str(written.path), name, str(width), str(out)),
                OMP_NUM_THREADS="1",
            )
            tree = nks.io.read_neural_latents(written.path, name, width / 1000)
            theirs = np.load(out)
            spikes, moved = 0.0, 0.0
            for split in ("train", "val", "test"):
                mine = tree[f"/{split}"].to_dataset()
                held_in, ahead = mine["held_in"].values, mine["forward"].values
                count = mine["count"].values
                for part, units in (("heldin", held_in), ("heldout", ~held_in)):
                    for when, bins in (("", ~ahead), ("_forward", ahead)):
                        if f"{split}/spikes_{part}{when}" not in theirs:
                            continue
                        given = theirs[f"{split}/spikes_{part}{when}"].astype(float)
                        same = count[:, bins][..., units] - given
                        spikes = max(spikes, float(np.abs(same).max()))
                if f"{split}/target" in theirs:
                    given = theirs[f"{split}/target"]
                    scored = mine["scored"].values[:, ~ahead, None]
                    own = np.where(scored, count[:, ~ahead][..., ~held_in], -1)
                    same = own - np.where(np.isnan(given), -1, given)
                    spikes = max(spikes, float(np.abs(same).max()))
                if split != "test" and behavior is not None:
                    given = theirs[f"{split}/behavior"]
                    same = mine[behavior].values[:, ~ahead] - given
                    scale = float(np.nanstd(given))
                    moved = max(moved, float(np.nanmax(np.abs(same))) / scale)
            rows.append(
                {
                    "data set": name,
                    "bin (ms)": width,
                    "arrays": len(theirs.files),
                    "largest difference of counts": spikes,
                    "of behaviour (sd)": moved,
                }
            )
    return rows


def data_folder() -> Path:
    """Where recordings lie, as for the tests."""
    named = os.environ.get("NEUROKIT_SDR_DATA")
    return Path(named) if named else HERE.parents[1] / "shared" / "data"


def lorenz(folder: Path) -> list[dict[str, Any]]:
    """Truth and PSTHs of the Lorenz benchmark on its own split, its last 15 units held out."""
    from neurokit_sdr.io.published.spikes import read_lorenz

    counts = read_lorenz(folder)["/counts"].to_dataset()
    tested = counts["split"].values == "valid"
    split = validation.held_out_split(counts, neurons=15, trials=tested)
    oracle = (split.truth["rate"] * counts.attrs["bin_size"]).assign_attrs(units="1")
    rows = []
    for name, floor in (("truth", None), ("PSTH", 0.0), ("PSTH", 0.002), ("PSTH", 0.005)):
        if floor is None:
            train, test = split.train["latent"], oracle
            read = split.truth["latent"]
        else:
            mean = validation.psth(split.train, smoothing=0.04).clip(min=floor)
            train, test = (
                mean.sel(condition=part["condition"]).transpose("trial", "time", "unit")
                for part in (split.train, split.truth)
            )
            read = test
        rate = validation.rate_r2(test, split.truth)
        latent = validation.latent_r2(train, split.train["latent"], read, split.truth["latent"])
        what = name if floor is None else f"PSTH of training trials, sd 4 bins, at least {floor}"
        rows.append(
            {
                "prediction": what,
                "co-bps": validation.co_bits_per_spike(test, split.truth),
                "rate R2 uniform": rate.uniform,
                "median": rate.median,
                "pooled": rate.pooled,
                "latent R2": latent.uniform,
            }
        )
    return rows


def main() -> None:
    """Run what can be run here, print, keep the numbers."""
    if not environment_is_current("nlb_tools"):
        sys.exit("make its environment first: python benchmarks/make_environments.py nlb_tools")
    content: dict[str, Any] = {"versions": versions("xarray")}
    with tempfile.TemporaryDirectory() as name:
        content["cases"] = random_cases(Path(name))
        print_table(list(content["cases"][0]), [list(row.values()) for row in content["cases"]])
        content["tensors"] = tensors(Path(name))
        print_table(list(content["tensors"][0]), [list(r.values()) for r in content["tensors"]])
    recording = data_folder() / "spikes" / "lorenz"
    if recording.is_dir():
        content["lorenz"] = lorenz(recording)
        print_table(list(content["lorenz"][0]), [list(r.values()) for r in content["lorenz"]])
    else:
        print("no Lorenz recording: nks.io.fetch_example('lorenz') brings it")
    write_json("latent_metrics", content)
    worst = max(row["largest difference"] for row in content["cases"])
    if not worst <= LARGEST:
        sys.exit(f"differs from nlb_tools by {worst}")


if __name__ == "__main__":
    main()
