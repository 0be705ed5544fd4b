"""Baselines of single-trial rates: smoothing, and factor analysis of smoothed counts.

They keep the contract of every model of this room, so that they stand in the same table.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from neurokit_sdr.core import results
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Interval, OneOrSeveral, Options
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.core.threads import one_blas_thread
from neurokit_sdr.generative.baselines import equations
from neurokit_sdr.generative.baselines.labels import label_fit, projection_of, read_out_of
from neurokit_sdr.generative.rates.arrays import Arrays, check_n_latents, training_arrays
from neurokit_sdr.generative.rates.labels import begin_result
from neurokit_sdr.generative.rates.model import RateModel

#: Standard deviations in s that are tried where none is given: from single spikes to slow drifts.
WIDTHS = (0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.09, 0.13, 0.2, 0.3)
#: A kernel narrower than this share of a bin is none.
NARROWEST = 0.5


class _SmoothedRates(RateModel):
    """Poisson regression on features that are linear in square roots of smoothed counts."""

    smoothing: float | Sequence[float] | None

    _needed: ClassVar[dict[str, tuple[str, ...]]] = {
        "mean_count": ("unit",),
        "input_mean": ("input_unit",),
        "input_weight": ("latent_dim", "input_unit"),
        "weight": ("unit", "latent_dim"),
        "log_rate": ("unit",),
    }
    _needed_attrs = ("smoothing",)

    @classmethod
    def from_parameters(cls, parameters: xr.Dataset) -> Self:
        """Return a model with known parameters.

        Parameters
        ----------
        parameters
            The variables of ``result_`` that are no history, with ``unit``, ``held_in(unit)``
            where not all are, and the attributes ``bin_size`` and ``smoothing`` (s).

        Raises
        ------
        SchemaError
            If a parameter is missing, misshapen or not finite.
        """
        model = super().from_parameters(parameters)
        n_held_in = int(model.result_["held_in"].sum())
        if parameters.sizes["input_unit"] != n_held_in:
            raise SchemaError(
                f"Expected as many input_unit as held-in units, {n_held_in}, got "
                f"{parameters.sizes['input_unit']}: mark them with held_in(unit)."
            )
        return model

    @abstractmethod
    def _find(self, root: np.ndarray) -> equations.Projection:
        """The projection for square roots of shape (sample, input)."""

    def _widths(self, bin_size: float) -> list[float]:
        """Candidates in s."""
        if self.smoothing is None:
            widths = [w for w in WIDTHS if w >= NARROWEST * bin_size]
            return widths or [m * bin_size for m in (0.5, 1.0, 2.0, 4.0)]
        widths = sorted(float(w) for w in np.atleast_1d(self.smoothing))
        if widths[0] < NARROWEST * bin_size:
            raise ParameterError(
                f"Expected smoothing of at least half a bin, {NARROWEST * bin_size:g} s, got "
                f"{widths[0]:g} s: use narrower bins or a wider kernel."
            )
        return widths

    def _fit(self, data: xr.Dataset, arrays: Arrays, seed: int, progress: bool) -> Self:
        """What both models do once their arrays are checked."""
        bin_size = float(data.attrs["bin_size"])
        widths = self._widths(bin_size)
        counts = arrays.counts[:, : arrays.n_window].astype(np.float64)
        with (
            one_blas_thread(),  # sums do not depend on how many there are
            progress_bar(None, type(self).__name__, progress) as bar,
        ):
            fit = equations.fit(
                equations.Counts(counts, arrays.seen, arrays.held_in),
                self._find,
                [width / bin_size for width in widths],
                stream(seed, "choice"),
                bar.update,
            )
        found = label_fit(fit, widths, data["unit"].values[arrays.held_in], bin_size)
        result = begin_result(data, arrays).merge(found)
        result.attrs |= found.attrs
        return self._finish(
            result, seed=seed, status=results.CONVERGED, fingerprint=results.fingerprint(data)
        )

    def _features(self, arrays: Arrays) -> equations.Features:
        """Of all bins; forward ones have those of the window's last bin, spikes there included."""
        result = self.result_
        mean, held_in = result["mean_count"].values, arrays.held_in
        counts = np.zeros((*arrays.inputs.shape[:2], held_in.size))
        counts[:, :, held_in] = arrays.inputs
        width = result.attrs["smoothing"] / result.attrs["bin_size"]
        root, shift = equations.roots(equations.Counts(counts, arrays.seen, held_in), width, mean)
        n_forward = arrays.forward.size - arrays.n_window
        root = np.concatenate([root, np.repeat(root[:, -1:], n_forward, axis=1)], axis=1)
        shift = np.pad(shift, ((0, 0), (0, n_forward), (0, 0)))
        return equations.project(root, shift, projection_of(result), held_in)

    def _expected_count(self, arrays: Arrays) -> np.ndarray:
        rate = read_out_of(self.result_)(self._features(arrays))
        return rate.reshape(*arrays.inside.shape, -1)

    def _latent(self, arrays: Arrays) -> np.ndarray:
        values = self._features(arrays).values
        return values.reshape(*arrays.inside.shape, -1)


