"""How well estimated connectivity finds a known wiring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import MissingDependencyError, ParameterError, SchemaError
from neurokit_sdr.core.estimator import Interval
from neurokit_sdr.core.schema import describe

#: Rows of the table that are no estimate: what a perfect method without direction would score, and
#: what guessing would.
UNDIRECTED_TRUTH, CHANCE = "undirected truth", "chance"


def score_connectivity(
    estimates: Mapping[str, xr.Dataset | xr.DataArray],
    truth: xr.Dataset | xr.DataArray | xr.DataTree,
    *,
    significance: float = 0.05,
) -> xr.Dataset:
    r"""Score estimates of ``weight(target, source)`` against the true one.

    Scores run over all ordered pairs of different units. A pair's score is :math:`|z|` where the
    estimate holds ``z_score``, else :math:`|w|`; pairs without an estimate (NaN) come last. In a
    sparse network AUPRC says more than AUROC: its floor, the score of a guess, is the density.

    Parameters
    ----------
    estimates
        By name: Datasets with ``weight(target, source)`` and, where known,
        ``z_score(target, source)``, as the functions of ``nks.analysis`` return, or one DataArray.
        Not named ``"undirected truth"`` or ``"chance"``: the table has these rows anyway.
    truth
        ``weight(target, source)``, signed, 0 where there is no connection: a DataArray, a Dataset
        that holds it, or a simulated session with ``/truth``. Units are matched by label; units
        without an estimate are an error, units without a truth are left out.
    significance
        Level of the threshold on :math:`|z|`, divided by the number of pairs (Bonferroni).

    Returns
    -------
    xarray.Dataset
        By ``estimate`` (``method`` is an argument of xarray's ``sel``), with rows for the
        undirected truth and for chance: ``auroc``, ``auprc``; ``mcc``, Matthews' correlation at
        the best threshold, and ``mcc_significant``, at the threshold of ``significance``;
        ``sign_accuracy``, the share of true connections whose sign is right;
        ``weight_correlation`` over all pairs; ``undirected_auroc`` and ``undirected_auprc``, of
        joined or not in either direction. Where the truth holds ``hub(unit)``:
        ``hub_rank(estimate, hub)``, each hub's place (1 is first) by the number of its significant
        connections, ties by their summed :math:`|z|`. ``attrs["density"]``.

    Raises
    ------
    SchemaError
        If an estimate or the truth lacks what is needed, lacks units or holds one twice.
    ParameterError
        If there is nothing to find: no connection, or no pair without one; or if the estimates or
        the level are none.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> true = xr.DataArray([[0, 1.0], [0, 0]], dims=("target", "source"))
    >>> true = true.assign_coords(target=[0, 1], source=[0, 1])
    >>> table = score_connectivity({"oracle": true}, true)
    >>> float(table["auroc"].sel(estimate="oracle"))
    1.0
    """
    if significance not in Interval(float, 0, 1, open_low=True) or significance == 1:
        raise ParameterError(f"Expected significance between 0 and 1, got {significance!r}.")
    _check_names(estimates)
    weight, hub = _truth(truth)
    units = weight["target"].values
    n = len(units)
    off = ~np.eye(n, dtype=bool)
    lacking = _lacking(units, weight["source"].values)
    if lacking:
        raise SchemaError(
            f"Expected every target of the truth among its sources, lacks {lacking}: select the "
            f"same units of both with .sel(target=..., source=...)."
        )
    true = weight.sel(source=units).values
    if not np.isfinite(true[off]).all():
        raise SchemaError("Expected a finite true weight for every pair, got NaN or infinity.")
    joined = true[off] != 0
    if joined.all() or not joined.any():
        raise ParameterError(
            f"Expected a truth with connected and unconnected pairs, got {int(joined.sum())} "
            f"connections among {joined.size} pairs: nothing could be found."
        )
    threshold = _normal_quantile(1 - significance / joined.size / 2)
    rows = [_row(*_estimate(name, e, units), true, off, threshold) for name, e in estimates.items()]
    undirected = ((true != 0) | (true.T != 0)).astype(float)
    perfect = _row(undirected, None, true, off, threshold)
    rows.append(perfect | dict.fromkeys(("sign_accuracy", "weight_correlation"), np.nan))
    either = float(undirected[off].mean())
    rows.append(
        dict.fromkeys(perfect, np.nan)
        | {"auroc": 0.5, "auprc": float(joined.mean()), "mcc": 0.0}
        | {"undirected_auroc": 0.5, "undirected_auprc": either}
    )
    names = [*estimates, UNDIRECTED_TRUTH, CHANCE]
    table = xr.Dataset(
        {key: (("estimate",), [row[key] for row in rows], {"units": "1"}) for key in rows[0]},
        coords={"estimate": names},
        attrs={"density": float(joined.mean()), "pairs": int(joined.size)},
    )
    if hub is not None and hub.any():
        ranks = np.full((len(names), int(hub.sum())), np.nan)
        for row, (name, e) in zip(ranks, estimates.items(), strict=False):
            row[:] = _hub_ranks(*_estimate(name, e, units), off, threshold)[hub]
        table["hub_rank"] = (("estimate", "hub"), ranks, {"units": "1"})
        table = table.assign_coords(hub=units[hub])
    return table


def _check_names(estimates: Any) -> None:
    if not isinstance(estimates, Mapping) or isinstance(estimates, xr.Dataset | xr.DataTree):
        raise ParameterError(
            f'Expected estimates by name, such as {{"glm": estimate}}, got {describe(estimates)}.'
        )
    if not estimates:
        raise ParameterError("Expected at least one estimate, got none.")
    for name in estimates:
        if not isinstance(name, str) or name in (UNDIRECTED_TRUTH, CHANCE):
            raise ParameterError(
                f"Expected names of estimates as str, other than {UNDIRECTED_TRUTH!r} and "
                f"{CHANCE!r}, which are rows of every table, got {name!r}: rename it."
            )


def _lacking(units: np.ndarray, among: np.ndarray) -> list[Any]:
    """The first few units that are not among others."""
    known = set(among.tolist())
    return [unit for unit in units.tolist() if unit not in known][:5]


def _truth(truth: Any) -> tuple[xr.DataArray, np.ndarray | None]:
    if isinstance(truth, xr.DataTree):
        truth = truth["truth"] if "truth" in truth.children else truth
        truth = truth.to_dataset()
    hub = None
    if isinstance(truth, xr.Dataset):
        if "weight" not in truth:
            raise SchemaError(
                f"Expected a truth with weight(target, source), got {describe(truth)}: networks of "
                f"more than 2000 units carry a list of synapses alone."
            )
        weight = _matrix(truth["weight"], "the truth")
        if "hub" in truth:
            hub = _hub(truth["hub"], weight["target"].values)
        truth = weight
    weight = _matrix(truth, "the truth")
    if weight.dtype.kind == "b":
        raise SchemaError(
            "Expected signed weights in the truth, got bool: .astype(float) makes excitation of "
            "all of them."
        )
    return weight, hub


def _hub(hub: xr.DataArray, units: np.ndarray) -> np.ndarray:
    """Whether each unit is a hub."""
    if hub.dims != ("unit",) or "unit" not in hub.coords or hub.dtype.kind not in "biuf":
        raise SchemaError(
            f"Expected hub(unit), true or false, with unit ids in the truth, got {describe(hub)} "
            f"of {hub.dtype} with coordinates {list(hub.coords)}."
        )
    _check_unique(hub, "unit", "hub of the truth")
    lacking = _lacking(units, hub["unit"].values)
    if lacking:
        raise SchemaError(f"Expected hub of every unit of the truth, lacks {lacking}.")
    return hub.sel(unit=units).values.astype(bool)


def _check_unique(array: xr.DataArray, dim: str, what: str) -> None:
    index = array.indexes[dim]
    if not index.is_unique:
        raise SchemaError(
            f"Expected each unit once on {dim} of {what}, got "
            f"{index[index.duplicated()].tolist()[:5]} more than once."
        )


def _matrix(weight: Any, what: str) -> xr.DataArray:
    if not isinstance(weight, xr.DataArray) or set(weight.dims) != {"target", "source"}:
        raise SchemaError(f"Expected weight(target, source) for {what}, got {describe(weight)}.")
    for dim in ("target", "source"):
        if dim not in weight.coords:
            raise SchemaError(f"Expected unit ids on {dim} of {what}, got no coordinate.")
        _check_unique(weight, dim, what)
    if weight.dtype.kind not in "biuf":
        raise SchemaError(f"Expected numbers as weights of {what}, got {weight.dtype}.")
    return weight.transpose("target", "source")


def _estimate(name: str, estimate: Any, units: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The weights and z-scores of the truth's units as arrays."""
    if isinstance(estimate, xr.Dataset) and "weight" not in estimate:
        raise SchemaError(f"Expected weight(target, source) in {name!r}, got {describe(estimate)}.")
    whole = isinstance(estimate, xr.Dataset)
    arrays: list[np.ndarray | None] = []
    for array in (
        estimate["weight"] if whole else estimate,
        estimate["z_score"] if whole and "z_score" in estimate else None,
    ):
        if array is None:
            arrays.append(None)
            continue
        matrix = _matrix(array, repr(name))
        for dim in ("target", "source"):
            lacking = _lacking(units, matrix[dim].values)
            if lacking:
                raise SchemaError(
                    f"Expected an estimate for every unit of the truth, {name!r} lacks {lacking} "
                    f"as {dim}: select the observed units of the truth with .sel(target=..., "
                    f"source=...)."
                )
        arrays.append(matrix.sel(target=units, source=units).values.astype(float))
    assert arrays[0] is not None
    return arrays[0], arrays[1]


def _row(
    weight: np.ndarray,
    z: np.ndarray | None,
    true: np.ndarray,
    off: np.ndarray,
    threshold: float,
) -> dict[str, float]:
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Scores need scikit-learn: pip install 'neurokit-sdr[analysis]'."
        ) from error
    score = _size(weight, z)
    joined = (true != 0)[off]
    # Either direction may carry the evidence; each unordered pair counts once.
    upper = np.triu(off)
    either, any_joined = np.maximum(score, score.T)[upper], ((true != 0) | (true.T != 0))[upper]
    mixed = any_joined.any() and not any_joined.all()
    known = joined & np.isfinite(weight[off])
    return {
        "auroc": float(roc_auc_score(joined, score[off])),
        "auprc": float(average_precision_score(joined, score[off])),
        "mcc": _best_matthews(joined, score[off]),
        "mcc_significant": np.nan if z is None else _matthews(joined, score[off] > threshold),
        "sign_accuracy": float(
            np.where(known, np.sign(weight[off]) == np.sign(true[off]), False)[joined].mean()
        ),
        "weight_correlation": _correlation(weight[off], true[off]),
        "undirected_auroc": float(roc_auc_score(any_joined, either)) if mixed else np.nan,
        "undirected_auprc": float(average_precision_score(any_joined, either)) if mixed else np.nan,
    }


