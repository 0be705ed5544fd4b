"""Which way imports run, and what an import loads.

The whole syntax tree of every module is walked: imports inside functions, relative ones and module
names in strings (what lazy loading uses) count like any other.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurokit_sdr as nks

PACKAGE = Path(nks.__file__).parent
NAME = "neurokit_sdr"

#: Rank of every room; a room imports only lower ranks and itself.
RANKS = {
    "_version": -1,
    "core": 0,
    "preprocessing": 1,
    "engines": 1,
    "io": 2,
    "snn": 2,
    "sdr": 2,
    "analysis": 3,
    "generative": 3,
    "validation": 4,
    "plotting": 4,
    "program": 5,
}

#: Modules that make up a room together.
ROOM_OF = {"__main__": "program", "_pipeline": "program", "_report": "program"}

#: Modules that no bare import may load: each costs seconds, and not everyone installs it.
HEAVY = ("jax", "numba", "pymc", "mne", "pynwb", "matplotlib")


def room(part: str) -> str:
    return ROOM_OF.get(part, part)


def imported_modules(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, at any level of its syntax tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # The name of a module in a string is an import waiting to happen; prose is not one.
            named = re.fullmatch(rf"{NAME}\.(\w+)[\w.:]*", node.value)
            if named and room(named[1]) in RANKS:
                yield node.lineno, node.value


def violations(package: Path) -> list[str]:
    """Every import in a copy of the package that runs the wrong way, as ``file:line: why``."""
    return [v for path in sorted(package.rglob("*.py")) for v in violations_of(path, package)]


def violations_of(path: Path, package: Path) -> list[str]:
    """Those of one module."""
    relative = path.relative_to(package)
    own = room(relative.parts[0].removesuffix(".py"))
    if own == "__init__":
        return []
    if own not in RANKS:
        return [f"{relative}: room {own!r} has no rank: give it one in RANKS"]
    inside = ".".join([NAME, *relative.parts[:-1]])
    found = []
    for line, module in imported_modules(ast.parse(path.read_text()), inside):
        first, _, rest = module.partition(".")
        target = room(rest.partition(".")[0])
        if first != NAME or target == own:
            continue
        where = f"{relative}:{line}: {own} imports {module}"
        if target not in RANKS and own != "program":  # a user of the public names like any other
            found.append(f"{where}: import from the room where it lives")
        elif RANKS.get(target, -1) >= RANKS[own]:
            found.append(f"{where}: rank {RANKS[own]} may not import rank {RANKS[target]}")
    return found


def test_imports_run_from_high_rank_to_low():
    assert violations(PACKAGE) == []


def test_every_folder_has_a_rank():
    parts = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if not p.name.startswith("__")}
    parts -= {"_bundled", "py.typed"}  # data, not code
    assert {room(p) for p in parts} <= set(RANKS)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the package's code."""
    folder = tmp_path_factory.mktemp("layers") / NAME
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__", "_bundled"))
    return folder


