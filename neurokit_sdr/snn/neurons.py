r"""Neuron models: their parameters in the units of the field, and their constants for one step.

Every field is a number, or an array with one entry per unit. Times are seconds, potentials mV,
capacitances pF, conductances nS, currents pA (so that pF mV / ms = pA).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from neurokit_sdr.core.arguments import as_array
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.snn.engine.constants import (
    AdExConstants,
    ConductanceConstants,
    CurrentConstants,
    DeltaConstants,
    HodgkinHuxleyConstants,
    IzhikevichConstants,
)

#: Milliseconds in a second: the engine's unit of time.
MS = 1e3


@dataclass(frozen=True, eq=False)
class NeuronModel:
    """What every model shares; not used by itself."""

    conductance_based: ClassVar[bool] = False
    #: Rows of the engine's extra state: adaptation, recovery or gates.
    extra_variables: ClassVar[tuple[str, ...]] = ()
    #: Unit of a constant drive, of noise and of recorded synaptic current.
    drive_units: ClassVar[str] = "mV"
    _positive: ClassVar[tuple[str, ...]] = ()
    _not_negative: ClassVar[tuple[str, ...]] = ("refractory_period",)

    def arrays(self, n_units: int) -> dict[str, np.ndarray]:
        """Every parameter as an array of shape (unit,), checked.

        Raises
        ------
        ParameterError
            If one is NaN, of the wrong length, or not positive where it must be.
        """
        found = {}
        for field in fields(self):
            what = f"{field.name} of {type(self).__name__}"
            value = as_array(what, getattr(self, field.name))
            if value.dtype.kind not in "iuf" or value.shape not in ((), (n_units,)):
                raise ParameterError(
                    f"Expected {field.name} of {type(self).__name__} to be a number or an array of "
                    f"shape ({n_units},), got shape {value.shape} of {value.dtype}."
                )
            if not np.isfinite(value).all():
                raise ParameterError(
                    f"Expected {field.name} of {type(self).__name__} to be finite, got NaN or "
                    f"infinity."
                )
            low = float(np.min(value)) if value.size else 1.0
            if field.name in self._positive and low <= 0:
                raise ParameterError(
                    f"Expected {field.name} of {type(self).__name__} > 0, got {low:g}."
                )
            if field.name in self._not_negative and low < 0:
                raise ParameterError(
                    f"Expected {field.name} of {type(self).__name__} >= 0, got {low:g}."
                )
            found[field.name] = np.broadcast_to(value, (n_units,)).astype(float)
        self._check(found)
        return found

    def _check(self, p: dict[str, np.ndarray]) -> None:
        if "reset" in p and (p["reset"] >= p["threshold"]).any():
            raise ParameterError(
                f"Expected reset below threshold in {type(self).__name__}: a unit that is reset to "
                f"its threshold spikes for ever."
            )

    def constants(self, n_units: int, dt: float) -> Any:
        """Constants of the engine's loop for steps of ``dt`` seconds."""
        raise NotImplementedError

    def resting(self, n_units: int) -> dict[str, np.ndarray]:
        """Initial values of every state variable, unless the network gives others."""
        rest = self.arrays(n_units)["rest"]
        return {"v": rest, **{name: np.zeros(n_units) for name in self.extra_variables}}

    def noise_per_step(self, noise: np.ndarray, dt: float) -> np.ndarray:
        r"""Drive noise of each step that gives v without input and spikes the sd ``noise`` (mV).

        For a leaky integrator, without threshold or adaptation. The noise is white:
        :math:`\sigma\sqrt{1-\lambda^2}/(1-\lambda)`,
        :math:`\lambda = e^{-\Delta/\tau_m}`, times the leak for models driven by a current.
        """
        tau, gain = self._membrane(len(noise))
        decay = np.exp(-dt / tau)
        return noise * gain * np.sqrt(1 - decay**2) / (1 - decay)

    def _membrane(self, n_units: int) -> tuple[np.ndarray, np.ndarray]:
        p = self.arrays(n_units)
        if "tau_membrane" in p:
            return p["tau_membrane"], np.ones(n_units)
        return p["capacitance"] / p["leak"] / MS, p["leak"]


