"""From the spikes of a population with known gains, through tuning curves, back to the gains."""

from __future__ import annotations

import numpy as np
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema


def test_gains_are_recovered_from_spikes_beyond_a_shuffled_control(seed):
    network = nks.snn.adapting_population(12, rng=0)
    session = nks.snn.simulate(network, 120.0, rng=seed, progress=False)
    truth = session["truth"].to_dataset()
    middle = truth["time"].values
    names = np.array(["uniform", "biased"])
    trials = xr.Dataset(
        {
            "start_time": ("trial", middle - 0.1, {"units": "s"}),
            "stop_time": ("trial", middle + 0.1, {"units": "s"}),
            "stimulus": ("trial", truth["stimulus"].values, {"units": "deg"}),
            "condition": ("trial", names[truth["ensemble"].values]),
        }
    )
    tuning = nks.estimate_tuning(session, trials, window=(0.05, 0.2), period=180.0)
    schema.check(tuning, "tuning")
    control, adapted = (tuning["response"].sel(condition=n).isel(session=0) for n in names)
    gain = ((control * adapted).sum("stimulus") / (control**2).sum("stimulus")).values
    true = truth["gain"].sel(ensemble_name="biased").values
    found = np.corrcoef(gain, true)[0, 1]
    rng = np.random.default_rng(seed)
    shuffled = [np.corrcoef(rng.permutation(gain), true)[0, 1] for _ in range(999)]
    assert found > 0.9
    assert found > max(shuffled)
    # The direction of every unit's preferred stimulus, too.
    model = nks.analysis.RecurrentGainControl().fit(tuning, progress=False)
    apart = model.result_["preferred"].values - truth["preferred_orientation"].values
    assert np.abs((apart + 90) % 180 - 90).max() < 15  # the distance of neighbours
