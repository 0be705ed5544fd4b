"""A network as one value: neurons, synapses, inputs, and what about it is known."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import as_array, as_numbers
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.snn.latents import LatentProcess
from neurokit_sdr.snn.neurons import DendriticLIF, NeuronModel
from neurokit_sdr.snn.plasticity import PairRule
from neurokit_sdr.snn.synapses import (
    BYTES_PER_UNIT,
    INHIBITORY,
    Synapses,
    check_memory,
    join,
    synapses,
)

#: Networks up to this size carry weight(target, source) in their truth, larger ones a list alone.
DENSE_LIMIT = 2000


@dataclass(frozen=True, eq=False)
class Inputs:
    r"""What reaches a network from outside.

    .. math:: d_i(t) = d_i + \textstyle\sum_k \ell_{ik}\, z_k(t) + \text{noise}

    Attributes
    ----------
    drive
        Constant drive: mV for current-based models, pA for conductance-based ones; a number or
        shape (unit,).
    process
        A latent process :math:`z(t)`, or None.
    loading
        :math:`\ell`, shape (unit, latent), in the unit of the drive.
    noise
        White noise, as the sd in mV that it gives v of a leaky integrator; for :class:`Izhikevich`
        the sd of the current drawn anew each ms. A number or shape (unit,).
    poisson_rate, poisson_weight
        Each unit's own Poisson input: Hz, and the weight of one event as of a synapse; numbers or
        shape (unit,).
    forced_time, forced_unit
        Spikes that are imposed, s and unit: a unit with a threshold out of reach is a pure source.
        They go out like any spike; v is not reset.
    """

    drive: Any = 0.0
    process: LatentProcess | None = None
    loading: Any = None
    noise: Any = 0.0
    poisson_rate: Any = 0.0
    poisson_weight: Any = 0.0
    forced_time: Any = ()
    forced_unit: Any = ()


@dataclass(frozen=True, eq=False)
class Network:
    """A spiking network, ready for :func:`simulate`.

    Parameters
    ----------
    name
        What it is called in the truth.
    neuron
        One of the neuron models, such as ``CurrentLIF()``.
    populations
        Number of units of each, by name; units lie in this order.
    synapses
        A :class:`Synapses`, or a list of them.
    dt
        Step, s.
    initial
        Initial values by state variable (``v``, ``w``, ``u``, ``m`` ...,  ``excitatory``,
        ``inhibitory``), each a number or shape (unit,); others start at rest.
    inputs
        See :class:`Inputs`.
    plasticity
        See :class:`PairRule`; None keeps weights.
    weight_scale
        Shape (state, synapse): the factor of each weight while the inputs' process is in a state.
    behavior
        Shape (latent, output): a behaviour read out of the latents; None for none.
    truth
        More that is known, as a Dataset that is kept in ``/truth``. Its dimensions ``unit``,
        ``target``, ``source``, ``synapse`` and ``latent_index`` are those of the simulation: units
        are numbered from 0, names go into ``unit_coords``.
    unit_coords
        Per-unit coordinates, by name; ``x``, ``y`` and ``z`` in metres.

    Raises
    ------
    ParameterError
        If anything is out of range or of a wrong type, or the network would not fit into memory,
        before anything is simulated.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> pair = nks.snn.Network(
    ...     name="pair",
    ...     neuron=nks.snn.CurrentLIF(rest=-49.0),
    ...     populations={"all": 2},
    ...     synapses=nks.snn.synapses([0], [1], 20.0, delay=0.002),
    ... )
    >>> spikes = nks.snn.simulate(pair, 0.1, rng=0, progress=False)["spikes"]
    >>> int((spikes["spike_unit"] == 0).sum())
    2
    """

    name: str
    neuron: NeuronModel
    populations: dict[str, int]
    synapses: Any = field(default_factory=lambda: synapses([], [], []))
    dt: float = 1e-4
    initial: dict[str, Any] = field(default_factory=dict)
    inputs: Inputs = field(default_factory=Inputs)
    plasticity: PairRule | None = None
    weight_scale: np.ndarray | None = None
    behavior: np.ndarray | None = None
    truth: xr.Dataset | None = None
    unit_coords: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.synapses, list):
            object.__setattr__(self, "synapses", join(self.synapses))
        _check_network(self)

    @property
    def n_units(self) -> int:
        """Number of units."""
        return sum(self.populations.values())

    def units(self, population: str) -> range:
        """The units of one population."""
        first = 0
        for name, size in self.populations.items():
            if name == population:
                return range(first, first + size)
            first += size
        raise ParameterError(f"Expected one of {list(self.populations)}, got {population!r}.")

    @property
    def population(self) -> np.ndarray:
        """The population's name of each unit."""
        return np.repeat(list(self.populations), list(self.populations.values()))

    def with_(self, **changes: Any) -> Self:
        """A copy with some parameters changed.

        Examples
        --------
        >>> import neurokit_sdr as nks
        >>> nks.snn.cuba(n_units=50, rng=0).with_(dt=5e-5).dt
        5e-05
        """
        return replace(self, **changes)

    def signed_weight(self) -> np.ndarray:
        """Weight of each synapse, negative where it inhibits."""
        inhibits = self.neuron.conductance_based & (self.synapses.receptor == INHIBITORY)
        return np.where(inhibits, -1.0, 1.0) * self.synapses.weight

    def weight_matrix(self, weight: np.ndarray | None = None) -> np.ndarray:
        """``weight(target, source)``: synapses of a pair summed, onto the soma and segments."""
        n = self.n_units
        matrix = np.zeros((n, n))
        values = self.signed_weight() if weight is None else weight
        np.add.at(matrix, (self.synapses.target, self.synapses.source), values)
        return matrix

    def fingerprint(self) -> str:
        """A hash of everything that decides what a simulation gives."""
        digest = hashlib.sha256()

        def add(value: Any) -> None:
            if isinstance(value, np.ndarray):
                digest.update(str(value.dtype).encode() + str(value.shape).encode())
                digest.update(np.ascontiguousarray(value).tobytes())
            elif isinstance(value, dict):
                for key in value:
                    add(str(key))
                    add(value[key])
            elif isinstance(value, tuple | list):
                for item in value:
                    add(item)
            elif hasattr(value, "__dataclass_fields__"):
                digest.update(type(value).__name__.encode())
                for key in value.__dataclass_fields__:
                    if key != "truth":
                        add(getattr(value, key))
            else:
                # Ended, so that 1.0 and 10.0 do not read like 1.01 and 0.0.
                digest.update(repr(value).encode() + b"\0")

        add(self)
        return digest.hexdigest()


