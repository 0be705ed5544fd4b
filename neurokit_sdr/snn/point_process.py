r"""Coupled Poisson populations whose connectivity switches with a hidden state.

The generator behind the HMM-GLM (Li, Kim, Rodgers, Choi and Wu, ICLR 2024), with known states and
weights. For state :math:`z_t`, target :math:`n`, sources :math:`m` and history kernels
:math:`\phi_h`,

.. math::

   z_1 \sim \mathrm{Cat}(\pi), \quad z_{t+1} \mid z_t = i \sim \mathrm{Cat}(P_{i\cdot}), \quad
   x_{t,n} \sim \mathrm{Poisson}\Big(f\big(b_{z_t n} + \textstyle\sum_{m,h} w_{z_t n m h}
   \sum_{k \ge 1} \phi_{hk}\, x_{t-k,m}\big)\Big).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, OneOrSeveral, Options, as_numbers, check
from neurokit_sdr.core.errors import MissingDependencyError, ParameterError, SchemaError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.engines.poisson.kernels import NONLINEARITIES, exponential_kernel, inverse_rate
from neurokit_sdr.snn.synapses import check_memory

try:
    import numba
except ImportError as error:
    raise MissingDependencyError(
        "Simulating populations needs numba: pip install 'neurokit-sdr[analysis]'."
    ) from error

#: Above this expected count in one bin a simulation has run away: no neuron fires so fast.
RUNAWAY_COUNT = 1e3


def switching_population(
    n_units: int = 12,
    n_states: int = 3,
    *,
    connection_probability: float = 0.2,
    strength: tuple[float, float] = (0.5, 3.0),
    mean_count: float = 0.5,
    self_transition: float = 0.98,
    nonlinearity: str = "sigmoid",
    bin_size: float = 0.02,
    time_constants: Sequence[float] = (0.02,),
    rng: RNG = None,
) -> xr.Dataset:
    r"""Draw the parameters of a switching population.

    Each state wires the population anew: every ordered pair is connected with
    ``connection_probability``, with a weight of either sign whose size is uniform in ``strength``.
    Biases are shared by the states and set so that an unconnected unit fires ``mean_count``
    spikes per bin: states differ by their wiring.

    Parameters
    ----------
    n_units, n_states
        Size.
    connection_probability
        Share of ordered pairs that are connected, in each state.
    strength
        Smallest and largest absolute weight.
    mean_count
        Expected count per bin of a unit without input.
    self_transition
        Probability of staying in a state for another bin.
    nonlinearity
        ``"softplus"``, ``"exp"`` or ``"sigmoid"``.
    bin_size
        Bin width in seconds.
    time_constants
        Of the history kernels, in seconds; weights are drawn for the first, zero for the others.
    rng
        Seed or generator.

    Returns
    -------
    xarray.Dataset
        ``weight(state, target, source, time_constant)``, ``bias(state, target)``,
        ``transition_probability(state, next_state)``, ``initial_probability(state)`` and
        ``kernel(time_constant, lag)``: what :func:`simulate_switching_population` and
        ``HMMGLM.from_parameters`` take.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    """
    positive = Interval(float, 0, open_low=True)
    check("n_units", n_units, Interval(int, 1))
    check("n_states", n_states, Interval(int, 1))
    check("connection_probability", connection_probability, Interval(float, 0, 1))
    check("mean_count", mean_count, positive)
    check("self_transition", self_transition, Interval(float, 0, 1, open_low=True))
    check("nonlinearity", nonlinearity, Options(*NONLINEARITIES))
    check("bin_size", bin_size, positive)
    if nonlinearity == "sigmoid" and mean_count >= 1:
        raise ParameterError(
            f"Expected mean_count below 1 with the sigmoid, its largest rate, got {mean_count}."
        )
    sizes = as_numbers("strength", strength)
    if sizes.shape != (2,) or not 0 <= sizes[0] <= sizes[1] < np.inf:
        raise ParameterError(
            f"Expected strength as (smallest, largest) absolute weight, got {strength!r}."
        )
    if time_constants not in OneOrSeveral(positive) or not isinstance(time_constants, list | tuple):
        raise ParameterError(
            f"Expected time_constants as a list of seconds > 0, got {time_constants!r}."
        )
    # Each weight is drawn as a size, a sign and whether there is one.
    check_memory(
        float(n_units) ** 2 * n_states * 8 * (4 + len(time_constants)),
        f"The weight of every pair of {n_units} units in {n_states} states",
    )
    generator = stream(resolve_seed(rng), "switching_population")
    shape = (n_states, n_units, n_units)
    connected = generator.random(shape) < connection_probability
    sign = np.where(generator.random(shape) < 0.5, -1.0, 1.0)
    weight = np.zeros((*shape, len(time_constants)))
    weight[..., 0] = connected * sign * generator.uniform(*strength, shape)
    bias = np.full((n_states, n_units), inverse_rate(np.array(mean_count), nonlinearity))
    transition = np.full((n_states, n_states), (1 - self_transition) / max(n_states - 1, 1))
    np.fill_diagonal(transition, self_transition if n_states > 1 else 1.0)
    return label_parameters(
        weight=weight,
        bias=bias,
        transition=transition,
        initial=np.full(n_states, 1 / n_states),
        units=np.arange(n_units),
        time_constants=time_constants,
        bin_size=bin_size,
        nonlinearity=nonlinearity,
    )


def label_parameters(
    *,
    weight: np.ndarray,
    bias: np.ndarray,
    transition: np.ndarray,
    initial: np.ndarray,
    units: np.ndarray,
    time_constants: Sequence[float],
    bin_size: float,
    nonlinearity: str,
) -> xr.Dataset:
    """Label the arrays of a switching population; the one place where their layout is written.

    Parameters
    ----------
    weight
        Shape (state, target, source, time_constant).
    bias
        Shape (state, target).
    transition
        Shape (state, next_state), rows summing to 1.
    initial
        Shape (state,).
    units
        Unit ids, shape (unit,).
    time_constants, bin_size
        In seconds.
    nonlinearity
        Its name.

    Returns
    -------
    xarray.Dataset
    """
    kernel = exponential_kernel(time_constants, bin_size)
    return xr.Dataset(
        {
            "weight": (
                ("state", "target", "source", "time_constant"),
                weight,
                {"units": "1", "long_name": "coupling weight"},
            ),
            "bias": (("state", "target"), bias, {"units": "1", "long_name": "bias"}),
            "transition_probability": (("state", "next_state"), transition, {"units": "1"}),
            "initial_probability": (("state",), initial, {"units": "1"}),
            "kernel": (
                ("time_constant", "lag"),
                kernel,
                {"units": "1", "long_name": "history kernel"},
            ),
        },
        coords={
            "target": ("target", units),
            "source": ("source", units),
            "time_constant": ("time_constant", np.asarray(time_constants, float), {"units": "s"}),
            "lag": ("lag", np.arange(1, kernel.shape[1] + 1) * bin_size, {"units": "s"}),
        },
        attrs={"bin_size": float(bin_size), "nonlinearity": nonlinearity},
    )


def simulate_switching_population(
    parameters: xr.Dataset,
    n_bins: int | Sequence[int],
    *,
    rng: RNG = None,
) -> xr.Dataset:
    """Simulate a switching population.

    Parameters
    ----------
    parameters
        As :func:`switching_population` returns.
    n_bins
        Length in bins: one number for one continuous recording, several for as many independent
        trials.
    rng
        Seed or generator.

    Returns
    -------
    xarray.Dataset
        ``count(time, unit)`` and the truth ``state(time)``; with several trials ``trial`` comes
        first, ``trial_length(trial)`` says how long each is, and the state is -1 beyond. The seed
        is in ``attrs["seed"]``.

    Raises
    ------
    ParameterError
        If ``n_bins`` is not positive, or the population runs away (more than 1000 expected spikes
        in one bin).
    SchemaError
        If ``parameters`` lacks a variable or holds NaN.

    Examples
    --------
    >>> truth = switching_population(n_units=4, n_states=2, rng=0)
    >>> simulated = simulate_switching_population(truth, 100, rng=0)
    >>> dict(simulated.sizes)
    {'time': 100, 'unit': 4}
    """
    each: list[Any] = [n_bins] if np.ndim(n_bins) == 0 else list(n_bins)  # type: ignore[arg-type]
    if not each or any(n not in Interval(int, 1) for n in each):
        raise ParameterError(
            f"Expected n_bins as a whole number of at least 1 or a list of them, got {n_bins!r}."
        )
    lengths = [int(n) for n in each]
    arrays = unlabel_parameters(parameters)
    nonlinearity = str(parameters.attrs["nonlinearity"])
    seed = resolve_seed(rng)
    units = parameters["target"].values
    check_memory(
        float(len(lengths)) * max(lengths) * (4 * len(units) + 8),
        f"The counts of {len(units)} units in {len(lengths)} trials of {max(lengths)} bins",
    )
    count = np.zeros((len(lengths), max(lengths), len(units)), dtype=np.int32)
    state = np.full((len(lengths), max(lengths)), -1, dtype=np.int64)
    for trial, length in enumerate(lengths):
        done = _simulate_trial(
            arrays["weight"],
            arrays["bias"],
            np.cumsum(arrays["transition"], axis=1),
            np.cumsum(arrays["initial"]),
            arrays["kernel"],
            NONLINEARITIES.index(nonlinearity),
            count[trial, :length],
            state[trial, :length],
            stream(seed, "simulate", trial),
        )
        if done < length:
            raise ParameterError(
                f"The population ran away in trial {trial} at bin {done}: a unit expects more than "
                f"{RUNAWAY_COUNT:g} spikes in one bin. Weaken the weights, or use softplus or "
                f"sigmoid instead of {nonlinearity}."
            )
    bin_size = float(parameters.attrs["bin_size"])
    dims: tuple[str, ...] = ("trial", "time")
    several = np.ndim(n_bins) > 0
    if not several:
        count, state, dims = count[0], state[0], ("time",)
    simulated = xr.Dataset(
        {
            "count": ((*dims, "unit"), count, {"units": "1", "long_name": "spike count per bin"}),
            "state": (dims, state, {"long_name": "hidden state"}),
        },
        coords={
            "time": ("time", (np.arange(max(lengths)) + 0.5) * bin_size, {"units": "s"}),
            "unit": ("unit", units),
        },
        attrs={"bin_size": bin_size, "seed": seed},
    )
    if several:
        simulated["trial_length"] = (("trial",), np.array(lengths), {"units": "1"})
    return simulated


def spikes_from_counts(counts: xr.Dataset, *, rng: RNG = None) -> xr.Dataset:
    """Place each counted spike uniformly at random inside its bin.

    Binning the result with the same ``bin_size`` gives the counts back exactly.

    Parameters
    ----------
    counts
        ``count(time, unit)`` without trials, as :func:`simulate_switching_population` returns.
    rng
        Seed or generator.

    Returns
    -------
    xarray.Dataset
        Spikes in the readers' schema, starting at 0 s.
    """
    schema.check(counts, "counts")
    if counts["count"].dims != ("time", "unit"):
        raise SchemaError(
            f"Expected count(time, unit) of one recording, got {counts['count'].dims}: select one "
            f"trial with .isel(trial=0)."
        )
    generator = stream(resolve_seed(rng), "spikes_from_counts")
    width = float(counts.attrs["bin_size"])
    count = counts["count"].values
    time: list[np.ndarray] = []
    unit: list[np.ndarray] = []
    for u in range(count.shape[1]):
        bins = np.repeat(np.arange(count.shape[0]), count[:, u])
        # Away from the edges: floating point must not move a spike into the next bin.
        inside = generator.uniform(1e-3, 1 - 1e-3, bins.size)
        time.append(np.sort((bins + inside) * width))
        unit.append(np.full(bins.size, u, dtype=np.int64))
    return xr.Dataset(
        {
            "spike_time": (("spike",), np.concatenate(time), {"units": "s"}),
            "spike_unit": (("spike",), np.concatenate(unit)),
        },
        coords={"unit": counts["unit"].variable},
        attrs={"t_start": 0.0, "t_stop": count.shape[0] * width},
    )


def unlabel_parameters(parameters: xr.Dataset) -> dict[str, np.ndarray]:
    """Return weight, bias, transition, initial and kernel as arrays, checked.

    Raises
    ------
    SchemaError
        If one is missing, misshapen or not finite, or probabilities do not sum to 1.
    """
    layout = {
        "weight": ("state", "target", "source", "time_constant"),
        "bias": ("state", "target"),
        "transition_probability": ("state", "next_state"),
        "initial_probability": ("state",),
        "kernel": ("time_constant", "lag"),
    }
    if not isinstance(parameters, xr.Dataset):
        raise SchemaError(f"Expected a Dataset of parameters, got {type(parameters).__name__}.")
    if parameters.attrs.get("nonlinearity") not in NONLINEARITIES:
        raise SchemaError(
            f"Expected attrs['nonlinearity'] to be one of {NONLINEARITIES}, got "
            f"{parameters.attrs.get('nonlinearity')!r}."
        )
    arrays = {}
    for name, dims in layout.items():
        if name not in parameters.variables or set(parameters[name].dims) != set(dims):
            got = parameters[name].dims if name in parameters.variables else "none"
            raise SchemaError(
                f"Expected {name} with dims {dims} in the parameters, got {got}: start from "
                f"nks.snn.switching_population and change its values."
            )
        values = np.ascontiguousarray(parameters[name].transpose(*dims).values, dtype=np.float64)
        if not np.isfinite(values).all():
            raise SchemaError(f"Expected finite {name}, got NaN or infinite values.")
        arrays[name.removesuffix("_probability")] = values
    if parameters.sizes["target"] != parameters.sizes["source"]:
        raise SchemaError(
            f"Expected as many sources as targets, got {parameters.sizes['source']} and "
            f"{parameters.sizes['target']}: select both alike."
        )
    if parameters.sizes["next_state"] != parameters.sizes["state"]:
        raise SchemaError(
            f"Expected as many next states as states, got {parameters.sizes['next_state']} and "
            f"{parameters.sizes['state']}: select both alike."
        )
    bin_size = parameters.attrs.get("bin_size")
    if bin_size not in Interval(float, 0, open_low=True):
        raise SchemaError(f"Expected attrs['bin_size'] > 0 in seconds, got {bin_size!r}.")
    for name in ("target", "source", "time_constant"):
        if name not in parameters.coords:
            raise SchemaError(f"Expected a coordinate {name!r} in the parameters, got none.")
    for name in ("transition", "initial"):
        total = arrays[name].sum(axis=-1)
        if (arrays[name] < 0).any() or not np.allclose(total, 1, atol=1e-6):
            raise SchemaError(f"Expected {name}_probability to be >= 0 and sum to 1, got {total}.")
    return arrays


@numba.njit(cache=True)
def _simulate_trial(weight, bias, transition, initial, kernel, nonlinearity, count, state, rng):
    """Fill ``count`` and ``state``; return how many bins were done before a runaway."""
    n_bins, n_units = count.shape
    n_kernels, n_lags = kernel.shape
    drive = np.empty((n_units, n_kernels))
    for t in range(n_bins):
        cumulative = initial if t == 0 else transition[state[t - 1]]
        # Rounding can leave the last cumulative sum just below 1.
        z = min(np.searchsorted(cumulative, rng.random(), side="right"), cumulative.size - 1)
        state[t] = z
        drive[:] = 0.0
        for k in range(min(t, n_lags)):
            for m in range(n_units):
                x = count[t - 1 - k, m]
                if x:
                    for h in range(n_kernels):
                        drive[m, h] += kernel[h, k] * x
        for n in range(n_units):
            eta = bias[z, n]
            for m in range(n_units):
                for h in range(n_kernels):
                    eta += weight[z, n, m, h] * drive[m, h]
            if nonlinearity == 0:
                rate = max(eta, 0.0) + np.log1p(np.exp(-abs(eta)))
            elif nonlinearity == 1:
                rate = np.exp(eta)
            else:
                rate = 1.0 / (1.0 + np.exp(-eta))
            if not rate < RUNAWAY_COUNT:
                return t
            count[t, n] = rng.poisson(rate)
    return n_bins
