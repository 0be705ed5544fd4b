"""The physics of Langevin flows: energies, forces and steps against closed forms, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.linalg import eigh, expm, solve_discrete_lyapunov
from scipy.optimize import minimize
from scipy.stats import norm

from neurokit_sdr.core.seeding import stream
from neurokit_sdr.generative.langevin_flow import equations as langevin
from neurokit_sdr.generative.langevin_flow.equations import (
    N_GROUPS,
    SATURATION,
    Oscillators,
    Physics,
)

EPS = float(np.finfo(float).eps)

#: Standard errors that an estimate may be off by.
N_ERRORS = 6


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def random_physics(seed: int, n: int = 8, coupling: float = 0.05, friction: float = 1.0) -> Physics:
    """Every oscillator has constants of its own."""
    rng = stream(seed, "physics")
    kernel = coupling * rng.standard_normal((N_GROUPS, N_GROUPS, 3))
    matrix = np.asarray(langevin.coupling_matrix(jnp.asarray(kernel), n))
    return Physics(
        jnp.asarray(rng.uniform(0.5, 2, n)),
        jnp.asarray(matrix + matrix.T),
        jnp.asarray(rng.uniform(0.5, 2, n)),
        jnp.asarray(friction * rng.uniform(0.5, 2, n)),
        jnp.asarray(rng.uniform(0.5, 2)),
    )


def one(stiffness=1.0, mass=1.0, friction=0.0, temperature=1.0) -> Physics:
    """A single harmonic oscillator."""
    stiffness, mass, friction = (jnp.asarray([x]) for x in (stiffness, mass, friction))
    return Physics(stiffness, jnp.zeros((1, 1)), mass, friction, jnp.asarray(temperature))


def hessian(physics: Physics) -> np.ndarray:
    """Of the potential at the origin."""
    return np.diag(physics.stiffness) + np.asarray(physics.coupling)


@jax.jit
def jacobian(physics, time_step, state, noise):
    """Of a step, by (z, v) and by the noise."""
    n = physics.mass.size
    step = langevin.make_step(physics, time_step)

    def flat(state, noise):
        return jnp.concatenate(langevin.baoab(physics, step, state[:n], state[n:], noise))

    return jax.jacfwd(flat, (0, 1))(state, noise)


def linear_map(physics: Physics, time_step: float) -> tuple[np.ndarray, np.ndarray]:
    """What a step near the origin makes of (z, v), and of the noise."""
    n = physics.mass.size
    move, kick = jacobian(physics, time_step, jnp.zeros(2 * n), jnp.zeros(n))
    return np.asarray(move), np.asarray(kick)


@jax.jit
def run(physics, step, z, v, key, n_steps, push=0.0):
    """Many steps; without noise where there is no key."""

    def advance(number, carry):
        noise = jnp.zeros_like(z)
        if key is not None:
            noise = jax.random.normal(jax.random.fold_in(key, number), z.shape)
        return langevin.baoab(physics, step, *carry, noise, push)

    return jax.lax.fori_loop(0, n_steps, advance, (z, v))


potential, force = jax.jit(langevin.potential), jax.jit(langevin.force)


def simulate(physics, time_step, n_chains, n_steps, seed):
    """States of independent chains that began at rest."""
    key = jax.random.key(int(stream(seed, "chains").integers(2**31)))
    start = jnp.zeros((n_chains, physics.mass.size))
    step = langevin.make_step(physics, time_step)
    return map(np.asarray, run(physics, step, start, start, key, n_steps))


# ---------------------------------------------------------------- energy and force


def test_the_coupling_is_the_published_convolution(seed):
    rng = stream(seed, "kernel")
    kernel, z = rng.standard_normal((N_GROUPS, N_GROUPS, 3)), rng.standard_normal((N_GROUPS, 5))
    matrix = np.asarray(langevin.coupling_matrix(jnp.asarray(kernel), z.size))
    padded = np.pad(z, ((0, 0), (1, 1)))
    by_hand = np.zeros_like(z)
    for group in range(N_GROUPS):
        for other in range(N_GROUPS):
            for shift in range(3):
                by_hand[group] += kernel[group, other, shift] * padded[other, shift : shift + 5]
    bound = 12 * EPS * (np.abs(matrix) @ np.abs(z.ravel())).max()
    np.testing.assert_allclose(matrix @ z.ravel(), by_hand.ravel(), atol=bound, rtol=0)


def test_the_potential_equals_its_sum_by_hand_and_the_force_its_gradient(seed):
    physics = random_physics(seed, coupling=1.0)
    rng = stream(seed, "position")
    z = 3 * rng.standard_normal((20, 8))
    k, coupling = np.asarray(physics.stiffness), np.asarray(physics.coupling)
    s = 2 * np.tanh(z / 2)
    terms = [k * z**2 / 2, np.einsum("ti,ij,tj->tij", s, coupling, s) / 2]
    total, size = (sum(f(x).reshape(20, -1).sum(1) for x in terms) for f in (np.array, np.abs))
    found = potential(physics, jnp.asarray(z))
    # 72 terms of a few operations each.
    assert (np.abs(found - total) <= 80 * EPS * size).all()
    gradient = jax.grad(lambda x: potential(physics, x).sum())(jnp.asarray(z))
    largest = np.abs(k * z) + np.abs(s) @ np.abs(coupling)
    # sech^2 = 1 - tanh^2 loses digits far out, where it hardly counts: an error of EPS.
    bound = 20 * EPS * largest
    assert (np.abs(force(physics, jnp.asarray(z)) + gradient) <= bound).all()


def test_the_potential_is_bounded_below_and_confines_whatever_the_couplings(seed):
    rng = stream(seed, "couplings")
    for size in 10.0 ** rng.uniform(-2, 3, 10):
        physics = random_physics(int(rng.integers(1000)), coupling=size)
        k, norm_s = np.asarray(physics.stiffness), np.linalg.norm(physics.coupling, 2)
        depth = norm_s * SATURATION**2 * k.size / 2
        slack = 1e-12 * depth
        z = rng.standard_normal((500, 8)) * 10.0 ** rng.uniform(-2, 4, (500, 1))
        value = np.asarray(potential(physics, jnp.asarray(z)))
        square = k.min() * (z**2).sum(axis=1) / 2
        assert (value >= square - depth - slack - 1e-12 * square).all()
        lowest = minimize(lambda z, p=physics: float(potential(p, jnp.asarray(z))), z[0] / 1e3)
        assert lowest.fun >= -depth


# ---------------------------------------------------------------- the stationary distribution


@pytest.mark.parametrize("time_step", [0.1, 0.5, 1.0])
def test_the_stationary_covariance_is_that_of_the_theory(time_step, seed):
    """Positions without error, velocities with 1 - (step x frequency)^2 / 4, also when coupled."""
    physics = random_physics(seed)
    n, kt = physics.mass.size, float(physics.temperature)
    move, kick = linear_map(physics, time_step)
    found = solve_discrete_lyapunov(move, kick @ kick.T, method="direct")
    stiff, inverse_mass = hessian(physics), np.diag(1 / np.asarray(physics.mass))
    assert time_step**2 * eigh(stiff, np.diag(physics.mass))[0].max() < 4
    expected = np.zeros((2 * n, 2 * n))
    expected[:n, :n] = kt * np.linalg.inv(stiff)
    expected[n:, n:] = kt * (inverse_mass - time_step**2 / 4 * inverse_mass @ stiff @ inverse_mass)
    # A linear system of (2n)^2 equations, solved backward stably.
    condition = np.linalg.cond(np.eye(4 * n * n) - np.kron(move, move))
    bound = 4 * n * n * EPS * condition * np.linalg.norm(expected)
    assert bound < 1e-6
    np.testing.assert_allclose(found, expected, atol=bound, rtol=0)


FRICTION = [0.05, 1.0, 20.0]


@pytest.mark.parametrize("friction", FRICTION)
@pytest.mark.parametrize(("mass", "temperature"), [(1, 1), (0.2, 3), (7, 0.5)])
def test_noise_and_friction_balance(friction, mass, temperature):
    """One oscillator by hand: fluctuation and dissipation give the temperature that was asked."""
    stiffness, time_step = 1.3, 0.25
    physics = one(stiffness, mass, friction, temperature)
    move, kick = linear_map(physics, time_step)
    (zz, zv), (_, vv) = solve_discrete_lyapunov(move, kick @ kick.T, method="direct")
    condition = np.linalg.cond(np.eye(4) - np.kron(move, move))
    bound = 20 * EPS * condition * temperature * max(1 / stiffness, 1 / mass)
    assert zz == pytest.approx(temperature / stiffness, abs=bound)
    shrink = 1 - stiffness / mass * time_step**2 / 4
    assert vv == pytest.approx(shrink * temperature / mass, abs=bound)
    assert zv == pytest.approx(0, abs=bound)
    # A step shrinks the volume of phase space by the friction and nothing else.
    assert np.linalg.det(move) == pytest.approx(np.exp(-friction * time_step), rel=20 * EPS)


@pytest.mark.parametrize("friction", FRICTION)
@pytest.mark.parametrize(("mass", "temperature"), [(1, 1), (0.2, 3), (7, 0.5)])
def test_a_free_particle_diffuses_as_einstein_says(friction, mass, temperature):
    time_step = 0.25
    move, kick = linear_map(one(0.0, mass, friction, temperature), time_step)
    covariance = np.diag([0.0, temperature / mass])
    growth = []
    for _ in range(round(60 / (friction * time_step)) + 2):
        new = move @ covariance @ move.T + kick @ kick.T
        growth.append(new[0, 0] - covariance[0, 0])
        covariance = new
    # The velocity is an exact Ornstein-Uhlenbeck process: variance and memory of the theory.
    assert covariance[1, 1] == pytest.approx(temperature / mass, rel=len(growth) * 4 * EPS)
    assert move[1, 1] == pytest.approx(np.exp(-friction * time_step), rel=4 * EPS)
    # Sum of its correlations over steps: 2 D dt, times x coth(x) with x = friction dt / 2.
    x = friction * time_step / 2
    diffusion = temperature / (mass * friction)
    expected = 2 * diffusion * time_step * x / np.tanh(x)
    # The last growth is a difference of two variances that hold all of them.
    bound = 1e-12 * covariance[0, 0]
    assert growth[-1] == pytest.approx(expected, rel=1e-10, abs=bound)


def test_simulated_oscillators_have_the_temperature_each_and_together(seed):
    physics = random_physics(seed, coupling=0.0)
    n_chains, n_steps, time_step = 4000, 120, 0.5
    move, _ = linear_map(physics, time_step)
    left = np.abs(np.linalg.eigvals(move)).max() ** (2 * n_steps)
    z, v = simulate(physics, time_step, n_chains, n_steps, seed)
    kt = float(physics.temperature)
    k, m = np.asarray(physics.stiffness), np.asarray(physics.mass)
    square = k / m * time_step**2 / 4
    # Gaussian: the mean of n squares is off by sqrt(2 / n) of itself.
    for energy in (k * z**2, m * v**2 / (1 - square)):
        bound = N_ERRORS * np.sqrt(2 / n_chains) + left
        np.testing.assert_allclose(energy.mean(axis=0), kt, rtol=bound)
        bound = N_ERRORS * np.sqrt(2 / energy.size) + left
        np.testing.assert_allclose(energy.mean(), kt, rtol=bound)
    bound = N_ERRORS * kt / np.sqrt(k * m * n_chains)
    assert (np.abs((z * v).mean(axis=0)) <= bound).all()


def test_coupled_oscillators_share_the_temperature_too(seed):
    """Equipartition far from harmonic: every position times its force has the mean -kT."""
    physics = random_physics(seed, coupling=0.5)
    time_step = 0.1
    z, _ = simulate(physics, time_step, 2000, 300, seed)
    virial = -z * np.asarray(force(physics, jnp.asarray(z)))
    kt, error = float(physics.temperature), virial.std(axis=0) / np.sqrt(len(z))
    # Of second order, as in the velocities of the stiffest mode.
    stiffest = (np.abs(hessian(physics)).sum(axis=0) / np.asarray(physics.mass)).max()
    bias = kt * stiffest * time_step**2 / 4
    assert (np.abs(virial.mean(axis=0) - kt) <= N_ERRORS * error + bias).all()
    assert bias < 0.1 * kt


# ---------------------------------------------------------------- order


def errors_of(physics, end, exact, steps=(32, 64, 128), start=(1.0, 0.5)):
    """Distance from the exact end, for steps that are halved."""
    z, v = (jnp.full(physics.mass.size, x) for x in start)
    found = []
    for n in steps:
        step = langevin.make_step(physics, end / n)
        found.append(np.linalg.norm(np.concatenate(run(physics, step, z, v, None, n)) - exact))
    return np.array(found)


@pytest.mark.parametrize("friction", [0.0, 0.3, 3.0])
def test_a_harmonic_path_without_noise_is_of_second_order(friction):
    stiffness, mass, end = 1.7, 0.6, 3.0
    exact = expm(np.array([[0, 1], [-stiffness / mass, -friction]]) * end) @ [1.0, 0.5]
    off = errors_of(one(stiffness, mass, friction), end, exact)
    slope = np.log2(off[:-1] / off[1:])
    # The next term of the expansion is smaller by the square of the step's rates.
    step = end / np.array([32, 64])
    np.testing.assert_allclose(slope, 2, atol=((stiffness / mass + friction**2) * step**2).max())
    assert abs(slope[1] - 2) < 0.02


@pytest.mark.parametrize("friction", [0.0, 0.7])
def test_coupled_oscillators_without_noise_are_of_second_order(friction, seed):
    physics = random_physics(seed, n=4, coupling=0.4, friction=friction)
    n, end = 4, 2.0
    k, coupling, m, gamma = (np.asarray(x) for x in physics[:4])

    def slope_of(_, state):
        z, v = state[:n], state[n:]
        t = np.tanh(z / 2)
        return np.concatenate([v, -(k * z + (1 - t**2) * (coupling @ (2 * t))) / m - gamma * v])

    start = np.repeat([1.0, 0.5], n)
    exact = solve_ivp(slope_of, (0, end), start, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    off = errors_of(physics, end, exact, (64, 128, 256))
    rate = (np.abs(hessian(physics)).sum(axis=0) / m).max() + gamma.max() ** 2
    np.testing.assert_allclose(
        np.log2(off[:-1] / off[1:]), 2, atol=0.02 + 4 * rate * (end / 64) ** 2
    )


def test_without_friction_a_step_runs_backwards_too(seed):
    physics = random_physics(seed, coupling=0.5, friction=0.0)
    step = langevin.make_step(physics, 0.3)
    assert not np.asarray(step.noise).any()
    z, v = jnp.asarray(stream(seed, "state").standard_normal((2, 8)))
    ahead_z, ahead_v = run(physics, step, z, v, None, 50)
    back_z, back_v = run(physics, step, ahead_z, -ahead_v, None, 50)
    # Rounding of 100 steps of a few operations, grown as neighbouring paths part; they keep the
    # energy, so that not much comes of it.
    bound = 1e4 * EPS * (np.abs(ahead_z).max() + np.abs(ahead_v).max() + 1)
    np.testing.assert_allclose(back_z, z, atol=bound)
    np.testing.assert_allclose(back_v, -v, atol=bound)

    def energy(z, v):
        return float(potential(physics, z) + (physics.mass * v * v).sum() / 2)

    # Symplectic: the energy swings by a share of second order and does not drift.
    finer = [energy(*run(physics, langevin.make_step(physics, 0.05), z, v, None, n))
             for n in (1, 600, 601, 2400)]  # fmt: skip
    rate = (np.abs(hessian(physics)).sum(axis=0) / np.asarray(physics.mass)).max()
    scale = energy(z, v) + np.linalg.norm(physics.coupling, 2) * SATURATION**2 * 4
    np.testing.assert_allclose(finer, energy(z, v), atol=rate * 0.05**2 * scale)


def test_volume_shrinks_by_the_friction_wherever_the_oscillators_are(seed):
    physics = random_physics(seed, coupling=0.5)
    state = jnp.asarray(stream(seed, "state").standard_normal(16))
    found = np.linalg.det(jacobian(physics, 0.4, state, jnp.ones(8))[0])
    expected = np.exp(-0.4 * np.asarray(physics.friction).sum())
    assert found == pytest.approx(expected, rel=1e-10)


# ---------------------------------------------------------------- the rest


def test_a_push_moves_the_rest_position_by_itself_over_the_stiffness():
    physics = one(2.0, 0.5, 1.0)
    step = langevin.make_step(physics, 0.5)
    zero = jnp.zeros(1)
    z, v = run(physics, step, zero, zero, None, 400, 3.0)
    np.testing.assert_allclose([z[0], v[0]], [1.5, 0], atol=20 * EPS)


def test_the_divergence_equals_its_integral(seed):
    rng = stream(seed, "gaussian")
    mean, log_sd = rng.uniform(-2, 2, 3), rng.uniform(-1.5, 1, 3)
    total = 0.0
    for m, s in zip(mean, np.exp(log_sd), strict=True):
        posterior = norm(m, s)
        total += quad(
            lambda x, q=posterior: q.pdf(x) * (q.logpdf(x) - norm.logpdf(x)),
            m - 12 * s, m + 12 * s, epsabs=1e-12, epsrel=1e-12,
        )[0]  # fmt: skip
    assert float(langevin.kl_from_standard(mean, log_sd)) == pytest.approx(total, rel=1e-9)
    assert float(langevin.kl_from_standard(np.zeros(3), np.zeros(3))) == 0


def test_modes_solve_the_equation_of_motion_and_show_in_the_simulation(seed):
    physics = random_physics(seed, coupling=0.05, friction=0.0)
    frequency, mode = langevin.normal_modes(physics)
    curvature = jax.hessian(lambda z: potential(physics, z))(jnp.zeros(8))
    np.testing.assert_allclose(curvature, hessian(physics), atol=1e-14)
    mass = np.diag(physics.mass)
    left = np.asarray(curvature) @ mode
    np.testing.assert_allclose(left, mass @ mode * frequency**2, atol=1e-13)
    np.testing.assert_allclose(mode.T @ mass @ mode, np.eye(8), atol=1e-13)
    assert (np.diff(frequency) >= 0).all()
    # A small displacement along a mode comes back after its period, all but second-order errors
    # of the step (of the phase, (frequency x step)^2 / 24 of a turn) and of the displacement.
    n_steps, which = 400, int(stream(seed, "mode").integers(8))
    step = langevin.make_step(physics, 2 * np.pi / frequency[which] / n_steps)
    small = 1e-4
    z, _ = run(physics, step, jnp.asarray(small * mode[:, which]), jnp.zeros(8), None, n_steps)
    overlap = mode[:, which] @ mass @ np.asarray(z) / small
    assert abs(overlap - 1) < (2 * np.pi / n_steps) ** 2
    others = np.delete(mode, which, axis=1).T @ mass @ np.asarray(z) / small
    assert np.abs(others).max() < (2 * np.pi / n_steps) ** 2


def test_an_origin_that_is_no_minimum_has_modes_of_frequency_zero():
    physics = random_physics(0)._replace(coupling=jnp.asarray(-5.0 * np.eye(8)))
    frequency, mode = langevin.normal_modes(physics)
    assert not frequency.any()
    assert np.isfinite(mode).all()


def test_constants_begin_as_asked_and_stay_positive():
    oscillators = Oscillators.init(jax.random.key(0), 8, stiffness=0.1, friction=0.7)
    physics = oscillators.physics()
    np.testing.assert_allclose(physics.stiffness, 0.1, rtol=1e-6)
    np.testing.assert_allclose(physics.friction, 0.7, rtol=1e-6)
    np.testing.assert_array_equal(physics.mass, 1)
    assert float(physics.temperature) == 1
    np.testing.assert_array_equal(physics.coupling, physics.coupling.T)
    for shift in (-80.0, 80.0):
        moved = jax.tree.map(lambda x, by=shift: x + by, oscillators).physics()
        for name in ("stiffness", "mass", "friction", "temperature"):
            assert (np.asarray(getattr(moved, name)) > 0).all(), name
