"""Sensors: potentials and fields against physics, geometry, units, sampling."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.snn import observe
from neurokit_sdr.snn.observe import geometry, leadfield
from tests.snn.observed import FIVE, session


def dipoles(seed: int, number: int = 20):
    """Sensors outside and dipoles inside a head, in all directions."""
    rng = np.random.default_rng(seed)
    direction = geometry.random_directions(number, rng)
    source = geometry.random_directions(number, rng) * rng.uniform(0.01, 0.07, (number, 1))
    sensor = geometry.random_directions(30, rng) * rng.uniform(0.1, 0.13, (30, 1))
    return sensor, source, direction


def test_radial_dipoles_are_silent_outside_the_sphere(seed):
    sensor, source, tangential = dipoles(seed)
    radial = source / np.linalg.norm(source, axis=1, keepdims=True)
    silent = np.abs(leadfield.sphere_field(sensor, source, radial)).max()
    heard = np.abs(leadfield.sphere_field(sensor, source, tangential)).max()
    assert silent < 1e-13 * heard  # rounding of the cross product
    centre = np.zeros_like(source)
    assert not leadfield.sphere_field(sensor, centre, tangential).any()


def test_radial_component_is_that_of_the_dipole_alone(seed):
    """Volume currents in a sphere add nothing to the radial field: Biot and Savart suffice."""
    sensor, source, direction = dipoles(seed)
    away = sensor[:, None] - source
    primary = 1e-7 * np.cross(direction, away) / np.linalg.norm(away, axis=2)[..., None] ** 3
    radial = sensor[:, None] / np.linalg.norm(sensor, axis=1)[:, None, None]
    found = (leadfield.sphere_field(sensor, source, direction) * radial).sum(axis=2)
    expected = (primary * radial).sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_field_outside_has_neither_curl_nor_divergence(seed):
    sensor, source, direction = dipoles(seed, 1)
    h = 1e-5
    jacobian = np.stack(
        [
            (
                leadfield.sphere_field(sensor + step, source, direction)
                - leadfield.sphere_field(sensor - step, source, direction)
            )[:, 0]
            / (2 * h)
            for step in h * np.eye(3)
        ],
        axis=2,
    )  # (sensor, component, derivative)
    # Central differences are wrong by h^2/6 of the third derivative: (h / distance)^2, with the
    # distance at least 0.03 m, times a number of order 10; rounding adds 1e-16 / (h / distance).
    size = np.abs(jacobian).max(axis=(1, 2))
    assert (np.abs(np.trace(jacobian, axis1=1, axis2=2)) < 1e-5 * size).all()
    assert (np.abs(jacobian - jacobian.transpose(0, 2, 1)).max(axis=(1, 2)) < 1e-5 * size).all()


def test_potentials_fall_with_distance_and_a_dipole_is_two_monopoles(seed):
    distance = np.array([0.01, 0.02, 0.08])
    contact = distance[:, None] * np.array([1.0, 0.0, 0.0])
    origin, along = np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0]])
    one = leadfield.monopole_potential(contact, origin, 0.25)[:, 0]
    np.testing.assert_allclose(one, 1 / (np.pi * distance), rtol=1e-15)
    two = leadfield.dipole_potential(contact, origin, along, 0.25)[:, 0]
    np.testing.assert_allclose(two, 1 / (np.pi * distance**2), rtol=1e-15)
    sensor, source, direction = dipoles(seed)
    h = 1e-6
    difference = (
        leadfield.monopole_potential(sensor, source + h * direction, 0.33)
        - leadfield.monopole_potential(sensor, source - h * direction, 0.33)
    ) / (2 * h)
    found = leadfield.dipole_potential(sensor, source, direction, 0.33)
    # As above: (h / 0.03)^2 of truncation, 1e-16 / (h / 0.2) of rounding.
    np.testing.assert_allclose(found, difference, rtol=0, atol=1e-8 * np.abs(found).max())


def test_helmet_shaft_and_random_points(seed):
    points = geometry.helmet(200, 0.12)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.12)
    assert points[:, 2].min() > 0
    nearest = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(200)
    # Evenly spread points are about sqrt(area each) apart; the spiral stays within 2 of that.
    assert nearest.min() > 0.5 * 0.12 * np.sqrt(2 * np.pi / 200)
    row = geometry.shaft(5, np.array([1.0, 2, 3]), np.array([0, 0, -0.5]))
    np.testing.assert_allclose(row[:, 2], [3, 2.5, 2, 1.5, 1])
    rng = np.random.default_rng(seed)
    inside = geometry.random_positions(4000, 0.5, 1.0, rng)
    radius = np.linalg.norm(inside, axis=1)
    assert (radius >= 0.5).all()
    assert (radius <= 1).all()
    share = (0.75**3 - 0.5**3) / (1 - 0.5**3)
    assert abs((radius < 0.75).mean() - share) < FIVE * np.sqrt(share * (1 - share) / 4000)
    assert (inside[:, 2] >= 0).all()
    direction = geometry.random_directions(4000, rng)
    assert (np.abs(direction.mean(axis=0)) < FIVE / np.sqrt(3 * 4000)).all()


@pytest.mark.parametrize("kind", ["seeg", "meg"])
def test_signals_are_the_leadfield_times_the_current(kind):
    given = session()
    seen = observe.sensors(given, 16, kind=kind, rng=2)
    signal, truth = seen["/signal"].to_dataset(), seen["/truth"].to_dataset()
    expected = given["/current/synaptic_current"].values @ truth["leadfield"].values.T
    np.testing.assert_allclose(signal["signal"], expected, rtol=1e-12)
    unit = {"seeg": "V", "meg": "T"}[kind]
    assert signal["signal"].attrs["units"] == unit
    assert set(signal["channel_unit"].values.tolist()) == {unit}
    assert truth["leadfield"].attrs["units"] == f"{unit}/pA"
    assert truth["leadfield"].dims == ("channel", "population")
    sensor = np.stack([signal[a] for a in "xyz"], axis=1)
    place = np.stack([truth[f"population_{a}"] for a in "xyz"], axis=1)
    direction = np.stack([truth[f"orientation_{a}"] for a in "xyz"], axis=1)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1)
    if kind == "seeg":
        expected = leadfield.dipole_potential(sensor, place, direction, 0.33)
    else:
        radial = sensor / np.linalg.norm(sensor, axis=1, keepdims=True)
        field = leadfield.sphere_field(sensor, place, direction)
        expected = np.einsum("cpk,ck->cp", field, radial)
    np.testing.assert_allclose(truth["leadfield"], 1e-16 * expected, rtol=1e-12)
    np.testing.assert_array_equal(signal["time"], given["/current/time"])


def test_both_kinds_see_the_same_sources():
    seeg, meg = (observe.sensors(session(), 3, kind=k, rng=1) for k in ("seeg", "meg"))
    for name in ("population_x", "orientation_z"):
        xr.testing.assert_equal(seeg["/truth"][name], meg["/truth"][name])


def test_given_geometry_scale_and_conductivity():
    contacts = [[0.0, 0.0, 0.01], [0.0, 0.0, 0.03]]
    options = {
        "source_positions": [[0, 0, 0], [0, 0, -0.01]],
        "source_orientations": [[0, 0, 2.0], [5.0, 0, 0]],
    }
    seen = observe.sensors(session(), contacts, scale=2.0, conductivity=0.5, **options)
    expected = np.array([[2 / (2 * np.pi * d**2), 0.0] for d in (0.01, 0.03)])
    np.testing.assert_allclose(seen["/truth/leadfield"], expected, rtol=1e-14)
    point = observe.sensors(
        session(), contacts, source="monopole", source_positions=np.zeros((2, 3))
    )
    expected = 1e-12 / (4 * np.pi * 0.33 * np.array([[0.01, 0.01], [0.03, 0.03]]))
    np.testing.assert_allclose(point["/truth/leadfield"], expected, rtol=1e-14)
    assert "orientation_x" not in point["/truth"]


def test_sensor_noise_and_sampling(seed):
    given = session()
    clean = observe.sensors(given, 40, rng=seed)["/signal/signal"].values
    seen = observe.sensors(given, 40, noise=3e-6, rng=seed)["/signal/signal"].values
    error = (seen - clean) / 3e-6
    assert abs(error.mean()) < FIVE / np.sqrt(error.size)
    assert abs((error**2).mean() - 1) < FIVE * np.sqrt(2 / error.size)
    slow = observe.sensors(given, 40, sampling_interval=7e-3, rng=seed)["/signal"]
    assert slow.sizes["time"] == 28
    np.testing.assert_allclose(slow["time"], (np.arange(28) * 7 + 3) * 1e-3)
    np.testing.assert_allclose(
        slow["signal"], clean[:196].reshape(28, 7, 40).mean(axis=1), rtol=1e-9, atol=1e-18
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "eeg"}, "one of 'seeg', 'meg'"),
        ({"source": "quadrupole"}, "one of 'dipole'"),
        ({"kind": "meg", "source": "monopole"}, "no magnetic field"),
        ({"positions": 0}, "positions to be"),
        ({"positions": 2.5}, "positions to be"),
        ({"positions": 50}, "<= 43"),
        ({"positions": "many"}, "positions to be"),
        ({"positions": [[0.0, 0.0]]}, "three finite numbers"),
        ({"positions": [[0.0, 0.0, np.nan]]}, "three finite numbers"),
        ({"positions": np.empty((0, 3))}, "at least one row"),
        ({"source_positions": [[0, 0, 0]]}, "2 rows"),
        ({"source_orientations": [[0, 0, 0], [1, 0, 0]]}, "population 0"),
        ({"scale": -1.0}, "scale"),
        ({"scale": np.nan}, "scale"),
        ({"conductivity": 0.0}, "conductivity"),
        ({"noise": -1.0}, "noise"),
        ({"sampling_interval": 0.0}, "sampling_interval"),
        ({"sampling_interval": 1.5e-3}, "whole multiple"),
        ({"sampling_interval": 1e-4}, "whole multiple"),
        ({"sampling_interval": 5.0}, "no longer than"),
        ({"positions": [[0, 0, 0.05]], "source_positions": [[0, 0, 0.05]] * 2}, "move one of them"),
        (
            {"kind": "meg", "positions": [[0, 0, 0.05]], "source_positions": [[0, 0, 0.06]] * 2},
            "out",
        ),
    ],
    ids=str,
)
def test_sensor_arguments_out_of_range(wrong, says):
    positions = wrong.pop("positions", 4) if "positions" in wrong else 4
    options = {k: v for k, v in wrong.items() if k != "positions"}
    with pytest.raises(ParameterError, match=rf"(?s)Expected .*({says})"):
        observe.sensors(session(), positions, **options)


def test_sensors_need_a_recorded_current():
    given = session()
    groups = {n.path: n.to_dataset(inherit=False) for n in given.subtree}
    current = groups["/current"]
    array = current["synaptic_current"]
    for wrong, says in (
        (xr.Dataset(), "record_current=True"),
        (current.transpose(), "transpose"),
        (current.isel(population=slice(0)), "at least one of each"),
        (current.assign(synaptic_current=array.drop_attrs()), r"attrs\['units'\]"),
        (current.drop_vars("time"), "coordinate 'time'"),
        (current.assign(synaptic_current=array * np.nan), "finite|attrs"),
        (current.assign(synaptic_current=array.copy(data=array * np.nan)), "finite"),
    ):
        with pytest.raises(SchemaError, match=says):
            observe.sensors(xr.DataTree.from_dict(groups | {"/current": wrong}), 4)
    bare = current.assign(synaptic_current=array.assign_attrs(units="1"))
    tree = xr.DataTree.from_dict(groups | {"/current": bare})
    with pytest.raises(
        ParameterError, match="A m one 1 stands for; the default for one pA is 1e-16"
    ):
        observe.sensors(tree, 4)
    seen = observe.sensors(tree, 4, scale=1e-12)
    assert seen["/truth/leadfield"].attrs["units"] == "V/1"


def test_a_millivolt_of_drive_counts_as_ten_picoamperes():
    given = session()
    groups = {n.path: n.to_dataset(inherit=False) for n in given.subtree}
    array = groups["/current"]["synaptic_current"]
    milli = groups["/current"].assign(synaptic_current=(array / 10).assign_attrs(units="mV"))
    seen = observe.sensors(given, 4, rng=0)["/signal/signal"].values
    same = observe.sensors(xr.DataTree.from_dict(groups | {"/current": milli}), 4, rng=0)
    np.testing.assert_allclose(same["/signal/signal"].values, seen, rtol=1e-12)


def test_sensors_see_the_input_of_a_network_of_pulses():
    network = nks.snn.hub_network(20, rng=0)
    for interval in (1e-4, 1e-3):
        seen = nks.snn.simulate(
            network, 1.0, rng=0, record_current=True, sampling_interval=interval, progress=False
        )
        mean = seen["current"]["synaptic_current"].mean("time").values
        wired = network.synapses
        step = np.rint(seen["spikes"]["spike_time"].values / network.dt)
        wanted = dict.fromkeys(network.populations, 0.0)
        for k in range(wired.source.size):
            own = step[seen["spikes"]["spike_unit"].values == wired.source[k]]
            arrived = (own + np.rint(wired.delay[k] / network.dt) < 1.0 / network.dt).sum()
            wanted[network.population[wired.target[k]]] += arrived * wired.weight[k]
        tau = network.neuron.tau_membrane
        np.testing.assert_allclose(mean, np.array(list(wanted.values())) * tau, rtol=1e-9)
    assert observe.sensors(seen, 4, rng=0)["/signal/signal"].attrs["units"] == "V"


def test_a_truth_with_populations_of_its_own():
    given = session()
    truth = given["/truth"].to_dataset()
    groups = {n.path: n.to_dataset(inherit=False) for n in given.subtree}
    per_unit = truth.assign_coords(population=("unit", list("eeiiii")))
    with pytest.raises(SchemaError, match=r"'population'.*rename"):
        observe.sensors(xr.DataTree.from_dict(groups | {"/truth": per_unit}), 4)
    per_population = truth.assign(rate=("population", [1.0, 2.0]))
    seen = observe.sensors(xr.DataTree.from_dict(groups | {"/truth": per_population}), 4)
    assert seen["/truth/rate"].values.tolist() == [1.0, 2.0]
