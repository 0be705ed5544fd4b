"""Latent processes that drive a network from outside, sampled for as long as it is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from neurokit_sdr.core.arguments import as_numbers, check_number, check_whole
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.snn.synapses import check_memory


class Sample(NamedTuple):
    """What a process did in each frame.

    Attributes
    ----------
    latent
        Shape (frame, latent).
    state
        Shape (frame,), int, or None where there are no discrete states.
    variables
        More that was true, each of shape (frame,).
    """

    latent: np.ndarray
    state: np.ndarray | None = None
    variables: dict[str, np.ndarray] = {}  # noqa: RUF012  an empty default, never written


def _check_list(name: str, value: Any, *, positive: bool = False) -> None:
    """Refuse what is no list of finite numbers."""
    array = as_numbers(name, value)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ParameterError(f"Expected {name} as a list of finite numbers, got {value!r}.")
    if positive and array.min() <= 0:
        raise ParameterError(f"Expected every one of {name} > 0, got {array.min():g}.")


def _check_latents(n_frames: float, n_latents: int, per_frame: int) -> None:
    """Refuse a path that would not fit into memory; ``per_frame`` numbers are held at once."""
    check_memory(
        8.0 * per_frame * n_frames, f"A path of {n_latents} latents and {n_frames:.3g} frames"
    )


class LatentProcess:
    """Base of the processes: ``frame_interval`` in seconds, and :meth:`sample`."""

    frame_interval: float

    def check(self) -> None:
        """Raise :class:`ParameterError` where a value is out of range."""
        check_number("frame_interval", self.frame_interval, 0, open_low=True)

    def sample(self, n_frames: int, rng: np.random.Generator) -> Sample:
        """Draw that many frames."""
        raise NotImplementedError


@dataclass(frozen=True)
class Lorenz(LatentProcess):
    r"""The Lorenz attractor, :math:`\dot x = \sigma(y - x), \dot y = x(\rho - z) - y,
    \dot z = xy - \beta z`, each coordinate divided by its sd (about 8, 9 and 8.6) and centred.

    Attributes
    ----------
    speed
        Units of Lorenz time per second.
    frame_interval
        s.
    """

    speed: float = 2.0
    frame_interval: float = 0.005

    def check(self) -> None:
        """See :meth:`LatentProcess.check`."""
        super().check()
        check_number("speed", self.speed, 0, open_low=True)

    def sample(self, n_frames: int, rng: np.random.Generator) -> Sample:
        """Start on the attractor (ten units of time are thrown away)."""
        self.check()
        _check_latents(n_frames, 3, 9)
        step = self.speed * self.frame_interval
        parts = max(1, int(np.ceil(step / 0.01)))
        h = step / parts
        burn = int(np.ceil(10 / step))

        def slope(p: np.ndarray) -> np.ndarray:
            x, y, z = p
            return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

        point = rng.normal(0, 1, 3) + np.array([0, 0, 25.0])
        path = np.empty((n_frames, 3))
        for frame in range(-burn, n_frames):
            for _ in range(parts):
                a = slope(point)
                b = slope(point + h / 2 * a)
                c = slope(point + h / 2 * b)
                d = slope(point + h * c)
                point = point + h / 6 * (a + 2 * b + 2 * c + d)
            if frame >= 0:
                path[frame] = point
        return Sample((path - np.array([0, 0, 23.5])) / np.array([7.9, 9.0, 8.6]))


@dataclass(frozen=True)
class Oscillator(LatentProcess):
    """Rotations whose amplitude and phase wander, of variance 1: one pair of latents a frequency.

    Attributes
    ----------
    frequencies
        Hz.
    coherence_time
        s after which the memory of phase has fallen to 1/e.
    frame_interval
        s.
    """

    frequencies: Sequence[float] = (1.0,)
    coherence_time: float = 2.0
    frame_interval: float = 0.005

    def check(self) -> None:
        """See :meth:`LatentProcess.check`."""
        super().check()
        _check_list("frequencies", self.frequencies)
        check_number("coherence_time", self.coherence_time, 0, open_low=True)

    def sample(self, n_frames: int, rng: np.random.Generator) -> Sample:
        """Draw stationary paths."""
        self.check()
        n_latents = 2 * len(self.frequencies)
        _check_latents(n_frames, n_latents, 4 * n_latents)
        decay = np.exp(-self.frame_interval / self.coherence_time)
        turn = decay * np.exp(2j * np.pi * np.asarray(self.frequencies) * self.frame_interval)
        shape = (n_frames, len(self.frequencies))
        noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        path = np.empty(shape, complex)
        z = noise[0] if n_frames else np.zeros(shape[1], complex)
        for frame in range(n_frames):
            path[frame] = z
            z = turn * z + np.sqrt(1 - decay**2) * noise[min(frame + 1, n_frames - 1)]
        return Sample(np.stack([path.real, path.imag], axis=-1).reshape(n_frames, -1))


@dataclass(frozen=True)
class GaussianProcess(LatentProcess):
    r"""Independent Gaussian processes with the kernel :math:`e^{-(t-t')^2/2\ell^2}`.

    Attributes
    ----------
    time_scales
        :math:`\ell` of each latent, s.
    frame_interval
        s.
    """

    time_scales: Sequence[float] = (0.1, 0.2, 0.4)
    frame_interval: float = 0.005

    def check(self) -> None:
        """See :meth:`LatentProcess.check`."""
        super().check()
        _check_list("time_scales", self.time_scales, positive=True)

    def sample(self, n_frames: int, rng: np.random.Generator) -> Sample:
        """White noise through the Gaussian filter whose square is the kernel."""
        self.check()
        n_latents = len(self.time_scales)
        # Noise, filter and result come with margins of some of the longest time scales.
        margin = 6 * max(self.time_scales) / self.frame_interval
        _check_latents(n_frames + margin, n_latents, n_latents + 3)
        from scipy.ndimage import gaussian_filter1d

        path = np.empty((n_frames, len(self.time_scales)))
        for k, scale in enumerate(self.time_scales):
            # Convolving two Gaussians of width s gives one of width s sqrt(2): the kernel's.
            sd = scale / np.sqrt(2) / self.frame_interval
            pad = int(np.ceil(4 * sd)) + 1
            white = rng.standard_normal(n_frames + 2 * pad)
            smooth = gaussian_filter1d(white, sd, mode="constant")[pad : pad + n_frames]
            path[:, k] = smooth * np.sqrt(2 * np.sqrt(np.pi) * sd)
        return Sample(path)


@dataclass(frozen=True)
class HiddenStates(LatentProcess):
    """A Markov chain; latent k is 1 in state k and 0 elsewhere.

    Attributes
    ----------
    n_states
        How many.
    dwell_time
        Mean time in a state, s.
    frame_interval
        s.
    """

    n_states: int = 3
    dwell_time: float = 1.0
    frame_interval: float = 0.01

    def check(self) -> None:
        """See :meth:`LatentProcess.check`."""
        super().check()
        check_whole("n_states", self.n_states, 1)
        check_number("dwell_time", self.dwell_time, self.frame_interval)

    def sample(self, n_frames: int, rng: np.random.Generator) -> Sample:
        """Draw a path; a change leads to any other state with equal chance."""
        self.check()
        _check_latents(n_frames + self.n_states, self.n_states, self.n_states + 5)
        state = markov_path(n_frames, self.n_states, self.frame_interval / self.dwell_time, rng)
        return Sample(np.eye(self.n_states)[state], state)


def markov_path(n_frames: int, n_states: int, leave: float, rng: np.random.Generator) -> np.ndarray:
    """States of a chain that leaves each with probability ``leave`` per frame, shape (frame,)."""
    if n_states == 1:
        return np.zeros(n_frames, np.int64)
    jump = np.where(rng.random(n_frames) < leave, rng.integers(1, n_states, n_frames), 0)
    if n_frames:
        jump[0] = rng.integers(n_states)
    return np.cumsum(jump) % n_states


@dataclass(frozen=True)
class SwitchingDynamics(LatentProcess):
    r"""Linear dynamics that a hidden state switches: each population has its own latents.

    .. math:: x_{t+1} = A_{z_t} x_t + \sqrt{1 - r_{z_t}^2}\,\epsilon_t, \quad
              A_z = r_z R(2\pi f_z \Delta)

    with one rotating pair of latents per population, all of variance 1; a state gives every
    population another frequency and memory.

    Attributes
    ----------
    frequency
        Hz, shape (state, population).
    memory
        Time after which :math:`r^t` is 1/e, s, shape (state, population).
    dwell_time, frame_interval
        s.
    """

    frequency: Any = field(default_factory=lambda: [[0.5, 2.0], [2.0, 0.5]])
    memory: Any = field(default_factory=lambda: [[0.5, 0.2], [0.2, 0.5]])
    dwell_time: float = 2.0
    frame_interval: float = 0.01

    def check(self) -> None:
        """See :meth:`LatentProcess.check`."""
        super().check()
        check_number("dwell_time", self.dwell_time, self.frame_interval)
        shape = np.shape(as_numbers("frequency", self.frequency))
        for name in ("frequency", "memory"):
            array = as_numbers(name, getattr(self, name))
            if array.ndim != 2 or array.shape != shape or not array.size:
                raise ParameterError(
                    f"Expected frequency and memory of one shape (state, population), got "
                    f"{shape} and {np.shape(self.memory)}."
                )
            if not np.isfinite(array).all():
                raise ParameterError(f"Expected finite {name}, got NaN or infinity.")
        if np.min(self.memory) <= 0:
            raise ParameterError(f"Expected memory > 0 s, got {np.min(self.memory):g}.")

    def sample(self, n_frames: int, rng: np.random.Generator) -> Sample:
        """Draw states, then the latents they drive."""
        self.check()
        frequency, memory = np.asarray(self.frequency), np.asarray(self.memory)
        n_latents = 2 * frequency.shape[1]
        _check_latents(n_frames, n_latents, 4 * n_latents + 5)
        state = markov_path(n_frames, len(frequency), self.frame_interval / self.dwell_time, rng)
        r = np.exp(-self.frame_interval / memory)
        turn = r * np.exp(2j * np.pi * frequency * self.frame_interval)
        shape = (n_frames, frequency.shape[1])
        noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        path = np.empty(shape, complex)
        x = rng.standard_normal(shape[1]) + 1j * rng.standard_normal(shape[1])
        for frame, z in enumerate(state):
            path[frame] = x
            x = turn[z] * x + np.sqrt(1 - r[z] ** 2) * noise[frame]
        return Sample(np.stack([path.real, path.imag], axis=-1).reshape(n_frames, -1), state)


@dataclass(frozen=True, eq=False)
class Schedule(LatentProcess):
    """A given sequence of latents, repeated from its start where it ends.

    Attributes
    ----------
    latent
        Shape (frame, latent).
    frame_interval
        s.
    variables
        More that was true in each frame, by name.
    """

    latent: np.ndarray
    frame_interval: float
    variables: dict[str, np.ndarray] = field(default_factory=dict)

    def check(self) -> None:
        """See :meth:`LatentProcess.check`."""
        super().check()
        latent = as_numbers("latent", self.latent)
        if latent.ndim != 2 or not len(latent) or not np.isfinite(latent).all():
            raise ParameterError(
                f"Expected finite latents of shape (frame, latent), at least one frame, got shape "
                f"{latent.shape}{'' if np.isfinite(latent).all() else ' with NaN or infinity'}."
            )
        for name, value in self.variables.items():
            if np.shape(value) != (len(latent),):
                raise ParameterError(
                    f"Expected variables[{name!r}] of shape ({len(latent)},), one value for each "
                    f"frame, got {np.shape(value)}."
                )

    def sample(self, n_frames: int, rng: np.random.Generator) -> Sample:
        """Give the sequence itself; nothing is drawn."""
        self.check()
        n_latents = np.shape(self.latent)[1]
        _check_latents(n_frames, n_latents, n_latents + 1 + len(self.variables))
        which = np.arange(n_frames) % len(self.latent)
        return Sample(
            np.asarray(self.latent, float)[which],
            None,
            {name: np.asarray(v)[which] for name, v in self.variables.items()},
        )


@dataclass(frozen=True, eq=False)
class StimulusBlocks(LatentProcess):
    """One stimulus per frame, drawn from ensembles that take turns in blocks.

    Latent ``e * n_stimuli + s`` is 1 while ensemble e shows stimulus s, and 0 elsewhere. The
    variables are ``stimulus`` (its value), ``stimulus_index`` and ``ensemble``, each per frame.

    Attributes
    ----------
    probability
        Shape (ensemble, stimulus); rows sum to 1.
    values
        What each stimulus is, shape (stimulus,).
    block_frames
        Frames before the next ensemble; the first goes first.
    frame_interval
        s.
    """

    probability: np.ndarray
    values: np.ndarray
    block_frames: int = 150
    frame_interval: float = 0.2

    def check(self) -> None:
        """See :meth:`LatentProcess.check`."""
        super().check()
        check_whole("block_frames", self.block_frames, 1)
        p = as_numbers("probability", self.probability)
        if p.ndim != 2 or not p.size or not (p >= 0).all() or not np.allclose(p.sum(axis=1), 1):
            raise ParameterError(
                f"Expected probability of shape (ensemble, stimulus), >= 0 and summing to 1 in "
                f"each ensemble, got {p!r}."
            )
        if np.shape(self.values) != (p.shape[1],):
            raise ParameterError(
                f"Expected values of shape ({p.shape[1]},), one for each stimulus, got "
                f"{np.shape(self.values)}."
            )

    def sample(self, n_frames: int, rng: np.random.Generator) -> Sample:
        """Draw each frame's stimulus independently of the others."""
        self.check()
        n_ensembles, n_stimuli = np.shape(self.probability)
        n_latents = n_ensembles * n_stimuli
        _check_latents(n_frames, n_latents, n_latents + 2 * n_stimuli + 4)
        ensemble = np.arange(n_frames) // self.block_frames % n_ensembles
        # The last edge is left out: rounding may leave it below 1.
        edges = np.cumsum(np.asarray(self.probability), axis=1)[:, :-1]
        index = (rng.random(n_frames)[:, None] > edges[ensemble]).sum(axis=1)
        latent = np.zeros((n_frames, n_ensembles * n_stimuli))
        latent[np.arange(n_frames), ensemble * n_stimuli + index] = 1.0
        shown = {
            "stimulus": np.asarray(self.values)[index],
            "stimulus_index": index,
            "ensemble": ensemble,
        }
        return Sample(latent, None, shown)
