"""Where the five effects of adaptation appear in the recurrent gain-control circuit, and where not.

A grid over strength, width and kind of recurrence, tuning, baseline, price of activity, homeostasis
and decoder; prints how many settings show each effect, each pair, and all, and draws the map. It
says what this formulation does; the paper's own parameters are not known to us.

    python benchmarks/gain_control_regimes.py --out DIR
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np

from neurokit_sdr.analysis.gain_control import equations, kernels
from neurokit_sdr.analysis.gain_control.data import preferred_stimulus

N_UNITS, N_STIMULI, SHARE = 36, 72, 0.4
GRID = {
    "recurrence": (-6.0, -3.0, -1.0, -0.3, 0.2, 0.4, 0.7),
    "width": (15.0, 30.0, 70.0),
    "tuning_width": (11.0, 20.0, 30.0),
    "baseline": (0.0, 0.2, 0.4),
    "alpha": (0.1, 0.5, 1.5),
    "gamma": (0.03, 0.1, 0.3),
    "decoder": ("inverse", "identity"),
}
#: What counts: lower maximum and minimum at the adaptor, repulsion beyond 1 deg, mean covariance
#: and correlation off the diagonal below those without adaptation, a flatter mean response.
EFFECTS = ("maximum", "minimum", "repulsion", "covariance", "correlation", "flatness")


def shown(setting: dict[str, float | str]) -> np.ndarray:
    """Which effects a setting shows, in the order of EFFECTS."""
    preferred = 180 * (np.arange(N_UNITS) / N_UNITS - 0.5)
    stimulus = 180 * (np.arange(N_STIMULI) / N_STIMULI - 0.5)
    drive = kernels.tuning(
        preferred, stimulus, "von_mises", float(setting["tuning_width"]),
        float(setting["baseline"]), 180.0,
    )  # fmt: skip
    shape = kernels.recurrence(preferred, "von_mises", float(setting["width"]), 180.0)
    weight = float(setting["recurrence"]) * shape
    eye = np.eye(N_UNITS)
    decoder = eye if setting["decoder"] == "identity" else eye - weight
    circuit = equations.Circuit(
        drive, weight, decoder, float(setting["alpha"]), float(setting["gamma"])
    )
    control = np.full(N_STIMULI, 1 / N_STIMULI)
    biased = np.full(N_STIMULI, (1 - SHARE) / (N_STIMULI - 3))
    centre = N_STIMULI // 2
    biased[[centre - 1, centre, centre + 1]] = SHARE * np.array([0.25, 0.5, 0.25])
    gain = equations.closed_form(equations.quadratic(circuit, biased, control))
    before = equations.response(circuit, np.ones(N_UNITS))
    after = equations.response(circuit, gain)
    unit = N_UNITS // 2
    moved = preferred_stimulus(after, stimulus, 180.0) - preferred_stimulus(before, stimulus, 180.0)
    moved = ((moved + 90) % 180 - 90) * np.sign(preferred)
    inside = (np.abs(preferred) > 1) & (np.abs(preferred) < 89)
    sd = np.sqrt(np.diag(covariance(before, control)))
    off = ~np.eye(N_UNITS, dtype=bool)
    old, new = covariance(before, biased), covariance(after, biased)
    size = [np.abs(c / np.outer(sd, sd))[off].mean() for c in (old, new)]
    correlation = [
        np.abs(c / np.sqrt(np.outer(np.diag(c), np.diag(c))))[off].mean() for c in (old, new)
    ]
    flat = [(r @ biased).std() / np.abs((r @ biased).mean()) for r in (before, after)]
    extreme = moved[inside][np.argmax(np.abs(moved[inside]))]
    return np.array(
        [
            after[unit].max() < before[unit].max(),
            after[unit].min() < before[unit].min(),
            extreme > 1,
            size[1] < size[0],
            correlation[1] < correlation[0],
            flat[1] < flat[0],
        ]
    )


def covariance(response: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Of the units over the stimuli of an ensemble."""
    mean = response @ probability
    return (response * probability) @ response.T - np.outer(mean, mean)


def shares(settings: list[dict[str, float | str]], effect: np.ndarray, name: str) -> np.ndarray:
    """Share of the settings that show an effect, (level of an axis, strength of recurrence)."""
    level = np.array([str(s[name]) for s in settings])
    strength = np.array([s["recurrence"] for s in settings])
    return np.array(
        [
            [effect[(level == str(v)) & (strength == w)].mean() for w in GRID["recurrence"]]
            for v in GRID[name]
        ]
    )


def main() -> None:
    """Run the grid, print the counts, write JSON and the map."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/gain_control_regimes"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    settings = [
        dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())
    ]
    table = np.stack([shown(s) for s in settings])
    every = table.all(axis=1)
    report = {
        "settings": len(settings),
        "each": dict(zip(EFFECTS, table.sum(axis=0).tolist(), strict=True)),
        "all": int(every.sum()),
        "all_but": {
            name: int(np.delete(table, i, axis=1).all(axis=1).sum())
            for i, name in enumerate(EFFECTS)
        },
        "all_in": [s for s, yes in zip(settings, every, strict=True) if yes],
    }
    (out / "regimes.json").write_text(json.dumps(report, indent=1))
    print({k: v for k, v in report.items() if k != "all_in"})
    draw(settings, table, out / "regimes.png")


def draw(settings: list[dict[str, float | str]], table: np.ndarray, path: Path) -> None:
    """Share of settings that show each effect, by strength of recurrence and each other axis."""
    import matplotlib.pyplot as plt

    import neurokit_sdr as nks

    others = [name for name in GRID if name != "recurrence"]
    columns = [*EFFECTS, "all"]
    values = np.column_stack([table, table.all(axis=1)])
    with nks.plotting.style():
        figure, axes = plt.subplots(
            len(others), len(columns), figsize=(1.9 * len(columns), 1.3 * len(others)),
            sharex=True, layout="constrained",
        )  # fmt: skip
        for i, name in enumerate(others):
            for j, effect in enumerate(columns):
                ax, share = axes[i, j], shares(settings, values[:, j], name)
                top = 1.0 if effect != "all" else max(0.05, float(share.max()))
                image = ax.imshow(share, vmin=0, vmax=top, cmap="viridis", aspect="auto")
                ax.set_yticks(range(len(GRID[name])), [str(v) for v in GRID[name]])
                strengths = GRID["recurrence"]
                ax.set_xticks(range(len(strengths)), [f"{v:g}" for v in strengths], rotation=90)
                if i == 0:
                    ax.set_title(effect)
                if j == 0:
                    ax.set_ylabel(name)
                if i == len(others) - 1:
                    ax.set_xlabel("recurrence")
                if effect in ("maximum", "all"):
                    figure.colorbar(image, ax=ax, label="share")
        figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