def violations_with(copied: Path, file: str, line: str) -> list[str]:
    """The violations of one file of a copy of the package with a line more at its end."""
    path = copied / file
    text = path.read_text() if path.exists() else ""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{text}\n{line}\n")
    found = violations_of(path, copied)
    path.write_text(text)
    return found


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("core/schema.py", "from neurokit_sdr.io import spikes"),
        ("core/schema.py", "import neurokit_sdr.analysis.hmm_glm.model as model"),
        ("core/schema.py", "import neurokit_sdr"),
        ("core/schema.py", "from neurokit_sdr import bin_spikes"),
        ("core/schema.py", "from neurokit_sdr import io"),
        ("core/schema.py", "def f():\n    from ..analysis import HMMGLM"),
        ("core/schema.py", "if True:\n    class A:\n        from .. import plotting"),
        ("core/schema.py", "room = importlib.import_module('neurokit_sdr.validation')"),
        ("core/schema.py", "from neurokit_sdr._report import page"),
        ("core/schema.py", "import neurokit_sdr.__main__"),
        ("io/spikes.py", "from neurokit_sdr.snn import switching_population"),
        ("io/spikes.py", "from ..snn.point_process import switching_population"),
        ("snn/point_process.py", "from neurokit_sdr.io import from_spike_times"),
        ("analysis/behavior.py", "from neurokit_sdr.generative import anything"),
        ("analysis/behavior.py", "from neurokit_sdr.validation import match_states"),
        ("validation/alignment.py", "from neurokit_sdr.plotting import states"),
        ("plotting/states.py", "from neurokit_sdr.validation.alignment import match_states"),
        ("plotting/__init__.py", "from neurokit_sdr import validation"),
        ("newroom/__init__.py", ""),
        ("newmodule.py", ""),
    ],
)
def test_a_planted_import_is_found(copied, file, line):
    (found,) = violations_with(copied, file, line)
    assert file in found


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("analysis/behavior.py", "from ..core import schema\nfrom . import hmm_glm"),
        ("validation/alignment.py", "from neurokit_sdr.analysis import HMMGLM"),
        ("core/files.py", "from .errors import SchemaError"),
        ("core/files.py", "'see neurokit_sdr.analysis for models'"),
        ("io/spikes.py", "from neurokit_sdr import _version"),
        ("_report.py", "import neurokit_sdr as nks"),
    ],
)
def test_a_rightful_import_is_not(copied, file, line):
    assert violations_with(copied, file, line) == []


def test_the_top_level_imports_nothing_but_its_version():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    imports = [
        name
        for statement in tree.body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for _, name in imported_modules(ast.Module([statement], []), NAME)
    ]
    for name in imports:
        assert name.split(".")[0] in sys.stdlib_module_names or name.startswith(f"{NAME}._version")


def run_fresh(code: str) -> dict:
    """Run code in a new interpreter, which prints one JSON object."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        check=True,
    )
    return json.loads(done.stdout)


LOADED = "import json, sys; print(json.dumps([m for m in {heavy} if m in sys.modules]))"


def test_import_is_fast_and_light():
    code = (
        "import json, sys, time; begin = time.perf_counter(); import neurokit_sdr; "
        "seconds = time.perf_counter() - begin; "
        f"print(json.dumps([seconds, [m for m in {HEAVY} if m in sys.modules]]))"
    )
    runs = [run_fresh(code) for _ in range(5)]
    assert min(seconds for seconds, _ in runs) < 0.1
    assert all(loaded == [] for _, loaded in runs)


@pytest.mark.parametrize("room", ["core", "io", "validation"])
def test_rooms_load_only_what_they_need(room):
    code = f"import neurokit_sdr; neurokit_sdr.{room}; neurokit_sdr.bin_spikes; "
    loaded = run_fresh(code + LOADED.format(heavy=HEAVY))
    assert loaded == []


def test_analysis_loads_no_reader_and_no_plots():
    loaded = run_fresh("import neurokit_sdr; neurokit_sdr.analysis; " + LOADED.format(heavy=HEAVY))
    assert loaded == ["numba"]


def all_modules() -> list[str]:
    found = [NAME, *(m.name for m in pkgutil.walk_packages(nks.__path__, f"{NAME}."))]
    return [name for name in found if not name.endswith("__main__")]


@pytest.mark.parametrize("name", all_modules())
def test_public_names_resolve(name):
    module = importlib.import_module(name)
    names = getattr(module, "__all__", ())
    assert len(set(names)) == len(names)
    for public in names:
        assert getattr(module, public) is not None
        assert public in dir(module)


def test_a_misspelt_name_is_guessed():
    with pytest.raises(AttributeError, match="Did you mean 'bin_spikes'"):
        nks.bin_spike
    with pytest.raises(AttributeError, match="Did you mean 'analysis'"):
        nks.analisys


def test_modules_of_core_are_found_without_importing_them_first():
    code = "import json, neurokit_sdr as nks; print(json.dumps(nks.core.errors.__name__))"
    assert run_fresh(code) == "neurokit_sdr.core.errors"
    with pytest.raises(AttributeError, match=r"has no 'eror'; it has .*errors"):
        _ = importlib.import_module("neurokit_sdr.core").eror
