"""``~`` means the home folder in every argument that is a path."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.__main__ import parser

PATHS = {"path", "folder", "checkpoint", "file"}
ROOMS = ("io", "snn", "sdr", "analysis", "generative", "validation", "plotting")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Path("~").expanduser() == tmp_path
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    yield tmp_path
    assert list(elsewhere.iterdir()) == [], "something was written to a folder named ~"


def takers() -> Iterator[str]:
    """Every public function or method with an argument that is a path, found by machine."""
    named = [(name, getattr(nks, name)) for name in nks.__all__ if callable(getattr(nks, name))]
    for room in ROOMS:
        members = getattr(nks, room)
        named += [(f"{room}.{n}", getattr(members, n)) for n in dir(members) if n[0] != "_"]
    for name, member in named:
        methods = inspect.getmembers(member, inspect.isfunction) if inspect.isclass(member) else []
        for called, function in [(name, member), *((f"{name}.{m}", f) for m, f in methods)]:
            try:
                arguments = inspect.signature(function).parameters
            except (TypeError, ValueError):
                continue
            if PATHS & set(arguments) and not called.rpartition(".")[2].startswith("_"):
                yield called


def counts() -> xr.Dataset:
    truth = nks.snn.switching_population(3, 2, rng=0)
    return nks.snn.simulate_switching_population(truth, 200, rng=0)


def spikes() -> xr.DataTree:
    return nks.io.from_spike_times({"a": [0.1, 0.2], "b": [0.3]})


def volts() -> xr.DataTree:
    time = ("time", np.arange(500) / 500.0, {"units": "s"})
    signal = np.random.default_rng(0).normal(0, 1e-5, (500, 2))
    return xr.DataTree.from_dict(
        {
            "/signal": xr.Dataset(
                {"signal": (("time", "channel"), signal, {"units": "V"})},
                {
                    "time": time,
                    "channel": ["A1", "A2"],
                    "channel_type": ("channel", ["seeg"] * 2),
                    "channel_unit": ("channel", ["V"] * 2),
                },
                {"sampling_rate": 500.0},
            )
        }
    )


def traces() -> xr.DataTree:
    return nks.io.from_fluorescence(np.ones((20, 3)) + np.arange(20)[:, None], sampling_rate=10.0)


def saved_model(path: str) -> None:
    model = nks.generative.Smoothing(smoothing=0.05).fit(counts(), rng=0, progress=False)
    nks.save_result(model, path)


def kept(fit: Callable[[Any], Any]) -> Callable[[str], None]:
    """A fit that ends takes its checkpoint away; what tells is that it could be written there."""

    def call(path: str) -> None:
        Path(path).expanduser().parent.mkdir(exist_ok=True)
        fit(path)

    return call


#: How each is called with a path; what it makes first.
CALLS: dict[str, Callable[[str], Any]] = {
    "save": lambda p: nks.save(spikes(), p),
    "save_result": saved_model,
    "io.write_nwb": lambda p: nks.io.write_nwb(spikes(), p),
    "io.write_edf": lambda p: nks.io.write_edf(volts(), p),
    "io.write_fif": lambda p: nks.io.write_fif(volts(), p),
    "io.write_bids": lambda p: nks.io.write_bids(volts(), p, subject="01", task="rest"),
    "io.write_suite2p": lambda p: nks.io.write_suite2p(traces(), p),
    "snn.simulate": kept(
        lambda p: nks.snn.simulate(
            nks.snn.hub_network(20, rng=0), 0.05, rng=0, checkpoint=p, progress=False
        )
    ),
    "analysis.HMMGLM.fit": kept(
        lambda p: nks.analysis.HMMGLM(1).fit(counts(), rng=0, checkpoint=p, progress=False)
    ),
    "generative.LangevinFlow.fit": kept(
        lambda p: nks.generative.LangevinFlow(n_latents=4, n_hidden=4, n_steps=4).fit(
            counts(), rng=0, checkpoint=p, progress=False
        )
    ),
}
#: What opens a file, and what writes one it can open.
OPENED: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "load": ("save", "a.nc", nks.load),
    "load_result": ("save_result", "a.nc", nks.load_result),
    "io.read": ("io.write_nwb", "a.nwb", nks.io.read),
    "io.read_spikes": ("io.write_nwb", "a.nwb", nks.io.read_spikes),
    "io.read_calcium": ("io.write_suite2p", "suite2p", nks.io.read_calcium),
    "io.read_seeg": ("io.write_edf", "a.edf", nks.io.read_seeg),
    "io.read_meg": ("io.write_fif", "a_raw.fif", nks.io.read_meg),
}
ENDINGS = {
    "save": "a.nc",
    "save_result": "a.nc",
    "io.write_nwb": "a.nwb",
    "io.write_edf": "a.edf",
    "io.write_fif": "a_raw.fif",
}


@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.NeurokitWarning")
@pytest.mark.parametrize("name", CALLS)
def test_what_writes_knows_home(home, name):
    ending = ENDINGS.get(name, "a")
    CALLS[name](f"~/out/{ending}")
    assert (home / "out").is_dir()
    if name in ENDINGS or name.startswith("io.write"):
        assert (home / "out" / ending).exists()


@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.NeurokitWarning")
@pytest.mark.parametrize("name", OPENED)
def test_what_reads_knows_home(home, name):
    writer, file, reader = OPENED[name]
    CALLS[writer](str(home / file))
    assert reader(f"~/{file}") is not None


@pytest.mark.parametrize("reader", [nks.io.read_neural_latents, nks.analysis.load_benucci])
def test_what_is_not_there_is_looked_for_at_home(home, reader):
    with pytest.raises(nks.core.errors.NeurokitError, match=str(home)):
        reader("~/nothing")


def test_the_command_line_knows_home(home):
    chosen = parser().parse_args(
        ["fit", "hmm-glm", "~/a.nwb", "--states", "1", "--bin", "0.1", "--out", "~/b"]
    )
    assert (chosen.file, chosen.out) == (home / "a.nwb", home / "b")


def test_every_taker_of_a_path_is_tried():
    tried = {*CALLS, *OPENED, "io.read_neural_latents", "analysis.load_benucci"}
    found = set(takers())
    assert found - tried == set()
    assert len(found) >= 15
