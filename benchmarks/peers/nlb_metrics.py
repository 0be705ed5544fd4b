"""nlb_tools' part of the benchmark of measures.

    nlb_metrics.py CASES.npz REPORT.json [FILE.nwb DATASET BIN_SIZE_MS TENSORS.npz]

``CASES.npz`` holds arrays named ``NUMBER/MEASURE/ARGUMENT``; the report has ``NUMBER/MEASURE`` with
the value that nlb_tools gives. With a file of the benchmark's layout, its training and validation
tensors are written too.
"""

import contextlib
import json
import logging
import sys
from collections import defaultdict
from importlib.metadata import version

import numpy as np
from nlb_tools import evaluation, make_tensors, nwb_interface


def bits(case: dict) -> float:
    """Bits per spike; nlb_tools writes into the rates that it is given."""
    return evaluation.bits_per_spike(case["rates"].copy(), case["spikes"])


def behavior(case: dict) -> float:
    """Velocity decoding."""
    names = ("train_rates", "train_behavior", "train_mask", "rates", "behavior", "mask")
    return evaluation.velocity_decoding(*(case[name] for name in names))


def psth(case: dict) -> float:
    """Match to PSTHs."""
    members = [np.flatnonzero(case["condition"] == k) for k in range(len(case["psth"]))]
    return evaluation.eval_psth(case["psth"], case["rates"], members)


def produced_time(case: dict) -> float:
    """Correlation of speed with the interval produced."""
    return evaluation.speed_tp_correlation(case["spikes"], case["rates"], case["behavior"])


MEASURES = {
    "bits_per_spike": bits,
    "co_bits_per_spike": bits,
    "forward_bits_per_spike": bits,
    "behavior_r2": behavior,
    "psth_r2": psth,
    "produced_time_correlation": produced_time,
}


def tensors(path: str, name: str, bin_size: int, out: str) -> None:
    """What nlb_tools makes of a file of the benchmark's layout."""
    dataset = nwb_interface.NWBDataset(path)
    dataset.resample(bin_size)
    found = {}
    options = {"save_file": False, "include_behavior": True, "include_forward_pred": True}
    for split in ("train", "val"):
        made = make_tensors.make_train_input_tensors(dataset, name, split, **options)
        found |= {f"{split}/{key.removeprefix('train_')}": value for key, value in made.items()}
    if name == "dmfc_rsg":
        made = make_tensors.make_eval_target_tensors(dataset, name, save_file=False)
        found["val/target"] = next(iter(made.values()))["eval_spikes_heldout"]
    made = make_tensors.make_eval_input_tensors(dataset, name, "test", save_file=False)
    found |= {f"test/{key.removeprefix('eval_')}": value for key, value in made.items()}
    np.savez(out, **found)


def main() -> None:
    """Value every case; make tensors where a file is given."""
    logging.disable(logging.WARNING)
    cases: dict = defaultdict(dict)
    with np.load(sys.argv[1]) as arrays:
        for key, value in arrays.items():
            number, measure, argument = key.split("/")
            cases[f"{number}/{measure}"][argument] = value
    with contextlib.redirect_stdout(sys.stderr), np.errstate(all="ignore"):
        values = {key: float(MEASURES[key.split("/")[1]](case)) for key, case in cases.items()}
        if len(sys.argv) > 3:
            path, name, bin_size, out = sys.argv[3:]
            tensors(path, name, int(bin_size), out)
    names = ("nlb-tools", "numpy", "pandas", "scikit-learn")
    report = {"values": values, "versions": {name: version(name) for name in names}}
    with open(sys.argv[2], "w") as file:
        json.dump(report, file)


if __name__ == "__main__":
    main()
