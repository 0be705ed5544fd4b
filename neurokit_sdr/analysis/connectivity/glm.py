"""A Poisson regression of every unit on the recent spikes of all units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.connectivity import advice, lags, regression
from neurokit_sdr.analysis.connectivity.data import check_length, counts_of, label
from neurokit_sdr.analysis.connectivity.profile import profile_lags, warn
from neurokit_sdr.core import errors
from neurokit_sdr.core.arguments import Interval, check
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.parallel import thread_count
from neurokit_sdr.core.threads import parallel_map
from neurokit_sdr.engines.poisson.kernels import KERNEL_TIME_CONSTANTS, exponential_kernel

#: Prior standard deviation of a weight of the GLM: exp(5) is far beyond any synapse, and a pair
#: that never fired together has a finite weight.
PRIOR_SD = 5.0

#: Groups of targets at least: a kernel is then learnt on three quarters of them or more.
_GROUPS = 4


def coupled_poisson_glm(
    counts: xr.Dataset,
    n_lags: int = 10,
    *,
    kernel: Sequence[float] | np.ndarray | None = None,
    max_iter: int = 50,
) -> xr.Dataset:
    r"""Regress every unit on the recent spikes of all units, itself included.

    .. math:: x_{t,i} \sim \operatorname{Poisson}(e^{\eta_{t,i}}), \qquad
              \eta_{t,i} = b_i + \sum_j w_{ij} \sum_{k=1}^{K} \phi_k\, x_{t-k,j}

    All pairs share one kernel :math:`\phi`, so that each has one parameter. By default it is
    learnt: the shape that most of the cross-correlations at lags 1 to :math:`K` have in common
    (their first singular vector, without its negative part), or an exponential of :math:`K / 5`
    bins as far as they are no larger than chance makes them. Its absolute values sum to 1.

    A kernel that was learnt on a pair would fit that pair's chance. So targets fall into four
    groups or more, and the kernel of each is learnt on the targets of the others, whose
    correlations say nothing about its own where there is no coupling: z-scores of independent
    units are then standard normal for two units as for a hundred.

    A Gaussian prior of standard deviation 5 keeps the weights of pairs that never fire together
    finite; elsewhere it does not show. :math:`z_{ij}` is the weight over its standard error, the
    Wald statistic, from the Fisher information of all of a target's weights together. What lies
    before a trial's start or in missing bins counts as silence.

    Parameters
    ----------
    counts
        ``count([trial,] time, unit)`` in bins of about 2 ms.
    n_lags
        :math:`K`, how far the kernel reaches, in bins.
    kernel
        :math:`\phi_1 \ldots \phi_K`, for example a row of ``nks.snn.exponential_kernel``; None
        learns it.
    max_iter
        Newton steps at most; usually 5 to 10 are needed.

    Returns
    -------
    xarray.Dataset
        ``weight(target, source)`` in log rate (at lag :math:`k` one source spike multiplies the
        rate by :math:`e^{w \phi_k}`), ``z_score(target, source)``, ``standard_error(target,
        source)``, ``bias(target)`` (log of the expected count), ``history(target)``, the weight of
        a unit's own past, ``target_kernel(target, lag)``, the :math:`\phi` of its weights, and
        their mean ``kernel(lag)``; ``lag`` in s.

    Raises
    ------
    SchemaError
        If the counts break the schema, or there are fewer than two units that spike, or no trial
        is longer than the kernel.
    ParameterError
        If ``n_lags`` or ``max_iter`` is not a whole number of at least 1, or ``kernel`` is not
        ``n_lags`` finite numbers, some not 0.

    Warns
    -----
    DataWarning
        If most of the population's coincidences lie within one bin, or at the last lag or beyond.
    ConvergenceWarning
        If a unit's fit has not converged.

    Notes
    -----
    The cost is that of the pairs of units that spike within one kernel: twice the rates or twice
    the kernel, four times the time. 100 units at 9 Hz for 10 minutes in bins of 2 ms take about
    7 s of one core.

    The Wald statistic takes the likelihood for a parabola, which few spikes do not make. Where only
    a coincidence or two are expected within the kernel it is too large: of independent pairs at
    1 Hz in 2 minutes, 0.3 % have p < .001. :func:`cross_correlogram_peak` and
    :func:`lagged_correlation` hold for such data too.

    References
    ----------
    Truccolo, Eden, Fellows, Donoghue and Brown, Journal of Neurophysiology 93 (2005).
    Pillow, Shlens, Paninski, Sher, Litke, Chichilnisky and Simoncelli, Nature 454 (2008).

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(4, 1, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 5000, rng=0)
    >>> found = nks.analysis.coupled_poisson_glm(counts, n_lags=5)
    >>> found["kernel"].sizes["lag"]
    5
    """
    check("n_lags", n_lags, Interval(int, 1))
    check("max_iter", max_iter, Interval(int, 1))
    sequences, units = counts_of(counts)
    trains = lags.trains_of_counts(sequences)
    check_length(trains, n_lags)
    total = np.bincount(trains.unit, trains.number, trains.n_units)
    live = np.flatnonzero(total)
    if len(live) < 2:
        raise SchemaError(
            f"Expected at least two units with spikes, got {len(live)} of {len(units)}: is the "
            f"recording longer than this, or are most bins missing?"
        )
    width = float(counts.attrs["bin_size"])
    of = lags.lagged(trains, max(profile_lags(trains, 2 * n_lags), n_lags))
    if kernel is None:
        groups = _groups(live)
        shapes = [_learnt_kernel(of, n_lags, np.setdiff1d(live, group)) for group in groups]
    else:
        groups, shapes = [live], [_given_kernel(kernel, n_lags)]
    fits = _fit(trains, of, live, groups, shapes, max_iter)
    n = len(units)
    weight, error, bias = np.full((n, n), np.nan), np.full((n, n), np.nan), np.full(n, np.nan)
    own_kernel = np.full((n, n_lags), np.nan)
    for group, shape, fit in zip(groups, shapes, fits, strict=True):
        weight[np.ix_(group, live)], error[np.ix_(group, live)] = fit.weight, fit.error
        bias[group], own_kernel[group] = fit.bias, shape
    converged = np.concatenate([fit.converged for fit in fits])
    result = label(
        weight,
        weight / error,
        units,
        total == 0,
        "1",
        method="coupled_poisson_glm",
        bin_size=width,
        lag=[1, int(n_lags)],
        kernel_source="learnt" if kernel is None else "given",
        n_iter=max(int(fit.n_iter.max()) for fit in fits),
        status="converged" if converged.all() else f"stopped at {max_iter} steps",
    )
    result["standard_error"] = (("target", "source"), error, {"units": "1"})
    result["bias"] = (("target",), bias, {"units": "1", "long_name": "log expected count"})
    result["history"] = (("target",), np.diagonal(weight).copy(), {"units": "1"})
    shared = shapes[0] if len(shapes) == 1 else own_kernel[live].mean(axis=0)
    result["kernel"] = (("lag",), shared, {"units": "1", "long_name": "coupling kernel"})
    result["target_kernel"] = (
        ("target", "lag"),
        own_kernel,
        {"units": "1", "long_name": "kernel of a target's weights"},
    )
    result = result.assign_coords(lag=("lag", np.arange(1, n_lags + 1) * width, {"units": "s"}))
    warn(advice.of_reach(lags.profile(of), n_lags, width))
    if not converged.all():
        errors.warn(
            f"The GLM of {int((~converged).sum())} of {len(live)} units has not converged "
            f"after {max_iter} steps: give more with max_iter=.",
            errors.ConvergenceWarning,
        )
    return result


def _groups(live: np.ndarray) -> list[np.ndarray]:
    """Targets that share a kernel which none of them had a part in."""
    number = min(len(live), max(_GROUPS, -(-len(live) // regression.BLOCK)))
    return [live[k::number] for k in range(number)]


def _fit(
    trains: lags.Trains,
    of: lags.Lagged,
    live: np.ndarray,
    groups: list[np.ndarray],
    shapes: list[np.ndarray],
    max_iter: int,
) -> list[regression.Fit]:
    """Regress each group of targets on all units that spike, with its own kernel."""
    total = np.bincount(trains.unit, trains.number, trains.n_units)
    position = np.full(trains.n_units, -1)
    position[live] = np.arange(len(live))
    seen = trains._replace(unit=position[trains.unit], n_units=len(live))

    def fit_group(task: tuple[np.ndarray, np.ndarray]) -> regression.Fit:
        group, shape = task
        observed = np.tensordot(shape, of.product[1 : len(shape) + 1], 1)[np.ix_(group, live)]
        design = regression.features(seen, shape)
        # One group has several blocks for the threads; of several, each is one block.
        inner = run if len(groups) == 1 else _serially
        return regression.fit(design, observed, total[group], PRIOR_SD**-2, max_iter, inner)

    with parallel_map(thread_count()) as run:
        return run(fit_group, zip(groups, shapes, strict=True))


def _serially(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return [function(item) for item in items]


def _learnt_kernel(of: lags.Lagged, n_lags: int, targets: np.ndarray) -> np.ndarray:
    """The shape that others have in common; where they have none, the one that ends with it."""
    decay = exponential_kernel([n_lags / KERNEL_TIME_CONSTANTS], 1.0)[0]
    return lags.common_shape(of, n_lags, targets, decay)


def _given_kernel(kernel: Any, n_lags: int) -> np.ndarray:
    try:
        values = np.asarray(kernel, dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (n_lags,) or not np.isfinite(values).all() or not values.any():
        raise ParameterError(
            f"Expected kernel as {n_lags} finite numbers, one per lag of n_lags and not all 0, "
            f"got {kernel!r}."
        )
    return values / np.abs(values).sum()
