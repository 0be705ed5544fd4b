"""No two modules of the package need each other, however long the way round."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

import neurokit_sdr as nks

PACKAGE = Path(nks.__file__).parent
NAME = "neurokit_sdr"


def module_files(package: Path) -> dict[str, Path]:
    """Every module by its dotted name; a package by its folder's."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = [NAME, *path.relative_to(package).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_names(tree: ast.Module, inside: str) -> set[str]:
    """Dotted names of everything a module imports, inside functions and classes too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = inside.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def needs(package: Path) -> dict[str, set[str]]:
    """Which modules each module imports.

    A name is the module it lies in, or is itself. The packages on the way to it run first, and
    count, but for those that the importing module lies in: they are running already.
    """
    files = module_files(package)
    graph = {}
    for module, path in files.items():
        inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
        graph[module] = set()
        for name in imported_names(ast.parse(path.read_text()), inside):
            parts = name.split(".")
            prefixes = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
            known = [p for p in prefixes if p in files]
            graph[module] |= {p for p in known[:-1] if not f"{module}.".startswith(f"{p}.")}
            graph[module] |= set(known[-1:]) - {NAME, module}
    return graph


def cycles(graph: dict[str, set[str]]) -> list[str]:
    """A way round for each pair of modules that need each other, as ``a -> b -> a``."""
    found: list[str] = []
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> None:
        if module in way:
            found.append(" -> ".join([*way[way.index(module) :], module]))
            return
        if module in done:
            return
        for other in sorted(graph.get(module, ())):
            visit(other, [*way, module])
        done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def test_no_two_modules_need_each_other():
    assert cycles(needs(PACKAGE)) == []


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cycles") / NAME
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__", "_bundled"))
    return folder


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("core/errors.py", "from neurokit_sdr.core import files"),
        ("core/errors.py", "def f():\n    from neurokit_sdr.core.files import check_file"),
        ("core/errors.py", "class A:\n    def f(self):\n        import neurokit_sdr.core.files"),
        ("core/errors.py", "def f():\n    from .files import check_file"),
        ("core/errors.py", "from neurokit_sdr.io.formats.nwb.read import read_nwb"),
        ("io/formats/nwb/tables.py", "def f():\n    from .read import is_nwb"),
    ],
)
def test_a_planted_cycle_is_found(copied, file, line):
    path = copied / file
    text = path.read_text()
    path.write_text(f"{text}\n{line}\n")
    found = cycles(needs(copied))
    path.write_text(text)
    module = ".".join([NAME, *Path(file).with_suffix("").parts])
    assert any(module in way for way in found)


def test_a_package_does_not_need_itself(copied):
    graph = needs(copied)
    assert f"{NAME}.io" not in graph[f"{NAME}.io.spikes"]
    assert f"{NAME}.io.formats" in graph[f"{NAME}.io.spikes"]
    assert f"{NAME}.io.formats.nwb.read" in graph[f"{NAME}.io.spikes"]
