r"""The Langevin flow as its authors released it, defects included, for comparison.

Re-implemented from the equations of the code of Song, Keller, Yue, Perona and Welling (2025):

- the recurrent network reads bin 0 twice, and the last bin of the window only ahead of it;
- :math:`z_t = z_{t-1} + \eta v_{t-1}`, :math:`v_t = (1-\gamma)(v_{t-1} - \eta\nabla U(z_{t-1})) +
  \sqrt{2\gamma}\,n_t`, whose noise does not shrink with :math:`\eta`;
- :math:`U = \sum_c (\sum_g C_{gc})(\sum_{g'} z_{g'c})` with the convolution C of z by a normalised
  kernel: quadratic, and unbounded below;
- the divergence of velocities takes the drawn velocity for a mean, and the variance
  :math:`2\gamma` for its logarithm;
- positions, velocities and the recurrent state are decoded together.

Three things differ. The kernel starts from small random numbers: released, it starts at zero, where
the gradient of its normalisation is 10^14. There is no penalty on the weights, which the released
trainer raises to 2e-5. And the Poisson term is averaged over the counts that are scored, not over
all, so that with half of them kept the divergence weighs about three quarters as much.
"""

from __future__ import annotations

from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neurokit_sdr.generative.langevin_flow.equations import N_GROUPS, coupling_matrix
from neurokit_sdr.generative.langevin_flow.network import (
    Output,
    Sizes,
    Trials,
    standard_noise,
)
from neurokit_sdr.generative.networks import GRU, Linear, TransformerLayer, dropout

#: Step, and variance of velocities in the prior, as released.
STEP, VELOCITY_VARIANCE = 0.01, 0.1
N_WIDE = 512
#: T-Fixup's scale for three layers.
_FIXUP = 0.67 * 3**-0.25
#: PyTorch draws weights uniformly within 1 / sqrt(n_in): a third of the variance.
_TORCH = 3**-0.5


class ReleasedFlow(eqx.Module):
    """See the module's text; ``latent_path`` as in the flow of the paper."""

    encoder: GRU
    first: Linear
    kernel: jax.Array
    layer: TransformerLayer
    readout: Linear
    latent_path: str = eqx.field(static=True)
    damping: float = eqx.field(static=True)
    dropout_rate: float = eqx.field(static=True)

    @classmethod
    def init(
        cls, key: jax.Array, sizes: Sizes, latent_path: str, damping: float, dropout_rate: float
    ) -> Self:
        """Draw the weights with the variances of the released code."""
        a, b, c, d, e = jax.random.split(key, 5)
        n = sizes.n_hidden
        size = n * {"full": 3, "latents_only": 2, "recurrent_only": 1}[latent_path]
        return cls(
            GRU.init(a, sizes.n_inputs, n, _TORCH),
            Linear.init(b, n, 4 * n, _TORCH),
            0.1 * jax.random.normal(c, (N_GROUPS, N_GROUPS, 3)),
            TransformerLayer.init(
                d,
                size,
                2,
                N_WIDE,
                normalise_first=False,
                scale=_FIXUP * _TORCH,
                branch_scale=_FIXUP * _TORCH,
            ),
            Linear.init(e, size, sizes.n_outputs, _TORCH),
            latent_path,
            damping,
            dropout_rate,
        )

    def __call__(self, trials: Trials, key: jax.Array | None, training: bool) -> Output:
        """Run the network; see :meth:`Flow.__call__`."""
        n_trials, n_bins = trials.inside.shape
        keys = None if key is None or key.ndim else iter(jax.random.split(key, 5))
        bin_ = jnp.arange(n_bins)
        last = jnp.maximum(trials.window.sum(axis=1) - 1, 0)[:, None]
        place = jnp.where(bin_ <= last, jnp.maximum(bin_ - 1, 0), last)
        read = jnp.take_along_axis(trials.inputs, place[:, :, None], axis=1)
        n = self.encoder.start.size
        gain = None
        if training and keys is not None:
            gain = dropout(next(keys), (n_bins, n_trials, n), self.dropout_rate)
        h = self.encoder(jnp.swapaxes(read, 0, 1), trials.inside.T, gain=gain)
        noise = standard_noise(key if keys is None else next(keys), n_bins, n_trials, n)
        path, kl = self._path(h[0], noise, trials.inside.T)
        parts = {"full": (path, h), "latents_only": (path,), "recurrent_only": (h,)}
        features = jnp.concatenate(parts[self.latent_path], axis=-1)
        gains = None
        if training and keys is not None:
            shape = (n_trials, n_bins, features.shape[-1])
            one, other = (dropout(next(keys), shape, self.dropout_rate) for _ in range(2))
            gains = one, other
        decoded = self.layer(jnp.swapaxes(features, 0, 1), trials.inside, gains)
        latent = h if self.latent_path == "recurrent_only" else path
        kl = 0.0 * kl if self.latent_path == "recurrent_only" else kl
        return Output(self.readout(decoded), jnp.swapaxes(latent, 0, 1), decoded, kl)

    def _path(
        self, h: jax.Array, noise: jax.Array, inside: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        mean_z, log_z, mean_v, log_v = jnp.split(self.first(h), 4, axis=-1)
        z = mean_z + jnp.exp(0.5 * log_z) * noise[-1]
        v = mean_v + jnp.exp(0.5 * log_v) * noise[0]
        kl = sum(
            0.5 * jnp.sum(m**2 + jnp.exp(log) - 1 - log, axis=-1)
            for m, log in ((mean_z, log_z), (mean_v, log_v))
        )
        slope = self.slope()
        spread = np.sqrt(2 * self.damping)

        def advance(carry: Any, e: jax.Array) -> Any:
            z, v = carry
            kicked = v - STEP * (z @ slope)
            z, v = z + STEP * v, (1 - self.damping) * kicked + spread * e
            return (z, v), (z, v)

        _, (later_z, later_v) = jax.lax.scan(advance, (z, v), noise[1:-1])
        log_variance = 2 * self.damping  # sic: this is the variance
        later = 0.5 * jnp.sum(
            np.log(VELOCITY_VARIANCE)
            - log_variance
            - 1
            + (later_v**2 + np.exp(log_variance)) / VELOCITY_VARIANCE,
            axis=-1,
        )
        path = jnp.concatenate(
            [jnp.concatenate([z[None], later_z]), jnp.concatenate([v[None], later_v])], axis=-1
        )
        return path, kl + jnp.sum(later * inside[1:], axis=0)

    def slope(self) -> jax.Array:
        """The matrix of the gradient, which is linear in z, shape (oscillator, oscillator)."""
        norm = jnp.sqrt(jnp.sum(self.kernel**2, axis=2, keepdims=True))
        # Every group is kicked by the sum over groups, and reaches all of them.
        summed = (self.kernel / norm).sum(axis=0)
        kernel = jnp.broadcast_to(summed, (N_GROUPS, *summed.shape))
        matrix = coupling_matrix(kernel, self.encoder.start.size)
        return matrix + matrix.T
