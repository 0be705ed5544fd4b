"""What reaches the units in a step: synapses, Poisson events, drive, noise, forced spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from neurokit_sdr.snn.engine.constants import keeps_input
from neurokit_sdr.snn.engine.options import OPTIONS


def receive(model: Any, state: Any, arriving: Any) -> Any:
    """Move a step's input into the synaptic state, and empty its place in the ring."""


@overload(receive, jit_options=OPTIONS)
def _choose_receive(model, state, arriving):
    if not keeps_input(model.instance_class):
        return lambda model, state, arriving: None

    def receive(model, state, arriving):
        for i in range(arriving.size):
            state.synaptic[i] += arriving[i]
        for i in range(arriving.size):
            arriving[i] = 0.0

    return receive


@njit(inline="always")
def _poisson(mean, rng):
    """A Poisson number by inversion; in parts where exp(-mean) would underflow."""
    total = 0
    while mean > 0.0:
        part = min(mean, 500.0)
        mean -= part
        p = np.exp(-part)
        u = rng.random()
        k = 0
        while u > p and p > 0.0:
            u -= p
            k += 1
            p *= part / k
        total += k
    return total


@njit(inline="always")
def external_input(external, step, arriving, steady, drive, rng_poisson, rng_noise):
    """Add this step's Poisson events to `arriving`, and return this step's drive.

    A generator is None where there is nothing to draw: the loop is then compiled without.
    """
    n = drive.size
    if step % external.frame_steps == 0 or step == 0:
        frame = min(step // external.frame_steps, external.latent.shape[0] - 1)
        for i in range(n):
            steady[i] = external.drive[i]
        for k in range(external.loading.shape[0]):
            z = external.latent[frame, k]
            row = external.loading[k]
            for i in range(n):
                steady[i] += z * row[i]
    if rng_poisson is not None:
        for j in range(external.poisson_target.size):
            k = _poisson(external.poisson_mean[j], rng_poisson)
            if k:
                arriving[external.poisson_target[j]] += k * external.poisson_weight[j]
    # Compiled in one branch alone; with `else`, because only then is the other left out.
    if rng_noise is None:
        return steady
    else:
        for i in range(n):
            drive[i] = steady[i] + external.noise[i] * rng_noise.standard_normal()
        return drive


@njit(inline="always")
def first_forced(external, step):
    pointer = 0
    while pointer < external.forced_step.size and external.forced_step[pointer] < step:
        pointer += 1
    return pointer


@njit(inline="always")
def force(external, step, pointer, found, number):
    """Append the spikes that are imposed at the end of this step, once each."""
    # Not searchsorted, nor slices assigned anywhere here: they double the time of compilation.
    while pointer < external.forced_step.size and external.forced_step[pointer] <= step:
        unit = external.forced_unit[pointer]
        twice = False
        for j in range(number):
            twice |= found[j] == unit
        if external.forced_step[pointer] == step and not twice:
            found[number] = unit
            number += 1
        pointer += 1
    return pointer, number
