# %% [markdown]
# # Rates and latents of single trials, by a Langevin flow
#
# A population of neurons in which each fires a few spikes per trial, and few of them tell what the
# others will do. A Langevin flow (Song et al. 2025, arXiv 2507.11531) says that all are driven by
# latents that move like coupled oscillators in a heat bath. Here it meets the recording on which
# such models are compared: 60 neurons driven by a Lorenz system, whose true rates and latents are
# known. So every claim can be checked, and the last section says how to check your own recording,
# where they are not.
#
# Runs as a notebook, or with `python tutorials/langevin_flow.py --out FOLDER` (about four minutes).
# Models train for 600 steps here instead of their 6000; `--steps 6000` takes twenty minutes, and
# what it gives is in `BENCHMARK` below.

# %%
import argparse
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

import neurokit_sdr as nks
from neurokit_sdr.core.errors import NeurokitError

parser = argparse.ArgumentParser()
parser.add_argument("--out", default="out/langevin_flow", help="folder of the figures")
parser.add_argument("--steps", type=int, default=600, help="training steps of each flow")
arguments = parser.parse_known_args()[0]
OUT, STEPS = Path(arguments.out), arguments.steps
OUT.mkdir(parents=True, exist_ok=True)

#: What all 6000 steps give (`python benchmarks/langevin_flow.py lorenz`): co-smoothing in bits per
#: spike and R2 of the median neuron's rate, on the file's own split and on conditions left out.
BENCHMARK = {
    "file's split": {
        "oracle": (0.845, 1.0),
        "latents_only": (0.807, 0.91),
        "recurrent_only": (0.786, -0.5),
    },
    "conditions left out": {"latents_only": (0.776, None), "recurrent_only": (0.753, None)},
}

# %% [markdown]
# ## The recording, and what is held out
# A fifth of the trials tests the models. In these they see 45 neurons; the last 15 they must
# predict. That no model saw these spikes is what makes the score (co-smoothing) honest.

# %%
try:
    session = nks.io.fetch_example("lorenz", progress=False)
except (NeurokitError, OSError) as reason:
    print(f"skipped: the recording is not here. {reason}")
    sys.exit(0)
counts = session["/counts"].to_dataset()
tested = (counts["split"] == "valid").values
split = nks.validation.held_out_split(counts, neurons=15, trials=tested)
seen = split.train.sel(unit=split.test["unit"])  # what a model may read of the training trials

# %% [markdown]
# ## Fit, predict, score

# %%
flow = nks.generative.LangevinFlow(n_steps=STEPS).fit(split.train, rng=0, progress=False)
prediction = flow.predict(split.test)
print(
    f"co-smoothing: {nks.validation.co_bits_per_spike(prediction, split.truth):.3f} bits per spike"
)

# %% [markdown]
# ## Is that good?
# Against the baselines that every lab has, and against two relatives of the same network:
# `"full"` lets the decoder read the recurrent state beside the latents, as published;
# `"recurrent_only"` has no latents at all. Latents are read out linearly to the true ones.

# %%
models = {
    "smoothing + GLM": nks.generative.Smoothing(),
    "factor analysis, 8": nks.generative.FactorAnalysis(n_latents=8),
    "Poisson LDS, 8": nks.generative.PoissonLDS(n_latents=8, tol=1e-3),
    "flow, latents only": flow,
    "flow, full": nks.generative.LangevinFlow(latent_path="full", n_steps=STEPS),
    "flow, recurrent only": nks.generative.LangevinFlow(
        latent_path="recurrent_only", n_steps=STEPS
    ),
}
print(f"\n{'':22}{'co-bps':>8}{'rate R2, median':>17}{'pooled':>8}{'latent R2':>11}{'KL':>9}")
oracle = (split.truth["rate"] * split.truth.attrs["bin_size"]).assign_attrs(units="1")
bits = nks.validation.co_bits_per_spike(oracle, split.truth)
print(f"{'oracle (true rates)':22}{bits:8.3f}{1:17.3f}{1:8.3f}{1:11.3f}")
for name, model in models.items():
    if model is not flow:
        model.fit(split.train, rng=0, progress=False)
    predicted = prediction if model is flow else model.predict(split.test)
    bits = nks.validation.co_bits_per_spike(predicted, split.truth)
    rate = nks.validation.rate_r2(predicted, split.truth)
    inferred = [model.transform(data)["latent"] for data in (seen, split.test)]
    latent = nks.validation.latent_r2(
        inferred[0], split.train["latent"], inferred[1], split.truth["latent"]
    )
    history = model.result_.get("validation_kl")
    kl = (
        ""
        if history is None
        else f"{float(history[-1]) * np.prod(split.truth['count'].shape[1:]):9.2f}"
    )
    print(f"{name:22}{bits:8.3f}{rate.median:17.3f}{rate.pooled:8.3f}{latent.pooled:11.3f}{kl}")
