"""The hierarchical posterior of one mechanism over sessions, by PyMC's NUTS.

Everything of PyMC, PyTensor and ArviZ is imported here, inside the functions, and nowhere else.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.gain_control import rivals
from neurokit_sdr.core.errors import MissingDependencyError
from neurokit_sdr.core.seeding import stream

#: Standard deviations of the priors of an effect: of its mean in the population, and of sessions
#: around it. Responses are in units of the control curves' height.
PRIOR = {"log_gain": (0.5, 0.3), "offset": (0.2, 0.1)}
PRIOR |= {"log_weight": (0.5, 0.3), "weight_change": (0.5, 0.3)}
#: Of -log(1 - strength), strength being the largest eigenvalue of the recurrence.
STRENGTH_SD = 0.8
#: Of the logarithm of the factor on the standard errors.
_NOISE_SD = 0.2


class Observed(NamedTuple):
    """What the likelihood reads, in units of the control curves' height."""

    control: np.ndarray
    """Control responses y0, (session, unit, stimulus)."""
    adapted: np.ndarray
    """Adapted responses y1, same shape."""
    control_error: np.ndarray
    """Standard errors of y0, same shape."""
    adapted_error: np.ndarray
    """Standard errors of y1, same shape."""
    seen: np.ndarray
    """1 where the adapted responses of a session count, 0 where they are held out, (session,)."""
    recurrence: rivals.Recurrence
    """Shape of the recurrent weights."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep from the user what importing PyMC says of ArviZ's plans and of BLAS it does not need."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
        warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
        yield


def pymc() -> Any:
    """PyMC, or how to get it."""
    with quiet():
        try:
            import pymc
        except ImportError as error:
            raise MissingDependencyError(
                "Posteriors of gain models need PyMC: pip install 'neurokit-sdr[bayes]'."
            ) from error
    return pymc


class Sampler:
    """One mechanism's model, compiled once; data of the same shape can be given anew."""

    def __init__(self, mechanism: str, observed: Observed) -> None:
        pm = pymc()
        self.mechanism = mechanism
        self.observed = observed
        with quiet():
            self.model = _model(pm, mechanism, observed)
            self._step: Any = None

    def give(self, observed: Observed) -> None:
        """Replace the data; the compiled model stays."""
        pm = pymc()
        self.observed = observed
        with self.model:
            pm.set_data(_data(observed))

    def sample(
        self,
        draws: int,
        tune: int,
        chains: int,
        seed: int,
        target_accept: float,
    ) -> xr.Dataset:
        """Draws of every parameter, ``(chain, draw, ...)``, with what NUTS says of each draw."""
        pm = pymc()
        with quiet(), self.model, warnings.catch_warnings():
            # What its convergence checks warn of is said in the result's status.
            warnings.filterwarnings("ignore", module="pymc")
            if self._step is None:
                self._step = pm.NUTS(model=self.model, target_accept=target_accept)
            trace = pm.sample(
                draws,
                tune=tune,
                chains=chains,
                cores=1,
                step=self._step,
                random_seed=[int(stream(seed, "chain", c).integers(2**31)) for c in range(chains)],
                progressbar=False,
                quiet=True,
                compute_convergence_checks=False,
                discard_tuned_samples=True,
            )
        posterior = _dataset(trace["posterior"])
        stats = _dataset(trace["sample_stats"])
        posterior["diverging"] = stats["diverging"]
        posterior["tree_depth"] = stats["tree_depth"]
        return posterior


def _dataset(group: Any) -> xr.Dataset:
    """A Dataset of a group of ArviZ's InferenceData (before 1.0) or of a DataTree (since)."""
    data = group.to_dataset() if hasattr(group, "to_dataset") else group
    return xr.Dataset({k: (v.dims, v.values) for k, v in data.data_vars.items()})


def _data(observed: Observed) -> dict[str, np.ndarray]:
    return {k: v for k, v in observed._asdict().items() if k != "recurrence"}