def _size(weight: np.ndarray, z: np.ndarray | None) -> np.ndarray:
    return np.nan_to_num(np.abs(weight if z is None else z), nan=-1.0, posinf=np.finfo(float).max)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    finite = np.isfinite(a)
    a, b = a[finite], b[finite]
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def _matthews(joined: np.ndarray, found: np.ndarray) -> float:
    return _matthews_of(
        float((joined & found).sum()), float(found.sum()), float(joined.sum()), joined.size
    )


def _matthews_of(hits: Any, found: Any, joined: float, total: int) -> Any:
    """Matthews' correlation from counts; 0 where everything or nothing was found."""
    spread = found * (total - found) * joined * (total - joined)
    covariance = hits * total - found * joined
    return np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)[()]


def _best_matthews(joined: np.ndarray, score: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
    hits, found = np.cumsum(joined[order]).astype(float), np.arange(1.0, joined.size + 1)
    # A threshold cannot part equal scores.
    last = np.append(np.diff(score[order]) != 0, True)
    values = _matthews_of(hits[last], found[last], float(joined.sum()), joined.size)
    return float(np.max(values))


def _hub_ranks(
    weight: np.ndarray, z: np.ndarray | None, off: np.ndarray, threshold: float
) -> np.ndarray:
    size = np.where(off, np.maximum(_size(weight, z), 0), 0.0)
    number = (size > threshold).sum(axis=0) if z is not None else np.zeros(len(size))
    order = np.lexsort((-size.sum(axis=0), -number))
    rank = np.empty(len(size))
    rank[order] = np.arange(1, len(size) + 1)
    return rank


def _normal_quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))
