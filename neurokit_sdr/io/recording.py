"""What every reader of voltages needs: names, units, events, and doubt about what a header says."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import FileFormatError, NeurokitError, SchemaError, warn
from neurokit_sdr.io import assemble

#: Volts in one unit, as headers write it (both the micro sign and the Greek letter are in use).
VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6, "nV": 1e-9}


def to_volts(unit: str) -> tuple[float, str]:
    """What values in a unit are multiplied with, and the unit they have then.

    Voltages become volts, as everywhere in this package. Any other unit stays as it is written.
    """
    return (VOLTS[unit], "V") if unit in VOLTS else (1.0, unit)


def unique_names(names: Sequence[str], path: Path) -> list[str]:
    """The names, with a number behind each that occurs more than once; warns where it does so."""
    if len(set(names)) == len(names):
        return list(names)
    repeated = sorted({n for n in names if names.count(n) > 1})
    taken = {n for n in names if n not in repeated}
    unique, next_number = [], dict.fromkeys(repeated, 0)
    for name in names:
        if name in next_number:
            own = name
            while (name := f"{own}-{next_number[own]}") in taken:
                next_number[own] += 1
            taken.add(name)
        unique.append(name)
    warn(
        f"{path.name} has more than one channel of the name {', '.join(repeated[:5])}: each got a "
        f"number behind it, in the order of the file."
    )
    return unique


def signal_dataset(
    signal: xr.Variable,
    clock: Any,
    names: Sequence[str],
    types: Sequence[str],
    units: Sequence[str],
    *,
    columns: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Build ``signal(time, channel)`` with what is known of each channel.

    Parameters
    ----------
    signal
        Values, lazy or in memory, of dims (time, channel).
    clock
        ``time``: coordinates of :func:`neurokit_sdr.core.clock.even_time`, or a variable.
    names, types, units
        One per channel.
    columns
        Further coordinates, each of shape (channel,), or a variable.
    attrs
        Of the Dataset.
    """
    known: dict[str, Any] = {
        "channel": ("channel", np.array(names, dtype=np.str_)),
        "channel_type": ("channel", np.array(types, dtype=np.str_)),
        "channel_unit": ("channel", np.array(units, dtype=np.str_)),
        "bad": ("channel", np.zeros(len(names), dtype=bool)),
    }
    for name, values in (columns or {}).items():
        known[name] = values if isinstance(values, xr.Variable | tuple) else ("channel", values)
    coords = clock if isinstance(clock, xr.Coordinates) else xr.Coordinates({"time": clock})
    signal.attrs["units"] = units[0] if len(set(units)) == 1 else "see channel_unit"
    data = xr.Dataset({"signal": signal}, coords=coords, attrs=dict(attrs or {}))
    return schema.check(data.assign_coords(known), "signal")


