"""neo's formats: segments, clocks and text, as neo itself loads them."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import DataWarning, MissingDependencyError, NeurokitError


def neo_matlab(path: Path, shifts: list[float]) -> Path:
    import neo
    import quantities as pq

    block = neo.Block()
    for k, shift in enumerate(shifts):
        segment = neo.Segment(name=f"part{k}")
        for name, times in (("u1", [100.0, 250.0]), ("u2", [1000.0])):
            train = neo.SpikeTrain(
                np.array(times) * pq.ms + shift * pq.s,
                t_start=shift * pq.s,
                t_stop=(shift + 1.0) * pq.s,
                name=name,
                area="V1",
            )
            segment.spiketrains.append(train)
        segment.events.append(neo.Event([shift + 0.5] * pq.s, labels=np.array(["go"])))
        segment.epochs.append(
            neo.Epoch([shift] * pq.s, durations=[0.5] * pq.s, labels=np.array(["wait"]))
        )
        block.segments.append(segment)
    neo.io.NeoMatlabIO(str(path)).write_block(block)
    return path


def test_neo_file(tmp_path):
    tree = nks.io.read_spikes(neo_matlab(tmp_path / "a.mat", [0.0]))
    spikes = tree["/spikes"].to_dataset()
    assert spikes["unit"].values.tolist() == ["u1", "u2"]
    np.testing.assert_allclose(spikes["spike_time"].values, [0.1, 0.25, 1.0], rtol=1e-15)
    assert spikes["area"].values.tolist() == ["V1", "V1"]
    assert (spikes.attrs["t_start"], spikes.attrs["t_stop"]) == (0.0, 1.0)
    assert tree["/events/event_label"].values.tolist() == ["go"]
    assert tree["/epochs/stop_time"].values.tolist() == [0.5]
    assert tree["/epochs/label"].values.tolist() == ["wait"]


def test_neo_segments_that_follow_one_another_are_one_recording(tmp_path):
    with pytest.warns(DataWarning, match="gaps"):
        tree = nks.io.read_spikes(neo_matlab(tmp_path / "a.mat", [0.0, 5.0]))
    np.testing.assert_allclose(tree["/spikes/spike_time"].values, [0.1, 0.25, 5.1, 5.25, 1.0, 6.0])
    assert tree["/observation_intervals/start_time"].values.tolist() == [0.0, 5.0]
    assert tree["/spikes"].attrs["t_stop"] == 6.0
    neo_matlab(tmp_path / "b.mat", [0.0, 1.0])  # without a gap there is nothing to warn of
    assert nks.io.read_spikes(tmp_path / "b.mat")["/spikes"].attrs["t_stop"] == 2.0


def test_neo_segments_with_clocks_of_their_own_stay_apart(tmp_path):
    with pytest.warns(DataWarning, match="/segments/0"):
        tree = nks.io.read_spikes(neo_matlab(tmp_path / "a.mat", [0.0, 0.0]))
    for k in range(2):
        spikes = schema.check(tree[f"/segments/{k}/spikes"].to_dataset(), "spikes")
        np.testing.assert_allclose(spikes["spike_time"].values, [0.1, 0.25, 1.0])
        assert spikes.attrs["name"] == f"part{k}"
    assert nks.bin_spikes(tree["/segments/1/spikes"], 0.5)["count"].values.sum() == 3


def test_text_with_one_train_per_line_keeps_every_digit(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("0.1\t1999.123456789\n\n5.5\n")
    spikes = nks.io.read_spikes(path)["/spikes"]
    assert spikes["spike_time"].values.tolist() == [0.1, 1999.123456789, 5.5]
    assert spikes["spike_unit"].values.tolist() == [0, 0, 2]


def test_lazy_neo_readers_agree_with_their_own_load(tmp_path, monkeypatch):
    """ExampleIO makes a recording up; it goes the way of every reader of an acquisition system."""
    import neo

    from neurokit_sdr.io.formats.neo import read as neo_read

    monkeypatch.setattr(neo_read, "_REFUSED", neo_read._REFUSED - {"ExampleIO"})
    path = tmp_path / "made_up.fake"
    path.write_bytes(b"x")
    with pytest.warns(DataWarning) as caught:
        tree = nks.io.read_spikes(path)
    text = " ".join(str(w.message) for w in caught)
    assert "signal" in text
    assert "spike waveforms" in text
    (block,) = neo.io.ExampleIO(str(path)).read()
    units = zip(*(segment.spiketrains for segment in block.segments), strict=True)
    expected = [t.rescale("s").magnitude for unit in units for t in unit]
    assert len(block.segments) == 2
    assert np.array_equal(tree["/spikes/spike_time"].values, np.concatenate(expected))
    assert tree["/observation_intervals"].sizes["interval"] == 2


def test_missing_package_is_named(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.nix", "w") as file:
        file.attrs["format"] = "nix"
    monkeypatch.setitem(sys.modules, "nixio", None)
    with pytest.raises(MissingDependencyError, match="pip install nixio"):
        nks.io.read_spikes(tmp_path / "a.nix")


# Some of neo's readers leave a file open when it is not theirs: not ours to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_refusal_is_an_error_of_ours(tmp_path):
    """Whatever the bytes and the suffix, a reader never lets another library's exception out."""
    import neo

    junk = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()
    for suffix in sorted(set(neo.io.io_by_extension) - {""}):
        path = tmp_path / f"junk.{suffix}"
        path.write_bytes(junk)
        with pytest.raises(NeurokitError):
            nks.io.read_spikes(path)
        path.unlink()
