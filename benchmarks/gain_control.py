"""Speed of the closed form, and what the whitening circuits do: two figures and their numbers.

Times are CPU seconds of one solve for 255 units and 511 stimuli. The first figure follows a
whitening circuit through contexts; the second compares fast gains with slow weights to each alone.

    python benchmarks/gain_control.py --out DIR
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import neurokit_sdr as nks
from neurokit_sdr.analysis.gain_control import equations


def speed() -> dict[str, float]:
    """CPU seconds of one solve of 255 units and 511 stimuli: the gains, and all of equilibrium."""
    circuit = nks.analysis.gain_circuit(255, 511, recurrence=-2.0)
    model = nks.analysis.RecurrentGainControl.from_parameters(circuit)
    p = nks.analysis.adaptor_ensemble(circuit["stimulus"])
    weight = circuit["weight"].values
    arrays = equations.Circuit(circuit["drive"].values, weight, np.eye(255) - weight, 0.5, 0.1)
    control = circuit["probability"].values
    seconds: dict[str, list[float]] = {"gains": [], "equilibrium": []}
    for _ in range(7):
        began = time.process_time()
        equations.closed_form(equations.quadratic(arrays, p.values, control))
        middle = time.process_time()
        model.equilibrium(p)
        seconds["gains"].append(middle - began)
        seconds["equilibrium"].append(time.process_time() - middle)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def context_switching(out: Path) -> dict[str, float]:
    """A circuit of six channels that meets three contexts, each twice."""
    rng = np.random.default_rng(0)
    n, steps = 6, 1500
    contexts = [random_covariance(n, rng) for _ in range(3)]
    order = [0, 1, 2, 0, 1, 2]
    shown = np.concatenate([np.repeat(contexts[k][None], steps, axis=0) for k in order])
    circuit = nks.analysis.AdaptiveWhitening(n, rng=0)
    found = circuit.adapt(shown, rate=0.2)
    error = found["error"].values.reshape(len(order), steps)

    import matplotlib.pyplot as plt

    with nks.plotting.style():
        figure, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
        ax.semilogy(np.arange(error.size), error.ravel())
        for k, context in enumerate(order):
            ax.axvline(k * steps, color="0.7", linewidth=0.8)
            ax.text((k + 0.5) * steps, error.max() * 1.3, f"context {context + 1}", ha="center")
        ax.set_xlabel("step")
        ax.set_ylabel("||C - I||, operator norm")
        figure.savefig(out / "context_switching.png", dpi=120)
    return {"at switch": float(error[:, 0].mean()), "at end": float(error[:, -1].mean())}


def random_covariance(n: int, rng: np.random.Generator) -> np.ndarray:
    """Of twice as many samples as channels."""
    x = rng.normal(size=(n, 3 * n))
    return x @ x.T / (3 * n)


def two_timescales(out: Path) -> dict[str, float]:
    """Contexts of shared axes: how soon after a switch the error is below a tenth of its start."""
    rng = np.random.default_rng(1)
    n, steps, number = 4, 60, 400
    axes = np.linalg.qr(rng.normal(size=(n, n)))[0]
    contexts = np.stack([axes @ np.diag(rng.uniform(1.2, 5, n)) @ axes.T for _ in range(number)])
    shown = np.repeat(contexts, steps, axis=0)
    start = np.linalg.qr(rng.normal(size=(n, n)))[0]
    rules = {
        "gains and weights": {"rate": 0.15, "slow_rate": 0.01},
        "gains alone": {"rate": 0.15, "slow_rate": 0.0},
        "weights alone": {"rate": 0.0, "slow_rate": 0.01},
    }
    curves = {}
    for name, rates in rules.items():
        found = nks.analysis.AdaptiveWhitening(start).adapt(shown, **rates)
        curves[name] = found["error"].values.reshape(number, steps)
    last = slice(3 * number // 4, None)
    after = {name: c[last].mean(axis=0) for name, c in curves.items()}

    import matplotlib.pyplot as plt

    with nks.plotting.style():
        figure, panels = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
        for name, curve in curves.items():
            panels[0].semilogy(curve[:, -1], label=name)
            panels[1].semilogy(after[name], label=name)
        panels[0].set_xlabel("context")
        panels[0].set_ylabel("error at its end")
        panels[1].set_xlabel("step after a switch (last quarter)")
        panels[1].set_ylabel("error")
        panels[1].legend()
        figure.savefig(out / "two_timescales.png", dpi=120)
    end = {name: float(c[-1]) for name, c in after.items()}
    both = end["gains and weights"]
    half = {f"steps to half, {n}": steps_to(c, 0.5) for n, c in after.items()}
    return (
        {f"error at end, {n}": e for n, e in end.items()}
        | half
        | {
            "ratio, gains alone": end["gains alone"] / both,
            "ratio, weights alone": end["weights alone"] / both,
        }
    )


def steps_to(curve: np.ndarray, share: float) -> float:
    """Steps until a curve is below a share of its start; infinite if never."""
    below = curve < share * curve[0]
    return float(np.argmax(below)) if below.any() else float("inf")


def main() -> None:
    """Print the numbers and write them and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/gain_control"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    report = {
        "cpu seconds": speed(),
        "context switching": context_switching(out),
        "two timescales": two_timescales(out),
    }
    (out / "gain_control.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
