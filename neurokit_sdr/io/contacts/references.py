"""References of intracranial recordings: bipolar pairs and common averages.

Each step takes signals as they are held, in a file, in dask or in memory, and gives the same back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError, warn
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io.contacts.names import CONTACT, CONTACTS, PREFIX, on_signal, record, shafts_of

#: Pairs further apart than this many times the median are named.
_FAR = 3


def bipolar_reference(data: Any) -> Any:
    r"""Re-reference each contact to its next neighbour on the same shaft.

    .. math:: s_{A1-A2}(t) = s_{A1}(t) - s_{A2}(t)

    Contacts are neighbours if they follow each other by number (1 and 2, not 1 and 3), on one
    shaft, of one type and unit. Channels that are no contacts stay as they are, behind the pairs.

    Parameters
    ----------
    data
        A Dataset with ``signal(..., channel)``, or a session with ``/signal``, in which contacts
        have one common reference.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        One channel per pair, named ``A1-A2``, with ``anode`` and ``cathode``, the position half way
        between the two, and bad if either is. What else is known of both stays where it is the
        same; text that differs becomes ``one | other``. Held as the input is: lazy signals stay
        lazy. ``attrs["reference"]`` is ``"bipolar"``, and ``attrs["history"]`` says what was done.

    Raises
    ------
    SchemaError
        If there is no pair of neighbours, or the signal is bipolar already.

    Warns
    -----
    DataWarning
        Naming contacts without a neighbour, which are in no pair and left out; and, where positions
        are known, pairs more than 3 times as far apart as the median pair.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> data = xr.Dataset(
    ...     {"signal": (("time", "channel"), np.array([[3.0, 1.0, 0.5]]), {"units": "V"})},
    ...     coords={
    ...         "time": ("time", [0.0], {"units": "s"}),
    ...         "channel": ["A1", "A2", "A3"],
    ...         "channel_type": ("channel", ["seeg"] * 3),
    ...         "channel_unit": ("channel", ["V"] * 3),
    ...     },
    ... )
    >>> pairs = nks.io.bipolar_reference(data)
    >>> pairs["channel"].values.tolist(), pairs["signal"].values.tolist()
    (['A1-A2', 'A2-A3'], [[2.0, 0.5]])
    """
    return on_signal(data, _bipolar)


def _bipolar(data: xr.Dataset) -> xr.Dataset:
    shafts, numbers = shafts_of(data)
    if _is_bipolar(data):
        raise SchemaError(
            "Expected signals with one common reference, got a bipolar one by attrs['reference'] "
            "or attrs['history']: use the recording from before that step."
        )
    kind = data["channel_type"].values.astype(np.str_)
    unit = data["channel_unit"].values.astype(np.str_)
    place: dict[tuple[str, int, str, str], int] = {}
    for k in range(shafts.size):
        if numbers[k] >= 0:
            key = (str(shafts[k]), int(numbers[k]), str(kind[k]), str(unit[k]))
            if key in place:
                one, other = (str(data["channel"].values[i]) for i in (place[key], k))
                raise SchemaError(
                    f"Expected one channel per contact, got {one!r} and {other!r} for contact "
                    f"{key[1]} of {key[0]}: drop one, or set the coordinates shaft and contact."
                )
            place[key] = k
    pairs = [
        (k, place[(s, n + 1, t, u)])
        for (s, n, t, u), k in place.items()
        if (s, n + 1, t, u) in place
    ]
    if not pairs:
        raise SchemaError(
            f"Expected at least two contacts that follow each other on a shaft, got channels "
            f"{data['channel'].values[:10].tolist()}: set the coordinates shaft and contact "
            f"(channel) where the names do not say, and channel_type where they are no contacts."
        )
    anode, cathode = map(np.array, zip(*pairs, strict=True))
    rest = np.flatnonzero(numbers < 0)
    lonely = sorted(set(place.values()) - set(anode.tolist()) - set(cathode.tolist()))
    if lonely:
        names = ", ".join(str(data["channel"].values[k]) for k in lonely)
        warn(
            f"{len(lonely)} contacts have no neighbour on their shaft and are in no bipolar pair: "
            f"{names}."
        )
    first = np.concatenate([anode, rest])
    second = np.concatenate([cathode, np.full(rest.size, -1)])
    labels = _pair_names(data["channel"].values, first, second)
    _warn_far(data, anode, cathode, labels)
    result = _with_signal(data, partial(_difference, first, second), first.size)
    coords = {str(n): c for n, c in data.coords.items() if "channel" in c.dims}
    merged = {n: _merged(n, c.variable, first, second) for n, c in coords.items() if n != "channel"}
    result = result.assign_coords(
        {n: v for n, v in merged.items() if v is not None}
        | {
            "channel": ("channel", labels),
            "anode": ("channel", data["channel"].values[first].astype(np.str_)),
            "cathode": ("channel", np.where(second < 0, "", data["channel"].values[second])),
        }
    )
    result.attrs["reference"] = "bipolar"
    text = (
        f"bipolar_reference: {len(pairs)} pairs of neighbours on {len(set(shafts[anode]))} shafts"
    )
    if rest.size:
        text += f"; {rest.size} channels that are no contacts as they were"
    if lonely:
        text += f"; without a neighbour, left out: {names_of(data, lonely)}"
    return schema.check(record(result, text), "signal")


def _is_bipolar(data: xr.Dataset) -> bool:
    history = data.attrs.get("history", [])
    history = [history] if isinstance(history, str) else history
    return "bipolar" in str(data.attrs.get("reference", "")).split("; ") or any(
        str(line).startswith("bipolar_reference:") for line in history
    )


def _warn_far(data: xr.Dataset, anode: np.ndarray, cathode: np.ndarray, labels: np.ndarray) -> None:
    """Name pairs that lie much further apart than most, as where a grid's rows meet."""
    if not {"x", "y", "z"} <= set(data.coords):
        return
    place = np.stack([data[axis].values.astype(np.float64) for axis in "xyz"], axis=-1)
    if place.ndim != 2:
        return
    apart = np.linalg.norm(place[anode] - place[cathode], axis=-1)
    known = np.isfinite(apart)
    if not known.any():
        return
    usual = float(np.median(apart[known]))
    far = np.flatnonzero(known & (apart > _FAR * usual))
    if far.size and usual > 0:
        shown = ", ".join(f"{labels[k]} ({apart[k]:.3g} m)" for k in far)
        warn(
            f"{far.size} bipolar pairs lie more than {_FAR} times as far apart as most "
            f"({usual:.3g} m), as where the rows of a grid meet, and are no neighbours: "
            f"{shown}. Leave them out with .drop_sel(channel=[...]), or set the coordinates shaft "
            f"and contact."
        )


