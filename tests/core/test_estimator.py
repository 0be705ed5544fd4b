"""The constraints that hyper-parameters are held to."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from neurokit_sdr.core.errors import NotFittedError
from neurokit_sdr.core.estimator import Estimator, Interval, OneOrSeveral, Options


@pytest.mark.parametrize(
    ("allowed", "good", "bad"),
    [
        (Interval(int, 1), [1, 2, np.int64(3), 10**9, 10**400], [0, -1, 1.0, 1.5, True, None, "1"]),
        (Interval(int, 0, 3), [0, 3], [4, -1]),
        (
            Interval(float, 0),
            [0, 0.5, 1, np.float32(2)],
            [-1e-9, np.nan, np.inf, True, "0.5", 10**400, Fraction(10**400, 3)],
        ),
        (Interval(float, 0, open_low=True), [1e-300], [0, 0.0, -0.0]),
        (Interval(float, 0, 1), [0, 1, 0.5], [1.0000001, -np.inf, [0.5], np.array([0.5]), 1j]),
        (Options("a", "b"), ["a", "b"], ["c", "", "A", None, 1, ["a"], ("a", "b")]),
        (
            OneOrSeveral(Interval(float, 0, open_low=True)),
            [0.02, [0.02], (0.02, 0.1), [1, 2.5]],
            [None, [], (), [0.02, 0], [None], [[0.02]], "0.02", {0.02}, np.array([0.02])],
        ),
        (OneOrSeveral(Interval(int, 1), none=True), [None, 1, [1, 2]], [[None], 0, [1.5]]),
    ],
)
def test_constraints(allowed, good, bad):
    for value in good:
        assert value in allowed, value
    for value in bad:
        assert value not in allowed, value


@pytest.mark.parametrize(
    ("allowed", "says"),
    [
        (Interval(int, 1), "an integer >= 1"),
        (Interval(float, 0, open_low=True), "a number > 0"),
        (Interval(float, 0, 1), "a number >= 0 and <= 1"),
        (Options("none", "gaussian"), "one of 'none', 'gaussian'"),
        (OneOrSeveral(Interval(float, 0, open_low=True)), "a number > 0, or a list of such"),
        (
            OneOrSeveral(Interval(float, 0), none=True),
            "a number >= 0, or a list of such, or None",
        ),
    ],
)
def test_constraints_say_what_they_are(allowed, says):
    assert str(allowed) == says


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Estimator()


def test_not_fitted_is_an_attribute_error_too():
    # So that hasattr and getattr with a default behave as everyone expects.
    assert issubclass(NotFittedError, AttributeError)
