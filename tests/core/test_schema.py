"""The schema: what it takes, and what it says to everything else."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from strategies import (
    animal_trees,
    count_datasets,
    series_datasets,
    spike_datasets,
    stimulus_datasets,
    tuning_datasets,
)

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import NeurokitError, SchemaError


def spikes(**changes) -> xr.Dataset:
    """Three spikes of two units in one second."""
    time = changes.pop("time", [0.1, 0.5, 0.3])
    unit = changes.pop("unit", [0, 0, 1])
    attrs = {"t_start": 0.0, "t_stop": 1.0} | changes
    return xr.Dataset(
        {
            "spike_time": ("spike", np.asarray(time, dtype=float), {"units": "s"}),
            "spike_unit": ("spike", np.asarray(unit, dtype=int)),
        },
        coords={"unit": ["a", "b"]},
        attrs=attrs,
    )


def counts(shape=(5, 2), **variables) -> xr.Dataset:
    dims = ("trial", "time", "unit")[-len(shape) :]
    return xr.Dataset(
        {"count": (dims, np.ones(shape, dtype=int), {"units": "1"}), **variables},
        coords={"unit": [f"u{i}" for i in range(shape[-1])]},
        attrs={"bin_size": 0.02},
    )


def calcium() -> xr.Dataset:
    return xr.Dataset(
        {"fluorescence": (("time", "unit"), np.ones((3, 2)))},
        coords={"time": ("time", [0.0, 0.1, 0.2], {"units": "s"}), "unit": ["a", "b"]},
    )


def rois() -> xr.Dataset:
    pixel = np.array([0, 0, 1])
    place = {"units": "pixel"}
    return xr.Dataset(
        {
            "pixel_unit": ("pixel", pixel),
            "pixel_y": ("pixel", pixel + 4, place),
            "pixel_x": ("pixel", pixel, place),
        },
        coords={"unit": ["a", "b"]},
    )


def signal() -> xr.Dataset:
    return xr.Dataset(
        {"signal": (("time", "channel"), np.ones((3, 2)))},
        coords={
            "time": ("time", [0.0, 0.1, 0.2], {"units": "s"}),
            "channel": ["a", "b"],
            "channel_type": ("channel", ["mag", "mag"]),
            "channel_unit": ("channel", ["T", "T"]),
        },
    )


def intervals(start, stop, dim="trial") -> xr.Dataset:
    return xr.Dataset(
        {
            "start_time": (dim, np.array(start, float), {"units": "s"}),
            "stop_time": (dim, np.array(stop, float), {"units": "s"}),
        }
    )


def behavior(time=(0.0, 0.1, 0.2)) -> xr.Dataset:
    return xr.Dataset(
        {"position": (("time", "space"), np.ones((len(time), 2)), {"units": "m"})},
        coords={"time": ("time", np.array(time), {"units": "s"}), "space": ["x", "y"]},
    )


def tuning(**changes) -> xr.Dataset:
    """One session, two units, three orientations in two ensembles."""
    dims = ("session", "unit", "stimulus", "condition")
    response = changes.pop("response", np.ones((1, 2, 3, 2)))
    orientation = changes.pop("stimulus", ("stimulus", [-60.0, 0.0, 60.0], {"units": "deg"}))
    data = xr.Dataset(
        {"response": (dims, response, {"units": "Hz"})},
        coords={"unit": ["a", "b"], "stimulus": orientation, "condition": ["uniform", "biased"]},
    )
    return data.assign(changes)


def changed(data: xr.Dataset, name: str, values) -> xr.Dataset:
    return data.assign({name: data[name].copy(data=np.asarray(values))})


def refused(data, kind: str, *says: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema.check(data, kind)
    text = str(caught.value)
    for word in ("Expected", "got", *says):
        assert word in text, f"{word!r} not in: {text}"


def test_what_follows_the_schema_passes_as_it_is():
    events = xr.Dataset(
        {
            "event_onset": ("event", [0.5], {"units": "s"}),
            "event_duration": ("event", [0.0], {"units": "s"}),
            "event_label": ("event", ["go"]),
        }
    )
    for data, kind in (
        (spikes(), "spikes"),
        (counts(), "counts"),
        (counts((2, 5, 3)), "counts"),
        (intervals([0, 1], [1, 1]), "trials"),
        (intervals([0, 1], [1, 1], "epoch"), "epochs"),
        (events, "events"),
    ):
        before = data.copy(deep=True)
        assert schema.check(data, kind) is data
        xr.testing.assert_identical(data, before)


@given(spike_datasets())
@settings(max_examples=25, deadline=None)
def test_recordings_without_spikes_or_with_any_dtype_pass(data):
    assert schema.check(data, "spikes") is data
    assert schema.check(data.isel(spike=slice(0)), "spikes").sizes["spike"] == 0


@pytest.mark.parametrize("wrong", [None, 3, "x", [1], {"count": 1}, np.zeros((3, 2))])
@pytest.mark.parametrize("kind", list(schema.KINDS))
def test_other_objects_are_named(kind, wrong):
    refused(wrong, kind, "xarray.Dataset", schema.describe(wrong), schema.KINDS[kind].hint)


def test_errors_are_caught_by_the_base_class_and_by_value_error():
    for base in (NeurokitError, ValueError):
        with pytest.raises(base):
            schema.check(None, "spikes")


@pytest.mark.parametrize("kind", list(schema.KINDS))
def test_every_required_variable_is_required(kind):
    good = {
        "spikes": spikes(),
        "counts": counts(),
        "calcium": calcium(),
        "rois": rois(),
        "signal": signal(),
        "evoked": signal().expand_dims("condition").transpose("condition", "time", "channel"),
        "trials": intervals([0], [1]),
        "epochs": intervals([0], [1], "epoch"),
        "events": xr.Dataset(
            {
                "event_onset": ("event", [0.5], {"units": "s"}),
                "event_duration": ("event", [0.0], {"units": "s"}),
                "event_label": ("event", ["go"]),
            }
        ),
        "patterns": xr.Dataset(
            {"pattern": (("item", "cell"), [[True, False]])}, {"cell": ["a", "b"]}
        ),
        "behavior": behavior(),
        "stimulus": xr.Dataset({"condition": ("trial", ["left", "right"])}),
        "tuning": tuning(),
    }[kind]
    schema.check(good, kind)
    for name, variable in schema.KINDS[kind].variables.items():
        if not variable.required:
            continue
        refused(good.drop_vars(name), kind, repr(name), schema.KINDS[kind].hint)
        refused(good.rename({name: name + "_"}), kind, f"Did you mean '{name}_'?")
        if variable.units:
            refused(good.assign({name: good[name].drop_attrs()}), kind, "units", variable.units)
            milli = good[name].assign_attrs(units="ms")
            refused(good.assign({name: milli}), kind, "'ms'", "convert")
        wrong = good[name].copy(data=np.full(good[name].shape, 1j))
        refused(good.assign({name: wrong}), kind, "dtype", "complex128")
        dim = good[name].dims[0]
        refused(good.rename({dim: "row"}), kind, "'row'", "rename or transpose")
    for attr in schema.KINDS[kind].attrs:
        others = {k: v for k, v in good.attrs.items() if k != attr}
        refused(good.drop_attrs(deep=False).assign_attrs(others), kind, attr)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (spikes(time=[0.1, np.nan, 0.3]), ["1 NaN or infinite", "index 1", "drop"]),
        (spikes(time=[0.1, np.inf, 0.3]), ["NaN or infinite"]),
        (spikes(time=[-0.1, 0.5, 0.3]), ["inside the recording", "-0.1", "t_start"]),
        (spikes(time=[0.1, 500.0, 0.3]), ["inside the recording", "samples or milliseconds"]),
        (spikes(time=[0.5, 0.1, 0.3]), ["sorted", "'a'", "sort"]),
        (spikes(unit=[0, 0, 2]), ["2 units", "0 to 2", "position"]),
        (spikes(unit=[-1, 0, 1]), ["-1 to 1"]),
        (spikes().assign_coords(unit=["a", "a"]), ["unique", "'a'", "distinct"]),
        (spikes().drop_vars("unit"), ["coordinate 'unit'", "assign_coords"]),
        (spikes(t_stop=np.nan), ["t_start <= t_stop", "nan"]),
        (spikes(t_stop=-1.0), ["t_start <= t_stop", "-1"]),
        (spikes(t_start=-np.inf), ["finite"]),
        (spikes(t_start="now"), ["t_start", "'now'"]),
        (spikes(t_start="0.0"), ["t_start", "'0.0'"]),
        (spikes(t_stop=[1.0]), ["t_stop", "[1.0]"]),
    ],
)
def test_wrong_spikes(data, says):
    refused(data, "spikes", *says)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (changed(counts(), "count", np.full((5, 2), -1)), [">= 0", "-1"]),
        (changed(counts(), "count", np.full((5, 2), np.nan)), ["finite", "10", "observed"]),
        (counts().assign_coords(unit=["a", "a"]), ["unique"]),
        (counts().assign_attrs(bin_size=0.0), ["bin_size", "> 0", "nks.bin_spikes"]),
        (counts().assign_attrs(bin_size=np.nan), ["bin_size"]),
        (counts().assign_attrs(bin_size="20 ms"), ["bin_size", "'20 ms'"]),
        (counts((2, 5, 2), trial_length=("trial", [5, 6], {"units": "1"})), ["trial_length", "6"]),
        (counts((2, 5, 2), trial_length=("trial", [-1, 5], {"units": "1"})), ["-1"]),
        (counts((2, 5, 2), trial_length=("trial", [5.0, 5.0], {"units": "1"})), ["dtype"]),
        (counts(observed=("time", np.ones(5))), ["observed", "dtype", "float64"]),
        (counts(observed=("unit", np.ones(2, bool))), ["observed", "dims"]),
        (counts(observed=(("trial", "time"), np.ones((3, 5), bool))), ["observed", "dims"]),
        (counts(trial_length=("trial", [5], {"units": "1"})), ["trial_length", "dims"]),
        (changed(counts(), "count", np.full((5, 2), True)), ["dtype", "bool"]),
    ],
)
def test_wrong_counts(data, says):
    refused(data, "counts", *says)


@given(count_datasets())
@settings(max_examples=25, deadline=None)
def test_what_missing_bins_and_bins_beyond_a_trial_hold_does_not_matter(data):
    valid = schema.valid_bins(data)
    spoilt = data.assign(count=data["count"].astype(float)).copy(deep=True)
    spoilt["count"].values[~valid] = np.nan
    assert schema.check(spoilt, "counts") is spoilt
    assert valid.shape == data["count"].shape[:-1]
    lengths = schema.trial_lengths(data)
    assert (valid.reshape(len(lengths), -1).sum(axis=1) <= lengths).all()


@pytest.mark.parametrize("kind", ["trials", "epochs"])
def test_wrong_intervals(kind):
    dim = kind[:-1]
    for start, stop, says in (
        ([0.0, 2.0], [1.0, 1.0], "index 1"),
        ([np.nan], [1.0], "nan"),
        ([0.0], [np.inf], "inf"),
    ):
        refused(intervals(start, stop, dim), kind, says, "drop or correct")


def test_wrong_events():
    events = xr.Dataset(
        {
            "event_onset": ("event", [np.nan], {"units": "s"}),
            "event_duration": ("event", [0.0], {"units": "s"}),
            "event_label": ("event", ["go"]),
        }
    )
    refused(events, "events", "event_onset")


@pytest.mark.parametrize(
    "value", [None, True, np.bool_(True), {"a": 1}, b"x", [True], [None], (1, 2), np.array([None])]
)
def test_attributes_that_no_file_could_keep(value):
    refused(spikes(note=value), "spikes", "'note'", "the Dataset", "encode")
    noted = counts()
    noted["count"].attrs["note"] = value
    refused(noted, "counts", "'note'", "variable 'count'")


@pytest.mark.parametrize(
    "value", ["x", 1, 1.5, np.int16(3), np.float32(2), [1, 2], ["a"], [], np.arange(3.0)]
)
def test_attributes_that_a_file_keeps(value):
    schema.check(spikes(note=value), "spikes")


def test_select_finds_the_kind_in_a_session():
    session = xr.DataTree.from_dict({"/spikes": spikes(), "/trials": intervals([0], [1])})
    xr.testing.assert_identical(schema.select(session, "spikes"), spikes())
    assert schema.select(spikes(), "spikes").sizes["spike"] == 3
    assert schema.select(session["/spikes"], "spikes").sizes["spike"] == 3
    with pytest.raises(SchemaError, match=r"/events group.*'/spikes'"):
        schema.select(session, "events")
    with pytest.raises(SchemaError, match="Expected"):
        schema.select(session["/trials"], "spikes")


def test_did_you_mean():
    assert schema.did_you_mean("cuont", ["count", "unit"]) == " Did you mean 'count'?"
    assert schema.did_you_mean("xyz", ["count", "unit"]) == ""
    assert schema.did_you_mean("x", []) == ""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (counts(), "a Dataset with {'count': ('time', 'unit')}"),
        (xr.Dataset(), "a Dataset with no variables"),
        (counts()["count"], "a DataArray 'count' with dims ('time', 'unit')"),
        (np.zeros((2, 3)), "a NumPy array of shape (2, 3)"),
        (xr.DataTree.from_dict({"/a": None}), "a DataTree with groups ['/a']"),
        (None, "NoneType"),
    ],
)
def test_describe(data, says):
    assert schema.describe(data) == says


def test_calcium_needs_one_trace_and_counts_frames_where_seconds_are_unknown():
    for name in ("dff", "denoised", "deconvolved"):
        assert schema.check(calcium().rename(fluorescence=name), "calcium")
    refused(calcium().drop_vars("fluorescence"), "calcium", "'fluorescence'", "'dff'")
    refused(calcium().rename(fluorescence="flourescence"), "calcium", "Did you mean 'flourescence'")
    frames = calcium()
    frames["time"].attrs["units"] = "frame"
    assert schema.check(frames, "calcium") is frames
    frames["time"].attrs["units"] = "ms"
    refused(frames, "calcium", "'time'", "'ms'", "convert")


def test_regions_of_interest_need_pixels_or_masks():
    masks = xr.Dataset({"mask": (("unit", "y", "x"), np.ones((2, 3, 4)))}, {"unit": ["a", "b"]})
    assert schema.check(masks, "rois") is masks
    assert schema.check(rois().isel(pixel=slice(0)), "rois").sizes["pixel"] == 0
    refused(rois().drop_vars("pixel_y"), "rois", "pixel_unit, pixel_y and pixel_x", "mask")
    beyond = rois()
    beyond["pixel_unit"].values[2] = 2
    refused(beyond, "rois", "2 units", "0 to 2", "position")


def test_select_asks_which_of_several_planes():
    session = xr.DataTree.from_dict({"/calcium/plane0": calcium(), "/calcium/plane1": calcium()})
    with pytest.raises(SchemaError, match=r"got 2 .*'/calcium/plane1'.*choose one"):
        schema.select(session, "calcium")
    assert schema.select(session["/calcium/plane1"], "calcium").sizes["time"] == 3


# -- behaviour, stimuli, tuning, animals --------------------------------------------------------


@given(series_datasets(), stimulus_datasets(), tuning_datasets(), animal_trees())
@settings(max_examples=25, deadline=None)
def test_what_was_done_shown_and_answered_passes(behaviour, stimulus, tuned, tree):
    assert schema.check(behaviour, "behavior") is behaviour
    assert schema.check(stimulus, "stimulus") is stimulus
    assert schema.check(tuned, "tuning") is tuned
    found = schema.animals(tree, "spikes")
    assert list(found) == list(tree["/animals"].children)
    for name, spikes in found.items():
        xr.testing.assert_identical(spikes, tree[f"/animals/{name}/spikes"].to_dataset())
        xr.testing.assert_identical(spikes, schema.select(tree[f"/animals/{name}"], "spikes"))


def test_sessions_hold_the_new_kinds_in_groups_of_their_own():
    parts = {"/behavior": behavior(), "/tuning": tuning()}
    session = xr.DataTree.from_dict(parts)
    for group, data in parts.items():
        xr.testing.assert_identical(schema.select(session, group.strip("/")), data)


def test_wrong_behaviour():
    refused(behavior().rename(time="sample"), "behavior", "over 'time'", "position(time, space)")
    refused(behavior().drop_vars("position"), "behavior", "over 'time'", "any covariate")
    refused(behavior().drop_vars("time"), "behavior", "coordinate 'time' in seconds")
    refused(behavior([0, 1, 2]), "behavior", "int64")
    # Trackers stutter: what needs times that rise asks for them.
    schema.check(behavior([0.0, 0.0, 0.1]), "behavior")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (xr.Dataset(), ["'time' or 'trial'", "frame(time, y, x)"]),
        (xr.Dataset({"frame": (("time", "x", "y"), np.ones((2, 3, 4)))}), ["'frame'", "transpose"]),
        (xr.Dataset({"frame": (("time", "y", "x"), np.ones((2, 3, 4)))}), ["coordinate 'time'"]),
        (xr.Dataset({"condition": ("trial", [0.0, 90.0])}), ["'condition'", "units", "'deg'"]),
        (
            xr.Dataset({"condition": ("trial", [0.0, np.nan], {"units": "deg"})}),
            ["'condition'", "1 NaN", "blank"],
        ),
    ],
)
def test_wrong_stimuli(data, says):
    refused(data, "stimulus", *says)


TUNED = ("session", "unit", "stimulus", "condition")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (tuning().drop_vars("unit"), ["coordinate 'unit'"]),
        (tuning().assign_coords(unit=["a", "a"]), ["unique", "'a'"]),
        (tuning().drop_vars("stimulus"), ["coordinate 'stimulus'"]),
        (tuning().drop_vars("condition"), ["coordinate 'condition'"]),
        (tuning().assign_coords(condition=["u", "u"]), ["condition once", "'u'"]),
        (tuning(stimulus=("stimulus", [0.0, 0.0, 1.0], {"units": "deg"})), ["stimulus once"]),
        (tuning(stimulus=("stimulus", [0.0, 1.0, 2.0])), ["'stimulus'", "units"]),
        (tuning(response=np.full((1, 2, 3, 2), np.inf)), ["12 infinite"]),
        (tuning(response_se=(TUNED, np.full((1, 2, 3, 2), -1.0))), ["standard errors", "-1"]),
        (
            tuning(probability=(("stimulus", "condition"), np.full((3, 2), 0.3), {"units": "1"})),
            ["sums to 1", "0.9", ".sum('stimulus')"],
        ),
        (
            tuning(
                probability=(
                    ("stimulus", "condition"),
                    [[1.5, 0.0], [-0.5, 0.5], [0.0, 0.5]],
                    {"units": "1"},
                )
            ),
            [">= 0", "-0.5"],
        ),
        (
            tuning(
                probability=(("stimulus", "condition"), np.full((3, 2), np.nan), {"units": "1"})
            ),
            ["sums to 1", "nan"],
        ),
    ],
)
def test_wrong_tuning(data, says):
    refused(data, "tuning", *says)


def test_a_unit_that_a_session_lacks_has_no_response():
    response = np.ones((1, 2, 3, 2))
    response[0, 1] = np.nan
    error = np.where(np.isnan(response), np.nan, 0.1)
    assert schema.check(tuning(response=response, response_se=(TUNED, error)), "tuning")


def test_animals_need_labels_that_name_a_neuron_once():
    named = spikes().assign_coords(label=("unit", ["AVA", ""]))
    whole = xr.DataTree.from_dict({"/animals/w/spikes": named, "/animals/v/spikes": named})
    assert list(schema.animals(whole, "spikes")) == ["w", "v"]
    for tree, says in (
        (xr.DataTree.from_dict({"/spikes": named}), "/animals/NAME"),
        (spikes(), "/animals/NAME"),
        (xr.DataTree.from_dict({"/animals": xr.Dataset()}), "at least one animal"),
        (xr.DataTree.from_dict({"/animals/w/spikes": spikes()}), "coordinate 'label'"),
        (
            xr.DataTree.from_dict(
                {"/animals/w/spikes": named.assign_coords(label=("unit", ["AVA", "AVA"]))}
            ),
            "'AVA'.*more than once",
        ),
        (xr.DataTree.from_dict({"/animals/w/trials": intervals([0], [1])}), "/spikes group"),
    ):
        with pytest.raises(SchemaError, match=says):
            schema.animals(tree, "spikes")
    with pytest.raises(SchemaError, match=r"one animal, got 2.*'/animals/w'"):
        schema.select(whole, "spikes")
    other = named.rename(label="unit_name")
    tree = xr.DataTree.from_dict({"/animals/w/spikes": other})
    assert schema.animals(tree, "spikes", label="unit_name")["w"].sizes["unit"] == 2
