r"""Underdamped Langevin dynamics of locally coupled oscillators: energy, force, integrator, prior.

All functions are pure and take arrays whose last axis is the oscillator. Time is counted in the
model's own unit; one bin lasts :math:`\Delta` of it (``time_step``).
"""

from __future__ import annotations

from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

#: Groups of oscillators that couple to one another, as published; inside a group to neighbours.
N_GROUPS = 4

#: Displacement at which couplings saturate.
SATURATION = 2.0


class Physics(NamedTuple):
    r"""The constants of the dynamics, all positive but for the coupling.

    Attributes
    ----------
    stiffness
        :math:`k`, shape (oscillator,).
    coupling
        :math:`S = A + A^T`, shape (oscillator, oscillator): minus the couplings' force per
        saturated displacement.
    mass, friction
        :math:`m` and :math:`\gamma` (per unit of time), shape (oscillator,).
    temperature
        :math:`k_B T`, a scalar.
    """

    stiffness: jax.Array
    coupling: jax.Array
    mass: jax.Array
    friction: jax.Array
    temperature: jax.Array


class Oscillators(eqx.Module):
    """What of the physics is learned, without bounds; :meth:`physics` maps it to constants.

    Attributes
    ----------
    kernel
        Couplings of each group's neighbourhoods of three, shape (group, group, 3).
    """

    raw_stiffness: jax.Array
    raw_friction: jax.Array
    log_mass: jax.Array
    log_temperature: jax.Array
    kernel: jax.Array

    @classmethod
    def init(cls, key: jax.Array, n_oscillators: int, stiffness: float, friction: float) -> Self:
        """Start all alike, with weak random couplings."""
        each = jnp.ones(n_oscillators)
        return cls(
            each * float(np.log(np.expm1(stiffness))),
            each * float(np.log(np.expm1(friction))),
            0.0 * each,
            jnp.zeros(()),
            0.1 * jax.random.normal(key, (N_GROUPS, N_GROUPS, 3)),
        )

    def physics(self) -> Physics:
        """Return the constants."""
        matrix = coupling_matrix(self.kernel, self.raw_stiffness.size)
        return Physics(
            jax.nn.softplus(self.raw_stiffness),
            matrix + matrix.T,
            jnp.exp(self.log_mass),
            jax.nn.softplus(self.raw_friction),
            jnp.exp(self.log_temperature),
        )


def coupling_matrix(kernel: jax.Array, n_oscillators: int) -> jax.Array:
    r"""Write the local couplings of a kernel as a matrix.

    :math:`(A s)_{gc} = \sum_{g'j} W_{gg'j}\, s_{g',c+j-1}`, with zeros beyond the ends, as a
    convolution along the places c of each group.

    Parameters
    ----------
    kernel
        Shape (group, group, 3).
    n_oscillators
        A multiple of the number of groups.
    """
    n_groups = kernel.shape[0]
    n_places = n_oscillators // n_groups
    near = jnp.stack([jnp.eye(n_places, k=j - 1) for j in range(3)])
    matrix = jnp.einsum("ghj,jcd->gchd", kernel, near)
    return matrix.reshape(n_oscillators, n_oscillators)


def potential(physics: Physics, z: jax.Array) -> jax.Array:
    r"""Return the potential energy of locally coupled oscillators.

    .. math:: U(z) = \tfrac12\sum_i k_i z_i^2 + \tfrac12\, s^\top S s, \qquad
              s_i = \ell \tanh(z_i / \ell)

    Near the origin the coupling is the published quadratic form; far out it saturates. As
    :math:`|s_i| < \ell`, :math:`U(z) \ge \tfrac12 k_{\min} |z|^2 - \tfrac12 \|S\| \ell^2 D`: the
    potential is bounded below and confines, whatever the couplings.

    Parameters
    ----------
    physics
        See :class:`Physics`.
    z
        Positions, shape (..., oscillator).
    """
    s = SATURATION * jnp.tanh(z / SATURATION)
    coupled = jnp.sum((s @ physics.coupling) * s, axis=-1)
    return 0.5 * (jnp.sum(physics.stiffness * z * z, axis=-1) + coupled)


def force(physics: Physics, z: jax.Array) -> jax.Array:
    r"""Return :math:`-\nabla U`, in closed form; shapes as in :func:`potential`."""
    tanh = jnp.tanh(z / SATURATION)
    coupled = (SATURATION * tanh) @ physics.coupling
    return -(physics.stiffness * z + (1 - tanh * tanh) * coupled)


class Step(NamedTuple):
    r"""The constants of one integration step.

    Attributes
    ----------
    half
        :math:`\Delta / 2`.
    decay
        :math:`c = e^{-\gamma\Delta}` of velocity.
    noise
        :math:`\sqrt{(1 - c^2)\, k_B T / m}`.
    """

    half: float
    decay: jax.Array
    noise: jax.Array


def make_step(physics: Physics, time_step: float) -> Step:
    """Return the constants of steps of that length."""
    decay = jnp.exp(-physics.friction * time_step)
    spread = (1 - decay * decay) * physics.temperature / physics.mass
    return Step(time_step / 2, decay, jnp.sqrt(spread))


