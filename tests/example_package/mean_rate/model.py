"""The thin class that checks, calls and labels."""

from __future__ import annotations

from typing import ClassVar, Self

import xarray as xr

from mean_rate import equations, labels
from neurokit_sdr.core import results
from neurokit_sdr.core.arguments import Interval, check_whole
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.estimator import Constraint, Estimator, Tags
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream


class MeanRate(Estimator):
    r"""Each unit fires at its mean rate, whatever the others do.

    .. math:: x_{tn} \sim \mathrm{Poisson}(\lambda_n), \qquad
              \hat\lambda_n = \frac{a + \sum_t x_{tn}}{T}

    Parameters
    ----------
    pseudo_count
        :math:`a`: spikes added to each unit, so that one that was silent may fire.

    Attributes
    ----------
    result_ : xarray.Dataset
        ``mean_count(unit)``, :math:`\hat\lambda` in spikes per bin, and ``log_likelihood()`` of
        the training data in nats per bin.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(n_units=5, n_states=2, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 500, rng=0)
    >>> model = MeanRate().fit(counts, progress=False)
    >>> model.predict(counts)["expected_count"].dims
    ('time', 'unit')
    """

    tags = Tags(kind="counts", samples="time", features="unit", ordered=False)
    _allowed: ClassVar[dict[str, Constraint]] = {
        "pseudo_count": Interval(float, 0, open_low=True),
    }

    def __init__(self, *, pseudo_count: float = 0.5) -> None:
        self.pseudo_count = pseudo_count

    def fit(self, data: xr.Dataset, *, rng: RNG = None, progress: bool = True) -> Self:
        """Fit to binned spikes.

        Parameters
        ----------
        data
            ``count([trial,] time, unit)``; bins that are missing or context are left out.
        rng
            Recorded; the fit draws nothing.
        progress
            Whether to show a bar.

        Raises
        ------
        ParameterError, SchemaError
        """
        self._check_params()
        count = labels.scored_counts(data)
        if not count.any():
            raise SchemaError(f"Expected spikes, got none in {len(count)} bins.")
        seed = resolve_seed(rng)
        with progress_bar(1, type(self).__name__, progress) as bar:
            fitted = equations.fit(count, self.pseudo_count)
            bar.update()
        return self._finish(
            labels.label_fit(fitted, data),
            seed=seed,
            status=results.CONVERGED,
            fingerprint=results.fingerprint(data),
        )

    def predict(self, data: xr.Dataset) -> xr.Dataset:
        """Return the expected counts.

        Parameters
        ----------
        data
            As for :meth:`fit`, with its units and bin size.

        Returns
        -------
        xarray.Dataset
            ``expected_count([trial,] time, unit)``, NaN beyond a trial's end.

        Raises
        ------
        NotFittedError, SchemaError
        """
        result = self._check_fitted()
        labels.scored_counts(data)
        labels.check_same_units(data, result)
        return labels.label_prediction(result["mean_count"].values, data)

    def score(self, data: xr.Dataset) -> float:
        """Return the log likelihood in nats per bin.

        Parameters
        ----------
        data
            As for :meth:`predict`.

        Raises
        ------
        NotFittedError, SchemaError
        """
        result = self._check_fitted()
        count = labels.scored_counts(data)
        labels.check_same_units(data, result)
        return equations.log_likelihood(count, result["mean_count"].values)

    def simulate(self, n_bins: int, *, rng: RNG = None) -> xr.Dataset:
        """Return a recording of the fitted units.

        Parameters
        ----------
        n_bins
            Its length.
        rng
            Seed or generator.

        Returns
        -------
        xarray.Dataset
            ``count(time, unit)``.

        Raises
        ------
        NotFittedError, ParameterError
        """
        result = self._check_fitted()
        shape = check_whole("n_bins", n_bins, 1), result.sizes["unit"]
        seed = resolve_seed(rng)
        count = stream(seed, "simulate").poisson(result["mean_count"].values, shape)
        return labels.label_simulation(count, result, seed)

    @classmethod
    def from_parameters(cls, parameters: xr.Dataset) -> Self:
        """Return a model of known rates.

        Parameters
        ----------
        parameters
            ``mean_count(unit)`` in spikes per bin, and ``attrs["bin_size"]`` in seconds.

        Raises
        ------
        SchemaError
        """
        return cls._known(labels.check_parameters(parameters))
