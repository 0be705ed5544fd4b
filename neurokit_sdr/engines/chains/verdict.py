"""Whether draws can be believed, in numbers and in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.engines.chains.diagnostics import LEAST_DRAWS, ess_bulk, ess_tail, r_hat

#: R-hat below this, and at least so many effective draws per chain (400 for the usual four): what
#: Vehtari et al. (2021) ask for before any number is read off.
LARGEST_R_HAT = 1.01
LEAST_ESS_PER_CHAIN = 100


def diagnose(draws: xr.Dataset) -> xr.Dataset:
    """Return ``<name>_r_hat``, ``<name>_ess_bulk`` and ``<name>_ess_tail`` of every variable.

    Parameters
    ----------
    draws
        Variables over ``(chain, draw, ...)``.

    Returns
    -------
    xarray.Dataset
        Each over what is behind ``draw``; see :mod:`~neurokit_sdr.engines.chains.diagnostics`.
    """
    measures = {"r_hat": r_hat, "ess_bulk": ess_bulk, "ess_tail": ess_tail}
    judged = xr.Dataset()
    for name, values in draws.data_vars.items():
        table = values.transpose("chain", "draw", ...)
        for measure, function in measures.items():
            labelled = table.isel(chain=0, draw=0, drop=True)
            judged[f"{name}_{measure}"] = labelled.copy(data=function(table.values))
            judged[f"{name}_{measure}"].attrs = {"units": "1"}
    return judged


def verdict(
    draws: xr.Dataset,
    judged: xr.Dataset,
    *,
    largest_r_hat: float = LARGEST_R_HAT,
    least_ess_per_chain: float = LEAST_ESS_PER_CHAIN,
) -> str:
    """Say in words whether chains have converged, and what to do if not.

    Parameters
    ----------
    draws
        As from :func:`~neurokit_sdr.engines.chains.run.run_chains`.
    judged
        :func:`diagnose` of them, or of some of their variables: those are judged.
    largest_r_hat, least_ess_per_chain
        What is asked for.

    Returns
    -------
    str
        ``"converged"``, or the worst number and the remedy. A number that is the same in all draws
        of all chains is agreed upon.
    """
    n_chains, n_draws = draws.sizes["chain"], draws.sizes["draw"]
    if draws.attrs.get("interrupted"):
        return (
            f"interrupted: {n_chains} chains of {n_draws} draws, {draws.attrs['n_draws']} were "
            f"wanted; fit again, or go on from a checkpoint"
        )
    if n_draws < LEAST_DRAWS:
        return f"too few draws to judge ({n_draws}): raise n_draws"
    names = [str(name).removesuffix("_r_hat") for name in judged if str(name).endswith("_r_hat")]
    lost = [name for name in names if bool(draws[name].isnull().any())]
    if lost:
        return f"not a number among the draws of {', '.join(lost)}: look at the data and the priors"
    if n_chains == 1:
        return "one chain, which cannot be compared with others: run four"
    name, worst = _worst({name: judged[f"{name}_r_hat"].values for name in names}, np.max, -np.inf)
    if worst >= largest_r_hat:
        return (
            f"chains disagree: R-hat of {name} is {worst:.3g}, below {largest_r_hat:g} wanted: "
            f"draw more, burn in longer, or look whether chains stay in different places"
        )
    effective = {
        name: np.minimum(judged[f"{name}_ess_bulk"].values, judged[f"{name}_ess_tail"].values)
        for name in names
    }
    least = least_ess_per_chain * n_chains
    name, worst = _worst(effective, np.min, np.inf)
    if worst < least:
        return (
            f"too few draws: {name} has {worst:.0f} effective draws, {least:.0f} wanted: raise "
            f"n_draws about {least / worst:.1f} times"
        )
    return results.CONVERGED


def _worst(
    values: dict[str, np.ndarray], extreme: Callable[..., Any], where_nothing: float
) -> tuple[str, float]:
    """The name with the worst number; NaN stands for draws that never vary."""
    found = {}
    for name, array in values.items():
        numbers = array[~np.isnan(array)]
        found[name] = float(extreme(numbers, initial=where_nothing))
    if not found:
        return "", where_nothing
    worst = float(extreme(list(found.values())))
    return next(name for name, value in found.items() if value == worst), worst
