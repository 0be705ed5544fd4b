"""Langevin flow: latents that move like coupled oscillators in a heat bath, and rates from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import Constraint, Interval, Names, Options
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.engines.poisson.score import bits_per_spike
from neurokit_sdr.engines.training.plan import Settings
from neurokit_sdr.engines.training.steps import random_key
from neurokit_sdr.generative.gradient_model import GradientModel, divided, scaled, scaling
from neurokit_sdr.generative.langevin_flow.labels import (
    VARIABLES,
    described,
    in_order,
    label_physics,
    make_batch,
    with_covariates_at_means,
)
from neurokit_sdr.generative.langevin_flow.landscape import check_has_potential, landscape
from neurokit_sdr.generative.langevin_flow.network import (
    LATENT_PATHS,
    Flow,
    Sizes,
    in_single_precision,
)
from neurokit_sdr.generative.langevin_flow.predictions import (
    N_DRAWS,
    Said,
    from_prior,
    hidden_in_turn,
    mean_and_band,
    mean_path_is_better,
    on_mean_path,
)
from neurokit_sdr.generative.langevin_flow.variants import VARIANTS, Variant
from neurokit_sdr.generative.rates.arrays import Arrays, evaluation_arrays, training_arrays
from neurokit_sdr.generative.rates.labels import begin_result, label
from neurokit_sdr.generative.rates.model import RateModel

#: Parts that the counts are hidden in, one after another, where no unit was held out.
N_HIDDEN = 5


class LangevinFlow(GradientModel, RateModel):
    r"""Sequential variational autoencoder whose latents follow underdamped Langevin dynamics.

    .. math::

       dz = v\,dt, \qquad m\,dv = (-\nabla U(z) + B u_t)\,dt - \gamma m v\,dt +
       \sqrt{2\gamma m k_B T}\,dW, \qquad
       x_{tn} \sim \mathrm{Poisson}\big(e^{\,g_n(z, v)_t}\big)

       U(z) = \tfrac12\sum_i k_i z_i^2 + \tfrac12 s^\top S s, \qquad s_i = 2\tanh(z_i/2)

    Positions z and velocities v are those of ``n_latents`` oscillators in four groups; S couples
    neighbours along a group and groups at the same place (a convolution kernel over three
    places). U is bounded below and confines whatever S is. Steps are BAOAB, of second order. The
    decoder g is one transformer layer over the bins of a trial on top of a linear map. Posterior:
    a recurrent network reads the trial in both directions and drives the same dynamics, so that
    given the past each velocity is Gaussian and the divergence from the prior is exact. Trained on
    the evidence lower bound with coordinated dropout.

    Parameters
    ----------
    n_latents
        Oscillators, a multiple of 4. (Latents are twice as many: positions and velocities.)
    n_hidden
        Units of the recurrent network in each direction, and width of the decoder; even.
    variant
        ``"paper"``, the model above, or ``"released"``: the authors' code as it is, with its
        integrator, unbounded potential and divergence, described in
        ``langevin_flow/released.py``. It takes ``n_latents = n_hidden`` whatever is said.
    latent_path
        What the decoder reads: ``"latents_only"``; ``"full"``, the recurrent state beside them as
        published; or ``"recurrent_only"``, the control without any latent.
    covariates
        Names of variables ``([trial,] [time])`` of the data, such as a stimulus or behaviour: they
        push the latents (:math:`u_t`, scaled to unit variance) and are read by the posterior. Not
        in the released variant.
    time_step
        :math:`\Delta`, the model's units of time per bin.
    kl_weight
        Of the divergence, at the end of its rise over a fifth of the training. Below 1 the latents
        say more than the evidence lower bound allows, and predict held-out units better. (The
        released code has 0.1 on a scale of its own, and 500 epochs.)
    coordinated_dropout
        Probability that a count is hidden from the encoder in a training step; hidden counts (and
        as large a share of the others) are what the gradient is taken of.
    dropout
        Rate of plain dropout in the encoder's state and the decoder.
    crop
        Share of trials of which a step takes a random window, a quarter of the trial or longer.
        Without it the model learns the conditions by heart.
    learning_rate
        Largest; it rises over 5 % of the steps and falls to zero as a cosine. (The released
        variant lowers it on plateaus.)
    batch_size
        Trials per step at most.
    n_steps
        Steps in all, rounded up to whole passes over the trials.
    patience
        Passes without a better validation before training stops early; 0 for never.
    validation_fraction
        Share of the trials that only choose the best weights.

    Attributes
    ----------
    result_ : xarray.Dataset
        ``weight(parameter)`` (best on validation) and ``last_weight(parameter)`` with the layout
        of the network in their attributes; of the paper's variant ``stiffness(oscillator)``,
        ``mass(oscillator)``, ``temperature(scalar)`` in the model's units, ``friction(oscillator)``
        in 1/s, ``coupling(oscillator, other_oscillator)``, ``frequency(mode)`` in Hz and
        ``mode_shape(oscillator, mode)`` of small oscillations about the origin;
        ``covariate_mean(covariate)``, ``covariate_sd(covariate)``; and the history
        ``loss(epoch)``, ``poisson(epoch)``, ``kl(epoch)``, ``validation_loss(epoch)``,
        ``validation_poisson(epoch)``, ``validation_kl(epoch)`` (nats per count, without
        :math:`\log x!`), ``learning_rate(epoch)``, ``kl_weight(epoch)`` and
        ``gradient_norm(epoch)``.

    Notes
    -----
    Song, Keller, Yue, Perona and Welling, *Langevin Flows for Modeling Neural Latent Dynamics*,
    CCN 2025, arXiv 2507.11531. We differ from their released code: the potential confines, the
    integrator is consistent with the equation, the divergence is exact, the encoder reads each bin
    once and in both directions, the decoder does not see the recurrent state (with it the latents
    stay at their prior and the state carries the data: ``latent_path="full"``), its nonlinear part
    is left out of a share of the training trials, and trials are cropped.

    Missing bins (``observed`` false) are hidden from the encoder and not scored; the dynamics run
    through them. Bins marked ``forward`` are predicted by the dynamics from the window's end.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> network = nks.snn.latent_driven(12, latents="oscillator", rng=0)
    >>> session = nks.snn.simulate(network, 4.0, rng=0, progress=False)
    >>> counts = nks.bin_spikes(session, bin_size=0.05)
    >>> model = nks.generative.LangevinFlow(n_latents=4, n_hidden=8, n_steps=4)
    >>> model = model.fit(counts, rng=0, progress=False)
    >>> dict(model.predict(counts)["expected_count"].sizes)
    {'time': 80, 'unit': 12}
    """

    _allowed: ClassVar[Mapping[str, Constraint]] = {
        "n_latents": Interval(int, 4),
        "n_hidden": Interval(int, 2),
        "variant": Options("paper", "released"),
        "latent_path": Options(*LATENT_PATHS),
        "covariates": Names(),
        "time_step": Interval(float, 0, 2, open_low=True),
        "kl_weight": Interval(float, 0),
        "coordinated_dropout": Interval(float, 0, 0.95),
        "dropout": Interval(float, 0, 0.95),
        "crop": Interval(float, 0, 1),
        "learning_rate": Interval(float, 0, 1, open_low=True),
        "batch_size": Interval(int, 1),
        "n_steps": Interval(int, 1),
        "patience": Interval(int, 0),
        "validation_fraction": Interval(float, 0, 0.9),
    }
    _needed: ClassVar[dict[str, tuple[str, ...]]] = {"weight": ("parameter",)}

    def __init__(
        self,
        *,
        n_latents: int = 32,
        n_hidden: int = 64,
        variant: str = "paper",
        latent_path: str = "latents_only",
        covariates: Sequence[str] | None = None,
        time_step: float = 0.5,
        kl_weight: float = 0.15,
        coordinated_dropout: float = 0.5,
        dropout: float = 0.05,
        crop: float = 0.3,
        learning_rate: float = 2e-3,
        batch_size: int = 16,
        n_steps: int = 8000,
        patience: int = 0,
        validation_fraction: float = 0.05,
    ) -> None:
        self.n_latents = n_latents
        self.n_hidden = n_hidden
        self.variant = variant
        self.latent_path = latent_path
        self.covariates = covariates
        self.time_step = time_step
        self.kl_weight = kl_weight
        self.coordinated_dropout = coordinated_dropout
        self.dropout = dropout
        self.crop = crop
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_steps = n_steps
        self.patience = patience
        self.validation_fraction = validation_fraction

    def fit(
        self,
        data: xr.Dataset,
        *,
        rng: RNG = None,
        progress: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Fit to binned spikes.

        Parameters
        ----------
        data
            ``count([trial,] time, unit)``; optionally ``trial_length(trial)``, ``observed([trial,]
            time)``, and the coordinates ``held_in(unit)`` (false: a target, never read) and
            ``forward(time)`` (bins ahead: targets, never read), as
            ``nks.validation.held_out_split`` sets them.
        rng
            Seed or generator.
        progress
            Whether to show a bar.
        checkpoint
            A file to keep the fit's state in; needs an int ``rng``. If it exists and belongs to
            this fit, the fit goes on from there and ends with the bits of one that was not killed;
            it is removed at the end.

        Returns
        -------
        LangevinFlow
            This model, with ``result_``.

        Raises
        ------
        SchemaError
            If the data break the schema, or hold nothing to fit: fewer than two held-in units, no
            spikes, no observed bins.
        ParameterError
            If a hyper-parameter is out of range, or the checkpoint is of another fit.
        TrainingError
            If the loss or its gradient stops being finite before the first epoch was validated.

        Warns
        -----
        ConvergenceWarning
            If Ctrl-C or numbers that are not finite ended the training, or ``patience`` had not
            run out with a rate that does not fall to zero; ``result_`` then holds the best so far.
        """
        self._check_params()
        self._variant.check_sizes(self.n_latents, self.n_hidden, self.covariates)
        names = list(self.covariates or ())
        arrays = training_arrays(data, n_units=2, covariates=names)
        begun = self._begin(data, rng, checkpoint)
        result = begin_result(data, arrays)
        if names:
            result = result.merge(scaling(arrays.covariates[arrays.inside], names))
        batch = self._batch(arrays, result)
        training, validation = divided(
            batch, batch["observed"], self.validation_fraction, begun.seed
        )
        sizes = self._sizes(arrays.held_in, len(names))
        mean = training["counts"].sum(axis=(0, 1)) / training["observed"].sum()
        trained, found = self._train(
            self._network(sizes, random_key(begun.seed, "weights"), np.log(mean + 1e-4)),
            self._variant.loss(
                sizes,
                result.attrs["n_forward"],
                keep=1 - self.coordinated_dropout,
                crop=self.crop,
            ),
            training,
            validation,
            self._settings(len(training["counts"])),
            begun,
            progress,
        )
        result = result.merge(found)
        if isinstance(trained.best, Flow) and trained.best.oscillators is not None:
            seconds = result.attrs["bin_size"] / self.time_step
            result = result.merge(label_physics(trained.best.oscillators.physics(), seconds))
        mean_path = self.latent_path != "recurrent_only" and mean_path_is_better(
            trained.best, validation, sizes.n_inputs, random_key(begun.seed, "mean_path")
        )
        result.attrs |= {**found.attrs, "mean_path": int(mean_path)}
        return self._end(result, trained, begun)

    def forecast(
        self, data: xr.Dataset, n_bins: int, *, n_draws: int = 100, rng: RNG = None
    ) -> xr.Dataset:
        """Say what comes after the data, by letting the dynamics run on from their end.

        Parameters
        ----------
        data
            As for :meth:`predict`; bins that it marks as ``forward`` are not read.
        n_bins
            Bins ahead of each trial's end.
        n_draws
            Paths that are drawn.
        rng
            Seed or generator of the draws.

        Returns
        -------
        xarray.Dataset
            ``expected_count([trial,] time, unit)`` (mean over paths), ``expected_count_low`` and
            ``expected_count_high`` (central 95 % of paths) in spikes per bin, in the bins of the
            data and the ``n_bins`` after each trial's last; ``forward(time)`` is true beyond the
            data's last bin. A trial shorter than the data is forecast from its own end.

        Raises
        ------
        NotFittedError, SchemaError
        ParameterError
            If ``n_bins`` or ``n_draws`` is not a whole number of at least 1.
        """
        result = self._check_fitted()
        for name, value in (("n_bins", n_bins), ("n_draws", n_draws)):
            if value not in Interval(int, 1):
                raise ParameterError(
                    f"Expected {name} as a whole number of at least 1, got {value!r}."
                )
        arrays = evaluation_arrays(data, result, n_bins)
        data = data.isel(time=slice(arrays.n_window))
        ends = np.minimum(arrays.inside.sum(axis=1), arrays.n_window) + n_bins
        inside = np.arange(arrays.forward.size) < ends[:, None]
        ahead = arrays._replace(inside=inside)
        key = random_key(resolve_seed(rng), "forecast")
        said = self._rates(ahead, n_draws, key)
        return label(described(said), data, ahead, result)

    def _prediction(self, arrays: Arrays) -> Mapping[str, np.ndarray]:
        key = random_key(int(self.result_.attrs["seed"]), "predict")
        said = self._rates(arrays, N_DRAWS, key)
        if self.result_.attrs.get("mean_path"):
            band = said["expected_count_low"], said["expected_count_high"]
            said["expected_count"] = np.clip(self._run(arrays).expected_count, *band)
        return said

    def _expected_count(self, arrays: Arrays) -> np.ndarray:
        return self._prediction(arrays)["expected_count"]

    def _latent(self, arrays: Arrays) -> np.ndarray:
        return self._run(arrays).latent

    def predict(self, data: xr.Dataset) -> xr.Dataset:
        """Return the rates of all units in all bins, from the held-in units alone.

        Parameters
        ----------
        data
            ``count([trial,] time, unit)`` with the units of the fit, or the held-in ones of them
            (the fit decides which), and its bin size. Held-out units and forward bins may be
            present; they are not read.

        Returns
        -------
        xarray.Dataset
            ``expected_count([trial,] time, unit)`` in spikes per bin, for all units of the fit, in
            all bins of the input and as many forward bins as the fit had (or the input marks);
            labelled like the input, NaN beyond a trial's end. The mean over 32 draws from the
            posterior or, where the fit's validation trials were better predicted so
            (``attrs["mean_path"]`` of ``result_``), the rates on the path of its means.
            ``expected_count_low`` and ``expected_count_high``, of the same dims, hold the central
            95 % of the draws: what is not known about the rates, not the counts' own scatter. (The
            recurrent control draws nothing and has no band.)

        Raises
        ------
        NotFittedError, SchemaError
        """
        return super().predict(data)

    def transform(self, data: xr.Dataset) -> xr.Dataset:
        """Return the latents behind the counts, and what the decoder makes of them.

        Parameters
        ----------
        data
            As for :meth:`predict`.

        Returns
        -------
        xarray.Dataset
            ``latent([trial,] time, latent_dim)``, positions and then velocities on the path of the
            posterior's means (of the recurrent control its states), and ``factor([trial,] time,
            factor_dim)``, the decoder's features, which log rates are affine in: other bins of the
            trial have their say in them, so they are less noisy than the latents.

        Raises
        ------
        NotFittedError, SchemaError
        """
        arrays = evaluation_arrays(data, self._check_fitted())
        passed = self._run(arrays)
        variables = {}
        for name, values in (("latent", passed.latent), ("factor", passed.factor)):
            attrs = {"units": "1", "long_name": f"inferred {name}"}
            variables[name] = (values, f"{name}_dim", attrs)
        return label(variables, data, arrays, self.result_)

    def landscape(
        self,
        data: xr.Dataset | None = None,
        *,
        plane: str = "positions",
        modes: int | Sequence[int] | None = None,
        extent: float | Sequence[float] | None = None,
        n_points: int = 41,
    ) -> xr.Dataset:
        r"""Return a slice of the potential and of the flow, in the plane of normal modes.

        .. math:: z = \Phi q, \qquad
                  \ddot q_i = -\frac{\partial U}{\partial q_i} - \gamma_i \dot q_i

        Single oscillators are coupled and arbitrary; their normal modes :math:`\Phi`
        (``result_["mode_shape"]``) move apart from one another near the origin, with
        ``result_["frequency"]``. All other modes rest at the origin of the slice. Noise, covariates
        and what the recording tells are not in it: it shows where the dynamics alone would go.

        Parameters
        ----------
        data
            As for :meth:`predict`: the path of its latents, projected on the plane, comes along.
        plane
            ``"positions"``, of two modes; or ``"phase"``, position and velocity of one mode.
        modes
            Which, by their place in ``result_``: two of them, or one for ``"phase"``. None takes
            those along which the latents of the data vary most, without data the slowest.
        extent
            Half the width and half the height, a number or one for each. None shows up to five
            thermal energies above the lowest point, and all of the data's latents.
        n_points
            Points of the grid along each axis.

        Returns
        -------
        xarray.Dataset
            Of ``"positions"``: ``potential(other_position, position)``, zero at the origin, in
            thermal energies kT, and minus its gradient, ``force`` and ``other_force``. Of
            ``"phase"``: ``energy(velocity, position)``, potential and kinetic, in kT, and the flow
            without noise, ``position_rate`` and ``velocity_rate`` in 1/s. Of both:
            ``trajectory([trial,] time, axis)`` of the data, and the modes as ``attrs["modes"]``.
            Positions and velocities are in the model's units.

        Raises
        ------
        NotFittedError, SchemaError
        ParameterError
            If a parameter is out of range, or the model has no potential that confines.
        """
        result = self._check_fitted()
        check_has_potential(result, self.variant, self.latent_path)
        return landscape(
            result,
            self.time_step,
            None if data is None else self.transform(data)["latent"],
            plane=plane,
            modes=modes,
            extent=extent,
            n_points=n_points,
        )

    def _draw(
        self, lengths: Sequence[int], generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.variant != "paper" or self.latent_path != "latents_only":
            raise ParameterError(
                f"Expected variant='paper' with latent_path='latents_only' to simulate, got "
                f"{self.variant!r} with {self.latent_path!r}: its rates depend on a recurrent "
                f"state that only recorded counts can set."
            )
        held_in = self.result_["held_in"].values.astype(bool)
        n_covariates = self.result_.sizes.get("covariate", 0)
        key = random_key(int(generator.integers(2**63)), "simulate")
        expected, latent = from_prior(self._trained(), lengths, n_covariates, key)
        return in_order(expected, held_in), latent

    def simulate(self, n_bins: int | Sequence[int], *, rng: RNG = None) -> xr.Dataset:
        """Simulate the population from the prior: the dynamics alone, without any recording.

        Parameters
        ----------
        n_bins
            Length of the recording, or lengths of the trials.
        rng
            Seed or generator.

        Returns
        -------
        xarray.Dataset
            ``count([trial,] time, unit)`` with the true ``expected_count([trial,] time, unit)``
            (spikes per bin) and ``latent([trial,] time, latent_dim)``; covariates at their means.

        Raises
        ------
        NotFittedError
        ParameterError
            If the decoder reads a recurrent state, which only recorded counts can set, ``n_bins``
            is no whole number of at least 1, nor a list of them, or the rates run away.
        """
        return with_covariates_at_means(super().simulate(n_bins, rng=rng), self._check_fitted())

    def score(self, data: xr.Dataset) -> float:
        """Return how well counts that the model did not read are predicted, in bits per spike.

        Of a model with held-out units, the co-smoothing likelihood of these: see
        :func:`nks.validation.co_bits_per_spike`. Of one without, a fifth of all counts at a time,
        drawn at random (by the model's seed), is hidden and predicted from the others.

        Parameters
        ----------
        data
            As for :meth:`predict`, with the counts of the held-out units.

        Returns
        -------
        float
            Bits per spike over the mean counts in the evaluated bins; higher is better.

        Raises
        ------
        NotFittedError
        SchemaError
            If the data do not fit, lack the held-out units, or hold no spike of them.
        """
        result = self._check_fitted()
        if not result["held_in"].values.all():
            return super().score(data)
        arrays = evaluation_arrays(data, result)
        part = stream(int(result.attrs["seed"]), "hidden").integers(
            N_HIDDEN, size=arrays.inputs.shape
        )
        expected = hidden_in_turn(arrays, part, N_HIDDEN, self._expected_count)
        scored = arrays.scored[:, : arrays.n_window, None]
        count = np.where(scored, arrays.inputs, np.nan)
        return bits_per_spike(expected, count)

    # -- network --------------------------------------------------------------------------------

    @property
    def _variant(self) -> Variant:
        return VARIANTS[self.variant]

    def _sizes(self, held_in: np.ndarray, n_covariates: int) -> Sizes:
        return Sizes(int(held_in.sum()), held_in.size, n_covariates, self.n_latents, self.n_hidden)

    def _network(self, sizes: Sizes, key: jax.Array, log_mean: np.ndarray) -> Any:
        network = self._variant.network(
            key,
            sizes,
            log_mean,
            latent_path=self.latent_path,
            time_step=self.time_step,
            dropout=self.dropout,
        )
        return in_single_precision(network)

    def _template(self, result: xr.Dataset) -> Any:
        held_in = result["held_in"].values.astype(bool)
        sizes = self._sizes(held_in, result.sizes.get("covariate", 0))
        return self._network(sizes, random_key(0, "template"), np.zeros(held_in.size))

    def _settings(self, n_trials: int) -> Settings:
        n_epochs = -(-self.n_steps // -(-n_trials // self.batch_size))
        return Settings(
            n_epochs=n_epochs,
            batch_size=self.batch_size,
            groups=self._variant.group(self.learning_rate),
            schedules={"kl_weight": self._variant.kl_weight(self.kl_weight, n_epochs)},
            patience=self.patience or None,
            average=self._variant.average,
        )

    # -- predictions ----------------------------------------------------------------------------

    def _batch(self, arrays: Arrays, result: xr.Dataset) -> dict[str, np.ndarray]:
        return make_batch(arrays._replace(covariates=scaled(arrays.covariates, result)))

    def _run(self, arrays: Arrays) -> Said:
        """What the network says on the path of the posterior's means."""
        batch = self._batch(arrays, self._check_fitted())
        said = on_mean_path(self._trained(), batch, int(arrays.held_in.sum()))
        return said._replace(expected_count=in_order(said.expected_count, arrays.held_in))

    def _rates(self, arrays: Arrays, n_draws: int, key: jax.Array) -> dict[str, np.ndarray]:
        """Mean and band of the rates over draws from the posterior, (trial, bin, unit)."""
        if self.latent_path == "recurrent_only":
            return {"expected_count": self._run(arrays).expected_count}
        batch = self._batch(arrays, self._check_fitted())
        drawn = mean_and_band(self._trained(), batch, int(arrays.held_in.sum()), n_draws, key)
        return {
            name: in_order(values, arrays.held_in)
            for name, values in zip(VARIABLES, drawn, strict=True)
        }
