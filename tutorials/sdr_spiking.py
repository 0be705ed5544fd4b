# %% [markdown]
# # The theory of sparse representations, in neurons that spike
#
# The same segments three times: by the exact theory (`nks.sdr`), as bits that are compared
# (`nks.sdr.simulate_false_positives`), and as dendritic segments of spiking neurons that answer
# coincident input with an NMDA plateau (`nks.snn.DendriticLIF`). Then the input spikes get jitter,
# until the theory, which knows no time, stops holding.
#
# Runs as a notebook, or with `python tutorials/sdr_spiking.py --out FOLDER` (about two minutes).

# %%
import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from scipy.stats import beta

import neurokit_sdr as nks

sdr = nks.sdr
parser = argparse.ArgumentParser()
parser.add_argument("--out", default="out/sdr_spiking", help="folder of the figures")
OUT = Path(parser.parse_known_args()[0].out)
OUT.mkdir(parents=True, exist_ok=True)


def clopper_pearson(k, n, level):
    """Exact bounds of a binomial probability."""
    low = beta.ppf(level / 2, k, n - k + 1) if k else 0.0
    high = beta.ppf(1 - level / 2, k + 1, n - k) if k < n else 1.0
    return low, high


def spiking_answers(segments, shown, theta, *, window, dt, pause, jitter=0.0, rng=None):
    """Show patterns one by one; which segment starts a plateau at which, (pattern, segment)."""
    n, n_segments = segments.n, len(segments)
    # Every neuron carries an equal share of the segments, and none reaches its threshold.
    per_unit = -(-n_segments // n)
    source, cells = segments.active(), shown.active()
    number = np.repeat(np.arange(n_segments), [len(c) for c in source])
    when = pause * (np.repeat(np.arange(len(shown)), [len(c) for c in cells]) + 0.5)
    if jitter:
        when += np.clip(rng.normal(0, jitter, when.size), -0.45 * pause, 0.45 * pause)
    network = nks.snn.Network(
        "segments",
        nks.snn.DendriticLIF(
            threshold=1e6,
            n_segments=per_unit,
            segment_threshold=theta,
            coincidence_window=window,
            plateau_duration=0.05 * pause,
        ),
        {"all": n},
        dt=dt,
        synapses=nks.snn.synapses(
            np.concatenate(source), number // per_unit, 0.0, delay=dt, segment=number
        ),
        inputs=nks.snn.Inputs(forced_time=when, forced_unit=np.concatenate(cells)),
    )
    session = nks.snn.simulate(network, len(shown) * pause, rng=0, progress=False)
    place = (session["plateaus"]["plateau_time"].values / pause).astype(int)
    answers = np.zeros((len(shown), n_segments), bool)
    answers[np.minimum(place, len(shown) - 1), session["plateaus"]["plateau_segment"].values] = True
    return answers


# %% [markdown]
# ## Theory, bits and spikes on one figure
# Fourteen combinations of population, activity, synapses and threshold. Each of 4000 segments
# meets one pattern of its own; the bars are exact 99 % bounds for all points together.

# %%
POINTS = [
    (100, 10, 10, 2), (100, 10, 10, 3), (200, 40, 20, 6), (200, 40, 20, 8), (300, 60, 15, 5),
    (500, 50, 20, 4), (500, 25, 30, 4), (1000, 40, 24, 3), (1000, 100, 40, 8), (1000, 20, 20, 2),
    (500, 25, 30, 6), (300, 30, 30, 5), (1000, 40, 20, 4), (300, 60, 15, 7),
]  # fmt: skip
POINTS.sort(key=lambda point: sdr.false_positive_probability(*point))
N_SEGMENTS, N_SHOWN = 4000, 8
theory = np.array([sdr.false_positive_probability(*point) for point in POINTS])
bits, spikes, bounds, agree = [], [], [], 0
for i, (n, a, s, theta) in enumerate(POINTS):
    bits.append(
        sdr.simulate_false_positives(n, a, s, n_trials=10**6, rng=i, progress=False)
        .sel(theta=theta)["probability"]
        .item()
    )
    segments = sdr.Patterns.random(n, s, N_SEGMENTS, rng=i)
    shown = sdr.Patterns.random(n, a, N_SHOWN, rng=100 + i)
    answers = spiking_answers(segments, shown, theta, window=2e-3, dt=1e-3, pause=0.01)
    assert (answers == segments.matches(shown, theta).values).all()
    count = int(answers[np.arange(N_SEGMENTS) % N_SHOWN, np.arange(N_SEGMENTS)].sum())
    spikes.append(count / N_SEGMENTS)
    bounds.append(clopper_pearson(count, N_SEGMENTS, 0.01 / len(POINTS)))
    agree += bounds[-1][0] <= theory[i] <= bounds[-1][1]
print(f"spiking segments within bounds of the theory: {agree} of {len(POINTS)} points")

low, high = np.array(bounds).T
with nks.plotting.style():
    fig, ax = plt.subplots(figsize=(6, 4))
x = np.arange(len(POINTS))
ax.plot(x, theory, "-", label="exact theory")
ax.plot(x, bits, "s", markersize=6, markerfacecolor="none", label="bits (a million pairs)")
seen = np.array(spikes)
ax.errorbar(
    x, seen, (seen - low, high - seen), fmt="o", markersize=3, linewidth=0.8,
    label="spiking segments (4000)",
)  # fmt: skip
ax.set_yscale("log")
ax.set_xticks(x, [f"{n}, {a}, {s}, {theta}" for n, a, s, theta in POINTS], rotation=60, ha="right")
ax.tick_params(axis="x", labelsize=7)
ax.set(xlabel="n, a, s, θ (cells, active, synapses, threshold)")
ax.set_ylabel("probability of a false positive")
ax.legend(frameon=False)
fig.savefig(OUT / "01_theory_bits_spikes.png", dpi=160)
plt.close(fig)

# %% [markdown]
# ## Where time comes in
# Every input spike is moved by Gaussian jitter. The line knows the order of the inputs: a segment
# answers where theta of its active inputs fall into one coincidence window. The spiking segments
# follow it. The theory without time holds until the dashed lines are left.

# %%
N, A, S, V, WINDOW, DT, PAUSE = 400, 40, 20, 12, 5e-3, 1e-4, 0.06
THETAS = (8, 10, 12)
JITTER = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5])
N_PATTERNS = 1000
rng = np.random.default_rng(0)
stored = sdr.Patterns.random(N, A, N_PATTERNS, rng=0)
segments = sdr.learn_segments(stored, S, rng=0)
noisy = stored.corrupted(V, rng=0)