#: What each part of a network has to be, and how to make one.
_PARTS: dict[str, tuple[Any, str]] = {
    "name": (str, "a str"),
    "populations": (Mapping, 'a dict, such as {"excitatory": 80, "inhibitory": 20}'),
    "synapses": (
        Synapses,
        "nks.snn.synapses makes them, or a list of such; nks.snn.synapses_from_matrix takes "
        "weight(target, source)",
    ),
    "initial": (Mapping, 'a dict, such as {"v": -60.0}'),
    "inputs": (Inputs, "an Inputs, such as nks.snn.Inputs(drive=5.0)"),
    "plasticity": (PairRule | None, "None or a PairRule, such as nks.snn.PairRule()"),
    "truth": (xr.Dataset | None, "None or an xarray.Dataset"),
    "unit_coords": (Mapping, 'a dict, such as {"x": [0.0, 1e-4]}'),
}


def _check_parts(network: Network) -> None:
    neuron = network.neuron
    if not isinstance(neuron, NeuronModel) or type(neuron) is NeuronModel:
        raise ParameterError(
            f"Expected neuron as one of the models with its parameters, such as "
            f"nks.snn.CurrentLIF(), got {neuron!r}"
            + (f": write {neuron.__name__}()." if isinstance(neuron, type) else ".")
        )
    for name, (kind, what) in _PARTS.items():
        value = getattr(network, name)
        if not isinstance(value, kind):
            raise ParameterError(f"Expected {name} as {what}, got {type(value).__name__}.")
    s = network.synapses
    for field_name, array in s._asdict().items():
        kinds = "iuf" if field_name in ("weight", "delay") else "iu"
        flat = isinstance(array, np.ndarray) and array.shape == (len(s.target),)
        if not flat or array.dtype.kind not in kinds:
            raise ParameterError(
                f"Expected {field_name} of the synapses as one number for each, got {array!r}: "
                f"nks.snn.synapses makes them from numbers and lists."
            )


