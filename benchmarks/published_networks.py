"""The published networks: their numbers beside the published ones, and a figure of each in docs/.

    python benchmarks/published_networks.py [brunel | potjans_diesmann | izhikevich]

All three take about ten minutes. Brunel's networks are of full size; the column is of a tenth, and
beside it stands NEST's (``python benchmarks/make_environments.py nest``).
"""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from _tools import HERE, RESULTS, print_table, run_json, versions, write_json
from make_environments import environment_is_current, environment_python

import neurokit_sdr as nks
from neurokit_sdr.snn import published
from neurokit_sdr.snn.published import BRUNEL_REGIMES, COLUMN_RATES

DOCS = HERE.parent / "docs"
#: Seconds that are left out.
START = 0.2


def main() -> None:
    parts = {"brunel": brunel, "potjans_diesmann": potjans_diesmann, "izhikevich": izhikevich}
    chosen = sys.argv[1:] or list(parts)
    write_json("published_networks", {"versions": versions(), **{n: parts[n]() for n in chosen}})


def save(figure: Any, name: str) -> None:
    figure.savefig(DOCS / f"{name}.png", dpi=130)
    plt.close(figure)
    print(f"docs/{name}.png\n")


def brunel() -> list[dict[str, Any]]:
    """Rate, synchrony, irregularity and rhythm of the four regimes, 12,500 units."""
    rows = []
    with nks.plotting.style():
        figure = plt.figure(figsize=(11.0, 7.6), layout="constrained")
        panels = figure.subfigures(2, 2).ravel()
    for panel, (regime, (g, eta)) in zip(panels, BRUNEL_REGIMES.items(), strict=True):
        duration = START + {"synchronous_regular": 0.3, "synchronous_irregular_slow": 2.0}.get(
            regime, 1.0
        )
        session = nks.snn.simulate(nks.snn.brunel(regime, rng=0), duration, rng=0)
        window = (START, duration)
        rates = nks.snn.population_rate(session, 5e-4, window=window)
        spectrum = nks.snn.rate_spectrum(rates, 5.0).isel(population=0)
        cv = nks.snn.interval_statistics(session, window=window)["interval_cv"]
        rows.append(
            {
                "regime": regime,
                "g": g,
                "eta": eta,
                "rate (Hz)": float(rates["mean_rate"][0]),
                "synchrony": float(rates["synchrony"][0]),
                "interval CV": float(cv.mean()),
                "rhythm (Hz)": float(spectrum["peak_frequency"]),
                "its power / Poisson": float(spectrum["peak_power"]),
            }
        )
        shown = (START, START + (0.4 if regime.endswith("slow") else 0.1))
        with nks.plotting.style():
            axes = panel.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        fine = nks.snn.population_rate(session, 1e-3 if regime.endswith("slow") else 5e-4)
        nks.plotting.spike_raster(
            session, fine.isel(population=[0]), window=shown, max_units=100, axes=axes
        )
        axes[0].set_title(f"{regime.replace('_', ' ')} (g = {g:g}, η = {eta:g})")
    print_table(list(rows[0]), [list(r.values()) for r in rows])
    save(figure, "brunel_regimes")
    return rows


