"""A session with everything that instruments may look at, and a call of each instrument."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.snn import observe

FIVE = 5.0


def spikes_of(n_units: int, rate: float, duration: float, seed: int) -> xr.Dataset:
    """Poisson spikes, in order of time as the simulator gives them, with positions."""
    rng = np.random.default_rng(seed)
    number = rng.poisson(rate * duration * n_units)
    time = np.sort(rng.uniform(0, duration, number))
    return xr.Dataset(
        {
            "spike_time": ("spike", time, {"units": "s"}),
            "spike_unit": ("spike", rng.integers(n_units, size=number)),
        },
        coords={
            "unit": np.arange(n_units),
            "population": ("unit", np.where(np.arange(n_units) % 5, "e", "i")),
            **{a: ("unit", rng.uniform(0, 1e-3, n_units), {"units": "m"}) for a in "xy"},
        },
        attrs={"t_start": 0.0, "t_stop": duration},
    )


def session(n_units: int = 6, rate: float = 5.0, duration: float = 20.0, seed: int = 0):
    """A session laid out as nks.snn.simulate does, with everything that it may hold."""
    rng = np.random.default_rng(seed)
    ids = np.arange(n_units)
    weight = np.where(rng.random((n_units, n_units)) < 0.4, rng.normal(size=(n_units,) * 2), 0)
    target, source = np.nonzero(weight)
    clock = np.arange(200) * 1e-3
    truth = xr.Dataset(
        {
            "weight": (("target", "source"), weight, {"units": "mV"}),
            "synapse_source": ("synapse", source),
            "synapse_target": ("synapse", target),
            "synapse_weight": ("synapse", weight[target, source], {"units": "mV"}),
            "state": ("time", np.arange(7) % 2),
            "gain": (("state_index", "unit"), rng.random((2, n_units))),
        },
        coords={
            "unit": ids,
            "target": ids,
            "source": ids,
            "time": ("time", np.arange(7.0), {"units": "s"}),
            "community": ("unit", ids % 2),
        },
        attrs={"network": "test", "seed": seed},
    )
    current = rng.normal(size=(200, 2)) * 100
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"lab": "ours"}),
            "/spikes": spikes_of(n_units, rate, duration, seed),
            "/truth": truth,
            "/voltage": xr.Dataset(
                {"voltage": (("time", "unit"), rng.normal(size=(200, 3)), {"units": "mV"})},
                coords={"time": ("time", clock, {"units": "s"}), "unit": ids[1:4]},
            ),
            "/current": xr.Dataset(
                {"synaptic_current": (("time", "population"), current, {"units": "pA"})},
                coords={"time": ("time", clock, {"units": "s"}), "population": ["e", "i"]},
            ),
        }
    )


CALLS = {
    "calcium": lambda s, rng: observe.calcium(s, scattering=1e-4, saturation=2.0, rng=rng),
    "sorting_errors": lambda s, rng: observe.sorting_errors(
        s, miss_rate=0.2, false_rate=1.0, merges=2, rng=rng
    ),
    "subsample": lambda s, rng: observe.subsample(s, 3, rng=rng),
    "seeg": lambda s, rng: observe.sensors(s, 12, noise=1e-9, rng=rng),
    "meg": lambda s, rng: observe.sensors(s, 20, kind="meg", noise=1e-15, rng=rng),
}
