"""What the command line does: whole analyses, from a file to a report, over the public calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr._report import Report
from neurokit_sdr.core.errors import FileFormatError, NeurokitError, SchemaError
from neurokit_sdr.core.estimator import Estimator

BIN_SIZE = 0.02
BUNDLED = "switching_population.nwb"
GLM, MULTI, POISSON, OURS = (
    "single-state GLM",
    "single-state GLM, 20 + 100 + 500 ms",
    "Poisson HMM (no coupling)",
    "HMM-GLM",
)


def demo(out: Path) -> Path:
    """Analyse the bundled recording against its truth, and a real one; return the report's path."""
    report = Report("neurokit_sdr demo", command="neurokit-sdr demo")
    report.text(
        "Two analyses with the same calls: a simulated recording whose hidden states and couplings "
        "are known, and a real one from rat hippocampus with the animal's position."
    )
    say("1/2 the bundled recording, against its truth")
    _analyse_bundled(report, out)
    say("2/2 a real recording: rat CA1 on a linear track")
    try:
        session = nks.io.fetch_example("linear_track")
    except NeurokitError as error:
        report.section("A real recording", f"Left out, because it is not at hand: {error}")
        say(f"   left out: {error}")
    else:
        _analyse_linear_track(report, session, out)
    return report.write(out / "report.html")


def fit_file(
    path: Path,
    out: Path,
    *,
    n_states: int,
    bin_size: float,
    history: list[float],
    prior: str,
    nonlinearity: str,
    seed: int,
) -> Path:
    """Fit an HMM-GLM to a user's file and report on it; return the report's path."""
    session = nks.io.read_spikes(path)
    counts = nks.bin_spikes(session, bin_size)
    report = Report(f"HMM-GLM of {path.name}", command=" ".join(["neurokit-sdr", *sys.argv[1:]]))
    report.section("The recording", _describe(counts))
    shared: dict[str, Any] = {"prior": prior, "nonlinearity": nonlinearity}
    model = nks.analysis.HMMGLM(n_states, history=history, **shared)
    candidates = {
        (GLM, 1): nks.analysis.HMMGLM(1, history=history, **shared),
        (POISSON, n_states): nks.analysis.HMMGLM(n_states, history=None, **shared),
        (OURS, n_states): model,
    }
    table = _compare(candidates, counts, seed)
    report.section("Is it worth it?", "Models without coupling and without states, held out.")
    _report_comparison(report, table)
    fitted = _fit(model, counts, seed)
    nks.save_result(fitted, out / "fit.nc")
    _report_fit(report, fitted, counts, name="fit")
    if "behavior" in session.children and "position" in session["behavior"].data_vars:
        _report_behavior(report, fitted, session["behavior"].to_dataset(), seed)
    return report.write(out / "report.html")


def say(text: str) -> None:
    print(text, flush=True)


def bundled_path() -> Path:
    """The bundled recording: in the checkout's data folder, or inside the installed package."""
    package = Path(nks.__file__).parent
    for folder in (package.parent / "data", package / "_bundled"):
        if (folder / BUNDLED).exists():
            return folder / BUNDLED
    raise FileFormatError(
        f"{BUNDLED} is missing from the installation: install neurokit-sdr again."
    )


