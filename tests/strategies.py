"""Hypothesis strategies: recordings that are valid by :mod:`neurokit_sdr.core.schema`.

They lean towards the edges: units without spikes, spikes at the very start and end, equal times,
one unit, trials of unequal length, bins that are missing.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st

#: Text that every file format can hold: no control characters, no lone surrogates.
plain_text = st.text(st.characters(exclude_categories=("C",)), max_size=8)
names = st.from_regex(r"[a-z][a-z0-9_]{0,7}", fullmatch=True)
finite = st.floats(-1e6, 1e6, allow_nan=False)
attributes = st.dictionaries(
    names, st.one_of(plain_text, st.integers(-(2**31), 2**31), finite), max_size=2
)


@st.composite
def unit_ids(draw: Any, number: int) -> np.ndarray:
    """Unique ids, all text or all whole numbers."""
    if draw(st.booleans()):
        found = draw(st.lists(plain_text, min_size=number, max_size=number, unique=True))
        return np.array(found, dtype=np.str_)
    found = draw(st.lists(st.integers(0, 2**40), min_size=number, max_size=number, unique=True))
    return np.array(found, dtype=np.int64)


@st.composite
def spike_datasets(draw: Any, max_units: int = 4, max_spikes: int = 12) -> xr.Dataset:
    """Spikes, unit after unit, with per-unit coordinates of every dtype."""
    number = draw(st.integers(1, max_units))
    start = draw(st.sampled_from([0.0, -1.5, 3.25]))
    stop = start + draw(st.sampled_from([0.25, 1.0, 10.0]))
    moment = st.one_of(st.sampled_from([start, stop]), st.floats(start, stop))
    trains = [sorted(draw(st.lists(moment, max_size=max_spikes))) for _ in range(number)]
    spikes = xr.Dataset(
        {
            "spike_time": (
                "spike",
                np.array(list(chain(*trains)), dtype=np.float64),
                {"units": "s"},
            ),
            "spike_unit": ("spike", np.repeat(np.arange(number), [len(t) for t in trains])),
        },
        coords={"unit": ("unit", draw(unit_ids(number)))},
        attrs={"t_start": start, "t_stop": stop} | draw(attributes),
    )
    if draw(st.booleans()):
        quality = draw(st.lists(plain_text, min_size=number, max_size=number))
        spikes = spikes.assign_coords(
            quality=("unit", np.array(quality, dtype=np.str_)),
            x=("unit", np.linspace(0, 1e-3, number), {"units": "m"}),
            channel=("unit", np.arange(number, dtype=np.int16)),
            tuned=("unit", np.arange(number) % 2 == 0),
        )
    if draw(st.booleans()):
        amplitude = np.arange(spikes.sizes["spike"], dtype=np.float32)
        spikes["spike_amplitude"] = ("spike", amplitude, {"units": "V"})
        spikes["spike_feature"] = (("spike", "feature"), np.stack([amplitude, -amplitude], axis=1))
        spikes["waveform"] = (("unit", "sample"), np.arange(3.0 * number).reshape(number, 3))
        spikes["threshold"] = ((), 4.5, {"units": "1"})
    return spikes


@st.composite
def count_datasets(draw: Any, max_units: int = 4, max_bins: int = 12) -> xr.Dataset:
    """Binned counts: one stretch of time or trials, ragged or not, with missing bins or not."""
    number, bins = draw(st.integers(1, max_units)), draw(st.integers(1, max_bins))
    trials = draw(st.one_of(st.none(), st.integers(1, 4)))
    shape = (bins, number) if trials is None else (trials, bins, number)
    size = int(np.prod(shape))
    flat = draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))
    count = np.array(flat, dtype=np.int32).reshape(shape)
    width = draw(st.sampled_from([0.001, 0.02, 0.5]))
    dims = ("time", "unit") if trials is None else ("trial", "time", "unit")
    counts = xr.Dataset(
        {"count": (dims, count, {"units": "1"})},
        coords={
            "time": ("time", (np.arange(bins) + 0.5) * width, {"units": "s"}),
            "unit": ("unit", draw(unit_ids(number))),
        },
        attrs={"bin_size": width},
    )
    if trials is not None and draw(st.booleans()):
        length = draw(st.lists(st.integers(1, bins), min_size=trials, max_size=trials))
        counts["trial_length"] = ("trial", np.array(length), {"units": "1"})
        beyond = np.arange(bins) >= np.array(length)[:, None]
        counts["count"].values[beyond] = 0
    if draw(st.booleans()):
        observed = np.array(
            draw(st.lists(st.booleans(), min_size=size // number, max_size=size // number))
        )
        counts["observed"] = (dims[:-1], observed.reshape(shape[:-1]))
    return counts


@st.composite
def interval_datasets(draw: Any, dim: str, start: float, stop: float) -> xr.Dataset:
    """Trials or epochs inside a recording, with a column of each dtype."""
    number = draw(st.integers(1, 4))
    cuts = [
        sorted(draw(st.tuples(st.floats(start, stop), st.floats(start, stop))))
        for _ in range(number)
    ]
    table = xr.Dataset(
        {
            "start_time": (dim, np.array([c[0] for c in cuts]), {"units": "s"}),
            "stop_time": (dim, np.array([c[1] for c in cuts]), {"units": "s"}),
            "condition": (
                dim,
                np.array(
                    draw(st.lists(plain_text, min_size=number, max_size=number)), dtype=np.str_
                ),
            ),
            "reward": (dim, np.arange(number) % 2 == 1),
        },
        attrs=draw(attributes),
    )
    if draw(st.booleans()):
        table = table.assign_coords({dim: np.arange(number) + 5})
    return table


@st.composite
def series_datasets(draw: Any) -> xr.Dataset:
    """Covariates over time, on a regular or irregular clock, and arrays without time."""
    size = draw(st.integers(1, 8))
    regular = draw(st.booleans())
    time = np.arange(size) * 0.01 + 0.005 if regular else np.cumsum(np.arange(1, size + 1) / 7.0)
    series = xr.Dataset(
        {
            "position": (("time", "space"), np.full((size, 2), draw(finite)), {"units": "m"}),
            "state": ("time", np.arange(size) % 3),
            "lick": ("time", np.arange(size) % 2 == 0),
        },
        coords={"time": ("time", time, {"units": "s"}), "space": ["x", "y"]},
        attrs=draw(attributes),
    )
    if draw(st.booleans()):
        series["speed"] = ("time", np.where(np.arange(size) == 0, np.nan, 1.5))
    if draw(st.booleans()):
        series["weight"] = (("target", "source"), np.eye(3) * draw(finite), {"units": "1"})
        series["dispersion"] = ((), np.float64(draw(finite)))
        series["empty"] = (("nothing", "source"), np.zeros((0, 3)))
    return series


@st.composite
def calcium_datasets(draw: Any, max_units: int = 4, max_frames: int = 8) -> xr.Dataset:
    """Fluorescence on a regular or irregular clock, with missing values, and what goes with it."""
    number, frames = draw(st.integers(1, max_units)), draw(st.integers(0, max_frames))
    regular = draw(st.booleans())
    time = 0.5 + np.arange(frames) / 30 if regular else np.cumsum(np.arange(1, frames + 1) / 7.0)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    trace = (np.arange(frames * number, dtype=dtype) / 3).reshape(frames, number)
    calcium = xr.Dataset(
        {"fluorescence": (("time", "unit"), trace, {"units": "1"})},
        coords={"time": ("time", time, {"units": "s"}), "unit": ("unit", draw(unit_ids(number)))},
        attrs=draw(attributes),
    )
    if draw(st.booleans()):
        label = draw(st.lists(plain_text, min_size=number, max_size=number))
        calcium = calcium.assign_coords(
            label=("unit", np.array(label, dtype=np.str_)),
            is_cell=("unit", np.arange(number) % 2 == 0),
            x=("unit", np.linspace(0, 1e-3, number), {"units": "m"}),
            image_mask=("unit", np.arange(number)),
        )
    if draw(st.booleans()):
        calcium["dff"] = (("time", "unit"), np.where(trace > 1, np.nan, trace))
        calcium["neuropil"] = (("time", "unit"), -trace)
        calcium["shift"] = (("time", "space"), np.zeros((frames, 2), np.int16), {"units": "px"})
        calcium["footprint"] = (("unit", "pixel"), np.eye(number, 3))
        calcium["scale"] = ((), 2.0)
    return calcium


@st.composite
def signal_datasets(draw: Any, max_channels: int = 4, max_samples: int = 8) -> xr.Dataset:
    """MEG or sEEG, continuous or in trials, with and without positions."""
    number, samples = draw(st.integers(1, max_channels)), draw(st.integers(0, max_samples))
    trials = draw(st.sampled_from([(), (2,)]))
    shape = (*trials, samples, number)
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) * 1e-13
    kind, unit = draw(st.sampled_from([("mag", "T"), ("grad", "T/m"), ("seeg", "V")]))
    signal = xr.Dataset(
        {"signal": (("trial", "time", "channel")[-len(shape) :], values, {"units": unit})},
        coords={
            "time": ("time", np.arange(samples) / 600 - 0.25, {"units": "s"}),
            "channel": ("channel", np.array([f"{kind}{k}" for k in range(number)], dtype=np.str_)),
            "channel_type": ("channel", np.full(number, kind)),
            "channel_unit": ("channel", np.full(number, unit)),
        },
        attrs={"line_freq": 50.0} | draw(attributes),
    )
    if draw(st.booleans()):
        frame = draw(st.sampled_from([((), "head"), (("channel",), np.full(number, "head"))]))
        signal = signal.assign_coords(
            bad=("channel", np.arange(number) % 2 == 1),
            x=("channel", np.linspace(0, 0.1, number), {"units": "m"}),
            coord_frame=frame,
        )
    return signal


@st.composite
def evoked_datasets(draw: Any, max_channels: int = 3, max_samples: int = 6) -> xr.Dataset:
    """Averages of one or more conditions, whose names may be the same."""
    number, samples = draw(st.integers(1, max_channels)), draw(st.integers(1, max_samples))
    names = draw(st.lists(plain_text, min_size=1, max_size=3))
    shape = (len(names), samples, number)
    return xr.Dataset(
        {
            "signal": (
                ("condition", "time", "channel"),
                np.arange(np.prod(shape), dtype=np.float64).reshape(shape) * 1e-14,
                {"units": "T"},
            ),
            "n_averaged": ("condition", np.arange(len(names)) + 1, {"units": "1"}),
        },
        coords={
            "time": ("time", np.arange(samples) / 250 - 0.1, {"units": "s"}),
            "condition": ("condition", np.array(names, dtype=np.str_)),
            "channel": ("channel", np.array([f"mag{k}" for k in range(number)], dtype=np.str_)),
            "channel_type": ("channel", np.full(number, "mag")),
            "channel_unit": ("channel", np.full(number, "T")),
            "bad": ("channel", np.arange(number) % 2 == 1),
        },
        attrs={"sampling_rate": 250.0} | draw(attributes),
    )


@st.composite
def stimulus_datasets(draw: Any) -> xr.Dataset:
    """Frames over time, conditions of trials, a covariate: one of them at least."""
    size, trials = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    parts = draw(st.sets(st.sampled_from(["frame", "condition", "contrast"]), min_size=1))
    stimulus = xr.Dataset(attrs=draw(attributes))
    if parts & {"frame", "contrast"}:
        time = np.cumsum(np.arange(1, size + 1) / 60.0)
        stimulus = stimulus.assign_coords(time=("time", time, {"units": "s"}))
    if "frame" in parts:
        dtype = draw(st.sampled_from([np.uint8, np.float32]))
        pixels = np.arange(size * 6, dtype=dtype).reshape(size, 2, 3)
        stimulus["frame"] = (("time", "y", "x"), pixels, {"units": "1"})
    if "contrast" in parts:
        stimulus["contrast"] = ("time", np.linspace(0, 1, size), {"units": "1"})
    if "condition" in parts:
        named = draw(st.lists(plain_text, min_size=trials, max_size=trials))
        stimulus["condition"] = draw(
            st.sampled_from(
                [
                    ("trial", np.array(named, dtype=np.str_)),
                    ("trial", np.arange(trials) * 30.0, {"units": "deg"}),
                    ("trial", np.arange(trials) % 2, {"units": "1"}),
                ]
            )
        )
    return stimulus


@st.composite
def tuning_datasets(draw: Any, max_units: int = 4, max_stimuli: int = 5) -> xr.Dataset:
    """Responses to each stimulus in each condition, with gaps, errors and ensembles or not."""
    shape = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, max_units)),
        draw(st.integers(1, max_stimuli)),
        draw(st.integers(1, 3)),
    )
    dims = ("session", "unit", "stimulus", "condition")
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    response = (np.arange(np.prod(shape), dtype=dtype) / 3).reshape(shape)
    stimulus: tuple[Any, ...] = ("stimulus", np.array([f"s{k}" for k in range(shape[2])]))
    if draw(st.booleans()):
        stimulus = ("stimulus", np.arange(shape[2]) * 30.0 - 90, {"units": "deg"})
    tuning = xr.Dataset(
        {"response": (dims, response, {"units": "Hz"})},
        coords={
            "unit": ("unit", draw(unit_ids(shape[1]))),
            "stimulus": stimulus,
            "condition": ("condition", np.array([f"c{k}" for k in range(shape[3])])),
        },
        attrs=draw(attributes),
    )
    if draw(st.booleans()):
        tuning["response"].values[0, 0] = np.nan
    if draw(st.booleans()):
        tuning["response_se"] = (dims, np.sqrt(response), {"units": "Hz"})
    each = draw(st.sampled_from([None, dims[2:], (dims[0], *dims[2:])]))
    if each is not None:
        size = tuple(shape[dims.index(d)] for d in each)
        weight = np.random.default_rng(draw(st.integers(0, 99))).random(size) + 0.1
        share = weight / weight.sum(axis=-2, keepdims=True)
        tuning["probability"] = (each, share.astype(dtype), {"units": "1"})
    return tuning


@st.composite
def animal_trees(draw: Any) -> xr.DataTree:
    """Spikes of several animals, whose labels name the same neurons; some have none."""
    animals = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    groups = {}
    for animal in animals:
        spikes = draw(spike_datasets())
        known = ["AVAL", "AVAR", "RIML", "RIMR"][: spikes.sizes["unit"]]
        label = [name if draw(st.booleans()) else "" for name in known]
        groups[f"/animals/{animal}/spikes"] = spikes.assign_coords(label=("unit", label))
    return xr.DataTree.from_dict(groups)


@st.composite
def session_trees(draw: Any) -> xr.DataTree:
    """Spikes and whatever may have been recorded with them."""
    spikes = draw(spike_datasets())
    start, stop = spikes.attrs["t_start"], spikes.attrs["t_stop"]
    groups = {"/": xr.Dataset(attrs=draw(attributes)), "/spikes": spikes}
    for name, dim in (("/trials", "trial"), ("/epochs", "epoch")):
        if draw(st.booleans()):
            groups[name] = draw(interval_datasets(dim, start, stop))
    if draw(st.booleans()):
        labels = draw(st.lists(plain_text, min_size=1, max_size=3))
        groups["/events"] = xr.Dataset(
            {
                "event_onset": ("event", np.linspace(start, stop, len(labels)), {"units": "s"}),
                "event_duration": ("event", np.zeros(len(labels)), {"units": "s"}),
                "event_label": ("event", np.array(labels, dtype=np.str_)),
            }
        )
    for name, recordings in (("/calcium", calcium_datasets()), ("/signal", signal_datasets())):
        if draw(st.booleans()):
            groups[name] = draw(recordings)
    where = draw(st.sampled_from([[], ["/behavior"], ["/behavior/camera", "/behavior/wheel"]]))
    for name in [*where, *draw(st.sampled_from([[], ["/truth"]]))]:
        groups[name] = draw(series_datasets())
    return xr.DataTree.from_dict(groups)
