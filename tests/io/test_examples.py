"""Published recordings: found, checked against their sha256, and read as their files say."""

from __future__ import annotations

import hashlib
import io
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import DataWarning, FileFormatError, NeurokitError, ParameterError
from neurokit_sdr.io.published import fetch as examples
from neurokit_sdr.io.published import spikes as published_spikes
from neurokit_sdr.io.published.table import Example, ExampleFile, Extract


@pytest.fixture
def linear_track(data_folder, monkeypatch) -> xr.DataTree:
    if not (data_folder / "spikes" / "linear_track" / "spikes.mat").exists():
        pytest.skip("spikes/linear_track is not in the data folder")
    monkeypatch.setenv(examples.FOLDER_VARIABLE, str(data_folder))
    return nks.io.fetch_example("linear_track")


def made_up(content: bytes, licence: str = "MIT", extract: Extract | None = None) -> Example:
    """An example of one file, whose reader gives the file's length."""
    file = ExampleFile(
        "a.bin",
        "https://example.org/a.bin",
        hashlib.sha256(content).hexdigest(),
        len(content),
        extract,
    )
    return Example(
        "made/up",
        (file,),
        licence,
        "nobody",
        lambda place: xr.DataTree(xr.Dataset(attrs={"size": (place / "a.bin").stat().st_size})),
    )


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """A registry with one made-up example, no folder at hand, and a cache in tmp_path."""
    monkeypatch.setattr(examples, "EXAMPLES", {"made_up": made_up(b"content")})
    monkeypatch.delenv(examples.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(examples, "_local_folders", lambda: [])
    monkeypatch.setattr(examples, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "made" / "up"


class Answer(io.BytesIO):
    """What a server sends; breaks off after a number of bytes where one is given."""

    def __init__(self, content: bytes, status: int = 200, start: int = 0, cut: int | None = None):
        super().__init__(content[start:])
        self.status, self.cut = status, cut
        whole = len(content)
        self.headers = {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"} if start else {}

    def read(self, size=-1):
        if self.cut is not None and self.tell() >= self.cut:
            raise ConnectionResetError("the line is dead")
        return super().read(size if self.cut is None else min(size, self.cut - self.tell()))


def serve(monkeypatch, content: bytes, ranges: bool = True, cut: int | None = None) -> list[str]:
    """Answer requests; the list fills with the addresses and ranges that are asked for."""
    asked: list[str] = []

    def urlopen(request, timeout):
        span = request.get_header("Range", "")
        asked.append(f"{request.full_url} {span}".strip())
        start = int(span[len("bytes=") : -1]) if span and ranges else 0
        return Answer(content, 206 if start else 200, start, cut)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def test_linear_track_is_what_the_matlab_file_says(linear_track, data_folder):
    import scipy.io

    spikes = linear_track["/spikes"].to_dataset()
    assert spikes.sizes == {"spike": 28829, "unit": 31}
    cells = scipy.io.loadmat(data_folder / "spikes/linear_track/spikes.mat")["spikes"][0, 0][0, 0]
    origin = spikes.attrs["clock_start"]
    for k, unit in enumerate(spikes["unit"].values):
        tetrode, cluster = (int(n) for n in unit[1:].split("U"))
        assert spikes["tetrode"].values[k] == tetrode
        assert spikes["cluster"].values[k] == cluster
        theirs = cells[0, tetrode - 1][0, cluster - 1]["time"][0, 0].ravel()
        ours = spikes["spike_time"].values[spikes["spike_unit"].values == k]
        assert np.array_equal(ours, theirs - origin)
    assert spikes.attrs["t_start"] == 0.0
    assert round(spikes.attrs["t_stop"], 4) == 1968.2732
    assert len(spikes.attrs["clusters_without_spikes"]) == 6
    assert (spikes["brain_area"] == "CA1").all()
    assert nks.bin_spikes(linear_track, 0.02).sizes["time"] == 98413
    assert linear_track.attrs["licence"].startswith("MIT")


def test_linear_track_position(linear_track):
    position = linear_track["/behavior/position"]
    assert position.shape == (118965, 2)
    assert position.attrs["units"] == "pixel"
    time = position["time"].values
    assert (np.diff(time) >= 0).all()
    assert 58 < 1 / np.median(np.diff(time)) < 62
    missing = position.isnull().any("space").values
    assert missing.sum() == 59833 + 1694  # parked, off the track
    assert missing[time > 986].all()
    assert not missing[(time > 30) & (time < 980)].mean() > 0.01
    y = position.sel(space="y").values[~missing]
    assert y.min() > 100
    assert y.max() < 420


def test_linear_track_clocks_agree(linear_track):
    """Spikes tell more of the position at the same moment than 2 s before or after."""
    position = linear_track["/behavior/position"]
    seen = ~position.isnull().any("space").values
    time, place = position["time"].values[seen], position.values[seen]
    centred = place - place.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    edges = np.quantile(along, np.linspace(0, 1, 31))
    occupancy = np.histogram(along, edges)[0] / along.size
    spikes = linear_track["/spikes"].to_dataset()
    running = spikes["spike_time"].values < time[-1]
    when, unit = spikes["spike_time"].values[running], spikes["spike_unit"].values[running]

    def information(lag: float) -> float:
        index = np.clip(np.searchsorted(time, when + lag), 0, time.size - 1)
        place_bin = np.clip(np.searchsorted(edges, along[index]) - 1, 0, 29)
        count = np.zeros((31, 30))
        np.add.at(count, (unit, place_bin), 1)
        share = count / count.sum()
        expected = share.sum(axis=1, keepdims=True) * occupancy
        inside = share > 0
        return float((share[inside] * np.log2(share[inside] / expected[inside])).sum())

    at_once = information(0.0)
    assert at_once > 0.3
    assert all(at_once > information(lag) for lag in (-20.0, -2.0, 2.0, 20.0))


def test_linear_track_survives_nwb(linear_track, tmp_path):
    nks.io.write_nwb(linear_track, tmp_path / "a.nwb")
    back = nks.io.read_spikes(tmp_path / "a.nwb")
    for group in ("/spikes", "/behavior"):
        xr.testing.assert_identical(linear_track[group].to_dataset(), back[group].to_dataset())


def test_unknown_example_is_guessed():
    with pytest.raises(ParameterError, match=r"'linear_track', .*Did you mean 'linear_track'"):
        nks.io.fetch_example("linear-track")


def test_every_entry_is_complete():
    for example in examples.EXAMPLES.values():
        assert example.licence
        assert example.citation
        assert example.content
        assert len(re.findall(r"/[0-9a-f]{40}/", example.files[0].address)) == 1
        assert not Path(example.folder).is_absolute()
        for file in example.files:
            assert file.address.startswith("https://")
            published = urllib.parse.unquote(file.address)
            assert published.lower().replace(" ", "_").endswith(f"/{file.name}".lower()) or (
                file.extract is not None
            )
            assert len(file.sha256) == 64
            assert file.size > 0


def test_download_then_cache(registry, monkeypatch):
    asked = serve(monkeypatch, b"content")
    first = nks.io.fetch_example("made_up")
    assert first.attrs["size"] == 7
    assert first.attrs["citation"] == "nobody"
    assert [p.name for p in registry.iterdir()] == ["a.bin"]
    nks.io.fetch_example("made_up")
    assert asked == ["https://example.org/a.bin"]


@pytest.mark.parametrize("content", [b"other!!", b"cont", b"content and more", b""])
def test_a_wrong_download_is_not_kept(registry, monkeypatch, content):
    serve(monkeypatch, content)
    with pytest.raises(FileFormatError, match=r"sha256.*example\.org/a\.bin"):
        nks.io.fetch_example("made_up")
    assert list(registry.iterdir()) == []


def test_without_network_the_way_out_is_named(registry, monkeypatch):
    def refuse(request, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(NeurokitError, match=r"https://example\.org/a\.bin.*NEUROKIT_SDR_DATA"):
        nks.io.fetch_example("made_up")


def test_files_at_hand_are_checked_too(registry, monkeypatch, tmp_path):
    monkeypatch.setattr(examples, "_local_folders", lambda: [tmp_path / "data"])
    place = tmp_path / "data" / "made" / "up"
    place.mkdir(parents=True)
    (place / "a.bin").write_bytes(b"content")
    asked = serve(monkeypatch, b"content")
    assert nks.io.fetch_example("made_up").attrs["size"] == 7
    (place / "a.bin").write_bytes(b"changed")
    with pytest.raises(FileFormatError, match="delete it"):
        nks.io.fetch_example("made_up")
    assert asked == []


def test_a_file_that_changed_in_the_cache_is_refused(registry):
    registry.mkdir(parents=True)
    (registry / "a.bin").write_bytes(b"changed")
    with pytest.raises(FileFormatError, match="delete it"):
        nks.io.fetch_example("made_up")


def test_order_of_folders(monkeypatch, tmp_path):
    monkeypatch.setenv(examples.FOLDER_VARIABLE, str(tmp_path))
    folders = examples._local_folders()
    assert folders[0] == tmp_path
    monkeypatch.delenv(examples.FOLDER_VARIABLE)
    assert examples._local_folders() == folders[1:]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(examples.sys, "platform", "linux")
    assert examples.cache_folder() == tmp_path / "neurokit_sdr"


def test_a_damaged_tracking_file_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"clockrate: 30000\n<End settings>\n12345")
    with pytest.raises(FileFormatError, match="not a whole"):
        published_spikes._read_tracking(tmp_path / "a", 0.0)


def test_second_led_is_kept_where_it_was_tracked(tmp_path):
    frames = np.zeros(3, published_spikes._FRAME)
    frames["time"] = [30000, 60000, 90000]
    frames["x"], frames["y"] = [200, 522, 210], [200, 8, 210]
    frames["x2"], frames["y2"] = [201, 202, 0], [200, 202, 0]
    header = b"clockrate: 30000\n<End settings>\n"
    (tmp_path / "a").write_bytes(header + frames.tobytes())
    behavior = published_spikes._read_tracking(tmp_path / "a", 1.0)
    assert behavior["time"].values.tolist() == [0.0, 1.0, 2.0]
    assert behavior["position"].isnull().any("space").values.tolist() == [False, True, False]
    assert behavior["position_2"].isnull().any("space").values.tolist() == [False, False, True]


def test_an_example_cannot_be_changed_by_mistake():
    with pytest.raises(AttributeError):
        examples.EXAMPLES["linear_track"].licence = "none"
    assert replace(examples.EXAMPLES["linear_track"], licence="x").licence == "x"


# -- downloads that break off -------------------------------------------------------------------


def test_a_download_goes_on_where_it_broke_off(registry, monkeypatch):
    serve(monkeypatch, b"content", cut=3)
    with pytest.raises(NeurokitError, match=r"line is dead; 3 of 7 bytes are kept"):
        nks.io.fetch_example("made_up")
    assert (registry / "a.bin.part").read_bytes() == b"con"
    asked = serve(monkeypatch, b"content")
    assert nks.io.fetch_example("made_up").attrs["size"] == 7
    assert asked == ["https://example.org/a.bin bytes=3-"]
    assert [p.name for p in registry.iterdir()] == ["a.bin"]


def test_a_server_that_knows_no_ranges_is_asked_for_all(registry, monkeypatch):
    serve(monkeypatch, b"content", cut=3)
    with pytest.raises(NeurokitError):
        nks.io.fetch_example("made_up")
    serve(monkeypatch, b"content", ranges=False)
    assert nks.io.fetch_example("made_up").attrs["size"] == 7


@pytest.mark.parametrize("part", [b"xxx", b"more than seven", b"content", b"xxxxxxx"])
def test_a_part_of_something_else_is_not_built_on(registry, monkeypatch, part):
    registry.mkdir(parents=True)
    (registry / "a.bin.part").write_bytes(part)
    serve(monkeypatch, b"content")
    if part.startswith(b"xxx"):
        with pytest.raises(FileFormatError, match="nothing was kept"):
            nks.io.fetch_example("made_up")
    assert nks.io.fetch_example("made_up").attrs["size"] == 7


def test_an_endless_answer_is_cut_off(registry, monkeypatch):
    class Endless(Answer):
        def read(self, size=-1):
            return b"x" * size

    monkeypatch.setattr(urllib.request, "urlopen", lambda request, timeout: Endless(b""))
    with pytest.raises(FileFormatError, match="65536 bytes"):
        nks.io.fetch_example("made_up")


def test_where_no_licence_is_stated_it_says_so_before_it_downloads(registry, monkeypatch):
    monkeypatch.setattr(examples, "EXAMPLES", {"made_up": made_up(b"content", "none stated")})
    asked = serve(monkeypatch, b"content")
    with pytest.raises(DataWarning, match=r"state no licence.*cite nobody"):
        nks.io.fetch_example("made_up")  # warnings are errors here: it stops at once
    assert asked == []
    with pytest.warns(DataWarning, match="no licence"):
        nks.io.fetch_example("made_up")
    nks.io.fetch_example("made_up")  # not downloaded, nothing to say


def test_what_lies_in_a_larger_file_is_taken_out_of_it(registry, monkeypatch):
    whole = b"--content--"
    extract = Extract(hashlib.sha256(whole).hexdigest(), 11, lambda p: p.read_bytes().strip(b"-"))
    monkeypatch.setattr(examples, "EXAMPLES", {"made_up": made_up(b"content", "MIT", extract)})
    serve(monkeypatch, whole)
    assert nks.io.fetch_example("made_up").attrs["size"] == 7
    assert [p.name for p in registry.iterdir()] == ["a.bin"]


def test_neuron_labels_are_taken_out_of_a_dictionary_of_julia(tmp_path):
    """A file laid out as the laboratory's, of one recording with two matches."""
    import h5py

    from neurokit_sdr.io.published import labels as published_labels

    with h5py.File(tmp_path / "a.jld2", "w") as file:
        pair = np.dtype([("first", h5py.ref_dtype), ("second", h5py.ref_dtype)])
        number = iter(range(10**6))

        def put(value, **options):
            made = file.create_dataset(f"_refs/{next(number)}", data=value, **options)
            return made.ref

        def text(value):
            return put(value, dtype=h5py.string_dtype())

        def listed(values):
            return put(np.array(values, dtype=object), dtype=h5py.ref_dtype)

        def dictionary(entries):
            pairs = []
            for key, value in entries.items():
                both = np.zeros((), pair)
                both["first"], both["second"] = text(key), value
                pairs.append(put(both))
            return listed(pairs)

        def neuron(label, side, trace, confidence):
            known = dictionary(
                {"label": text(label), "neuron_class": text(label[:3]), "LR": text(side)}
            )
            triple = np.dtype([("1", h5py.ref_dtype), ("2", "i8"), ("3", "f8")])
            match = np.zeros((), triple)
            match["1"], match["2"], match["3"] = known, trace, confidence
            return put(match)

        both = np.zeros((), np.dtype([("1", h5py.ref_dtype), ("2", h5py.ref_dtype)]))
        both["1"] = listed([text("unused")])
        both["2"] = dictionary(
            {
                "AVA": listed([neuron("AVAR", "R", 9, 31.086), neuron("AVAL", "L", 2, 5.0)]),
                "RID": put(h5py.Empty("f8")),
            }
        )
        recordings = {name: put(both) for name in published_labels._RECORDINGS}
        file["NeuroPAL_labels"] = dictionary({"dict_match_dict": dictionary(recordings)})
    rows = published_labels.neuron_labels_csv(tmp_path / "a.jld2").decode().split("\r\n")
    assert rows[0] == "recording,trace_index_1based,label,neuron_class,side,confidence"
    assert rows[1] == "2022-07-26-31,2,AVAL,AVA,L,5.0"
    assert rows[2] == "2022-07-26-31,9,AVAR,AVA,R,31.09"
    assert len(rows) == 12


def test_the_table_lists_every_example():
    table = nks.io.examples()
    assert list(table.index) == list(examples.EXAMPLES)
    assert list(table) == ["content", "megabytes", "at_hand", "licence", "citation", "address"]
    assert (table["megabytes"] > 0).all()
    assert table["at_hand"].dtype == bool
    assert "linear_track" in table._repr_html_()
