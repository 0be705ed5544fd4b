"""Memories and codes as labelled Datasets, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.sdr.frames import Frames, frame_coords
from neurokit_sdr.sdr.sparsey.equations import Codes
from neurokit_sdr.sdr.sparsey.macs import Wiring
from neurokit_sdr.sdr.sparsey.memory import Memory, Stored, Synapses, effective_weights
from neurokit_sdr.sdr.sparsey.rule import Rule

#: Letters of the types of signals, in the order of the bits of a version.
SIGNALS = "UHD"

#: Names of the types of synapses in ``result_``.
TYPES = ("bottom_up", "horizontal", "top_down")

LIKE_RESULT = "a Dataset laid out like result_ of a fitted Sparsey"


def cell_positions(data: xr.Dataset) -> np.ndarray:
    """Of each cell, by rank within the unit interval or square, shape (cell, dimension)."""
    # x and y of anything else, as of an animal in time, say nothing of where cells lie.
    if all(axis in data.coords and data[axis].dims == ("cell",) for axis in ("x", "y")):
        ranks = [np.unique(data[axis].values, return_inverse=True)[1] for axis in ("x", "y")]
    else:
        ranks = [np.arange(data.sizes["cell"])]
    return np.stack([(rank + 0.5) / (rank.max() + 1) for rank in ranks], axis=1)


def label_memory(data: xr.Dataset, stored: Stored, signals: str) -> xr.Dataset:
    """The memory as a Dataset, with the cells of the data."""
    wiring, rule, memory, clock = stored
    fold = (rule.n_modules, rule.n_units)
    units = ("module", "module_unit")
    result = xr.Dataset(
        coords={
            k: data[k] for k in ("cell", "x", "y") if k in data.coords and data[k].dims == ("cell",)
        }
        | {"level": ("mac", wiring.level)}
    )
    for name, letter, afferents, synapses in zip(
        TYPES, SIGNALS, wiring[2:], memory[:3], strict=True
    ):
        if letter not in signals:
            continue
        dims = (f"{name}_afferent", *units)
        shape = (len(afferents.source), *fold)
        weight = synapses.weight
        if rule.lifetime:
            weight = effective_weights(synapses, clock, rule.lifetime)
            result[f"{name}_stamp"] = (dims, synapses.stamp.reshape(shape), {"units": "1"})
            result[f"{name}_stiffness"] = (dims, synapses.stiffness.reshape(shape))
        if rule.freezing < 1:
            frozen = synapses.frozen.reshape(len(wiring.level), *fold)
            result[f"{name}_frozen"] = (("mac", *units), frozen)
        mac = np.repeat(np.arange(len(wiring.level)), np.diff(afferents.start))
        result[f"{name}_weight"] = (dims, weight.reshape(shape), {"units": "1"})
        result[f"{name}_source"] = (dims[:1], afferents.source)
        result[f"{name}_mac"] = (dims[:1], mac)
    set_share = (result["bottom_up_weight"].values > 0).mean(axis=(1, 2))
    start = wiring.bottom_up.start
    result["saturation"] = (
        "mac", np.add.reduceat(set_share, start[:-1]) / np.diff(start), {"units": "1"}
    )  # fmt: skip
    result["inflection"] = ("mac", memory.inflection, {"units": "1"})
    result["highest_mean_v"] = ("mac", memory.highest_mean_v, {"units": "1"})
    return result


def label_stored(
    data: xr.Dataset,
    frames: Frames,
    codes: Codes,
    stored: Stored,
    signals: str,
    before: xr.Dataset | None,
) -> xr.Dataset:
    """A memory, what it learnt last, and what is known of all it has learnt.

    ``codes`` are those of the frames that were stored, ``before`` is the result of the fit that
    was gone on with.
    """
    result = label_memory(data, stored, signals)
    result["learned_winner"] = (("frame", "mac", "module"), codes.winner)
    result["learned_familiarity"] = (("frame", "mac"), codes.familiarity, {"units": "1"})
    result = learn_labels(data, frames, codes.winner, result, before)
    active = frames.pattern[: len(codes.winner)].sum(axis=1)
    fewest = [int(active[active > 0].min())] if active.any() else []
    if before is not None:
        fewest.append(int(before.attrs["fewest_active"]))
    result.attrs |= {"frames_learned": stored.clock, "fewest_active": min(fewest, default=0)}
    return result


def unlabel_memory(result: xr.Dataset, rule: Rule) -> Memory:
    """The memory that a Dataset holds."""
    up, across, down = (_unlabel_synapses(result, name, rule) for name in TYPES)
    return Memory(up, across, down, result["inflection"].values, result["highest_mean_v"].values)


def _unlabel_synapses(result: xr.Dataset, name: str, rule: Rule) -> Synapses:
    size = rule.n_modules * rule.n_units
    n_macs = result.sizes["mac"]

    def values(what: str, shape: tuple[int, int], dtype: type) -> np.ndarray:
        if f"{name}_{what}" not in result:
            return np.zeros(shape, dtype)
        return np.ascontiguousarray(result[f"{name}_{what}"].values.reshape(shape).astype(dtype))

    rows = result.sizes.get(f"{name}_afferent", 0)
    ageing = (rows, size) if rule.lifetime else (0, 0)
    return Synapses(
        values("weight", (rows, size), np.uint8),
        values("stamp", ageing, np.int32),
        values("stiffness", ageing, np.uint8),
        values("frozen", (n_macs, size), np.uint8),
    )


def check_layout(result: xr.Dataset, wiring: Wiring, rule: Rule, signals: str) -> None:
    """Raise unless a Dataset has all that a memory of this rule is made of."""
    n_macs, fold = len(wiring.level), (rule.n_modules, rule.n_units)
    units = ("module", "module_unit")
    expected: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = dict.fromkeys(
        ("level", "inflection", "highest_mean_v"), (("mac",), (n_macs,))
    )
    fixed = {"level": wiring.level}
    for name, letter, afferents in zip(TYPES, SIGNALS, wiring[2:], strict=True):
        if letter not in signals:
            continue
        number = len(afferents.source)
        afferent = (f"{name}_afferent",)
        stored = ("weight", "stamp", "stiffness") if rule.lifetime else ("weight",)
        expected |= {f"{name}_{k}": ((*afferent, *units), (number, *fold)) for k in stored}
        expected |= {f"{name}_{k}": (afferent, (number,)) for k in ("source", "mac")}
        if rule.freezing < 1:
            expected[f"{name}_frozen"] = (("mac", *units), (n_macs, *fold))
        fixed[f"{name}_source"] = afferents.source
        fixed[f"{name}_mac"] = np.repeat(np.arange(n_macs), np.diff(afferents.start))
    if "label_weight" in result:
        size = result.sizes.get("label_value", 0)
        expected["label_value"] = (("label_value",), (size,))
        expected["label_weight"] = (("label_value", "mac", *units), (size, n_macs, *fold))
    for name, (dims, shape) in expected.items():
        if name not in result.variables:
            raise SchemaError(f"Expected {LIKE_RESULT}, got no {name}.")
        if result[name].dims != dims or result[name].shape != shape:
            raise SchemaError(
                f"Expected {name} with dimensions {dims} of sizes {shape}, as the "
                f"hyper-parameters say, got {result[name].dims} of sizes {result[name].shape}: "
                f"give the whole result_ of a fit."
            )
        numbers = name == "label_value" or result[name].dtype.kind in "biuf"
        if not numbers or (result[name].dtype.kind == "f" and result[name].isnull().any()):
            raise SchemaError(
                f"Expected {name} as numbers, none missing, got {result[name].dtype}."
            )
        if name in fixed and not np.array_equal(result[name], fixed[name]):
            raise SchemaError(
                f"Expected {name} as the cells and the hyper-parameters determine it, got "
                f"other values: give the result_ of a fit, its afferents in their order."
            )
        if name.endswith("_weight"):
            low, high = result[name].values.min(initial=0), result[name].values.max(initial=0)
            if low < 0 or high > 127:
                raise SchemaError(f"Expected {name} from 0 to 127, got {low} to {high}.")
    for name in ("frames_learned", "fewest_active"):
        value = result.attrs.get(name)
        if not isinstance(value, int | np.integer) or value < 0:
            raise SchemaError(
                f"Expected attrs[{name!r}] as a whole number >= 0, got {value!r}: copy the "
                f"attributes of the result_ of a fit."
            )


def label_codes(data: xr.Dataset, frames: Frames, codes: Codes, result: xr.Dataset) -> xr.Dataset:
    """Recognised codes with the labels of the input, and what label each item has."""
    names = np.array(["".join(s for k, s in enumerate(SIGNALS) if v >> k & 1) for v in range(8)])
    found = xr.Dataset(
        {
            "winner": ((*frames.dims, "mac", "module"), frames.spread(codes.winner, -1)),
            "familiarity": label_familiarity(frames, codes),
            "signals": ((*frames.dims, "mac"), frames.spread(names[codes.version], "")),
        },
        coords=frame_coords(data) | {"level": result["level"]},
    )
    if "label_weight" in result and "item" in frames.dims:
        share = label_support(result["label_weight"].values, codes.winner, frames)
        values = result["label_value"].values
        found["label_support"] = (("item", "label_value"), share, {"units": "1"})
        found = found.assign_coords(label_value=result["label_value"].variable)
        found["label"] = ("item", values[share.argmax(axis=1)])
    return found


def label_recalled(
    data: xr.Dataset,
    frames: Frames,
    codes: Codes,
    pattern: np.ndarray,
    result: xr.Dataset,
    n_frames: int,
) -> xr.Dataset:
    """Recalled patterns; with frames that went on, only the items keep their coordinates."""
    coords = {k: v for k, v in frame_coords(data).items() if not n_frames or v.dims == ("item",)}
    found = xr.Dataset(
        {
            "pattern": ((*frames.dims, "cell"), frames.spread(pattern, False)),
            "familiarity": label_familiarity(frames, codes),
        },
        coords=coords | {k: result[k] for k in ("cell", "level", "x", "y") if k in result},
    )
    if "item_length" in data.variables:
        found["item_length"] = data["item_length"] + n_frames
    return found


def label_familiarity(frames: Frames, codes: Codes) -> tuple[Any, ...]:
    """G of each frame and mac, as a variable."""
    return (*frames.dims, "mac"), frames.spread(codes.familiarity, np.nan), {"units": "1"}


def learn_labels(
    data: xr.Dataset,
    frames: Frames,
    winner: np.ndarray,
    result: xr.Dataset,
    before: xr.Dataset | None,
) -> xr.Dataset:
    """Set the synapses from winners to the labels of their items."""
    known = None if before is None or "label_weight" not in before else before
    if "label" not in data.variables:
        return result if known is None else result.assign(label_weight=known["label_weight"])
    label = np.asarray(data["label"].values)
    label = label.astype(str) if label.dtype.kind in "OUT" else label
    values = np.unique(label)
    if known is not None:
        old = known["label_value"].values
        if (old.dtype.kind == "U") != (values.dtype.kind == "U"):
            raise SchemaError(
                f"Expected labels of one kind, got {values.dtype} after {old.dtype}: convert them "
                f"with .astype."
            )
        values = np.unique(np.concatenate([old, values]))
    shape = (values.size, *(result.sizes[d] for d in ("mac", "module", "module_unit")))
    weight = np.zeros(shape, np.uint8)
    if known is not None:
        weight[np.searchsorted(values, known["label_value"].values)] = known["label_weight"].values
    index = np.searchsorted(values, label)[frames.item[: len(winner)]]
    frame, mac, module = np.nonzero(winner >= 0)
    weight[index[frame], mac, module, winner[frame, mac, module]] = 1
    dims = ("label_value", "mac", "module", "module_unit")
    return result.assign(label_weight=(dims, weight)).assign_coords(label_value=values)


def label_support(weight: np.ndarray, winner: np.ndarray, frames: Frames) -> np.ndarray:
    """Share of the winners of each item that learnt each label, shape (item, label)."""
    total = np.zeros((frames.shape[0], len(weight)))
    number = np.zeros(frames.shape[0])
    for mac in range(winner.shape[1]):
        active = winner[:, mac, 0] >= 0
        item = frames.item[active]
        for module in range(winner.shape[2]):
            np.add.at(total, item, weight[:, mac, module, winner[active, mac, module]].T)
        np.add.at(number, item, winner.shape[2])
    return total / np.maximum(number, 1)[:, None]
