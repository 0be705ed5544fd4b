"""Layers that the models of this room share, written for speed on a CPU.

Every product of matrices is made on two-dimensional arrays: XLA's gradient of a product with
leading batch dimensions contracts over several of them, which on a CPU takes three times as long.
"""

from __future__ import annotations

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

#: Added to the variance in layer normalisation.
_EPSILON = 1e-5


class Linear(eqx.Module):
    """Affine map of the last axis; weights start normal with variance scale**2 / n_in."""

    weight: jax.Array
    bias: jax.Array

    @classmethod
    def init(cls, key: jax.Array, n_in: int, n_out: int, scale: float = 1.0) -> Self:
        """Draw the weights; the bias starts at zero."""
        weight = jax.random.normal(key, (n_in, n_out)) * (scale / np.sqrt(max(n_in, 1)))
        return cls(weight, jnp.zeros(n_out))

    def __call__(self, x: jax.Array) -> jax.Array:
        flat = x.reshape(-1, x.shape[-1]) @ self.weight + self.bias
        return flat.reshape(*x.shape[:-1], flat.shape[-1])


class GRU(eqx.Module):
    """Gated recurrent unit over trials, with a learned first state.

    Attributes
    ----------
    inputs
        All gates' share of the input, made for all bins in one product.
    recurrent
        Shape (hidden, 3 hidden): reset, update, candidate.
    candidate_bias
        Inside the reset gate.
    start
        State before the first bin.
    """

    inputs: Linear
    recurrent: jax.Array
    candidate_bias: jax.Array
    start: jax.Array

    @classmethod
    def init(cls, key: jax.Array, n_in: int, n_hidden: int, scale: float = 1.0) -> Self:
        """Draw the weights."""
        a, b = jax.random.split(key)
        recurrent = jax.random.normal(b, (n_hidden, 3 * n_hidden)) * scale / np.sqrt(n_hidden)
        zero = jnp.zeros(n_hidden)
        return cls(Linear.init(a, n_in, 3 * n_hidden, scale), recurrent, zero, zero)

    def __call__(
        self,
        x: jax.Array,
        running: jax.Array,
        *,
        reverse: bool = False,
        gain: jax.Array | None = None,
    ) -> jax.Array:
        """Return the state after each bin, shape (bin, trial, hidden).

        Parameters
        ----------
        x
            Shape (bin, trial, input).
        running
            Where the state moves, shape (bin, trial); elsewhere it stays.
        reverse
            Whether to run from the last bin to the first.
        gain
            Dropout of the state that is carried on, shape (bin, trial, hidden).
        """
        n = self.start.size

        def step(h: jax.Array, at: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
            from_input, moves, *gains = at
            from_state = h @ self.recurrent
            gates = jax.nn.sigmoid(from_input[:, : 2 * n] + from_state[:, : 2 * n])
            reset, update = gates[:, :n], gates[:, n:]
            candidate = jnp.tanh(
                from_input[:, 2 * n :] + reset * (from_state[:, 2 * n :] + self.candidate_bias)
            )
            new = candidate + update * (h - candidate)
            new = new * gains[0] if gains else new
            h = jnp.where(moves[:, None], new, h)
            return h, h

        over = (self.inputs(x), running) + (() if gain is None else (gain,))
        start = jnp.broadcast_to(self.start, (x.shape[1], n))
        return jax.lax.scan(step, start, over, reverse=reverse)[1]


class LayerNorm(eqx.Module):
    """Zero mean and unit variance over the last axis, then a learned affine map of each entry."""

    gain: jax.Array
    bias: jax.Array

    @classmethod
    def init(cls, size: int) -> Self:
        """Start as plain normalisation."""
        return cls(jnp.ones(size), jnp.zeros(size))

    def __call__(self, x: jax.Array) -> jax.Array:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + _EPSILON) * self.gain + self.bias


class TransformerLayer(eqx.Module):
    """Self-attention over all bins of a trial and a two-layer network, each with a residual.

    No mask of the future and no code of position: what a bin attends to is chosen by content.

    Attributes
    ----------
    normalise_first
        Whether each branch normalises its input (pre-LN) or the sum is normalised (post-LN).
    """

    query_key_value: Linear
    output: Linear
    widen: Linear
    narrow: Linear
    norm_attention: LayerNorm
    norm_network: LayerNorm
    n_heads: int = eqx.field(static=True)
    normalise_first: bool = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        key: jax.Array,
        size: int,
        n_heads: int,
        n_wide: int,
        *,
        normalise_first: bool = True,
        scale: float = 1.0,
        branch_scale: float = 0.5,
    ) -> Self:
        """Draw the weights; ``branch_scale`` is of what is added to the residual stream."""
        a, b, c, d = jax.random.split(key, 4)
        return cls(
            Linear.init(a, size, 3 * size, scale),
            Linear.init(b, size, size, branch_scale),
            Linear.init(c, size, n_wide, scale),
            Linear.init(d, n_wide, size, branch_scale),
            LayerNorm.init(size),
            LayerNorm.init(size),
            n_heads,
            normalise_first,
        )

    def attention(self, x: jax.Array, inside: jax.Array) -> jax.Array:
        """Attend from every bin to the bins inside; shapes (trial, bin, size), (trial, bin)."""
        n_trials, n_bins, size = x.shape
        shape = (n_trials, n_bins, 3, self.n_heads, size // self.n_heads)
        query, key, value = jnp.moveaxis(self.query_key_value(x).reshape(shape), (2, 3), (0, 2))
        score = jnp.einsum("bhqd,bhkd->bhqk", query, key) / np.sqrt(shape[-1])
        score = jnp.where(inside[:, None, None, :], score, -1e9)
        mixed = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(score, axis=-1), value)
        return self.output(jnp.moveaxis(mixed, 1, 2).reshape(x.shape))

    def __call__(
        self, x: jax.Array, inside: jax.Array, gains: tuple[jax.Array, jax.Array] | None = None
    ) -> jax.Array:
        """Return the new features; ``gains`` multiply the two branches (dropout)."""
        attended, worked = gains if gains is not None else (1.0, 1.0)

        def network(y: jax.Array) -> jax.Array:
            return self.narrow(jax.nn.relu(self.widen(y)))

        if self.normalise_first:
            x = x + attended * self.attention(self.norm_attention(x), inside)
            return x + worked * network(self.norm_network(x))
        x = self.norm_attention(x + attended * self.attention(x, inside))
        return self.norm_network(x + worked * network(x))


def dropout(key: jax.Array, shape: tuple[int, ...], rate: float) -> jax.Array:
    """Return factors that are 0 with probability ``rate`` and else 1 / (1 - rate)."""
    return jax.random.bernoulli(key, 1 - rate, shape) / (1 - rate)
