"""The contract of every model of rates, and what all of them do alike.

A model of this room reads the held-in units in the observed bins and says what all units do in all
bins.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Estimator, Tags
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.engines.poisson.score import bits_per_spike
from neurokit_sdr.generative.rates.arrays import Arrays, evaluation_arrays
from neurokit_sdr.generative.rates.labels import label

#: A simulated unit that expects more spikes in one bin has run away.
LARGEST_COUNT = 1e6


class RateModel(Estimator):
    """A model of the rates of all units, given the counts of some of them.

    A subclass fits, and fills in three methods on arrays: :meth:`_expected_count`,
    :meth:`_latent` and :meth:`_draw`. ``result_`` is begun by :func:`begin_result`.
    """

    tags: ClassVar[Tags] = Tags(holds_out=True)
    #: Variables of ``result_`` that :meth:`from_parameters` needs, with their dims.
    _needed: ClassVar[dict[str, tuple[str, ...]]] = {}
    #: Attributes of ``result_`` that it needs besides ``bin_size``, numbers above 0.
    _needed_attrs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def _expected_count(self, arrays: Arrays) -> np.ndarray:
        """Spikes per bin that are expected, shape (trial, bin, unit)."""

    @abstractmethod
    def _latent(self, arrays: Arrays) -> np.ndarray:
        """What the model holds its rates to come from, shape (trial, bin, latent_dim)."""

    @abstractmethod
    def _draw(
        self, lengths: Sequence[int], generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rates and latents of trials that were never seen, as long as the longest."""

    def _prediction(self, arrays: Arrays) -> Mapping[str, np.ndarray]:
        """Variables of :meth:`predict`, each (trial, bin, unit) in spikes per bin."""
        return {"expected_count": self._expected_count(arrays)}

    def predict(self, data: xr.Dataset) -> xr.Dataset:
        """Return the rates of all units in all bins, from the held-in units alone.

        Parameters
        ----------
        data
            ``count([trial,] time, unit)`` with the units of the fit, or the held-in ones of them
            (the fit decides which), and its bin size. Held-out units and forward bins may be
            present; they are not read.

        Returns
        -------
        xarray.Dataset
            ``expected_count([trial,] time, unit)`` in spikes per bin, for all units of the fit, in
            all bins of the input and as many forward bins as the fit had (or the input marks);
            labelled like the input, NaN beyond a trial's end. Where forward bins are added,
            coordinates along time that are no floats are left out, the others NaN there.

        Raises
        ------
        NotFittedError, SchemaError
        """
        arrays = evaluation_arrays(data, self._check_fitted())
        long_name = {"expected_count": "expected spike count per bin"}
        return label(
            {
                name: (values, "unit", {"units": "1", "long_name": long_name.get(name, name)})
                for name, values in self._prediction(arrays).items()
            },
            data,
            arrays,
            self.result_,
        )

    def transform(self, data: xr.Dataset) -> xr.Dataset:
        """Return the latents behind the counts.

        Parameters
        ----------
        data
            As for :meth:`predict`.

        Returns
        -------
        xarray.Dataset
            ``latent([trial,] time, latent_dim)`` in the bins that :meth:`predict` speaks of.

        Raises
        ------
        NotFittedError, SchemaError
        """
        arrays = evaluation_arrays(data, self._check_fitted())
        attrs = {"units": "1", "long_name": "inferred latent"}
        return label(
            {"latent": (self._latent(arrays), "latent_dim", attrs)}, data, arrays, self.result_
        )

    def score(self, data: xr.Dataset) -> float:
        r"""Return the co-smoothing likelihood, in bits per spike.

        The Poisson log likelihood of the held-out units in the observed bins over that of their
        mean counts in these same bins, as the Neural Latents Benchmark defines it
        (:func:`neurokit_sdr.engines.poisson.score.bits_per_spike`).

        Of a model that was fitted without held-out units all units are scored. It has then read
        the very spikes that it is scored on: the number says how closely it follows them, may
        exceed that of the true rates, and compares no two models.

        Parameters
        ----------
        data
            As for :meth:`predict`, with the counts of the held-out units.

        Returns
        -------
        float
            Bits per spike; higher is better.

        Raises
        ------
        NotFittedError
        SchemaError
            If the data do not fit, lack the held-out units, or hold no spike of them.
        """
        arrays = evaluation_arrays(data, self._check_fitted())
        target = np.ones_like(arrays.held_in) if arrays.held_in.all() else ~arrays.held_in
        count = arrays.counts[:, : arrays.n_window, target]
        if np.isnan(count).any():
            raise SchemaError(
                f"Expected the counts of the {int(target.sum())} held-out units to score, got only "
                f"the {int(arrays.held_in.sum())} held-in units: score the truth of a held-out "
                f"split, not what the model may see."
            )
        expected = self._expected_count(arrays)[:, : arrays.n_window, target]
        scored = arrays.scored[:, : arrays.n_window, None]
        return bits_per_spike(expected, np.where(scored, count, np.nan))

    def simulate(self, n_bins: int | Sequence[int], *, rng: RNG = None) -> xr.Dataset:
        """Simulate the population as the model sees it.

        Parameters
        ----------
        n_bins
            Length of the recording, or lengths of the trials.
        rng
            Seed or generator.

        Returns
        -------
        xarray.Dataset
            ``count([trial,] time, unit)`` with the true ``expected_count([trial,] time, unit)``
            (spikes per bin) and ``latent([trial,] time, latent_dim)``.

        Raises
        ------
        NotFittedError
        ParameterError
            If ``n_bins`` is no whole number of at least 1, nor a list of them, or the rates run
            away.
        """
        result = self._check_fitted()
        lengths = check_lengths(n_bins)
        seed = resolve_seed(rng)
        expected, latent = self._draw(lengths, stream(seed, "simulate", "rates"))
        if not (expected < LARGEST_COUNT).all():
            raise ParameterError(
                f"Expected rates that stay bounded, got more than {LARGEST_COUNT:g} spikes in one "
                f"bin of {max(lengths)}: simulate shorter trials, or damp the dynamics."
            )
        count = stream(seed, "simulate", "spikes").poisson(expected).astype(np.int32)
        inside = np.arange(max(lengths)) < np.array(lengths)[:, None]
        count[~inside], expected[~inside], latent[~inside] = 0, np.nan, np.nan
        several = np.ndim(n_bins) > 0
        dims = ("trial", "time") if several else ("time",)
        where: Any = slice(None) if several else 0
        width = float(result.attrs["bin_size"])
        simulated = xr.Dataset(
            {
                "count": ((*dims, "unit"), count[where], {"units": "1"}),
                "expected_count": ((*dims, "unit"), expected[where], {"units": "1"}),
                "latent": ((*dims, "latent_dim"), latent[where], {"units": "1"}),
            },
            coords={
                "time": ("time", (np.arange(max(lengths)) + 0.5) * width, {"units": "s"}),
                "unit": result["unit"].variable,
            },
            attrs={"bin_size": width, "seed": seed},
        )
        if several:
            simulated["trial_length"] = ("trial", np.array(lengths), {"units": "1"})
        return simulated

    @classmethod
    def from_parameters(cls, parameters: xr.Dataset) -> Self:
        """Return a model with known parameters.

        Parameters
        ----------
        parameters
            The parameters of a ``result_``, ``unit`` and ``bin_size`` (s) among them; hyper-
            parameters that it does not name in ``attrs["parameters"]`` have their defaults. Units
            are held in where ``held_in(unit)`` does not say otherwise.

        Raises
        ------
        SchemaError
            If a parameter is missing, misshapen or not finite.
        """
        check_parameters(parameters, cls._needed, ("bin_size", *cls._needed_attrs))
        known = parameters.copy()
        if "held_in" not in known.variables:
            known = known.assign_coords(held_in=("unit", np.ones(known.sizes["unit"], dtype=bool)))
        known.attrs.setdefault("n_forward", 0)
        return cls._known(known, **cls._hyper_parameters(parameters))

    @classmethod
    def _hyper_parameters(cls, parameters: xr.Dataset) -> dict[str, Any]:
        """Those that a Dataset of parameters names."""
        text = parameters.attrs.get("parameters", "{}")
        try:
            named = dict(json.loads(text))
        except (TypeError, ValueError) as error:
            raise SchemaError(
                f"Expected attrs['parameters'] as JSON of hyper-parameters, got {text!r} "
                f"({error}): drop it to have the defaults."
            ) from error
        return {name: value for name, value in named.items() if name in cls._parameter_names()}


