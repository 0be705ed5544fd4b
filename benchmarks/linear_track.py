"""HMM-GLM on a real recording: held-out bits per spike against the anchors of a plain EM.

    python benchmarks/linear_track.py

Rat CA1, 31 units, 20 ms bins, ten contiguous blocks, trained on the even ones and tested on the odd
ones. Bits per spike over each neuron's mean rate in training. The anchors were measured once with
an independent NumPy EM on the same protocol, in 45 to 160 s a fit.
"""

from __future__ import annotations

import time
from typing import Any

from _tools import print_table, versions, write_json

import neurokit_sdr as nks

ANCHORS = {
    ("one time constant", 1): 0.496,
    ("one time constant", 2): 0.786,
    ("one time constant", 3): 0.892,
    ("one time constant", 5): 1.024,
    ("three time constants", 1): 0.772,
    ("no coupling (Poisson HMM)", 2): 0.516,
    ("no coupling (Poisson HMM)", 3): 0.673,
    ("no coupling (Poisson HMM)", 5): 0.900,
}
HISTORIES: dict[str, Any] = {
    "one time constant": 0.02,
    "three time constants": [0.02, 0.1, 0.5],
    "no coupling (Poisson HMM)": None,
}


def main() -> None:
    session = nks.io.fetch_example("linear_track")
    counts = nks.bin_spikes(session, 0.02)
    fold = nks.validation.alternating_blocks(counts, 10)[0]
    rows, found = [], []
    for name, history in HISTORIES.items():
        for n_states in (1, 2, 3, 5):
            model = nks.analysis.HMMGLM(n_states, history=history)
            begun = time.perf_counter()
            model.fit(fold.train, rng=0, progress=False)
            seconds = time.perf_counter() - begun
            score = model.score(fold.test)
            anchor = ANCHORS.get((name, n_states))
            found.append({"model": name, "states": n_states, "score": score, "seconds": seconds})
            rows.append(
                [name, str(n_states), score, "-" if anchor is None else f"{anchor:.3f}", seconds]
            )
    print_table(["HMM-GLM with", "states", "bits per spike", "anchor", "seconds"], rows)
    write_json("linear_track", {"versions": versions(), "fits": found})


if __name__ == "__main__":
    main()
