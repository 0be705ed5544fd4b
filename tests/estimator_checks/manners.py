"""Bars and docstrings."""

from __future__ import annotations

import contextlib
import inspect
import io
import re

import xarray as xr

from estimator_checks.tools import MakeData, example, fit, fresh
from neurokit_sdr.core.estimator import Estimator


def check_bars_show_and_can_be_silenced(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    printed = []
    for progress in (True, False):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            fit(fresh(estimator), data, progress=progress)
        assert out.getvalue() == ""
        printed.append(err.getvalue())
    assert printed[0] != ""
    assert printed[1] == ""


def check_bars_do_not_change_the_result(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    with contextlib.redirect_stderr(io.StringIO()):
        shown = fit(fresh(estimator), data, progress=True).result_
    xr.testing.assert_identical(shown, fit(fresh(estimator), data).result_)


def sections(text: str) -> dict[str, str]:
    """The numpydoc sections of a docstring by their headings."""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", inspect.cleandoc(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def check_everything_is_documented(estimator: Estimator, make_data: MakeData) -> None:
    cls = type(estimator)
    found = sections(cls.__doc__ or "")
    for heading in ("Parameters", "Attributes", "Examples"):
        assert heading in found, f"no section {heading}"
    assert ">>>" in found["Examples"]
    for name in estimator.get_params():
        assert re.search(rf"^{name}\b", found["Parameters"], re.MULTILINE), name
    assert re.search(r"^result_\b", found["Attributes"], re.MULTILINE)
    fit(estimator, example(make_data))
    for name in estimator.result_.data_vars:
        assert f"{name}(" in found["Attributes"], f"result_ holds {name}, the text does not say so"
    for name, method in inspect.getmembers(cls, callable):
        if name.startswith("_") or name not in vars(cls):
            continue
        found = sections(method.__doc__ or "")
        for parameter in list(inspect.signature(method).parameters):
            if parameter not in ("self", "cls"):
                assert re.search(
                    rf"^(?:\w+, )*{parameter}\b", found.get("Parameters", ""), re.MULTILINE
                ), f"{name}: {parameter}"
