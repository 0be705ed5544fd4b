"""Slices through the dynamics of a flow are those of its equations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import NotFittedError, ParameterError
from neurokit_sdr.engines.training.steps import random_key
from neurokit_sdr.engines.training.weights import to_flat
from neurokit_sdr.generative.langevin_flow import equations as langevin
from tests.plotting.flows import (
    BIN,
    N_UNITS,
    TIME_STEP,
    cut,
    make_latent,
    make_parameters,
    make_prediction,
)


@pytest.mark.parametrize("coupling", [0.0, 0.8])
def test_potential_and_forces_are_those_of_the_dynamics(coupling):
    physics, result = make_parameters(coupling=coupling)
    found = cut(result, modes=(1, 3), extent=(1.5, 0.5), n_points=4)
    assert found.attrs["modes"] == [1, 3]
    assert (found["position"].max(), found["other_position"].max()) == (1.5, 0.5)
    shape = result["mode_shape"].values[:, [1, 3]]
    for i, a in enumerate(found["position"].values):
        for j, b in enumerate(found["other_position"].values):
            z = shape @ [a, b]
            s = 2 * np.tanh(z / 2)
            u = (np.sum(physics.stiffness * z**2) + s @ physics.coupling @ s) / 2
            slope = physics.stiffness * z + (1 - s**2 / 4) * (physics.coupling @ s)
            here = found.isel(position=i, other_position=j)
            # The model computes in float32: 2^-24 relative, of sums of at most 20 terms of order 10
            assert here["potential"] == pytest.approx(u / 0.7, abs=1e-4)
            assert [here["force"], here["other_force"]] == pytest.approx(
                -shape.T @ slope / 0.7, abs=1e-4
            )


def test_forces_are_minus_the_gradient_of_the_potential():
    _, result = make_parameters(coupling=0.8)
    found = cut(result, modes=(0, 1), extent=3.0, n_points=301)
    step = 6.0 / 300
    for name, dim in (("force", "position"), ("other_force", "other_position")):
        slope = -found["potential"].differentiate(dim, edge_order=2)
        inside = {d: slice(2, -2) for d in ("position", "other_position")}
        # float32 rounding of a potential of up to ~20, over two steps, and h^2 U''' / 6
        error = np.abs(found[name] - slope).isel(inside).max()
        assert error < 20 * 2**-22 / (2 * step) + step**2


def test_a_free_oscillator_turns_through_its_phase_plane_at_its_frequency():
    """Along the flow without friction energy stays, and one turn takes the period."""
    physics, result = make_parameters()
    result["friction"] = 0 * result["friction"]
    found = cut(result, plane="phase", modes=2, extent=1.0)
    period = 1 / float(result["frequency"][2])
    omega = np.sort(np.sqrt(physics.stiffness / physics.mass))[2]
    assert omega * period * TIME_STEP / BIN == pytest.approx(2 * np.pi)
    q, p = xr.broadcast(found["position"], found["velocity"])
    per_second = TIME_STEP / BIN
    assert np.allclose(found["position_rate"], (p * per_second).transpose("velocity", "position"))
    turned = (-(omega**2) * q * per_second).transpose("velocity", "position")
    assert np.allclose(found["velocity_rate"], turned, atol=1e-4 * per_second)
    energy = ((p**2 + omega**2 * q**2) / (2 * 0.7)).transpose("velocity", "position")
    assert np.allclose(found["energy"], energy, atol=1e-4)


def test_friction_takes_energy_at_its_rate():
    _, result = make_parameters()
    without = cut(result.assign(friction=0 * result["friction"]), plane="phase", modes=0)
    found = cut(result, plane="phase", modes=0)
    taken = (without["velocity_rate"] - found["velocity_rate"]) / found["velocity"]
    # Independent oscillators: the mode's friction is that of the oscillator it is.
    alone = int(np.abs(result["mode_shape"][:, 0]).argmax("oscillator"))
    fits = np.abs(taken - float(result["friction"][alone])) < 1e-3
    assert fits.where(np.abs(found["velocity"]) > 0.1, True).all()


def test_a_saddle_at_the_origin_is_called_a_double_well_and_shown_whole():
    _, result = make_parameters()
    result["stiffness"] = xr.full_like(result["stiffness"], 0.1)
    result["mass"] = xr.full_like(result["mass"], 1.0)
    result["coupling"] = xr.zeros_like(result["coupling"])
    result["coupling"][0, 0] = -1.0
    physics = langevin.Physics(
        *(result[n].values for n in ("stiffness", "coupling", "mass", "friction")), 0.7
    )
    frequency, result["mode_shape"][:] = langevin.normal_modes(physics)
    result["frequency"][:] = frequency
    found = cut(result, n_points=101)
    assert found["position"].attrs["long_name"] == "mode 0, double well"
    assert found["other_position"].attrs["long_name"].endswith("Hz")
    line = found["potential"].sel(other_position=0, method="nearest")
    lowest = int(line.argmin("position"))
    assert 0 < lowest < 100
    assert line.min() < -1e-3
    # Five thermal energies above the lowest point and a margin.
    assert 5 < line[0] - line.min() < 10


def test_slices_hold_the_latents_of_the_data_and_the_modes_they_move_along():
    _, result = make_parameters(coupling=0.3)
    latent = make_latent(result)
    shape, mass = result["mode_shape"].values, result["mass"].values
    # Twenty times as far along mode 2, and most of all in velocity of mode 1.
    back = np.linalg.inv(shape)
    z, v = np.split(latent.values, 2, axis=-1)
    z = ((z @ back.T) * [1, 1, 20, 5]) @ shape.T
    latent = latent.copy(data=np.concatenate([z, v], axis=-1))
    found = cut(result, latent)
    assert found.attrs["modes"] == [2, 3]
    drawn = found["trajectory"]
    np.testing.assert_allclose(drawn.values, (z @ np.linalg.inv(shape).T)[..., [2, 3]])
    assert drawn["axis"].values.tolist() == ["position", "other_position"]
    assert drawn["condition"].values.tolist() == ["a", "b"]
    assert np.abs(drawn.sel(axis="position")).max() < found["position"].max()
    assert np.abs(drawn.sel(axis="other_position")).max() < found["other_position"].max()
    phase = cut(result, latent, plane="phase", modes=1)
    both = np.stack([(a * mass) @ shape[:, 1] for a in (z, v)], axis=-1)
    np.testing.assert_allclose(phase["trajectory"], both)


def test_trajectories_beyond_a_trial_s_end_are_left_out():
    _, result = make_parameters()
    latent = make_latent(result)
    latent[1, 5:] = np.nan
    found = cut(result, latent)
    assert np.isfinite(found["potential"]).all()
    assert np.isnan(found["trajectory"][1, 5:]).all()
    one = cut(result, latent[0], plane="phase")
    assert one["trajectory"].dims == ("time", "axis")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"plane": "modes"}, r"Expected plane to be one of \['positions', 'phase'\], got 'modes'"),
        ({"n_points": 1}, "n_points as a whole number >= 2, got 1"),
        ({"modes": 1}, "Expected modes as two different modes between 0 and 3"),
        ({"modes": (1, 1)}, r"got \(1, 1\)"),
        ({"modes": (0, 4)}, r"got \(0, 4\)"),
        ({"modes": (0, 1.0)}, r"got \(0, 1\.0\)"),
        ({"modes": (0, 1), "plane": "phase"}, "Expected modes as one mode"),
        ({"extent": 0}, "Expected extent as a number > 0"),
        ({"extent": (1, 2, 3)}, r"got \(1, 2, 3\)"),
        ({"extent": (1, np.nan)}, "Expected extent"),
    ],
)
def test_slices_that_cannot_be_are_refused(given, text):
    with pytest.raises(ParameterError, match=text):
        cut(make_parameters()[1], **given)


@pytest.fixture(scope="module")
def flow():
    """A flow with known dynamics and a network as it is before training."""
    counts = make_prediction()[1][["count"]].drop_vars(["held_in", "forward"])
    made = nks.generative.LangevinFlow(n_latents=4, n_hidden=8, time_step=TIME_STEP)
    sizes = made._sizes(np.ones(N_UNITS, dtype=bool), 0)
    vector, layout = to_flat(made._network(sizes, random_key(0, "weights"), np.zeros(N_UNITS)))
    known = make_parameters(coupling=0.3)[1].assign_coords(unit=counts["unit"].values)
    known["weight"] = ("parameter", vector, {"layout": layout})
    known.attrs["parameters"] = json.dumps(made.get_params())
    return nks.generative.LangevinFlow.from_parameters(known), counts


def test_a_flow_gives_its_landscape(flow):
    model, counts = flow
    assert "trajectory" not in model.landscape(n_points=5)
    found = model.landscape(counts, plane="phase", n_points=5)
    latent = model.transform(counts)["latent"].values
    mode = model.result_["mode_shape"].values[:, found.attrs["modes"][0]]
    position = (latent[..., :4] * model.result_["mass"].values) @ mode
    np.testing.assert_allclose(found["trajectory"].sel(axis="position"), position)
    nks.plotting.flow_field(found, condition="condition")


def test_a_slice_survives_a_file(flow, tmp_path):
    model, counts = flow
    found = model.landscape(counts, modes=(2, 0), n_points=5)
    found.to_netcdf(tmp_path / "slice.nc")
    with xr.open_dataset(tmp_path / "slice.nc") as again:
        xr.testing.assert_equal(again.load(), found)
        nks.plotting.potential_landscape(again)


def test_models_without_a_potential_have_no_landscape(flow):
    with pytest.raises(NotFittedError):
        nks.generative.LangevinFlow().landscape()
    model, _ = flow
    control = nks.generative.LangevinFlow(latent_path="recurrent_only")
    fitted_with = json.dumps(control.get_params())
    control.result_ = model.result_.drop_vars("mode_shape").assign_attrs(parameters=fitted_with)
    with pytest.raises(ParameterError, match="latent_path='recurrent_only': use variant='paper'"):
        control.landscape()
