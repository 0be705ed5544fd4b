r"""The networks of Langevin flows: encoder, posterior, transition, decoder, and the loss.

Shapes: trials come first in what the outside sees, (trial, bin, ...); recursions run over the first
axis, (bin, trial, ...). Units are ordered with the held-in ones first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neurokit_sdr.generative.langevin_flow import equations
from neurokit_sdr.generative.networks import GRU, Linear, TransformerLayer, dropout

LATENT_PATHS = ("latents_only", "full", "recurrent_only")

#: Logarithms of standard deviations are kept inside: the exponential of what a network says in
#: its first steps would else overflow.
SMALLEST_LOG_SD, LARGEST_LOG_SD = -5.0, 2.0

#: The posterior's drive, in standard deviations of the prior's, stays within: with a potential that
#: confines no feedback of the drive on the state can then run away.
LARGEST_DRIVE = 10.0

#: Where the dynamics start: friction and stiffness per unit of time, periods of some 40 bins.
FIRST_FRICTION, FIRST_STIFFNESS = 0.5, 0.1

#: Of how many training trials the decoder is its linear part alone. Latents that only the
#: transformer could read would not be worth looking at.
LINEAR_SHARE = 0.3

#: Shortest window that is cut out of a trial in training, as a share of the trial.
SHORTEST_WINDOW = 0.25


class Trials(NamedTuple):
    """What the network reads.

    Attributes
    ----------
    inputs
        Counts of the held-in units, shape (trial, bin, held_in); 0 where there are none.
    observed
        Bins that hold counts, shape (trial, bin).
    window
        Bins from the first to the last of the window, whether observed or not: here the posterior
        may differ from the prior. Shape (trial, bin).
    inside
        Bins of the window and ahead of it, shape (trial, bin).
    covariates
        Shape (trial, bin, covariate).
    """

    inputs: jax.Array
    observed: jax.Array
    window: jax.Array
    inside: jax.Array
    covariates: jax.Array


class Output(NamedTuple):
    """What the network says of trials.

    Attributes
    ----------
    log_rate
        Log of the expected count, shape (trial, bin, unit).
    latent
        Positions, then velocities (of the recurrent control its states), shape (trial, bin,
        latent).
    factor
        What log rates are affine in, shape (trial, bin, factor).
    kl
        Of the posterior from the prior, nats, shape (trial,).
    """

    log_rate: jax.Array
    latent: jax.Array
    factor: jax.Array
    kl: jax.Array


class Sizes(NamedTuple):
    """How large a network is."""

    n_inputs: int
    n_outputs: int
    n_covariates: int
    n_latents: int
    n_hidden: int


class Flow(eqx.Module):
    r"""The Langevin flow as a proper generative model.

    Prior: :math:`z_1 \sim N(0, I)`, :math:`v_1 \sim N(0, k_BT/m)`, then BAOAB steps driven by
    :math:`\xi_t \sim N(0, I)`. Posterior: the same steps driven by :math:`\xi_t \sim N(a_t, s_t^2)`
    with :math:`(a_t, \log s_t)` affine in the encoder's state and the current position and
    velocity; so velocities are Gaussian given the past, and the KL divergence of whole paths is
    exactly the sum of those of the :math:`\xi_t` and of the first state. Ahead of the window the
    posterior is the prior.
    """

    encoder: GRU
    encoder_back: GRU
    first: Linear | None
    control_encoder: Linear | None
    control_state: Linear | None
    oscillators: equations.Oscillators | None
    push: Linear | None
    mix: Linear
    layer: TransformerLayer
    readout: Linear
    latent_path: str = eqx.field(static=True)
    time_step: float = eqx.field(static=True)
    dropout_rate: float = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        key: jax.Array,
        sizes: Sizes,
        log_mean: np.ndarray,
        latent_path: str,
        time_step: float,
        dropout_rate: float,
    ) -> Self:
        """Draw the weights; rates start at the mean counts, latents near their prior."""
        keys = iter(jax.random.split(key, 12))
        n, hidden = sizes.n_latents, sizes.n_hidden
        n_in = sizes.n_inputs + 1 + sizes.n_covariates
        has_latents = latent_path != "recurrent_only"
        n_features = (2 * n if has_latents else 0) + (
            2 * hidden if latent_path != "latents_only" else 0
        )
        encoder, encoder_back = (GRU.init(next(keys), n_in, hidden) for _ in range(2))
        first = control_encoder = control_state = oscillators = push = None
        if has_latents:
            first = Linear.init(next(keys), 2 * hidden, 4 * n, 0.1)
            control_encoder = Linear.init(next(keys), 2 * hidden, 2 * n, 0.1)
            # From zero: random feedback from the state would run away in long trials.
            control_state = Linear.init(next(keys), 2 * n, 2 * n, 0.0)
            oscillators = equations.Oscillators.init(next(keys), n, FIRST_STIFFNESS, FIRST_FRICTION)
            if sizes.n_covariates:
                push = Linear.init(next(keys), sizes.n_covariates, n, 0.1)
        readout = Linear.init(next(keys), hidden, sizes.n_outputs, 0.3)
        readout = eqx.tree_at(lambda r: r.bias, readout, jnp.asarray(log_mean, jnp.float32))
        return cls(
            encoder,
            encoder_back,
            first,
            control_encoder,
            control_state,
            oscillators,
            push,
            Linear.init(next(keys), n_features, hidden),
            TransformerLayer.init(next(keys), hidden, 2, 2 * hidden),
            readout,
            latent_path,
            time_step,
            dropout_rate,
        )

    def __call__(self, trials: Trials, key: jax.Array | None, training: bool) -> Output:
        """Run the network.

        Parameters
        ----------
        trials
            See :class:`Trials`.
        key
            Of the draw from the posterior, one for all trials, or in predictions one for each;
            None for the path of its means.
        training
            Whether to drop out.
        """
        keys = None if key is None or key.ndim else iter(jax.random.split(key, 6))
        n_trials, n_bins = trials.observed.shape
        flag = trials.observed[:, :, None].astype(jnp.float32)
        read = jnp.concatenate([trials.inputs, flag, trials.covariates], axis=-1)
        read, inside = jnp.swapaxes(read, 0, 1), trials.inside.T
        h = jnp.concatenate(
            [self.encoder(read, inside), self.encoder_back(read, inside, reverse=True)], axis=-1
        )
        if training and keys is not None:
            h = h * dropout(next(keys), h.shape, self.dropout_rate)
        parts, kl = [], jnp.zeros(n_trials)
        if self.latent_path != "recurrent_only":
            drive = jnp.swapaxes(trials.covariates, 0, 1)
            path, kl = self._path(h, trials.window.T, drive, key if keys is None else next(keys))
            parts.append(path)
        if self.latent_path != "latents_only":
            parts.append(h)
        features = jnp.swapaxes(jnp.concatenate(parts, axis=-1), 0, 1)
        gains = None
        if training and keys is not None:
            shape = (n_trials, n_bins, self.readout.weight.shape[0])
            both = dropout(next(keys), (n_trials, 1, 1), LINEAR_SHARE)
            one, other = (dropout(next(keys), shape, self.dropout_rate) for _ in range(2))
            gains = both * one, both * other
        mixed = self.layer(self.mix(features), trials.inside, gains)
        return Output(self.readout(mixed), jnp.swapaxes(parts[0], 0, 1), mixed, kl)

    def _path(
        self, h: jax.Array, window: jax.Array, drive: jax.Array, key: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """Positions and velocities of one posterior path (bin, trial, 2 latent), and its KL."""
        assert self.first is not None
        assert self.control_encoder is not None
        assert self.control_state is not None
        assert self.oscillators is not None
        physics = self.oscillators.physics()
        step = equations.make_step(physics, self.time_step)
        n_bins, n_trials = window.shape
        n = physics.mass.size
        noise = standard_noise(key, n_bins, n_trials, n)
        mean_z, log_z, mean_v, log_v = jnp.split(self.first(h[0]), 4, axis=-1)
        log_z, log_v = _bounded(log_z), _bounded(log_v)
        thermal = jnp.sqrt(physics.temperature / physics.mass)
        z = mean_z + jnp.exp(log_z) * noise[-1]
        v = thermal * (mean_v + jnp.exp(log_v) * noise[0])
        kl = equations.kl_from_standard(mean_z, log_z) + equations.kl_from_standard(mean_v, log_v)
        says = self.control_encoder(h)
        force = jnp.zeros((n_bins, 1, n)) if self.push is None else self.push(drive)
        state_weight, state_bias = self.control_state.weight, self.control_state.bias

        def advance(
            carry: tuple[jax.Array, jax.Array], at: tuple[jax.Array, ...]
        ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, ...]]:
            said, e, inside, pushed = at
            z, v = equations.drift(physics, step, *carry, pushed)
            state = jnp.concatenate([z, v / thermal], axis=-1)
            mean, log_sd = jnp.split(said + state @ state_weight + state_bias, 2, axis=-1)
            mean = LARGEST_DRIVE * jnp.tanh(mean / LARGEST_DRIVE)
            mean = jnp.where(inside[:, None], mean, 0.0)
            log_sd = jnp.where(inside[:, None], _bounded(log_sd), 0.0)
            z, v = equations.settle(physics, step, z, v, mean + jnp.exp(log_sd) * e, pushed)
            return (z, v), (z, v, equations.kl_from_standard(mean, log_sd))

        over = (says[1:], noise[1:-1], window[1:], force[1:])
        _, (later_z, later_v, later_kl) = jax.lax.scan(advance, (z, v), over)
        path = jnp.concatenate(
            [jnp.concatenate([z[None], later_z]), jnp.concatenate([v[None], later_v])], axis=-1
        )
        return path, kl + later_kl.sum(axis=0)

    def decode(self, latent: jax.Array, inside: jax.Array) -> jax.Array:
        """Return log rates of latents alone, shape (trial, bin, unit)."""
        return self.readout(self.layer(self.mix(latent), inside))


def standard_noise(key: jax.Array | None, n_bins: int, n_trials: int, n: int) -> jax.Array:
    """Return the noise of paths, (bin + 1, trial, latent): the last is that of the first positions.

    A key for each trial gives each its own, the same in whatever company and however many bins
    follow the trial's end; without a key there is none.
    """
    shape = (n_bins + 1, n_trials, n)
    if key is None:
        return jnp.zeros(shape)
    if not key.ndim:
        return jax.random.normal(key, shape)
    each = jax.vmap(lambda k: jax.random.normal(k, (n_bins + 1, n)))(key)
    return jnp.swapaxes(jnp.roll(each, -1, axis=1), 0, 1)


def _bounded(log_sd: jax.Array) -> jax.Array:
    return jnp.clip(log_sd, SMALLEST_LOG_SD, LARGEST_LOG_SD)


@eqx.filter_jit
def draw_prior(
    flow: Flow, covariates: jax.Array, inside: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Draw trials that were never seen: log rates (trial, bin, unit), latents (trial, bin, latent).

    Parameters
    ----------
    flow
        One whose decoder reads latents only.
    covariates, inside
        As in :class:`Trials`.
    key
        Of the draw.
    """
    assert flow.oscillators is not None
    physics = flow.oscillators.physics()
    step = equations.make_step(physics, flow.time_step)
    n_trials, n_bins = inside.shape
    noise = jax.random.normal(key, (n_bins + 1, n_trials, physics.mass.size))
    push = 0.0 * noise[:-1]
    if flow.push is not None:
        push = flow.push(jnp.swapaxes(covariates, 0, 1))
    z, v = noise[-1], noise[0] * jnp.sqrt(physics.temperature / physics.mass)

    def advance(carry: Any, at: Any) -> Any:
        z, v = equations.baoab(physics, step, *carry, *at)
        return (z, v), jnp.concatenate([z, v], axis=-1)

    _, later = jax.lax.scan(advance, (z, v), (noise[1:-1], push[1:]))
    path = jnp.concatenate([jnp.concatenate([z, v], axis=-1)[None], later])
    latent = jnp.swapaxes(path, 0, 1)
    return flow.decode(latent, inside), latent


