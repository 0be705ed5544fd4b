"""Make the virtual environments that the benchmarks' peers run in.

``python benchmarks/make_environments.py [NAME ...]`` makes ``benchmarks/.environments/NAME`` from
``benchmarks/environments/NAME.txt`` for every NAME, or for all of them. An environment that is
already there for the same requirements is left as it is.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "environments"
ENVIRONMENTS = HERE / ".environments"

# These come as source only, and their builds import these without declaring them. So they go in
# first, and the rest is then built with what is in the environment.
BUILD_TOOLS = {
    "nlb_tools": ("setuptools", "wheel"),
    "ssm": ("cython", "numpy", "setuptools", "wheel"),
}
# nlb_tools asks for a pandas that has no build for today's Python; its measures need none of it.
# Its requirements are complete without what pip would add.
WITHOUT_DEPENDENCIES = ("nlb_tools",)


class EnvironmentFailure(RuntimeError):
    """An environment could not be made."""


def environment_names() -> list[str]:
    """List the environments that have a requirements file.

    Returns
    -------
    list of str
        Names, sorted.
    """
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def environment_python(name: str) -> Path:
    """Find the interpreter of an environment, made or not.

    Parameters
    ----------
    name : str
        One of :func:`environment_names`.

    Returns
    -------
    pathlib.Path
        Where the interpreter is once :func:`make_environment` has run.
    """
    scripts, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    return ENVIRONMENTS / name / scripts / f"python{suffix}"


def environment_is_current(name: str) -> bool:
    """Say whether an environment is there and was made from today's requirements.

    Parameters
    ----------
    name : str
        One of :func:`environment_names`.

    Returns
    -------
    bool
        False also for an environment whose making was cut short.
    """
    stamp = _stamp(name)
    return (
        environment_python(name).exists()
        and stamp.exists()
        and stamp.read_text(encoding="utf-8") == _requirements_hash(name)
    )


def make_environment(name: str) -> Path:
    """Make an environment unless it is there already.

    Parameters
    ----------
    name : str
        One of :func:`environment_names`.

    Returns
    -------
    pathlib.Path
        Its interpreter.

    Raises
    ------
    EnvironmentFailure
        If there are no requirements of this name, or pip fails.
    """
    if name not in environment_names():
        known = ", ".join(environment_names())
        raise EnvironmentFailure(f"no environment is called {name!r}; there are: {known}")
    if environment_is_current(name):
        print(f"{name}: already there")
        return environment_python(name)

    print(f"{name}: making a virtual environment for Python {sys.version.split()[0]}", flush=True)
    shutil.rmtree(ENVIRONMENTS / name, ignore_errors=True)
    venv.create(ENVIRONMENTS / name, with_pip=True)

    requirements = str(REQUIREMENTS / f"{name}.txt")
    if name in BUILD_TOOLS:
        print(f"{name}: installing build tools", flush=True)
        _pip_install(name, "--constraint", requirements, *BUILD_TOOLS[name])
        options = ["--no-build-isolation"]
    else:
        options = []
    if name in WITHOUT_DEPENDENCIES:
        options.append("--no-deps")
    print(f"{name}: installing {REQUIREMENTS.name}/{name}.txt", flush=True)
    _pip_install(name, *options, "--requirement", requirements)

    _stamp(name).write_text(_requirements_hash(name), encoding="utf-8")
    print(f"{name}: done")
    return environment_python(name)


def _stamp(name: str) -> Path:
    return ENVIRONMENTS / name / "requirements.sha256"


def _requirements_hash(name: str) -> str:
    return hashlib.sha256((REQUIREMENTS / f"{name}.txt").read_bytes()).hexdigest()


def _pip_install(name: str, *arguments: str) -> None:
    command = [environment_python(name), "-m", "pip", "install", "--quiet"]
    finished = subprocess.run(
        [*command, "--disable-pip-version-check", *arguments], capture_output=True, text=True
    )
    if finished.returncode:
        # The last lines say what failed; before them come whole build logs.
        reason = "\n".join(finished.stderr.splitlines()[-30:])
        raise EnvironmentFailure(f"{name}: pip could not install it\n{reason}")


def main() -> int:
    """Make the environments named on the command line.

    Returns
    -------
    int
        0 if all are there now, 1 if one could not be made.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ", ".join(environment_names())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {names}; default all")
    status = 0
    for name in parser.parse_args().names or environment_names():
        try:
            make_environment(name)
        except EnvironmentFailure as failure:
            print(failure, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