def names_of(data: xr.Dataset, places: Sequence[int]) -> str:
    """Names of channels, for texts."""
    return ", ".join(str(data["channel"].values[k]) for k in places)


def _pair_names(names: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``A1-A2``: the names without the reference that both had."""
    made = []
    for one, other in zip(first, second, strict=True):
        if other < 0:
            made.append(str(names[one]))
        else:
            made.append("-".join(_bare(str(names[k])) for k in (one, other)))
    return np.array(made, dtype=np.str_)


def _bare(name: str) -> str:
    text = PREFIX.sub("", name.strip())
    first = text.partition("-")[0].strip()
    return first if CONTACT.match(first) else text


def _merged(
    name: str, variable: xr.Variable, first: np.ndarray, second: np.ndarray
) -> xr.Variable | None:
    """A coordinate of pairs from that of contacts; None where a pair can have none."""
    if name in {"physical_minimum", "physical_maximum", "digital_minimum", "digital_maximum"}:
        return None  # of the integers of one contact
    axis = variable.dims.index("channel")
    one = np.take(variable.values, first, axis)
    other = np.take(variable.values, np.where(second < 0, first, second), axis)
    if name == "bad":
        values = one | other
    elif name in {"x", "y", "z"}:
        values = (one + other) / 2
    elif name in {"contact", "shaft"}:
        values = one
    elif one.dtype.kind in "UO":
        same = one == other
        both = [f"{a} | {b}" for a, b in zip(one.flat, other.flat, strict=True)]
        values = np.where(same, one, np.array(both, dtype=np.str_).reshape(one.shape))
    elif np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
        values = one
    elif one.dtype.kind == "f":
        values = np.where(one == other, one, np.nan)
    else:
        return None
    return xr.Variable(variable.dims, values, variable.attrs)


def common_average(data: Any, by: str | None = None) -> Any:
    r"""Subtract the mean of the good contacts from every contact.

    .. math:: s_c'(t) = s_c(t) - \frac{1}{|G|} \sum_{g \in G} s_g(t)

    with :math:`G` the contacts of a group that are not marked bad. Bad contacts have the mean
    subtracted, and no part in it. Channels that are no contacts (ECG, triggers) stay as they are.

    Parameters
    ----------
    data
        A Dataset with ``signal(..., channel)``, or a session with ``/signal``.
    by
        Groups: None for all contacts (of the types seeg, ecog, dbs and eeg) together,
        ``"shaft"`` for each shaft on its own, ``"type"`` for each channel type on its own.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        Held as the input is: lazy signals stay lazy. ``attrs["reference"]`` says
        ``"common average"`` and of what (of bipolar pairs ``"bipolar; common average"``),
        ``attrs["history"]`` what was done.

    Raises
    ------
    ParameterError
        If ``by`` is another word.
    SchemaError
        If a group has contacts and fewer than two good ones, or they have different units.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> data = xr.Dataset(
    ...     {"signal": (("time", "channel"), np.array([[3.0, 1.0, 50.0]]), {"units": "V"})},
    ...     coords={
    ...         "time": ("time", [0.0], {"units": "s"}),
    ...         "channel": ["A1", "A2", "A3"],
    ...         "channel_type": ("channel", ["seeg"] * 3),
    ...         "channel_unit": ("channel", ["V"] * 3),
    ...         "bad": ("channel", [False, False, True]),
    ...     },
    ... )
    >>> nks.io.common_average(data)["signal"].values.tolist()
    [[1.0, -1.0, 48.0]]
    """
    if by not in (None, "shaft", "type"):
        raise ParameterError(f"Expected by as None, 'shaft' or 'type', got {by!r}.")
    return on_signal(data, partial(_average, by=by))


def _average(data: xr.Dataset, by: str | None) -> xr.Dataset:
    kind = data["channel_type"].values.astype(np.str_)
    is_contact = np.isin(kind, CONTACTS)
    if by == "shaft":
        shafts, _ = shafts_of(data)
        is_contact &= shafts != ""
        label = shafts
    else:
        label = kind if by == "type" else np.full(kind.size, "all")
    bad = data["bad"].values.astype(bool) if "bad" in data.coords else np.zeros(kind.size, bool)
    if not is_contact.any():
        raise SchemaError(
            f"Expected contacts (channels of type {', '.join(CONTACTS)}"
            f"{' with a shaft in their name' if by == 'shaft' else ''}), got types "
            f"{sorted(set(kind.tolist()))}: set channel_type, or shaft and contact."
        )
    group = np.full(kind.size, -1)
    names = sorted(set(label[is_contact].tolist()))
    for number, name in enumerate(names):
        inside = is_contact & (label == name)
        good = inside & ~bad
        units = sorted(set(data["channel_unit"].values[inside].astype(np.str_).tolist()))
        if len(units) > 1:
            raise SchemaError(
                f"Expected contacts of one unit in group {name!r}, got {units}: convert them, or "
                f"use by='type'."
            )
        if good.sum() < 2:
            raise SchemaError(
                f"Expected at least two good contacts in each group, got {int(good.sum())} of "
                f"{int(inside.sum())} in {name!r}: leave it out with nks.io.select_contacts, or "
                f"average over more with by=None."
            )
        group[inside] = number
    result = _with_signal(data, partial(_without_mean, group, ~bad), kind.size)
    spoiled = ["physical_minimum", "physical_maximum", "digital_minimum", "digital_maximum"]
    result = result.drop_vars([n for n in spoiled if n in result.coords])
    text = "common average" + (f" by {by}" if by else "")
    result.attrs["reference"] = f"bipolar; {text}" if _is_bipolar(data) else text
    left = int((~is_contact).sum())
    history = (
        f"common_average: mean of {int((is_contact & ~bad).sum())} good contacts"
        f"{f' in {len(names)} groups by {by}' if by else ''} subtracted from "
        f"{int(is_contact.sum())}; {left} other channels as they were"
    )
    return record(result, history)


# -- signals, wherever they are held --------------------------------------------------------------


def _with_signal(data: xr.Dataset, change: Callable[[Any, Any], Any], channels: int) -> xr.Dataset:
    """The Dataset with a changed signal, and without what runs over its old channels.

    ``change(values, rows)`` gives rows of new channels from all the old ones, of shape
    (..., channel).
    """
    signal = data["signal"].variable
    shape = (*signal.shape[:-1], channels)
    rows = np.arange(channels)
    if signal.chunks is not None:
        whole = signal.chunk({"channel": -1}).data
        values = whole.map_blocks(
            change, rows, dtype=signal.dtype, chunks=(*whole.chunks[:-1], (channels,))
        )
        new = xr.Variable(signal.dims, values, signal.attrs)
    elif isinstance(signal._data, np.ndarray):
        new = xr.Variable(signal.dims, change(signal.values, rows), signal.attrs)
    else:
        read = partial(_changed, signal, change, channels)
        new = lazy_variable(tuple(map(str, signal.dims)), read, shape, signal.dtype, signal.attrs)
    if channels == data.sizes["channel"]:
        return data.assign(signal=new)
    others = data.drop_vars([n for n in data.variables if "channel" in data[n].dims])
    return others.assign(signal=new)


def _changed(
    signal: xr.Variable, change: Callable[[Any, Any], Any], channels: int, key: tuple[Any, ...]
) -> np.ndarray:
    picked = np.arange(channels)[key[-1]]
    values = signal[(*key[:-1], slice(None))].values
    changed = change(values, np.atleast_1d(picked))
    return changed[..., 0] if np.ndim(picked) == 0 else changed


def _difference(first: np.ndarray, second: np.ndarray, values: Any, rows: np.ndarray) -> Any:
    one, other = first[rows], second[rows]
    result = values[..., one]
    paired = other >= 0
    result[..., paired] -= values[..., other[paired]]
    return result


def _without_mean(group: np.ndarray, good: np.ndarray, values: Any, rows: np.ndarray) -> Any:
    result = values[..., rows].copy()
    for number in range(group.max() + 1):
        inside = group[rows] == number
        if inside.any():
            mean = values[..., (group == number) & good].mean(axis=-1, keepdims=True)
            result[..., inside] -= mean
    return result
