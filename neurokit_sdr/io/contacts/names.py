"""Contacts of intracranial recordings: which they are by name, and the choice of some."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError

#: Types of channels that are contacts, or may be.
CONTACTS = ("seeg", "ecog", "dbs", "eeg")
PREFIX = re.compile(r"^(?:POL|EEG|SEEG|IEEG|ECOG|DBS)\s+", re.IGNORECASE)
# The shaft's name ends in a letter or a prime, and may have digits before.
CONTACT = re.compile(r"^(?P<shaft>.*?[^\W\d_]['’′`]*|.*?['’′`])[\s_]*(?P<number>\d{1,6})$")


class Contact(NamedTuple):
    """What a name says: ``HL1-2`` is contact 1 of shaft HL against contact 2.

    ``number`` is -1 where the name is none of a contact; ``against`` is the reference as written,
    empty where there is none.
    """

    shaft: str
    number: int
    against: str


def split_name(name: str) -> Contact:
    """Shaft, number and reference of a contact's name."""
    text = PREFIX.sub("", name.strip())
    first, _, against = (part.strip() for part in text.partition("-"))
    found = CONTACT.match(first)
    if found:
        return Contact(found["shaft"].strip(" _"), int(found["number"]), against)
    number = re.fullmatch(r"(\d{1,6})(?:-(.*))?", against)
    if number and re.fullmatch(r"[^\W\d_]+['’′`]*", first):  # "A-1"
        return Contact(first, int(number[1]), number[2] or "")
    return Contact("", -1, "")


def split_contact_names(data: Any) -> Any:
    """Split the channels' names into shaft and contact number.

    Understands what recorders and BIDS write: ``LA'12`` is contact 12 of shaft ``LA'``, ``HL1-2``
    contact 1 of ``HL`` against 2, ``POL A1-Ref`` and ``EEG A1-Ref`` contact 1 of ``A`` against
    ``Ref``, ``LFP_RIGHT_0`` contact 0 of ``LFP_RIGHT``. Only channels of the types seeg, ecog, dbs
    and eeg are contacts. The name itself stays as it is.

    Parameters
    ----------
    data
        A Dataset with ``signal(..., channel)``, or a session with ``/signal``.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        The same with ``shaft(channel)``, empty where a name is none of a contact;
        ``contact(channel)``, the number, -1 there; and ``contact_reference(channel)``, what the
        name has behind the hyphen. Recorded in ``attrs["history"]``.

    Raises
    ------
    SchemaError
        If ``data`` holds no signal.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> data = xr.Dataset(
    ...     {"signal": (("time", "channel"), np.zeros((2, 3)), {"units": "V"})},
    ...     coords={
    ...         "time": ("time", [0.0, 0.001], {"units": "s"}),
    ...         "channel": ["LA'1", "LA'2", "ECG"],
    ...         "channel_type": ("channel", ["seeg", "seeg", "ecg"]),
    ...         "channel_unit": ("channel", ["V", "V", "V"]),
    ...     },
    ... )
    >>> split = nks.io.split_contact_names(data)
    >>> split["shaft"].values.tolist(), split["contact"].values.tolist()
    (["LA'", "LA'", ''], [1, 2, -1])
    """
    return on_signal(data, _split)


def _split(data: xr.Dataset) -> xr.Dataset:
    found = _contacts(data)
    split = data.assign_coords(
        shaft=("channel", np.array([c.shaft for c in found], dtype=np.str_)),
        contact=("channel", np.array([c.number for c in found], dtype=np.int64)),
        contact_reference=("channel", np.array([c.against for c in found], dtype=np.str_)),
    )
    shafts = sorted({c.shaft for c in found if c.shaft})
    number = sum(c.number >= 0 for c in found)
    return record(split, f"split_contact_names: {number} contacts on {len(shafts)} shafts")


def _contacts(data: xr.Dataset) -> list[Contact]:
    return [
        split_name(str(n)) if t in CONTACTS else Contact("", -1, "")
        for n, t in zip(data["channel"].values, data["channel_type"].values, strict=True)
    ]