def _check_truth(network: Network) -> None:
    """Refuse a truth that could not be merged with what the simulation itself knows."""
    if network.truth is None:
        return
    n = network.n_units
    sizes = {"unit": n, "target": n, "source": n, "synapse": network.synapses.source.size}
    if network.inputs.process is not None:
        sizes["latent_index"] = np.shape(network.inputs.loading)[1]
    for dim, size in sizes.items():
        if network.truth.sizes.get(dim, size) != size:
            raise ParameterError(
                f"Expected a truth with {size} along {dim!r}, as the network has, got "
                f"{network.truth.sizes[dim]}."
            )
        if dim not in network.truth.coords:
            continue
        labels = network.truth[dim].values
        if not np.array_equal(labels, np.arange(size)):
            raise ParameterError(
                f"Expected {dim!r} of the truth to number 0 to {size - 1}, got {labels[:5]}: the "
                f"simulation counts from 0, names of units go into unit_coords."
            )


def _check_network(network: Network) -> None:
    _check_parts(network)
    for name, size in network.populations.items():
        whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
        if not whole or size < 1:
            raise ParameterError(f"Expected a whole number of units in {name!r}, got {size!r}.")
    n = network.n_units
    if n < 1:
        raise ParameterError("Expected at least one population, got none.")
    check_memory(n * BYTES_PER_UNIT, f"A network of {n} units")
    dt = network.dt
    if not isinstance(dt, numbers.Real) or isinstance(dt, bool) or not 0 < dt <= 0.01:
        raise ParameterError(f"Expected dt in seconds between 0 and 0.01, got {dt!r}.")
    network.neuron.arrays(n)
    s = network.synapses
    n_segments = n * int(getattr(network.neuron, "n_segments", 0))
    for what, values in (("source", s.source), ("target", s.target)):
        if values.size and (values.min() < 0 or values.max() >= n):
            raise ParameterError(
                f"Expected every synapse's {what} among {n} units, got {values.min()} to "
                f"{values.max()}."
            )
    if s.segment.size and s.segment.max() >= n_segments:
        raise ParameterError(
            f"Expected segments below {n_segments} ({type(network.neuron).__name__} with {n} "
            f"units), got {s.segment.max()}."
        )
    on_segment = s.segment >= 0
    if isinstance(network.neuron, DendriticLIF) and on_segment.any():
        owner = s.segment[on_segment] // network.neuron.n_segments
        if (owner != s.target[on_segment]).any():
            raise ParameterError(
                "Expected segment d of unit i to be number i * n_segments + d, got segments of "
                "other units than the synapses' targets."
            )
    if not np.isfinite(s.weight).all():
        raise ParameterError("Expected finite weights, got NaN or infinity.")
    if not np.isin(s.receptor, (0, 1)).all():
        raise ParameterError("Expected receptor 0 (excitatory) or 1 (inhibitory) of each synapse.")
    if network.neuron.conductance_based and s.weight.size and s.weight.min() < 0:
        raise ParameterError(
            f"Expected conductances >= 0 nS, got {s.weight.min():g}: an inhibitory synapse is one "
            f"with receptor=1, its sign comes from the reversal potential."
        )
    wrong = (s.weight > 0) & (s.receptor == INHIBITORY) | (s.weight < 0) & (s.receptor == 0)
    if not network.neuron.conductance_based and wrong.any():
        raise ParameterError(
            f"Expected weights >= 0 at receptor 0 and <= 0 at receptor 1 of a current-based model, "
            f"got {s.weight[wrong][0]:g} at receptor {s.receptor[wrong][0]}."
        )
    late = s.delay[s.delay != 0]
    if late.size and (not np.isfinite(late).all() or late.min() < dt * (1 - 1e-9)):
        raise ParameterError(
            f"Expected delays of 0 or of at least dt ({dt:g} s), got {late.min():g} s: use a "
            f"smaller dt."
        )
    # In `or`, so that an overflow of steps cannot hide a delay that is far too long.
    longest = float(late.max()) if late.size else 0.0
    check_memory(longest / dt * 2 * n * 8, f"A delay of {longest:g} s at {n} units")
    known = {"v", "excitatory", "inhibitory", *network.neuron.extra_variables}
    for name, value in network.initial.items():
        if name not in known:
            raise ParameterError(f"Expected initial values of {sorted(known)}, got {name!r}.")
        per_unit(f"initial {name}", value, n)
    inputs = network.inputs
    for name in ("drive", "noise", "poisson_rate", "poisson_weight"):
        value = per_unit(name, getattr(inputs, name), n)
        if name in ("noise", "poisson_rate") and (value < 0).any():
            raise ParameterError(f"Expected {name} >= 0, got {value.min():g}.")
        if name == "poisson_weight" and network.neuron.conductance_based and (value < 0).any():
            raise ParameterError(f"Expected a poisson_weight >= 0 nS, got {value.min():g}.")
    if (inputs.process is None) != (inputs.loading is None):
        raise ParameterError("Expected a latent process together with its loading, got one.")
    if inputs.process is not None:
        if not isinstance(inputs.process, LatentProcess):
            raise ParameterError(
                f"Expected process as a latent process, such as nks.snn.Lorenz(), got "
                f"{inputs.process!r}."
            )
        inputs.process.check()
        loading = as_numbers("loading", inputs.loading)
        if loading.ndim != 2 or loading.shape[0] != n or not np.isfinite(loading).all():
            raise ParameterError(
                f"Expected a finite loading of shape ({n}, latent), got {loading.shape}."
            )
        interval = inputs.process.frame_interval
        if interval < dt or abs(interval / dt - round(interval / dt)) > 1e-6:
            raise ParameterError(
                f"Expected a frame_interval that is a multiple of dt ({dt:g} s), got {interval:g}."
            )
    forced = as_array("forced_unit", inputs.forced_unit)
    moments = as_numbers("forced_time", inputs.forced_time)
    if forced.ndim != 1 or moments.ndim != 1:
        raise ParameterError(
            f"Expected forced_time and forced_unit as lists, got shapes {moments.shape} and "
            f"{forced.shape}."
        )
    if moments.size != forced.size:
        raise ParameterError(
            f"Expected forced_time and forced_unit of one length, got {moments.size} and "
            f"{forced.size}."
        )
    if forced.size:
        if forced.dtype.kind not in "iu":
            raise ParameterError(f"Expected forced_unit as whole numbers, got {forced.dtype}.")
        if forced.min() < 0 or forced.max() >= n:
            raise ParameterError(f"Expected forced_unit among {n} units, got {forced.max()}.")
        if not np.isfinite(moments).all() or moments.min() < dt * (1 - 1e-9):
            raise ParameterError(
                f"Expected finite forced_time of at least dt ({dt:g} s), got {moments.min():g}."
            )
    if network.behavior is not None:
        as_numbers("behavior", network.behavior)
    if network.weight_scale is not None:
        shape = as_numbers("weight_scale", network.weight_scale).shape
        if len(shape) != 2 or shape[1] != s.weight.size or inputs.process is None:
            raise ParameterError(
                f"Expected weight_scale(state, synapse) with {s.weight.size} synapses and a "
                f"process with states, got shape {shape}."
            )
        if not np.isfinite(network.weight_scale).all():
            raise ParameterError("Expected a finite weight_scale, got NaN or infinity.")
        if network.plasticity is not None:
            raise ParameterError("Expected either weight_scale or plasticity, got both.")
    if network.plasticity is not None:
        network.plasticity.check()
    for name, value in network.unit_coords.items():
        if np.shape(value) != (n,):
            raise ParameterError(
                f"Expected unit_coords[{name!r}] of shape ({n},), got {np.shape(value)}."
            )
    _check_truth(network)


def per_unit(name: str, value: Any, n_units: int) -> np.ndarray:
    """An array of shape (unit,) from a number or an array, checked to be finite."""
    array = as_numbers(name, value).astype(float)
    if array.shape not in ((), (n_units,)) or not np.isfinite(array).all():
        raise ParameterError(
            f"Expected {name} as a finite number or an array of shape ({n_units},), got shape "
            f"{array.shape}{'' if np.isfinite(array).all() else ' with NaN or infinity'}."
        )
    return np.broadcast_to(array, (n_units,)).copy()
