"""A model trained by gradients has the same weights on one core, on two, and in a pool's worker."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

TRAINING = """
import hashlib, os, sys
os.sched_setaffinity(0, {cores})
from test_bits_anywhere import weights
if __name__ == "__main__":
    {pool}
    print(weights(0))
"""
POOL = """
    from neurokit_sdr.core.parallel import map_tasks
    print(*map_tasks(weights, [0, 0], progress=False), sep="\\n")
    sys.exit()
"""


def weights(seed: int) -> str:
    """The hash of the weights of a flow large enough for XLA to divide its products."""
    import neurokit_sdr as nks

    truth = nks.snn.switching_population(20, 2, rng=0)
    counts = nks.snn.simulate_switching_population(truth, [100] * 64, rng=0)
    flow = nks.generative.LangevinFlow(n_latents=16, n_hidden=32, n_steps=4, batch_size=32)
    fitted = flow.set_params(patience=0).fit(counts, rng=seed, progress=False)
    return hashlib.sha256(fitted.result_["weight"].values.tobytes()).hexdigest()


def trained(cores: set[int], pool: bool, folder) -> list[str]:
    script = folder / "script.py"
    script.write_text(TRAINING.format(cores=cores, pool=POOL if pool else ""))
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores, and a system that can give a process one of them",
)
def test_weights_do_not_depend_on_cores_or_on_the_pool(tmp_path):
    first, second = sorted(os.sched_getaffinity(0))[:2]
    (alone,) = trained({first}, False, tmp_path)
    (together,) = trained({first, second}, False, tmp_path)
    assert alone == together
    assert trained({first, second}, True, tmp_path) == [alone, alone]
