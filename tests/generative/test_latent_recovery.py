"""What models of rates find again of latents that drove a spiking network.

The study with every model and the truth of rates is ``benchmarks/latent_recovery.py``; what it
reads the numbers with is held against closed forms here.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks

FREQUENCY, COHERENCE, WIDTH = 3.0, 0.5, 0.02
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def study():
    """The benchmark, as a module."""
    path = BENCHMARKS / "latent_recovery.py"
    if not path.exists():
        pytest.skip("the benchmarks are not beside the tests")
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("latent_recovery", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["latent_recovery"] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


def recording(seed, n_units, seconds, process):
    """Counts of a population that a process drives, in trials of 1.5 s, and its latents."""
    network = nks.snn.latent_driven(n_units, latents=process, rng=seed)
    session = nks.snn.simulate(network, seconds, rng=seed, progress=False)
    start = 1.5 * np.arange(round(seconds / 1.5))
    counts = nks.bin_spikes(session, WIDTH, trials=np.stack([start, start + 1.5], axis=1))
    latent = session["truth"]["latent"].values
    per_bin = round(WIDTH / process.frame_interval)
    shape = (counts.sizes["trial"], counts.sizes["time"], per_bin, -1)
    latent = latent[: np.prod(shape[:3])].reshape(shape).mean(axis=2)
    counts["latent"] = (("trial", "time", "latent_index"), latent, {"units": "1"})
    return counts


def frequency_error(log_rate, loading, seconds):
    """Standard error in Hz of the frequency of a rotation that Poisson units see (Whittle).

    The spectrum of the rotation is a Lorentz curve of variance 2; the population's information on
    a latent, per second, is the inverse of the noise that it is seen through.
    """
    angular = np.linspace(-400, 400, 400_001)
    decay, at = 1 / COHERENCE, 2 * np.pi * FREQUENCY
    lorentz = 2 * 2 * decay / (decay**2 + (angular - at) ** 2)
    slope = lorentz * 2 * (angular - at) / (decay**2 + (angular - at) ** 2)
    information = np.sum(np.exp(log_rate) / WIDTH * (loading**2).sum(axis=1) / 2)
    noise = 2 / information
    per_second = np.trapezoid((slope / (lorentz + noise)) ** 2, angular) / (2 * np.pi)
    return 1 / np.sqrt(seconds * per_second) / (2 * np.pi)


def test_poisson_lds_finds_the_frequency_of_an_oscillator(seed):
    process = nks.snn.Oscillator((FREQUENCY,), COHERENCE)
    counts = recording(seed, 40, 120.0, process)
    split = nks.validation.held_out_split(counts, neurons=8, trials=20)
    model = nks.generative.PoissonLDS(n_latents=2)
    model.fit(split.train, rng=seed, progress=False)
    result = model.result_
    roots = np.linalg.eigvals(result["transition"].values)
    frequency = abs(np.angle(roots[0])) / (2 * np.pi * WIDTH)
    # Latents of the model in units of their own stationary spread, as the truth's are.
    x = model.transform(split.train.sel(unit=split.test["unit"]))["latent"]
    scale = x.values.reshape(-1, 2).std(axis=0)
    error = frequency_error(
        result["log_rate"].values,
        result["loading"].values * scale,
        1.5 * split.train.sizes["trial"],
    )
    assert 1 / (2 * np.pi * np.sqrt(120 * COHERENCE)) < error < 0.1  # more than if seen directly
    assert abs(frequency - FREQUENCY) < 5 * error
    seen = split.train.sel(unit=split.test["unit"])
    features = [model.transform(data)["latent"] for data in (seen, split.test)]
    r2 = nks.validation.latent_r2(
        features[0], split.train["latent"], features[1], split.truth["latent"]
    )
    assert r2.pooled > 0.6
    assert model.score(split.truth) > 0


def test_damped_rotation_of_exact_correlations(study):
    lag = WIDTH * np.arange(37)
    for frequency, friction, sine in ((3.0, 4.0, 0.0), (0.7, 9.0, 0.2), (5.0, 1.0, -0.1)):
        turn = 2 * np.pi * frequency * lag
        exact = np.exp(-friction * lag / 2) * (np.cos(turn) + sine * np.sin(turn))
        exact[0] += 0.8  # noise that no two bins share
        found = study.damped_rotation(exact / exact[0], WIDTH)
        np.testing.assert_allclose(found, (frequency, friction), rtol=1e-5)


def test_autocorrelation_is_the_sum_over_pairs(study, seed):
    values = np.random.default_rng(seed).normal(size=(5, 8, 3))
    centred = values - values.mean(axis=(0, 1))
    found = study.autocorrelation(values)
    slow = [
        sum(centred[k, t, c] * centred[k, t + lag, c]
            for k in range(5) for t in range(8 - lag) for c in range(3)) / (8 - lag)
        for lag in range(4)
    ]  # fmt: skip
    np.testing.assert_allclose(found, np.array(slow) / slow[0], rtol=1e-12)


def test_ceiling_is_what_the_truth_scores(study, seed):
    random = np.random.default_rng(seed)
    rate = 0.3 * np.exp(0.5 * random.normal(size=(40, 75, study.N_UNITS)))
    halves = [random.poisson(100 * rate) / 100 for _ in range(2)]
    held_out = np.arange(study.N_UNITS) >= 45
    found = study.ceiling({"first": halves[0], "second": halves[1]}, held_out)
    mean = (halves[0] + halves[1]) / 2
    scored = nks.validation.rate_r2(rate, mean)
    unseen = nks.validation.rate_r2(rate[..., held_out], mean[..., held_out])
    # Of 3000 bins a variance is known to sqrt(2 / 3000), and so is its share of the total.
    assert abs(found["rate_pooled"] - scored.pooled) < 5 * np.sqrt(2 / 3000) * (1 - scored.pooled)
    assert abs(found["rate_held_out"] - unseen.pooled) < 5 * np.sqrt(2 / 3000) * (1 - unseen.pooled)
    assert abs(found["rate_median"] - scored.median) < 5 * np.sqrt(2 / 3000) * (1 - scored.median)


def test_best_score_is_that_of_the_rates_behind_the_runs(study, seed):
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 2 * np.pi, (40, 1, study.N_UNITS))
    rate = 0.15 * np.exp(0.7 * np.sin(2 * np.pi * np.arange(75)[:, None] / 75 + phase))
    half = study.N_RUNS // 2
    first, second = (random.poisson(half * rate) / half for _ in range(2))
    counts = xr.Dataset(
        {"count": (("trial", "time", "unit"), random.poisson(rate), {"units": "1"})},
        coords={
            "time": ("time", WIDTH * (np.arange(75) + 0.5), {"units": "s"}),
            "unit": np.arange(study.N_UNITS),
            "held_in": ("unit", np.arange(study.N_UNITS) < 45),
            "forward": ("time", np.zeros(75, dtype=bool)),
        },
        attrs={"bin_size": WIDTH},
    )
    exact = counts["count"].copy(data=rate).rename("expected_count")
    best = nks.validation.co_bits_per_spike(exact, counts)
    found = study.best_score({"first": first, "second": second}, counts)
    # The runs' error, of variance rate / runs in each count, meets the counts' own: the sum of
    # their products by 1 / rate has the variance (number of counts) / runs. Smoothing lowers it.
    n_counts, spikes = 40 * 75 * 15, float(counts["count"][..., 45:].sum())
    error = np.sqrt(n_counts / study.N_RUNS) / (spikes * np.log(2))
    assert abs(found - best) < 5 * error


@pytest.fixture(scope="module")
def known(study):
    """A flow of known physics, and counts for it."""
    counts = recording(0, 12, 15.0, nks.snn.Oscillator((FREQUENCY,), COHERENCE))[["count"]]
    short = nks.generative.LangevinFlow(n_latents=4, n_hidden=8, n_steps=1, validation_fraction=0.0)
    short.fit(counts, rng=0, progress=False)
    return study.with_physics(short, FREQUENCY, 2 / COHERENCE), counts


@pytest.mark.slow
def test_modes_of_a_flow_with_known_physics(study, known):
    model, counts = known
    found = study.modes(model, counts)
    assert len(found) == 4
    for mode in found:
        assert mode.frequency == pytest.approx(FREQUENCY, rel=1e-9)
        assert mode.friction == pytest.approx(2 / COHERENCE, rel=1e-9)
    # The network moves as its labels say: positions drawn from the prior turn at that frequency.
    latent = model.simulate([75] * 400, rng=0)["latent"].values[..., :4]
    frequency, friction = study.damped_rotation(study.autocorrelation(latent), WIDTH)
    # Some 1,600 oscillators of 1.5 s: the error of one in rad/s is 1 / sqrt(seconds * coherence),
    # and steps of 0.38 rad of phase shift the frequency by 0.38^2 / 24.
    error = 1 / np.sqrt(1600 * 1.5 * COHERENCE)
    assert abs(frequency - FREQUENCY * (1 + 0.38**2 / 24)) < 5 * error / (2 * np.pi)
    assert abs(friction - 2 / COHERENCE) < 5 * 2 * error


@pytest.mark.slow
def test_known_physics_is_what_the_network_has(known):
    model, _ = known
    layout = json.loads(model.result_["weight"].attrs["layout"])
    assert sum(name.endswith("raw_friction") for name in layout) == 1
    physics = model._trained().oscillators.physics()
    unit = WIDTH / model.time_step
    # Single precision.
    np.testing.assert_allclose(physics.friction / unit, 2 / COHERENCE, rtol=1e-6)
    np.testing.assert_allclose(physics.stiffness, model.result_["stiffness"], rtol=1e-6)
    assert not np.any(physics.coupling)
    assert (physics.mass == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_a_flow_finds_the_latents_of_a_spiking_network(study, number):
    process = nks.snn.Oscillator((FREQUENCY,), COHERENCE)
    counts = recording(number, 60, 300.0, process)
    split = nks.validation.held_out_split(counts, neurons=15, trials=40)
    seen = split.train.sel(unit=split.test["unit"])
    flow = nks.generative.LangevinFlow(n_latents=4, n_hidden=32, n_steps=2000)
    factors = nks.generative.FactorAnalysis(n_latents=8)
    smooth = nks.generative.Smoothing()
    r2, score = [], []
    for model in (flow, factors, smooth):
        model.fit(split.train, rng=number, progress=False)
        features = [model.transform(data)["latent"] for data in (seen, split.test)]
        r2.append(
            nks.validation.latent_r2(
                features[0], split.train["latent"], features[1], split.truth["latent"]
            ).pooled
        )
        score.append(model.score(split.truth))
    assert r2[0] > 0.85
    assert r2[0] > max(r2[1:])
    assert score[0] > max(score[1:])
