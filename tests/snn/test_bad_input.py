"""What a simulation refuses, and that it says so before anything is simulated."""

from __future__ import annotations

import os
from dataclasses import fields

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import FileFormatError, ParameterError
from neurokit_sdr.snn import (
    AdEx,
    ConductanceLIF,
    CurrentLIF,
    DeltaLIF,
    DendriticLIF,
    HodgkinHuxley,
    Inputs,
    Izhikevich,
    Network,
    PairRule,
    Schedule,
    connect_in_degree,
    connect_randomly,
    simulation,
    synapses,
    synapses_from_matrix,
)
from neurokit_sdr.snn.latents import HiddenStates
from neurokit_sdr.snn.neurons import NeuronModel

MODELS = [CurrentLIF, DeltaLIF, ConductanceLIF, AdEx, Izhikevich, HodgkinHuxley, DendriticLIF]
NAN, INF = float("nan"), float("inf")


def network(neuron=None, n=3, **changes):
    return Network("test", neuron or CurrentLIF(), {"all": n}, **changes)


def refused(match):
    return pytest.raises(ParameterError, match=match)


@pytest.fixture(autouse=True)
def nothing_is_simulated(monkeypatch):
    """An error must come before the engine runs."""

    def run(*_):
        pytest.fail("The simulation began.")

    monkeypatch.setattr(simulation._Run, "_advance", run)


# simulate


@pytest.mark.parametrize("value", [0, 0.0, -1.0, NAN, INF, True, "1", None, 5e-5, 1j, [1.0]])
@pytest.mark.parametrize("name", ["duration", "sampling_interval"])
def test_durations(name, value):
    options = {"duration": 0.1, name: value}
    with refused(f"Expected {name} in seconds, at least one step of 0.0001 s, got"):
        nks.snn.simulate(network(), **options)


def test_sampling_interval_between_steps():
    with refused("sampling_interval as a multiple of dt .0.0001 s., got 0.00025"):
        nks.snn.simulate(network(), 0.1, sampling_interval=2.5e-4)


@pytest.mark.parametrize("value", [None, CurrentLIF(), "cuba", nks.snn.cuba])
def test_what_is_not_a_network(value):
    with refused("Expected a Network, got .*: nks.snn.cuba.. makes one"):
        nks.snn.simulate(value, 0.1)


@pytest.mark.parametrize("units", [[3], [-1], [0, 7]])
def test_recorded_units_out_of_range(units):
    with refused("Expected record_voltage among 3 units, got"):
        nks.snn.simulate(network(), 0.1, record_voltage=units)


@pytest.mark.parametrize("units", [[0.5], [True, False, True], 2, "all", [NAN]])
def test_recorded_units_that_are_no_units(units):
    with refused("Expected record_voltage"):
        nks.snn.simulate(network(), 0.1, record_voltage=units)


@pytest.mark.parametrize("rng", [None, np.random.default_rng(0)])
def test_a_checkpoint_needs_a_seed(rng, tmp_path):
    with refused("Expected rng as an int together with checkpoint"):
        nks.snn.simulate(network(), 0.1, rng=rng, checkpoint=tmp_path / "a.npz")


