"""From recordings to sparse representations, and what the theory says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import Interval, check_whole
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.sdr import packed
from neurokit_sdr.sdr.frames import flatten, frame_coords
from neurokit_sdr.sdr.theory.probabilities import (
    false_negative_probability,
    false_positive_probability,
)

#: Readers whose overlaps with all frames are held at once.
_READERS_AT_ONCE = 64


def encode(
    counts: xr.Dataset, *, sparsity: float | None = None, threshold: int | None = None
) -> xr.Dataset:
    """Turn binned spikes into binary patterns, one for each bin.

    Parameters
    ----------
    counts
        ``count([trial,] time, unit)`` as ``nks.bin_spikes`` gives it.
    sparsity
        Share of the cells that are active, by rank: those whose count is largest relative to their
        own mean count, so that busy cells do not always win (of equals, the first). Cells without a
        spike are never active, so a silent bin has fewer.
    threshold
        Spikes in a bin from which on a cell is active. Give one of the two.

    Returns
    -------
    xarray.Dataset
        ``pattern([item,] time, cell)``, trials being items; ``cell`` carries the ids and
        coordinates of the units, and ``item_length(item)`` the bins of trials of different length.

    Raises
    ------
    SchemaError
        If the counts break the schema, are empty, or hold missing bins.
    ParameterError
        If not exactly one of ``sparsity`` and ``threshold`` is given, it is out of range, or so
        that no cell of a recording with spikes would be active.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(n_units=50, n_states=2, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 200, rng=0)
    >>> patterns = nks.sdr.encode(counts, sparsity=0.1)
    >>> patterns["pattern"].dims, int(patterns["pattern"].sum("cell").max())
    (('time', 'cell'), 5)
    """
    if (sparsity is None) == (threshold is None):
        raise ParameterError(
            f"Expected one of sparsity and threshold, got sparsity={sparsity!r} and "
            f"threshold={threshold!r}."
        )
    count = schema.check(counts, "counts")["count"]
    if count.size == 0:
        raise SchemaError(
            f"Expected counts with at least one bin and unit, got {schema.describe(counts)} of "
            f"sizes {dict(counts.sizes)}."
        )
    inside = np.arange(counts.sizes["time"]) < schema.trial_lengths(counts)[:, None]
    valid = schema.valid_bins(counts)
    inside = inside.reshape(valid.shape)
    if (inside & ~valid).any():
        raise SchemaError(
            f"Expected counts without missing bins, got {int((inside & ~valid).sum())}: leave them "
            f"out with nks.split_at_gaps(counts.sel(time=counts['observed'].values).drop_vars("
            f"'observed'))."
        )
    values = np.asarray(count.values)
    if threshold is not None:
        threshold = check_whole("threshold", threshold, 1)
        largest = int(values[inside].max(initial=0))
        if 0 < largest < threshold:
            raise ParameterError(
                f"Expected a threshold that some cell reaches, got threshold={threshold}, and at "
                f"most {largest} spikes in a bin: lower it, or make wider bins."
            )
        active = values >= threshold
    else:
        active = _largest(
            values, _number(sparsity, count.sizes["unit"]), values[inside].mean(axis=0)
        )
    active &= inside[..., None]
    names = {"trial": "item", "unit": "cell"}
    patterns = xr.Dataset(
        {"pattern": (tuple(names.get(str(d), str(d)) for d in count.dims), active)},
        coords={
            names.get(str(name), str(name)): (
                tuple(names.get(str(d), str(d)) for d in array.dims), array.values, array.attrs
            )
            for name, array in counts.coords.items()
        },
        attrs={k: v for k, v in counts.attrs.items() if k == "bin_size"},
    )  # fmt: skip
    if "trial_length" in counts.variables and "trial" in count.dims:
        length = counts["trial_length"].values
        patterns["item_length"] = ("item", length, {"units": "1"})
    return patterns


def estimate_sparsity(data: xr.Dataset) -> xr.Dataset:
    """Say how many cells there are, and how many are active at once: n and a of the theory.

    Parameters
    ----------
    data
        ``pattern([item,] [time,] cell)``.

    Returns
    -------
    xarray.Dataset
        ``n_cells``, and ``n_silent_cells`` of them that are never active; ``mean_active``, the
        mean number of active cells, and ``sparsity``, their share; ``active_count([item,] [time])``
        (-1 beyond an item's end); and ``activity(cell)``, the share of frames in which each cell is
        active.

    Raises
    ------
    SchemaError
        If the data break the schema.

    Examples
    --------
    >>> import xarray as xr
    >>> pattern = [[True, False, False, False], [True, True, False, False]]
    >>> data = xr.Dataset({"pattern": (("item", "cell"), pattern)}, {"cell": list("abcd")})
    >>> found = estimate_sparsity(data)
    >>> found["n_cells"].item(), found["mean_active"].item(), found["n_silent_cells"].item()
    (4, 1.5, 2)
    """
    frames = flatten(data)
    number, activity = frames.pattern.sum(axis=1, dtype=np.int64), frames.pattern.mean(axis=0)
    one = {"units": "1"}
    return xr.Dataset(
        {
            "n_cells": ((), frames.pattern.shape[1], one),
            "n_silent_cells": ((), int((activity == 0).sum()), one),
            "mean_active": ((), number.mean(), one),
            "sparsity": ((), frames.pattern.mean(), one),
            "active_count": (frames.dims, frames.spread(number, -1), one),
            "activity": ("cell", activity, one),
        },
        coords=frame_coords(data) | {"cell": data["cell"]},
    )


def overlap_matrix(data: xr.Dataset, other: xr.Dataset | None = None) -> xr.DataArray:
    """Count the cells that are active in both of two patterns, for all pairs.

    Parameters
    ----------
    data
        ``pattern(item, cell)`` or ``pattern(time, cell)``; four bytes are needed for each pair.
    other
        What to compare with; None compares the patterns with each other.

    Returns
    -------
    xarray.DataArray
        ``overlap(time, other_time)``, or with ``item``; int32.

    Raises
    ------
    SchemaError
        If the data break the schema, have items of several frames, or other cells.

    Examples
    --------
    >>> import xarray as xr
    >>> pattern = [[True, False, True], [True, True, False]]
    >>> data = xr.Dataset({"pattern": (("item", "cell"), pattern)}, {"cell": list("abc")})
    >>> overlap_matrix(data).values
    array([[2, 1],
           [1, 2]], dtype=int32)
    """
    sides = []
    for side in (data, data if other is None else other):
        frames = flatten(side)
        if len(frames.dims) != 1:
            raise SchemaError(
                "Expected pattern(item, cell) or pattern(time, cell), got items of several frames: "
                "select one with .isel(item=0)."
            )
        sides.append((side, frames.dims[0], packed.from_dense(frames.pattern > 0)))
    if not np.array_equal(sides[0][0]["cell"].values, sides[1][0]["cell"].values):
        raise SchemaError(
            f"Expected the same cells on both sides, got {data.sizes['cell']} and "
            f"{sides[1][0].sizes['cell']}, or others: select those that both have."
        )
    (_, dim, first), (second_data, second_dim, second) = sides
    coords: dict[str, Any] = {dim: data[dim]} if dim in data.coords else {}
    if second_dim in second_data.coords:
        along = second_data[second_dim]
        coords[f"other_{second_dim}"] = (f"other_{second_dim}", along.values, along.attrs)
    return xr.DataArray(
        packed.overlaps(second, first), coords, (dim, f"other_{second_dim}"), "overlap",
        {"units": "1"},
    )  # fmt: skip


def reader_reliability(
    data: xr.Dataset,
    n_synapses: int,
    *,
    n_readers: int = 1000,
    gap: int = 0,
    rng: RNG = None,
) -> xr.Dataset:
    r"""How reliably a neuron could read a pattern of a recording: theory beside the recording.

    Each of many hypothetical readers has one dendritic segment with s synapses on active cells of
    one frame, drawn at random, and is shown every other frame. The theory takes frames as random
    and independent: every set of a of n cells as likely as another. Cells of unequal rates, and
    cells that fire together, break that, and readers answer wrongly more often.

    Parameters
    ----------
    data
        ``pattern(time, cell)`` or ``pattern(item, cell)``, as from :func:`encode`.
    n_synapses
        s; only frames with as many active cells can be learnt.
    n_readers
        How many readers.
    gap
        Frames on either side of the learnt one that are not shown, because activity lasts.
    rng
        Seed or generator.

    Returns
    -------
    xarray.Dataset
        By ``threshold``, 1 to s: probabilities of a false positive in a frame, ``theory`` (n and
        the rounded mean of a), ``theory_active_counts`` (averaged over the frames' own a),
        ``shuffled`` (the readers on the recording after each cell's frames were permuted: rates
        kept; correlations gone, and with them frames in which unusually many are active) and
        ``measured``, with ``shuffled_error`` and ``measured_error``, one standard error over
        readers; ``excess``, measured over theory_active_counts. Further
        ``false_negative(threshold, n_lost)``, the theory's probability that the segment misses its
        frame once ``n_lost`` of a active cells moved, and ``n_cells``, ``n_active`` (a of the
        frames that can be learnt, rounded), ``n_learnable``, the number of these.

    Raises
    ------
    SchemaError
        If the data break the schema, have items of several frames, or no frame can be learnt.
    ParameterError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> active = np.random.default_rng(0).random((500, 40)) < 0.2
    >>> data = xr.Dataset({"pattern": (("item", "cell"), active)}, {"cell": np.arange(40)})
    >>> found = reader_reliability(data, 5, rng=0)
    >>> abs(found["measured"] / found["theory_active_counts"] - 1).sel(threshold=2).item() < 0.1
    True
    """
    s = check_whole("n_synapses", n_synapses, 1)
    n_readers = check_whole("n_readers", n_readers, 2)
    gap = check_whole("gap", gap)
    frames = flatten(data)
    if len(frames.dims) != 1:
        raise SchemaError(
            "Expected pattern(item, cell) or pattern(time, cell), got items of several frames: "
            "select one with .isel(item=0), or stack them."
        )
    pattern = frames.pattern
    number, n = pattern.sum(axis=1, dtype=np.int64), pattern.shape[1]
    learnable = np.flatnonzero(number >= s)
    if learnable.size == 0 or len(pattern) < 2 * gap + 2:
        raise SchemaError(
            f"Expected frames with at least {s} active cells, and more than {2 * gap + 1} frames, "
            f"got at most {number.max()} active cells in {len(pattern)} frames: use fewer "
            f"synapses, wider bins or a lower threshold."
        )
    seed = resolve_seed(rng)
    permuted = stream(seed, "shuffle").permuted(pattern, axis=0)
    found = {}
    for name, shown in (("measured", pattern), ("shuffled", permuted)):
        share = _answers(pattern, shown, learnable, s, n_readers, gap, stream(seed, "readers"))
        error = share.std(axis=0, ddof=1) / np.sqrt(n_readers)
        found[name] = ("threshold", share.mean(axis=0), {"units": "1"})
        found[f"{name}_error"] = ("threshold", error, {"units": "1"})
    theta = np.arange(1, s + 1)
    typical = max(round(float(number.mean())), 1)
    read = max(round(float(number[learnable].mean())), s)
    a, how_often = np.unique(number, return_counts=True)
    by_count = np.asarray(false_positive_probability(n, a[:, None], s, theta[None, :]))
    averaged = how_often @ by_count / how_often.sum()
    lost = np.arange(read + 1)
    missed = np.asarray(false_negative_probability(read, s, theta[:, None], lost[None, :]))
    theory = np.asarray(false_positive_probability(n, typical, s, theta))
    one = {"units": "1"}
    return xr.Dataset(
        found
        | {
            "theory": ("threshold", theory, one),
            "theory_active_counts": ("threshold", averaged, one),
            "excess": ("threshold", _ratio(found["measured"][1], averaged), one),
            "false_negative": (("threshold", "n_lost"), missed, one),
            "n_cells": ((), n, one),
            "n_active": ((), read, one),
            "n_learnable": ((), learnable.size, one),
        },
        coords={"threshold": theta, "n_lost": lost},
        attrs={"seed": seed, "n_synapses": s, "n_readers": n_readers, "gap": gap},
    )


def _number(sparsity: Any, n_cells: int) -> int:
    allowed = Interval(float, 0, 1, open_low=True)
    if sparsity not in allowed:
        raise ParameterError(f"Expected sparsity to be {allowed}, got {sparsity!r}.")
    number = round(sparsity * n_cells)
    if number == 0:
        raise ParameterError(
            f"Expected at least one active cell of {n_cells}, got sparsity={sparsity!r}: from "
            f"{0.5 / n_cells:.3g} on one is active."
        )
    return number


def _largest(count: np.ndarray, number: int, mean: np.ndarray) -> np.ndarray:
    """Whether a count is among the largest of its bin, relative to the cells' means."""
    relative = count / np.where(mean > 0, mean, 1.0)
    first = np.argsort(-relative, axis=-1, kind="stable")[..., :number]
    active = np.zeros(count.shape, dtype=bool)
    np.put_along_axis(active, first, True, axis=-1)
    return active & (count > 0)


def _answers(
    pattern: np.ndarray,
    shown: np.ndarray,
    learnable: np.ndarray,
    s: int,
    n_readers: int,
    gap: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Share of the frames that each reader answers to, by threshold 1 to s, (reader, threshold)."""
    learnt = generator.choice(learnable, n_readers)
    # The active cells come first, in random order.
    order = np.argsort(generator.random((n_readers, pattern.shape[1])) - pattern[learnt], axis=1)
    share = np.empty((n_readers, s))
    for first in range(0, n_readers, _READERS_AT_ONCE):
        frame = learnt[first : first + _READERS_AT_ONCE]
        segment = np.zeros((pattern.shape[1], frame.size), np.float32)
        np.put_along_axis(segment, order[first : first + frame.size, :s].T, 1.0, axis=0)
        overlap = shown.astype(np.float32) @ segment
        apart = abs(np.arange(len(pattern))[:, None] - frame) > gap
        for theta in range(1, s + 1):
            answered = (overlap >= theta) & apart
            share[first : first + frame.size, theta - 1] = answered.sum(axis=0) / apart.sum(axis=0)
    return share


def _ratio(value: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Their ratio, NaN where the reference is 0."""
    return np.where(reference > 0, value / np.where(reference > 0, reference, 1.0), np.nan)
