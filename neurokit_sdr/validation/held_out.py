"""Hold out neurons, trials and the bins ahead: the protocol of the Neural Latents Benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, check_whole
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.validation.splits import Split

#: What may be held out: a share, the number of the last ones, or which.
Choice = float | Sequence[object] | np.ndarray


def held_out_split(
    counts: xr.Dataset,
    *,
    neurons: Choice = 0.25,
    trials: Choice = 0.2,
    forward: int = 0,
    stratify: str | None = None,
    group: str | None = None,
    rng: RNG = None,
) -> Split:
    """Divide a recording as the Neural Latents Benchmark does.

    A model is fitted to all units and bins of the training trials. Of the test trials it sees the
    held-in units in the observed bins, and predicts the held-out units there (co-smoothing) and
    all units in the bins that follow (forward prediction).

    Parameters
    ----------
    counts
        ``count(trial, time, unit)``. Trials may be ragged (``trial_length``) and have gaps
        (``observed``). Other variables are cut in the same way.
    neurons
        Units to hold out. A float between 0 and 1 is a share, drawn at random; a whole number
        takes the last so many; a list names them by id. 0 holds out none.
    trials
        Trials to test on. A float between 0 and 1 is a share, drawn at random; a whole number
        takes the last so many; booleans mark them; a list names them by the coordinate ``trial``,
        by position where there is none.
    forward
        Bins at the end of ``time`` to predict ahead, a whole number. They are the same for all
        trials: a ragged trial that ends before them is not tested on them.
    stratify
        Name of a coordinate along ``trial``: ``trials`` is then a share, and every value gives
        its share, to the nearest whole trial.
    group
        Name of a coordinate along ``trial`` whose values stay together, so that whole conditions
        are new in the test. ``trials`` then counts and names these values: a share of them, the
        last so many in their order, or a list.
    rng
        Seed or generator for what is drawn; ``attrs["held_out_seed"]`` records it.

    Returns
    -------
    Split
        Every part has ``held_in(unit)`` and ``forward(time)`` as coordinates (those that the
        counts had are replaced), and ``trial``, numbered where the counts have no labels.

    Raises
    ------
    SchemaError
        If the counts break the schema, have no trials, or lack the coordinate that is named.
    ParameterError
        If there are not so many units, trials, values or bins, one is unknown, or no unit, trial
        or bin would be left to fit and to read.

    References
    ----------
    Pei, Ye, et al. (2021), Neural Latents Benchmark '21, NeurIPS Datasets and Benchmarks,
    arXiv 2109.04463.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> counts = xr.Dataset(
    ...     {"count": (("trial", "time", "unit"), np.ones((10, 6, 4), int), {"units": "1"})},
    ...     coords={"time": ("time", np.arange(6) * 0.02 + 0.01, {"units": "s"}),
    ...             "unit": list("abcd")},
    ...     attrs={"bin_size": 0.02},
    ... )
    >>> split = held_out_split(counts, neurons=["d"], trials=0.2, forward=2, rng=0)
    >>> dict(split.test.sizes), dict(split.truth.sizes)
    ({'trial': 2, 'time': 4, 'unit': 3}, {'trial': 2, 'time': 6, 'unit': 4})
    """
    marked, seed = _marked(counts, neurons, forward, rng)
    random = stream(seed, "held_out_split", "trials")
    labels = _labels(marked, stratify, group)
    if group is not None:
        values = np.unique(labels)
        tested = np.isin(labels, values[_chosen(values, trials, "trials", group, random)])
    elif stratify is not None:
        tested = _stratified(labels, trials, stratify, random)
    else:
        tested = _chosen(marked["trial"].values, trials, "trials", "trial", random)
    if not tested.any() or tested.all():
        raise ParameterError(
            f"Expected trials to fit and trials to test, got {int(tested.sum())} of {tested.size} "
            f"to test with trials={trials!r}: give a number between the two."
        )
    return _divided(marked, tested)


def held_out_folds(
    counts: xr.Dataset,
    n_folds: int = 5,
    *,
    neurons: Choice = 0.25,
    forward: int = 0,
    stratify: str | None = None,
    group: str | None = None,
    rng: RNG = None,
) -> list[Split]:
    """Divide a recording so that every trial is tested once, with the same neurons held out.

    Which neurons are held out matters more than most models do: compare models fold by fold.

    Parameters
    ----------
    counts, neurons, forward, rng
        As in :func:`held_out_split`.
    n_folds
        At least 2.
    stratify
        Name of a coordinate along ``trial``: every value is spread evenly over the folds.
    group
        Name of a coordinate along ``trial`` whose values stay together: each is in one fold only.

    Returns
    -------
    list of Split

    Raises
    ------
    SchemaError, ParameterError
        As :func:`held_out_split`; and if there are more folds than trials, than values of
        ``group``, or than trials of any value of ``stratify``.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> counts = xr.Dataset(
    ...     {"count": (("trial", "time", "unit"), np.ones((6, 5, 4), int), {"units": "1"})},
    ...     coords={"time": ("time", np.arange(5) * 0.02 + 0.01, {"units": "s"}),
    ...             "unit": list("abcd"), "condition": ("trial", list("lrlrlr"))},
    ...     attrs={"bin_size": 0.02},
    ... )
    >>> folds = held_out_folds(counts, 3, neurons=1, stratify="condition", rng=0)
    >>> [sorted(fold.truth["condition"].values.tolist()) for fold in folds]
    [['l', 'r'], ['l', 'r'], ['l', 'r']]
    """
    marked, seed = _marked(counts, neurons, forward, rng)
    check_whole("n_folds", n_folds, 2)
    random = stream(seed, "held_out_folds", "trials")
    labels = _labels(marked, stratify, group)
    n_trials = marked.sizes["trial"]
    if group is not None:
        values, index = np.unique(labels, return_inverse=True)
        fold = _dealt(np.zeros(values.size, dtype=int), n_folds, random, f"values of {group!r}")
        fold = fold[index]
    elif stratify is not None:
        index = np.unique(labels, return_inverse=True)[1]
        fold = _dealt(index, n_folds, random, f"trials of each value of {stratify!r}")
    else:
        fold = _dealt(np.zeros(n_trials, dtype=int), n_folds, random, "trials")
    return [_divided(marked, fold == k) for k in range(n_folds)]


def _marked(counts: xr.Dataset, neurons: Choice, forward: int, rng: RNG) -> tuple[xr.Dataset, int]:
    """The counts with their labels of trials, ``held_in`` and ``forward``, and the seed."""
    schema.check(counts, "counts")
    if "trial" not in counts["count"].dims:
        raise SchemaError(
            f"Expected counts with trials to hold out, count(trial, time, unit), got "
            f"{counts['count'].dims}: cut the recording into trials with nks.bin_spikes(session, "
            f"bin_size, trials), or into blocks with nks.validation.alternating_blocks(counts)."
        )
    seed = resolve_seed(rng)
    if "trial" not in counts.coords:
        counts = counts.assign_coords(trial=np.arange(counts.sizes["trial"]))
    n_bins = counts.sizes["time"]
    if forward not in Interval(int, 0, n_bins - 1):
        hint = ""
        if forward in Interval(float, 0, open_low=True):
            hint = f"; {forward:g} s would be {round(forward / counts.attrs['bin_size'])} bins"
        raise ParameterError(
            f"Expected forward to be a whole number of bins >= 0 and below the {n_bins} of the "
            f"longest trial, got {forward!r}{hint}."
        )
    units = counts["unit"].values
    random = stream(seed, "held_out_split", "neurons")
    held_out = _chosen(units, neurons, "neurons", "unit", random)
    if held_out.all():
        raise ParameterError(
            f"Expected at least one of {units.size} units held in, got neurons={neurons!r}, which "
            f"holds out {int(held_out.sum())}: hold out fewer."
        )
    ahead = np.arange(n_bins) >= n_bins - forward
    marked = counts.drop_vars(["held_in", "forward"], errors="ignore").assign_coords(
        held_in=("unit", ~held_out, {"long_name": "whether models may read the unit's counts"}),
        forward=("time", ahead, {"long_name": "whether the bin lies after what models may read"}),
    )
    return marked.assign_attrs(held_out_seed=seed), seed


def _labels(marked: xr.Dataset, stratify: str | None, group: str | None) -> np.ndarray:
    """Values of the coordinate that trials are stratified or grouped by."""
    if stratify is not None and group is not None:
        raise ParameterError(
            f"Expected stratify or group, got both ({stratify!r} and {group!r}): conditions are "
            f"either in both parts or in one."
        )
    name = stratify if group is None else group
    if name is None:
        return np.zeros(marked.sizes["trial"])
    along = [str(n) for n, v in marked.variables.items() if v.dims == ("trial",)]
    if name not in along:
        raise SchemaError(
            f"Expected {name!r} to be a coordinate along trial, got one of "
            f"{marked[name].dims if name in marked.variables else 'no such name'}; there are "
            f"{along}.{schema.did_you_mean(str(name), along)}"
        )
    values = marked[name].values
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise SchemaError(
            f"Expected {name!r} to have a value in every trial, got NaN in "
            f"{int(np.isnan(values).sum())} of {values.size}: drop those trials first."
        )
    return values


def _chosen(
    labels: np.ndarray, choice: Choice, argument: str, name: str, random: np.random.Generator
) -> np.ndarray:
    """Which of the labels a choice means, as booleans."""
    chosen = np.zeros(labels.size, dtype=bool)
    if choice in Interval(int):
        number = int(choice)  # type: ignore[arg-type]
        if not 0 <= number <= labels.size:
            raise ParameterError(
                f"Expected {argument} between 0 and the {labels.size} values of {name!r}, got "
                f"{choice!r}."
            )
        chosen[labels.size - number :] = True
        return chosen
    if choice in Interval(float):
        number = _share_of(labels.size, float(choice), argument)  # type: ignore[arg-type]
        chosen[random.permutation(labels.size)[:number]] = True
        return chosen
    if isinstance(choice, str | bytes) or np.ndim(choice) != 1:  # type: ignore[arg-type]
        raise ParameterError(
            f"Expected {argument} to be a share between 0 and 1, a whole number (the last so many) "
            f"or a list of values of {name!r}, got {choice!r}."
        )
    given = np.asarray(choice)
    if given.dtype == bool:
        if given.size != labels.size:
            raise ParameterError(
                f"Expected {argument} as {labels.size} booleans, one for each value of {name!r}, "
                f"got {given.size}."
            )
        return given.copy()
    known = labels.tolist()
    unknown = [value for value in given.tolist() if value not in known]
    if unknown:
        raise ParameterError(
            f"Expected {argument} among the {len(known)} values of {name!r} "
            f"({', '.join(map(repr, known[:5]))}{', ...' if len(known) > 5 else ''}), got unknown "
            f"{unknown[:5]}."
        )
    wanted = set(given.tolist())
    return np.array([label in wanted for label in known], dtype=bool)


def _share_of(number: int, share: float, argument: str) -> int:
    if not 0 <= share < 1:
        raise ParameterError(
            f"Expected {argument} as a share to be between 0 and 1, got {share!r}: a whole number "
            f"takes the last so many."
        )
    return max(1, round(share * number)) if share else 0


def _stratified(
    labels: np.ndarray, trials: Choice, name: str, random: np.random.Generator
) -> np.ndarray:
    """A share of every value's trials; what rounding leaves goes where most is missing."""
    if trials in Interval(int) or trials not in Interval(float):
        raise ParameterError(
            f"Expected trials as a share between 0 and 1 beside stratify={name!r}, got {trials!r}: "
            f"trials that are named or counted cannot be stratified as well."
        )
    total = _share_of(labels.size, float(trials), "trials")  # type: ignore[arg-type]
    index, size = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    exact = size * (total / labels.size)
    number = np.floor(exact).astype(int)
    by_remainder = np.lexsort((random.random(size.size), number - exact))
    number[by_remainder[: total - number.sum()]] += 1
    order = random.permutation(labels.size)
    rank = _rank_within(index[order])
    tested = np.zeros(labels.size, dtype=bool)
    tested[order] = rank < number[index[order]]
    empty = number >= size
    if empty.any():
        value = np.unique(labels)[empty][0]
        raise ParameterError(
            f"Expected a trial to fit of every value of {name!r}, got {int(size[empty][0])} of "
            f"{value!r}, all to test with trials={trials!r}: test fewer, or drop that value."
        )
    return tested


