"""One way to check an argument: what is let through, and what is said of the rest."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from neurokit_sdr.core import arguments, estimator
from neurokit_sdr.core.arguments import Interval, Names, OneOrSeveral, Options
from neurokit_sdr.core.errors import ParameterError, SchemaError


def test_constraints_are_the_estimators():
    for name in ("Interval", "Options", "OneOrSeveral", "Names"):
        assert getattr(estimator, name) is getattr(arguments, name)


@pytest.mark.parametrize("value", [1, 1.5, np.float32(2), np.int16(3), Fraction(1, 3)])
def test_numbers_become_floats(value):
    found = arguments.check_number("width", value, 0, 5, open_low=True)
    assert type(found) is float
    assert found == float(value)


@pytest.mark.parametrize(
    "value", [0, -1, 6, True, np.bool_(True), "1", None, math.nan, math.inf, [1.0], 1j]
)
def test_what_is_no_such_number(value):
    with pytest.raises(ParameterError) as caught:
        arguments.check_number("width", value, 0, 5, open_low=True, hint="it is in seconds")
    text = f"Expected width to be a number > 0 and <= 5, got {value!r}: it is in seconds."
    assert str(caught.value) == text


def test_numbers_without_bounds_are_finite():
    assert arguments.check_number("start", -1e9) == -1e9
    with pytest.raises(ParameterError, match="start to be a finite number, got inf"):
        arguments.check_number("start", math.inf)


@pytest.mark.parametrize("value", [2, np.int64(2), np.array(2), np.uint8(2)])
def test_whole_numbers_become_ints(value):
    found = arguments.check_whole("n", value, 2)
    assert type(found) is int
    assert found == 2


@pytest.mark.parametrize("value", [1, 2.0, np.float64(2), True, "2", None, np.array([2]), [2]])
def test_what_is_no_such_whole_number(value):
    with pytest.raises(ParameterError, match=r"n to be a whole number >= 2, got .*: bins\."):
        arguments.check_whole("n", value, 2, hint="bins")


def test_words_that_were_nearly_written():
    words = ("gaussian", "one_hot", "none")
    assert arguments.check_choice("prior", "none", words) == "none"
    with pytest.raises(ParameterError) as caught:
        arguments.check_choice("prior", "gausian", words)
    assert str(caught.value) == (
        "Expected prior to be one of 'gaussian', 'one_hot', 'none', got 'gausian'. "
        "Did you mean 'gaussian'?"
    )
    for other in (3, None, "x", ["none"]):
        with pytest.raises(ParameterError, match=r"one of .*, got") as caught:
            arguments.check_choice("prior", other, words)
        assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (Interval(int, 1), "an integer >= 1"),
        (Interval(float, 0, 1), "a number >= 0 and <= 1"),
        (Interval(float, 0, open_low=True), "a number > 0"),
        (Interval(float), "a finite number"),
        (Interval(int), "an integer"),
        (Interval(float, high=3), "a number <= 3"),
        (Options("a", "b"), "one of 'a', 'b'"),
        (OneOrSeveral(Interval(float, 0)), "a number >= 0, or a list of such"),
        (OneOrSeveral(Interval(float, 0), none=True), "a number >= 0, or a list of such, or None"),
        (Names(), "None or a list of different names"),
    ],
)
def test_constraints_in_words(constraint, words):
    assert str(constraint) == words


def test_lists_and_names():
    several = OneOrSeveral(Interval(float, 0))
    assert arguments.check("history", [0.1, 0.2], several) == [0.1, 0.2]
    assert all(v in Names() for v in (None, ["a", "b"]))
    assert not any(v in Names() for v in ([], ["a", "a"], [""], [1], "a"))
    for wrong in ([], [-1], None, "x"):
        with pytest.raises(ParameterError, match="history to be a number >= 0, or a list"):
            arguments.check("history", wrong, several)


def test_names_that_nothing_has():
    arguments.check_names("variables", ["count", "time"], ["time", "count", "unit"])
    with pytest.raises(ParameterError) as caught:
        arguments.check_names("variables", ["count", "tiem"], ["time", "count"], hint="rename it")
    assert str(caught.value) == (
        "Expected variables among ['time', 'count'], got 'tiem': rename it. Did you mean 'time'?"
    )
    with pytest.raises(SchemaError, match="got 3"):
        arguments.check_names("units", [3], [1, 2], error=SchemaError)
