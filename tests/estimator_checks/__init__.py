"""What every public estimator promises, one function per promise.

Each check takes an unfitted estimator that fits in a moment, and a function that makes tiny data
for it: ``make_data(rng) -> Dataset``. :func:`check_estimator` runs them all, for estimators of
other packages too; ``tests/test_estimators.py`` runs them one by one over every one of ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from estimator_checks import (
    bad_data,
    fitting,
    manners,
    outcomes,
    parameters,
    predictions,
    randomness,
)
from estimator_checks.tools import MakeData, fit
from neurokit_sdr.core.estimator import Estimator

__all__ = ["CHECKS", "MakeData", "check_estimator", "fit"]

CHECKS: list[Callable[[Estimator, MakeData], None]] = [
    function
    for module in (parameters, fitting, randomness, outcomes, predictions, bad_data, manners)
    for name, function in vars(module).items()
    if name.startswith("check_")
]


def check_estimator(estimator: Estimator, make_data: MakeData) -> None:
    """Run every check."""
    for check in CHECKS:
        check(copy.deepcopy(estimator), make_data)
