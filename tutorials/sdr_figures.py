# %% [markdown]
# # How neurons operate on sparse distributed representations
#
# Every figure of the scripts behind Ahmad and Hawkins (2015, arXiv 1503.07469; 2016, arXiv
# 1601.00720), from the exact theory of `nks.sdr`, with simulations beside it. Where a published
# number or label is wrong, the figure says so in red; `docs/sdr_corrections.md` lists them.
#
# Runs as a notebook, or with `python tutorials/sdr_figures.py --out FOLDER` (about two minutes).

# %%
import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import neurokit_sdr as nks

sdr = nks.sdr
parser = argparse.ArgumentParser()
parser.add_argument("--out", default="out/sdr_figures", help="folder of the figures")
OUT = Path(parser.parse_known_args()[0].out)
OUT.mkdir(parents=True, exist_ok=True)


def finish(ax, name, title, note="", correction=""):
    """Give a figure its title, what it is made of, and what is corrected; save it."""
    ax.set_title(title, fontsize=9, loc="left")
    figure = ax.figure
    figure.set_layout_engine("constrained", rect=(0, 0.1, 1, 0.9))
    figure.text(0.02, 0.07, note, fontsize=6.5, color="0.3", va="center")
    figure.text(0.02, 0.025, correction, fontsize=6.5, color="#b2182b", va="center")
    figure.savefig(OUT / f"{name}.png", dpi=160)
    plt.close(figure)


def panels(columns=1):
    """An empty figure in the style of the plots."""
    with nks.plotting.style():
        return plt.subplots(1, columns, figsize=(5 if columns == 1 else 8, 3.4))


def points(probability, n_trials, **dims):
    """Simulated probabilities as the plots take them; dims are coordinates by name, in order."""
    p = np.asarray(probability, float)
    names = tuple(dims)
    error = np.sqrt(p * (1 - p) / n_trials)
    return xr.Dataset(
        {"probability": (names, p), "standard_error": (names, error)},
        coords={name: np.asarray(value) for name, value in dims.items()},
    )


# %% [markdown]
# ## False positives fall with the size of the population
# A segment has 24 synapses and a threshold of 12. With a fixed number of active cells the error
# falls without end; with a fixed share of them it does not.

