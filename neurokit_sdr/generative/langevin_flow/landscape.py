"""Two-dimensional slices of what moves the latents of a Langevin flow, labelled."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import Interval
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.generative.langevin_flow.equations import along_modes, reach
from neurokit_sdr.generative.langevin_flow.labels import unlabel_physics

#: What a slice may be of, and the names of its axes.
PLANES = {"positions": ("position", "other_position"), "phase": ("position", "velocity")}

#: A slice reaches at least up to this energy above its lowest point, in thermal energies.
HEAT = 5.0

#: Free space around what has to be seen.
MARGIN = 1.1


def landscape(
    result: xr.Dataset,
    time_step: float,
    latent: xr.DataArray | None,
    *,
    plane: str,
    modes: int | Sequence[int] | None,
    extent: float | Sequence[float] | None,
    n_points: int,
) -> xr.Dataset:
    """Cut a plane of normal modes out of the dynamics; see :meth:`LangevinFlow.landscape`.

    Parameters
    ----------
    result
        Of a fitted flow.
    time_step
        The model's units of time per bin.
    latent
        ``latent([trial,] time, latent_dim)``, positions and then velocities, or None.
    plane, modes, extent, n_points
        As of the method.
    """
    if plane not in PLANES:
        raise ParameterError(f"Expected plane to be one of {list(PLANES)}, got {plane!r}.")
    if n_points not in Interval(int, 2):
        raise ParameterError(f"Expected n_points as a whole number >= 2, got {n_points!r}.")
    seconds = float(result.attrs["bin_size"]) / time_step
    heat = float(result["temperature"].values[0])
    mass = result["mass"].values
    physics = unlabel_physics(result, seconds)
    every_shape = result["mode_shape"].transpose("oscillator", "mode").values
    path = None if latent is None else _in_modes(latent, every_shape, mass)
    chosen = _chosen(modes, plane, every_shape.shape[1], path)
    shape = every_shape[:, chosen]
    names = [_name(m, float(result["frequency"][m])) for m in chosen]
    reached = [reach(physics, column, HEAT * heat) for column in shape.T]
    if plane == "phase":
        names.append(f"velocity of mode {chosen[0]}")
        reached.append(float(np.sqrt(2 * HEAT * heat)))
    drawn = None if path is None else _in_plane(path, plane, chosen)
    x, y = (np.linspace(-w, w, n_points) for w in _widths(extent, reached, drawn))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    found = along_modes(physics, shape, grid[..., : len(chosen)])
    axes = PLANES[plane]
    dims = axes[::-1]
    if plane == "phase":
        velocity = grid[..., 1]
        energy = (found.potential + velocity**2 / 2) / heat
        rate = (found.force[..., 0] - found.friction[0] * velocity) / seconds
        variables = {
            "energy": (dims, energy, _attrs("kT", "potential and kinetic energy")),
            "position_rate": (dims, velocity / seconds, _attrs("1/s", "change of position")),
            "velocity_rate": (dims, rate, _attrs("1/s", "change of velocity")),
        }
    else:
        force, other_force = np.moveaxis(found.force / heat, -1, 0)
        variables = {
            "potential": (dims, found.potential / heat, _attrs("kT", "potential")),
            "force": (dims, force, _attrs("kT", "force along position")),
            "other_force": (dims, other_force, _attrs("kT", "force along other_position")),
        }
    coords = {
        axis: (axis, values, _attrs("1", name))
        for axis, values, name in zip(axes, (x, y), names, strict=True)
    }
    cut = xr.Dataset(variables, coords, {"modes": chosen})
    if drawn is None or latent is None:
        return cut
    like = latent.isel(latent_dim=slice(2)).rename(latent_dim="axis")
    trajectory = like.copy(data=drawn).assign_coords(axis=list(axes))
    return cut.assign(trajectory=trajectory.assign_attrs(_attrs("1", "path of posterior means")))


def _attrs(units: str, long_name: str) -> dict[str, str]:
    return {"units": units, "long_name": long_name}


def _name(mode: int, frequency: float) -> str:
    # U is even and confines: where the origin is no minimum, there is one on either side.
    return f"mode {mode}, " + (f"{frequency:.2g} Hz" if frequency > 0 else "double well")


def _in_modes(latent: xr.DataArray, shape: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Amplitudes and velocities of all modes, (..., 2, mode)."""
    values = latent.values.reshape(*latent.shape[:-1], 2, mass.size)
    return (values * mass) @ shape


def _chosen(
    modes: int | Sequence[int] | None, plane: str, n_modes: int, path: np.ndarray | None
) -> list[int]:
    """Positions of the modes of a slice."""
    number = 1 if plane == "phase" else 2
    if modes is None:
        if path is None:
            return list(range(number))
        variance = np.nanvar(path[..., 0, :].reshape(-1, n_modes), axis=0)
        return [int(m) for m in np.argsort(-variance, kind="stable")[:number]]
    given: list[Any] = [modes] if np.ndim(modes) == 0 else list(modes)  # type: ignore[arg-type]
    allowed = Interval(int, 0, n_modes - 1)
    if len(given) != number or len(set(given)) != number or any(m not in allowed for m in given):
        wanted = "one mode" if number == 1 else "two different modes"
        raise ParameterError(
            f"Expected modes as {wanted} between 0 and {n_modes - 1} for plane={plane!r}, got "
            f"{modes!r}."
        )
    return [int(m) for m in given]


def _in_plane(path: np.ndarray, plane: str, chosen: list[int]) -> np.ndarray:
    """The latents' way through the plane, (..., axis)."""
    if plane == "phase":
        return path[..., chosen[0]]
    return path[..., 0, :][..., chosen]


def _widths(
    extent: float | Sequence[float] | None, reached: list[float], drawn: np.ndarray | None
) -> list[float]:
    """Half the width and half the height."""
    if extent is None:
        if drawn is not None:
            most = np.nanmax(np.abs(drawn.reshape(-1, 2)), axis=0)
            reached = [max(pair) for pair in zip(reached, most.tolist(), strict=True)]
        return [MARGIN * r for r in reached]
    given: list[Any] = [extent] * 2 if isinstance(extent, numbers.Real) else list(extent)  # type: ignore[arg-type]
    if len(given) != 2 or any(e not in Interval(float, 0, open_low=True) for e in given):
        raise ParameterError(
            f"Expected extent as a number > 0, half the width and height, or one for each, got "
            f"{extent!r}."
        )
    return [float(e) for e in given]


def check_has_potential(result: xr.Dataset, variant: str, latent_path: str) -> None:
    """Raise :class:`ParameterError` of a flow whose ``result_`` holds no dynamics."""
    if "mode_shape" not in result:
        raise ParameterError(
            f"Expected a model with a potential that confines, got variant={variant!r} with "
            f"latent_path={latent_path!r}: use variant='paper' with 'latents_only' or 'full'."
        )
