"""What lies in the field of view: some of the units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, check
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn.observe.sessions import (
    extended,
    positions_of,
    same,
    take_apart,
    unit_coords,
)

#: Dimensions of /truth that run over the units.
UNIT_DIMS = ("unit", "target", "source")


def subsample(
    session: xr.Dataset | xr.DataTree,
    n_units: int | None = None,
    *,
    units: Sequence[Any] | np.ndarray | None = None,
    rng: RNG = None,
) -> xr.DataTree:
    """Keep a subset of the units, as an electrode or a field of view does.

    Every group, such as ``/voltage``, is reduced to the observed units. In ``/truth``, every array
    over units, targets, sources or synapses becomes its observed block, and the whole is kept under
    the same name with ``_full`` behind it and behind its dimensions: ``weight(target, source)`` and
    ``weight_full(target_full, source_full)``. The same for the spikes, ``spike_time_full`` and
    ``spike_unit_full`` (``spike_full``), and the coordinates of the units. Of a session subsampled
    before, the first whole is kept.

    Parameters
    ----------
    session
        With ``/spikes``; or a Dataset of spikes.
    n_units
        How many units to keep, drawn at random without replacement.
    units
        The ids of those to keep, instead. They keep the order of the session.
    rng
        Seed or generator.

    Returns
    -------
    xarray.DataTree
        The session with the observed units.

    Raises
    ------
    SchemaError
        If there are no spikes in the session or no units.
    ParameterError
        If not exactly one of ``n_units`` and ``units`` is given, there are not so many units, or
        an id is unknown or given twice.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> from neurokit_sdr.snn import observe
    >>> spikes = nks.io.from_spike_times({"a": [0.5], "b": [0.6], "c": []}, t_stop=1.0)
    >>> seen = observe.subsample(spikes, units=["c", "b"])
    >>> seen["/spikes/unit"].values.tolist(), seen["/truth/unit_full"].values.tolist()
    (['b', 'c'], ['a', 'b', 'c'])
    """
    groups, spikes, truth = take_apart(session)
    ids = spikes["unit"].values
    if (n_units is None) == (units is None):
        raise ParameterError(
            f"Expected either n_units or units, got {'neither' if units is None else 'both'}: say "
            f"how many to draw, or name them."
        )
    seed = resolve_seed(rng)
    if units is not None:
        kept = positions_of(ids, list(units))
    else:
        check("n_units", n_units, Interval(int, 1, ids.size))
        kept = stream(seed, "subsample").choice(ids.size, int(n_units or 0), replace=False)
    kept = np.sort(kept)
    place = np.full(ids.size, -1)
    place[kept] = np.arange(kept.size)
    seen = place[spikes["spike_unit"].values] >= 0
    observed = spikes.isel(unit=kept, spike=np.flatnonzero(seen))
    unit = observed["spike_unit"]
    observed = observed.assign(spike_unit=unit.copy(data=place[unit.values]))
    if units is None:
        observed = observed.assign_attrs(subsample_seed=seed)
    for name, dataset in groups.items():
        if name != "/truth" and "unit" in dataset.indexes:
            inside = np.isin(dataset["unit"].values, ids[kept])
            groups[name] = dataset.isel(unit=np.flatnonzero(inside))
    groups["/spikes"] = schema.check(observed, "spikes")
    if "unit_full" not in truth.variables:
        truth = _with_full(truth, spikes)
    groups["/truth"] = _observed_block(truth, ids, kept, place)
    return xr.DataTree.from_dict(groups)


def _listed(truth: xr.Dataset) -> bool:
    """Whether the truth holds synapses as a list of positions of their units."""
    return all(
        n in truth.variables and truth[n].dims == ("synapse",)
        for n in ("synapse_source", "synapse_target")
    )


def _with_full(truth: xr.Dataset, spikes: xr.Dataset) -> xr.Dataset:
    """The truth, with all that :func:`subsample` will reduce once more under ``NAME_full``."""
    dims = _unit_dims(truth, spikes["unit"].values)
    if _listed(truth):
        dims.add("synapse")

    def full(variable: xr.Variable, reduced: set[str]) -> xr.Variable:
        names = [f"{d}_full" if d in reduced else d for d in variable.dims]
        return xr.Variable(names, variable.values, variable.attrs)

    coords: dict[Any, xr.Variable] = {}
    variables: dict[Any, xr.Variable] = {}
    for name, variable in truth.variables.items():
        if dims & set(map(str, variable.dims)):
            holder = coords if name in truth.coords else variables
            holder[f"{name}_full"] = full(variable, dims)
    for name in ("spike_time", "spike_unit"):
        variables[f"{name}_full"] = full(spikes[name].variable, {"spike"})
    for name, variable in unit_coords(spikes).items():
        coords.setdefault(f"{name}_full", full(variable, {"unit"}))
    return extended(truth, xr.Dataset(variables, coords))


def _unit_dims(truth: xr.Dataset, ids: np.ndarray) -> set[str]:
    return {
        d
        for d in UNIT_DIMS
        if truth.sizes.get(d) == ids.size and (d not in truth.coords or same(truth[d].values, ids))
    }


def _observed_block(
    truth: xr.Dataset, ids: np.ndarray, kept: np.ndarray, place: np.ndarray
) -> xr.Dataset:
    block = truth
    if _listed(truth):
        source = place[truth["synapse_source"].values]
        target = place[truth["synapse_target"].values]
        inside = np.flatnonzero((source >= 0) & (target >= 0))
        block = block.isel(synapse=inside)
        for name, position in (("synapse_source", source), ("synapse_target", target)):
            block = block.assign({name: block[name].copy(data=position[inside])})
    return block.isel(dict.fromkeys(_unit_dims(truth, ids), kept))
