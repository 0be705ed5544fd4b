"""torchhd's part of the memory benchmark: Kanerva's sparse distributed memory, and a clean-up.

    python torchhd_memories.py PROBLEMS.npz REPORT.json ANSWERS.npz

``PROBLEMS.npz`` holds, for each problem k, spins ``store_k(item, cell)`` and ``cue_k(item, cell)``,
int8. The answers are ``sparse_distributed_k`` and ``cleanup_k``, of the same shape as the cues. The
clean-up compares a cue with every stored hypervector. Of the sparse distributed memory 1 in 200 of
20,000 addresses answers a cue.
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
import torch
import torchhd

N_ADDRESSES = 20_000
SHARE = 0.005


def main() -> None:
    """Store and recall every problem."""
    torch.manual_seed(0)
    problems = np.load(sys.argv[1])
    answers, report = {}, {"sparse_distributed": [], "cleanup": []}
    for k in range(len(problems.files) // 2):
        stored, cue = (
            torchhd.MAPTensor(torch.from_numpy(problems[f"{name}_{k}"].astype(np.float32)))
            for name in ("store", "cue")
        )
        size = stored.shape[1]
        begun = time.perf_counter()
        memory = torchhd.memory.SparseDistributed(N_ADDRESSES, size, size, p=SHARE)
        built = time.perf_counter()
        memory.write(stored, stored)
        wrote = time.perf_counter()
        with torch.no_grad():
            found = memory.read(cue)
        read = time.perf_counter()
        answers[f"sparse_distributed_{k}"] = np.sign(found.numpy()).astype(np.int8)
        held = (memory.keys, memory.values)
        report["sparse_distributed"].append(
            {
                "setup_seconds": built - begun,
                "store_seconds": (wrote - built) / len(stored),
                "recall_seconds": (read - wrote) / len(cue),
                "bytes": sum(part.numel() * part.element_size() for part in held),
            }
        )
        begun = time.perf_counter()
        best = torchhd.dot_similarity(cue, stored).argmax(dim=1)
        seconds = time.perf_counter() - begun
        answers[f"cleanup_{k}"] = stored[best].numpy().astype(np.int8)
        report["cleanup"].append(
            {
                "store_seconds": 0.0,
                "recall_seconds": seconds / len(cue),
                "bytes": stored.numel() * stored.element_size(),
            }
        )
    np.savez(sys.argv[3], **answers)
    report["versions"] = {name: version(name) for name in ("torch", "torch-hd")}
    with open(sys.argv[2], "w") as file:
        json.dump(report, file)


if __name__ == "__main__":
    main()
