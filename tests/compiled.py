"""Which compiled functions on disk are older than the source they were made of.

numba keeps a compiled function as long as *its* file stays as it was, and looks at none of the
files whose functions were compiled into it. A test after a change there would run the old code.
"""

from __future__ import annotations

import ast
from pathlib import Path


def stale(package: Path) -> list[Path]:
    """Cached code of a package that is older than a module its own module imports.

    Parameters
    ----------
    package
        The package's folder; the cache lies in the ``__pycache__`` folders within.
    """
    found = []
    known: dict[Path, float] = {}
    for code in sorted(package.rglob("__pycache__/*.nbc")):
        module = code.parent.parent / f"{code.name.split('.')[0]}.py"
        if module.exists() and code.stat().st_mtime < _newest(module, package, known):
            found.append(code)
    return found


def _newest(module: Path, package: Path, known: dict[Path, float]) -> float:
    """When a module, or any it imports from the package, was last changed."""
    if module not in known:
        known[module] = module.stat().st_mtime  # also where imports lead back here
        imported = _imported(module, package)
        known[module] = max([known[module], *(_newest(m, package, known) for m in imported)])
    return known[module]


def _imported(module: Path, package: Path) -> set[Path]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == package.name:
                within = package.joinpath(*parts[1:])
                options = [
                    within.with_suffix(".py"),
                    *(within / f"{a.name}.py" for a in node.names),
                ]
                found |= {path for path in options if path.is_file()}
    return found