# %%
sizes = np.arange(300, 20_000, 200)
errors = sdr.tabulate(sdr.false_positive_probability, a=[64, 128, 256], n=sizes, s=24, theta=12)
ax = nks.plotting.error_probability(errors, quantity="probability of a false positive")
for share, line in ((4, "--"), (2, ":")):
    dense = sdr.false_positive_probability(sizes, sizes // share, 24, 12)
    ax.plot(sizes, dense, line, color="0.3", label=f"a = n/{share}")
ax.legend(frameon=False, fontsize=7)
finish(
    ax,
    "01_false_positives_against_n",
    "False positives against the population (s = 24, θ = 12)",
    "Lines: exact.",
    "Corrected: the published dense curve, described as a = n/2, holds the values of a = n/4. "
    "Both are drawn.",
)

# %% [markdown]
# ## ... and with the number of synapses
# The threshold is half of the synapses.

# %%
synapses = np.arange(2, 31, 2)
fig, ax = panels()
for a, n in ((32, 2000), (32, 4000), (512, 16_000), (4000, 16_000)):
    p = sdr.false_positive_probability(n, a, synapses, synapses // 2)
    ax.semilogy(synapses, p, "--" if a == 4000 else "-", label=f"a = {a}, n = {n}")
ax.set(xlabel="synapses on a segment s", ylabel="probability of a false positive")
ax.legend(frameon=False, fontsize=7)
finish(
    ax,
    "02_false_positives_against_s",
    "False positives against synapses (θ = s/2)",
    "Lines: exact; they agree with the published values to every digit printed.",
)

# %% [markdown]
# ## False negatives under noise
# Of 128 active cells some move to cells that were silent. Points: a pattern, a segment and a
# noise of its own in each of 50,000 trials.

# %%
moved = np.array([round(share * 128) for share in np.arange(0.05, 0.81, 0.05)])
errors = sdr.tabulate(sdr.false_negative_probability, a=128, s=30, theta=[8, 12, 16], v=moved)
sweeps = [
    sdr.simulate_false_negatives(6000, 128, 30, int(v), n_trials=50_000, rng=int(v), progress=False)
    for v in moved
]
seen = np.array([[s["probability"].sel(theta=t).item() for s in sweeps] for t in (8, 12, 16)])
ax = nks.plotting.error_probability(
    errors, points(seen, 50_000, theta=[8, 12, 16], v=moved),
    quantity="probability of a false negative",
)  # fmt: skip
finish(
    ax,
    "03_false_negatives_against_noise",
    "False negatives against noise (a = 128, s = 30)",
    "Lines: exact. Points: simulated with n = 6000, two standard errors.",
)

# %% [markdown]
# ## Unions of activity
# M random patterns are active at once. The published curve puts the mean size of the union in
# the place of a; the exact one is the expectation over unions.

# %%
patterns = np.arange(1, 40)
settings = {"a": 30, "s": 20, "theta": 10, "n_patterns": patterns}
errors = sdr.tabulate(sdr.union_false_positive_probability, n=[1000, 4000, 8000], **settings)
ax = nks.plotting.error_probability(errors, quantity="probability of a false positive")
for n in (1000, 4000, 8000):
    old = sdr.union_false_positive_probability(n, 30, 20, 10, patterns, method="substituted")
    ax.plot(patterns, old, ":", color="#b2182b", linewidth=1)
sampled = patterns[[3, 7, 11, 19, 29]]
for n in (1000, 4000):
    for m in sampled:
        found = sdr.simulate_false_positives(
            n, 30, 20, n_trials=10**6, n_patterns=int(m), rng=int(m), progress=False
        ).sel(theta=10)
        if found["count"] > 10:
            ax.plot(m, found["probability"], "ko", markersize=2.5)
finish(
    ax,
    "04_union_of_activity",
    "False positives of a union of activity (s = 20, θ = 10, a = 30)",
    "Lines: exact expectation. Black points: simulated, a million pairs each.",
    "Dotted red: the published substitution of the mean union, too low by up to 1.3 %.",
)

# %% [markdown]
# ## Unions of synapses on one segment

# %%
fig, axes = panels(2)
axes[0].plot(patterns, sdr.union_size(1000, 25, patterns))
axes[0].set(xlabel="patterns on the segment M", ylabel="distinct synapses (mean)")
axes[0].set_title("s = 25 each, n = 1000", fontsize=8, loc="left")
for n in (1000, 10_000, 20_000):
    p = sdr.union_false_positive_probability(n, 200, 25, 15, patterns, union="synapses")
    axes[1].semilogy(patterns, p, label=f"n = {n}")
    old = sdr.union_false_positive_probability(
        n, 200, 25, 15, patterns, union="synapses", method="rounded"
    )
    axes[1].semilogy(patterns, old, ":", color="#b2182b", linewidth=1)
axes[1].set(xlabel="patterns on the segment M", ylabel="probability of a false positive")
axes[1].set_title("a = 200, s = 25, θ = 15", fontsize=8, loc="left")
axes[1].legend(frameon=False, fontsize=7)
finish(
    axes[0],
    "05_union_of_synapses",
    "Distinct synapses (s = 25 each, n = 1000)",
    "Lines: exact expectation.",
    "Dotted red: the mean number of synapses, rounded, in place of their distribution: 7 % off.",
)

# %% [markdown]
# ## The threshold that is low enough for no error
# The median over 210 populations and segments. From a threshold of 8 it is below 1e-7.

# %%
sweep = sdr.tabulate(
    sdr.false_positive_probability,
    n=[1000, 5000, 9000, 13_000, 17_000],
    sparsity=[0.005, 0.01, 0.015, 0.02, 0.025, 0.03],
    s=range(20, 51, 5),
    theta=range(3, 25),
)
ax = nks.plotting.threshold_sweep(sweep)
finish(
    ax,
    "06_optimal_threshold",
    "Median false positives over 210 combinations",
    "Line: median; band: 5th to 95th percentile; shaded: median at most 1e-7 (θ ≥ 8).",
    "A second published sweep labels its largest n both 20,000 and 200,000; not used.",
)

# %% [markdown]
# ## A whole neuron: false positives
# 500 segments, each learnt one of 500 patterns; 500 other patterns are shown. Poirazi and Mel's
# two-layer neuron with a threshold in each segment.

# %%
fig, ax = panels()
lengths = np.arange(2, 31, 2)
for (a, n), color in zip(
    ((512, 16_000), (4000, 16_000), (32, 2000), (32, 4000)), plt.cm.viridis([0, 0.3, 0.6, 0.85]),
    strict=True,
):  # fmt: skip
    p = sdr.neuron_false_positive_probability(n, a, lengths, lengths // 2, 500)
    ax.semilogy(lengths, p, color=color, label=f"a = {a}, n = {n}")
    for s in lengths:
        theta = int(s // 2)
        if p[s // 2 - 1] < 1e-4:
            continue
        rates = []
        for trial in range(4):
            learnt = sdr.Patterns.random(n, a, 500, rng=trial)
            segments = sdr.learn_segments(learnt, int(s), rng=trial)
            shown = sdr.Patterns.random(n, a, 500, rng=1000 + trial)
            spike = sdr.threshold_nonlinearity(theta)
            rates.append(float((sdr.neuron_response(segments, shown, spike) > 0).mean()))
        if np.mean(rates) > 0:
            ax.plot(s, np.mean(rates), "o", color=color, markersize=3)
ax.set(xlabel="synapses on a segment s", ylabel="probability that the neuron\nanswers falsely")
ax.legend(frameon=False, fontsize=7)
finish(
    ax,
    "07_neuron_false_positives",
    "A neuron of 500 segments (θ = s/2)",
    "Lines: exact, 1 - (1 - P)^500. Points: 4 neurons, 500 other patterns each.",
)

# %% [markdown]
# ## A whole neuron: false negatives

# %%
shares = np.arange(0.15, 0.86, 0.05)
moved = (128 * shares).astype(int)
learnt = sdr.Patterns.random(6000, 128, 500, rng=0)
segments = sdr.learn_segments(learnt, 30, rng=0)
missed = np.array([
    [
        float(np.mean([
            (sdr.neuron_response(
                segments, learnt.corrupted(int(v), rng=1000 * i + int(v)),
                sdr.threshold_nonlinearity(theta),
            ) == 0).mean()
            for i in range(4)
        ]))
        for v in moved
    ]
    for theta in (8, 12, 16)
])  # fmt: skip
errors = sdr.tabulate(sdr.false_negative_probability, a=128, s=30, theta=[8, 12, 16], v=moved)
ax = nks.plotting.error_probability(
    errors, points(missed, 2000, theta=[8, 12, 16], v=moved), log=False,
    quantity="probability that the neuron\nmisses its pattern",
)  # fmt: skip
finish(
    ax,
    "08_neuron_false_negatives",
    "A neuron of 500 segments under noise (a = 128, s = 30)",
    "Lines: exact, of one segment. Points: 4 noises on each of 500 patterns.",
)

# %% [markdown]
# ## Two neurons that compete
# Each learns 500 patterns; the one with the larger summed answer names the class. The segments
# answer with a sigmoid around 11.5 active synapses.

# %%
fig, ax = panels()
graded = sdr.sigmoid_nonlinearity(11.5, 5)
for a, last in ((64, 800), (128, 1400), (256, 2800)):
    populations = range(400, last + 1, 200)
    accuracy = []
    for n in populations:
        right = []
        for trial in range(5):
            both = sdr.Patterns.random(n, a, 1000, rng=trial)
            first, second = (
                sdr.neuron_response(sdr.learn_segments(half, 24, rng=trial), both, graded).values
                for half in (both[:500], both[500:])
            )
            noise = (np.random.default_rng(trial).random(1000) - 0.5) / 1000
            right.append(((first - second + noise > 0) == (np.arange(1000) < 500)).mean())
        accuracy.append(np.mean(right))
    ax.plot(populations, accuracy, "o-", markersize=3, label=f"a = {a}")
ax.set(xlabel="population size n (cells)", ylabel="share classified rightly", ylim=(0.45, 1.02))
ax.legend(frameon=False, fontsize=7)
finish(
    ax,
    "09_two_neurons_classify",
    "Two competing neurons, 500 segments each (s = 24)",
    "Points: simulated, 5 pairs of neurons on 1000 patterns each.",
)

# %% [markdown]
# ## Correlated input
# Patterns are made of clusters of cells that are active together. A random segment's cells are
# then hit together, and the theory of independent cells is too low.

# %%
fig, ax = panels()
for a, n, s in ((32, 2000, 20), (32, 4000, 20), (64, 4000, 40)):
    x, y = [], []
    for size in range(1, 10):
        made = sdr.clustered_patterns(n, a, size, 8000, n_clusters=n // size, rng=size)
        segments = sdr.learn_segments(made[:500], s, rng=size)
        shown = made[500:8000]
        spike = sdr.threshold_nonlinearity(10)
        rate = float((sdr.neuron_response(segments, shown, spike) > 0).mean())
        # Two active cells of a pattern share their cluster with this probability; then their
        # activity is the same, else it is independent.
        x.append((size - 1) / (a - 1))
        y.append(rate)
    ax.semilogy(x, np.where(np.array(y) > 0, y, np.nan), "o-", markersize=3,
                label=f"a = {a}, n = {n}, s = {s}")  # fmt: skip
    chance = sdr.neuron_false_positive_probability(n, a, s, 10, 500)
    print(f"a={a} n={n} s={s}: {chance:.3g} by the theory of independent cells, {y[0]:.3g} seen")
ax.set(xlabel="mean correlation of two cells of a pattern",
       ylabel="probability that the neuron\nanswers falsely")  # fmt: skip
ax.legend(frameon=False, fontsize=7)
finish(
    ax,
    "10_correlated_input",
    "Clusters of 1 to 9 cells, 500 segments, θ = 10",
    "Points: simulated, 7500 patterns; rates of 0 are left out. Independent cells (correlation 0): "
    "2e-11, 2e-14, 2e-7.",
)

# %% [markdown]
# ## Many neurons on one-hot features
# In the text only: 40 features in 10 bins each (400 cells, 40 active), two groups of 25 neurons of
# 400 segments with 25 synapses, answers to the 10th power. The published run has 30,000 samples,
# more than there are segments; here each of 20,000 has its own, and noise moves features to other
# bins.

# %%
rng = np.random.default_rng(0)
features = rng.integers(0, 10, (20_000, 40))


def one_hot(values):
    """Active cells of features in bins."""
    return sdr.Patterns.from_active(values + 10 * np.arange(40), 400)


samples = one_hot(features)
segments = sdr.learn_segments(samples, 25, rng=0)
graded = sdr.power_nonlinearity(10)
test = rng.choice(20_000, 1000, replace=False)
accuracy = []
for n_moved in range(0, 41, 5):
    noisy = features[test].copy()
    for row in noisy:
        where = rng.choice(40, n_moved, replace=False)
        row[where] = (row[where] + rng.integers(1, 10, n_moved)) % 10
    shown = one_hot(noisy)
    first = sdr.neuron_response(segments[:10_000], shown, graded)
    second = sdr.neuron_response(segments[10_000:], shown, graded)
    accuracy.append(float(((first > second).values == (test < 10_000)).mean()))
fig, ax = panels()
ax.plot(range(0, 41, 5), accuracy, "o-", markersize=3)
ax.axhline(0.5, color="0.5", linestyle="--", linewidth=0.8)
ax.set(xlabel="features moved to another bin (of 40)", ylabel="share classified rightly")
finish(
    ax,
    "11_many_neurons_classify",
    "50 neurons, 20,000 samples stored in single trials",
    "Points: simulated, 1000 samples. Random classes: this is memory, not generalisation.",
)

# %% [markdown]
# ## Sequence memory: sparsity
# 1000 sequences of 20 patterns, one cell per column. Each cell of a next pattern takes a segment
# with 20 synapses on the pattern before. The theory counts false positives; the points learn all
# 19,000 transitions, in one trial each, and predict. (The original runs a temporal memory with
# permanences and many presentations; what it converges to is this.)

# %%
fig, ax = panels()
sizes = np.arange(300, 3000, 100)


def prediction_similarity(n, a, n_tests=10, transitions=19_000, chunk=1000):
    """Jaccard index of predicted and next cells of a first-order memory, learnt in chunks."""
    predicted = np.zeros((n_tests, n), bool)
    for first in range(0, transitions, chunk):
        before = sdr.Patterns.random(n, a, chunk, rng=first)
        after = np.array(sdr.Patterns.random(n, a, chunk, rng=first + 1).active())
        if first == 0:
            shown, following = before[:n_tests], after[:n_tests]
        each = sdr.Patterns(np.repeat(before.words, a, axis=0), n)
        answers = sdr.learn_segments(each, 20, rng=first).matches(shown, 10).values
        for test in range(n_tests):
            predicted[test, after.ravel()[answers[test]]] = True
    following = [np.isin(np.arange(n), cells) for cells in following]
    return np.mean(
        [(p & f).sum() / (p | f).sum() for p, f in zip(predicted, following, strict=True)]
    )


for a in (64, 128, 256):
    use = sizes[sizes >= a]
    (line,) = ax.plot(
        use, sdr.sequence_memory_similarity(use, a, 20, 10, 19_000), label=f"a = {a}"
    )  # fmt: skip
    for n in {64: (300, 500, 800), 128: (500, 900, 1500), 256: (900, 1500, 2500)}[a]:
        ax.plot(n, prediction_similarity(n, a), "o", color=line.get_color(), markersize=3)
ax.set(xlabel="population size n (cells)", ylabel="similarity of prediction and input\n(Jaccard)")
ax.legend(frameon=False, fontsize=7)
finish(
    ax,
    "12_sequence_memory_sparsity",
    "First-order sequence memory (s = 20, θ = 10)",
    "Lines: theory of false positives. Points: 19,000 transitions learnt, 10 predicted.",
)

# %% [markdown]
# ## Sequence memory: noise

# %%
fig, ax = panels()
shares = np.arange(0, 0.96, 0.05)
moved = np.rint(40 * shares).astype(int)
for theta in (8, 12, 16):
    (line,) = ax.plot(
        moved / 40, 1 - sdr.false_negative_probability(40, 20, theta, moved), label=f"θ = {theta}"
    )  # fmt: skip
    for v in moved:
        found = sdr.simulate_false_negatives(
            2048, 40, 20, int(v), n_trials=4000, rng=int(v), progress=False
        )
        kept = 1 - found["probability"].sel(theta=theta)
        ax.plot(v / 40, kept, "o", color=line.get_color(), markersize=3)
ax.set(xlabel="moved share of the active cells", ylabel="share of the next cells predicted")
ax.legend(frameon=False, fontsize=7)
finish(
    ax,
    "13_sequence_memory_noise",
    "Noise in a sequence memory (n = 2048, a = 40, s = 20)",
    "Lines: exact. Points: simulated cells, one segment each; false positives are below 1e-12.",
)

# %% [markdown]
# ## Sequence memory: unions of predictions
# Where a sequence can branch in M ways, M patterns are predicted, and become the context of what is
# next. Shown is how often a segment that learnt none of them answers. The published figure comes
# from a full temporal memory with training over branching sequences, which this is not: it is the
# part of it that the theory describes.

# %%
branches = np.arange(1, 51)
errors = sdr.tabulate(
    sdr.union_false_positive_probability, n=[2000, 4000], a=40, s=20, theta=10, n_patterns=branches
)
ax = nks.plotting.error_probability(errors, quantity="probability of a false positive")
for n in (2000, 4000):
    for m in range(10, 51, 10):
        found = sdr.simulate_false_positives(
            n, 40, 20, n_trials=10**6, n_patterns=m, rng=m, progress=False
        ).sel(theta=10)
        if found["count"] > 10:
            ax.plot(m, found["probability"], "ko", markersize=2.5)
ax.set_xlabel("branches of the sequence M")
finish(
    ax,
    "14_sequence_memory_unions",
    "Unions of predictions (a = 40, s = 20, θ = 10)",
    "Lines: exact expectation over unions. Points: simulated, a million pairs each.",
)

print(f"{len(list(OUT.glob('*.png')))} figures in {OUT}")
