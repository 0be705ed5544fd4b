"""What every model does alike whose parameters are a network, trained by gradients."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.checkpoint import Checkpoint, checkpoint_seed
from neurokit_sdr.core.estimator import Estimator
from neurokit_sdr.core.seeding import RNG, stream
from neurokit_sdr.engines.training.plan import Settings
from neurokit_sdr.engines.training.rows import Data
from neurokit_sdr.engines.training.train import Trained, history_dataset, train
from neurokit_sdr.engines.training.weights import from_flat, to_flat

#: Rows per call of the network in predictions.
CHUNK = 64


class Begun(NamedTuple):
    """What a fit is known by.

    Attributes
    ----------
    seed
        All randomness follows from it.
    fingerprint
        Of the data.
    saved
        Where unfinished training is kept.
    """

    seed: int
    fingerprint: str
    saved: Checkpoint


class GradientModel(Estimator):
    """A model whose parameters are the weights of a network.

    ``fit`` of a subclass takes the data apart and calls, in this order, :meth:`_begin`,
    :func:`divided` (and :func:`scaling` where it has covariates), :meth:`_train`, and at the end,
    with all that its ``result_`` holds, :meth:`_end`. Predictions take the network from
    :meth:`_trained` and the data in :func:`chunks`.
    """

    @abstractmethod
    def _template(self, result: xr.Dataset) -> Any:
        """A network like the one that was trained; its weights are not used."""

    def _begin(
        self, data: xr.Dataset, rng: RNG, checkpoint: str | os.PathLike[str] | None
    ) -> Begun:
        """Resolve the seed, and find what an earlier call left in the checkpoint's file."""
        seed, fingerprint = checkpoint_seed(rng, checkpoint), results.fingerprint(data)
        identity = {"seed": seed, "data": fingerprint, "parameters": self.get_params()}
        return Begun(seed, fingerprint, Checkpoint(checkpoint, identity))

    def _train(
        self,
        network: Any,
        loss: Any,
        training: Data,
        validation: Data | None,
        settings: Settings,
        begun: Begun,
        progress: bool,
    ) -> tuple[Trained, xr.Dataset]:
        """Train a network; return what came of it, and its weights and history with labels."""
        trained = train(
            network,
            loss,
            training,
            validation,
            settings,
            seed=begun.seed,
            saved=begun.saved,
            progress=progress,
            description=type(self).__name__,
        )
        found = history_dataset(trained.history, "nats", settings.schedules)
        for name, model in (("weight", trained.best), ("last_weight", trained.last)):
            vector, layout = to_flat(model)
            found[name] = ("parameter", vector, {"units": "1", "layout": layout})
        found.attrs = {"best_epoch": trained.best_epoch, "precision": trained.precision}
        return trained, found

    def _end(self, result: xr.Dataset, trained: Trained, begun: Begun) -> Self:
        """Keep the result, and drop the checkpoint of a fit that is over."""
        self._finish(result, seed=begun.seed, status=trained.status, fingerprint=begun.fingerprint)
        if not trained.interrupted:
            begun.saved.remove()
        return self

    def _trained(self) -> Any:
        """The network with the best weights."""
        result = self._check_fitted()
        weight = result["weight"]
        return from_flat(self._template(result), weight.values, weight.attrs.get("layout", ""))


def divided(
    batch: Mapping[str, np.ndarray], observed: np.ndarray, fraction: float, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Divide rows into those of training and of validation; one at least is trained on.

    Parameters
    ----------
    batch
        Arrays whose first axis is the row.
    observed
        Where rows hold data, shape (row, bin); those without any are left out.
    fraction
        Share of the other rows that only choose the best weights.
    seed
        Draws which.

    Returns
    -------
    training : dict
    validation : dict or None
        None without any row.
    """
    rows = np.flatnonzero(observed.any(axis=1))
    n_validation = min(round(fraction * rows.size), rows.size - 1)
    order = stream(seed, "validation").permutation(rows)
    chosen = np.sort(order[:n_validation]), np.sort(order[n_validation:])
    validation, training = ({k: v[each] for k, v in batch.items()} for each in chosen)
    return training, validation if n_validation else None


def scaling(values: np.ndarray, names: Sequence[str]) -> xr.Dataset:
    """Mean and standard deviation of covariates over the bins of a fit, as in ``result_``.

    Parameters
    ----------
    values
        Shape (bin, covariate).
    names
        Of the covariates.
    """
    known = values.astype(np.float64)
    mean, sd = known.mean(axis=0), known.std(axis=0)
    return xr.Dataset(
        {
            "covariate_mean": ("covariate", mean),
            "covariate_sd": ("covariate", np.where(sd > 0, sd, 1.0)),
        },
        coords={"covariate": list(names)},
    )


def scaled(values: np.ndarray, result: xr.Dataset) -> np.ndarray:
    """Covariates (..., covariate) by the :func:`scaling` in a result, float32; without, as is."""
    if "covariate_mean" not in result:
        return values
    mean, sd = result["covariate_mean"].values, result["covariate_sd"].values
    return ((values - mean) / sd).astype(np.float32)


def chunks(batch: Mapping[str, np.ndarray], size: int = CHUNK) -> Iterator[dict[str, np.ndarray]]:
    """Rows in parts of one size (few: the next power of two), so that one is compiled.

    The last part repeats the last row: cut what is made of the parts at the number of rows.
    """
    n_rows = len(next(iter(batch.values())))
    size = min(size, 1 << (n_rows - 1).bit_length())
    for start in range(0, n_rows, size):
        rows = np.minimum(np.arange(start, start + size), n_rows - 1)
        yield {name: values[rows] for name, values in batch.items()}
