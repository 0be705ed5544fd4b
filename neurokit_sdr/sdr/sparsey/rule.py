"""Hyper-parameters as the compiled functions take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from neurokit_sdr.core.errors import ParameterError

#: Sigmoids from V to relative likelihood, by source.
SIGMOIDS = ("sparseycore", "sparsey_alt", "rinkus_2010", "sparseypy")


class Rule(NamedTuple):
    """Hyper-parameters of the code selection.

    Attributes
    ----------
    n_modules, n_units
        Q and K.
    sigmoid
        Position in :data:`SIGMOIDS`.
    exponent
        Of bottom-up, horizontal and top-down signals, and of bottom-up signals in the first frame
        of an episode, shape (4,).
    activation
        Smallest and largest share of active features with which a mac is active, shape (2,).
    cutoff
        Normalised signals below the first are 0, above the second 1, shape (2,).
    persistence
        Frames that a code stays, shape (mac,).
    lifetime
        Frames after which an unrepeated synapse is gone; 0 for never.
    freezing
        Share of a unit's synapses of a type beyond which they learn no more.
    back_off
        Thresholds of G with three, two and one type of signal, shape (3,); (0,) without.
    """

    n_modules: int
    n_units: int
    sigmoid: int
    exponent: np.ndarray
    activation: np.ndarray
    cutoff: np.ndarray
    persistence: np.ndarray
    lifetime: int
    freezing: float
    back_off: np.ndarray


def levels_of(n_macs: int | Sequence[int]) -> list[int]:
    """Macs in each level, from the bottom."""
    return [n_macs] if isinstance(n_macs, int | np.integer) else list(n_macs)


def make_rule(p: Mapping[str, Any]) -> Rule:
    """Hyper-parameters of ``Sparsey``, each in its range, as a rule.

    Raises
    ------
    ParameterError
        If they do not fit together.
    """
    levels = levels_of(p["n_macs"])
    stay = p["persistence"]
    persistence = [stay] * len(levels) if isinstance(stay, int | np.integer) else list(stay)
    if len(persistence) != len(levels):
        raise ParameterError(
            f"Expected persistence as one number, or one for each of {len(levels)} levels, got "
            f"{stay!r}."
        )
    for low, high in (("activation_min", "activation_max"), ("cutoff_min", "cutoff_max")):
        if p[low] > p[high]:
            raise ParameterError(f"Expected {low} <= {high}, got {p[low]} and {p[high]}.")
    given = p["back_off"]
    thresholds = np.zeros(0) if given is None else np.atleast_1d(np.array(given, float))
    if thresholds.size not in (0, 1, 3):
        raise ParameterError(
            f"Expected back_off as one threshold, or three (of three, two and one type of "
            f"signal), got {given!r}."
        )
    return Rule(
        int(p["n_modules"]),
        int(p["n_units"]),
        SIGMOIDS.index(p["sigmoid"]),
        np.array(
            [
                p["exponent"],
                p["horizontal_exponent"],
                p["top_down_exponent"],
                p["initial_exponent"],
            ],
            float,
        ),
        np.array([p["activation_min"], p["activation_max"]], float),
        np.array([p["cutoff_min"], p["cutoff_max"]], float),
        np.repeat(np.array(persistence, np.int64), levels),
        int(p["lifetime"]) if p["learning"] == "ageing" else 0,
        float(p["freezing"]),
        np.full(3, thresholds[0]) if thresholds.size == 1 else thresholds,
    )