def _dealt(strata: np.ndarray, n_folds: int, random: np.random.Generator, what: str) -> np.ndarray:
    """Folds of items dealt round after round, so that their numbers differ by one at most."""
    least = int(np.bincount(strata).min()) if strata.size else 0
    if least < n_folds:
        raise ParameterError(
            f"Expected at least n_folds={n_folds} {what}, got {least}: use fewer folds, or drop "
            f"what is too rare."
        )
    order = random.permutation(strata.size)
    order = order[np.argsort(strata[order], kind="stable")]
    fold = np.empty(strata.size, dtype=int)
    # Dealing goes on where the last stratum stopped: folds stay as large as one another.
    fold[order] = random.permutation(n_folds)[np.arange(strata.size) % n_folds]
    return fold


def _rank_within(index: np.ndarray) -> np.ndarray:
    """How many of the same value come before each entry."""
    order = np.argsort(index, kind="stable")
    first = np.searchsorted(index[order], index[order])
    rank = np.empty(index.size, dtype=int)
    rank[order] = np.arange(index.size) - first
    return rank


def _divided(marked: xr.Dataset, tested: np.ndarray) -> Split:
    truth = marked.isel(trial=np.flatnonzero(tested))
    seen = np.flatnonzero(~marked["forward"].values)
    if seen.size < marked.sizes["time"] and schema.trial_lengths(truth).max() <= seen.size:
        raise ParameterError(
            f"Expected a test trial that reaches the {marked.sizes['time'] - seen.size} forward "
            f"bins, got none longer than {schema.trial_lengths(truth).max()} bins: forward is "
            f"longer than what the trials have beyond the window that is seen."
        )
    test = truth.isel(time=seen, unit=np.flatnonzero(marked["held_in"].values))
    if "trial_length" in test.variables:
        length = test["trial_length"]
        test = test.assign(trial_length=length.clip(max=seen.size).assign_attrs(length.attrs))
    return Split(marked.isel(trial=np.flatnonzero(~tested)), test, truth)
