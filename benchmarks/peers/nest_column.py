"""The column of Potjans and Diesmann in NEST, one thread, its own neurons, wiring and input.

    nest_column.py CONSTANTS OUT SCALE INDEGREE_SCALE SECONDS SEED

CONSTANTS is a JSON file with the numbers of the full network: ``size``, ``external`` (inputs to a
neuron), ``rate`` (Hz) of each population and ``connection`` (target, source). How they are shrunk
is written out here once more, so that the rates check the recipe as well as the simulator.
"""

import json
import math
import sys
from pathlib import Path

import nest
import numpy as np

BACKGROUND = 8.0  # Hz of each external input
POTENTIAL = 0.15  # mV, peak of a postsynaptic potential
CAPACITANCE, TAU_MEMBRANE, TAU_SYNAPSE = 250.0, 10.0, 0.5  # pF, ms, ms
ONSET = 0.5  # s, left out


def current_of(potential: float) -> float:
    """Find the synaptic current (pA) whose potential peaks at `potential` mV."""
    tau_m, tau_s = TAU_MEMBRANE, TAU_SYNAPSE
    peak = math.log(tau_m / tau_s) * tau_m * tau_s / (tau_m - tau_s)
    unit = tau_m * tau_s / (tau_m - tau_s) / CAPACITANCE
    return potential / (unit * (math.exp(-peak / tau_m) - math.exp(-peak / tau_s)))


def main() -> None:
    constants, out, scale, kept, seconds, seed = sys.argv[1:]
    scale, kept, seconds = float(scale), float(kept), float(seconds)
    full = {k: np.array(v) for k, v in json.loads(Path(constants).read_text()).items()}
    nest.set_verbosity("M_ERROR")
    nest.rng_seed = int(seed) + 1
    nest.resolution = 0.1
    size = np.rint(full["size"] * scale).astype(int)
    pairs = np.outer(full["size"], full["size"])
    synapses = np.log(1 - full["connection"]) / np.log(1 - 1 / pairs)
    excitatory = np.arange(8) % 2 == 0
    current = current_of(POTENTIAL)
    weight = np.tile(np.where(excitatory, current, -4 * current), (8, 1))
    weight[0, 2] *= 2
    mean_input = (synapses / full["size"][:, None] * weight * full["rate"]).sum(axis=1)
    mean_input += full["external"] * BACKGROUND * current
    constant = (1 - math.sqrt(kept)) * mean_input * TAU_SYNAPSE * 1e-3
    populations, recorders = [], []
    for i in range(8):
        neurons = nest.Create(
            "iaf_psc_exp",
            int(size[i]),
            {
                "C_m": CAPACITANCE,
                "tau_m": TAU_MEMBRANE,
                "tau_syn_ex": TAU_SYNAPSE,
                "tau_syn_in": TAU_SYNAPSE,
                "E_L": -65.0,
                "V_th": -50.0,
                "V_reset": -65.0,
                "t_ref": 2.0,
                "I_e": float(constant[i]),
                "V_m": nest.random.normal(-58.0, 10.0),
            },
        )
        rate = float(full["external"][i] * BACKGROUND * kept)
        source = nest.Create("poisson_generator", params={"rate": rate})
        nest.Connect(source, neurons, syn_spec={"weight": current / math.sqrt(kept)})
        recorder = nest.Create("spike_recorder", params={"start": ONSET * 1e3})
        nest.Connect(neurons, recorder)
        populations.append(neurons)
        recorders.append(recorder)
    for t in range(8):
        for s in range(8):
            number = round(synapses[t, s] * scale * kept)
            if not number:
                continue
            mean = float(weight[t, s] / math.sqrt(kept))
            low, high = (0.0, 1e9) if mean > 0 else (-1e9, 0.0)
            delay = 1.5 if excitatory[s] else 0.75
            nest.Connect(
                populations[s],
                populations[t],
                {"rule": "fixed_total_number", "N": number},
                {
                    "weight": nest.math.redraw(
                        nest.random.normal(mean, abs(0.1 * mean)), min=low, max=high
                    ),
                    "delay": nest.math.redraw(
                        nest.random.normal(delay, 0.5 * delay), min=0.1, max=1e9
                    ),
                },
            )
    nest.Simulate(seconds * 1e3)
    rates = [r.n_events / n / (seconds - ONSET) for r, n in zip(recorders, size, strict=True)]
    Path(out).write_text(json.dumps({"rates": rates, "version": nest.__version__}))


if __name__ == "__main__":
    main()
