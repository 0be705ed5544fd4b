"""CUBA and COBA in NEST, one thread, its own neuron models and wiring."""

import sys
import time

import numpy as np
from _networks import (
    N_EXCITATORY,
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
import nest  # noqa: E402

IMPORT_SECONDS = {"nest": time.perf_counter() - _begun}

# NEST counts in pA and nS: with these a current of 1 mV over the leak is LEAK pA.
CAPACITANCE = 200.0
LEAK = CAPACITANCE / TAU_MEMBRANE

NEURON = {"V_th": THRESHOLD, "V_reset": RESET, "t_ref": REFRACTORY, "C_m": CAPACITANCE}


def make_neurons(network: str, seed: int) -> tuple[nest.NodeCollection, float, float]:
    """Make the neurons and say how strong the synapses are, in NEST's units."""
    first = start(network, seed)
    if network == "cuba":
        cuba = Cuba()
        # The exact propagator; no current is under way at time 0.
        neurons = nest.Create(
            "iaf_psc_exp",
            N_UNITS,
            NEURON
            | {
                "E_L": cuba.rest,
                "tau_m": TAU_MEMBRANE,
                "tau_syn_ex": TAU_EXCITATORY,
                "tau_syn_in": TAU_INHIBITORY,
            },
        )
        weights = cuba.weight_excitatory * LEAK, cuba.weight_inhibitory * LEAK
    else:
        coba = Coba()
        # NEST has no conductance-based model with a fixed step; this one adapts its steps.
        neurons = nest.Create(
            "iaf_cond_exp",
            N_UNITS,
            NEURON
            | {
                "E_L": coba.rest,
                "g_L": LEAK,
                "E_ex": coba.reversal_excitatory,
                "E_in": coba.reversal_inhibitory,
                "tau_syn_ex": TAU_EXCITATORY,
                "tau_syn_in": TAU_INHIBITORY,
            },
        )
        neurons.g_ex = first.excitatory * LEAK
        neurons.g_in = first.inhibitory * LEAK
        # The sign tells NEST which conductance a synapse opens.
        weights = coba.weight_excitatory * LEAK, -coba.weight_inhibitory * LEAK
    neurons.V_m = first.voltage
    return neurons, *weights


def simulate(network: str, seed: int, duration: float) -> Run:
    """Simulate one network from nothing.

    Parameters
    ----------
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
    begun = time.perf_counter()
    nest.ResetKernel()
    nest.set(resolution=STEP, local_num_threads=1, rng_seed=seed + 1, print_time=False)
    neurons, excitatory, inhibitory = make_neurons(network, seed)
    recorder = nest.Create("spike_recorder")
    # One weight and the shortest delay for all: a synapse then is little more than its target.
    for name, weight, source in (
        ("excitatory", excitatory, neurons[:N_EXCITATORY]),
        ("inhibitory", inhibitory, neurons[N_EXCITATORY:]),
    ):
        nest.CopyModel("static_synapse_hom_w", name, {"weight": weight, "delay": STEP})
        nest.Connect(
            source,
            neurons,
            {"rule": "pairwise_bernoulli", "p": PROBABILITY},
            {"synapse_model": name},
        )
    nest.Connect(neurons, recorder)
    nest.Prepare()
    setup_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    nest.Run(1000 * duration)
    loop_seconds = time.perf_counter() - begun
    nest.Cleanup()
    events = recorder.events
    return Run(
        np.asarray(events["times"]) / 1000,
        np.asarray(events["senders"]) - neurons[0].global_id,
        setup_seconds,
        loop_seconds,
    )


def main() -> None:
    """Simulate and write the report."""
    arguments = argument_parser(__doc__).parse_args()
    nest.verbosity = nest.VerbosityLevel.ERROR
    run(
        "NEST",
        ("nest-simulator", "numpy"),
        lambda seed: simulate(arguments.network, seed, arguments.duration),
        arguments,
        IMPORT_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
