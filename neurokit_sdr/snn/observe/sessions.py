"""A session taken apart and put together: its groups, its spikes, its truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError


def groups_of(session: Any, new: str | None = None) -> dict[str, xr.Dataset]:
    """The session's groups, none of which is the new one."""
    if isinstance(session, xr.Dataset):
        groups = {"/": xr.Dataset(), "/spikes": session}
    elif isinstance(session, xr.DataTree):
        groups = {n.path: n.to_dataset(inherit=False) for n in session.subtree}
    else:
        raise SchemaError(
            f"Expected a session (DataTree) or a Dataset of spikes, got "
            f"{schema.describe(session)}: simulate one with nks.snn.simulate, or read one with "
            f"nks.io.read_spikes."
        )
    if new in groups:
        raise SchemaError(
            f"Expected a session without {new}, got {schema.describe(session)}: observe the "
            f"session as it was before, or drop the group."
        )
    return groups


def take_apart(
    session: Any, new: str | None = None
) -> tuple[dict[str, xr.Dataset], xr.Dataset, xr.Dataset]:
    """Groups, checked spikes, and the truth about the same units (empty where there is none)."""
    groups = groups_of(session, new)
    if "/spikes" not in groups:
        raise SchemaError(
            f"Expected a session with a /spikes group, got {schema.describe(session)}: "
            f"{schema.KINDS['spikes'].hint}."
        )
    spikes = schema.check(groups["/spikes"], "spikes")
    if not spikes.sizes["unit"]:
        raise SchemaError("Expected a session with at least one unit, got none: simulate more.")
    truth = groups.get("/truth", xr.Dataset())
    ids = spikes["unit"].values
    if "unit" not in truth.coords:
        truth = truth.assign_coords(unit=("unit", ids))
    elif not same(truth["unit"].values, ids):
        raise SchemaError(
            f"Expected /spikes and /truth with the same units, got {ids.size} and "
            f"{truth.sizes['unit']}: sorting_errors changes the units and comes last; use the "
            f"session from before it."
        )
    return groups, spikes, truth


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays hold the same labels."""
    return one.shape == other.shape and bool((one == other).all())


def extended(truth: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """The truth with new variables; raise where it holds one of them already."""
    taken = sorted(set(map(str, new.data_vars)) & set(map(str, truth.variables)))
    if taken:
        raise SchemaError(
            f"Expected a session whose /truth does not hold {', '.join(taken)} yet, got one that "
            f"does: observe the session as it was before."
        )
    for name, size in new.sizes.items():
        known = truth[name].values if name in truth.variables else None
        clash = known is not None and truth[name].dims != (name,)
        clash |= known is not None and name in new.coords and not same(known, new[name].values)
        if clash or truth.sizes.get(name, size) != size:
            raise SchemaError(
                f"Expected a /truth where {name!r}, if there at all, is the dimension of the "
                f"observation, got {schema.describe(truth)}: rename it there."
            )
    return truth.assign_coords(new.coords).assign(new.data_vars)


def unit_coords(spikes: xr.Dataset) -> dict[Any, xr.Variable]:
    """What is known of each unit."""
    return {n: c.variable for n, c in spikes.coords.items() if c.dims == ("unit",)}


def positions_of(ids: np.ndarray, wanted: list[Any]) -> np.ndarray:
    """Places of the wanted ids among all; raise where one is unknown or comes twice."""
    place = {unit: k for k, unit in enumerate(ids.tolist())}
    plain = [w.item() if isinstance(w, np.generic) else w for w in wanted]
    unknown = [w for w in plain if w not in place]
    if unknown or not plain:
        raise ParameterError(
            f"Expected ids among {ids[:5].tolist()}{'...' if ids.size > 5 else ''}, got "
            f"{unknown[:5] or 'none'}: see session['/spikes/unit']."
        )
    if len(set(plain)) < len(plain):
        raise ParameterError(f"Expected each unit once, got {plain}: drop the repetitions.")
    return np.array([place[w] for w in plain])
