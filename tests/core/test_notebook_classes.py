"""Classes of a notebook that bear the name of one of ours: each file opens as what it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"

#: A class of each name that the files hold, as a cell of a notebook would define it.
CELL = """
import json, sys, types
import xarray as xr
import neurokit_sdr as nks

files = json.loads(sys.argv[1])
ours = {file: type(nks.load_result(file)) for file in files}
notebook = {}
for cls in set(ours.values()):
    for module in ("__main__", "lab.models"):
        made = types.new_class(cls.__name__, (cls,), {}, lambda body: body.update(
            __module__=module, predict=lambda self, data: None))
        notebook[module, cls.__name__] = made
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def printed(code: str, *arguments: str) -> object:
    done = run(code, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def files_of_ours() -> list[str]:
    """Results of both forms; only the second names the package of its class."""
    found = [str(path) for path in sorted(GOLDEN.glob("*_v[12].nc"))]
    assert len(found) > 6
    return found


def test_a_class_of_the_same_name_takes_over_no_file_of_ours():
    code = CELL + (
        "print(json.dumps({f: [nks.load_result(f).__class__ is ours[f], ours[f].__module__] "
        "for f in files}))"
    )
    for file, (same, module) in printed(code, json.dumps(files_of_ours())).items():
        assert same, file
        assert module.startswith("neurokit_sdr."), file


@pytest.mark.parametrize("module", ["__main__", "lab.models"])
def test_a_result_of_a_notebooks_class_is_its_own(module, tmp_path):
    file = str(GOLDEN / "hmm_glm_v1.nc")
    mine = str(tmp_path / "mine.nc")
    code = CELL + (
        f"made = notebook[{module!r}, 'HMMGLM']\n"
        f"nks.save_result(made.from_parameters(nks.load_result(files[0]).result_), {mine!r})\n"
        f"found = nks.load_result({mine!r})\n"
        "print(json.dumps([type(found) is made, type(nks.load_result(files[0])) is made]))"
    )
    assert printed(code, json.dumps([file])) == [True, False]
    # In another process there is no such class, and ours must not stand in for it.
    elsewhere = run(f"import neurokit_sdr as nks; nks.load_result({mine!r})")
    said = elsewhere.stderr.strip().splitlines()[-1]
    package = module.partition(".")[0]
    assert said.startswith("neurokit_sdr.core.errors.FileFormatError: The file holds a fitted ")
    assert f"'HMMGLM' of {package}, which is not installed here" in said
    assert "Did you mean" not in said  # the name is right, the class is another
    assert "import the package that defines it; in a notebook, run the cell that does." in said