def events_dataset(
    onset: Any, duration: Any, label: Any, columns: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Events in seconds, with further columns of shape (event,)."""
    events = xr.Dataset(
        {
            "event_onset": ("event", np.asarray(onset, dtype=np.float64), {"units": "s"}),
            "event_duration": ("event", np.asarray(duration, dtype=np.float64), {"units": "s"}),
            "event_label": ("event", np.array(label, dtype=np.str_)),
        }
    )
    for name, values in (columns or {}).items():
        name = assemble.free_name(name, events.variables)
        events[name] = ("event", np.asarray(values))
    return schema.check(events, "events")


def interval_dataset(start: Any, stop: Any) -> xr.Dataset:
    """Stretches of recording without a gap, in seconds."""
    return xr.Dataset(
        {
            "start_time": ("interval", np.asarray(start, dtype=np.float64), {"units": "s"}),
            "stop_time": ("interval", np.asarray(stop, dtype=np.float64), {"units": "s"}),
        }
    )


# -- for writers --------------------------------------------------------------------------------


def recordings(data: Any, what: str) -> tuple[list[xr.Dataset], xr.Dataset | None, dict[str, Any]]:
    """The signals of a session, its events, and its attributes; names the groups left out."""
    if isinstance(data, xr.Dataset):
        return [schema.check(data, "signal")], None, {}
    if not isinstance(data, xr.DataTree):
        raise SchemaError(
            f"Expected a Dataset of signals or a session, got {schema.describe(data)}: "
            f"{schema.KINDS['signal'].hint}."
        )
    found = [
        schema.check(node.to_dataset(inherit=False), "signal")
        for node in data.subtree
        if (node.path + "/").startswith("/signal/") and node.data_vars
    ]
    if not found:
        found = [schema.select(data, "signal")]
    events = schema.select(data, "events") if "events" in data.children else None
    left = [
        node.path
        for node in data.subtree
        if (node.data_vars or node.coords)
        and not (node.path + "/").startswith("/signal/")
        and node.path not in ("/", "/events")
    ]
    if left:
        warn(f"{what} has no place for {', '.join(left)}: save them with nks.save.")
    return found, events, {str(k): v for k, v in data.attrs.items()}


def sample_clock(data: xr.Dataset, what: str) -> tuple[float, float]:
    """First time (s) and rate (Hz) of an evenly sampled recording, whichever way it holds time."""
    even = even_clock(data)
    if even is not None:
        return even
    time = data["time"].values
    rate = data.attrs.get("sampling_rate")
    if time.size < 2:
        if rate is None:
            raise SchemaError(
                f"Expected attrs['sampling_rate'] (Hz) of a recording of {time.size} samples, got "
                f"none: set it."
            )
        return float(time[0]) if time.size else 0.0, float(rate)
    if rate is None:
        rate = (time.size - 1) / (time[-1] - time[0])
        # The times were rounded; the rate that made them has few digits.
        near = float(f"{rate:.9g}")
        rate = near if abs(near - rate) <= 1e-8 * rate else rate
    off = np.abs(time - time[0] - np.arange(time.size) / float(rate)) * float(rate)
    if off.max() > 0.01:
        raise SchemaError(
            f"Expected evenly sampled times for {what}, got sample {int(off.argmax())} "
            f"{off.max():.3g} intervals away from {float(rate):g} Hz: write stretches without a "
            f"gap as files of their own (.sel(time=slice(start, stop)))."
        )
    return float(time[0]), float(rate)


# -- for lazy values ----------------------------------------------------------------------------


def flat(key: Any, size: int) -> tuple[int, int, int]:
    """First, end and step of the samples that an int or a slice of positive step asks for."""
    if isinstance(key, slice):
        return key.indices(size)
    return int(key), int(key) + 1, 1


def shaped(block: np.ndarray, key: tuple[Any, ...]) -> np.ndarray:
    """Drop the dimensions that were asked for by a single number."""
    return block[tuple(0 if not isinstance(k, slice) else slice(None) for k in key)]


@contextmanager
def distrust(path: Path, what: str) -> Iterator[None]:
    """Whatever a library raises about a file is a :class:`FileFormatError` about that file."""
    try:
        yield
    except NeurokitError:
        raise
    except Exception as error:  # what damage surfaces as depends on where it sits
        said = f"{type(error).__name__}: {error}".strip()
        raise FileFormatError(
            f"{path} is no whole {what} file ({said[:300]}): copy or download it again."
        ) from error


@contextmanager
def collected_warnings(path: Path) -> Iterator[None]:
    """What a library warns of while it reads becomes one DataWarning of ours."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    untold = (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ResourceWarning)
    told = [w for w in caught if not issubclass(w.category, untold)]
    said = dict.fromkeys(" ".join(str(w.message).split()) for w in told)
    if said:
        warn(f"{path.name}: {' '.join(said)}")


# -- for those who tell formats apart -----------------------------------------------------------


def head(path: Path, size: int) -> bytes:
    """The first bytes of a file; none where there is no file."""
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(size)
