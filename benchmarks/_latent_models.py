"""Rows of the tables of ``langevin_flow.py``: a problem in, rates and latents of the trials out.

Every row is a function of a problem and a seed, and reads nothing of the test trials but
``split.test``. The oracle and the PSTH of known conditions are the exceptions, and say so.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from _tools import HERE, RESULTS
from make_environments import environment_is_current, environment_python

import neurokit_sdr as nks

PEERS = HERE / "peers"
FOLDER = RESULTS / "langevin_flow"
SOURCE = Path(os.environ.get("LANGEVIN_FLOW_SOURCE", HERE / ".environments" / "LangevinFlow_CCN"))
CLONE = f"git clone https://github.com/KingJamesSong/LangevinFlow_CCN {SOURCE}"
#: Units that are predicted and never read, as in all numbers we compare with.
HELD_OUT = 15
#: Conditions of the Lorenz recording left out of training, of 20.
CONDITIONS = [3, 8, 13, 18]


class Skip(Exception):
    """A row cannot run here; the text says why."""


class Problem(NamedTuple):
    """What a row gets.

    Attributes
    ----------
    split
        :class:`neurokit_sdr.validation.HeldOutSplit`.
    experiment, part
        Such as ``"lorenz"`` and ``"file"``; they name the files that a peer reads and writes.
    budget
        CPU seconds that a peer may train.
    """

    split: Any
    experiment: str
    part: str
    budget: float

    def path(self, row: str, seed: int, ending: str) -> Path:
        """A file of one row."""
        return FOLDER / f"{self.experiment}-{row}-{self.part}-{seed}{ending}"


class Answer(NamedTuple):
    """What a row gives back.

    Attributes
    ----------
    rates
        ``expected_count(trial, time, unit)`` of the test trials, all units.
    train_rates
        The same of the training trials, or None.
    features
        Latents (trial, time, feature) of the training and of the test trials.
    cpu_seconds, wall_seconds
        Of the fit.
    notes
        Anything worth keeping beside the scores.
    latents
        Of a flow, positions and velocities alone; ``features`` are then what its decoder makes of
        them.
    """

    rates: xr.DataArray
    train_rates: xr.DataArray | None
    features: tuple[np.ndarray, np.ndarray]
    cpu_seconds: float
    wall_seconds: float
    notes: dict[str, Any] = {}  # noqa: RUF012 - a tuple's default
    latents: tuple[np.ndarray, np.ndarray] | None = None


def lorenz(name: str) -> Any:
    """The Lorenz recording, split as its file does or by whole conditions."""
    counts = nks.io.fetch_example("lorenz")["/counts"].to_dataset()
    if name == "file":
        test = (counts["split"] == "valid").values
        return nks.validation.held_out_split(counts, neurons=HELD_OUT, trials=test)
    return nks.validation.held_out_split(
        counts, neurons=HELD_OUT, trials=CONDITIONS, group="condition"
    )


def reach_counts() -> xr.Dataset:
    """The reach recording in bins of 20 ms."""
    fine = nks.io.fetch_example("reach_counts")["/counts"].to_dataset()[["count"]]
    fine = fine.astype(np.int64)
    counts = fine.coarsen(time=20).sum()
    counts["count"].attrs["units"] = "1"
    counts["time"].attrs["units"] = "s"
    return counts.assign_attrs(bin_size=20 * fine.attrs["bin_size"])


def reach(name: str) -> Any:
    """One of five folds of the reach recording; every condition gives each fold its share."""
    folds = nks.validation.held_out_folds(
        reach_counts(), 5, neurons=HELD_OUT, stratify="condition", rng=0
    )
    return folds[int(name)]


# -- what needs no model ------------------------------------------------------------------------


def oracle(problem: Problem, seed: int) -> Answer:
    """The true rates and latents."""
    train, truth = problem.split.train, problem.split.truth
    if "rate" not in truth:
        raise Skip("a real recording has no true rates")
    width = float(truth.attrs["bin_size"])
    rates = [(d["rate"] * width).assign_attrs(units="1") for d in (truth, train)]
    features = train["latent"].values, truth["latent"].values
    return Answer(rates[0], rates[1], features, 0.0, 0.0)


def psth(problem: Problem, seed: int) -> Answer:
    """The smoothed mean of the training trials of the same condition, which is told."""
    train, truth = problem.split.train, problem.split.truth
    known = np.isin(truth["condition"].values, train["condition"].values)
    if not known.all():
        raise Skip("the test conditions were never seen")
    begun = time.process_time(), time.perf_counter()
    profile = nks.validation.psth(train, smoothing=0.04)
    # Drawn towards the unit's mean as if by so many trials more: on Lorenz, the weight and the
    # smoothing that are best for this row when all are tried on the test itself.
    more, each = 4, train.sizes["trial"] / profile.sizes["condition"]
    profile = (each * profile + more * train["count"].mean(("trial", "time"))) / (each + more)
    both = [profile.sel(condition=d["condition"]).drop_vars("condition") for d in (truth, train)]
    both = [p.transpose("trial", "time", "unit").assign_attrs(units="1") for p in both]
    features = np.sqrt(both[1].values), np.sqrt(both[0].values)
    return Answer(both[0], None, features, *elapsed(begun))


def elapsed(begun: tuple[float, float]) -> tuple[float, float]:
    """CPU and wall seconds since."""
    return time.process_time() - begun[0], time.perf_counter() - begun[1]


# -- our models ---------------------------------------------------------------------------------


def model(name: str, **parameters: Any) -> Callable[[Problem, int], Answer]:
    """A row of a model of ``nks.generative``."""

    def row(problem: Problem, seed: int) -> Answer:
        split = problem.split
        begun = time.process_time(), time.perf_counter()
        one = getattr(nks.generative, name)(**parameters)
        one.fit(split.train, rng=seed, progress=False)
        seconds = elapsed(begun)
        # Held-in units alone, so that both are found by the same means.
        seen = split.train.sel(unit=split.test["unit"])
        found = [one.transform(d) for d in (seen, split.test)]
        # What rates are affine in, where a model tells it apart from its latents.
        richest = "factor" if "factor" in found[0] else "latent"
        features, latents = (
            tuple(f[n].transpose("trial", "time", ...).values for f in found)
            for n in (richest, "latent")
        )
        rates = [one.predict(d)["expected_count"] for d in (split.test, seen)]
        notes = {"status": str(one.result_.attrs["status"]), "parameters": one.get_params()}
        if "epoch" in one.result_.dims:
            notes["epochs"] = one.result_.sizes["epoch"]
        return Answer(*rates, features, *seconds, notes, latents)  # type: ignore[arg-type]

    return row


# -- peers --------------------------------------------------------------------------------------


def write_problem(problem: Problem) -> Path:
    """The arrays that a peer reads; the held-in units come first."""
    train, test = problem.split.train, problem.split.test
    order = held_in_first(train)
    path = problem.path("problem", 0, ".npz")
    counts = train["count"].transpose("trial", "time", "unit").values[:, :, order]
    np.savez_compressed(
        path,
        train_in=counts[:, :, : test.sizes["unit"]],
        train_out=counts,
        test_in=test["count"].transpose("trial", "time", "unit").values,
        bin_size=train.attrs["bin_size"],
    )
    return path


def held_in_first(train: xr.Dataset) -> np.ndarray:
    """Positions of the held-in units, then of the others."""
    return np.argsort(~train["held_in"].values, kind="stable")


def labelled(values: np.ndarray, like: xr.Dataset) -> xr.DataArray:
    """Rates (trial, time, unit in a peer's order) labelled as counts are."""
    out = np.empty(values.shape)
    out[:, :, held_in_first(like)] = values
    count = like["count"].transpose("trial", "time", "unit")
    return count.copy(data=out).rename("expected_count").assign_attrs(units="1")


def run_peer(
    script: str, environment: str, problem: Problem, name: str, seed: int, *options: str
) -> tuple[dict[str, Any], dict[str, np.ndarray], float]:
    """Run a peer unless its answers for the same options are there."""
    if not environment_is_current(environment):
        raise Skip(f"no environment: python benchmarks/make_environments.py {environment}")
    report, answers = (problem.path(name, seed, ending) for ending in ("-peer.json", "-peer.npz"))
    options += ("--seed", str(seed))
    asked = " ".join(options)
    kept = json.loads(report.read_text()) if report.exists() and answers.exists() else {}
    if kept.get("asked") != asked:
        part = [options[0]] if options[0] == "quality" else []
        command = [str(environment_python(environment)), str(PEERS / script), *part, str(report)]
        command += [str(write_problem(problem)), str(answers), *options[len(part) :]]
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skip(f"{script} failed: {done.stderr[-1500:]}")
        kept = json.loads(report.read_text())
        kept |= {"asked": asked, "wall_seconds": time.perf_counter() - begun}
        report.write_text(json.dumps(kept, indent=1))
    with np.load(answers) as content:
        return kept, dict(content), float(kept["wall_seconds"])


def gpfa(problem: Problem, seed: int) -> Answer:
    """elephant's GPFA of the held-in units, read out by a Poisson regression."""
    from sklearn.linear_model import PoissonRegressor
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.preprocessing import StandardScaler

    options = ("--trials", "640", "--iterations", "200", "--seconds", f"{problem.budget:g}")
    report, answers, wall = run_peer(
        "elephant_gpfa.py", "elephant", problem, "gpfa", seed, *options
    )
    train = problem.split.train
    begun = time.process_time(), time.perf_counter()
    features = answers["train_latents"], answers["test_latents"]
    scaler = StandardScaler().fit(flat(features[0]))
    x_train, x_test = (scaler.transform(flat(f)) for f in features)
    counts = flat(train["count"].transpose("trial", "time", "unit").values)
    order = held_in_first(train)
    # Whole trials, every third: neighbours are often of one condition.
    third = np.repeat(np.arange(train.sizes["trial"]) % 3, train.sizes["time"])
    choice = GridSearchCV(
        PoissonRegressor(solver="newton-cholesky", max_iter=300),
        {"alpha": [1e-4, 1e-3, 1e-2]},
        cv=PredefinedSplit(third),
    )
    out = []
    for unit in counts[:, order].T:
        if not unit.any():
            out.append(np.full((2, 1), 0.5 / unit.size))
            continue
        glm = choice.fit(x_train, unit)
        out.append([glm.predict(x_test), glm.predict(x_train)])
    rates = []
    for part, of in enumerate((problem.split.truth, train)):
        shape = (of.sizes["trial"], of.sizes["time"])
        columns = [np.broadcast_to(pair[part], np.prod(shape)).reshape(shape) for pair in out]
        rates.append(labelled(np.stack(columns, axis=-1), of))
    cpu, _ = elapsed(begun)
    notes = {k: report[k] for k in ("iterations", "peak_megabytes", "versions")}
    return Answer(rates[0], rates[1], features, report["cpu_seconds"] + cpu, wall, notes)


def flat(values: np.ndarray) -> np.ndarray:
    """(trial, time, column) to (row, column)."""
    return values.reshape(-1, values.shape[-1])


def released_code(
    latents: str, answer: str = "best", suffix: str = ""
) -> Callable[[Problem, int], Answer]:
    """The released code by its own recipe; one training serves all answers of it.

    ``latents="none"`` trains with zeros for z and v where the decoder reads them; ``suffix=
    "_without_latents"`` puts the zeros there after training.
    """

    def row(problem: Problem, seed: int) -> Answer:
        need_source()
        options = ("quality", "--latents", latents, "--seconds", f"{problem.budget:g}")
        report, answers, wall = run_peer(
            "langevin_flow_released.py",
            "langevin_flow",
            problem,
            f"released_{latents}",
            seed,
            *options,
        )
        rates = labelled(answers[f"test_rates_{answer}{suffix}"], problem.split.truth)
        features = answers["train_latents_best"], answers["test_latents_best"]
        notes = {k: report[k] for k in ("epochs", "weights", "peak_megabytes", "commit")}
        return Answer(rates, None, features, report["cpu_seconds"], wall, notes)

    return row


def need_source() -> None:
    """Skip without a checkout of the released code."""
    if not (SOURCE / "nlb_lightning" / "models.py").exists():
        raise Skip(f"no checkout of the released code: {CLONE}")


ROWS: dict[str, Callable[[Problem, int], Answer]] = {
    "oracle": oracle,
    "psth": psth,
    "smoothing": model("Smoothing"),
    "factor_analysis": model("FactorAnalysis", n_latents=8),
    "gpfa": gpfa,
    "poisson_lds": model("PoissonLDS", n_latents=8),
    # In half the steps, because it fits its training trials by heart after a quarter of them.
    "recurrent_only": model("LangevinFlow", latent_path="recurrent_only", n_steps=4000),
    "flow": model("LangevinFlow"),
    "flow_released": model("LangevinFlow", variant="released"),
    "released_code": released_code("full"),
    "released_code_last": released_code("full", "last"),
    "released_code_silenced": released_code("full", "best", "_without_latents"),
    "released_code_h_only": released_code("none"),
}
TITLES = {
    "oracle": "oracle (true rates)",
    "psth": "PSTH of known conditions",
    "smoothing": "smoothing + GLM",
    "factor_analysis": "factor analysis, 8",
    "gpfa": "GPFA, 8 (elephant)",
    "poisson_lds": "Poisson LDS, 8",
    "recurrent_only": "flow, recurrent path only",
    "flow": "Langevin flow",
    "flow_released": "Langevin flow, released variant",
    "released_code": "released code, best weights",
    "released_code_last": "released code, last weights",
    "released_code_silenced": "  z, v zeroed after training",
    "released_code_h_only": "  z, v zeroed in training",
}
#: They draw nothing: one seed says all.
CERTAIN = {"oracle", "psth"}
#: They score what another row trained.
SHARING = {"released_code_last", "released_code_silenced"}


# -- scores -------------------------------------------------------------------------------------


def scores(problem: Problem, answer: Answer) -> dict[str, Any]:
    """Every measure that the recording allows."""
    train, truth = problem.split.train, problem.split.truth
    found: dict[str, Any] = {
        "co_bps": nks.validation.co_bits_per_spike(answer.rates, truth),
        "cpu_seconds": answer.cpu_seconds,
        "wall_seconds": answer.wall_seconds,
        "notes": {k: str(v) for k, v in answer.notes.items()},
    }
    if "rate" in truth:
        rate = nks.validation.rate_r2(answer.rates, truth)
        found |= {"rate_median": rate.median, "rate_pooled": rate.pooled,
                  "rate_uniform": rate.uniform}  # fmt: skip
        latents = [d["latent"].transpose("trial", "time", ...).values for d in (train, truth)]
        latent = nks.validation.latent_r2(
            answer.features[0], latents[0], answer.features[1], latents[1]
        )
        found |= {"latent_r2": latent.pooled, "latent_uniform": latent.uniform}
        state = answer.latents or answer.features
        found["state_r2"] = nks.validation.latent_r2(
            state[0], latents[0], state[1], latents[1]
        ).pooled
    elif answer.train_rates is not None:
        labels = train["condition"].values, truth["condition"].values
        log_rates = [
            np.log(np.maximum(r.transpose("trial", "time", "unit").values, 1e-9))
            for r in (answer.train_rates, answer.rates)
        ]
        found |= {
            "decoding_latents": decoding(*answer.features, *labels),
            "decoding_rates": decoding(*log_rates, *labels),
        }
    return found


def decoding(train: np.ndarray, test: np.ndarray, known: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy of the condition from one bin, averaged over bins; whole trials give it all away."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    accuracy = []
    for x, y in zip(train.swapaxes(0, 1), test.swapaxes(0, 1), strict=True):
        # A feature that never changes would leave the covariance singular.
        varies = x.std(axis=0) > 0
        if not varies.any():
            accuracy.append(float((truth == known[0]).mean()))
            continue
        lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        lda.fit(x[:, varies], known)
        accuracy.append(float((lda.predict(y[:, varies]) == truth).mean()))
    return float(np.mean(accuracy))
