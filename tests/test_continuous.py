"""Bins that were cut out of a recording are no recording, wherever they are given."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.sdr.encoders import encode
from neurokit_sdr.snn.point_process import spikes_from_counts


def recording(n_bins=200, n_units=6) -> xr.Dataset:
    rng = np.random.default_rng(0)
    spikes = nks.io.from_spike_times(
        {u: np.sort(rng.uniform(0, n_bins * 0.02, n_bins // 4)) for u in range(n_units)},
        t_stop=n_bins * 0.02,
    )
    return nks.bin_spikes(spikes, 0.02)


def kept(counts: xr.Dataset) -> xr.Dataset:
    """Every other ten bins."""
    return counts.isel(time=(np.arange(counts.sizes["time"]) // 10) % 2 == 0)


def decimated(counts: xr.Dataset) -> xr.Dataset:
    return counts.isel(time=slice(None, None, 2))


def shuffled(counts: xr.Dataset) -> xr.Dataset:
    return counts.isel(time=np.random.default_rng(1).permutation(counts.sizes["time"]))


def one_lost(counts: xr.Dataset) -> xr.Dataset:
    return counts.drop_isel(time=100)


def joined(counts: xr.Dataset) -> xr.Dataset:
    """Two stretches whose gap is no whole number of bins."""
    second = counts.assign_coords(time=counts["time"] + 4.007)
    return xr.concat([counts, second], "time")


def _known(counts: xr.Dataset) -> nks.analysis.HMMGLM:
    truth = nks.snn.switching_population(counts.sizes["unit"], 2, rng=0)
    units = {"target": counts["unit"].values, "source": counts["unit"].values}
    return nks.analysis.HMMGLM.from_parameters(truth.assign_coords(units))


def _trials(counts: xr.Dataset) -> xr.Dataset:
    return xr.concat([counts, counts], "trial")


CALLS = {
    "HMMGLM.fit": lambda c: nks.analysis.HMMGLM(2).fit(c, progress=False),
    "HMMGLM.predict": lambda c: _known(c).predict(c),
    "HMMGLM.score": lambda c: _known(c).score(c),
    "Smoothing.fit": lambda c: nks.generative.Smoothing().fit(c, progress=False),
    "FactorAnalysis.fit": lambda c: nks.generative.FactorAnalysis().fit(c, progress=False),
    "PoissonLDS.fit": lambda c: nks.generative.PoissonLDS().fit(c, progress=False),
    "LangevinFlow.fit": lambda c: nks.generative.LangevinFlow().fit(c, progress=False),
    "LangevinFlow.fit, trials": lambda c: nks.generative.LangevinFlow().fit(
        _trials(c), progress=False
    ),
    "lagged_correlation": lambda c: nks.analysis.connectivity.lagged_correlation(c),
    "partial_correlation": lambda c: nks.analysis.connectivity.partial_correlation(c),
    "transfer_entropy": lambda c: nks.analysis.connectivity.transfer_entropy(c),
    "coupled_poisson_glm": lambda c: nks.analysis.connectivity.coupled_poisson_glm(c),
    "lag_profile": lambda c: nks.analysis.connectivity.lag_profile(c),
    "challenge": lambda c: nks.analysis.connectivity.challenge_partial_correlation(
        c["count"].astype(float)
    ),
    "alternating_blocks": lambda c: nks.validation.alternating_blocks(c, 4),
    "held_out_split": lambda c: nks.validation.held_out_split(_trials(c), trials=1),
    "concat_trials": lambda c: nks.concat_trials([c, c]),
    "psth": lambda c: nks.validation.psth(_trials(c).assign_coords(condition=("trial", [0, 1]))),
    "spikes_from_counts": lambda c: spikes_from_counts(c, rng=0),
    "encode": lambda c: encode(c, sparsity=0.2),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("cut", [kept, decimated, shuffled, one_lost, joined])
def test_bins_that_do_not_follow_one_another_are_refused(name, cut):
    if name == "challenge" and cut in (decimated, joined):
        pytest.skip("a signal at half its rate is a signal, and frames are not timed by bins")
    with pytest.raises(SchemaError, match=r"(bins|frames) that follow one another"):
        CALLS[name](cut(recording()))


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        (kept, r"9 of 99 steps.*nks\.split_at_gaps"),
        (decimated, r"99 of 99 steps.*every step is the same.*bin again"),
        (shuffled, r"not in order.*sortby"),
        (one_lost, r"1 of 198 steps that differ, the first from 1\.99 to 2\.03 at index 99"),
        (joined, r"1 of 399 steps.*split_at_gaps"),
    ],
)
def test_the_error_names_the_way_out(cut, says):
    with pytest.raises(SchemaError, match=says):
        nks.core.schema.check(cut(recording()), "counts")


def epochs_that_meet(seed: int, n_epochs=60, length=40) -> tuple[xr.Dataset, np.ndarray]:
    """Unit 0 ends every epoch and unit 1 begins it; nothing else is related."""
    rng = stream(seed, "epochs")
    count = rng.poisson(0.05, (n_epochs * 2 * length, 4))
    used = (np.arange(len(count)) // length) % 2 == 0
    place = np.arange(len(count)) % length
    count[used & (place == length - 1), 0] += 1
    count[used & (place == 0), 1] += 1
    data = xr.Dataset(
        {"count": (("time", "unit"), count, {"units": "1"})},
        coords={
            "time": ("time", (np.arange(len(count)) + 0.5) * 0.02, {"units": "s"}),
            "unit": list("abcd"),
        },
        attrs={"bin_size": 0.02},
    )
    return data, used


def test_an_end_of_an_epoch_does_not_drive_the_next_ones_start(seed):
    counts, used = epochs_that_meet(seed)
    cut = counts.isel(time=used)
    with pytest.raises(SchemaError, match="split_at_gaps"):
        nks.analysis.connectivity.lagged_correlation(cut, lag=1)
    # What it was: the same bins, numbered as if they followed one another.
    spliced = cut.assign_coords(time=("time", (np.arange(used.sum()) + 0.5) * 0.02))
    z = nks.analysis.connectivity.lagged_correlation(spliced, lag=1)["z_score"]
    assert float(z.sel(target="b", source="a")) > 8
    apart = nks.split_at_gaps(cut)
    assert apart["trial_length"].values.tolist() == [40] * 60
    z = nks.analysis.connectivity.lagged_correlation(apart, lag=1)["z_score"]
    # Ends and starts of one epoch never meet, which lowers the correlation by their two rates.
    assert abs(float(z.sel(target="b", source="a"))) < 4
