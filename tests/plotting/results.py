"""Made results and recordings to plot, and how to read what was drawn."""

from __future__ import annotations

import numpy as np
import xarray as xr

import neurokit_sdr as nks

BIN = 0.02


def make_result(n_states=3, n_units=4, n_bins=60, n_constants=1, n_trials=0):
    """A result of the layout of HMMGLM, with trials of unequal length where asked for."""
    rng = np.random.default_rng(1)
    lead = (n_trials,) if n_trials else ()
    dims = ("trial",) * bool(n_trials) + ("time",)
    probability = rng.dirichlet(np.full(n_states, 0.4), (*lead, n_bins))
    state = probability.argmax(-1)
    if n_trials:
        for trial in range(1, n_trials):
            probability[trial, n_bins - 5 * trial :] = np.nan
            state[trial, n_bins - 5 * trial :] = -1
    restarts = np.cumsum(rng.gamma(1, 1, (4, 8)), axis=1) - 900
    restarts[1, 5:] = np.nan
    units = [f"u{i}" for i in range(n_units)]
    return xr.Dataset(
        {
            "weight": (
                ("state", "target", "source", "time_constant"),
                rng.normal(size=(n_states, n_units, n_units, n_constants)),
                {"units": "1"},
            ),
            "transition_probability": (
                ("state", "next_state"),
                rng.dirichlet(np.ones(n_states), n_states),
            ),
            "objective": ("iteration", restarts[2], {"units": "nats"}),
            "restart_objective": (("restart", "iteration"), restarts, {"units": "nats"}),
            "state": (dims, state),
            "state_probability": ((*dims, "state"), probability, {"units": "1"}),
        },
        coords={
            "time": ("time", (np.arange(n_bins) + 0.5) * BIN, {"units": "s"}),
            "target": units,
            "source": units,
            "time_constant": ("time_constant", [0.02, 0.1, 0.5][:n_constants], {"units": "s"}),
            "iteration": np.arange(8),
        },
        attrs={"bin_size": BIN, "status": "converged"},
    )


def make_counts(result, n_units=4):
    state = result["state"]
    count = np.random.default_rng(2).poisson(0.4, (*state.shape, n_units)).astype("int32")
    return xr.Dataset(
        {"count": ((*state.dims, "unit"), count, {"units": "1"})},
        coords={"time": result["time"], "unit": [f"u{i}" for i in range(n_units)]},
        attrs={"bin_size": BIN},
    )


def make_table():
    bits = np.full((3, 4, 5), np.nan)
    bits[0, 0] = [0.4, 0.5, 0.6, 0.5, 0.45]
    bits[1:] = np.random.default_rng(3).normal(0.8, 0.1, (2, 4, 5))
    return xr.Dataset(
        {"bits_per_spike": (("model", "n_states", "fold"), bits)},
        coords={"model": ["GLM", "Poisson HMM", "HMM-GLM"], "n_states": [1, 2, 3, 4]},
    )


def make_behavior(n_states=3):
    rng = np.random.default_rng(4)
    speed = np.sort(rng.gamma(2, 0.2, (n_states, 5)), axis=1)
    return xr.Dataset(
        {
            "occupancy": (("state", "position_bin"), rng.dirichlet(np.ones(n_states), 20).T),
            "speed": (("state", "quantile"), speed, {"units": "m/s"}),
        },
        coords={
            "position_bin": ("position_bin", np.linspace(0.0, 1.6, 20), {"units": "m"}),
            "quantile": [0.05, 0.25, 0.5, 0.75, 0.95],
        },
    )


def make_spikes():
    """Three excitatory units and an inhibitory one over a second."""
    rng = np.random.default_rng(5)
    return xr.Dataset(
        {
            "spike_time": ("spike", np.sort(rng.uniform(0, 1, 60)), {"units": "s"}),
            "spike_unit": ("spike", rng.permutation(np.arange(60) % 4)),
        },
        coords={
            "unit": np.arange(4),
            "population": ("unit", ["excitatory"] * 3 + ["inhibitory"]),
        },
        attrs={"t_start": 0.0, "t_stop": 1.0},
    )


def make_rates():
    rate = np.random.default_rng(6).gamma(2, 5, (2, 10))
    return xr.Dataset(
        {"rate": (("population", "time"), rate, {"units": "Hz"})},
        coords={
            "population": ["excitatory", "inhibitory"],
            "time": ("time", np.round(np.arange(0.05, 1, 0.1), 2), {"units": "s"}),
        },
    )


def make_spectrum():
    power = np.random.default_rng(7).gamma(4, 0.25, (2, 50))
    return xr.Dataset(
        {"relative_power": (("population", "frequency"), power, {"units": "1"})},
        coords={
            "population": ["excitatory", "inhibitory"],
            "frequency": ("frequency", np.arange(4.0, 204, 4), {"units": "Hz"}),
        },
    )


PLOTS = {
    "state_raster": lambda **k: nks.plotting.state_raster(
        make_result(), make_counts(make_result()), **k
    ),
    "coupling_matrices": lambda: nks.plotting.coupling_matrices(make_result()),
    "convergence": lambda **k: nks.plotting.convergence(make_result(), **k),
    "transition_matrix": lambda **k: nks.plotting.transition_matrix(make_result(), **k),
    "held_out_comparison": lambda **k: nks.plotting.held_out_comparison(make_table(), **k),
    "states_by_position": lambda: nks.plotting.states_by_position(make_behavior()),
    "spike_raster": lambda: nks.plotting.spike_raster(make_spikes(), make_rates()),
    "rate_spectrum": lambda **k: nks.plotting.rate_spectrum(make_spectrum(), **k),
}
TAKE_AX = [
    "state_raster",
    "convergence",
    "transition_matrix",
    "held_out_comparison",
    "rate_spectrum",
]


def axes_of(drawn):
    return list(np.ravel(np.array(drawn, dtype=object)))


def runs_of(collection):
    """The (start, stop) of every bar of a broken_barh."""
    boxes = [p.get_extents() for p in collection.get_paths()]
    return [(b.x0, b.x1) for b in boxes]


def path_on(axes, time, n_states):
    """The state at each time, read from the bars of the path panel."""
    state = np.full(len(time), -1)
    for s in range(n_states):
        for start, stop in runs_of(axes.collections[s]):
            state[(time > start) & (time < stop)] = s
    return state
