"""CUBA and COBA in BrainPy on the CPU: event-driven sparse projections inside one jit.

BrainPy's documentation writes such a network as two groups of neurons with four projections
(``--recipe``). One group with two projections runs the same model in half the time, and is the
default here. Two threads or one make no difference to either.
"""

import sys
import time

import numpy as np
from _networks import (
    N_EXCITATORY,
    N_INHIBITORY,
    N_UNITS,
    PROBABILITY,
    REFRACTORY,
    RESET,
    STEP,
    TAU_EXCITATORY,
    TAU_INHIBITORY,
    TAU_MEMBRANE,
    THRESHOLD,
    Coba,
    Cuba,
    Run,
    argument_parser,
    run,
    start,
)

_begun = time.perf_counter()
import brainpy as bp  # noqa: E402
import brainpy.math as bm  # noqa: E402
import jax  # noqa: E402

IMPORT_SECONDS = {"brainpy": time.perf_counter() - _begun}


def make_neurons(network, size):
    """Make a group of neurons without inputs."""
    return bp.dyn.LifRef(
        size,
        V_rest=(Cuba() if network == "cuba" else Coba()).rest,
        V_th=THRESHOLD,
        V_reset=RESET,
        tau=TAU_MEMBRANE,
        # BrainPy holds a neuron while this or less has passed since its spike. Half a step more
        # makes that 50 steps, as in NEST, whatever the rounding.
        tau_ref=REFRACTORY + STEP / 2,
    )


def projection_parts(network, inhibitory, size, post, seed):
    """Make what a projection is built from, but for where it starts."""
    values = Cuba() if network == "cuba" else Coba()
    weight = values.weight_inhibitory if inhibitory else values.weight_excitatory
    if network == "cuba":
        output = bp.dyn.CUBA.desc()
    else:
        output = bp.dyn.COBA.desc(
            E=values.reversal_inhibitory if inhibitory else values.reversal_excitatory
        )
    wiring = bp.conn.FixedProb(PROBABILITY, pre=size, post=post.num, seed=seed)
    return {
        "comm": bp.dnn.EventCSRLinear(wiring, weight),
        "syn": bp.dyn.Expon.desc(post.num, tau=TAU_INHIBITORY if inhibitory else TAU_EXCITATORY),
        "out": output,
        "post": post,
    }


class OneGroup(bp.DynSysGroup):
    """All neurons in one group, and one projection from each kind.

    Parameters
    ----------
    network : str
        ``"cuba"`` or ``"coba"``.
    seed : int
        Of the wiring and the start.
    """

    def __init__(self, network, seed):
        super().__init__()
        self.first = start(network, seed)
        self.neurons = make_neurons(network, N_UNITS)
        self.excitatory, self.inhibitory = (
            bp.dyn.HalfProjAlignPostMg(
                **projection_parts(network, bool(kind), size, self.neurons, 2 * seed + kind)
            )
            for kind, size in enumerate((N_EXCITATORY, N_INHIBITORY))
        )

    def restart(self):
        """Go back to time 0."""
        bp.reset_state(self)
        self.neurons.V.value = bm.asarray(self.first.voltage, dtype=bm.float_)
        self.excitatory.syn.g.value = bm.asarray(self.first.excitatory, dtype=bm.float_)
        self.inhibitory.syn.g.value = bm.asarray(self.first.inhibitory, dtype=bm.float_)

    def update(self):
        """Make one step and return who fired."""
        spike = self.neurons.spike.value
        self.excitatory(spike[:N_EXCITATORY])
        self.inhibitory(spike[N_EXCITATORY:])
        self.neurons()
        return self.neurons.spike.value


class TwoGroups(bp.DynSysGroup):
    """Excitatory and inhibitory neurons, and four projections, as BrainPy's documentation has it.

    Parameters
    ----------
    network : str
        ``"cuba"`` or ``"coba"``.
    seed : int
        Of the wiring and the start.
    """

    def __init__(self, network, seed):
        super().__init__()
        self.first = start(network, seed)
        self.groups = bm.NodeList(
            [make_neurons(network, size) for size in (N_EXCITATORY, N_INHIBITORY)]
        )
        self.projections = bm.NodeList(
            [
                bp.dyn.FullProjAlignPostMg(
                    pre=source,
                    delay=None,
                    **projection_parts(
                        network, bool(kind), source.num, target, 4 * seed + 2 * kind + to
                    ),
                )
                for kind, source in enumerate(self.groups)
                for to, target in enumerate(self.groups)
            ]
        )

    def restart(self):
        """Go back to time 0."""
        bp.reset_state(self)
        members = (slice(0, N_EXCITATORY), slice(N_EXCITATORY, N_UNITS))
        for group, chosen in zip(self.groups, members, strict=True):
            group.V.value = bm.asarray(self.first.voltage[chosen], dtype=bm.float_)
        for number, projection in enumerate(self.projections):
            conductance = self.first[1 + number // 2][members[number % 2]]
            projection.syn.g.value = bm.asarray(conductance, dtype=bm.float_)

    def update(self):
        """Make one step and return who fired."""
        for projection in self.projections:
            projection()
        for group in self.groups:
            group()
        return bm.concatenate([group.spike.value for group in self.groups])


def simulate(made_by: type, network: str, seed: int, duration: float) -> Run:
    """Simulate one network from nothing, twice: the first time pays for compilation.

    Parameters
    ----------
    made_by : type
        :class:`OneGroup` or :class:`TwoGroups`.
    network : str
        ``"cuba"`` or ``"coba"``.
    seed : int
        Of the wiring and the start.
    duration : float
        Seconds.

    Returns
    -------
    Run
        Spikes and times.
    """
    steps = np.arange(round(1000 * duration / STEP))
    begun = time.perf_counter()
    made = made_by(network, seed)
    # for_loop alone compiles anew at every call.
    loop = bm.jit(lambda: bm.for_loop(made.step_run, steps, progress_bar=False))
    made.restart()
    jax.block_until_ready(loop())
    first_seconds = time.perf_counter() - begun
    made.restart()
    begun = time.perf_counter()
    spikes = jax.block_until_ready(loop())
    loop_seconds = time.perf_counter() - begun
    step, unit = np.nonzero(np.asarray(spikes))
    return Run(step * STEP / 1000, unit, first_seconds - loop_seconds, loop_seconds)


def main() -> None:
    """Simulate and write the report."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--recipe", action="store_true", help="write the network as BrainPy's documentation does"
    )
    arguments = parser.parse_args()
    bm.set_platform("cpu")
    bm.set_dt(STEP)
    made_by = TwoGroups if arguments.recipe else OneGroup
    run(
        "BrainPy",
        ("brainpy", "brainevent", "jax", "numba", "numpy"),
        lambda seed: simulate(made_by, arguments.network, seed, arguments.duration),
        arguments,
        IMPORT_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
