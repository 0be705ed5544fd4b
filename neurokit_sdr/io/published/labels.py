"""The worms' neuron labels, out of the file in which their laboratory published them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

#: The recordings of the example; the file has labels of others too.
_RECORDINGS = (
    "2022-07-26-31",
    "2022-07-26-38",
    "2022-07-27-31",
    "2022-07-27-38",
    "2022-07-27-45",
)


def neuron_labels_csv(path: Path) -> bytes:
    """Rows of recording, column of the traces (from 1), label, class, side and confidence.

    The file is a dictionary of Julia's in HDF5 (JLD2): lists of ``first`` and ``second``, whose
    values are references. ``dict_match_dict`` has for each recording, as its second entry, the
    matches of each class of neurons: what is known of the neuron, its trace, and the confidence of
    the match.
    """
    with h5py.File(path, "r") as file:
        top = _pairs(file, file["NeuroPAL_labels"][()])
        recordings = _pairs(file, top["dict_match_dict"])
        rows = ["recording,trace_index_1based,label,neuron_class,side,confidence"]
        for recording in _RECORDINGS:
            rows += _matches(file, recording, recordings[recording])
    return "".join(f"{row}\r\n" for row in rows).encode()


def _matches(file: h5py.File, recording: str, found: Any) -> list[str]:
    _, by_class = _value(file, found).item()
    matches = [m for entry in _pairs(file, by_class).values() for m in _items(file, entry)]
    lines = []
    for match in matches:
        neuron, trace, confidence = _value(file, match).item()
        about = _pairs(file, neuron)
        known = {name: _text(file, about[name]) for name in ("label", "neuron_class", "LR")}
        described = ",".join(known.values())
        lines.append((int(trace), f"{described},{round(float(confidence), 2)}"))
    return [f"{recording},{trace},{line}" for trace, line in sorted(lines, key=lambda x: x[0])]


def _value(file: h5py.File, value: Any) -> Any:
    """What a reference leads to, or the value itself."""
    while isinstance(value, h5py.Reference):
        value = file[value][()]
    return value


def _items(file: h5py.File, value: Any) -> list[Any]:
    found = _value(file, value)
    return [] if isinstance(found, h5py.Empty) or found.shape == () else list(found)


def _pairs(file: h5py.File, value: Any) -> dict[str, Any]:
    made = {}
    for item in _items(file, value):
        pair = _value(file, item)
        made[_text(file, pair["first"])] = pair["second"]
    return made


def _text(file: h5py.File, value: Any) -> str:
    found = _value(file, value)
    return found.decode() if isinstance(found, bytes) else str(found)