def check_lengths(n_bins: int | Sequence[int]) -> list[int]:
    """Lengths of trials to simulate, as a list.

    Raises
    ------
    ParameterError
        If they are no whole numbers of at least 1.
    """
    each: list[Any] = [n_bins] if np.ndim(n_bins) == 0 else list(n_bins)  # type: ignore[arg-type]
    if not each or any(n not in Interval(int, 1) for n in each):
        raise ParameterError(
            f"Expected n_bins as a whole number of at least 1 or a list of them, got {n_bins!r}."
        )
    return [int(n) for n in each]


def check_parameters(
    parameters: Any, needed: Mapping[str, tuple[str, ...]], attrs: Sequence[str]
) -> None:
    """Raise :class:`SchemaError` unless a Dataset holds these variables and attributes."""
    hint = "take the parameters of a model's result_, or a Dataset made like one"
    if not isinstance(parameters, xr.Dataset):
        raise SchemaError(
            f"Expected a Dataset of parameters, got {schema.describe(parameters)}: {hint}."
        )
    for name, dims in {**needed, "unit": ("unit",)}.items():
        if name not in parameters.variables or parameters[name].dims != dims:
            raise SchemaError(
                f"Expected {name!r} with dims {dims}, got {schema.describe(parameters)}: {hint}."
            )
        values = parameters[name].values
        if name in needed and not (values.dtype.kind in "iuf" and np.isfinite(values).all()):
            raise SchemaError(f"Expected finite numbers in {name!r}, got others: {hint}.")
    for name in attrs:
        value = parameters.attrs.get(name)
        if value not in Interval(float, 0, open_low=True):
            raise SchemaError(f"Expected attrs[{name!r}] as a number > 0, got {value!r}: {hint}.")
