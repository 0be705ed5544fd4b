"""torchhd's part of the matching benchmark: the nearest of many binary hypervectors.

    python torchhd_matching.py PACKED.npy REPORT.json

``PACKED.npy`` holds uint64 words (pattern, word); the first rows are the queries. BSC hypervectors
are torchhd's binary ones, a byte for each bit; the similarity goes in chunks, because it makes an
intermediate as large as its input. For patterns with equally many active bits the Hamming
similarity orders as the overlap does. MAP hypervectors are floats, whose dot product is one call of
BLAS, the fastest torchhd has: a part of the patterns, and the time scaled to all.
"""

import json
import resource
import sys
import time
from importlib.metadata import version

import numpy as np
import torch
import torchhd

CHUNK = 100_000
# Patterns whose float vectors still fit into memory; their time is scaled to all.
N_FLOAT = 200_000
REPEATS = 5


def main() -> None:
    """Time one query against all patterns."""
    words = np.load(sys.argv[1], mmap_mode="r")
    n_queries = int(sys.argv[3])
    chunks = []
    for first in range(n_queries, len(words), CHUNK):
        octets = np.ascontiguousarray(words[first : first + CHUNK]).view(np.uint8)
        bits = np.unpackbits(octets, axis=1, bitorder="little").astype(bool)
        chunks.append(torchhd.BSCTensor(torch.from_numpy(bits)))
    queries = np.unpackbits(
        np.ascontiguousarray(words[:n_queries]).view(np.uint8), axis=1, bitorder="little"
    ).astype(bool)
    seconds, nearest = [], []
    for i in range(REPEATS):
        query = torchhd.BSCTensor(torch.from_numpy(queries[i % n_queries]))
        begun = time.perf_counter()
        found = [torchhd.hamming_similarity(query, chunk) for chunk in chunks]
        best = int(torch.cat(found).argmax())
        seconds.append(time.perf_counter() - begun)
        nearest.append(best)
    size = sum(len(chunk) for chunk in chunks)
    part = [torchhd.MAPTensor(c.to(torch.float32)) for c in chunks[: N_FLOAT // CHUNK]]
    float_seconds = []
    for i in range(REPEATS):
        query = torchhd.MAPTensor(torch.from_numpy(queries[i % n_queries].astype(np.float32)))
        begun = time.perf_counter()
        torch.cat([torchhd.dot_similarity(query, chunk) for chunk in part]).argmax()
        float_seconds.append((time.perf_counter() - begun) * size / (CHUNK * len(part)))
    report = {
        "float_seconds": float_seconds,
        "seconds": seconds,
        "nearest": nearest,
        "threads": torch.get_num_threads(),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "versions": {name: version(name) for name in ("torch", "torch-hd")},
    }
    with open(sys.argv[2], "w") as file:
        json.dump(report, file)


if __name__ == "__main__":
    main()
