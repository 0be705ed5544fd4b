"""README, CONTRIBUTING and the workflows tell the truth: examples run, what is named exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import reduce
from pathlib import Path

import pytest
from test_layers import RANKS, room

import neurokit_sdr as nks

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "neurokit_sdr"
RECORDING = "data/switching_population.nwb"
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "data/README.md",
    "docs/citations.md",
    "docs/decisions.md",
    "docs/evidence.md",
    "docs/sdr_corrections.md",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(document), re.DOTALL | re.MULTILINE)


def inline_code(document: str) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", text(document), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", prose)


def code(document: str) -> list[str]:
    """Everything set as code, in a line or in a block of its own."""
    return inline_code(document) + blocks(document, "sh") + blocks(document, "python")


def named_paths(document: str) -> set[str]:
    """Inline code that names a file or folder of the repository."""
    tops = {path.name for folder in (ROOT, PACKAGE) for path in folder.iterdir()}
    found = set()
    for word in inline_code(document):
        # Placeholders (<x>), commands and what is written at run time are not in the repository.
        if not re.fullmatch(r"[\w.][\w./-]*", word) or word.startswith(("out/", "./", "../")):
            continue
        path = Path(word)
        in_folder = "/" in word and (word.endswith("/") or path.parts[0] in tops or path.suffix)
        if in_folder or path.suffix in {".py", ".md", ".toml", ".nwb", ".png"}:
            found.add(word)
    return found


def exists(path: str, document: str) -> bool:
    return any((base / path).exists() for base in (ROOT, PACKAGE, (ROOT / document).parent))


def run_in(folder: Path, program: str) -> str:
    """Run a program in a fresh interpreter, in a folder, with warnings as errors."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_readme_example_runs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / RECORDING, tmp_path / RECORDING)
    example = blocks("README.md", "python")[0]
    assert RECORDING in example
    printed = run_in(tmp_path, example)
    assert re.fullmatch(r"converged \d\.\d{3} bits per spike, held out\n", printed)
    assert {p.name for p in tmp_path.iterdir()} == {"data", "states.png", "coupling.png", "fit.nc"}


def test_readme_example_is_short() -> None:
    lines = [line for line in blocks("README.md", "python")[0].splitlines() if line]
    assert len(lines) <= 15


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_a_page_is_short(document: str) -> None:
    assert len(text(document).splitlines()) < 200


def test_contributing_lists_every_room_with_its_rank() -> None:
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", text("CONTRIBUTING.md"), re.MULTILINE)
    listed = {
        room(name.strip("/").removesuffix(".py")): int(rank)
        for rank, names in rows
        for name in re.findall(r"`([^`]+)`", names)
    }
    assert listed == {name: rank for name, rank in RANKS.items() if rank >= 0}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_python_blocks_compile(document: str) -> None:
    for number, block in enumerate(blocks(document, "python")):
        compile(block, f"{document}, block {number}", "exec")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", text(document))
    relative = [link.split("#")[0] for link in links if not re.match(r"https?://|#", link)]
    missing = [link for link in relative if not ((ROOT / document).parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_and_folders_exist(document: str) -> None:
    missing = sorted(path for path in named_paths(document) if not exists(path, document))
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_functions_exist(document: str) -> None:
    names = set(re.findall(r"\bnks((?:\.[A-Za-z_]\w*)+)", "\n".join(code(document))))
    for name in sorted(names):
        reduce(getattr, name.strip(".").split("."), nks)


def test_named_extras_are_the_extras() -> None:
    extras = set(PROJECT["optional-dependencies"])
    installed = re.findall(r"pip install '\.\[([\w,-]+)\]'", text("README.md"))
    assert {name for group in installed for name in group.split(",")} <= extras
    table = text("README.md").split("| extra |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == extras


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_named_make_targets_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(code(document))))
    assert named
    assert named <= targets


def test_workflows_run_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        content = workflow.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:- run: make|target:) ([a-z-]+)", content))
        assert named
        assert named <= targets


def test_python_versions_agree_everywhere() -> None:
    low, high = map(int, re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    assert PROJECT["requires-python"] == f">=3.{low},<3.{high}"
    versions = {f"3.{minor}" for minor in range(low, high)}
    prefix = "Programming Language :: Python :: "
    classified = {c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)}
    assert classified == versions
    assert f"Python 3.{low} to 3.{high - 1} are supported" in text("README.md")
    assert set(re.findall(r'"(3\.\d+)"', text(".github/workflows/ci.yml"))) == versions


def test_command_line_and_registry_are_those_of_the_project() -> None:
    commands = set(re.findall(r"^(neurokit-[\w-]+) ", "\n".join(blocks("README.md", "sh")), re.M))
    assert commands == set(PROJECT["scripts"])
    assert "`neurokit_sdr.estimators`" in text("CONTRIBUTING.md")
    assert "neurokit_sdr.estimators" in PROJECT["entry-points"]


def test_changelog_knows_the_version() -> None:
    assert nks.__version__ in text("CHANGELOG.md")


def test_every_claim_has_its_number() -> None:
    assert "NUMBER" not in text("README.md")


def test_actions_are_pinned() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for action in re.findall(r"uses: (\S+)", workflow.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)
