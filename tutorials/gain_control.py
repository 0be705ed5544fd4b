# %% [markdown]
# # Gain control: from spikes to "which mechanism, and how sure"
#
# A population of orientation-tuned neurons sees gratings, all orientations equally often or one of
# them far too often. Its responses adapt. Did each neuron change its gain, its gain and its
# baseline, were gains spread by recurrent connections, were normalisation pools reweighted, or did
# synapses change? Here the spikes are simulated, so the true gains are known; the last section
# says what to do with your own recording.
#
# Runs as a notebook, or with `python tutorials/gain_control.py --out FOLDER` (about four minutes;
# a minute without the posteriors, which need `pip install 'neurokit-sdr[bayes]'`).

# %%
import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import MissingDependencyError

# %% [markdown]
# ## Spikes, trials, tuning curves
# Four sessions of three minutes. Blocks of a uniform ensemble and of one in which 0 deg is shown
# in four of ten trials take turns. A recording needs spikes (or calcium) and a table of trials:
# when each began and ended, what was shown, in which condition. `estimate_tuning` does the rest,
# with a standard error for every response. The first 50 ms are left out: the membrane still
# remembers the stimulus before.


# %%
def record(seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Tuning curves of one session, and what made them."""
    network = nks.snn.adapting_population(12, rng=0)
    session = nks.snn.simulate(network, 180.0, rng=seed, progress=False)
    truth = session["truth"].to_dataset()
    middle = truth["time"].values
    trials = xr.Dataset(
        {
            "start_time": ("trial", middle - 0.1, {"units": "s"}),
            "stop_time": ("trial", middle + 0.1, {"units": "s"}),
            "stimulus": ("trial", truth["stimulus"].values, {"units": "deg"}),
            "condition": ("trial", np.array(["uniform", "biased"])[truth["ensemble"].values]),
        }
    )
    tuning = nks.estimate_tuning(session, trials, window=(0.05, 0.2), period=180.0, name=seed)
    return tuning, truth


def main() -> None:
    """Everything below, in one go."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="out/gain_control", help="folder of the figures")
    out = Path(parser.parse_known_args()[0].out)
    out.mkdir(parents=True, exist_ok=True)

    sessions, truths = zip(*(record(seed) for seed in range(4)), strict=True)
    tuning = xr.concat(sessions, "session", data_vars="all")
    true_gain = truths[0]["gain"].sel(ensemble_name="biased")
    print(tuning["response"].sizes, "largest rate", float(tuning["response"].max().round(1)), "Hz")

    # %% [markdown]
    # ## What adapted
    # Maxima fall near the adaptor and rise far from it; time-averaged responses become flat again.

    # %%
    axes = nks.plotting.response_extremes(nks.analysis.response_extremes(tuning, adaptor=0.0))
    axes[0].figure.savefig(out / "extremes.png", dpi=120)
    flatness = nks.analysis.response_flatness(tuning)
    nks.plotting.response_flatness(flatness).figure.savefig(out / "flatness.png", dpi=120)
    print("variation of mean responses over units:")
    print(flatness["variation"].mean("session").to_series().round(3).to_string())

    # %% [markdown]
    # ## The gains
    # The slope of adapted on control responses, unit by unit. The truth of this simulation is a
    # gain of the *input*; spikes begin at a threshold, so gains of rates reach further from 1, but
    # they rank and shape alike. A shuffled control says what chance gives.

    # %%
    control = tuning["response"].sel(condition="uniform")
    adapted = tuning["response"].sel(condition="biased")
    slope = (control * adapted).sum(("session", "stimulus")) / (control**2).sum(
        ("session", "stimulus")
    )
    found = float(np.corrcoef(slope, true_gain)[0, 1])
    draw = np.random.default_rng(0)
    shuffled = [np.corrcoef(draw.permutation(slope.values), true_gain)[0, 1] for _ in range(999)]
    print(f"gains: correlation with the truth {found:.3f}, largest of 999 shuffles "
          f"{max(shuffled):.3f}")  # fmt: skip

    # %% [markdown]
    # ## Which mechanism, and how sure
    # Five mechanisms are fitted to the same sessions by their posteriors. A rival is behind if it
    # predicts responses left out clearly worse; if several are equal, the verdict is the simplest
    # of them, or "undecided". The table also says whether the strength of recurrence can be told
    # at all (`contraction` near 0: the data do not tell it).

    # %%
    try:
        compared = nks.analysis.compare_gain_models(
            tuning, draws=500, tune=500, chains=2, rng=0, progress=False
        )
    except MissingDependencyError as error:
        print(error)
        return
    shown = ["elpd_difference", "difference_se", "held_out_r2", "r_hat", "contraction", "status"]
    print(compared.to_dataset()[shown].to_dataframe().round(3).to_string())
    print("verdict:", compared.attrs["verdict"], "-", compared.attrs["reason"])
    nks.plotting.gain_model_comparison(compared).figure.savefig(out / "comparison.png", dpi=120)
    best = str(compared["mechanism"].values[int(np.argmax(compared["elpd"].values))])
    panels = nks.plotting.gain_predictive(compared, tuning, best)
    panels[0].figure.savefig(out / "predictive.png", dpi=120)
    for name in ("gain", "gain_offset", "recurrent_gain"):
        gain = np.exp(compared[name]["log_gain_mean"]).mean(("chain", "draw"))
        print(f"{name}: correlation of its gains with the truth "
              f"{np.corrcoef(gain, true_gain)[0, 1]:.3f}")  # fmt: skip
    plt.close("all")

    # %% [markdown]
    # ## Your own recording
    # Read it with `nks.io.read`, make a Dataset of trials as in `record`, call `estimate_tuning`
    # for each session and join them with `xr.concat(sessions, "session")`. Units of different
    # sessions must mean the same: bin them by preferred stimulus, as Benucci et al. 2013 did
    # (`nks.analysis.load_benucci` opens that layout). A verdict is about these five mechanisms;
    # look at `gain_predictive` before you believe that the best of them is good.


# %%
if __name__ == "__main__":
    main()
