"""What the benchmarks share: versions, a child process with a peak-memory reading, tables, JSON."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def versions(*names: str) -> dict[str, str]:
    """Versions of Python, of this package and of those named."""
    found = {name: version(name) for name in ("neurokit-sdr", "numpy", "scipy", "numba", *names)}
    return {"python": platform.python_version(), "cores": str(os.cpu_count()), **found}


def run_json(python: Path | str, script: Path, *arguments: str, **environment: str) -> Any:
    """Run a script whose last argument is the JSON file it writes; return what it wrote."""
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / "child.json"
    out.unlink(missing_ok=True)
    done = subprocess.run(
        [str(python), str(script), *arguments[:1], str(out), *arguments[1:]],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not out.exists():
        sys.exit(f"{script.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(out.read_text())


def peak_megabytes() -> float:
    """Largest resident size of this process so far (kilobytes on Linux, bytes on macOS)."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1e6 if sys.platform == "darwin" else 1e3)


def print_table(headers: list[str], rows: list[list[Any]]) -> None:
    """Print a table with aligned columns."""
    text = [headers] + [[c if isinstance(c, str) else f"{c:.4g}" for c in row] for row in rows]
    widths = [max(len(row[i]) for row in text) for i in range(len(headers))]
    for row in text:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    print(flush=True)


def write_json(name: str, content: dict[str, Any]) -> None:
    """Keep a benchmark's numbers in ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1))
    print(f"wrote {path.relative_to(HERE.parent)}")