print(f"(flows after {STEPS} steps; KL of latents from their prior in nats per trial)")
print("\nAfter 6000 steps, by the benchmark:")
for part, rows in BENCHMARK.items():
    for name, (co, median) in rows.items():
        r2 = "" if median is None else f", median rate R2 {median:.2f}"
        print(f"  {part}, {name}: co-bps {co:.3f}{r2}")

# %% [markdown]
# ## Which part does the work?
# Three things in this table are worth more than the first column.
#
# - In `"full"`, the published form, the KL divergence is next to nothing: the latents stay at their
#   prior, and carry nothing. The recurrent state, which has no dynamics and no noise, carries the
#   data. Its co-smoothing is good all the same. A good score is no evidence for the latents.
# - After 600 steps the control without latents is even ahead in co-smoothing. But look at the
#   rates: of most neurons they are worse than a constant (R2 below zero). They chase single spikes,
#   for which co-smoothing, ruled by a few active neurons, asks little.
# - The change by which the latents do the work: the decoder does not read the recurrent state,
#   trials are cropped at random so that conditions cannot be learned by heart, and the transformer
#   is left out of a share of the training trials. Then the divergence stays at some nats per trial,
#   the rates are right for most neurons, and with all steps the flow is ahead of its control in
#   co-smoothing too, also on conditions that neither has seen.

# %%
for name in ("flow, latents only", "flow, full"):
    axes = nks.plotting.training_curves(models[name].result_)
    axes[0].set_title(name)
    axes[0].figure.savefig(OUT / f"training_{name.split(', ')[1].replace(' ', '_')}.png", dpi=150)
    plt.close(axes[0].figure)

# %% [markdown]
# ## The rates of one trial
# Held-out neurons: blue is what the flow says from the others' spikes, orange the truth. The spikes
# below show how little there is to go by. The dotted line is the mean of the training trials of the
# same condition, which the flow is not told.

# %%
psth = nks.validation.psth(split.train, smoothing=0.04)
trial = split.truth["trial"].values[20]
active = split.truth["count"].sum(("trial", "time")).where(~split.truth["held_in"], 0)
units = active["unit"].values[np.argsort(-active.values)[:6]]
axes = nks.plotting.single_trial_rates(prediction, split.truth, trial=trial, units=units, psth=psth)
axes[0].figure.savefig(OUT / "rates.png", dpi=150)
plt.close(axes[0].figure)

# %% [markdown]
# ## Are the bands to be believed?
# The band holds 95 % of the posterior's draws. If the posterior were right, the true rate would lie
# in it in 95 % of the bins. The band is too narrow: after 600 steps it holds the truth of held-out
# neurons in three bins of four. It is the uncertainty of this trial's latents alone and none of the
# weights', and with a KL weight below one the posterior is surer than the model has reason to be.

# %%
truth = oracle.transpose(*prediction["expected_count"].dims)
low, high = prediction["expected_count_low"], prediction["expected_count_high"]
inside = (low <= truth) & (truth <= high)
of_unit = inside.mean(("trial", "time"))
for title, chosen in (("held in", inside["held_in"]), ("held out", ~inside["held_in"])):
    share = of_unit.where(chosen, drop=True)
    print(
        f"true rate inside the 95 % band, units {title}: {float(share.mean()):.3f} of the bins "
        f"(from {float(share.min()):.2f} to {float(share.max()):.2f} over units)"
    )

# %% [markdown]
# ## The latents
# Latents are found up to a change of coordinates, so the true ones are read out by a linear
# regression from the training trials. Then the two wings of the Lorenz system are there again.

# %%
features = [flow.transform(data)["factor"].values for data in (seen, split.test)]
rows = [f.reshape(-1, f.shape[-1]) for f in features]
rows = [np.column_stack([r, np.ones(len(r))]) for r in rows]
known = split.train["latent"].values.reshape(len(rows[0]), -1)
read_out = np.linalg.lstsq(rows[0], known, rcond=None)[0]
found = split.truth[["latent"]].copy()
found["latent"] = found["latent"].copy(data=(rows[1] @ read_out).reshape(found["latent"].shape))
few = np.flatnonzero(np.isin(split.truth["condition"], [0, 5, 10, 15]))[::4]
with nks.plotting.style():
    fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True)
