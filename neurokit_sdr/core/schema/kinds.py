"""The kinds of recordings and of what is made of them: names, dimensions, units, groups."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 1

#: Group of a DataTree that holds each kind.
GROUPS = {
    "spikes": "/spikes",
    "counts": "/counts",
    "calcium": "/calcium",
    "rois": "/rois",
    "signal": "/signal",
    "evoked": "/evoked",
    "behavior": "/behavior",
    "stimulus": "/stimulus",
    "tuning": "/tuning",
    "trials": "/trials",
    "epochs": "/epochs",
    "events": "/events",
    "electrodes": "/electrodes",
}

#: Group that holds several animals, ``/animals/NAME``, each a session of its own.
ANIMALS = "/animals"


@dataclass(frozen=True)
class Variable:
    """One variable of a kind.

    Attributes
    ----------
    dims
        The allowed dimension tuples.
    units
        What ``attrs["units"]`` must say; empty where the unit is the data's own business.
    dtype
        NumPy kind codes the values may have (``"f"`` float, ``"iu"`` integer, ``"b"`` bool).
    required
        Whether a Dataset of the kind must hold it.
    """

    dims: tuple[tuple[str, ...], ...]
    units: str = ""
    dtype: str = "f"
    required: bool = True


@dataclass(frozen=True)
class Kind:
    """One kind of recording: its variables, and the attributes it must carry."""

    name: str
    variables: dict[str, Variable]
    attrs: tuple[str, ...] = ()
    hint: str = ""


KINDS: dict[str, Kind] = {
    "spikes": Kind(
        "spikes",
        {
            "spike_time": Variable((("spike",),), units="s"),
            "spike_unit": Variable((("spike",),), dtype="iu"),
        },
        attrs=("t_start", "t_stop"),
        hint="read a file with nks.io.read_spikes, or use nks.io.from_spike_times({unit: seconds})",
    ),
    "counts": Kind(
        "counts",
        {
            "count": Variable(
                (("time", "unit"), ("trial", "time", "unit")), units="1", dtype="iuf"
            ),
            "trial_length": Variable((("trial",), ()), units="1", dtype="iu", required=False),
            "observed": Variable((("time",), ("trial", "time")), dtype="b", required=False),
            "context": Variable((("time",), ("trial", "time")), dtype="b", required=False),
            "held_in": Variable((("unit",),), dtype="b", required=False),
            "forward": Variable((("time",),), dtype="b", required=False),
        },
        attrs=("bin_size",),
        hint="make it with nks.bin_spikes(session, bin_size)",
    ),
    "calcium": Kind(
        "calcium",
        {
            "fluorescence": Variable((("time", "unit"),), required=False),
            "neuropil": Variable((("time", "unit"),), required=False),
            "dff": Variable((("time", "unit"),), required=False),
            "denoised": Variable((("time", "unit"),), required=False),
            "deconvolved": Variable((("time", "unit"),), required=False),
            "is_cell": Variable((("unit",),), dtype="b", required=False),
            "cell_probability": Variable((("unit",),), required=False),
            "roi_y": Variable((("unit",),), dtype="iuf", units="pixel", required=False),
            "roi_x": Variable((("unit",),), dtype="iuf", units="pixel", required=False),
        },
        hint="read a recording with nks.io.read_calcium, simulate one with "
        "nks.snn.observe.calcium(session), or use nks.io.from_fluorescence(array, "
        "sampling_rate=30)",
    ),
    "rois": Kind(
        "rois",
        {
            "pixel_unit": Variable((("pixel",),), dtype="iu", required=False),
            "pixel_y": Variable((("pixel",),), dtype="iu", units="pixel", required=False),
            "pixel_x": Variable((("pixel",),), dtype="iu", units="pixel", required=False),
            "pixel_weight": Variable((("pixel",),), required=False),
            "mask": Variable((("unit", "y", "x"), ("unit", "y", "x", "z")), required=False),
        },
        hint="nks.io.read_calcium gives them where the file holds them",
    ),
    "signal": Kind(
        "signal",
        {
            "signal": Variable((("time", "channel"), ("trial", "time", "channel"))),
            "channel_type": Variable((("channel",),), dtype="UTO"),
            "channel_unit": Variable((("channel",),), dtype="UTO"),
            "bad": Variable((("channel",),), dtype="b", required=False),
            "x": Variable((("channel",),), units="m", required=False),
            "y": Variable((("channel",),), units="m", required=False),
            "z": Variable((("channel",),), units="m", required=False),
            "coord_frame": Variable((("channel",), ()), dtype="UTO", required=False),
        },
        hint="simulate one with nks.snn.observe.sensors(session, 64), or give signal(time, "
        "channel) with channel_type and channel_unit (T, T/m, V) of each channel",
    ),
    "evoked": Kind(
        "evoked",
        {
            "signal": Variable((("condition", "time", "channel"),)),
            "channel_type": Variable((("channel",),), dtype="UTO"),
            "channel_unit": Variable((("channel",),), dtype="UTO"),
            "n_averaged": Variable((("condition",),), units="1", dtype="iu", required=False),
            "bad": Variable((("channel",),), dtype="b", required=False),
        },
        hint="give signal(condition, time, channel), the mean over the trials of each condition, "
        "with channel_type and channel_unit of each channel",
    ),
    "trials": Kind(
        "trials",
        {
            "start_time": Variable((("trial",),), units="s"),
            "stop_time": Variable((("trial",),), units="s"),
        },
        hint="give start_time(trial) and stop_time(trial) in seconds",
    ),
    "epochs": Kind(
        "epochs",
        {
            "start_time": Variable((("epoch",),), units="s"),
            "stop_time": Variable((("epoch",),), units="s"),
        },
        hint="give start_time(epoch) and stop_time(epoch) in seconds",
    ),
    "events": Kind(
        "events",
        {
            "event_onset": Variable((("event",),), units="s"),
            "event_duration": Variable((("event",),), units="s"),
            "event_label": Variable((("event",),), dtype="UTO"),
        },
        hint="give event_onset, event_duration (s) and event_label, all (event)",
    ),
    "behavior": Kind(
        "behavior",
        {},  # any covariate over time; a position on a line, in a plane or of several points alike
        hint="give position(time, space) or any covariate over time, with attrs['units'], and "
        "time in seconds",
    ),
    "stimulus": Kind(
        "stimulus",
        {
            "frame": Variable((("time", "y", "x"),), dtype="iuf", required=False),
            "condition": Variable((("trial",),), dtype="iufUTO", required=False),
        },
        hint="give what was shown: frame(time, y, x) or another variable over time, in seconds, or "
        "condition(trial)",
    ),
    "tuning": Kind(
        "tuning",
        {
            "response": Variable((("session", "unit", "stimulus", "condition"),)),
            "response_se": Variable(
                (("session", "unit", "stimulus", "condition"),), required=False
            ),
            "probability": Variable(
                (("stimulus", "condition"), ("session", "stimulus", "condition")),
                units="1",
                required=False,
            ),
        },
        hint="give response(session, unit, stimulus, condition), the mean response to each "
        "stimulus, with coordinates unit, stimulus (with attrs['units']) and condition",
    ),
    "patterns": Kind(
        "patterns",
        {
            "pattern": Variable(
                (("item", "cell"), ("time", "cell"), ("item", "time", "cell")), dtype="b"
            ),
            "item_length": Variable((("item",),), units="1", dtype="iu", required=False),
            "label": Variable((("item",),), dtype="iuUTO", required=False),
        },
        hint="make it from binned spikes with nks.sdr.encode(counts, sparsity=0.05), or give "
        "booleans: pattern(item, cell), or pattern([item,] time, cell) of sequences",
    ),
}
