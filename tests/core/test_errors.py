"""Warnings point at the line of whoever called the package, however deep it was called."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import pytest

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ConvergenceWarning, DataWarning, warn

INSIDE = Path(nks.__file__).parent / "room" / "module.py"


def inside_the_package(code: str, **names: object) -> dict:
    """The names that code defines, which says of itself that it lies in the package."""
    scope: dict = {"warn": warn, **names}
    exec(compile(code, str(INSIDE), "exec"), scope)
    return scope


def here() -> int:
    return inspect.currentframe().f_back.f_lineno


@pytest.mark.parametrize("depth", [0, 1, 7])
def test_they_point_at_the_line_outside(depth):
    code = "def call(depth):\n    warn('text') if depth == 0 else call(depth - 1)"
    call = inside_the_package(code)["call"]
    with pytest.warns(DataWarning, match="text") as caught:
        call(depth)
    line = here() - 1
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


def test_of_a_function_that_the_package_calls_it_is_the_innermost_line():
    scope = inside_the_package("def deep():\n    warn('x')\ndef call(function):\n    function()")
    lines = []

    def mine():
        lines.append(here() + 1)
        scope["deep"]()

    with pytest.warns(DataWarning) as caught:
        scope["call"](mine)
    assert (caught[0].filename, caught[0].lineno) == (__file__, lines[0])


def test_where_nobody_is_outside_it_is_said_all_the_same():
    with pytest.warns(ConvergenceWarning):
        warn("x", ConvergenceWarning)


def test_each_line_is_told_once():
    call = inside_the_package("def call():\n    warn('the same')")["call"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            call()
        call()
    assert len(caught) == 2


def test_the_package_counts_no_frames():
    package = Path(nks.__file__).parent
    counted = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "stacklevel" in path.read_text() or "warnings.warn(" in path.read_text()
    ]
    assert counted == ["core/errors.py"]
