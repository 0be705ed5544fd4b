"""What every model of rates shares: counts taken apart into arrays, rates labelled, one score.

A model of this room reads the held-in units in the observed bins and says what all units do in all
bins. The labelled layout is taken apart and put together only here; a model sees :class:`Arrays`.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core import results, schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Estimator, Interval
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.engines.poisson.score import bits_per_spike

#: A simulated unit that expects more spikes in one bin has run away.
LARGEST_COUNT = 1e6


class Arrays(NamedTuple):
    """Counts of trials of equal length, what of them may be read, and what is to be predicted.

    The observed window comes first, the forward bins behind it. There is always a trial axis.

    Attributes
    ----------
    inputs
        Counts of the held-in units in the window, float32, shape (trial, window, held_in); 0 in
        missing bins and beyond a trial's end. The only thing a prediction may depend on, with
        ``valid[:, :n_window]`` and the sizes.
    counts
        Counts of the units of the fit in all bins, float32, shape (trial, bin, unit); 0 where
        ``valid`` is false, NaN for units that the data lack.
    valid
        Bins that hold data: inside the trial and observed, shape (trial, bin).
    inside
        Bins to say something about: inside the trial, shape (trial, bin). Forward bins follow a
        trial that fills the window.
    held_in
        Shape (unit,).
    forward
        Shape (bin,).
    covariates
        What a model is conditioned on besides, shape (trial, bin, covariate), float32.
    """

    inputs: np.ndarray
    counts: np.ndarray
    valid: np.ndarray
    inside: np.ndarray
    held_in: np.ndarray
    forward: np.ndarray
    covariates: np.ndarray

    @property
    def n_window(self) -> int:
        """Bins before the forward ones."""
        return int((~self.forward).sum())

    @property
    def seen(self) -> np.ndarray:
        """Which bins of the window hold data, shape (trial, window)."""
        return self.valid[:, : self.n_window]


class RateModel(Estimator):
    """A model of the rates of all units, given the counts of some of them.

    A subclass fits, and fills in three methods on arrays: :meth:`_expected_count`,
    :meth:`_latent` and :meth:`_draw`. ``result_`` is begun by :func:`begin_result`.
    """

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
        return bits_per_spike(expected, np.where(arrays.seen[:, :, None], count, np.nan))

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
        model = cls(**cls._hyper_parameters(parameters))
        known = parameters.copy()
        if "held_in" not in known.variables:
            known = known.assign_coords(held_in=("unit", np.ones(known.sizes["unit"], dtype=bool)))
        known.attrs.setdefault("n_forward", 0)
        model.result_ = results.stamp(
            known,
            estimator=cls.__name__,
            parameters=model.get_params(),
            seed=0,
            status="known parameters",
            fingerprint=results.fingerprint(parameters),
        )
        return model

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


# -- data to arrays -----------------------------------------------------------------------------


def training_arrays(data: xr.Dataset, n_units: int = 1, covariates: Sequence[str] = ()) -> Arrays:
    """Take the counts of a fit apart.

    Parameters
    ----------
    data
        As the models' ``fit`` takes them.
    n_units
        Held-in units that the model needs at least.
    covariates
        Names of the variables that the model is conditioned on.

    Raises
    ------
    SchemaError
        If the data break the schema, are not whole counts, or hold nothing to learn from: no bin,
        no observed bin, too few held-in units, no spike of one.
    """
    _check_counts(data)
    held_in = _marks(data, "held_in", "unit", default=True)
    forward = _marks(data, "forward", "time", default=False)
    if forward.all():
        raise SchemaError(
            f"Expected at least one bin before the forward ones, got forward true in all "
            f"{forward.size} bins: a model would have nothing to read."
        )
    if held_in.sum() < n_units:
        raise SchemaError(
            f"Expected at least {n_units} held-in units to find what they share, got "
            f"{int(held_in.sum())} of {held_in.size} units: record or hold in more."
        )
    arrays = _assemble(data, np.arange(held_in.size), held_in, forward, covariates)
    if not arrays.inputs.any():
        raise SchemaError(
            f"Expected spikes of the held-in units, got none in {int(arrays.seen.sum())} observed "
            f"bins of {int(held_in.sum())} units: check the recording's time range and units."
        )
    return arrays


def evaluation_arrays(data: xr.Dataset, result: xr.Dataset, n_ahead: int | None = None) -> Arrays:
    """Take counts apart for a fitted model.

    Parameters
    ----------
    data
        The units of the fit or the held-in ones of them, in their order; its forward bins, where
        it marks any, are not read.
    result
        The ``result_`` of the model, for its units, held-in units, bin size, forward bins and
        covariates.
    n_ahead
        Bins ahead of the window; None for as many as the fit had, or more where the data mark
        more.

    Raises
    ------
    SchemaError
        If the data break the schema, are not whole counts, or differ from the fit in units or
        bin size.
    """
    _check_counts(data)
    units, held_in = result["unit"].values, result["held_in"].values.astype(bool)
    given = data["unit"].values
    if np.array_equal(given, units):
        position = np.arange(units.size)
    elif np.array_equal(given, units[held_in]):
        position = np.flatnonzero(held_in)
    else:
        other = "" if held_in.all() else f", or the {int(held_in.sum())} held-in ones of them"
        raise SchemaError(
            f"Expected the {units.size} units the model was fitted to{other}, in that order, got "
            f"{given.size} units {given[:5].tolist()}...: use "
            f"data.sel(unit=model.result_['unit'].values)."
        )
    if not np.isclose(data.attrs["bin_size"], result.attrs["bin_size"], rtol=1e-9):
        raise SchemaError(
            f"Expected bins of {result.attrs['bin_size']} s as in the fit, got "
            f"{data.attrs['bin_size']} s: bin the data alike."
        )
    forward = _marks(data, "forward", "time", default=False)
    if forward.all():
        raise SchemaError(
            f"Expected at least one bin before the forward ones, got forward true in all "
            f"{forward.size} bins: the model would have nothing to read."
        )
    if n_ahead is not None:
        data, forward = data.isel(time=~forward), forward[~forward]
    ahead = int(result.attrs["n_forward"]) if n_ahead is None else n_ahead
    missing = max(ahead - int(forward.sum()), 0)
    forward = np.append(forward, np.ones(missing, dtype=bool))
    names = result["covariate"].values.tolist() if "covariate" in result.coords else ()
    return _assemble(data, position, held_in, forward, names)


def _check_counts(data: xr.Dataset) -> None:
    schema.check(data, "counts")
    lengths = schema.trial_lengths(data)
    if lengths.sum() == 0 or data.sizes["unit"] == 0:
        raise SchemaError(
            f"Expected at least one bin and one unit, got {schema.describe(data)} with sizes "
            f"{dict(data.sizes)}: is the recording empty?"
        )
    valid = schema.valid_bins(data)
    if not valid.any():
        raise SchemaError(
            "Expected at least one observed bin, got a mask 'observed' that is false everywhere: "
            "it must be true where the data can be used."
        )
    used = np.asarray(data["count"].values)[valid]
    whole = np.isfinite(used) & (used >= 0)
    if used.dtype.kind == "f":
        whole &= used == np.round(used)
    if not whole.all():
        raise SchemaError(
            "Expected whole, finite spike counts >= 0, got fractions, negative values or NaN: use "
            "nks.bin_spikes, and mark missing bins with a boolean variable 'observed(time)'."
        )


def _marks(data: xr.Dataset, name: str, dim: str, *, default: bool) -> np.ndarray:
    if name in data.variables:
        return np.array(data[name].values, dtype=bool)
    return np.full(data.sizes[dim], default)


def _assemble(
    data: xr.Dataset,
    position: np.ndarray,
    held_in: np.ndarray,
    forward: np.ndarray,
    covariates: Sequence[str],
) -> Arrays:
    """Arrays of the fit's units at ``position``, in the data's bins and those that follow them."""
    n_given, n_bins = data.sizes["time"], forward.size
    lengths = schema.trial_lengths(data)
    valid = np.zeros((lengths.size, n_bins), dtype=bool)
    valid[:, :n_given] = schema.valid_bins(data).reshape(lengths.size, n_given)
    count = np.asarray(data["count"].values).reshape(lengths.size, n_given, position.size)
    counts = np.full((lengths.size, n_bins, held_in.size), np.nan, dtype=np.float32)
    counts[:, :, position] = 0.0
    counts[:, :n_given, position] = np.where(valid[:, :n_given, None], count, 0)
    # Only a trial that lasts as long as the data do can have bins after them.
    until = np.where(lengths == n_given, n_bins, lengths)
    n_window = int((~forward).sum())
    return Arrays(
        np.ascontiguousarray(counts[:, :n_window, held_in]),
        counts,
        valid,
        np.arange(n_bins) < until[:, None],
        held_in,
        forward,
        _covariates(data, covariates, lengths, n_bins),
    )


def _covariates(
    data: xr.Dataset, names: Sequence[str], lengths: np.ndarray, n_bins: int
) -> np.ndarray:
    """Covariates (trial, bin, covariate), their last values held in bins that the data lack."""
    n_given = data.sizes["time"]
    inside = np.arange(n_given) < lengths[:, None]
    columns = [np.zeros((lengths.size, n_given, 0), dtype=np.float32)]
    for name in names:
        if name not in data.variables:
            guess = schema.did_you_mean(name, map(str, data.variables))
            raise SchemaError(
                f"Expected the covariate {name!r} beside the counts, got "
                f"{schema.describe(data)}.{guess}"
            )
        values = data[name]
        if not set(values.dims) <= {"trial", "time"} or values.dtype.kind not in "biuf":
            raise SchemaError(
                f"Expected the covariate {name!r} as numbers with dims among ('trial', 'time'), "
                f"got {values.dtype} with {values.dims}: name each of several columns as a "
                f"variable of its own, and code categories as 0 and 1."
            )
        dims = [d for d in ("trial", "time") if d in data["count"].dims]
        wide = values.broadcast_like(data["count"].isel(unit=0, drop=True)).transpose(*dims)
        column = np.asarray(wide.values, dtype=np.float32).reshape(lengths.size, n_given)
        if not np.isfinite(column[inside]).all():
            raise SchemaError(
                f"Expected finite values of the covariate {name!r} in all bins, got NaN or "
                f"infinity in {int((~np.isfinite(column[inside])).sum())}: fill them in, and mark "
                f"where with a second covariate."
            )
        columns.append(np.where(inside, column, 0)[:, :, None])
    known = np.concatenate(columns, axis=-1)
    return known[:, np.minimum(np.arange(n_bins), n_given - 1)]


# -- arrays to data -----------------------------------------------------------------------------


def begin_result(data: xr.Dataset, arrays: Arrays) -> xr.Dataset:
    """What a ``result_`` says about the data of its fit: units, which are held in, the bins."""
    return xr.Dataset(
        coords={"unit": ("unit", data["unit"].values.copy()), "held_in": ("unit", arrays.held_in)},
        attrs={
            "bin_size": float(data.attrs["bin_size"]),
            "n_forward": int(arrays.forward.sum()),
        },
    )


def label(
    variables: Mapping[str, tuple[np.ndarray, str, dict[str, Any]]],
    data: xr.Dataset,
    arrays: Arrays,
    result: xr.Dataset,
) -> xr.Dataset:
    """Label values like the data that they are about.

    Parameters
    ----------
    variables
        By name: values of shape (trial, bin, last), the name of the last dim, attributes. They
        become NaN where ``arrays.inside`` is false.
    data, arrays
        The data, and the same taken apart.
    result
        The ``result_`` of the model, for the units.
    """
    dims = data["count"].dims[:-1]
    where: Any = slice(None) if "trial" in dims else 0
    coords = _coords(data, arrays)
    if any(last == "unit" for _, last, _ in variables.values()):
        coords |= {name: result[name].variable for name in ("unit", "held_in")}
    return xr.Dataset(
        {
            name: (
                (*dims, last),
                np.where(arrays.inside[:, :, None], values, np.nan)[where],
                attrs,
            )
            for name, (values, last, attrs) in variables.items()
        },
        coords=coords,
    )


def _coords(data: xr.Dataset, arrays: Arrays) -> dict[str, xr.Variable]:
    """Coordinates along trial and time, continued over the bins that the data do not have."""
    n_new = arrays.forward.size - data.sizes["time"]
    kept = {}
    for name, coord in data.coords.items():
        if not coord.dims or not set(coord.dims) <= {"trial", "time"}:
            continue
        if n_new == 0 or "time" not in coord.dims:
            kept[str(name)] = coord.variable
        elif name == "time":
            steps = np.arange(1, n_new + 1) * float(data.attrs["bin_size"])
            time = np.append(coord.values, coord.values[-1] + steps)
            kept["time"] = xr.Variable(("time",), time, coord.attrs)
        elif coord.dtype.kind == "f":
            kept[str(name)] = coord.variable.pad(time=(0, n_new))
    if arrays.forward.any():
        kept["forward"] = xr.Variable(("time",), arrays.forward)
    if "trial_length" in data.variables:
        given = data["trial_length"]
        length = arrays.inside.sum(axis=1).reshape(given.shape)
        kept["trial_length"] = xr.Variable(given.dims, length, given.attrs)
    return kept


# -- parameters ---------------------------------------------------------------------------------


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


def check_n_latents(n_latents: int, arrays: Arrays) -> None:
    """Raise :class:`ParameterError` where there are more latents than units to find them in."""
    n_units = int(arrays.held_in.sum())
    if n_latents > n_units:
        raise ParameterError(
            f"Expected n_latents of at most the {n_units} held-in units, got {n_latents}."
        )
