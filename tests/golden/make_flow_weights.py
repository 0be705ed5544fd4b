"""Weights of small Langevin flows: ``python tests/golden/make_flow_weights.py FILE [NAME ...]``.

The file beside this script was written by the code before training became general. It says on what
it was made: elsewhere the same operations are rounded otherwise.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

#: Every way through the training: held-out units, bins ahead, a covariate, a gap, ragged trials.
FLOWS = {
    "latents_only": {"covariates": ["stimulus"]},
    "full": {"crop": 0.0, "dropout": 0.2, "validation_fraction": 0.0},
    "recurrent_only": {"patience": 5},
    "released": {"variant": "released", "n_hidden": 8, "latent_path": "full"},
}

#: The best weights are those of one epoch, which the validation chooses.
VARIABLES = ("last_weight", "loss", "validation_loss", "gradient_norm")


def machine() -> str:
    """What rounding depends on: the kind of processor and the compilers."""
    described = [platform.machine()]
    information = Path("/proc/cpuinfo")
    if information.exists():
        wanted = ("cpu family", "model", "stepping", "flags")
        lines = [line.partition(":") for line in information.read_text().splitlines()]
        first = {name.strip(): value.strip() for name, _, value in reversed(lines)}
        described += [first.get(name, "") for name in wanted]
    versions = [f"{p} {importlib.metadata.version(p)}" for p in ("jax", "jaxlib", "optax")]
    digest = hashlib.sha256("\n".join(described).encode()).hexdigest()[:12]
    return ", ".join([*versions, f"processor {digest}"])


def bind() -> None:
    """Keep this process on one core, before anything counts them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def recording():
    """Nine trials of 16 bins of five units, made without any random numbers."""
    import numpy as np
    import xarray as xr

    trial, time, unit = np.ogrid[:9, :16, :5]
    count = ((3 * trial + 2 * time + 5 * unit + trial * time) % 7 == 0) * (1 + (time + unit) % 3)
    observed = np.ones((9, 16), dtype=bool)
    observed[2, 3:5] = False
    return xr.Dataset(
        {
            "count": (("trial", "time", "unit"), count, {"units": "1"}),
            "observed": (("trial", "time"), observed),
            "trial_length": ("trial", [16, 16, 9, 16, 12, 16, 16, 16, 16], {"units": "1"}),
            "stimulus": (("trial", "time"), np.sin(trial + 0.5 * time)[:, :, 0]),
        },
        coords={
            "time": ("time", (np.arange(16) + 0.5) * 0.02, {"units": "s"}),
            "unit": list("abcde"),
            "held_in": ("unit", np.arange(5) < 4),
            "forward": ("time", np.arange(16) >= 14),
        },
        attrs={"bin_size": 0.02},
    )


def flow(name: str):
    """The unfitted flow of one row."""
    import neurokit_sdr as nks

    path = {} if name == "released" else {"latent_path": name}
    small = {"n_latents": 4, "n_hidden": 4, "batch_size": 4, "n_steps": 24}
    small |= {"learning_rate": 1e-3, "validation_fraction": 0.25}
    return nks.generative.LangevinFlow(**(small | path | FLOWS[name]))


def main(path: str, *names: str) -> None:
    """Train some flows (all, if none is named) on one core, and write weights and histories."""
    bind()
    import numpy as np

    arrays = {"machine": np.array(machine())}
    for name in names or FLOWS:
        result = flow(name).fit(recording(), rng=3, progress=False).result_
        for variable in VARIABLES:
            if variable in result:
                arrays[f"{name}/{variable}"] = result[variable].values
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:] or [str(Path(__file__).with_name("flow_weights.npz"))])