def _analyse_bundled(report: Report, out: Path) -> None:
    session = nks.io.read_spikes(bundled_path())
    counts = nks.bin_spikes(session, BIN_SIZE)
    truth = session["truth"].to_dataset()
    model = nks.analysis.HMMGLM(truth.sizes["state"], nonlinearity="sigmoid")
    fitted = _fit(model, counts, seed=0)
    nks.save_result(fitted, out / "fit_bundled.nc")
    oracle = nks.analysis.HMMGLM.from_parameters(truth)
    match = nks.validation.match_states(truth["state"].values, fitted.result_["state"].values)
    best = nks.validation.match_states(
        truth["state"].values, oracle.predict(counts)["state"].values
    )
    aligned = fitted.result_.isel(state=match.order, next_state=match.order)
    correlation = float(
        np.corrcoef(aligned["weight"].values.ravel(), truth["weight"].values.ravel())[0, 1]
    )
    rows = [
        ["bins in the right state, fitted", match.accuracy],
        ["bins in the right state, true parameters", best.accuracy],
        ["correlation of coupling weights with the truth", correlation],
        ["bits per spike on the same data, fitted", fitted.score(counts)],
    ]
    for label, value in rows:
        say(f"   {label}: {value:.4f}")
    report.section("A recording with known truth", _describe(counts))
    report.table(
        rows,
        ["measure", "value"],
        "Recovery of the truth. The true parameters set the mark that any method can reach.",
    )
    _report_fit(report, fitted, counts, name="bundled", truth=truth, order=match.order)


def _analyse_linear_track(report: Report, session: xr.DataTree, out: Path) -> None:
    counts = nks.bin_spikes(session, BIN_SIZE)
    # The longest fits first, so that no core is left waiting for the last.
    candidates: dict[tuple[str, int], Estimator] = {}
    for n_states in range(5, 1, -1):
        candidates[OURS, n_states] = nks.analysis.HMMGLM(n_states)
    candidates[MULTI, 1] = nks.analysis.HMMGLM(1, history=[0.02, 0.1, 0.5])
    for n_states in range(5, 1, -1):
        candidates[POISSON, n_states] = nks.analysis.HMMGLM(n_states, history=None)
    candidates[GLM, 1] = nks.analysis.HMMGLM(1)
    table = _compare(candidates, counts, seed=0)
    report.section("A real recording: rat CA1 on a linear track", _describe(counts))
    report.text(
        "Ten contiguous blocks, trained on every other one and tested on the rest. Bits per spike "
        "over each neuron's mean rate in training."
    )
    _report_comparison(report, table)
    report.text(_what_the_comparison_says(table))
    ours = table["bits_per_spike"].sel(model=OURS).mean("fold")
    chosen = int(table["n_states"][int(ours.argmax("n_states"))])
    fitted = _fit(nks.analysis.HMMGLM(chosen), counts, seed=0)
    nks.save_result(fitted, out / "fit.nc")
    report.section(
        f"The fit with {chosen} states",
        f"{chosen} states predict held-out blocks best of those compared; fitted to all the data.",
    )
    _report_fit(report, fitted, counts, name="linear_track")
    _report_behavior(report, fitted, session["behavior"].to_dataset(), seed=0)


def _what_the_comparison_says(table: xr.Dataset) -> str:
    bits = table["bits_per_spike"].mean("fold")
    ours = bits.sel(model=OURS).dropna("n_states")
    glm, multi = (float(bits.sel(model=name, n_states=1)) for name in (GLM, MULTI))
    share = (multi - glm) / (float(ours.isel(n_states=0)) - glm)
    rising = bool((ours.diff("n_states") > 0).all())
    first, last = (int(ours["n_states"][k]) for k in (0, -1))
    growth = (
        f"Held-out likelihood keeps rising with S, from {first} to {last} states and as far as was "
        f"tried: it says how well activity is predicted, not how many states there are, and cannot "
        f"choose S by itself."
        if rising
        else f"Held-out likelihood does not rise at every step from {first} to {last} states."
    )
    return (
        f"{growth} A single-state GLM with slow time constants already has {share:.0%} of the gain "
        f"of {first} states over the plain GLM: believe states only for what they "
        f"explain beyond it."
    )


def _describe(counts: xr.Dataset) -> str:
    width = float(counts.attrs["bin_size"])
    spikes = int(counts["count"].sum())
    return (
        f"{counts.sizes['unit']} units, {spikes:,} spikes, "
        f"{counts.sizes['time'] * width:,.0f} s in "
        f"{counts.sizes['time']:,} bins of {1000 * width:g} ms."
    )


