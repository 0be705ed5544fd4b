"""Files of every estimator, in every form that results were ever saved in, still open.

``tests/golden/make_golden.py`` made them; each says what its model answered then.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import results

GOLDEN = Path(__file__).parents[1] / "golden"
ANSWERS = sorted(GOLDEN.glob("*_answer.nc"))

#: Other machines round otherwise: so many roundings one after another.
ROUNDINGS = {"float32": 1e3, "float64": 1e5}


def maker():
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def saved_beside(answer: Path) -> Path:
    return answer.with_name(answer.name.replace("_answer", ""))


#: Predictions that are means of 32 draws, of which there are others since.
DRAWN = {"langevin_flow_v1"}


def opened(answer: Path) -> tuple[dict[str, xr.Dataset], float]:
    with xr.open_datatree(answer, engine="h5netcdf") as tree:
        parts = {name: group.to_dataset().load() for name, group in tree.children.items()}
        return parts, float(tree.attrs["score"])


def assert_same(found: xr.Dataset, before: xr.Dataset, rounding: float) -> None:
    assert set(before.variables) <= set(found.variables)
    for name, variable in before.variables.items():
        assert found[name].dims == variable.dims, name
        if variable.dtype.kind == "f":
            scale = float(np.nanmax(abs(variable.values), initial=0.0))
            np.testing.assert_allclose(
                found[name], variable, rtol=rounding, atol=rounding * scale, err_msg=name
            )
        else:
            assert found[name].values.tolist() == variable.values.tolist(), name


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda path: path.stem.removesuffix("_answer"))
def test_a_file_of_an_older_version_answers_as_it_did(answer):
    model = nks.load_result(saved_beside(answer))
    before, score = opened(answer)
    # The flow works in single precision, whatever it returns.
    precision = "float32" if type(model).__name__ == "LangevinFlow" else "float64"
    rounding = ROUNDINGS[precision] * float(np.finfo(precision).eps)
    predicted = model.predict(before["fitted"])
    if answer.stem.removesuffix("_answer") in DRAWN:
        then = before["predicted"]
        band = then["expected_count_high"] - then["expected_count_low"]  # 95 % of the draws
        standard_error = band / (2 * 1.96) * np.sqrt(2 / 32)
        z = abs(predicted["expected_count"] - then["expected_count"]) / standard_error
        assert float(z.max()) < 5
    else:
        assert_same(predicted, before["predicted"], rounding)
        found = model.score(before["fitted"])
        assert found == pytest.approx(score, rel=rounding, abs=rounding)
    if "transformed" in before:
        assert_same(model.transform(before["fitted"]), before["transformed"], rounding)
    known = type(model).from_parameters(model.result_)
    assert known.get_params() == model.get_params()
    assert known.result_.attrs["status"] == model.result_.attrs["status"]


def test_forms_differ_in_how_they_name_the_class():
    for path in GOLDEN.glob("*_v*.nc"):
        if path.stem.endswith(("_v1", "_v2")):
            attrs = nks.load_result(path).result_.attrs
            assert ("estimator_package" in attrs) == path.stem.endswith("_v2")


def test_every_estimator_has_a_file_of_the_form_of_today():
    named = {p.name for p in importlib.metadata.entry_points(group=results.ENTRY_POINTS)}
    form = maker().FORM
    files = [GOLDEN / f"{name}_{form}.nc" for name in maker().FITS]
    assert named <= {type(nks.load_result(file)).__name__ for file in files}
    assert {file.name for file in files} == {p.name for p in GOLDEN.glob(f"*_{form}.nc")}


def test_the_script_makes_what_lies_here(tmp_path):
    make = maker()
    make.make("smoothing", tmp_path)
    made = nks.load_result(tmp_path / f"smoothing_{make.FORM}.nc")
    kept = nks.load_result(GOLDEN / f"smoothing_{make.FORM}.nc")
    xr.testing.assert_allclose(made.result_, kept.result_, rtol=1e5 * np.finfo(float).eps)
    assert set(made.result_.attrs) == set(kept.result_.attrs)
    before = (tmp_path / f"smoothing_{make.FORM}.nc").read_bytes()
    make.make("smoothing", tmp_path)
    assert (tmp_path / f"smoothing_{make.FORM}.nc").read_bytes() == before
