"""``units.to_dataframe()`` of pynwb 2, of 1000 units with 10 million spikes on a whole probe.

    pynwb_units.py FILE OUT [REPEATS]

Writes FILE, unless it is there, by the standard of its day. Times opening it and making the data
frame, which holds a data frame of 384 electrodes for each unit.
"""

import json
import sys
import time
import warnings
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pynwb

UNITS, SPIKES, ELECTRODES = 1000, 10_000_000, 384


def write(path: str) -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial(SPIKES, rng.dirichlet(np.full(UNITS, 2.0)))
    begun = datetime(2024, 5, 1, tzinfo=timezone.utc)  # noqa: UP017
    file = pynwb.NWBFile("benchmark", "io", begun)
    shank = file.create_electrode_group("shank", "a shank", "CA1", file.create_device("probe"))
    for k in range(ELECTRODES):
        file.add_electrode(x=0.0, y=20.0 * k, z=0.0, location="CA1", group=shank)
    for number in counts:
        file.add_unit(
            spike_times=np.sort(rng.uniform(0, 3600, number)), electrodes=list(range(ELECTRODES))
        )
    with pynwb.NWBHDF5IO(path, "w") as stream:
        stream.write(file)


def main() -> None:
    warnings.simplefilter("ignore")
    path, out, *rest = sys.argv[1:]
    if not Path(path).exists():
        write(path)
    seconds = []
    for _ in range(int(rest[0]) if rest else 1):
        begun = time.perf_counter()
        with pynwb.NWBHDF5IO(path, "r") as stream:
            stream.read().units.to_dataframe()
        seconds.append(time.perf_counter() - begun)
    Path(out).write_text(json.dumps({"seconds": seconds, "version": pynwb.__version__}))


if __name__ == "__main__":
    main()
