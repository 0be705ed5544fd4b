"""Smoothing, factor analysis and the Poisson read-out, on arrays.

Both baselines see the square root of smoothed counts (which gives counts of all sizes about the
same noise) and predict every unit by a log-linear Poisson regression. A unit that is an input too
is predicted without its own bin: a regression would otherwise learn to return the spike it is
shown. The bin that is left out shifts the features along one direction per unit; so
:class:`Features` hold them all without a copy per unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import gaussian_filter1d

#: Drives of the read-out are kept below this: exp of more is no rate of anything.
_LARGEST_DRIVE = 30.0
#: Half a spike at the mean rate bounds the bias of a silent unit.
_SILENT_SPIKES = 0.5
#: Penalties that cross-validation chooses from, largest first: each fit starts at the last one's
#: end. Features have unit variance, so a penalty is the number of spikes worth believing.
RIDGES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
_FOLDS = 3
#: Choosing reads no more bins and predicts no more units than tell the candidates apart.
_CHOICE_BINS, _CHOICE_UNITS = 15_000, 16


class Features(NamedTuple):
    """What a read-out sees.

    Attributes
    ----------
    values
        Shape (sample, feature).
    shift
        What leaving out a unit's own bin does to its square root, shape (sample, unit); zero for
        units that are no input.
    direction
        How far each feature follows, shape (unit, feature).
    """

    values: np.ndarray
    shift: np.ndarray
    direction: np.ndarray

    def of(self, unit: int) -> np.ndarray:
        """The features that one unit may be predicted from, shape (sample, feature)."""
        return self.values + self.shift[:, unit, None] * self.direction[unit]

    def take(self, samples: np.ndarray, units: np.ndarray) -> Features:
        """Some samples and units."""
        return Features(
            self.values[samples], self.shift[np.ix_(samples, units)], self.direction[units]
        )


class ReadOut(NamedTuple):
    r"""Log-linear Poisson regression :math:`\lambda_n = \exp(b_n + w_n \cdot f)`.

    Attributes
    ----------
    bias
        Shape (unit,).
    weight
        Shape (unit, feature).
    """

    bias: np.ndarray
    weight: np.ndarray

    def __call__(self, features: Features) -> np.ndarray:
        """Expected counts, shape (sample, unit)."""
        drive = self.bias + features.values @ self.weight.T
        drive += features.shift * (features.direction * self.weight).sum(axis=1)
        return np.exp(np.minimum(drive, _LARGEST_DRIVE))


def smooth(
    counts: np.ndarray, valid: np.ndarray, sd: float, fallback: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian mean over the valid bins around each bin, with and without the bin itself.

    Parameters
    ----------
    counts
        Shape (trial, bin, unit).
    valid
        Shape (trial, bin); other bins have no weight.
    sd
        Of the kernel in bins; it ends at four of them.
    fallback
        Shape (unit,), where no valid bin is near.
    """
    mask = valid.astype(np.float64)
    own = counts * mask[:, :, None]
    weight = gaussian_filter1d(mask, sd, axis=1, mode="constant")
    total = gaussian_filter1d(own, sd, axis=1, mode="constant")
    reach = int(4 * sd + 0.5)
    centre = 1.0 / np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd) ** 2).sum()

    def mean(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
        near = (weight > 1e-9)[:, :, None]
        # Differences of sums may fall below zero by rounding.
        share = np.maximum(total, 0.0) / np.maximum(weight, 1e-9)[:, :, None]
        return np.where(near, share, fallback)

    return mean(total, weight), mean(total - centre * own, weight - centre * mask)


# -- read-out -----------------------------------------------------------------------------------


def fit_read_out(
    features: Features, counts: np.ndarray, ridge: float, start: ReadOut | None = None
) -> ReadOut:
    r"""Maximise the penalised Poisson log likelihood of every unit by Newton's method.

    .. math:: \sum_t x_{tn} \log \lambda_{tn} - \lambda_{tn} - \tfrac{\rho}{2} \|w_n\|^2
              + \tfrac12 (b_n - e^{b_n} / \bar x_n)

    The last term is half a spike at the unit's mean count, which bounds the bias of a silent unit.
    """
    n_units, k = counts.shape[1], features.values.shape[1]
    mean = np.maximum(counts.mean(axis=0), _SILENT_SPIKES / len(counts))
    out = np.zeros((n_units, k + 1))
    out[:, 0] = np.log(mean)
    if start is not None:
        out = np.column_stack([start.bias, start.weight])
    penalty = np.full(k + 1, ridge)
    penalty[0] = 0.0
    design = np.ones((len(counts), k + 1))
    for unit in range(n_units):
        design[:, 1:] = features.of(unit)
        out[unit] = _newton(design, counts[:, unit], penalty, float(mean[unit]), out[unit])
    return ReadOut(out[:, 0], out[:, 1:])


def _newton(
    design: np.ndarray, count: np.ndarray, penalty: np.ndarray, mean: float, theta: np.ndarray
) -> np.ndarray:
    """Newton's method whose Hessian is made anew only where the old one has become slow."""
    target = design.T @ count

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        drive = np.minimum(design @ theta, _LARGEST_DRIVE)
        rate = np.exp(drive)
        silent = _SILENT_SPIKES * (theta[0] - np.exp(min(theta[0], _LARGEST_DRIVE)) / mean)
        return target @ theta - rate.sum() - 0.5 * penalty @ theta**2 + silent, rate

    value, rate = evaluate(theta)
    factor, before = None, np.inf
    for _ in range(100):
        gradient = target - design.T @ rate - penalty * theta
        silent = _SILENT_SPIKES * np.exp(min(theta[0], _LARGEST_DRIVE)) / mean
        gradient[0] += _SILENT_SPIKES - silent
        if factor is None:
            hessian = (design * rate[:, None]).T @ design + np.diag(penalty)
            hessian[0, 0] += silent
            # Of a feature that never varies only the penalty knows the weight; rounding may
            # leave less than nothing of a small one.
            hessian[np.diag_indices_from(hessian)] *= 1.0 + 1e-10
            factor, fresh = cho_factor(hessian), True
        step = cho_solve(factor, gradient)
        gain = float(gradient @ step)
        if gain < 1e-7:
            break
        new, new_rate = evaluate(theta + step)
        halvings = 0
        while not new >= value and halvings < 30 and fresh:
            step /= 2
            halvings += 1
            new, new_rate = evaluate(theta + step)
        if new >= value:
            theta, value, rate = theta + step, new, new_rate
        elif fresh:
            break  # no step of any length helps: as high as rounding lets see
        # A Hessian of another place still points uphill, but each step should gain far less.
        slow = halvings > 0 or not new >= value or gain > 0.1 * before
        factor, fresh = (None if slow else factor), False
        before = np.inf if slow else gain
    return theta


# -- the whole model ----------------------------------------------------------------------------


class Projection(NamedTuple):
    """Features that are linear in the square roots of the smoothed counts of the inputs.

    Attributes
    ----------
    mean
        Of the square roots, shape (input,).
    weight
        Shape (feature, input); gives features of unit variance.
    """

    mean: np.ndarray
    weight: np.ndarray


class Counts(NamedTuple):
    """What is fitted: counts (trial, bin, unit), their seen bins (trial, bin), held-in units."""

    counts: np.ndarray
    seen: np.ndarray
    held_in: np.ndarray

    def take(self, trials: np.ndarray) -> Counts:
        """Some trials."""
        return Counts(self.counts[trials], self.seen[trials], self.held_in)


class Fit(NamedTuple):
    """A fitted baseline.

    Attributes
    ----------
    width, ridge
        Of the kernel in bins, and of the read-out.
    projection, read_out
        From square roots to features, and from features to rates.
    mean
        Counts per bin, shape (unit,).
    score
        Of every width and penalty, Poisson log likelihood of held-out folds in bits per spike over
        the other folds' mean counts, shape (width, ridge); NaN where it was not tried.
    """

    width: float
    ridge: float
    projection: Projection
    read_out: ReadOut
    mean: np.ndarray
    score: np.ndarray


def roots(data: Counts, width: float, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square roots of smoothed counts, and what leaving out the own bin does to them.

    Returns
    -------
    root, shift
        Shapes (trial, bin, input) and (trial, bin, unit).
    """
    shift = np.zeros(data.counts.shape)
    with_own, without = smooth(
        data.counts[:, :, data.held_in], data.seen, width, mean[data.held_in]
    )
    root = np.sqrt(with_own)
    shift[:, :, data.held_in] = np.sqrt(without) - root
    return root, shift


def project(
    root: np.ndarray, shift: np.ndarray, projection: Projection, held_in: np.ndarray
) -> Features:
    """Features of square roots of any leading shape."""
    direction = np.zeros((held_in.size, len(projection.weight)))
    direction[held_in] = projection.weight.T
    values = (root - projection.mean) @ projection.weight.T
    return Features(
        values.reshape(-1, values.shape[-1]), shift.reshape(-1, held_in.size), direction
    )


def fit(
    data: Counts,
    find: Callable[[np.ndarray], Projection],
    widths: Sequence[float],
    generator: np.random.Generator,
    on_step: Callable[[], None],
) -> Fit:
    """Choose width and penalty by cross-validation over trials, then fit to all of them.

    What is scored are the held-out units, or all where there are none, each without its own bin.
    Widths are tried from narrow to wide until the score has fallen twice. Of one or two trials the
    folds are stretches of time.

    Parameters
    ----------
    find
        The projection for the square roots of the seen bins, shape (sample, input).
    widths
        In bins, ascending.
    generator
        Draws trials, units and folds.
    """
    mean = data.counts[data.seen].mean(axis=0)

    def make(part: Counts, width: float) -> tuple[Projection, Features]:
        root, shift = roots(part, width, mean)
        projection = find(root[part.seen])
        return projection, project(root[part.seen], shift[part.seen], projection, data.held_in)

    trials = generator.permutation(np.flatnonzero(data.seen.any(axis=1)))
    until = int(np.searchsorted(np.cumsum(data.seen[trials].sum(axis=1)), _CHOICE_BINS)) + 1
    part = data.take(np.sort(trials[: max(until, _FOLDS)]))
    spikes = part.counts[part.seen]
    targets = np.flatnonzero(~data.held_in if not data.held_in.all() else data.held_in)
    units = generator.permutation(targets[spikes[:, targets].any(axis=0)])
    units = np.sort(units[:_CHOICE_UNITS])
    splits = list(_splits(part.seen, generator))
    score = np.full((len(widths), len(RIDGES)), np.nan)
    # Where there is too little to choose by, the middle will do.
    row, column = len(widths) // 2, 1
    for tried, width in enumerate(widths):
        if not (splits and units.size):
            break
        score[tried] = _validate(make(part, width)[1], spikes, units, splits)
        on_step()
        row, column = (int(i) for i in np.unravel_index(np.nanargmax(score), score.shape))
        if tried - row >= 2:
            break
    projection, features = make(data, widths[row])
    read_out = fit_read_out(features, data.counts[data.seen], RIDGES[column])
    on_step()
    return Fit(widths[row], RIDGES[column], projection, read_out, mean, score)


def _splits(seen: np.ndarray, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Masks of the seen bins to test on."""
    n_trials, n_bins = seen.shape
    if n_trials >= _FOLDS:
        fold = generator.permutation(np.arange(n_trials) % _FOLDS)[:, None]
    else:
        fold = np.arange(n_bins)[None] * _FOLDS // n_bins
    fold = np.broadcast_to(fold, seen.shape)[seen]
    for number in range(_FOLDS):
        test = fold == number
        if test.any() and not test.all():
            yield test


def _validate(
    features: Features, spikes: np.ndarray, units: np.ndarray, splits: Sequence[np.ndarray]
) -> np.ndarray:
    """Bits per spike of every penalty over all folds."""
    gain = np.zeros(len(RIDGES))
    for test in splits:
        known, asked = (features.take(np.flatnonzero(m), units) for m in (~test, test))
        count = spikes[test][:, units]
        mean = np.maximum(spikes[~test][:, units].mean(axis=0), _SILENT_SPIKES / (~test).sum())
        null = (count * np.log(mean) - mean).sum()
        read_out = None
        for column, ridge in enumerate(RIDGES):
            read_out = fit_read_out(known, spikes[~test][:, units], ridge, read_out)
            rate = read_out(asked)
            gain[column] += (count * np.log(rate) - rate).sum() - null
    return gain / (np.log(2.0) * spikes[:, units].sum())


# -- factor analysis ----------------------------------------------------------------------------


def fit_factor_analysis(covariance: np.ndarray, n_latents: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Maximum likelihood of :math:`S = W W^T + \Psi` for a sample covariance.

    Returns
    -------
    loading, noise
        :math:`W`, shape (feature, latent), and the diagonal of :math:`\Psi`, shape (feature,).
    """
    variance = np.diag(covariance)
    # A silent unit has no variance, and one that repeats others no noise of its own.
    floor = 1e-6 * float(variance.max())
    noise = np.maximum(variance, floor)
    before = np.inf
    for _ in range(1000):
        root = np.sqrt(noise)
        values, vectors = np.linalg.eigh(covariance / root[:, None] / root)
        top = np.maximum(values[::-1][:n_latents], 1.0)
        loading = root[:, None] * vectors[:, ::-1][:, :n_latents] * np.sqrt(top - 1.0)
        # -2 log likelihood per sample at the best loading for this noise, up to a constant.
        now = np.log(top).sum() - top.sum() + values.sum() + np.log(noise).sum()
        if before - now < 1e-9:
            break
        before = now
        noise = np.maximum(variance - (loading**2).sum(axis=1), floor)
    return loading, noise


def standardise(root: np.ndarray) -> Projection:
    """Each input for itself, with unit variance; one that never varies stays zero."""
    sd = root.std(axis=0)
    return Projection(
        root.mean(axis=0), np.diag(np.where(sd > 0, 1.0 / np.where(sd > 0, sd, 1), 0))
    )


def find_factors(root: np.ndarray, n_latents: int) -> Projection:
    """Posterior means of the factors, scaled to unit variance; one that explains nothing is zero.

    Signs are such that each factor's largest weight is positive.
    """
    mean = root.mean(axis=0)
    covariance = (root - mean).T @ (root - mean) / len(root)
    loading, noise = fit_factor_analysis(covariance, n_latents)
    scaled = loading / noise[:, None]
    precision = np.eye(n_latents) + loading.T @ scaled
    weight = np.linalg.solve(precision, scaled.T)
    variance = np.einsum("li,ij,lj->l", weight, covariance, weight)
    weight = weight / np.sqrt(np.where(variance > 0, variance, 1.0))[:, None]
    largest = np.take_along_axis(weight, np.abs(weight).argmax(axis=1)[:, None], axis=1)
    return Projection(mean, np.where(largest < 0, -weight, weight))