def drift(
    physics: Physics, step: Step, z: jax.Array, v: jax.Array, push: jax.Array | float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Take the B and A half steps that come before the noise: kick, then move."""
    v = v + step.half * (force(physics, z) + push) / physics.mass
    return z + step.half * v, v


def settle(
    physics: Physics,
    step: Step,
    z: jax.Array,
    v: jax.Array,
    noise: jax.Array,
    push: jax.Array | float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Take the O step and the A and B half steps after it."""
    v = step.decay * v + step.noise * noise
    z = z + step.half * v
    return z, v + step.half * (force(physics, z) + push) / physics.mass


def baoab(
    physics: Physics,
    step: Step,
    z: jax.Array,
    v: jax.Array,
    noise: jax.Array,
    push: jax.Array | float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    r"""Take one step of the BAOAB splitting of the underdamped Langevin equation.

    .. math:: dz = v\,dt, \qquad m\,dv = (-\nabla U(z) + f)\,dt - \gamma m v\,dt +
              \sqrt{2\gamma m k_B T}\,dW

    Kick (B), move (A), exact Ornstein-Uhlenbeck step of the velocity (O), move, kick. Of second
    order; on a harmonic potential positions are sampled without any error of the step length,
    velocities with variance :math:`(1 - \omega^2\Delta^2/4)\, k_B T / m`. (Leimkuhler and Matthews,
    *Rational construction of stochastic numerical methods for molecular sampling*, 2013.)

    Parameters
    ----------
    physics, step
        See :class:`Physics` and :func:`make_step`.
    z, v
        Position and velocity, shape (..., oscillator).
    noise
        Standard normal, of the same shape; zero for the path without noise.
    push
        A force from outside, held over the step.
    """
    z, v = drift(physics, step, z, v, push)
    return settle(physics, step, z, v, noise, push)


def kl_from_standard(mean: jax.Array, log_sd: jax.Array) -> jax.Array:
    r"""Return :math:`KL(N(\mu, \sigma^2) \| N(0, 1))` summed over the last axis."""
    return 0.5 * jnp.sum(mean * mean + jnp.exp(2 * log_sd) - 1 - 2 * log_sd, axis=-1)


def normal_modes(physics: Physics) -> tuple[np.ndarray, np.ndarray]:
    """Return the small oscillations about the origin.

    Returns
    -------
    frequency : numpy.ndarray
        Radians per unit of time, ascending, shape (mode,); 0 where the origin is not a minimum.
    mode : numpy.ndarray
        Displacement of each oscillator in each mode, shape (oscillator, mode).
    """
    root = np.sqrt(np.asarray(physics.mass, dtype=np.float64))
    hessian = np.diag(np.asarray(physics.stiffness, float)) + np.asarray(physics.coupling, float)
    square, vectors = np.linalg.eigh(hessian / np.outer(root, root))
    return np.sqrt(np.maximum(square, 0)), vectors / root[:, None]


class Modes(NamedTuple):
    """What acts on some normal modes while all others rest at the origin.

    Attributes
    ----------
    potential
        U, shape (...).
    force
        Minus the derivative of U by each mode's amplitude, shape (..., mode).
    friction
        Of each mode, per unit of time, shape (mode,).
    """

    potential: np.ndarray
    force: np.ndarray
    friction: np.ndarray


def along_modes(physics: Physics, shape: np.ndarray, amplitude: np.ndarray) -> Modes:
    r"""Return potential, force and friction in the plane (or on the line) of normal modes.

    With :math:`z = \Phi q` and :math:`\Phi^\top M \Phi = I`, amplitudes q have unit mass:
    :math:`\ddot q = -\partial U / \partial q - \Phi^\top M \Gamma \Phi\, \dot q` but for noise.

    Parameters
    ----------
    physics
        See :class:`Physics`.
    shape
        :math:`\Phi`, columns of :func:`normal_modes`, shape (oscillator, mode).
    amplitude
        q, shape (..., mode).
    """
    z = amplitude @ shape.T
    mass, rubs = (np.asarray(a, dtype=np.float64) for a in (physics.mass, physics.friction))
    return Modes(
        np.asarray(potential(physics, z), dtype=np.float64),
        np.asarray(force(physics, z), dtype=np.float64) @ shape,
        np.sum(shape * shape * (mass * rubs)[:, None], axis=0),
    )


def reach(physics: Physics, shape: np.ndarray, energy: float) -> float:
    r"""Return how far along one mode the potential stays within some energy of its lowest value.

    Parameters
    ----------
    physics
        See :class:`Physics`.
    shape
        Of the mode, (oscillator,).
    energy
        In the model's units, above 0.
    """
    stiffness = np.sum(np.asarray(physics.stiffness, dtype=np.float64) * shape * shape)
    coupled = np.abs(np.asarray(physics.coupling, dtype=np.float64)).sum() * SATURATION**2 / 2
    # U >= stiffness a^2 / 2 - coupled, and U(0) = 0 bounds the lowest value from above.
    line = np.linspace(0, np.sqrt(2 * (energy + coupled) / stiffness), 2001)
    value = along_modes(physics, shape[:, None], line[:, None]).potential
    return float(line[np.flatnonzero(value <= value.min() + energy)[-1]])
