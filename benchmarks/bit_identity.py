"""What must stay bit for bit when code moves: one hash each of weights, states, codes and spikes.

    python benchmarks/bit_identity.py [flow | hmm | sparsey | networks ...] > after.txt

Only public names are used, so that the same file runs on an older checkout
(``PYTHONPATH=OLD_CHECKOUT python benchmarks/bit_identity.py > before.txt``); then compare the two.
The hashes hold for one machine and one number of cores alone: compilers fuse operations as the
processor allows, and JAX cuts its sums by cores (``taskset -c 0`` fixes that).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator

import numpy as np
import xarray as xr

import neurokit_sdr as nks

#: What a fit of the HMM-GLM finds: its parameters, then its states.
FOUND = (
    "weight",
    "bias",
    "transition_probability",
    "initial_probability",
    "objective",
    "state_probability",
)


def digest(*arrays: xr.DataArray | np.ndarray) -> str:
    """One sha256 over types, shapes and bytes."""
    made = hashlib.sha256()
    for array in arrays:
        values = np.ascontiguousarray(array)
        made.update(f"{values.dtype.str} {values.shape}".encode())
        made.update(values.astype(str).tobytes() if values.dtype == object else values.tobytes())
    return made.hexdigest()


def flow() -> Iterator[tuple[str, str]]:
    """Weights of a small Langevin flow after some steps of training, both variants."""
    network = nks.snn.latent_driven(12, latents="oscillator", rng=0)
    session = nks.snn.simulate(network, 8.0, rng=0, progress=False)
    counts = nks.bin_spikes(session, bin_size=0.05)
    for variant in ("paper", "released"):
        model = nks.generative.LangevinFlow(n_latents=8, n_hidden=8, variant=variant, n_steps=12)
        model.fit(counts, rng=0, progress=False)
        yield f"LangevinFlow {variant}", digest(model.result_["weight"])


def hmm() -> Iterator[tuple[str, str]]:
    """States and parameters of a small HMM-GLM in three settings."""
    truth = nks.snn.switching_population(6, 2, rng=0)
    counts = nks.snn.simulate_switching_population(truth, 800, rng=0)
    settings = {
        "Gaussian prior": {"restarts": 3},
        "no prior, sigmoid": {"restarts": 2, "prior": "none", "nonlinearity": "sigmoid"},
        "two time constants, 3 states": {"n_states": 3, "restarts": 2, "history": [0.02, 0.1]},
    }
    for name, setting in settings.items():
        model = nks.analysis.HMMGLM(**{"n_states": 2, "max_iter": 30, **setting})  # type: ignore[arg-type]
        result = model.fit(counts, rng=0, progress=False).result_
        yield f"HMMGLM {name}", digest(*(result[k] for k in FOUND))


def sparsey() -> Iterator[tuple[str, str]]:
    """Codes that Sparsey learns and recognises, and its synapses, plain and with everything on."""
    draw = np.random.default_rng(0)
    active = draw.random((12, 5, 144)) < 0.12
    items = xr.Dataset({"pattern": (("item", "time", "cell"), active)}, {"cell": np.arange(144)})
    full = {
        "signals": "UHD",
        "n_macs": (4, 1),
        "persistence": (1, 2),
        "learning": "ageing",
        "lifetime": 50,
        "freezing": 0.6,
        "back_off": (0.5, 0.7, 0.6),
        "sigmoid": "sparseycore",
    }
    for name, setting in {"plain": {}, "with everything": full}.items():
        memory = nks.sdr.Sparsey(n_modules=12, n_units=8, **setting)  # type: ignore[arg-type]
        result = memory.fit(items, rng=0, progress=False).result_
        found = memory.predict(items)
        yield (
            f"Sparsey {name}",
            digest(
                result["bottom_up_weight"],
                result["learned_winner"],
                result["learned_familiarity"],
                found["winner"],
                found["familiarity"],
                memory.recall(items)["pattern"],
            ),
        )


def networks() -> Iterator[tuple[str, str]]:
    """Spikes of every published network, made small, and of every maker with known truth."""
    snn = nks.snn
    made = {
        "cuba": (snn.cuba(400, rng=0), 0.5),
        "coba": (snn.coba(400, rng=0), 0.5),
        "coba_hh": (snn.coba_hh(200, rng=0), 0.1),
        "brunel": (snn.brunel("synchronous_irregular_fast", n_units=1000, rng=0), 0.2),
        "izhikevich_2003": (snn.izhikevich_2003(200, rng=0), 0.5),
        "polychronization": (snn.polychronization(1000, rng=0), 0.3),
        "potjans_diesmann": (snn.potjans_diesmann(0.01, rng=0), 0.1),
        "vogels_2011": (snn.vogels_2011(500, rng=0), 0.3),
        "clustered_network": (snn.clustered_network(rng=0), 2.0),
        "hub_network": (snn.hub_network(rng=0), 2.0),
        "latent_driven": (snn.latent_driven(rng=0), 2.0),
        "switching_network": (snn.switching_network(rng=0), 2.0),
        "adapting_population": (snn.adapting_population(rng=0), 2.0),
        "motif_network": (next(iter(snn.motif_network(2, rng=0).values())), 2.0),
    }
    for name, (network, duration) in made.items():
        session = snn.simulate(network, duration, rng=0, progress=False)
        spikes = session["spikes"]
        assert spikes.sizes["spike"], f"{name} is silent: its hash would prove nothing"
        yield name, digest(spikes["spike_time"], spikes["spike_unit"])
    counts = snn.simulate_switching_population(snn.switching_population(rng=0), 500, rng=0)
    yield "switching_population", digest(counts["count"], counts["state"])
    seen = nks.snn.observe.calcium(session, rng=0)
    seen = nks.snn.observe.sorting_errors(seen, miss_rate=0.1, false_rate=1.0, merges=3, rng=0)
    yield (
        "calcium and sorting errors",
        digest(
            seen["calcium"]["fluorescence"],
            seen["spikes"]["spike_time"],
            seen["spikes"]["spike_unit"],
        ),
    )
    coba = snn.simulate(snn.coba(400, rng=0), 0.2, rng=0, record_current=True, progress=False)
    yield "sensors", digest(nks.snn.observe.sensors(coba, 12, rng=0)["signal"]["signal"])


def main() -> None:
    print(f"version {nks.__version__} in {nks.__path__[0]}", file=sys.stderr)
    parts = {"flow": flow, "hmm": hmm, "sparsey": sparsey, "networks": networks}
    for name in sys.argv[1:] or list(parts):
        for what, found in parts[name]():
            print(f"{found}  {what}", flush=True)


if __name__ == "__main__":
    main()
