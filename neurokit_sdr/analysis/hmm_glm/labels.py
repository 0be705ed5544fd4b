"""Parameters and states of an HMM-GLM as labelled Datasets, and back."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.hmm_glm.em import Fit
from neurokit_sdr.analysis.hmm_glm.equations import Decoded, Parameters
from neurokit_sdr.core.counts import time_coords, unflatten
from neurokit_sdr.snn.point_process import label_parameters, unlabel_parameters


def parameters_of(result: xr.Dataset) -> tuple[Parameters, np.ndarray]:
    """Checked parameters of a result or of a known truth, and the kernel (time_constant, lag)."""
    known = unlabel_parameters(result)
    weight = known["weight"].reshape(*known["bias"].shape, -1)
    with np.errstate(divide="ignore"):  # known parameters may rule transitions out
        parameters = Parameters(
            np.concatenate([known["bias"][:, :, None], weight], axis=2),
            np.zeros(weight.shape[1:]),
            np.log(known["transition"]),
            np.log(known["initial"]),
        )
    return parameters, known["kernel"]


def label_states(data: xr.Dataset, decoded: Decoded, order: np.ndarray) -> xr.Dataset:
    """States renumbered so that ``order[k]`` becomes ``k``."""
    dims = data["count"].dims[:-1]
    number = np.argsort(order)
    probability = decoded.state_probability[:, order]
    return xr.Dataset(
        {
            "state": (
                dims,
                unflatten(number[decoded.state], data, -1),
                {"long_name": "most likely state"},
            ),
            "state_probability": (
                (*dims, "state"),
                unflatten(probability, data, np.nan),
                {"units": "1", "long_name": "probability of state"},
            ),
        },
        coords=time_coords(data),
    )


def label_fit(
    data: xr.Dataset,
    best: Fit,
    runs: list[Fit],
    order: np.ndarray,
    *,
    mean_count: np.ndarray,
    time_constants: list[float],
    nonlinearity: str,
    pooled: bool,
) -> xr.Dataset:
    """Parameters and diagnostics of the best of several runs.

    Parameters
    ----------
    data
        What was fitted.
    best, runs
        As :func:`~neurokit_sdr.analysis.hmm_glm.start.search` returns.
    order
        ``order[k]`` becomes state ``k``.
    mean_count
        Mean counts per bin, shape (target,).
    time_constants
        Of the history kernels, in seconds.
    nonlinearity
        Its name.
    pooled
        Whether the weights have a fitted mean.
    """
    units = data["unit"].values
    theta = best.parameters.theta[order]
    shape = (len(units), len(units), len(time_constants))
    labelled = label_parameters(
        weight=theta[:, :, 1:].reshape(len(theta), *shape),
        bias=theta[:, :, 0],
        transition=np.exp(best.parameters.log_transition[np.ix_(order, order)]),
        initial=np.exp(best.parameters.log_initial[order]),
        units=units,
        time_constants=time_constants,
        bin_size=float(data.attrs["bin_size"]),
        nonlinearity=nonlinearity,
    )
    if pooled:
        labelled["weight_mean"] = (
            ("target", "source", "time_constant"),
            best.parameters.mean.reshape(shape),
            {"units": "1", "long_name": "mean coupling weight of the states"},
        )
    traces = np.full((len(runs), max(len(r.objective) for r in runs)), np.nan)
    for trace, fit in zip(traces, runs, strict=True):
        trace[: len(fit.objective)] = fit.objective
    nats = {"units": "nats", "long_name": "log posterior"}
    winner = next(i for i, fit in enumerate(runs) if fit.objective is best.objective)
    likelihood = np.full(traces.shape[1], np.nan)
    likelihood[: len(best.log_likelihood)] = best.log_likelihood
    labelled["restart_objective"] = (("restart", "iteration"), traces, nats)
    labelled["objective"] = (("iteration",), traces[winner], nats)
    labelled["log_likelihood"] = (
        ("iteration",),
        likelihood,
        {"units": "nats", "long_name": "log likelihood"},
    )
    labelled["mean_count"] = (
        ("target",),
        mean_count,
        {"units": "1", "long_name": "mean count per bin"},
    )
    return labelled
