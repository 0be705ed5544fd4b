"""The command line: ``neurokit-sdr demo`` and ``neurokit-sdr fit hmm-glm FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from neurokit_sdr import __version__
from neurokit_sdr.core.errors import MissingDependencyError, NeurokitError


def _path(text: str) -> Path:
    return Path(text).expanduser()


def parser() -> argparse.ArgumentParser:
    """Return the command line's arguments."""
    top = argparse.ArgumentParser(prog="neurokit-sdr", description=__doc__)
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="analyse the bundled and a real recording")
    demo.add_argument("--out", type=_path, default=Path("out/demo"), help="folder (out/demo)")
    fit = commands.add_parser("fit", help="fit a model to your own recording")
    models = fit.add_subparsers(dest="model", required=True)
    hmm_glm = models.add_parser("hmm-glm", help="coupling that switches with a hidden state")
    hmm_glm.add_argument("file", type=_path, help="NWB file, Phy folder, or what neo reads")
    hmm_glm.add_argument("--states", type=int, required=True, help="number of states")
    hmm_glm.add_argument("--bin", type=float, required=True, help="bin width in seconds")
    hmm_glm.add_argument("--out", type=_path, required=True, help="folder for the report")
    hmm_glm.add_argument(
        "--history", type=float, nargs="+", default=[0.02], help="time constants in seconds (0.02)"
    )
    hmm_glm.add_argument("--prior", choices=["none", "gaussian"], default="gaussian")
    hmm_glm.add_argument(
        "--nonlinearity", choices=["softplus", "exp", "sigmoid"], default="softplus"
    )
    hmm_glm.add_argument("--seed", type=int, default=0)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 with one line on standard error where it could not be done."""
    chosen = parser().parse_args(arguments)
    try:
        try:
            # Figures go to files: no window, also where there is a display.
            import matplotlib
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "The command line draws figures: pip install 'neurokit-sdr[analysis,plot]'."
            ) from error
        matplotlib.use("Agg")
        from neurokit_sdr import _pipeline

        if chosen.command == "demo":
            path = _pipeline.demo(chosen.out)
        else:
            path = _pipeline.fit_file(
                chosen.file,
                chosen.out,
                n_states=chosen.states,
                bin_size=chosen.bin,
                history=chosen.history,
                prior=chosen.prior,
                nonlinearity=chosen.nonlinearity,
                seed=chosen.seed,
            )
    except (NeurokitError, OSError) as error:
        print(f"neurokit-sdr: {error}", file=sys.stderr)
        return 2
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