def _grouped(kind: Any, n_units: int, **constants: np.ndarray) -> Any:
    """Merge neighbouring units with equal constants into groups."""
    table = np.stack([np.asarray(c, float) for c in constants.values()])
    change = np.any(table[:, 1:] != table[:, :-1], axis=0)
    first = np.concatenate([[0], np.flatnonzero(change) + 1])
    values = {}
    for name, c in constants.items():
        kept = np.asarray(c, float)[first]
        values[name] = kept.astype(np.int64) if name == "refractory" else kept
    return kind(start=np.append(first, n_units).astype(np.int64), **values)


def _steps(seconds: np.ndarray, dt: float) -> np.ndarray:
    return np.rint(seconds / dt)


@dataclass(frozen=True, eq=False)
class CurrentLIF(NeuronModel):
    r"""Leaky integrate-and-fire with exponential currents, integrated exactly.

    .. math:: \tau_m \dot v = -(v - E_L) + s_E + s_I + d(t), \quad
              \tau_{E,I}\,\dot s_{E,I} = -s_{E,I}

    A spike adds the weight (mV, the drive it starts with) to :math:`s_E` or :math:`s_I`; inputs
    decay through the refractory period. For a current I into a capacitance C the drive is
    :math:`I\tau_m/C`. The propagators are those of Rotter and Diesmann (1999,
    doi:10.1007/s004220050570).

    Attributes
    ----------
    tau_membrane, tau_excitatory, tau_inhibitory
        Time constants, s.
    rest, threshold, reset
        mV.
    refractory_period
        s.

    Examples
    --------
    >>> CurrentLIF(tau_membrane=0.01).tau_membrane
    0.01
    """

    tau_membrane: Any = 0.02
    tau_excitatory: Any = 0.005
    tau_inhibitory: Any = 0.01
    rest: Any = -60.0
    threshold: Any = -50.0
    reset: Any = -60.0
    refractory_period: Any = 0.005

    _positive: ClassVar[tuple[str, ...]] = ("tau_membrane", "tau_excitatory", "tau_inhibitory")

    def constants(self, n_units: int, dt: float) -> Any:
        """See :meth:`NeuronModel.constants`."""
        p = self.arrays(n_units)
        leak = np.exp(-dt / p["tau_membrane"])

        def into_v(tau: np.ndarray) -> np.ndarray:
            # tau == tau_m is the limit of the same expression.
            difference = 1 / tau - 1 / p["tau_membrane"]
            same = difference == 0
            safe = np.where(same, 1.0, difference)
            ratio = np.where(same, dt, -np.expm1(-safe * dt) / safe)
            return leak * ratio / p["tau_membrane"]

        return _grouped(
            CurrentConstants,
            n_units,
            leak=leak,
            excitatory=into_v(p["tau_excitatory"]),
            inhibitory=into_v(p["tau_inhibitory"]),
            excitatory_decay=np.exp(-dt / p["tau_excitatory"]),
            inhibitory_decay=np.exp(-dt / p["tau_inhibitory"]),
            rest=p["rest"],
            threshold=p["threshold"],
            reset=p["reset"],
            refractory=_steps(p["refractory_period"], dt),
        )


@dataclass(frozen=True, eq=False)
class DeltaLIF(NeuronModel):
    r"""Leaky integrate-and-fire whose synapses make v jump by their weight (mV), exact.

    .. math:: \tau_m \dot v = -(v - E_L) + d(t) + \tau_m \textstyle\sum_k w_k\,\delta(t - t_k)

    Input during the refractory period is lost.

    Attributes
    ----------
    tau_membrane
        s.
    rest, threshold, reset
        mV.
    refractory_period
        s.
    """

    tau_membrane: Any = 0.02
    rest: Any = 0.0
    threshold: Any = 20.0
    reset: Any = 10.0
    refractory_period: Any = 0.002

    _positive: ClassVar[tuple[str, ...]] = ("tau_membrane",)

    def constants(self, n_units: int, dt: float) -> Any:
        """See :meth:`NeuronModel.constants`."""
        p = self.arrays(n_units)
        return _grouped(
            DeltaConstants,
            n_units,
            pulse=p["tau_membrane"] / dt,
            leak=np.exp(-dt / p["tau_membrane"]),
            rest=p["rest"],
            threshold=p["threshold"],
            reset=p["reset"],
            refractory=_steps(p["refractory_period"], dt),
        )