def shafts_of(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Shaft and number of each channel: the user's own coordinates where there are any."""
    if "shaft" not in data.coords or "contact" not in data.coords:
        data = _split(data)
    return data["shaft"].values.astype(np.str_), data["contact"].values


def select_contacts(
    data: Any,
    names: Sequence[str] | None = None,
    *,
    shafts: str | Sequence[str] | None = None,
    types: str | Sequence[str] | None = None,
    drop_bad: bool = False,
) -> Any:
    """Keep some channels, in the order of the recording.

    A channel is kept if it meets everything that is given.

    Parameters
    ----------
    data
        A Dataset with ``signal(..., channel)``, or a session with ``/signal``.
    names
        Names of channels.
    shafts
        One or more shafts, as :func:`split_contact_names` names them (a coordinate ``shaft`` that
        is there already is used).
    types
        One or more channel types, such as ``"seeg"``.
    drop_bad
        Whether to leave out channels marked bad.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        With fewer channels, the signal still where it was; what was done is in
        ``attrs["history"]``.

    Raises
    ------
    ParameterError
        If a name, shaft or type is not there, or nothing is left.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.io.read("dataset")  # doctest: +SKIP
    >>> hippocampus = nks.io.select_contacts(session, shafts=["HL", "HR"], drop_bad=True)
    ... # doctest: +SKIP
    """
    return on_signal(
        data, partial(_select, names=names, shafts=shafts, types=types, drop_bad=drop_bad)
    )


def _select(
    data: xr.Dataset,
    names: Sequence[str] | None,
    shafts: str | Sequence[str] | None,
    types: str | Sequence[str] | None,
    drop_bad: bool,
) -> xr.Dataset:
    keep = np.ones(data.sizes["channel"], dtype=bool)
    said = []
    for word, wanted, values in (
        ("names", names, lambda: data["channel"].values.astype(np.str_)),
        ("shafts", shafts, lambda: shafts_of(data)[0]),
        ("types", types, lambda: data["channel_type"].values.astype(np.str_)),
    ):
        if wanted is None:
            continue
        if not isinstance(wanted, str | Iterable):
            raise ParameterError(f"Expected {word} as text or a list of it, got {wanted!r}.")
        wanted = [wanted] if isinstance(wanted, str) else [str(w) for w in wanted]
        known = values()
        unknown = [w for w in wanted if w not in known or not w]
        if unknown or not wanted:
            near = sorted({str(k) for k in known if k})
            guess = schema.did_you_mean(unknown[0], near) if unknown else ""
            raise ParameterError(
                f"Expected {word} among {near[:20]}{' ...' if len(near) > 20 else ''}, got "
                f"{unknown or 'none'}.{guess}"
            )
        keep &= np.isin(known, wanted)
        said.append(f"{word} {', '.join(wanted)}")
    if drop_bad and "bad" in data.coords:
        keep &= ~data["bad"].values.astype(bool)
        said.append("not bad")
    if not keep.any():
        raise ParameterError(
            f"Expected at least one channel that is {' and '.join(said)}, got none of "
            f"{keep.size}: ask for fewer things at once."
        )
    kept = data.isel(channel=np.flatnonzero(keep))
    text = f"select_contacts: {int(keep.sum())} of {keep.size} channels ({'; '.join(said)})"
    return record(kept, text)


def on_signal(data: Any, step: Callable[[xr.Dataset], xr.Dataset]) -> Any:
    """Apply a step to a Dataset of signals, or to each of a session's."""
    if not isinstance(data, xr.DataTree):
        return step(schema.check(data, "signal"))
    groups = {n.path: n.to_dataset(inherit=False) for n in data.subtree}
    found = [
        name
        for name, held in groups.items()
        if (name == "/signal" or name.startswith("/signal/")) and "signal" in held
    ]
    if not found:
        return step(schema.select(data, "signal"))  # raises, and says what to do
    for name in found:
        groups[name] = step(schema.check(groups[name], "signal"))
    return xr.DataTree.from_dict(groups, name=data.name)


def record(data: xr.Dataset, text: str) -> xr.Dataset:
    """The Dataset with one line more in its history."""
    history = data.attrs.get("history", [])
    history = [history] if isinstance(history, str) else list(history)
    return data.assign_attrs(history=[*history, text])
