"""The command line, end to end on small files, and the demo's parts."""

from __future__ import annotations

import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr import _pipeline
from neurokit_sdr.__main__ import main
from neurokit_sdr._report import Report
from neurokit_sdr.core.errors import NeurokitError


@pytest.fixture
def recording(tmp_path):
    truth = nks.snn.switching_population(4, 2, rng=0)
    counts = nks.snn.simulate_switching_population(truth, 3000, rng=0)
    path = tmp_path / "session.nwb"
    nks.io.write_nwb(nks.snn.spikes_from_counts(counts, rng=0), path)
    return path


def test_fit_writes_a_report_and_a_result_that_opens(recording, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["fit", "hmm-glm", str(recording), "--states", "2", "--bin", "0.02"]
    assert main([*arguments, "--out", str(out), "--nonlinearity", "sigmoid"]) == 0
    model = nks.load_result(out / "fit.nc")
    assert model.get_params()["n_states"] == 2
    page = (out / "report.html").read_text(encoding="utf-8")
    for word in ("HMM-GLM of session.nwb", "single-state GLM", "Poisson HMM", "data:image/png"):
        assert word in page
    assert str(out / "report.html") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"--states": "0"}, "n_states"),
        ({"--bin": "0"}, "bin_size"),
        ({"file": "missing.nwb"}, "missing.nwb"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(recording, tmp_path, capsys, change, says):
    given = {"--states": "2", "--bin": "0.02", "--out": str(tmp_path / "out")} | change
    file = given.pop("file", str(recording))
    options = [word for pair in given.items() for word in pair]
    assert main(["fit", "hmm-glm", file, *options]) == 2
    error = capsys.readouterr().err
    assert "neurokit-sdr: Expected" in error
    assert says in error
    assert "Traceback" not in error


def test_the_bundled_recording_is_recovered(tmp_path):
    report = Report("test")
    _pipeline._analyse_bundled(report, tmp_path)
    model = nks.load_result(tmp_path / "fit_bundled.nc")
    session = nks.io.read_spikes(_pipeline.bundled_path())
    truth = session["truth"].to_dataset()
    counts = nks.bin_spikes(session, 0.02)
    oracle = nks.analysis.HMMGLM.from_parameters(truth).predict(counts)
    found = nks.validation.match_states(truth["state"].values, model.result_["state"].values)
    best = nks.validation.match_states(truth["state"].values, oracle["state"].values)
    assert found.accuracy >= best.accuracy - 0.01
    weight = model.result_["weight"].values[found.order].ravel()
    # 74,404 spikes pin 432 weights down to about 0.15 against a spread of 0.9.
    assert np.corrcoef(weight, truth["weight"].values.ravel())[0, 1] > 0.95


def test_the_demo_goes_on_without_the_real_recording(tmp_path, monkeypatch):
    def nothing(name):
        raise NeurokitError("no network and no folder")

    monkeypatch.setattr(nks.io, "fetch_example", nothing)
    page = _pipeline.demo(tmp_path).read_text(encoding="utf-8")
    assert "no network and no folder" in page
    assert "A recording with known truth" in page


@pytest.mark.slow
@pytest.mark.parametrize(("n_states", "floor"), [(2, 0.78), (3, 0.89), (5, 1.02)])
def test_linear_track_is_predicted(data_folder, n_states, floor):
    """The floors are an independent EM's scores on the same protocol."""
    counts = nks.bin_spikes(nks.io.fetch_example("linear_track"), 0.02)
    fold = nks.validation.alternating_blocks(counts, 10)[0]
    single = nks.analysis.HMMGLM(n_states).fit(fold.train, rng=0, progress=False)
    several = nks.analysis.HMMGLM(n_states, history=[0.02, 0.1, 0.5])
    several.fit(fold.train, rng=0, progress=False)
    assert single.score(fold.test) >= floor
    assert several.score(fold.test) > max(0.772, single.score(fold.test))
