"""A model trained by gradients has the same weights on one core, on two, and in a pool's worker."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

PROGRAM = """
import os, sys
os.sched_setaffinity(0, {cores})
sys.path[:0] = {path}
from test_bits_anywhere import weights
if __name__ == "__main__":
    {how}
"""
ALONE = "print(weights(0))"
POOL = (
    "from neurokit_sdr.core.parallel import map_tasks; "
    "print(*map_tasks(weights, [0, 0], progress=False))"
)


def weights(seed: int) -> str:
    """The hash of the weights of a network large enough for XLA to divide its products."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    from training_problems import PLAIN, fit

    class Wide(eqx.Module):
        first: jax.Array
        second: jax.Array
        scale: jax.Array

    def loss(model, batch, key, schedules, training):
        x = batch["x"]
        hidden = jnp.tanh(x @ model.first * model.scale + x.mean(axis=1, keepdims=True))
        off = (hidden @ model.second)[:, 0] - batch["y"]
        error = (off**2 * batch["trial_weight"]).mean() + (hidden**2).mean()
        return error, {"error": error}

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2048, 128)).astype(np.float32)
    first = rng.normal(0, 1 / 16, size=(128, 128)).astype(np.float32)
    model = Wide(jnp.asarray(first), jnp.asarray(first[:, :1]), jnp.ones(128))
    plan = PLAIN._replace(n_epochs=3, batch_size=2048)
    trained = fit({"x": x, "y": x[:, 0]}, plan, model=model, loss=loss)
    leaves = jax.tree.leaves(eqx.filter(trained.last, eqx.is_array))
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest()


def trained(cores: set[int], how: str, folder: Path) -> list[str]:
    script = folder / "script.py"
    path = [str(TESTS), str(TESTS / "engines")]
    script.write_text(PROGRAM.format(cores=cores, how=how, path=path))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores, and a system that can give a process one of them",
)
def test_weights_do_not_depend_on_cores_or_on_the_pool(tmp_path):
    first, second = sorted(os.sched_getaffinity(0))[:2]
    (alone,) = trained({first}, ALONE, tmp_path)
    assert trained({first, second}, ALONE, tmp_path) == [alone]
    assert trained({first, second}, POOL, tmp_path) == [alone, alone]
