"""What every peer script shares: the command line, the problem file, timing, scoring, the report.

Only numpy, scipy and the standard library are imported, because this module runs inside each
peer's own environment.

The report is one JSON object::

    {"peer": ..., "versions": {...}, "processors": ..., "settings": {...},
     "cold": FIT, "warm": FIT}

where FIT holds ``seed``, ``seconds``, ``accuracy``, ``log_likelihood``, ``log_probabilities``
(the curve the peer itself reports, one number per EM step) and ``parameters``, whose states are
numbered as the true states are.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


class Problem(NamedTuple):
    """A simulated recording and the states behind it.

    Attributes
    ----------
    counts : numpy.ndarray
        Spike counts, shape (trials, bins, neurons).
    history : numpy.ndarray
        Causally filtered counts, same shape; zero before a trial starts.
    states : numpy.ndarray
        True state of every bin, shape (trials, bins).
    """

    counts: np.ndarray
    history: np.ndarray
    states: np.ndarray


class Fit(NamedTuple):
    """What one fit gives back.

    Attributes
    ----------
    states : numpy.ndarray
        Most likely state of every bin, shape (trials, bins).
    log_probabilities : numpy.ndarray
        The objective after every EM step, as the peer reports it.
    log_likelihood : float
        Log likelihood of the counts under the fitted parameters, without any prior.
    parameters : dict of str to numpy.ndarray
        Fitted arrays whose first axis is the state.
    """

    states: np.ndarray
    log_probabilities: np.ndarray
    log_likelihood: float
    parameters: dict[str, np.ndarray]


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Make the command line that all peers have.

    Parameters
    ----------
    description : str
        One line on the peer.

    Returns
    -------
    argparse.ArgumentParser
        A parser to which a peer may add options of its own.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("problem", type=Path, help="problem file (.npz)")
    parser.add_argument("out", type=Path, help="report to write (.json)")
    parser.add_argument("--states", type=int, required=True, help="number of states")
    parser.add_argument("--em-steps", type=int, default=50, help="EM steps")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first fit")
    return parser


def load_problem(path: Path) -> Problem:
    """Read a problem file.

    Parameters
    ----------
    path : pathlib.Path
        An .npz with ``counts``, ``history`` and ``states``; further arrays are left alone.

    Returns
    -------
    Problem
        The recording and its true states.
    """
    with np.load(path) as arrays:
        return Problem(arrays["counts"], arrays["history"], arrays["states"])


def match_states(fitted: np.ndarray, truth: np.ndarray, n_states: int) -> tuple[np.ndarray, float]:
    """Match fitted states one to one to true states so that most bins agree.

    Parameters
    ----------
    fitted, truth : numpy.ndarray
        State numbers of the same shape.
    n_states : int
        Number of fitted states; at least the number of true ones.

    Returns
    -------
    order : numpy.ndarray
        ``order[i]`` is the fitted state that stands for true state ``i``.
    accuracy : float
        Share of bins that agree under this match.
    """
    confusion = np.zeros((n_states, n_states), dtype=int)
    np.add.at(confusion, (truth.ravel(), fitted.ravel()), 1)
    rows, order = linear_sum_assignment(confusion, maximize=True)
    return order, float(confusion[rows, order].sum() / truth.size)


def _timed(fit: Callable[[int], Fit], seed: int, problem: Problem, n_states: int) -> dict:
    start = time.perf_counter()
    result = fit(seed)
    seconds = time.perf_counter() - start
    order, accuracy = match_states(result.states, problem.states, n_states)
    return {
        "seed": seed,
        "seconds": seconds,
        "accuracy": accuracy,
        "log_likelihood": float(result.log_likelihood),
        "log_probabilities": np.asarray(result.log_probabilities, dtype=float).tolist(),
        "parameters": {
            name: np.asarray(values, dtype=float)[order].tolist()
            for name, values in result.parameters.items()
        },
    }


def run(
    peer: str,
    packages: tuple[str, ...],
    fit: Callable[[int], Fit],
    problem: Problem,
    arguments: argparse.Namespace,
) -> None:
    """Fit twice, score both fits, write the report and print a summary.

    The first fit pays for compilation; the second, from the next seed on the same shapes,
    does not.

    Parameters
    ----------
    peer : str
        Name of the peer in the report.
    packages : tuple of str
        Distributions whose versions are recorded.
    fit : callable
        Takes a seed and returns a finished :class:`Fit` (nothing left to compute).
    problem : Problem
        The recording that `fit` fits.
    arguments : argparse.Namespace
        The parsed command line.
    """
    settings = {
        name: value for name, value in vars(arguments).items() if name not in ("problem", "out")
    }
    report = {
        "peer": peer,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
        # Not os.cpu_count(): a run may be bound to fewer processors than the machine has.
        "processors": len(os.sched_getaffinity(0)),
        "settings": settings,
        "cold": _timed(fit, arguments.seed, problem, arguments.states),
        "warm": _timed(fit, arguments.seed + 1, problem, arguments.states),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for name in ("cold", "warm"):
        result = report[name]
        print(
            f"{peer} {name}: seed {result['seed']}, {result['seconds']:.2f} s, "
            f"accuracy {result['accuracy']:.4f}, log likelihood {result['log_likelihood']:.1f}"
        )