def test_a_file_that_is_no_checkpoint_is_kept(tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes(b"something of mine")
    with pytest.raises(FileFormatError, match="is not a checkpoint, or is damaged"):
        nks.snn.simulate(network(), 0.1, rng=0, checkpoint=path)
    assert path.read_bytes() == b"something of mine"


# memory


def test_networks_larger_than_memory():
    rng = np.random.default_rng(0)
    everyone = range(10**8)
    with refused("A network with 1e.1[0-9] synapses needs about .* GB, and this machine has"):
        connect_randomly(everyone, everyone, 0.1, 1.0, rng)
    with refused("A network with 1e.1[0-9] synapses needs about"):
        connect_in_degree(everyone, everyone, 10**6, 1.0, rng)


def test_memory_is_that_of_the_machine(monkeypatch):
    known = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", known.__getitem__, raising=False)
    monkeypatch.setattr(os, "sysconf_names", known, raising=False)
    with refused("needs about 0.058 GB, and this machine has 0.0041 GB of memory"):
        connect_randomly(range(1000), range(1000), 1.0, 1.0, np.random.default_rng(0))
    with refused("Recording 3 potentials for 1000000 samples needs about"):
        nks.snn.simulate(network(), 1000.0, record_voltage=True)
    with refused("A delay of 100 s at 3 units needs about"):
        network(synapses=synapses([0], [1], 1.0, delay=100.0))
    dendritic = network(DendriticLIF(n_segments=100_000, segment_threshold=20))
    with refused("300000 segments that remember 20 inputs needs about"):
        nks.snn.simulate(dendritic, 0.1)


def test_a_recording_larger_than_memory():
    with refused("Recording 3 potentials for .* samples needs about"):
        nks.snn.simulate(network(), 1e9, record_voltage=True)


# neurons


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("value", [NAN, INF, [1.0, NAN, 1.0]])
def test_parameters_that_are_not_finite(model, value):
    for field in fields(model):
        with refused(f"Expected {field.name} of {model.__name__} to be finite"):
            network(model(**{field.name: value}))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("value", ["1", None, True, [1.0, 2.0], np.ones((3, 1)), 1j])
def test_parameters_of_wrong_type_or_shape(model, value):
    for field in fields(model):
        with refused(f"Expected {field.name} of {model.__name__} to be a number or an array of"):
            network(model(**{field.name: value}))


@pytest.mark.parametrize("model", MODELS)
def test_parameters_as_lists_of_unequal_length(model):
    for field in fields(model):
        with refused(f"Expected {field.name} of {model.__name__} as a number or an array, got"):
            network(model(**{field.name: [[1.0], [1.0, 2.0]]}))


@pytest.mark.parametrize("model", MODELS)
def test_parameters_that_must_be_positive(model):
    for name in model._positive:
        for value in (0, -1.0):
            with refused(f"Expected {name} of {model.__name__} > 0, got"):
                network(model(**{name: value}))
    for name in model._not_negative:
        if name in {field.name for field in fields(model)}:
            with refused(f"Expected {name} of {model.__name__} >= 0, got -0.5"):
                network(model(**{name: -0.5}))


@pytest.mark.parametrize("model", [CurrentLIF, DeltaLIF, ConductanceLIF, AdEx, DendriticLIF])
def test_reset_at_or_above_threshold(model):
    for reset in (-50.0, -49.0):
        with refused(f"Expected reset below threshold in {model.__name__}"):
            network(model(threshold=-50.0, reset=reset))


def test_segments_are_whole_numbers():
    for name in ("n_segments", "segment_threshold"):
        for value in (1.5, [1, 2, 3]):
            with refused(f"Expected {name} to be one whole number, got"):
                network(DendriticLIF(**{name: value}))
    for name in ("coincidence_window", "plateau_duration"):
        with refused(f"Expected {name} to be one number, got an array"):
            network(DendriticLIF(**{name: [0.1, 0.1, 0.1]}))


# network


@pytest.mark.parametrize("neuron", ["lif", CurrentLIF, None, {}, NeuronModel()])
def test_neurons_that_are_no_model(neuron):
    with refused("Expected neuron as one of the models .*such as nks.snn.CurrentLIF.., got"):
        Network("test", neuron, {"all": 3})


def test_a_class_instead_of_a_neuron():
    with refused("got <class .*AdEx'>: write AdEx.."):
        Network("test", AdEx, {"all": 3})


@pytest.mark.parametrize(
    ("part", "values", "text"),
    [
        ("name", [3, None], "a str"),
        ("populations", [3, None, ["all"]], "a dict, such as"),
        ("synapses", [None, np.eye(3), 1.0], "nks.snn.synapses makes them, or a list of such"),
        ("synapses", [[np.eye(3)], [None]], "nks.snn.synapses makes them, or a list of such"),
        ("initial", [3, None], "a dict, such as"),
        ("inputs", [{"drive": 1.0}, None, 5.0], "an Inputs, such as nks.snn.Inputs"),
        ("plasticity", [True, PairRule], "None or a PairRule"),
        ("truth", [{"a": 1}, xr.DataArray(1)], "None or an xarray.Dataset"),
        ("unit_coords", [3, None], "a dict, such as"),
    ],
)
def test_parts_of_a_wrong_kind(part, values, text):
    for value in values:
        parts = {"name": "test", "neuron": CurrentLIF(), "populations": {"all": 3}, part: value}
        with refused(f"Expected {part} as {text}.*, got"):
            Network(**parts)


def test_synapses_made_by_hand():
    good = synapses([0, 1], [1, 0], 1.0)
    for change in ({"weight": np.ones(3)}, {"delay": 0.0}, {"source": np.array([0.5, 1.0])}):
        with refused(f"Expected {next(iter(change))} of the synapses as one number for each, got"):
            network(synapses=good._replace(**change))


def test_a_network_larger_than_memory():
    with refused("A network of 1000000000000 units needs about 2e.05 GB, and this machine has"):
        network(n=10**12)


@pytest.mark.parametrize("dim", ["unit", "target", "source", "synapse", "latent_index"])
def test_a_truth_of_another_size(dim):
    inputs = Inputs(process=Schedule(np.ones((4, 3)), 0.01), loading=np.ones((3, 3)))
    wiring = synapses([0, 1, 2], [1, 2, 0], 1.0)
    labels = np.arange(4)
    for truth in (
        xr.Dataset({"a": (dim, labels)}),
        xr.Dataset({"a": (dim, labels)}, coords={dim: labels}),
    ):
        with refused(f"Expected a truth with 3 along '{dim}', as the network has, got 4"):
            network(synapses=wiring, inputs=inputs, truth=truth)
    named = xr.Dataset({"a": (dim, labels[:3])}, coords={dim: ["x", "y", "z"]})
    with refused(f"Expected '{dim}' of the truth to number 0 to 2, got .*unit_coords"):
        network(synapses=wiring, inputs=inputs, truth=named)
    network(synapses=wiring, inputs=inputs, truth=named.drop_vars(dim))


@pytest.mark.parametrize("size", [0, -1, 1.5, "3", None, True])
def test_sizes_of_populations(size):
    with refused("Expected a whole number of units in 'all', got"):
        network(n=size)


def test_no_population():
    with refused("Expected at least one population, got none"):
        Network("empty", CurrentLIF(), {})


@pytest.mark.parametrize("dt", [0, -1e-4, NAN, INF, True, 0.1, "0.1 ms", None])
def test_steps(dt):
    with refused("Expected dt in seconds between 0 and 0.01, got"):
        network(dt=dt)


def test_unknown_population():
    with refused(r"Expected one of \['all'\], got 'inhibitory'"):
        network().units("inhibitory")


@pytest.mark.parametrize("value", [NAN, [1.0, 2.0], np.ones((3, 3)), [1, 2, INF]])
def test_values_per_unit(value):
    with refused(r"Expected initial v as a finite number or an array of shape \(3,\)"):
        network(initial={"v": value})
    for name in ("drive", "noise", "poisson_rate", "poisson_weight"):
        with refused(rf"Expected {name} as a finite number or an array of shape \(3,\)"):
            network(inputs=Inputs(**{name: value}))


@pytest.mark.parametrize("value", ["a", None, 1j, [[1.0], [1.0, 2.0]]])
def test_values_that_are_no_numbers(value):
    with refused("Expected initial v as"):
        network(initial={"v": value})
    for name in ("drive", "noise", "poisson_rate", "poisson_weight"):
        with refused(f"Expected {name} as"):
            network(inputs=Inputs(**{name: value}))
    with refused("Expected forced_time as"):
        network(inputs=Inputs(forced_time=value, forced_unit=[0]))
    if value is not None:
        with refused("Expected loading as"):
            network(inputs=Inputs(process=Schedule(np.ones((4, 2)), 0.01), loading=value))
        for name in ("behavior", "weight_scale"):
            with refused(f"Expected {name} as"):
                network(**{name: value})


def test_unknown_initial_values():
    with refused(r"Expected initial values of \['excitatory', 'inhibitory', 'v'\], got 'w'"):
        network(initial={"w": 0.0})
    with refused("Expected initial values of .*'h', 'inhibitory', 'm', 'n', 'v'.*, got 'gate'"):
        network(HodgkinHuxley(), initial={"gate": 0.0})


def test_per_unit_coordinates():
    with refused(r"Expected unit_coords\['place'\] of shape \(3,\), got \(2,\)"):
        network(unit_coords={"place": [0.0, 1.0]})


# synapses


@pytest.mark.parametrize("unit", [3, -1])
def test_synapses_of_unknown_units(unit):
    with refused("Expected every synapse's source among 3 units, got"):
        network(synapses=synapses([unit], [0], 1.0))
    with refused("Expected every synapse's target among 3 units, got"):
        network(synapses=synapses([0], [unit], 1.0))


@pytest.mark.parametrize("unit", [0.5, NAN, "0", True])
def test_units_are_whole_numbers(unit):
    with refused("Expected whole numbers as source, got"):
        synapses([unit], [0], 1.0)
    with refused("Expected whole numbers as target, got"):
        synapses([0], [unit], 1.0)
    with refused("Expected whole numbers as segment, got"):
        synapses([0], [0], 1.0, segment=[unit])


@pytest.mark.parametrize("value", [NAN, INF, [1.0, NAN]])
def test_weights_and_delays_that_are_not_finite(value):
    with refused("Expected finite weight, got NaN or infinity"):
        synapses([0, 1], [1, 0], value)
    with refused("Expected finite delay, got NaN or infinity"):
        synapses([0, 1], [1, 0], 1.0, delay=value)


def test_lengths_of_synapses():
    with refused(r"Expected target with one entry per synapse \(2\) or one for all, got .*\(3,\)"):
        synapses([0, 1], [0, 1, 2], 1.0)
    with refused("Expected weight with one entry per synapse"):
        synapses([0, 1], [0, 1], [1.0, 2.0, 3.0])
    with refused("Expected receptor with one entry per synapse"):
        synapses([0, 1], [0, 1], 1.0, receptor=[0, 1, 0])
    with refused(r"Expected a square weight\(target, source\), got shape \(2, 3\)"):
        synapses_from_matrix(np.ones((2, 3)))


@pytest.mark.parametrize("delay", [1e-5, 9.9e-5, -1e-3])
def test_delays_below_a_step(delay):
    with refused(r"Expected delays of 0 or of at least dt \(0.0001 s\), got .*smaller dt"):
        network(synapses=synapses([0, 1], [1, 0], 1.0, delay=[0.001, delay]))


@pytest.mark.parametrize("model", [ConductanceLIF, AdEx, HodgkinHuxley])
def test_negative_conductances(model):
    with refused("Expected conductances >= 0 nS, got -1: an inhibitory synapse is one with"):
        network(model(), synapses=synapses([0], [1], -1.0))
    with refused("Expected a poisson_weight >= 0 nS, got -2"):
        network(model(), inputs=Inputs(poisson_rate=1.0, poisson_weight=-2.0))


@pytest.mark.parametrize("model", [CurrentLIF, DeltaLIF, Izhikevich, DendriticLIF])
@pytest.mark.parametrize(("weight", "receptor"), [(1.0, 1), (-1.0, 0)])
def test_signs_that_contradict_the_receptor(model, weight, receptor):
    with refused("Expected weights >= 0 at receptor 0 and <= 0 at receptor 1"):
        network(model(), synapses=synapses([0], [1], weight, receptor=receptor))


def test_unknown_receptors():
    with refused("Expected receptor 0 .excitatory. or 1 .inhibitory. of each synapse"):
        network(synapses=synapses([0], [1], 1.0, receptor=2))


def test_segments_that_do_not_exist():
    with refused(r"Expected segments below 0 \(CurrentLIF with 3 units\), got 0"):
        network(synapses=synapses([0], [1], 1.0, segment=0))
    dendritic = DendriticLIF(n_segments=2)
    with refused(r"Expected segments below 6 \(DendriticLIF with 3 units\), got 6"):
        network(dendritic, synapses=synapses([0], [2], 1.0, segment=6))
    with refused("Expected segment d of unit i to be number i . n_segments . d"):
        network(dendritic, synapses=synapses([0], [1], 1.0, segment=5))


@pytest.mark.parametrize("probability", [-0.1, 1.1, NAN])
def test_probabilities_of_connection(probability):
    with refused(r"Expected a connection probability in \[0, 1\], got"):
        connect_randomly(range(3), range(3), probability, 1.0, np.random.default_rng(0))


def test_populations_that_are_no_ranges():
    rng = np.random.default_rng(0)
    for wrong in ([0, 1], range(0, 4, 2), 3):
        with refused("Expected sources as a range of units, got"):
            connect_randomly(wrong, range(3), 0.5, 1.0, rng)
        with refused("Expected targets as a range of units, got"):
            connect_in_degree(range(3), wrong, 2, 1.0, rng)
    with refused("Expected at least two sources where they are targets too, got one"):
        connect_in_degree(range(1), range(1), 2, 1.0, rng)


# inputs


def test_negative_noise_and_rates():
    with refused("Expected noise >= 0, got -1"):
        network(inputs=Inputs(noise=-1.0))
    with refused("Expected poisson_rate >= 0, got -3"):
        network(inputs=Inputs(poisson_rate=[1.0, -3.0, 1.0]))


def test_latents_and_their_loading():
    process = Schedule(np.ones((4, 2)), 0.01)
    with refused("Expected a latent process together with its loading, got one"):
        network(inputs=Inputs(process=process))
    with refused("Expected a latent process together with its loading, got one"):
        network(inputs=Inputs(loading=np.ones((3, 2))))
    for loading in (np.ones((2, 2)), np.ones(3), np.full((3, 2), NAN)):
        with refused(r"Expected a finite loading of shape \(3, latent\), got"):
            network(inputs=Inputs(process=process, loading=loading))
    made = network(inputs=Inputs(process=process, loading=np.ones((3, 5))))
    with refused("Expected a loading for each of 2 latents, got 5"):
        nks.snn.simulate(made, 0.1)


def test_a_behavior_of_other_latents():
    process = Schedule(np.ones((4, 2)), 0.01)
    for behavior in (np.ones((3, 1)), np.ones(2)):
        made = network(inputs=Inputs(process=process, loading=np.ones((3, 2))), behavior=behavior)
        with refused(r"Expected a behavior of shape \(2, output\), got"):
            nks.snn.simulate(made, 0.1)


def test_processes():
    for process in (3, "lorenz", HiddenStates, np.ones((4, 2))):
        with refused("Expected process as a latent process, such as nks.snn.Lorenz.., got"):
            network(inputs=Inputs(process=process, loading=np.ones((3, 2))))
    with refused("Expected dwell_time to be a number >= 0.01, got 0"):
        network(inputs=Inputs(process=HiddenStates(dwell_time=0), loading=np.ones((3, 3))))


@pytest.mark.parametrize("interval", [5e-5, 2.5e-4])
def test_frames_between_steps(interval):
    inputs = Inputs(process=Schedule(np.ones((4, 1)), interval), loading=np.ones((3, 1)))
    with refused(r"Expected a frame_interval that is a multiple of dt \(0.0001 s\), got"):
        network(inputs=inputs)


def test_forced_spikes():
    with refused("Expected forced_time and forced_unit of one length, got 2 and 1"):
        network(inputs=Inputs(forced_time=[0.1, 0.2], forced_unit=[0]))
    for moment, unit in ((0.1, 0), ([0.1], 0), (0.1, [0]), ([[0.1]], [[0]])):
        with refused("Expected forced_time and forced_unit as lists, got shapes"):
            network(inputs=Inputs(forced_time=moment, forced_unit=unit))
    for unit in (3, -1):
        with refused("Expected forced_unit among 3 units"):
            network(inputs=Inputs(forced_time=[0.1], forced_unit=[unit]))
    for unit in (0.5, NAN, True):
        with refused("Expected forced_unit as whole numbers"):
            network(inputs=Inputs(forced_time=[0.1], forced_unit=[unit]))
    for moment in (0.0, -1.0, NAN, INF, 5e-5):
        with refused(r"Expected finite forced_time of at least dt \(0.0001 s\), got"):
            network(inputs=Inputs(forced_time=[moment], forced_unit=[0]))


def test_weights_by_state():
    one = synapses([0], [1], 1.0)
    states = Inputs(process=HiddenStates(2), loading=np.zeros((3, 2)))
    for scale in (np.ones((2, 3)), np.ones(2)):
        with refused(r"Expected weight_scale\(state, synapse\) with 1 synapses"):
            network(synapses=one, inputs=states, weight_scale=scale)
    with refused(r"Expected weight_scale\(state, synapse\) with 1 synapses and a process"):
        network(synapses=one, weight_scale=np.ones((2, 1)))
    with refused("Expected either weight_scale or plasticity, got both"):
        network(synapses=one, inputs=states, weight_scale=np.ones((2, 1)), plasticity=PairRule())
    made = network(synapses=one, inputs=states, weight_scale=np.ones((1, 1)))
    with refused("Expected weight_scale for each of 2 states, got 1"):
        nks.snn.simulate(made, 20.0, rng=0)
    with refused("Expected a finite weight_scale"):
        network(synapses=one, inputs=states, weight_scale=np.full((2, 1), NAN))
    stateless = Inputs(process=Schedule(np.ones((4, 1)), 0.01), loading=np.zeros((3, 1)))
    made = network(synapses=one, inputs=stateless, weight_scale=np.ones((2, 1)))
    with refused("Expected a process with states beside weight_scale"):
        nks.snn.simulate(made, 0.1)


# plasticity


def test_parameters_of_plasticity():
    for name in ("tau_pre", "potentiation", "depression", "arrival", "low", "high", "drift"):
        with refused("Expected finite parameters of plasticity, got"):
            network(plasticity=PairRule(**{name: NAN}))
    for name in ("tau_pre", "tau_post"):
        with refused("Expected tau_pre and tau_post > 0 s, got"):
            network(plasticity=PairRule(**{name: 0.0}))
    with refused("Expected low < high, got 1.0 and 1.0"):
        network(plasticity=PairRule(low=1.0))
    with refused("Expected receptor 0 or 1, got 2"):
        network(plasticity=PairRule(receptor=2))
    for interval in (0.0, -1.0, NAN, INF):
        with refused("Expected update_interval > 0 s, or None for changes at once, got"):
            network(plasticity=PairRule(update_interval=interval))


def test_plastic_populations_that_do_not_exist():
    made = network(plasticity=PairRule(sources=("excitatory",)))
    with refused(r"Expected one of \['all'\], got 'excitatory'"):
        nks.snn.simulate(made, 0.1)