@eqx.filter_jit
def run(network: Any, trials: Trials, key: jax.Array | None) -> Output:
    """Run a trained network without dropout, compiled."""
    return network(trials, key, False)


@dataclass(frozen=True)
class Loss:
    r"""The negative evidence lower bound per count, and what models are chosen by.

    .. math:: \frac{1}{|\mathcal M|}\sum_{(t,n)\in\mathcal M}
              \big(\hat\lambda_{tn} - x_{tn}\log\hat\lambda_{tn}\big) + \frac{\beta\,KL}{T N}

    (without :math:`\log x!`). :math:`\mathcal M` are the counts in observed bins, of the held-in
    units only those that coordinated dropout hid from the encoder and an equal share of the
    others as published.

    In validation nothing is drawn and the KL is left out: the counts that the encoder did not see
    are predicted, those of held-out units and of bins ahead where there are any, else those that
    the dropout of a fixed key hides.

    Attributes
    ----------
    n_inputs
        Held-in units, the first of the counts.
    n_forward
        Bins ahead of the window.
    keep
        Probability that coordinated dropout shows a count to the encoder; 1 for all.
    crop
        Share of the trials of a batch of which a random window is taken.
    kl_per_trial
        The released code's scale: the KL of a trial is not divided by its counts.
    """

    n_inputs: int
    n_forward: int
    keep: float
    crop: float
    kl_per_trial: bool

    def __call__(
        self,
        model: Any,
        batch: dict[str, jax.Array],
        key: jax.Array,
        schedules: Mapping[str, jax.Array],
        training: bool,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        key_crop, key_keep, key_pass, key_run = jax.random.split(key, 4)
        if training and self.crop > 0:
            batch = self._cropped(batch, key_crop)
        counts, observed = batch["counts"], batch["observed"]
        trials = make_trials(batch, self.n_inputs)
        n_units = counts.shape[-1]
        scored = jnp.broadcast_to(
            (observed & (batch["trial_weight"] > 0)[:, None])[:, :, None], counts.shape
        )
        hidden_units = self.n_inputs < n_units or self.n_forward > 0
        if self.keep < 1 and (training or not hidden_units):
            kept = jax.random.bernoulli(key_keep, self.keep, trials.inputs.shape)
            trials = trials._replace(inputs=jnp.where(kept, trials.inputs / self.keep, 0.0))
            passed = ~kept | ~trials.window[:, :, None]
            if training:
                passed |= jax.random.bernoulli(key_pass, 1 - self.keep, kept.shape)
            scored &= jnp.concatenate(
                [passed, jnp.ones((*passed.shape[:2], n_units - self.n_inputs), bool)], axis=-1
            )
        elif not training and hidden_units:
            unseen = jnp.arange(n_units) >= self.n_inputs
            scored &= unseen | ~trials.window[:, :, None]
        output = model(trials, key_run if training else None, training)
        # Chosen before the exponential: nothing times the slope of an overflow is no number.
        log_rate = jnp.where(scored, output.log_rate, 0.0)
        nll = jnp.where(scored, jnp.exp(log_rate) - counts * log_rate, 0.0)
        poisson = jnp.sum(nll) / jnp.maximum(scored.sum(), 1)
        weight = batch["trial_weight"]
        kl = jnp.sum(weight * output.kl) / weight.sum()
        if not self.kl_per_trial:
            bins = jnp.sum(weight[:, None] * trials.inside) / weight.sum()
            kl = kl / (bins * n_units)
        terms = {"poisson": poisson, "kl": kl}
        return (poisson + schedules["kl_weight"] * kl if training else poisson), terms

    def _cropped(self, batch: dict[str, jax.Array], key: jax.Array) -> dict[str, jax.Array]:
        """Shift a random window of some trials to the first bin, the bins ahead behind it."""
        key_which, key_length, key_start = jax.random.split(key, 3)
        n_trials, n_bins = batch["observed"].shape
        window = batch["n_window"]
        shortest = jnp.maximum((SHORTEST_WINDOW * window).astype(window.dtype), 1)
        drawn = jax.random.randint(key_length, (n_trials,), shortest, window + 1)
        cut = jax.random.bernoulli(key_which, self.crop, (n_trials,))
        length = jnp.where(cut, drawn, window)
        start = jax.random.randint(key_start, (n_trials,), 0, window - length + 1)
        place = (start[:, None] + jnp.arange(n_bins)) % n_bins
        inside = jnp.minimum(length + self.n_forward, batch["n_inside"] - start)

        def shifted(values: jax.Array) -> jax.Array:
            return jnp.take_along_axis(
                values, place.reshape(place.shape + (1,) * (values.ndim - 2)), 1
            )

        moved = {name: shifted(batch[name]) for name in ("counts", "observed", "covariates")}
        moved["observed"] &= jnp.arange(n_bins) < inside[:, None]
        return batch | moved | {"n_window": length, "n_inside": inside}


def make_trials(batch: dict[str, jax.Array], n_inputs: int) -> Trials:
    """Let the network see the held-in counts of the window, and no more.

    Parameters
    ----------
    batch
        ``counts(trial, bin, unit)``, ``observed(trial, bin)``, ``covariates(trial, bin,
        covariate)``, and the numbers of bins ``n_window(trial)`` and ``n_inside(trial)``.
    n_inputs
        Held-in units, the first.
    """
    place = jnp.arange(batch["observed"].shape[1])
    window = place < batch["n_window"][:, None]
    inside = place < batch["n_inside"][:, None]
    observed = batch["observed"] & window
    inputs = jnp.where(observed[:, :, None], batch["counts"][:, :, :n_inputs], 0.0)
    covariates = jnp.where(inside[:, :, None], batch["covariates"], 0.0)
    return Trials(inputs, observed, window, inside, covariates)


def in_single_precision(network: Any) -> Any:
    """The network with weights of 32 bits: where JAX keeps 64 the draws have them, too."""
    return jax.tree.map(lambda w: w.astype(jnp.float32) if eqx.is_inexact_array(w) else w, network)