@dataclass(frozen=True, eq=False)
class ConductanceLIF(NeuronModel):
    r"""Leaky integrate-and-fire with exponential conductances.

    .. math:: C\dot v = g_L(E_L - v) + g_E(E_E - v) + g_I(E_I - v) + d(t), \quad
              \tau_{E,I}\,\dot g_{E,I} = -g_{E,I}

    Conductances decay exactly; v relaxes towards the asymptote of the conductances at the middle of
    the step (an error of second order in the step), by :math:`1 - 1/T_4(x)` of the way instead of
    :math:`1 - e^{-x}`: with :math:`x = \Delta t\,(g_L + g_E + g_I)/C` and the Taylor polynomial
    :math:`T_4` of the exponential this is off by :math:`x^5/120`, never passes the asymptote, and
    costs one division.

    Attributes
    ----------
    capacitance
        pF.
    leak
        nS.
    rest, threshold, reset, excitatory_reversal, inhibitory_reversal
        mV.
    tau_excitatory, tau_inhibitory, refractory_period
        s.
    """

    conductance_based: ClassVar[bool] = True
    drive_units: ClassVar[str] = "pA"
    capacitance: Any = 200.0
    leak: Any = 10.0
    rest: Any = -60.0
    threshold: Any = -50.0
    reset: Any = -60.0
    excitatory_reversal: Any = 0.0
    inhibitory_reversal: Any = -80.0
    tau_excitatory: Any = 0.005
    tau_inhibitory: Any = 0.01
    refractory_period: Any = 0.005

    _positive: ClassVar[tuple[str, ...]] = (
        "capacitance",
        "leak",
        "tau_excitatory",
        "tau_inhibitory",
    )

    def constants(self, n_units: int, dt: float) -> Any:
        """See :meth:`NeuronModel.constants`."""
        p = self.arrays(n_units)
        return _grouped(
            ConductanceConstants,
            n_units,
            step_over_capacitance=dt * MS / p["capacitance"],
            leak=p["leak"],
            rest=p["rest"],
            threshold=p["threshold"],
            reset=p["reset"],
            refractory=_steps(p["refractory_period"], dt),
            **_conductances(p, dt),
        )


def _conductances(p: dict[str, np.ndarray], dt: float) -> dict[str, np.ndarray]:
    return {
        "excitatory_reversal": p["excitatory_reversal"],
        "inhibitory_reversal": p["inhibitory_reversal"],
        "excitatory_half": np.exp(-0.5 * dt / p["tau_excitatory"]),
        "inhibitory_half": np.exp(-0.5 * dt / p["tau_inhibitory"]),
    }


