"""Networks with known truth: the truth is right, and it can be seen in the spikes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter1d
from scipy.special import erfcx
from scipy.stats import norm

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.snn.latents import StimulusBlocks

#: A standard normal exceeds this once in 3.5 million draws.
FIVE = 5.0


def run(network: nks.snn.Network, duration: float, seed: int) -> xr.DataTree:
    return nks.snn.simulate(network, duration, rng=seed, progress=False)


def counted(session: xr.DataTree, width: float) -> np.ndarray:
    """Spikes of each bin and unit, shape (bin, unit)."""
    spikes = session["spikes"]
    n_bins = round(spikes.attrs["t_stop"] / width)
    index = np.minimum((spikes["spike_time"].values / width).astype(int), n_bins - 1)
    n_units = spikes.sizes["unit"]
    flat = index * n_units + spikes["spike_unit"].values
    return np.bincount(flat, minlength=n_bins * n_units).reshape(n_bins, n_units).astype(float)


def rates(session: xr.DataTree) -> np.ndarray:
    return counted(session, 1.0).mean(axis=0)


def every_network() -> dict[str, nks.snn.Network]:
    made = {
        "switching": nks.snn.switching_network(rng=0),
        "clustered": nks.snn.clustered_network(rng=0),
        "adapting": nks.snn.adapting_population(rng=0),
        **nks.snn.motif_network(2, rng=0),
    }
    for latents in ("lorenz", "oscillator", "gp"):
        made[latents] = nks.snn.latent_driven(latents=latents, rng=0)
    return made


def test_rates_are_realistic_and_sessions_fit_the_schema(seed, tmp_path):
    for name, network in every_network().items():
        session = run(network, 20.0, seed)
        rate = rates(session)
        assert rate.min() > 1, name
        assert rate.max() < 30, name
        assert 4 < rate.mean() < 15, name
        schema.check(session["spikes"].to_dataset(), "spikes")
        session["truth"].to_dataset().to_netcdf(tmp_path / f"{name}.nc")


def test_one_seed_one_network():
    makers = (
        nks.snn.switching_network,
        nks.snn.clustered_network,
        nks.snn.latent_driven,
        nks.snn.adapting_population,
        lambda rng: nks.snn.motif_network(2, rng=rng)["animal 2"],
    )
    for make in makers:
        assert make(rng=1).fingerprint() == make(rng=1).fingerprint()
        assert make(rng=1).fingerprint() != make(rng=2).fingerprint()


# --- switching_network ----------------------------------------------------------------------------


def excess_after(count: np.ndarray, keep: np.ndarray, lags: range) -> np.ndarray:
    """Spikes of each target in ``lags`` after one of each source, less what its rate makes expect.

    Shape (target, source); ``keep`` are the bins a source's spike is counted in.
    """
    source = count * keep[:, None]
    total = np.zeros((count.shape[1],) * 2)
    for lag in lags:
        total += count[lag:].T @ source[: len(source) - lag]
    expected = count[keep].mean(axis=0) * len(lags)
    return total / source.sum(axis=0) - expected[:, None]


def test_switching_truth_is_the_gated_wiring():
    network = nks.snn.switching_network(30, n_states=4, closed_scale=0.25, rng=3)
    weight = network.weight_matrix()
    truth = network.truth
    for state in range(4):
        gated = network.weight_matrix(network.signed_weight() * network.weight_scale[state])
        np.testing.assert_array_equal(truth["weight_by_state"][state], gated)
    opened = truth["open"].values
    assert not opened[:, weight == 0].any()
    np.testing.assert_array_equal(truth["weight_by_state"], np.where(opened, weight, 0.25 * weight))
    joined = weight != 0
    n = joined.sum() * 4
    assert abs(opened[:, joined].mean() - 0.5) < FIVE * 0.5 / np.sqrt(n)


def test_switching_weights_are_seen_in_lagged_correlation_by_state(seed):
    network = nks.snn.switching_network(n_states=2, rng=seed)
    session = run(network, 90.0, seed)
    truth, width = session["truth"], 1e-3
    count = counted(session, width)
    frames = round((truth["time"][1] - truth["time"][0]).item() / width)
    state = np.repeat(truth["state"].values, frames)[: len(count)]
    weight = truth["weight"].values
    opened = truth["open"].values
    # A jump arrives after 1.5 ms: one to three bins of 1 ms later.
    excess = np.stack([excess_after(count, state == z, range(1, 4)) for z in range(2)])
    for sign, pairs in ((1, weight > 0), (-1, weight < 0)):
        # The same pair in both states is its own control: only the gate differs.
        switched = pairs & (opened[0] != opened[1])
        here = np.where(opened[0], excess[0], excess[1])[switched]
        away = np.where(opened[0], excess[1], excess[0])[switched]
        change = sign * (here - away)
        assert change.mean() > FIVE * change.std() / np.sqrt(change.size)
        # A closed synapse looks like none: what is left is what the network's units share.
        same = np.broadcast_to((sign * weight > 0).any(axis=0), weight.shape)
        none = excess[:, same & (weight == 0) & ~np.eye(len(weight), dtype=bool)].ravel()
        error = np.sqrt(away.var() / away.size + none.var() / none.size)
        assert abs(away.mean() - none.mean()) < FIVE * error


# --- clustered_network ----------------------------------------------------------------------------


def test_cluster_mates_are_correlated_as_their_phases_say(seed):
    network = nks.snn.clustered_network(rng=seed)
    session = run(network, 120.0, seed)
    truth = session["truth"]
    smooth = gaussian_filter1d(counted(session, 0.01), 5, axis=0)
    correlation = np.corrcoef(smooth.T)
    community, phase = truth["community"].values, truth["phase"].values
    mates = (community[:, None] == community) & ~np.eye(len(community), dtype=bool)
    others = community[:, None] != community
    alike = np.cos(phase[:, None] - phase)
    assert np.corrcoef(correlation[mates], alike[mates])[0, 1] > 0.9
    assert (correlation[mates] ** 2).mean() > 10 * (correlation[others] ** 2).mean()


def test_states_switch_the_clusters_frequencies(seed):
    network = nks.snn.clustered_network(cycles=1.0, rng=seed)
    session = run(network, 150.0, seed)
    truth = session["truth"]
    step = float(truth["time"][1] - truth["time"][0])
    count = counted(session, step)
    state = truth["state"].values
    found, expected = [], []
    for z, cluster in np.ndindex(truth["frequency"].shape):
        # The population vector turns with the cluster's pair of latents.
        weight = (
            truth["loading"].values[:, 2 * cluster]
            + 1j * truth["loading"].values[:, 2 * cluster + 1]
        )
        turning = gaussian_filter1d((count - count.mean(axis=0)) @ weight, 2)
        lag = 8
        inside = (state[lag:] == z) & (state[:-lag] == z)
        product = (turning[lag:] * turning[:-lag].conj())[inside].mean()
        found.append(np.angle(product) / (2 * np.pi * lag * step))
        expected.append(float(truth["frequency"][z, cluster]))
    np.testing.assert_allclose(found, expected, rtol=0.3, atol=0.3)


# --- latent_driven --------------------------------------------------------------------------------


def ridge_r2(x: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """Share of the variance of the last third that a ridge fitted to the rest explains."""
    cut = 2 * len(x) // 3
    mean_x, mean_y = x[:cut].mean(axis=0), y[:cut].mean(axis=0)
    a = x[:cut] - mean_x
    coefficient = np.linalg.solve(a.T @ a + penalty * np.eye(x.shape[1]), a.T @ (y[:cut] - mean_y))
    error = y[cut:] - mean_y - (x[cut:] - mean_x) @ coefficient
    return float(1 - (error**2).sum() / ((y[cut:] - y[cut:].mean(axis=0)) ** 2).sum())


@pytest.mark.parametrize("latents", ["lorenz", "oscillator", "gp"])
def test_latents_and_behaviour_decode_from_spikes(latents, seed):
    network = nks.snn.latent_driven(latents=latents, rng=seed)
    session = run(network, 60.0, seed)
    truth = session["truth"]
    step = float(truth["time"][1] - truth["time"][0])
    smooth = gaussian_filter1d(counted(session, step), 0.05 / step, axis=0)[::4]
    z = truth["latent"].values[::4]
    behavior = session["behavior"]["behavior"].values[::4]
    np.testing.assert_allclose(behavior, z @ truth["readout"].values, atol=1e-12)
    penalty = 1e-3 * len(smooth) * smooth.var()
    shifts = np.linspace(0.1, 0.9, 8) * len(z)
    for what in (z, behavior):
        null = [ridge_r2(smooth, np.roll(what, int(k), axis=0), penalty) for k in shifts]
        r2 = ridge_r2(smooth, what, penalty)
        assert r2 > 0.6
        assert r2 > max(null) + 0.5


def test_latent_driven_takes_a_process():
    network = nks.snn.latent_driven(
        6, latents=nks.snn.GaussianProcess((0.1,) * 5), n_outputs=3, loading=1.5, rng=0
    )
    assert network.inputs.loading.shape == (6, 5)
    assert network.behavior.shape == (5, 3)
    np.testing.assert_allclose(np.linalg.norm(network.inputs.loading, axis=1), 1.5)


# --- motif_network --------------------------------------------------------------------------------


def test_motif_animals_share_units_and_intervals_but_not_wiring():
    animals = nks.snn.motif_network(4, rng=0)
    assert list(animals) == ["animal 1", "animal 2", "animal 3", "animal 4"]
    labels: dict[str, set[int]] = {}
    common = []
    for network in animals.values():
        truth = network.truth
        assert network.n_units == 48
        names = network.unit_coords["unit_name"]
        assert len(set(names)) == 48
        for name, community in zip(names, truth["community"].values, strict=True):
            labels.setdefault(str(name), set()).add(int(community))
        assert truth.sizes["interval"] == 4 * 15
        is_shared = truth["interval_shared"].values
        pairs = np.stack([truth["interval_start"], truth["interval_community"]])
        common.append(pairs[:, is_shared])
        own = {tuple(p) for p in pairs[:, ~is_shared].T}
        assert not own & {tuple(p) for p in common[-1].T}
    for pairs in common[1:]:
        np.testing.assert_array_equal(pairs, common[0])
    assert all(len(which) == 1 for which in labels.values())
    assert {int(c) for which in labels.values() for c in which} == {-1, 0, 1, 2, 3}
    assert len({tuple(network.unit_coords["unit_name"]) for network in animals.values()}) == 4
    assert len({network.synapses.weight.size for network in animals.values()}) > 1


def test_communities_fire_more_and_together_in_their_intervals(seed):
    animals = nks.snn.motif_network(2, rng=seed)
    for network in animals.values():
        session = run(network, 120.0, seed)
        truth = session["truth"]
        count = counted(session, 0.1)
        time = (np.arange(len(count)) + 0.5) * 0.1
        inside = (time[:, None] > truth["interval_start"].values) & (
            time[:, None] < truth["interval_stop"].values
        )
        which = truth["interval_community"].values[:, None] == np.arange(4)
        active = inside @ which
        on_frames = truth["latent"].values > 0
        np.testing.assert_array_equal(on_frames.reshape(-1, 10, 4), active[:, None].repeat(10, 1))
        # All communities at once, because some of their intervals overlap by chance.
        design = np.column_stack([np.ones(len(count)), active])
        rise = np.linalg.lstsq(design, count, rcond=None)[0][1:]
        for c in range(4):
            member = truth["community"].values == c
            assert rise[c, member].min() > rise[c, ~member].max()
            pairs = ~np.eye(member.sum(), dtype=bool)
            within = np.corrcoef(count[active[:, c]][:, member].T)[pairs].mean()
            apart = np.corrcoef(count[~active[:, c]][:, member].T)[pairs].mean()
            assert within > 0.2
            assert abs(apart) < 0.05


# --- adapting_population --------------------------------------------------------------------------


def test_gains_make_mean_drives_equal():
    for homeostasis in (0.0, 0.5, 1.0):
        truth = nks.snn.adapting_population(homeostasis=homeostasis, rng=0).truth
        np.testing.assert_array_equal(truth["gain"].sel(ensemble_name="uniform"), 1.0)
        np.testing.assert_allclose(truth["probability"].sum("orientation"), 1.0)
        mean = truth["gain"] * (truth["probability"] * truth["tuning"]).sum("orientation")
        ratio = mean.sel(ensemble_name="biased") / mean.sel(ensemble_name="uniform")
        bare = (truth["probability"] * truth["tuning"]).sum("orientation")
        bare = bare.sel(ensemble_name="biased") / bare.sel(ensemble_name="uniform")
        np.testing.assert_allclose(ratio, bare ** (1 - homeostasis))
    lowest = np.argmin(truth["gain"].sel(ensemble_name="biased").values)
    assert truth["preferred_orientation"].values[lowest] == pytest.approx(0.0)


def steady_rate(drive: np.ndarray) -> np.ndarray:
    """Siegert's rate of the LIF in white noise, Hz, for a drive in mV above rest.

    A threshold that is looked at once per step lies 0.5826 sd of a step's noise higher (Broadie,
    Glasserman and Kou 1997).
    """
    tau, noise, dead, dt = 0.02, 2.9, 0.002, 1e-4
    threshold = 10.0 + 0.5826 * noise * np.sqrt(2 * dt / tau)
    low, high = -drive / (noise * np.sqrt(2)), (threshold - drive) / (noise * np.sqrt(2))
    x = np.linspace(0, 1, 1000)
    # erfcx(-u) is exp(u^2) (1 + erf(u)).
    y = erfcx(-(low[:, None] + (high - low)[:, None] * x))
    return 1 / (dead + tau * np.sqrt(np.pi) * np.trapezoid(y, x, axis=-1) * (high - low))


def fit_gain(drive: np.ndarray, shows: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """The gain that makes the counts likeliest, and its Poisson standard error.

    ``drive`` is that of each stimulus at gain 1, ``shows`` how often it came, ``seen`` the spikes.
    """
    gain = 1.0
    for _ in range(10):
        rate = 0.15 * steady_rate(2.0 + gain * drive)
        slope = (0.15 * steady_rate(2.0 + (gain + 1e-4) * drive) - rate) / 1e-4
        information = float((shows * slope**2 / rate).sum())
        gain += float(((seen - shows * rate) * slope / rate).sum()) / information
    return gain, 1 / np.sqrt(information)


def gain_errors(seed: int, duration: float) -> tuple[np.ndarray, np.ndarray]:
    """Gains found and true, and (found - true) / standard error, each (ensemble, unit)."""
    session = run(nks.snn.adapting_population(rng=seed), duration, seed)
    truth = session["truth"]
    # The first of four quarters, 50 ms, still remembers the stimulus before (20 ms membrane).
    count = counted(session, 0.05).reshape(-1, 4, 60)[:, 1:].sum(axis=1)
    ensemble, index = truth["ensemble"].values, truth["stimulus_index"].values
    found, z = np.zeros((2, 60)), np.zeros((2, 60))
    for e in range(2):
        shown = (np.arange(12)[:, None] == index) & (ensemble == e)
        shows, seen = shown.sum(axis=1), shown @ count
        for unit in range(60):
            drive = 8.0 * truth["tuning"].values[:, unit]
            found[e, unit], error = fit_gain(drive, shows, seen[:, unit])
            z[e, unit] = (found[e, unit] - truth["gain"].values[e, unit]) / error
    return found, z


def test_gains_are_recovered_by_regression_within_their_standard_errors(seed):
    _, z = gain_errors(seed, 240.0)
    assert np.abs(z).max() < norm.isf(1e-6 / z.size)
    assert abs(z.mean()) < FIVE / np.sqrt(z.size)


def test_stimuli_come_as_often_as_their_ensembles_say(seed):
    network = nks.snn.adapting_population(rng=seed)
    sample = network.inputs.process.sample(3000, np.random.default_rng(seed))
    index, ensemble = sample.variables["stimulus_index"], sample.variables["ensemble"]
    np.testing.assert_allclose(
        network.truth["orientation"].values[index], sample.variables["stimulus"]
    )
    for e, p in enumerate(network.truth["probability"].values):
        shown = np.bincount(index[ensemble == e], minlength=12) / 1500
        assert (np.abs(shown - p) < FIVE * np.sqrt(p * (1 - p) / 1500)).all()


def test_stimulus_blocks_take_turns():
    process = StimulusBlocks(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([10.0, 20.0]), 3, 0.1)
    sample = process.sample(8, np.random.default_rng(0))
    np.testing.assert_array_equal(sample.variables["ensemble"], [0, 0, 0, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(sample.variables["stimulus"], [10, 10, 10, 20, 20, 20, 10, 10])
    assert sample.latent.shape == (8, 4)
    np.testing.assert_array_equal(sample.latent.argmax(axis=1), [0, 0, 0, 3, 3, 3, 0, 0])


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        ("switching_network", {"n_units": 2}),
        ("switching_network", {"n_states": 0}),
        ("switching_network", {"n_states": 2.0}),
        ("switching_network", {"coupling": "huge"}),
        ("switching_network", {"coupling": (1.0, -1.0)}),
        ("switching_network", {"coupling": (1.0, 1.0, 1.0)}),
        ("switching_network", {"density": 1.5}),
        ("switching_network", {"open_share": float("nan")}),
        ("switching_network", {"closed_scale": -0.1}),
        ("switching_network", {"dwell_time": 0.001}),
        ("switching_network", {"state_drive": -1.0}),
        ("switching_network", {"delay": 1e-6}),
        ("clustered_network", {"cluster_sizes": ()}),
        ("clustered_network", {"cluster_sizes": (3, 0)}),
        ("clustered_network", {"n_states": 4}),
        ("clustered_network", {"frequencies": (2.0, 1.0)}),
        ("clustered_network", {"frequencies": (1.0,)}),
        ("clustered_network", {"frequencies": (2.0, 2.0)}),
        ("clustered_network", {"cycles": 0.0}),
        ("clustered_network", {"loading": float("inf")}),
        ("clustered_network", {"dwell_time": 0.0}),
        ("latent_driven", {"latents": "chaos"}),
        ("latent_driven", {"latents": 3}),
        ("latent_driven", {"n_units": 0}),
        ("latent_driven", {"n_outputs": 0}),
        ("latent_driven", {"loading": -1.0}),
        ("motif_network", {"n_animals": 0}),
        ("motif_network", {"missing": 1.0}),
        ("motif_network", {"unassigned": 1.0}),
        ("motif_network", {"n_communities": 61}),
        ("motif_network", {"activity": 1.1}),
        ("motif_network", {"shared": -0.1}),
        ("motif_network", {"cycle": 121.0}),
        ("motif_network", {"interval": 0.005}),
        ("motif_network", {"interval": 0.999, "cycle": 99.9001}),
        ("motif_network", {"coupling": "huge"}),
        ("adapting_population", {"n_stimuli": 1}),
        ("adapting_population", {"adaptor": 7.0}),
        ("adapting_population", {"adaptor": float("nan")}),
        ("adapting_population", {"adaptor_probability": 0.01}),
        ("adapting_population", {"homeostasis": 2.0}),
        ("adapting_population", {"baseline": 0.0}),
        ("adapting_population", {"concentration": -1.0}),
        ("adapting_population", {"block_duration": 0.3}),
        ("adapting_population", {"stimulus_duration": 0.0}),
        ("adapting_population", {"stimulus_duration": 0.00013, "block_duration": 0.013}),
        ("adapting_population", {"rng": -1}),
    ],
)
def test_bad_parameters_are_refused(make, wrong):
    with pytest.raises(ParameterError, match="Expected"):
        getattr(nks.snn, make)(**wrong)