for ax, data, title in zip(axes, (split.truth, found), ("true", "found"), strict=True):
    nks.plotting.phase_portrait(data.isel(trial=few), (0, 2), condition="condition", ax=ax)
    ax.set_title(title, y=1.08)
fig.savefig(OUT / "latents.png", dpi=150)
plt.close(fig)

# %% [markdown]
# ## The potential, and the flow in it
# The plane of the two modes along which the latents of these trials vary most; then position and
# velocity of the first. Where the potential falls away from the origin, the mode has two wells, and
# the noise decides for one.
#
# Do not read more into it than there is. The paths do not follow the arrows: in a recording the
# posterior pushes them, bin by bin, to where the spikes say (the KL is the bill for that), and all
# other modes move too, which the slice holds at rest. A potential is the dynamics' share of the
# story. How large a share, the forecast tells.

# %%
example = split.test.isel(trial=few)
landscape = flow.landscape(example)
ax = nks.plotting.potential_landscape(landscape, condition="condition")
ax.figure.savefig(OUT / "potential.png", dpi=150)
plt.close(ax.figure)
phase = flow.landscape(example, plane="phase", modes=landscape.attrs["modes"][0])
ax = nks.plotting.flow_field(phase, condition="condition")
ax.figure.savefig(OUT / "flow.png", dpi=150)
plt.close(ax.figure)

# %% [markdown]
# ## What comes next?
# The models see the first 0.6 s of a trial and say the rest. Bits per spike over the mean rate of
# the same bins: zero is where the model knows no more than that.
#
# After 600 steps the plain linear system wins, clearly. It had to explain the spikes by its
# dynamics; the flow had a posterior that may push the latents in every bin, and learned a friction
# at which velocities are forgotten within some 40 ms. If the forecast is what you want, train for
# it: hold out the bins ahead with `held_out_split(..., forward=...)`, and put the linear system
# beside it.

# %%
n_seen, n_ahead = 60, 40
part = split.test.isel(time=slice(n_seen))
ahead = np.arange(n_seen + n_ahead) >= n_seen
marked = split.test.assign_coords(forward=("time", ahead))
forecasts = {
    "flow": flow.forecast(part, n_ahead, rng=0),
    "Poisson LDS": models["Poisson LDS, 8"].predict(marked),
    "last rates held": models["smoothing + GLM"].predict(marked),
}
edges = np.arange(n_seen, n_seen + n_ahead + 1, 10)
print(
    f"\n{'bits per spike, s ahead':26}" + "".join(f"{(e - n_seen) / 100:6.1f}+" for e in edges[:-1])
)
for name, said in forecasts.items():
    score = [
        nks.validation.bits_per_spike(
            said.isel(time=slice(a, b)), split.truth.drop_vars("forward").isel(time=slice(a, b))
        )
        for a, b in pairwise(edges)
    ]
    print(f"{name:26}" + "".join(f"{s:7.3f}" for s in score))
friction, frequency = (flow.result_[name].values for name in ("friction", "frequency"))
print(
    f"learned friction {np.median(friction):.0f} 1/s; frequencies up to {frequency.max():.1f} Hz; "
    f"{(frequency == 0).sum()} of {frequency.size} modes have two wells"
)
axes = nks.plotting.single_trial_rates(forecasts["flow"], split.truth, trial=trial, units=units[:2])
axes[0].figure.savefig(OUT / "forecast.png", dpi=150)
plt.close(axes[0].figure)

# %% [markdown]
# ## When not to believe it
# On your own recording there is no truth to ask. Ask this instead:
#
# - **Is it ahead of smoothing and of factor analysis**, on neurons and trials that were held out,
#   by more than the folds differ (`nks.validation.held_out_folds`)? Which neurons are held out
#   matters more than the model: compare fold by fold.
# - **Is it ahead of `latent_path="recurrent_only"`?** If not, the latents are decoration, however
#   smooth they look.
# - **Does the KL divergence stay above zero** (`training_curves`)? At zero the latents are the
#   prior's noise.
# - **Is it still ahead on conditions left out** (`held_out_split(..., group="condition")`)? Where
#   all trials of a condition are alike, learning them by heart looks like inference.
# - **Do two seeds give the same rates?** Potentials, modes and frequencies need not agree even when
#   rates do: only what the rates depend on is determined by the data.
# - **Has the validation loss come down**, or was it cut off? 600 steps are too few for a paper.
# - A band is the uncertainty of the latents alone. A rate outside of what the training trials
#   showed is outside of what the band knows.
