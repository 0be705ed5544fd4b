"""Synapses as flat arrays, and the ways to draw them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from neurokit_sdr.core.arguments import Interval, as_array, as_numbers, check_whole
from neurokit_sdr.core.errors import ParameterError

#: Bytes of one synapse while a network is built: its six arrays, and their sorted copies.
BYTES_PER_SYNAPSE = 2 * (4 + 4 + 8 + 8 + 1 + 4)

#: Bytes of one unit while a network is built and run: about 25 numbers (the neuron's parameters and
#: constants, its state, its input).
BYTES_PER_UNIT = 200

EXCITATORY, INHIBITORY = 0, 1


class Synapses(NamedTuple):
    """One entry per synapse; several may join the same pair.

    Attributes
    ----------
    source, target
        Units, int32.
    weight
        mV for current-based models (inhibitory ones negative), nS >= 0 for conductances.
    delay
        Seconds, rounded to whole steps; 0 delivers at the very time of the spike.
    receptor
        0 excitatory, 1 inhibitory, int8.
    segment
        The dendritic segment a synapse ends on, -1 for the soma, int32.
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    receptor: np.ndarray
    segment: np.ndarray


def synapses(
    source: Any,
    target: Any,
    weight: Any,
    *,
    delay: Any = 0.0,
    receptor: Any = None,
    segment: Any = -1,
) -> Synapses:
    """Make synapses from arrays; numbers stand for all.

    Parameters
    ----------
    source, target
        Units, of equal length.
    weight, delay
        See :class:`Synapses`.
    receptor
        None takes 1 where the weight is negative, else 0.
    segment
        See :class:`Synapses`.

    Raises
    ------
    ParameterError
        If lengths differ, or something is no number, NaN, or no unit or receptor.

    Examples
    --------
    >>> synapses([0, 1], [1, 0], [2.0, -3.0]).receptor
    array([0, 1], dtype=int8)
    """
    source = np.atleast_1d(_whole("source", source)).astype(np.int32)
    n = source.size
    arrays: dict[str, np.ndarray] = {}
    for name, value, kind in (
        ("target", target, np.int32),
        ("weight", weight, np.float64),
        ("delay", delay, np.float64),
        ("segment", segment, np.int32),
    ):
        value = _whole(name, value) if kind is np.int32 else as_numbers(name, value)
        if value.shape not in ((), (1,), (n,)):
            raise ParameterError(
                f"Expected {name} with one entry per synapse ({n}) or one for all, got shape "
                f"{value.shape}."
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ParameterError(f"Expected finite {name}, got NaN or infinity.")
        arrays[name] = np.broadcast_to(value, (n,)).astype(kind)
    inhibits = arrays["weight"] < 0 if receptor is None else as_numbers("receptor", receptor)
    if inhibits.shape not in ((), (1,), (n,)):
        raise ParameterError(
            f"Expected receptor with one entry per synapse ({n}) or one for all, got shape "
            f"{inhibits.shape}."
        )
    if not np.isin(inhibits, (0, 1)).all():
        raise ParameterError(
            f"Expected receptor 0 (excitatory) or 1 (inhibitory) of each synapse, got "
            f"{np.setdiff1d(inhibits, (0, 1))[:5]}."
        )
    return Synapses(
        source,
        arrays["target"],
        arrays["weight"],
        arrays["delay"],
        np.broadcast_to(inhibits, (n,)).astype(np.int8),
        arrays["segment"],
    )


def _whole(name: str, value: Any) -> np.ndarray:
    value = as_array(name, value)
    if value.size and value.dtype.kind not in "iu":
        raise ParameterError(f"Expected whole numbers as {name}, got {value.dtype}.")
    if value.size and value.dtype.itemsize > 4 and np.abs(value).max() >= 2**31:
        raise ParameterError(f"Expected {name} below 2**31, got {value.max()}.")
    return value


def _check_generator(rng: object) -> None:
    if not isinstance(rng, np.random.Generator):
        raise ParameterError(
            f"Expected rng as a numpy.random.Generator, got {rng!r}: "
            f"np.random.default_rng(seed) makes one."
        )


def join(parts: Sequence[Synapses]) -> Synapses:
    """All synapses of several sets."""
    for part in parts:
        if not isinstance(part, Synapses):
            raise ParameterError(
                f"Expected synapses as nks.snn.synapses makes them, or a list of such, got "
                f"{type(part).__name__}: nks.snn.synapses_from_matrix takes weight(target, source)."
            )
    if not parts:
        return synapses([], [], [])
    return Synapses(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def check_memory(n_bytes: float, what: str) -> None:
    """Raise :class:`ParameterError` where something would not fit into this machine's memory."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return  # Windows does not say
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if n_bytes > 0.8 * total:
        raise ParameterError(
            f"{what} needs about {n_bytes / 1e9:.3g} GB, and this machine has {total / 1e9:.3g} GB "
            f"of memory: make the network smaller or sparser, the run shorter, or record less."
        )


def _units(value: range, name: str) -> range:
    if not isinstance(value, range) or value.step != 1:
        raise ParameterError(
            f"Expected {name} as a range of units, got {value!r}: a network's populations lie one "
            f"behind the other."
        )
    return value


def connect_randomly(
    sources: range,
    targets: range,
    probability: float,
    weight: float,
    rng: np.random.Generator,
    *,
    delay: float = 0.0,
    receptor: int | None = None,
) -> Synapses:
    """Join each ordered pair of different units with a probability.

    Parameters
    ----------
    sources, targets
        Ranges of units.
    probability
        Between 0 and 1.
    weight, delay, receptor
        See :func:`synapses`.
    rng
        Generator.

    Raises
    ------
    ParameterError
        If the probability is out of range, or the synapses would not fit into memory.

    Examples
    --------
    >>> made = connect_randomly(range(3), range(3), 1.0, 0.5, np.random.default_rng(0))
    >>> list(zip(made.source.tolist(), made.target.tolist()))
    [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    """
    sources, targets = _units(sources, "sources"), _units(targets, "targets")
    _check_generator(rng)
    if probability not in Interval(float, 0, 1):
        raise ParameterError(f"Expected a connection probability in [0, 1], got {probability!r}.")
    n_pairs = len(sources) * len(targets)
    expected = n_pairs * probability
    check_memory(expected * BYTES_PER_SYNAPSE, f"A network with {expected:.3g} synapses")
    if expected == 0:
        return synapses([], [], [])
    # Steps from one synapse to the next are geometric: work in proportion to the synapses.
    pair = _geometric_steps(n_pairs, probability, rng)
    source = sources.start + pair // len(targets)
    target = targets.start + pair % len(targets)
    other = source != target
    return synapses(source[other], target[other], weight, delay=delay, receptor=receptor)


def _geometric_steps(n_pairs: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    expected = n_pairs * probability
    room = int(expected + 6 * math.sqrt(expected) + 16)
    found = np.cumsum(rng.geometric(probability, room)) - 1
    while found[-1] < n_pairs:
        more = np.cumsum(rng.geometric(probability, room)) + found[-1]
        found = np.concatenate([found, more])
    return found[: np.searchsorted(found, n_pairs)]


def connect_in_degree(
    sources: range,
    targets: range,
    number: int,
    weight: float,
    rng: np.random.Generator,
    *,
    delay: float = 0.0,
    receptor: int | None = None,
) -> Synapses:
    """Give every target the same number of synapses from sources drawn with replacement.

    A unit may join another several times, never itself.
    """
    sources, targets = _units(sources, "sources"), _units(targets, "targets")
    _check_generator(rng)
    number = check_whole("number", number, 0)
    total = number * len(targets)
    check_memory(total * BYTES_PER_SYNAPSE, f"A network with {total:.3g} synapses")
    if total and not len(sources):
        raise ParameterError("Expected at least one source, got none.")
    target = np.repeat(np.arange(targets.start, targets.stop), number)
    source = rng.integers(sources.start, sources.stop, total)
    if number and len(sources) == 1 and set(targets) & set(sources):
        raise ParameterError("Expected at least two sources where they are targets too, got one.")
    while (same := source == target).any():
        source[same] = rng.integers(sources.start, sources.stop, int(same.sum()))
    return synapses(source, target, weight, delay=delay, receptor=receptor)


def synapses_from_matrix(weight: Any, *, delay: Any = 0.0, receptor: Any = None) -> Synapses:
    """The synapses of ``weight(target, source)``, one for each entry that is not 0.

    Parameters
    ----------
    weight
        Square array, mV or nS.
    delay
        Seconds: a number, or an array like ``weight``.
    receptor
        A number or None, see :func:`synapses`.

    Raises
    ------
    ParameterError
        If the weights are no square array of numbers, or the delays no number and no such array.
    """
    weight = as_numbers("weight", weight).astype(float)
    if weight.ndim != 2 or weight.shape[0] != weight.shape[1]:
        raise ParameterError(f"Expected a square weight(target, source), got shape {weight.shape}.")
    source, target = np.nonzero(weight.T)
    late = as_numbers("delay", delay).astype(float)
    if late.shape not in ((), weight.shape):
        raise ParameterError(
            f"Expected delay as a number or an array of shape {weight.shape}, got shape "
            f"{late.shape}."
        )
    return synapses(
        source,
        target,
        weight[target, source],
        delay=late[target, source] if late.ndim == 2 else late,
        receptor=receptor,
    )