@dataclass(frozen=True, eq=False)
class AdEx(NeuronModel):
    r"""Adaptive exponential integrate-and-fire (Brette and Gerstner 2005,
    doi:10.1152/jn.00686.2005).

    .. math:: C\dot v = -g_L(v - E_L) + g_L\Delta_T e^{(v - V_T)/\Delta_T} - w + I, \quad
              \tau_w\dot w = a(v - E_L) - w

    with exponential conductances in I. At ``threshold`` v goes to ``reset`` and w grows by b.
    Integrated with the explicit midpoint rule (second order).

    Attributes
    ----------
    capacitance
        pF.
    leak, subthreshold_adaptation
        :math:`g_L` and a, nS.
    rest, soft_threshold, slope, threshold, reset
        :math:`E_L, V_T, \Delta_T`, the cut of the spike, and the reset, mV.
    tau_adaptation
        s.
    spike_adaptation
        b, pA.
    """

    conductance_based: ClassVar[bool] = True
    drive_units: ClassVar[str] = "pA"
    extra_variables: ClassVar[tuple[str, ...]] = ("w",)
    capacitance: Any = 281.0
    leak: Any = 30.0
    rest: Any = -70.6
    soft_threshold: Any = -50.4
    slope: Any = 2.0
    tau_adaptation: Any = 0.144
    subthreshold_adaptation: Any = 4.0
    spike_adaptation: Any = 80.5
    threshold: Any = -40.4
    reset: Any = -70.6
    refractory_period: Any = 0.0
    excitatory_reversal: Any = 0.0
    inhibitory_reversal: Any = -80.0
    tau_excitatory: Any = 0.005
    tau_inhibitory: Any = 0.01

    _positive: ClassVar[tuple[str, ...]] = (
        "capacitance",
        "leak",
        "slope",
        "tau_adaptation",
        "tau_excitatory",
        "tau_inhibitory",
    )

    def constants(self, n_units: int, dt: float) -> Any:
        """See :meth:`NeuronModel.constants`."""
        p = self.arrays(n_units)
        return _grouped(
            AdExConstants,
            n_units,
            step=np.full(n_units, dt * MS),
            step_over_capacitance=dt * MS / p["capacitance"],
            leak=p["leak"],
            rest=p["rest"],
            soft_threshold=p["soft_threshold"],
            slope=p["slope"],
            adaptation_step=dt / p["tau_adaptation"],
            subthreshold=p["subthreshold_adaptation"],
            spike_triggered=p["spike_adaptation"],
            threshold=p["threshold"],
            reset=p["reset"],
            refractory=_steps(p["refractory_period"], dt),
            **_conductances(p, dt),
        )


@dataclass(frozen=True, eq=False)
class Izhikevich(NeuronModel):
    r"""Izhikevich's neuron (2003, doi:10.1109/TNN.2003.820440).

    .. math:: \dot v = 0.04v^2 + 5v + 140 - u + I, \quad \dot u = a(bv - u)

    in ms; at 30 mV v goes to c and u grows by d. Integrated as published: v in two half steps of
    Euler's rule, then u in one step (first order). A synaptic weight is the current that a spike
    adds for 1 ms.

    Attributes
    ----------
    a, b, c, d
        The four parameters: a per ms, c in mV.
    """

    drive_units: ClassVar[str] = "1"
    extra_variables: ClassVar[tuple[str, ...]] = ("u",)
    a: Any = 0.02
    b: Any = 0.2
    c: Any = -65.0
    d: Any = 8.0

    _positive: ClassVar[tuple[str, ...]] = ()

    def constants(self, n_units: int, dt: float) -> Any:
        """See :meth:`NeuronModel.constants`."""
        p = self.arrays(n_units)
        whole = np.full(n_units, dt * MS)
        threshold = np.full(n_units, 30.0)
        return _grouped(
            IzhikevichConstants,
            n_units, step=whole, pulse=1 / whole, threshold=threshold, **p
        )  # fmt: skip

    def resting(self, n_units: int) -> dict[str, np.ndarray]:
        """See :meth:`NeuronModel.resting`: v = -65 mV and u = b v, as published."""
        v = np.full(n_units, -65.0)
        return {"v": v, "u": self.arrays(n_units)["b"] * v}

    def noise_per_step(self, noise: np.ndarray, dt: float) -> np.ndarray:
        """Noise drawn anew each step; its sd is that of steps of 1 ms."""
        return noise / np.sqrt(dt * MS)


