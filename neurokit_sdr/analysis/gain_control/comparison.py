"""Which mechanism adapted a population, and how sure: rivals fitted to the same sessions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.gain_control import loo, posterior, rivals
from neurokit_sdr.analysis.gain_control.data import Tuning, read_tuning
from neurokit_sdr.core import results
from neurokit_sdr.core.arguments import check_choice, check_names, check_number, check_whole
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.parallel import map_tasks
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.engines.chains.verdict import diagnose, verdict

#: A rival is behind when it is so many standard errors and nats worse.
_BEHIND_SE, _BEHIND_NATS = 2.0, 4.0
#: Draws of every observation that leave-one-out looks at: weights of more change nothing.
_LOO_DRAWS = 1000


class Task(NamedTuple):
    """One mechanism to fit."""

    mechanism: str
    observed: posterior.Observed
    folds: tuple[np.ndarray, ...]
    """Sessions held out together."""
    draws: int
    tune: int
    chains: int
    target_accept: float
    seed: int


def compare_gain_models(
    data: xr.Dataset,
    *,
    mechanisms: Sequence[str] | None = None,
    control: Any = None,
    adapted: Any = None,
    kernel: str = "von_mises",
    width: float = 30.0,
    n_folds: int = 2,
    draws: int = 1200,
    tune: int = 1000,
    chains: int = 4,
    target_accept: float = 0.9,
    rng: RNG = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> xr.DataTree:
    r"""Fit rival mechanisms of adaptation to the same sessions, and say which one, if any, it was.

    Each mechanism makes the adapted responses from the control responses: with a gain per unit
    (``gain``), a gain and an offset (``gain_offset``), gains spread by recurrent weights
    (``recurrent_gain``), divisive normalisation with reweighted pools (``normalisation``), or
    recurrent synapses that change (``synaptic``); :func:`simulate_gain_sessions` has the equations.
    Parameters of a unit vary between sessions around a mean of the population,

    .. math:: a_{si} \sim N(\mu_i, \tau), \quad \mu_i \sim N(0, 0.5), \quad \tau \sim N^+(0, 0.3),

    (offsets, in units of the control curves' height: 0.2 and 0.1); strengths of recurrence w < 1
    have :math:`-\log(1 - w) \sim N(0, 0.8)`, of normalisation :math:`h \sim Beta(3, 3)`.
    Standard errors are multiplied by a common factor, :math:`\log s \sim N(0, 0.2)`. Both
    conditions are measured with errors: a control response is not taken for the true one.
    Posteriors come from PyMC's NUTS.

    A rival is *behind* if its leave-one-out predictive density is lower than the best by more than
    two standard errors of the difference and by more than 4 nats. The verdict names the mechanism
    that is not behind; of several, the one that is a special case of all others (pure gain is one
    of gain and offset and of gain through recurrence), if there is one; else it says
    ``"undecided"``, as it does where none beats no change at all.

    Parameters
    ----------
    data
        Tuning: ``response(session, unit, stimulus, condition)``,
        ``probability([session,] stimulus, condition)``, and ``response_se``; without standard
        errors they are estimated, one per session and condition, from what five harmonics leave of
        the curves, which needs 14 stimuli on a circle.
    mechanisms
        Which; None takes all five.
    control, adapted
        Names of the two conditions; None takes the first, and the first other one.
    kernel, width
        Shape of the recurrent weights over preferred stimuli, as in :class:`RecurrentGainControl`.
        It is given, not inferred.
    n_folds
        In so many groups sessions are held out in turn; with 0, or one session, none are, and
        ``held_out_r2`` is NaN.
    draws, tune, chains, target_accept
        Of NUTS, per chain.
    rng
        Seed.
    executor
        Runs one mechanism each; None is a pool of processes on this machine.
    progress
        Whether to show a bar over the mechanisms. PyMC's own bars never show.

    Returns
    -------
    xarray.DataTree
        At the root the table, by ``mechanism``: ``elpd`` (log predictive density of all adapted
        responses, each left out in turn) and ``elpd_se``; ``elpd_difference`` to the best and
        ``difference_se``; ``n_effective`` parameters; ``bad_weights``, share of the responses whose
        density is not to be trusted (Pareto shape above 0.7); ``held_out_r2``, share of the change
        with adaptation that is predicted in sessions whose adapted responses were not seen;
        ``r_hat`` and ``ess``, the worst; ``divergences``; ``status``; ``seconds``; and for
        identifiability ``shared_low``, ``shared_high`` (90 % interval of the strength),
        ``contraction`` (1 minus posterior over prior variance: 0 means the data do not tell it) and
        ``trade_off`` (correlation, over draws, of the strength with the size of the effects).
        Attributes: ``verdict``, ``reason``, ``seed``, ``condition`` that was adapted, ``height``
        of the control curves. Under each mechanism's name the draws, ``(chain, draw, ...)``, and
        ``response_mean``, ``response_low``, ``response_high``: mean and 90 % interval of adapted
        responses measured again; responses and offsets are in units of ``height``.

    Raises
    ------
    MissingDependencyError
        If PyMC is not installed: ``pip install 'neurokit-sdr[bayes]'``.
    SchemaError
        If the tuning breaks the schema, has one condition, untuned units, or no way to errors.
    ParameterError
        If a name is unknown or a number out of range.

    Notes
    -----
    The likelihood puts true control responses at their most likely values (Deming's regression);
    with a flat prior on them instead, gains would be biased towards 0. Errors that recurrence
    spreads over units are taken as independent. Normalisation follows Westrick, Heeger and Landy
    2016 (PMC5030348) in that weights of a pair of units change together; that their product is
    what changes, :math:`w_{ij} \propto e_i e_j`, is ours.

    How often the verdict is right, and whether 90 % intervals hold the truth in 90 %, is not shown
    yet: one simulated data set per mechanism was tried, of which each was named rightly
    (``benchmarks/gain_control_study.py`` makes more).
    """
    names = list(rivals.MECHANISMS) if mechanisms is None else list(mechanisms)
    check_names("mechanisms", names, rivals.MECHANISMS)
    if not names or len(set(names)) < len(names):
        raise ParameterError(f"Expected different mechanisms, at least one, got {names}.")
    check_whole("draws", draws, 100)
    check_whole("tune", tune, 100)
    check_whole("chains", chains, 1)
    check_whole("n_folds", n_folds, 0)
    check_number("target_accept", target_accept, 0.5, 0.999)
    check_choice("kernel", kernel, rivals.kernels.KERNELS)
    check_number("width", width, 0, open_low=True)
    tuning = read_tuning(data, control)
    other = tuning.conditions[1] if adapted is None else adapted
    check_names("adapted", [other], tuning.conditions[1:])
    observed = observe(tuning, tuning.conditions.index(other), kernel, width)
    posterior.pymc()
    seed = resolve_seed(rng)
    n_sessions = len(observed.control)
    order = stream(seed, "folds").permutation(n_sessions)
    held = min(n_folds, n_sessions) if n_sessions > 1 else 0
    folds = tuple(np.sort(order[k::held]) for k in range(held))
    options = (folds, draws, tune, chains, float(target_accept))
    tasks = [
        Task(n, observed, *options, int(stream(seed, "mechanism", n).integers(2**63)))
        for n in names
    ]
    fits = map_tasks(
        fit_mechanism,
        tasks,
        executor=executor,
        description="compare_gain_models",
        progress=progress,
    )
    table, posteriors = _table(names, fits, observed, data)
    if n_sessions == 1:
        table.attrs["reason"] += "; one session: nothing held out, and no word on other sessions"
    table.attrs |= {"seed": seed, "condition": str(other), "height": curve_height(tuning)}
    return xr.DataTree.from_dict({"/": table} | {f"/{m}": d for m, d in posteriors.items()})


def observe(tuning: Tuning, condition: int, kernel: str, width: float) -> posterior.Observed:
    """Both conditions in units of the control curves' height, with their errors."""
    response = tuning.response[..., [0, condition]]
    if tuning.error is not None:
        error = tuning.error[..., [0, condition]]
    else:
        n_stimuli = response.shape[2]
        if n_stimuli < 14 or tuning.period is None:
            raise SchemaError(
                f"Expected response_se, or at least 14 evenly spaced stimuli on a circle "
                f"(stimulus.attrs['period']) to estimate it from, got {n_stimuli} without: "
                f"nks.estimate_tuning gives standard errors."
            )
        sd = rivals.curve_noise(np.moveaxis(response, -1, 1))
        error = np.broadcast_to(sd[:, None, None, :], response.shape)
    height = curve_height(tuning)
    response, error = response / height, error / height
    return posterior.Observed(
        response[..., 0],
        response[..., 1],
        error[..., 0],
        error[..., 1],
        np.ones(len(response)),
        rivals.recurrence_shape(tuning.preferred, kernel, width, tuning.period),
    )


def curve_height(tuning: Tuning) -> float:
    """Mean height of the control curves, the unit in which responses are modelled."""
    return float(np.ptp(tuning.response[..., 0], axis=2).mean())


def fit_mechanism(task: Task) -> dict[str, Any]:
    """Draws of one mechanism, how they did, and what they predict; one row of the table."""
    began = time.perf_counter()
    sampler = posterior.Sampler(task.mechanism, task.observed)
    draws = sampler.sample(task.draws, task.tune, task.chains, task.seed, task.target_accept)
    row = judge(task.mechanism, task.observed, draws)
    row["held_out_r2"] = _held_out(task, sampler)
    said = posterior.predictions(task.mechanism, task.observed, _thinned(draws, _LOO_DRAWS))
    again = said.mean + said.sd * stream(task.seed, "predictive").normal(size=said.mean.shape)
    low, high = np.quantile(again, [0.05, 0.95], axis=0)
    dims = ("session", "unit", "stimulus")
    draws["response_mean"] = (dims, said.mean.mean(axis=0))
    draws["response_low"], draws["response_high"] = (dims, low), (dims, high)
    row["draws"] = draws
    row["seconds"] = time.perf_counter() - began
    return row


def judge(mechanism: str, observed: posterior.Observed, draws: xr.Dataset) -> dict[str, Any]:
    """How draws did, what they say of a shared strength, and how they predict each response."""
    row: dict[str, Any] = {}
    judged = diagnose(draws.drop_vars(["diverging", "tree_depth"]))
    row["r_hat"] = _extreme(judged, "r_hat", np.nanmax)
    row["ess"] = _extreme(judged, "ess_bulk", np.nanmin)
    row["divergences"] = int(draws["diverging"].sum())
    row["status"] = _status(verdict(draws, judged), row["divergences"], draws["diverging"].size)
    row |= _identifiability(mechanism, draws)
    said = posterior.predictions(mechanism, observed, _thinned(draws, _LOO_DRAWS))
    density = said.log_density(observed.adapted).reshape(len(said.mean), -1)
    left = loo.leave_one_out(said.log_likelihood(observed.adapted).reshape(density.shape), density)
    row["density"] = left.density
    row["bad_weights"] = float((left.shape > 0.7).mean())
    total = np.logaddexp.reduce(density, axis=0) - np.log(len(density))
    row["n_effective"] = float(total.sum() - left.density.sum())
    return row


def _thinned(draws: xr.Dataset, most: int) -> xr.Dataset:
    """Every so many draws, about ``most`` over all chains."""
    every = max(1, draws["draw"].size * draws["chain"].size // most)
    return draws.isel(draw=slice(None, None, every))


def _extreme(judged: xr.Dataset, measure: str, function: Any) -> float:
    values = [judged[n].values.ravel() for n in judged if str(n).endswith(measure)]
    return float(function(np.concatenate(values)))


def _status(words: str, divergences: int, number: int) -> str:
    if words != results.CONVERGED or not divergences:
        return words
    return (
        f"{divergences} of {number} draws diverged: the posterior has places that these steps do "
        f"not reach; raise target_accept"
    )


def _identifiability(mechanism: str, draws: xr.Dataset) -> dict[str, float]:
    """How much the data tell of a shared strength, and whether it trades off with the effects."""
    spec = rivals.MECHANISMS[mechanism]
    if spec.shared is None:
        return dict.fromkeys(("shared_low", "shared_high", "contraction", "trade_off"), np.nan)
    low, high = draws[spec.shared].quantile([0.05, 0.95]).values
    free, prior = ("recurrence_free", posterior.STRENGTH_SD**2)
    if spec.shared == "normalisation":
        free, prior = "normalisation", 1 / 28  # of Beta(3, 3)
    size = draws[f"{spec.effects[0]}_mean"].std("unit").values.ravel()
    return {
        "shared_low": float(low),
        "shared_high": float(high),
        "contraction": float(1 - draws[free].var() / prior),
        "trade_off": float(np.corrcoef(draws[spec.shared].values.ravel(), size)[0, 1]),
    }


def _held_out(task: Task, sampler: posterior.Sampler) -> float:
    """Share of the change that is predicted in sessions whose adapted responses were not seen.

    Noise alone changes responses too: a perfect prediction stays below 1 by what it adds.
    """
    observed = task.observed
    if not task.folds:
        return np.nan
    error = change = 0.0
    for k, fold in enumerate(task.folds):
        seen = np.ones(len(observed.control))
        seen[fold] = 0
        hidden = observed._replace(seen=seen)
        sampler.give(hidden)
        draws = sampler.sample(
            max(100, task.draws // 2),
            task.tune,
            min(2, task.chains),
            int(stream(task.seed, "fold", k).integers(2**63)),
            task.target_accept,
        )
        thinned = _thinned(draws, 200)
        mean = posterior.predictions(task.mechanism, hidden, thinned).mean.mean(axis=0)
        error += float(((observed.adapted - mean)[fold] ** 2).sum())
        change += float(((observed.adapted - observed.control)[fold] ** 2).sum())
    return 1 - error / change


def _table(
    names: list[str],
    fits: list[dict[str, Any]],
    observed: posterior.Observed,
    data: xr.Dataset,
) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
    """The table with its verdict, and the draws of every mechanism."""
    density = np.stack([f["density"] for f in fits])
    n = density.shape[1]
    best = int(np.argmax(density.sum(axis=1)))
    apart = density - density[best]
    table = xr.Dataset(
        {
            "title": ("mechanism", [rivals.MECHANISMS[m].title for m in names]),
            "elpd": ("mechanism", density.sum(axis=1), {"units": "nat"}),
            "elpd_se": ("mechanism", np.sqrt(n) * density.std(axis=1), {"units": "nat"}),
            "elpd_difference": ("mechanism", apart.sum(axis=1), {"units": "nat"}),
            "difference_se": ("mechanism", np.sqrt(n) * apart.std(axis=1), {"units": "nat"}),
        },
        coords={"mechanism": names},
    )
    for name in (
        "n_effective", "bad_weights", "held_out_r2", "r_hat", "ess", "divergences", "shared_low",
        "shared_high", "contraction", "trade_off", "status", "seconds",
    ):  # fmt: skip
        table[name] = ("mechanism", [f[name] for f in fits])
    named, reason = decide(names, density, no_change(observed))
    table.attrs = {"verdict": named, "reason": reason}
    coords = {d: data[d] for d in ("session", "unit", "stimulus", "preferred") if d in data.coords}
    return table, {m: f["draws"].assign_coords(coords) for m, f in zip(names, fits, strict=True)}


def no_change(observed: posterior.Observed) -> np.ndarray:
    """Log density of each adapted response if it were the control response, at the best factor."""
    variance = observed.control_error**2 + observed.adapted_error**2
    squared = (observed.adapted - observed.control) ** 2 / variance
    variance = variance * squared.mean()
    density = -0.5 * (squared / squared.mean() + np.log(2 * np.pi * variance))
    return density.ravel()


def _behind(better: np.ndarray, worse: np.ndarray) -> bool:
    """Whether densities of the same observations are clearly lower."""
    gap = better - worse
    se = np.sqrt(len(gap)) * gap.std()
    return bool(gap.sum() > max(_BEHIND_SE * se, _BEHIND_NATS))


def decide(names: list[str], density: np.ndarray, unchanged: np.ndarray) -> tuple[str, str]:
    """The mechanism that the data name, or ``"undecided"``; and why."""
    best = int(np.argmax(density.sum(axis=1)))
    if not _behind(density[best], unchanged):
        return "undecided", f"{names[best]} predicts best, but not better than no change at all"
    left = [m for m, d in zip(names, density, strict=True) if not _behind(density[best], d)]
    if len(left) == 1:
        return left[0], f"{left[0]} predicts best, and all others are behind"
    simplest = [m for m in left if all(o == m or (m, o) in rivals.NESTED for o in left)]
    if simplest:
        rest = [o for o in left if o != simplest[0]]
        return simplest[0], (
            f"{simplest[0]} predicts as well as {', '.join(rest)}, of which it is a special case"
        )
    return "undecided", f"{', '.join(left)} predict equally well: more sessions, or less noise"
