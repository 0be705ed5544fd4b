"""Our re-implementation of the released Langevin flow against the authors' code, number by number.

    python benchmarks/langevin_flow_equality.py

The authors' model (in its own environment, see ``peers/langevin_flow_released.py``) takes one
training step without dropout and leaves its weights, inputs, noise and results; the same weights
and noise then go through ``LangevinFlow(variant="released")``'s network and loss. Log rates,
divergence and loss have to agree to 1e-5 of their size in float32, in every size.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from _latent_models import CLONE, PEERS, SOURCE
from _tools import RESULTS, print_table, run_json, versions, write_json
from make_environments import environment_is_current, environment_python

from neurokit_sdr.generative.langevin_flow.network import Loss
from neurokit_sdr.generative.langevin_flow.released import ReleasedFlow
from neurokit_sdr.generative.networks import GRU, LayerNorm, Linear, TransformerLayer

#: Hidden units, trials, bins, bins ahead, units read, units predicted.
SIZES = [(16, 5, 20, 4, 12, 15), (64, 8, 100, 0, 45, 60), (64, 3, 35, 10, 20, 20)]
CLOSE = 1e-5


def transferred(numbers: dict[str, np.ndarray], kind: str = "weight") -> ReleasedFlow:
    """A network of ours with the authors' weights, or their gradient arranged as one."""

    def get(name: str) -> np.ndarray:
        return numbers[f"{kind}/{name}"]

    def linear(name: str) -> Linear:
        return Linear(get(f"{name}.weight").T, get(f"{name}.bias"))

    n = get("encoder.bias_hh").size // 3
    # Two of the authors' three pairs of biases only ever appear as a sum.
    bias, other = get("encoder.bias_ih"), get("encoder.bias_hh")
    both = np.concatenate([bias[: 2 * n] + other[: 2 * n] * (kind == "weight"), bias[2 * n :]])
    encoder = GRU(
        Linear(get("encoder.weight_ih").T, both),
        get("encoder.weight_hh").T,
        other[2 * n :],
        np.zeros(n, np.float32),
    )
    parts = [linear(f"linear_{w}") for w in ("z_means", "z_logvar", "v_means", "v_logvar")]
    first = Linear(
        np.concatenate([p.weight for p in parts], axis=1), np.concatenate([p.bias for p in parts])
    )
    attention = "decoder.self_attn"
    layer = TransformerLayer(
        Linear(get(f"{attention}.in_proj_weight").T, get(f"{attention}.in_proj_bias")),
        linear(f"{attention}.out_proj"),
        linear("decoder.linear1"),
        linear("decoder.linear2"),
        *(LayerNorm(get(f"decoder.norm{i}.weight"), get(f"decoder.norm{i}.bias")) for i in (1, 2)),
        2,
        False,
    )
    made = ReleasedFlow(
        encoder,
        first,
        get("potential.conv_z"),
        layer,
        linear("readout"),
        "full",
        float(numbers["damping"]),
        0.0,
    )
    return jax.tree.map(jax.numpy.asarray, made)


def ours(numbers: dict[str, np.ndarray]) -> dict[str, Any]:
    """Log rates, divergence, loss and gradient of our network on the same noise."""
    counts, read = numbers["counts"], numbers["read"]
    n_trials, n_bins, _ = counts.shape
    n_window, n_in = read.shape[1:]
    # Theirs: position, velocity, then one draw a step; ours has the position's last.
    drawn = numbers["noise"]
    noise = np.concatenate([drawn[1:], drawn[:1]])
    loss = Loss(n_in, n_bins - n_window, 1.0, 0.0, kl_per_trial=True)
    batch = {
        "counts": counts,
        "observed": np.ones((n_trials, n_bins), bool),
        "covariates": np.zeros((n_trials, n_bins, 0), np.float32),
        "n_window": np.full(n_trials, n_window, np.int32),
        "n_inside": np.full(n_trials, n_bins, np.int32),
        "trial_weight": np.ones(n_trials, np.float32),
    }

    def value(network: ReleasedFlow) -> Any:
        said = []

        def heard(*given: Any) -> Any:
            said.append(network(*given))
            return said[0]

        schedules = {"kl_weight": jax.numpy.float32(numbers["kl_weight"])}
        found, terms = loss(heard, batch, jax.random.key(0), schedules, True)
        return found, (said[0].log_rate, terms["kl"])

    with mock.patch.object(jax.random, "normal", return_value=jax.numpy.asarray(noise)):
        function = jax.jit(jax.value_and_grad(value, has_aux=True))
        (found, (log_rate, kl)), gradient = function(transferred(numbers))
    return {"log rates": log_rate, "divergence": kl, "loss": found, "gradient": gradient}


def apart(one: Any, other: Any) -> float:
    """Largest difference, as a share of the largest number."""
    one, other = (np.asarray(x, float) for x in (one, other))
    return float(np.abs(one - other).max() / np.abs(other).max())


def main() -> None:
    """Compare in every size, print a table, exit with 1 where they differ."""
    if not environment_is_current("langevin_flow"):
        sys.exit("no environment: python benchmarks/make_environments.py langevin_flow")
    if not (SOURCE / "nlb_lightning" / "models.py").exists():
        sys.exit(f"no checkout: {CLONE}")
    path: Path = RESULTS / "langevin_flow_equality.npz"
    rows, found = [], {}
    for size in SIZES:
        names = ("--hidden", "--batch", "--bins", "--forward", "--units-in", "--units-out")
        options = [str(x) for pair in zip(names, size, strict=True) for x in pair]
        run_json(
            environment_python("langevin_flow"),
            PEERS / "langevin_flow_released.py",
            "equality",
            str(path),
            *options,
        )
        with np.load(path) as content:
            numbers = dict(content)
        path.unlink()
        mine = ours(numbers)
        theirs = {
            "log rates": numbers["log_rate"],
            "divergence": numbers["divergence"],
            "loss": numbers["loss"],
        }
        row = {name: apart(mine[name], value) for name, value in theirs.items()}
        pairs = zip(
            jax.tree.leaves(mine["gradient"]),
            jax.tree.leaves(transferred(numbers, "gradient")),
            strict=True,
        )
        # All but the encoder's first state, which the authors do not train.
        row["gradient"] = max(apart(a, b) for a, b in pairs if np.asarray(b).any())
        rows.append([f"H={size[0]}, B={size[1]}, T={size[2]}+{size[3]}, {size[4]} of {size[5]}",
                     *(f"{x:.1e}" for x in row.values())])  # fmt: skip
        found[rows[-1][0]] = row
    print("largest difference as a share of the largest number, float32")
    print_table(["size", "log rates", "divergence", "loss", "gradient"], rows)
    worst = max(row[name] for row in found.values() for name in theirs)
    print(f"{'holds' if worst < CLOSE else 'FAILS'}: equal to {CLOSE:g} ({worst:.1e})")
    write_json("langevin_flow_equality", {"rows": found, "versions": versions("jax", "equinox")})
    sys.exit(worst >= CLOSE)


if __name__ == "__main__":
    main()
