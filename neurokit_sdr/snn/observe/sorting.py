"""What a spike sorter makes of the spikes: some missed, some false, some units taken for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, check
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn.observe.sessions import extended, positions_of, take_apart
from neurokit_sdr.snn.observe.sorter import sort_spikes

_NOT_NEGATIVE = Interval(float, 0)


def sorting_errors(
    session: xr.Dataset | xr.DataTree,
    *,
    miss_rate: float = 0.0,
    false_rate: float = 0.0,
    merges: int | Sequence[tuple[Any, Any]] = 0,
    rng: RNG = None,
) -> xr.DataTree:
    """Spikes as a spike sorter gives them: some missed, some false, some units taken for one.

    Each spike is missed with probability ``miss_rate``, whatever the others do. Each recorded unit
    gets false spikes as a Poisson process. The two units of a merged pair are recorded as the
    earlier of them, with its id and coordinates.

    Parameters
    ----------
    session
        With ``/spikes``; or a Dataset of spikes.
    miss_rate
        Probability that a spike is missed.
    false_rate
        False spikes per second (Hz) and recorded unit.
    merges
        How many pairs of units are merged, drawn at random without a unit in two pairs; or the
        pairs, as ids.
    rng
        Seed or generator.

    Returns
    -------
    xarray.DataTree
        The session with new ``/spikes``, unit after unit. ``/truth`` keeps the true spikes as
        ``true_spike_time(true_spike)`` in s and ``true_spike_unit(true_spike)``, with everything
        else known per spike, and gains ``spike_source(spike)``, the position on its ``unit``
        of who fired each spike of ``/spikes`` (-1 for a false one); ``missed(unit)``, how many
        spikes were not recorded; ``merged_into(unit)``, the position on the ``unit`` of
        ``/spikes`` that each true unit is recorded as.

    Raises
    ------
    SchemaError
        If there are no spikes in the session or no units, or its errors were drawn before.
    ParameterError
        If an argument is out of range, a pair names an unknown unit or a unit is in two pairs.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> from neurokit_sdr.snn import observe
    >>> spikes = nks.io.from_spike_times({"a": [0.5, 0.7], "b": [0.6], "c": []}, t_stop=1.0)
    >>> seen = observe.sorting_errors(spikes, merges=[("a", "b")], rng=0)
    >>> seen["/spikes/unit"].values.tolist(), seen["/truth/spike_source"].values.tolist()
    (['a', 'c'], [0, 1, 0])
    """
    check("miss_rate", miss_rate, Interval(float, 0, 1))
    check("false_rate", false_rate, _NOT_NEGATIVE)
    seed = resolve_seed(rng)
    groups, spikes, truth = take_apart(session)
    n_units = spikes.sizes["unit"]
    first = np.arange(n_units)
    for one, other in _pairs(spikes["unit"].values, merges, stream(seed, "sorting", "merges")):
        first[max(one, other)] = min(one, other)
    kept, recorded_as = np.unique(first, return_inverse=True)
    found = sort_spikes(
        spikes["spike_time"].values,
        spikes["spike_unit"].values,
        recorded_as,
        miss_rate,
        false_rate,
        (float(spikes.attrs["t_start"]), float(spikes.attrs["t_stop"])),
        stream(seed, "sorting", "missed"),
        stream(seed, "sorting", "false"),
    )
    recorded = spikes.drop_dims("spike").isel(unit=kept)
    recorded = recorded.assign(
        spike_time=("spike", found.time, spikes["spike_time"].attrs),
        spike_unit=("spike", found.unit, spikes["spike_unit"].attrs),
    ).assign_attrs(
        sorting_miss_rate=float(miss_rate),
        sorting_false_rate=float(false_rate),
        sorting_merges=n_units - kept.size,
        sorting_seed=seed,
    )
    true_spikes = {
        name if (name := str(key)).startswith("true_") else f"true_{name}": (
            ["true_spike" if d == "spike" else str(d) for d in variable.dims],
            variable.values,
            variable.attrs,
        )
        for key, variable in spikes.variables.items()
        if "spike" in variable.dims
    }
    groups["/spikes"] = schema.check(recorded, "spikes")
    groups["/truth"] = extended(
        truth,
        xr.Dataset(
            {
                **true_spikes,
                "spike_source": (
                    "spike",
                    found.source,
                    {"long_name": "position of the unit that fired, -1 for a false spike"},
                ),
                "missed": ("unit", found.missed, {"units": "1", "long_name": "missed spikes"}),
                "merged_into": (
                    "unit",
                    recorded_as,
                    {"long_name": "position of the recorded unit on the units of /spikes"},
                ),
            }
        ),
    )
    return xr.DataTree.from_dict(groups)


def _pairs(
    ids: np.ndarray, merges: int | Sequence[tuple[Any, Any]], rng: np.random.Generator
) -> np.ndarray:
    """Positions of the units to merge, of shape (pair, 2)."""
    given: Any = merges
    if not isinstance(given, list | tuple | np.ndarray):
        check("merges", given, Interval(int, 0, ids.size // 2))
        return rng.permutation(ids.size)[: 2 * int(given)].reshape(-1, 2)
    if not all(isinstance(p, list | tuple | np.ndarray) and len(p) == 2 for p in given):
        raise ParameterError(
            f"Expected merges as a number or a list of pairs of ids, got {merges!r}."
        )
    if not len(given):
        return np.empty((0, 2), dtype=np.int64)
    return positions_of(ids, [unit for pair in given for unit in pair]).reshape(-1, 2)
