"""Several animals in one session, and which of their neurons are the same."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.schema.checks import select
from neurokit_sdr.core.schema.kinds import ANIMALS
from neurokit_sdr.core.schema.words import describe


def animals(session: xr.DataTree, kind: str, label: str = "label") -> dict[str, xr.Dataset]:
    """Return the recordings of one kind of every animal, checked, by the animal's name.

    Parameters
    ----------
    session
        A DataTree with groups ``/animals/NAME``, each a session of its own.
    kind
        A key of :data:`KINDS` with a dimension ``unit``.
    label
        Coordinate along ``unit`` that names the same neuron in every animal; empty text where a
        neuron was not identified.

    Raises
    ------
    SchemaError
        If there is no animal, one lacks the kind or the labels, or a label stands for two of its
        units.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> worm = nks.io.from_spike_times({0: [0.1], 1: [0.2]}, t_stop=1.0)
    >>> worm = worm.assign_coords(label=("unit", ["AVAL", "AVAR"]))
    >>> session = xr.DataTree.from_dict({"/animals/a/spikes": worm, "/animals/b/spikes": worm})
    >>> list(animals(session, "spikes"))
    ['a', 'b']
    """
    if not isinstance(session, xr.DataTree) or ANIMALS not in session.groups:
        raise SchemaError(
            f"Expected a session with groups {ANIMALS}/NAME, got {describe(session)}: put each "
            f"animal's session there with xr.DataTree.from_dict({{'{ANIMALS}/NAME/spikes': ...}})."
        )
    found = {
        str(name): _labelled(select(node, kind), f"{ANIMALS}/{name}", label)
        for name, node in session[ANIMALS].children.items()
    }
    if not found:
        raise SchemaError(f"Expected at least one animal in {ANIMALS}, got none.")
    return found


def _labelled(data: xr.Dataset, where: str, label: str) -> xr.Dataset:
    if label not in data.coords or data[label].dims != ("unit",) or data[label].dtype.kind in "iuf":
        along = [str(n) for n, c in data.coords.items() if c.dims == ("unit",) and n != "unit"]
        raise SchemaError(
            f"Expected a coordinate {label!r} along 'unit' in {where}, text that names the same "
            f"neuron in every animal, got {along}: add it with .assign_coords({label}=('unit', "
            f"names)), empty where a neuron was not identified."
        )
    names, number = np.unique(data[label].values.astype(np.str_), return_counts=True)
    twice = names[(number > 1) & (names != "")]
    if twice.size:
        raise SchemaError(
            f"Expected a {label} for one unit of {where} each, got {twice[:5].tolist()} more than "
            f"once: merge those units, or leave the label of all but one empty."
        )
    return data