def _fit(model: Estimator, counts: xr.Dataset, seed: int) -> Estimator:
    begun = time.perf_counter()
    fitted = model.fit(counts, rng=seed)
    seconds = time.perf_counter() - begun
    say(f"   {model!r}\n   {fitted.result_.attrs['status']}, {seconds:.1f} s")
    return fitted


def _compare(
    candidates: dict[tuple[str, int], Estimator], counts: xr.Dataset, seed: int
) -> xr.Dataset:
    """Held-out bits per spike of models named ``(name, number of states)``."""
    folds = nks.validation.alternating_blocks(counts, 10)
    models = {f"{name}, {n_states}": model for (name, n_states), model in candidates.items()}
    scores = nks.validation.cross_validate(models, folds, rng=seed)
    names = list(dict.fromkeys(name for name, _ in candidates))
    sizes = sorted({n_states for _, n_states in candidates})
    bits = np.full((len(names), len(sizes), len(folds)), np.nan)
    for (name, n_states), values in zip(candidates, scores["score"].values, strict=True):
        bits[names.index(name), sizes.index(n_states)] = values
    return xr.Dataset(
        {"bits_per_spike": (("model", "n_states", "fold"), bits)},
        coords={"model": names, "n_states": sizes},
    )


def _report_comparison(report: Report, table: xr.Dataset) -> None:
    values = table["bits_per_spike"].mean("fold")
    rows: list[Sequence[Any]] = []
    for name in table["model"].values:
        cells = [float(v) for v in values.sel(model=name)]
        rows.append([str(name), *("" if np.isnan(v) else f"{v:.3f}" for v in cells)])
        say(f"   {name}: " + " ".join("  -  " if np.isnan(v) else f"{v:.3f}" for v in cells))
    headers = ["model"] + [f"S = {n}" for n in table["n_states"].values]
    report.table(rows, headers, "Held-out bits per spike, mean over folds, by number of states S.")
    report.figure(
        nks.plotting.held_out_comparison(table).figure,
        "Held-out bits per spike against the number of states.",
        "comparison",
    )


def _report_fit(
    report: Report,
    fitted: Estimator,
    counts: xr.Dataset,
    *,
    name: str,
    truth: xr.Dataset | None = None,
    order: np.ndarray | None = None,
) -> None:
    result = fitted.result_
    report.text(
        f"{fitted!r}: {result.attrs['status']}, log posterior {result['objective'].max():.1f} nats."
    )
    report.figure(
        nks.plotting.state_raster(result, counts)[0].figure,
        "Spike counts, the most likely state path, and the probability of each state.",
        f"{name}_states",
    )
    shown = result if order is None else result.isel(state=order)
    report.figure(
        nks.plotting.coupling_matrices(shown, truth=truth)[0, 0].figure,
        "Coupling weights by state: rows are targets, columns sources"
        + (", the truth beneath." if truth is not None else "."),
        f"{name}_coupling",
    )
    report.figure(
        nks.plotting.convergence(result).figure,
        "Log posterior of every start; starts that fall behind are dropped.",
        f"{name}_convergence",
    )
    report.figure(
        nks.plotting.transition_matrix(result).figure,
        "Probability of the next state given this one, per bin.",
        f"{name}_transitions",
    )


def _report_behavior(report: Report, fitted: Estimator, behavior: xr.Dataset, seed: int) -> None:
    try:
        related = nks.analysis.states_by_position(fitted.result_, behavior, rng=seed)
    except SchemaError as error:
        report.section("States and behaviour", f"Left out: {error}")
        return
    report.section(
        "States and behaviour",
        f"Of {related.attrs['bins_total']:,} bins {related.attrs['bins_used']:,} have a tracked "
        f"position. State and position share {related.attrs['mutual_information']:.3f} bits "
        f"(p = {related.attrs['shift_p_value']:.3g} against circular shifts). The model knew "
        f"nothing of position or speed.",
    )
    report.figure(
        nks.plotting.states_by_position(related)[0].figure,
        "Share of the time each state takes at each position; speed by state.",
        "behavior",
    )
    say(f"   state and position: {related.attrs['mutual_information']:.3f} bits")