def abstract_misses(theta, jitter, trials=20_000):
    """Share of segments of whose jittered inputs never theta fall into one window."""
    kept = rng.hypergeometric(S, A - S, A - V, trials)
    time = rng.normal(0, jitter, (trials, S))
    time[np.arange(S) >= kept[:, None]] = np.inf  # inputs that noise took away
    time.sort(axis=1)
    with np.errstate(invalid="ignore"):
        spread = time[:, theta - 1 :] - time[:, : S - theta + 1]
    return 1 - (spread < WINDOW).any(axis=1).mean()


without_time = sdr.false_negative_probability(A, S, THETAS, V)
expected = np.empty((len(THETAS), JITTER.size))
missed = np.empty_like(expected)
for i, theta in enumerate(THETAS):
    broken = None
    for j, share in enumerate(JITTER):
        expected[i, j] = abstract_misses(theta, share * WINDOW)
        answers = spiking_answers(
            segments, noisy, theta, window=WINDOW, dt=DT, pause=PAUSE, jitter=share * WINDOW,
            rng=rng,
        )  # fmt: skip
        count = int(N_PATTERNS - answers.diagonal().sum())
        missed[i, j] = count / N_PATTERNS
        low, high = clopper_pearson(count, N_PATTERNS, 0.01)
        if broken is None and not low <= without_time[i] <= high:
            broken = share
    print(
        f"θ = {theta}: {without_time[i]:.4f} missed by the theory without time, which holds below "
        f"a jitter of {broken:g} coincidence windows"
    )

dims = ("theta", "jitter")
coords = {"theta": list(THETAS), "jitter": JITTER}
error = np.sqrt(missed * (1 - missed) / N_PATTERNS)
ax = nks.plotting.error_probability(
    xr.Dataset({"with_jitter": (dims, expected)}, coords),
    xr.Dataset({"probability": (dims, missed), "standard_error": (dims, error)}, coords),
    quantity="probability of a false negative",
    log=False,
)
for line, level in zip(ax.get_lines()[:: len(ax.get_lines()) // len(THETAS)], without_time):  # noqa: B905
    ax.axhline(level, color=line.get_color(), linestyle="--", linewidth=0.8)
ax.set_title("Lines: ordered inputs; points: spiking segments; dashed: no time", fontsize=8)
ax.figure.savefig(OUT / "02_jitter.png", dpi=160)
plt.close(ax.figure)