class Smoothing(_SmoothedRates):
    r"""Rates by Poisson regression on smoothed spike counts.

    .. math:: s_{tm} = \sqrt{\sum_k g_k x_{t+k,m} / \textstyle\sum_k g_k}, \qquad
              \lambda_{tn} = \exp\Big(b_n + \sum_m w_{nm} \frac{s_{tm} - \bar s_m}{\sigma_m}\Big)

    with a Gaussian kernel :math:`g` over the observed bins of a trial and one regression per unit,
    held-in or held-out, from all held-in units; of the unit's own counts, where it is held in, the
    bin itself is left out of the sums. The baseline that a model of single trials has to beat.

    Parameters
    ----------
    smoothing
        Standard deviation of the kernel in seconds; several to choose from by cross-validation
        over trials, in three folds; None chooses between 10 and 300 ms. The ridge penalty of the
        regression is chosen with it.

    Attributes
    ----------
    result_ : xarray.Dataset
        ``weight(unit, latent_dim)`` and ``log_rate(unit)`` of the regression, on features
        ``input_weight(latent_dim, input_unit)`` times the square root minus
        ``input_mean(input_unit)``: here one feature of unit variance per held-in unit;
        ``mean_count(unit)`` (spikes per bin); ``validation_score(smoothing, ridge)`` in bits per
        spike over the training folds' means, NaN where the search had stopped. The chosen
        ``smoothing`` (s) and ``ridge`` are attributes.

    Notes
    -----
    The square root makes the noise of the features alike for low and high counts; regressions on
    smoothed counts or their logarithms predict held-out units less well. Forward bins get the
    rates of the last observed bin. Missing bins have no weight in the kernel; where no observed
    bin is near, the features are those of the mean counts. Without held-out units
    :meth:`score` is of all units, each without its own bin.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(n_units=5, n_states=2, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 500, rng=0)
    >>> model = nks.generative.Smoothing(smoothing=[0.02, 0.05]).fit(counts, rng=0, progress=False)
    >>> model.predict(counts)["expected_count"].dims
    ('time', 'unit')
    """

    _allowed: ClassVar[dict[str, Interval | Options | OneOrSeveral]] = {
        "smoothing": OneOrSeveral(Interval(float, 0, open_low=True), none=True),
    }

    def __init__(self, *, smoothing: float | Sequence[float] | None = None) -> None:
        self.smoothing = smoothing

    def fit(self, data: xr.Dataset, *, rng: RNG = None, progress: bool = True) -> Self:
        """Fit to binned spikes.

        Parameters
        ----------
        data
            ``count([trial,] time, unit)``, optionally with ``trial_length(trial)``,
            ``observed([trial,] time)``, ``held_in(unit)`` and ``forward(time)``.
        rng
            Seed or generator: draws the folds of the choice.
        progress
            Whether to show a bar.

        Raises
        ------
        SchemaError
            If the data break the schema, or hold nothing to fit.
        ParameterError
            If a hyper-parameter is out of range.
        """
        self._check_params()
        return self._fit(data, training_arrays(data), resolve_seed(rng), progress)

    def _find(self, root: np.ndarray) -> equations.Projection:
        return equations.standardise(root)

    def _draw(
        self, lengths: Sequence[int], generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Constant rates: smoothing supposes nothing of what is to come."""
        shape = len(lengths), max(lengths)
        mean = self.result_["mean_count"].values
        latent = np.zeros((*shape, self.result_.sizes["latent_dim"]))
        return np.broadcast_to(mean, (*shape, mean.size)).copy(), latent


class FactorAnalysis(_SmoothedRates):
    r"""Rates by Poisson regression on the factors that smoothed spike counts share.

    .. math:: s_t = \bar s + W z_t + N(0, \Psi), \quad z_t \sim N(0, I), \qquad
              \lambda_{tn} = \exp(b_n + w_n \cdot \hat z_t)

    with :math:`s` the square roots of smoothed counts of :class:`Smoothing`, :math:`\Psi` diagonal,
    and :math:`\hat z` the factors' posterior means, scaled to unit variance. Fitted by maximum
    likelihood to the held-in units; then one regression per unit, held-in or held-out. What a
    held-in unit's own bin adds to the factors is left out of its regression.

    Parameters
    ----------
    n_latents
        Number of factors.
    smoothing
        As of :class:`Smoothing`.

    Attributes
    ----------
    result_ : xarray.Dataset
        ``weight(unit, latent_dim)`` and ``log_rate(unit)`` of the regression; the factors are
        ``input_weight(latent_dim, input_unit)`` times the square root minus
        ``input_mean(input_unit)``; ``mean_count(unit)`` (spikes per bin);
        ``validation_score(smoothing, ridge)`` in bits per spike over the training folds' means,
        NaN where the search had stopped. The chosen ``smoothing`` (s) and ``ridge`` are attributes.

    Notes
    -----
    Factors come in the order of the variance that they explain relative to the units' own noise.
    Simulated factors are independent Gaussian processes with the smoothness of the kernel. The
    notes of :class:`Smoothing` hold here too.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(n_units=8, n_states=2, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 500, rng=0)
    >>> model = nks.generative.FactorAnalysis(n_latents=2, smoothing=0.05)
    >>> model.fit(counts, rng=0, progress=False).transform(counts)["latent"].sizes
    Frozen({'time': 500, 'latent_dim': 2})
    """

    _allowed: ClassVar[dict[str, Interval | Options | OneOrSeveral]] = {
        "n_latents": Interval(int, 1),
        "smoothing": OneOrSeveral(Interval(float, 0, open_low=True), none=True),
    }

    def __init__(
        self, *, n_latents: int = 8, smoothing: float | Sequence[float] | None = None
    ) -> None:
        self.n_latents = n_latents
        self.smoothing = smoothing

    def fit(self, data: xr.Dataset, *, rng: RNG = None, progress: bool = True) -> Self:
        """Fit to binned spikes.

        Parameters
        ----------
        data
            As for :meth:`Smoothing.fit`.
        rng
            Seed or generator: draws the folds of the choice.
        progress
            Whether to show a bar.

        Raises
        ------
        SchemaError
            If the data break the schema, hold nothing to fit, or fewer than two held-in units.
        ParameterError
            If a hyper-parameter is out of range, or there are more factors than held-in units.
        """
        self._check_params()
        arrays = training_arrays(data, n_units=2)
        check_n_latents(self.n_latents, arrays)
        return self._fit(data, arrays, resolve_seed(rng), progress)

    @classmethod
    def _hyper_parameters(cls, parameters: xr.Dataset) -> dict[str, Any]:
        known = super()._hyper_parameters(parameters)
        return known | {"n_latents": parameters.sizes["latent_dim"]}

    def _find(self, root: np.ndarray) -> equations.Projection:
        return equations.find_factors(root, self.n_latents)

    def _draw(
        self, lengths: Sequence[int], generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        result = self.result_
        width = result.attrs["smoothing"] / result.attrs["bin_size"]
        margin = int(4 * width + 0.5)
        shape = len(lengths), max(lengths) + 2 * margin, result.sizes["latent_dim"]
        latent = gaussian_filter1d(generator.standard_normal(shape), width, axis=1)
        kernel = gaussian_filter1d(np.eye(1, 2 * margin + 1, margin), width)
        latent = latent[:, margin : margin + max(lengths)] / np.sqrt((kernel**2).sum())
        drive = result["log_rate"].values + latent @ result["weight"].values.T
        return np.exp(drive), latent
