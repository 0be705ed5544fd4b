"""A population whose rates follow a linear dynamical system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.estimator import Interval, OneOrSeveral, Options
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG, resolve_seed
from neurokit_sdr.core.threads import one_blas_thread
from neurokit_sdr.generative.poisson_lds import equations
from neurokit_sdr.generative.poisson_lds.labels import data_of, label_parameters, unlabel
from neurokit_sdr.generative.rates.arrays import Arrays, check_n_latents, training_arrays
from neurokit_sdr.generative.rates.labels import begin_result
from neurokit_sdr.generative.rates.model import RateModel


class PoissonLDS(RateModel):
    r"""Poisson observations of a linear dynamical system.

    .. math:: x_1 \sim N(\mu_1, V_1), \quad x_t = A x_{t-1} + N(0, Q), \quad
              y_{tn} \sim \mathrm{Poisson}\big(e^{d_n + c_n \cdot x_t}\big)

    Fitted by expectation maximisation. The posterior of a trial's latents is taken as the Gaussian
    around its mode (Laplace), found by Newton's method on the whole trial at once, whose Hessian
    is block-tridiagonal; the dynamics follow in closed form, loadings and biases by Newton steps on
    the expected log likelihood, with the posterior's variance in it:
    :math:`\mathbb{E}[\lambda] = \exp(d + Cm + \tfrac12 \mathrm{diag}(C V C^\top))`.

    Parameters
    ----------
    n_latents
        Dimension of :math:`x`.
    max_iter
        Iterations at most.
    tol
        Converged once an iteration gains less than this per observed bin, in nats.

    Attributes
    ----------
    result_ : xarray.Dataset
        ``transition(latent_dim, other_dim)`` :math:`A`, from ``other_dim`` to ``latent_dim``;
        ``noise_covariance(latent_dim, other_dim)`` :math:`Q`; ``initial_mean(latent_dim)`` and
        ``initial_covariance(latent_dim, other_dim)``; ``loading(unit, latent_dim)`` :math:`C`;
        ``log_rate(unit)`` :math:`d`; ``objective(iteration)``, Laplace's approximation to the log
        posterior of the parameters, and ``log_likelihood(iteration)``, the same without the
        priors, both in nats and without the counts' factorials.

    Notes
    -----
    Macke, Buesing, Cunningham, Yu, Shenoy and Sahani, *Empirical models of spiking in neural
    populations*, NeurIPS 2011. Latents are rotated and scaled such that in the training data they
    are uncorrelated with unit variance and the columns of the loading are orthogonal, the longest
    first. Weak priors bound what data may leave open: loadings N(0, 1) per latent of the starting
    scale, log rates within a standard deviation of 6 around that of the mean count, noise
    covariances a pseudo-count, transitions a ridge. Since a Laplace posterior is no exact one, an
    iteration may lower the objective; the fit then ends, and the best parameters are kept.

    All units of the fit are observations, forward bins too; :meth:`predict` conditions on held-in
    units in observed bins, and forward bins are the dynamics' forecast, with its variance. Missing
    bins say nothing: their latents follow from the bins around them.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(n_units=6, n_states=2, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 300, rng=0)
    >>> model = nks.generative.PoissonLDS(n_latents=2, tol=1e-3)
    >>> model.fit(counts, rng=0, progress=False).result_.attrs["status"]
    'converged'
    """

    _allowed: ClassVar[dict[str, Interval | Options | OneOrSeveral]] = {
        "n_latents": Interval(int, 1),
        "max_iter": Interval(int, 1),
        "tol": Interval(float, 0),
    }
    _needed: ClassVar[dict[str, tuple[str, ...]]] = {
        "transition": ("latent_dim", "other_dim"),
        "noise_covariance": ("latent_dim", "other_dim"),
        "initial_mean": ("latent_dim",),
        "initial_covariance": ("latent_dim", "other_dim"),
        "loading": ("unit", "latent_dim"),
        "log_rate": ("unit",),
    }

    def __init__(self, *, n_latents: int = 8, max_iter: int = 200, tol: float = 1e-4) -> None:
        self.n_latents = n_latents
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, data: xr.Dataset, *, rng: RNG = None, progress: bool = True) -> Self:
        """Fit to binned spikes.

        Parameters
        ----------
        data
            As for :meth:`Smoothing.fit`.
        rng
            Recorded; the fit draws nothing.
        progress
            Whether to show a bar.

        Raises
        ------
        SchemaError
            If the data break the schema, hold nothing to fit, or fewer than two held-in units.
        ParameterError
            If a hyper-parameter is out of range, or there are more latents than held-in units.

        Warns
        -----
        ConvergenceWarning
            If it stopped before its tolerance, or Ctrl-C ended it; ``result_`` then holds the best
            so far.
        """
        self._check_params()
        arrays = training_arrays(data, n_units=2)
        check_n_latents(self.n_latents, arrays)
        seed = resolve_seed(rng)
        known = data_of(arrays, np.ones_like(arrays.held_in), arrays.valid)
        known = known.take(np.flatnonzero(arrays.valid.any(axis=1)))
        with (
            one_blas_thread(),  # sums do not depend on how many there are
            progress_bar(None, type(self).__name__, progress) as bar,
        ):

            def report(objective: float) -> None:
                bar.set_postfix_str(f"log posterior {objective:.1f}", refresh=False)
                bar.update()

            start = equations.begin(known, self.n_latents)
            fit = equations.fit(
                known, start, max_iter=self.max_iter, tol=self.tol, on_iteration=report
            )
            parameters = equations.canonical(known, fit.parameters)
        nats = {"units": "nats"}
        result = begin_result(data, arrays).merge(label_parameters(parameters))
        result["objective"] = ("iteration", fit.objective, {"long_name": "log posterior", **nats})
        result["log_likelihood"] = ("iteration", fit.log_likelihood, nats)
        status = results.outcome(fit.converged, fit.interrupted, self.max_iter)
        return self._finish(result, seed=seed, status=status, fingerprint=results.fingerprint(data))

    @classmethod
    def _hyper_parameters(cls, parameters: xr.Dataset) -> dict[str, Any]:
        known = super()._hyper_parameters(parameters)
        return known | {"n_latents": parameters.sizes["latent_dim"]}

    @classmethod
    def from_parameters(cls, parameters: xr.Dataset) -> Self:
        """Return a model with known parameters.

        Parameters
        ----------
        parameters
            The variables of ``result_`` that are no history, ``unit`` and ``bin_size`` (s) among
            them.

        Raises
        ------
        SchemaError
            If a parameter is missing, misshapen or not finite, or a covariance not positive
            definite.
        """
        model = super().from_parameters(parameters)
        for name in ("noise_covariance", "initial_covariance"):
            matrix = parameters[name].values
            square = matrix.shape[0] == matrix.shape[1] and np.allclose(matrix, matrix.T)
            if not square or np.linalg.eigvalsh(matrix)[0] <= 0:
                raise SchemaError(
                    f"Expected a symmetric, positive definite {name!r}, got one of shape "
                    f"{matrix.shape} that is not: give each latent some noise."
                )
        return model

    def _posterior(self, arrays: Arrays) -> equations.Posterior:
        p = unlabel(self.result_)
        seen = arrays.valid & ~arrays.forward
        held_in = arrays.held_in
        read = p._replace(loading=p.loading[held_in], bias=p.bias[held_in])
        return equations.infer(data_of(arrays, held_in, seen), read)

    def _expected_count(self, arrays: Arrays) -> np.ndarray:
        posterior = self._posterior(arrays)
        return equations.expected_counts(
            posterior.mean, posterior.covariance, unlabel(self.result_)
        )

    def _latent(self, arrays: Arrays) -> np.ndarray:
        return self._posterior(arrays).mean

    def _draw(
        self, lengths: Sequence[int], generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        p = unlabel(self.result_)
        noise = generator.standard_normal((len(lengths), max(lengths), len(p.first_mean)))
        latent = np.empty_like(noise)
        latent[:, 0] = p.first_mean + noise[:, 0] @ np.linalg.cholesky(p.first_noise).T
        moved = noise @ np.linalg.cholesky(p.noise).T
        for t in range(1, max(lengths)):
            latent[:, t] = latent[:, t - 1] @ p.transition.T + moved[:, t]
        with np.errstate(over="ignore"):  # refused by the caller
            return np.exp(p.bias + latent @ p.loading.T), latent