def potjans_diesmann(seeds: int = 8, duration: float = 5.5) -> dict[str, Any]:
    """Rates of the column at a tenth of its size, beside the published ones and NEST's."""
    found = []
    for seed in range(seeds):
        session = nks.snn.simulate(nks.snn.potjans_diesmann(0.1, rng=seed), duration, rng=seed)
        rates = nks.snn.population_rate(session, window=(0.5, duration))
        found.append(rates["mean_rate"].values)
    table = np.array(found)
    names = rates["population"].values
    peer = nest_column(0.1, published.COLUMN_INDEGREE, duration)
    columns = (names, COLUMN_RATES, table.mean(0), table.std(0, ddof=1), peer)
    rows = [[n, p, m, s, m / p, q] for n, p, m, s, q in zip(*columns, strict=True)]
    print_table(
        ["population", "published (Hz)", "scale 0.1 (Hz)", "sd of seeds", "ratio", "NEST, one run"],
        rows,
    )
    order = np.argsort(COLUMN_RATES)
    same = [bool((np.argsort(rate) == order).all()) for rate in (table.mean(0), *table, peer)]
    print(
        f"order of the eight rates as published: mean {'yes' if same[0] else 'NO'}, "
        f"{sum(same[1:-1])} of {seeds} networks, NEST {'yes' if same[-1] else 'no'}"
    )
    with nks.plotting.style():
        figure = plt.figure(figsize=(11.0, 4.8), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[2, 1])
        axes = left.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        ax = right.subplots()
        place = np.arange(8)
        ax.barh(place, COLUMN_RATES, color="0.85", label="published, full size")
        for seed, rate in enumerate(table):
            label = f"scale 0.1, {seeds} seeds" if seed == 0 else None
            ax.plot(rate, place, "o", color="#0072b2", markersize=3.5, label=label)
        ax.set_yticks(place, names)
        ax.invert_yaxis()
        ax.set_xlabel("rate (Hz)")
        ax.legend(loc="upper right")
    coarse = nks.snn.population_rate(session, 0.005)
    nks.plotting.spike_raster(session, coarse, window=(0.5, 1.0), max_units=1500, axes=axes)
    axes[0].set_title("column of Potjans and Diesmann, a tenth of its size")
    save(figure, "potjans_diesmann")
    return {"seconds": duration, "rates": table.tolist(), "nest": peer.tolist()}


def nest_column(scale: float, indegree_scale: float, duration: float) -> np.ndarray:
    """Rates of one network of the same recipe in NEST; NaN where it is not installed."""
    if not environment_is_current("nest"):
        print("no environment nest: run python benchmarks/make_environments.py nest")
        return np.full(8, np.nan)
    constants = RESULTS / "column.json"
    RESULTS.mkdir(exist_ok=True)
    full = {
        "size": published.COLUMN_SIZE,
        "external": published.COLUMN_EXTERNAL,
        "rate": COLUMN_RATES,
        "connection": published.COLUMN_CONNECTION,
    }
    constants.write_text(json.dumps({name: value.tolist() for name, value in full.items()}))
    settings = map(str, (scale, indegree_scale, duration, 0))
    script = HERE / "peers" / "nest_column.py"
    return np.array(
        run_json(environment_python("nest"), script, str(constants), *settings)["rates"]
    )


def izhikevich() -> dict[str, Any]:
    """The rhythms of Izhikevich's network of 2003."""
    session = nks.snn.simulate(nks.snn.izhikevich_2003(rng=0), 20.0, rng=0)
    rates = nks.snn.population_rate(session, window=(0.5, 20.0))
    spectrum = nks.snn.rate_spectrum(rates, 2.0)
    frequency = spectrum["frequency"].values
    rows = []
    for name in spectrum["population"].values:
        power = spectrum["relative_power"].sel(population=name).values
        peaks = []
        for low, high in ((6, 12), (25, 60)):
            inside = np.flatnonzero((frequency >= low) & (frequency <= high))
            best = inside[power[inside].argmax()]
            peaks += [float(frequency[best]), float(power[best])]
        rows.append([str(name), float(rates["mean_rate"].sel(population=name)), *peaks])
    headers = ["population", "rate (Hz)", "alpha (Hz)", "power / Poisson", "gamma (Hz)",
               "power / Poisson"]  # fmt: skip
    print_table(headers, rows)
    with nks.plotting.style():
        figure = plt.figure(figsize=(11.0, 4.4), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1.6, 1])
        axes = left.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        ax = right.subplots()
    coarse = nks.snn.population_rate(session, 0.005)
    nks.plotting.spike_raster(session, coarse, window=(0.0, 1.0), max_units=1000, axes=axes)
    axes[0].set_title("network of Izhikevich (2003), first second")
    nks.plotting.rate_spectrum(spectrum, ax=ax)
    ax.set_title("spectrum over 20 s")
    save(figure, "izhikevich_rhythms")
    return {"headers": headers, "rows": rows}


if __name__ == "__main__":
    main()
