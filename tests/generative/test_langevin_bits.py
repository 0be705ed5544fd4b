"""Langevin flows train to the bits that they trained to before training became general."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurokit_sdr.engines.training.schedules import Schedule

GOLDEN = Path(__file__).parents[1] / "golden" / "flow_weights.npz"
SCRIPT = GOLDEN.with_name("make_flow_weights.py")

#: Adam moves no weight by more than this times the learning rate in a step: (1 - .9) / sqrt(.001).
LARGEST_STEP = 0.1 / np.sqrt(0.001)


def script():
    """The script as a module: it lies in no package."""
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def furthest(name: str) -> float:
    """What two trainings from the same first weights can be apart at most."""
    flow = script().flow(name)
    course = "plateau" if name == "released" else "warmup_cosine"
    rates = Schedule(flow.learning_rate, course).during(0, 1, flow.n_steps)
    return 2 * LARGEST_STEP * float(rates.sum())


@pytest.mark.parametrize(
    "name",
    [
        "latents_only",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("full", "recurrent_only", "released")),
    ],
)
def test_a_flow_trains_to_the_same_bits_as_before_the_move(name, tmp_path):
    path = tmp_path / "weights.npz"
    subprocess.run([sys.executable, SCRIPT, path, name], check=True, timeout=600)
    with np.load(GOLDEN) as golden, np.load(path) as made:
        same = str(golden["machine"]) == str(made["machine"])
        names = [n for n in golden.files if n.startswith(f"{name}/")]
        assert sorted(names) == sorted(set(made.files) - {"machine"})
        assert len(names) >= 3
        for variable in names:
            before, after = golden[variable], made[variable]
            assert before.dtype == after.dtype
            if same:
                np.testing.assert_array_equal(before, after, err_msg=variable)
            elif variable.endswith("last_weight"):
                # Another processor or compiler rounds otherwise, and Adam divides by the gradient's
                # own size: all that is sure is how far it can go. First weights are drawn by the
                # same integers and rounded in a few operations.
                bound = furthest(name) + 10 * np.finfo(np.float32).eps * np.abs(before)
                assert (np.abs(before - after) <= bound).all(), variable
            else:
                assert before.shape == after.shape
                assert np.isfinite(after).all()
