"""The same session whatever the chunks, threads, processes and interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.parallel import map_tasks
from neurokit_sdr.snn import (
    CurrentLIF,
    Inputs,
    Network,
    set_up,
    simulation,
)
from tests.snn.networks import (
    COUNTER,
    MAKERS,
    assert_identical,
    latent_network,
    plastic_network,
    recorded,
    run,
    spikes_of,
)


@pytest.fixture(scope="module")
def sessions():
    made = {name: recorded(name) for name in MAKERS}
    for session in made.values():
        assert session["spikes"].sizes["spike"] > 200
        nks.core.schema.check(session["spikes"].to_dataset(), "spikes")
    assert made["dendritic"]["plateaus"].sizes["plateau"] > 10
    final, first = (made["plastic"]["truth"][x] for x in ("final_synapse_weight", "synapse_weight"))
    assert (final != first).any()
    return made


@pytest.mark.parametrize("name", MAKERS)
def test_same_seed_same_session_and_another_seed_another(name, sessions):
    assert_identical(recorded(name), sessions[name])
    other = recorded(name, rng=8)["spikes"]["spike_time"].values
    mine = sessions[name]["spikes"]["spike_time"].values
    assert other.size != mine.size or (other != mine).any()


@pytest.mark.parametrize("name", MAKERS)
def test_chunks_and_buffers_change_nothing(name, sessions, monkeypatch):
    monkeypatch.setattr(simulation, "CHUNK_SECONDS", 0.0371)
    monkeypatch.setattr(set_up, "SPIKE_BUFFER", 1)
    assert_identical(recorded(name), sessions[name])


@pytest.mark.parametrize("name", MAKERS)
def test_simulating_changes_neither_network_nor_global_generator(name):
    network = MAKERS[name]()
    before = network.fingerprint()
    weight = network.synapses.weight.copy()
    np.random.seed(3)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    run(network, 0.5)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.testing.assert_array_equal(network.synapses.weight, weight)
    assert network.fingerprint() == before


def test_map_tasks_gives_the_spikes_of_this_process():
    tasks = [("latent", 7), ("plastic", 7), ("latent", 8)]
    for found, task in zip(map_tasks(spikes_of, tasks, progress=False), tasks, strict=True):
        for one, other in zip(found, spikes_of(task), strict=True):
            np.testing.assert_array_equal(one, other)


def child(script, threads=1):
    """Start a Python process that knows the networks of these tests."""
    root = str(Path(__file__).parents[2])
    lines = [f"import sys; sys.path.insert(0, {root!r})", "from tests.snn import networks", script]
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)],
        env={**os.environ, "NUMBA_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_spikes_do_not_depend_on_threads(tmp_path, sessions):
    children = []
    for threads in (1, 2):
        script = (
            "import numpy\n"
            "for name in networks.MAKERS:\n"
            f"    path = {str(tmp_path)!r} + f'/{{name}}{threads}.npy'\n"
            "    numpy.save(path, numpy.stack(networks.spikes_of((name, 7))))\n"
        )
        children.append(child(script, threads))
    for process in children:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for name in MAKERS:
        spikes = sessions[name]["spikes"]
        expected = np.stack([spikes["spike_time"].values, spikes["spike_unit"].values])
        for threads in (1, 2):
            np.testing.assert_array_equal(np.load(tmp_path / f"{name}{threads}.npy"), expected)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_run_goes_on_to_the_identical_session(tmp_path, sessions, monkeypatch):
    """Killed by SIGKILL after its third checkpoint, in the middle of the run."""
    children = {}
    for name in MAKERS:
        path = tmp_path / f"{name}.npz"
        script = (
            "import os, signal\n"
            "from neurokit_sdr.core.checkpoint import Checkpoint\n"
            "from neurokit_sdr.snn import simulation\n"
            "simulation.CHECKPOINT_SECONDS = -1.0\n"
            "write, count = Checkpoint.write, []\n"
            "def dying(self, arrays):\n"
            "    write(self, arrays)\n"
            "    count.append(arrays)\n"
            "    if len(count) == 3:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "Checkpoint.write = dying\n"
            f"networks.recorded({name!r}, {str(path)!r})\n"
        )
        children[name] = child(script)
    for process in children.values():
        _, errors = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, errors

    begun = []
    read = Checkpoint.read

    def spying(self):
        arrays = read(self)
        begun.append(int(arrays["step"]))
        return arrays

    monkeypatch.setattr(Checkpoint, "read", spying)
    for name in MAKERS:
        path = tmp_path / f"{name}.npz"
        assert path.exists()
        assert_identical(recorded(name, path), sessions[name])
        assert not path.exists()
    assert [step > 0 for step in begun] == [True, True, True]


def half_done(tmp_path, monkeypatch, name="latent"):
    """A checkpoint of a run that was stopped."""

    class StopError(Exception):
        pass

    path, write = tmp_path / "half.npz", Checkpoint.write

    def stopping(self, arrays):
        write(self, arrays)
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "CHECKPOINT_SECONDS", -1.0)
        patch.setattr(Checkpoint, "write", stopping)
        with pytest.raises(StopError):
            recorded(name, path)
    return path


def test_the_checkpoint_of_other_work_is_refused(tmp_path, monkeypatch):
    path = half_done(tmp_path, monkeypatch)
    network = latent_network()
    options = {"record_voltage": [0, 5, 39], "record_current": True, "checkpoint": path}
    cases = [
        (network, 2.0, 8, options),
        (network, 1.9, 7, options),
        (network, 2.0, 7, options | {"record_voltage": [0]}),
        (network, 2.0, 7, options | {"record_current": False}),
        (network, 2.0, 7, options | {"sampling_interval": 2e-3}),
        (network.with_(dt=5e-5), 2.0, 7, options),
        (network.with_(neuron=CurrentLIF(rest=-52.1)), 2.0, 7, options),
        (plastic_network(), 2.0, 7, options),
    ]
    for changed, duration, rng, chosen in cases:
        with pytest.raises(ParameterError, match="the checkpoint of other work"):
            run(changed, duration, rng, **chosen)
    assert path.exists()
    assert_identical(recorded("latent", path), recorded("latent"))


def test_networks_whose_parameters_read_alike_have_fingerprints_of_their_own():
    one = Network("a", COUNTER, {"all": 1}, inputs=Inputs(noise=1.0, poisson_rate=10.0))
    other = one.with_(inputs=Inputs(noise=1.01, poisson_rate=0.0))
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint() == one.with_().fingerprint()
    split = one.with_(populations={"a": 1, "b": 12})
    assert split.fingerprint() != one.with_(populations={"a1b": 13}).fingerprint()


def test_a_checkpoint_that_is_not_reached_leaves_no_file(tmp_path):
    path = tmp_path / "none.npz"
    assert_identical(recorded("latent", path), recorded("latent"))
    assert not path.exists()
