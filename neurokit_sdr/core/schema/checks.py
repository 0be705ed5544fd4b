"""A Dataset held to the schema of its kind, and found in a session."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import did_you_mean
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.schema.invariants import INVARIANTS
from neurokit_sdr.core.schema.kinds import ANIMALS, GROUPS, KINDS, Kind
from neurokit_sdr.core.schema.words import describe


def select(data: xr.Dataset | xr.DataTree, kind: str) -> xr.Dataset:
    """Return the Dataset of one kind from a Dataset or a DataTree, checked.

    Parameters
    ----------
    data
        A Dataset of that kind, or a DataTree that holds one in its usual group.
    kind
        A key of :data:`KINDS`.

    Raises
    ------
    SchemaError
        If there is none, or it does not follow the schema.
    """
    if isinstance(data, xr.DataTree):
        if data.parent is not None:
            data = data.copy(deep=False)  # groups of a part count from its own root
        group = GROUPS[kind]
        if group not in data.groups:
            if data.data_vars:
                return check(data.to_dataset(), kind)
            if ANIMALS in data.groups:
                names = list(data[ANIMALS].children)
                raise SchemaError(
                    f"Expected the session of one animal, got {len(names)} animals, {names}: "
                    f"choose one, such as session['{ANIMALS}/{names[0] if names else 'NAME'}']."
                )
            raise SchemaError(
                f"Expected a session with a {group} group, got {describe(data)}: "
                f"{KINDS[kind].hint}."
            )
        node = data[group]
        if node.children and not node.data_vars:
            parts = [f"{group}/{name}" for name in node.children]
            raise SchemaError(
                f"Expected one recording of {kind}, got {len(parts)} in this session, {parts}: "
                f"choose one, such as session[{parts[0]!r}].to_dataset()."
            )
        return check(node.to_dataset(), kind)
    return check(data, kind)


def check(data: Any, kind: str) -> xr.Dataset:
    """Check that a Dataset follows the schema of a kind, and return it.

    Checks names, dimensions, dtypes, units and the kind's own invariants: spike times finite,
    inside ``[t_start, t_stop]`` and sorted within each unit; unit ids unique; counts non-negative
    and finite wherever ``observed`` is true; frame and sample times finite and ascending; channel
    names unique, positions with a ``coord_frame``; intervals that do not end before they start;
    cell ids of patterns unique.

    Parameters
    ----------
    data
        An :class:`xarray.Dataset`.
    kind
        A key of :data:`KINDS`.

    Returns
    -------
    xarray.Dataset
        The same object.

    Raises
    ------
    SchemaError
        Naming the first thing that is wrong, what was expected and what to do.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.1, 0.2]}, t_stop=1.0)
    >>> nks.core.schema.check(spikes, "spikes") is spikes
    True
    """
    spec = KINDS[kind]
    if not isinstance(data, xr.Dataset):
        raise SchemaError(
            f"Expected an xarray.Dataset of {kind}, got {describe(data)}: {spec.hint}."
        )
    _check_variables(data, spec)
    for name in spec.attrs:
        if name not in data.attrs:
            raise SchemaError(
                f"Expected attrs[{name!r}] on a Dataset of {kind}, got attrs "
                f"{sorted(map(str, data.attrs))}: {spec.hint}."
            )
    check_attrs(data)
    INVARIANTS[kind](data)
    return data


def _check_variables(data: xr.Dataset, spec: Kind) -> None:
    for name, variable in spec.variables.items():
        if name not in data.variables:
            if not variable.required:
                continue
            guess = did_you_mean(name, map(str, data.variables))
            raise SchemaError(
                f"Expected variable {name!r} with dims {_either(variable.dims)} in a Dataset of "
                f"{spec.name}, got {describe(data)}.{guess} To get one, {spec.hint}."
            )
        array = data[name]
        if tuple(array.dims) not in variable.dims:
            raise SchemaError(
                f"Expected {name!r} with dims {_either(variable.dims)}, got {tuple(array.dims)}: "
                f"rename or transpose the dimensions; {spec.hint}."
            )
        if array.dtype.kind not in variable.dtype:
            raise SchemaError(
                f"Expected {name!r} with a dtype of kind {variable.dtype!r}, got {array.dtype}: "
                f"convert it with .astype."
            )
        if variable.units and array.attrs.get("units") != variable.units:
            raise SchemaError(
                f"Expected {name!r} with attrs['units'] == {variable.units!r}, got "
                f"{array.attrs.get('units')!r}: convert the values and set the attribute."
            )


def _either(dims: tuple[tuple[str, ...], ...]) -> str:
    return " or ".join(str(d) for d in dims)


def check_attrs(data: xr.Dataset) -> None:
    """Raise :class:`SchemaError` where an attribute could not be written to netCDF."""
    holders: list[tuple[str, dict[Any, Any]]] = [("the Dataset", data.attrs)]
    holders += [(f"variable {name!r}", data[name].attrs) for name in data.variables]
    for where, attrs in holders:
        for key, value in attrs.items():
            items = value if isinstance(value, list) else [value]
            plain = all(
                isinstance(v, str | int | float | np.integer | np.floating)
                and not isinstance(v, bool | np.bool_)
                for v in items
            ) or (isinstance(value, np.ndarray) and value.dtype.kind in "iufU")
            if not plain:
                raise SchemaError(
                    f"Expected attrs[{key!r}] of {where} to be str, int, float or a list of "
                    f"them, got {type(value).__name__}: encode it (JSON for a dict, 0/1 for a "
                    f"bool, ISO text for a date)."
                )
