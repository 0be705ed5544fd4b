"""CUBA and COBA in Brian2, one thread: compiled step by step (cython) or whole (cpp_standalone).

With ``--mode cpp_standalone`` the program is generated and compiled once, with the wiring and the
start drawn inside it, and then run for every seed. ``--project`` keeps the compiled program for
later calls with the same network and duration. With ``--mode cython`` compiled code is kept in
``--cache``.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
)

_begun = time.perf_counter()
import brian2 as b2  # noqa: E402

IMPORT_SECONDS = {"brian2": time.perf_counter() - _begun}

SEED_VARIABLE = "BRIAN2_NETWORK_SEED"

# Dimensionless: mV, and conductances in leaks. Brian2 wants a unit for time only.
EQUATIONS = {
    "cuba": """
        dv/dt = (ge + gi - (v - rest)) / tau_m : 1 (unless refractory)
        dge/dt = -ge / tau_e : 1
        dgi/dt = -gi / tau_i : 1
        """,
    "coba": """
        dv/dt = (rest - v + ge * (E_e - v) + gi * (E_i - v)) / tau_m : 1 (unless refractory)
        dge/dt = -ge / tau_e : 1
        dgi/dt = -gi / tau_i : 1
        """,
}
# Exact for the linear one. For the other the step that is exact while conductances stand still;
# Euler's is cheaper, and less accurate.
METHODS = {"cuba": "exact", "coba": "exponential_euler"}


def make_network(network: str, method: str) -> tuple[b2.Network, b2.SpikeMonitor]:
    """Make the network; Brian2 draws its wiring and its start."""
    values = Cuba() if network == "cuba" else Coba()
    namespace = {
        "tau_m": TAU_MEMBRANE * b2.ms,
        "tau_e": TAU_EXCITATORY * b2.ms,
        "tau_i": TAU_INHIBITORY * b2.ms,
        "rest": values.rest,
        "w_e": values.weight_excitatory,
        "w_i": values.weight_inhibitory,
    }
    if network == "coba":
        namespace |= {"E_e": values.reversal_excitatory, "E_i": values.reversal_inhibitory}
    neurons = b2.NeuronGroup(
        N_UNITS,
        EQUATIONS[network],
        threshold=f"v > {THRESHOLD}",
        reset=f"v = {RESET}",
        # Brian2 counts from the start of the step in which a neuron crosses the threshold, at whose
        # end it is reset: 5 ms would hold it 49 steps, NEST and we hold it 50. COBA notices.
        refractory=(REFRACTORY + STEP) * b2.ms,
        method=method,
        namespace=namespace,
    )
    if network == "cuba":
        neurons.v = f"{RESET} + rand() * {THRESHOLD - RESET}"
    else:
        neurons.v = f"{values.rest - 5} + 5 * randn()"
        neurons.ge = "(1.5 * randn() + 4) * w_e"
        neurons.gi = "(12 * randn() + 20) * w_i / 10"
    excitatory = b2.Synapses(
        neurons[:N_EXCITATORY], neurons, on_pre="ge += w_e", namespace=namespace
    )
    excitatory.connect(p=PROBABILITY)
    inhibitory = b2.Synapses(
        neurons[N_EXCITATORY:], neurons, on_pre="gi += w_i", namespace=namespace
    )
    inhibitory.connect(p=PROBABILITY)
    monitor = b2.SpikeMonitor(neurons)
    return b2.Network(neurons, excitatory, inhibitory, monitor), monitor


def compile_program(network: str, method: str, duration: float, project: Path) -> float:
    """Generate and compile the whole program; return the seconds it took."""
    begun = time.perf_counter()
    b2.set_device("cpp_standalone", build_on_run=False)
    # Each run of the program draws its own wiring and start from the seed it finds here.
    b2.device.insert_code(
        "after_start",
        f'brian::_random_generators[0].seed(std::stoul(std::getenv("{SEED_VARIABLE}")));',
    )
    made, _ = make_network(network, method)
    made.run(duration * b2.second)
    b2.device.build(directory=str(project), compile=True, run=False, with_output=False)
    return time.perf_counter() - begun


def run_program(project: Path, seed: int) -> Run:
    """Run the compiled program."""
    with tempfile.TemporaryDirectory() as results:
        begun = time.perf_counter()
        subprocess.run(
            ["./main", "--results_dir", f"{results}/"],
            cwd=project,
            env=os.environ | {SEED_VARIABLE: str(seed)},
            check=True,
        )
        whole_seconds = time.perf_counter() - begun
        # What device._last_run_time is read from.
        loop_seconds = float((Path(results) / "last_run_info.txt").read_text().split()[0])
        spikes = {
            name: np.fromfile(next(Path(results).glob(f"_dynamic_array_spikemonitor_{name}_*")), t)
            for name, t in (("t", np.float64), ("i", np.int32))
        }
    return Run(spikes["t"], spikes["i"], whole_seconds - loop_seconds, loop_seconds)


def standalone(network: str, method: str, duration: float, project: Path, seeds: list[int]):
    """Compile unless that was done before; return how to run a seed."""
    compile_seconds = 0.0
    if not (project / "main").exists():
        compile_seconds = compile_program(network, method, duration, project)

    def simulate(seed: int) -> Run:
        found = run_program(project, seed)
        # The first run waited for the compiler.
        waited = compile_seconds if seed == seeds[0] else 0.0
        return found._replace(setup_seconds=found.setup_seconds + waited)

    return simulate


def stepwise(network: str, method: str, duration: float, cache: Path | None):
    """Let Brian2 compile each operator with Cython; return how to run a seed."""
    b2.prefs.codegen.target = "cython"
    if cache is not None:
        b2.prefs.codegen.runtime.cython.cache_dir = str(cache)

    def simulate(seed: int) -> Run:
        loop = {}

        def report(elapsed, completed, _start, _duration):
            # Called right before the first step and right after the last.
            loop[completed] = float(elapsed)

        begun = time.perf_counter()
        b2.seed(seed)
        made, monitor = make_network(network, method)
        made.run(duration * b2.second, report=report, report_period=1e6 * b2.second)
        loop_seconds = loop[1.0]
        return Run(
            np.asarray(monitor.t),
            np.asarray(monitor.i),
            time.perf_counter() - begun - loop_seconds,
            loop_seconds,
        )

    return simulate


def main() -> None:
    """Simulate and write the report."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=["cython", "cpp_standalone"], default="cpp_standalone")
    parser.add_argument("--project", type=Path, help="folder of the compiled program")
    parser.add_argument("--cache", type=Path, help="folder of compiled Cython code")
    parser.add_argument("--method", help="another integration of Brian2's")
    arguments = parser.parse_args()
    b2.defaultclock.dt = STEP * b2.ms
    method = arguments.method or METHODS[arguments.network]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.mode == "cython":
            simulate = stepwise(arguments.network, method, arguments.duration, arguments.cache)
        else:
            project = arguments.project or Path(folder) / "project"
            simulate = standalone(
                arguments.network, method, arguments.duration, project.resolve(), arguments.seeds
            )
        run(f"Brian2 {arguments.mode}", ("brian2", "numpy"), simulate, arguments, IMPORT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