def _model(pm: Any, mechanism: str, observed: Observed) -> Any:
    """Priors, and the likelihood of responses with errors in both conditions.

    Adapted and control responses are y1 = M m + e1 and y0 = m + e0 with the true control response
    m unknown. With m at its most likely value (Deming's regression) the log likelihood is
    ``-(y1 - M y0)^2 / 2 v``, v = s^2 (e1^2 + M^2 e0^2), without the term log v in M: that one, of a
    flat prior on m, would pull every gain towards 0. Errors that M spreads over units are taken as
    independent; what is left out is of the order of the recurrence times the squared difference of
    two units' gains.
    """
    import pytensor.tensor as pt

    spec = rivals.MECHANISMS[mechanism]
    dims = ("session", "unit", "stimulus")
    coords = {d: np.arange(n) for d, n in zip(dims, observed.control.shape, strict=True)}
    with pm.Model(coords=coords) as model:
        data = {k: pm.Data(k, v, dims=dims[: v.ndim]) for k, v in _data(observed).items()}
        parameters: dict[str, Any] = {}
        for name in spec.effects:
            wide, narrow = PRIOR[name]
            mean = pm.Normal(f"{name}_mean", 0, wide, dims="unit")
            spread = pm.HalfNormal(f"{name}_sd", narrow)
            # Centred: a session's curves tell its effects better than the population does.
            parameters[name] = pm.Normal(name, mean, spread, dims=("session", "unit"))
        if spec.shared == "recurrence":
            free = pm.Normal("recurrence_free", 0, STRENGTH_SD)
            parameters["recurrence"] = pm.Deterministic("recurrence", 1 - pt.exp(-free))
        elif spec.shared == "normalisation":
            parameters["normalisation"] = pm.Beta("normalisation", 3, 3)
        scale = pm.LogNormal("noise_scale", 0, _NOISE_SD)
        mean, variance = rivals.adapted(
            mechanism,
            parameters,
            data["control"],
            data["control_error"] ** 2,
            observed.recurrence,
            pt,
        )
        squared = (data["adapted"] - mean) ** 2 / (data["adapted_error"] ** 2 + variance)
        squared = (squared.sum(axis=(1, 2)) * data["seen"]).sum()
        number = data["seen"].sum() * observed.control[0].size
        pm.Potential("likelihood", -squared / (2 * scale**2) - number * pt.log(scale))
    return model


class Predictions(NamedTuple):
    """What each draw says of the adapted responses."""

    mean: np.ndarray
    """M y0, (draw, session, unit, stimulus), chains one after another."""
    sd: np.ndarray
    """Of y1 around it, same shape."""
    scale: np.ndarray
    """Factor on the standard errors, (draw,)."""

    def log_density(self, response: np.ndarray) -> np.ndarray:
        """Log density of every adapted response given its control, shape of ``mean``."""
        z = (response - self.mean) / self.sd
        return -0.5 * (z**2 + np.log(2 * np.pi)) - np.log(self.sd)

    def log_likelihood(self, response: np.ndarray) -> np.ndarray:
        """The terms that the posterior was sampled with, shape of ``mean``."""
        z = (response - self.mean) / self.sd
        return -0.5 * z**2 - np.log(self.scale)[:, None, None, None]


def predictions(mechanism: str, observed: Observed, posterior: xr.Dataset) -> Predictions:
    """Mean and standard deviation of every adapted response, for every draw."""
    spec = rivals.MECHANISMS[mechanism]
    flat = posterior.stack(sample=("chain", "draw")).transpose("sample", ...)
    mean = np.empty((flat.sizes["sample"], *observed.control.shape))
    sd = np.empty_like(mean)
    names = [*spec.effects, *([spec.shared] if spec.shared else [])]
    values = {n: flat[n].values for n in names}
    scale = flat["noise_scale"].values
    for k in range(len(mean)):
        one = {n: v[k] for n, v in values.items()}
        mean[k], variance = rivals.adapted(
            mechanism, one, observed.control, observed.control_error**2, observed.recurrence
        )
        sd[k] = scale[k] * np.sqrt(observed.adapted_error**2 + variance)
    return Predictions(mean, sd, scale)