@dataclass(frozen=True, eq=False)
class HodgkinHuxley(NeuronModel):
    r"""Hodgkin-Huxley neuron with the rates of Traub and Miles, as in the benchmark of Brette et
    al. (2007, doi:10.1007/s10827-007-0038-6).

    .. math:: C\dot v = g_L(E_L - v) + g_{Na}m^3h(E_{Na} - v) + g_Kn^4(E_K - v)
              + g_E(E_E - v) + g_I(E_I - v) + d(t)

    Exponential Euler (first order). A spike is a crossing of ``threshold``; for the refractory
    period after it no other is counted, the membrane goes on.

    Attributes
    ----------
    capacitance
        pF.
    leak, sodium, potassium
        nS.
    rest, sodium_reversal, potassium_reversal, offset, threshold
        :math:`E_L, E_{Na}, E_K, V_T` and where a spike is counted, mV.
    """

    conductance_based: ClassVar[bool] = True
    drive_units: ClassVar[str] = "pA"
    extra_variables: ClassVar[tuple[str, ...]] = ("m", "n", "h")
    capacitance: Any = 200.0
    leak: Any = 10.0
    sodium: Any = 20000.0
    potassium: Any = 6000.0
    rest: Any = -60.0
    sodium_reversal: Any = 50.0
    potassium_reversal: Any = -90.0
    offset: Any = -63.0
    threshold: Any = -20.0
    refractory_period: Any = 0.003
    excitatory_reversal: Any = 0.0
    inhibitory_reversal: Any = -80.0
    tau_excitatory: Any = 0.005
    tau_inhibitory: Any = 0.01

    _positive: ClassVar[tuple[str, ...]] = (
        "capacitance",
        "leak",
        "tau_excitatory",
        "tau_inhibitory",
    )
    _not_negative: ClassVar[tuple[str, ...]] = ("refractory_period", "sodium", "potassium")

    def constants(self, n_units: int, dt: float) -> Any:
        """See :meth:`NeuronModel.constants`."""
        p = self.arrays(n_units)
        return _grouped(
            HodgkinHuxleyConstants,
            n_units,
            step=np.full(n_units, dt * MS),
            step_over_capacitance=dt * MS / p["capacitance"],
            leak=p["leak"],
            sodium=p["sodium"],
            potassium=p["potassium"],
            rest=p["rest"],
            sodium_reversal=p["sodium_reversal"],
            potassium_reversal=p["potassium_reversal"],
            offset=p["offset"],
            threshold=p["threshold"],
            refractory=_steps(p["refractory_period"], dt),
            **_conductances(p, dt),
        )


@dataclass(frozen=True, eq=False)
class DendriticLIF(CurrentLIF):
    r"""LIF with active dendrites: segments that answer coincident input with an NMDA plateau.

    Each unit has ``n_segments`` segments; segment d of unit i is number ``i * n_segments + d``.
    Where ``segment_threshold`` inputs reach a segment within ``coincidence_window``, it starts a
    plateau: the soma receives ``plateau_drive`` (mV, once however many segments are active) for
    ``plateau_duration``, and the segment does not start another meanwhile. Segments receive events,
    not weights (Hawkins and Ahmad 2016, doi:10.3389/fncir.2016.00023). The window is closed on the
    left: inputs :math:`t_1 \le t_2` are coincident if :math:`t_2 - t_1` is shorter than it.

    Attributes
    ----------
    n_segments, segment_threshold
        Whole numbers, the same for every unit.
    coincidence_window, plateau_duration
        s.
    plateau_drive
        mV.
    """

    n_segments: int = 1
    segment_threshold: int = 10
    coincidence_window: float = 0.005
    plateau_duration: float = 0.1
    plateau_drive: Any = 8.0

    _positive: ClassVar[tuple[str, ...]] = (
        *CurrentLIF._positive,
        "n_segments",
        "segment_threshold",
        "coincidence_window",
        "plateau_duration",
    )

    def _check(self, p: dict[str, np.ndarray]) -> None:
        super()._check(p)
        for name in ("n_segments", "segment_threshold"):
            if np.ndim(getattr(self, name)) or int(getattr(self, name)) != getattr(self, name):
                raise ParameterError(
                    f"Expected {name} to be one whole number, got {getattr(self, name)!r}."
                )
        for name in ("coincidence_window", "plateau_duration"):
            if np.ndim(getattr(self, name)):
                raise ParameterError(f"Expected {name} to be one number, got an array.")
