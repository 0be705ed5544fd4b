"""States have no names: match the found ones to the true ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from neurokit_sdr.core.errors import SchemaError


class StateMatch(NamedTuple):
    """How found states correspond to true ones.

    Attributes
    ----------
    accuracy
        Share of bins whose matched state is the true one.
    order
        ``order[k]`` is the found state that corresponds to true state ``k``, so that
        ``result.isel(state=order)`` stands beside the truth.
    """

    accuracy: float
    order: np.ndarray


def match_states(true: np.ndarray, found: np.ndarray) -> StateMatch:
    """Match states one to one so that the most bins agree (Hungarian method).

    Parameters
    ----------
    true, found
        States of the same bins, of one shape; negative ones (beyond a trial's end) are left out.

    Returns
    -------
    StateMatch

    Raises
    ------
    SchemaError
        If the shapes differ or no bin is left.

    Examples
    --------
    >>> match_states([0, 0, 1, 1], [1, 1, 0, 1]).accuracy
    0.75
    """
    true, found = np.asarray(true), np.asarray(found)
    if true.shape != found.shape:
        raise SchemaError(
            f"Expected true and found states of one shape, got {true.shape} and {found.shape}."
        )
    if true.size and (true.dtype.kind not in "iu" or found.dtype.kind not in "iu"):
        raise SchemaError(
            f"Expected states as whole numbers, got {true.dtype} and {found.dtype}: pass the "
            f"variable 'state', not its probability."
        )
    valid = (true >= 0) & (found >= 0)
    if not valid.any():
        raise SchemaError("Expected at least one bin with a state in both, got none.")
    true, found = true[valid], found[valid]
    number = int(max(true.max(), found.max())) + 1
    together = np.zeros((number, number))
    np.add.at(together, (true, found), 1)
    _, order = linear_sum_assignment(-together)
    return StateMatch(float(np.mean(order[true] == found)), order)
