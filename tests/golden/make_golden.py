"""Make the files that later versions must still open: ``python tests/golden/make_golden.py``.

For each estimator a saved fit, and beside it what it was fitted to and said of that. Files that are
there stay as they are: those of old versions are never made again. The form of saved results is
part of their names; a new form adds a file for every estimator (``FORM``), and a new estimator
makes its own (``FITS``). Only public names are used, so that code of any version can run this.

* v1: ``attrs["estimator"]`` is a bare name.
* v2: ``attrs["estimator_package"]`` says whose.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import neurokit_sdr as nks

FOLDER = Path(__file__).parent


def counts() -> xr.Dataset:
    """Three units in two trials that take turns between two ways to fire."""
    t, n = np.arange(60)[:, None], np.arange(3)
    first = ((t // 10 + n) % 2) * ((3 * t + 5 * n) % 4)
    second = ((t // 6 + n) % 2) * ((7 * t + 2 * n) % 3)
    second[45:] = 0
    return xr.Dataset(
        {
            "count": (("trial", "time", "unit"), np.stack([first, second]), {"units": "1"}),
            "trial_length": ("trial", np.array([60, 45]), {"units": "1"}),
        },
        coords={
            "time": ("time", (np.arange(60) + 0.5) * 0.02, {"units": "s"}),
            "unit": ["a", "b", "c"],
        },
        attrs={"bin_size": 0.02},
    )


def sequences() -> xr.Dataset:
    """Three labelled sequences of four patterns of 20 cells, all different."""
    item, time, cell = np.ogrid[:3, :4, :20]
    pattern = (7 * item + 3 * time + 5 * cell + item * time * cell) % 6 == 0
    return xr.Dataset(
        {
            "pattern": (("item", "time", "cell"), pattern),
            "label": ("item", ["left", "right", "left"]),
        },
        coords={"cell": [f"cell {c}" for c in range(20)]},
    )


def tuning() -> xr.Dataset:
    """Responses of eight units before and after they adapt, with noise."""
    circuit = nks.analysis.gain_circuit(8, 12, alpha=2.0, gamma=0.05)
    model = nks.analysis.RecurrentGainControl.from_parameters(circuit)
    return model.simulate(2, noise=0.02, rng=0)


#: A model that fits in a moment, and its data.
FITS: dict[str, tuple[Callable[[], Any], Callable[[], xr.Dataset]]] = {
    "hmm_glm": (lambda: nks.analysis.HMMGLM(n_states=2, restarts=2), counts),
    "gain_control": (lambda: nks.analysis.RecurrentGainControl(), tuning),
    "sparsey": (
        lambda: nks.sdr.Sparsey(
            n_modules=4, n_units=6, signals="UHD", n_macs=[2, 1], learning="ageing", freezing=0.9
        ),
        sequences,
    ),
    "langevin_flow": (
        lambda: nks.generative.LangevinFlow(n_latents=4, n_hidden=4, n_steps=20),
        counts,
    ),
    "smoothing": (lambda: nks.generative.Smoothing(smoothing=[0.02, 0.05]), counts),
    "factor_analysis": (
        lambda: nks.generative.FactorAnalysis(n_latents=1, smoothing=0.05),
        counts,
    ),
    "poisson_lds": (lambda: nks.generative.PoissonLDS(n_latents=1, max_iter=10), counts),
}

FORM = "v2"


def make(name: str, folder: Path = FOLDER, form: str = FORM) -> None:
    """Write what is missing of one estimator."""
    path = folder / f"{name}_{form}.nc"
    if path.exists():
        return
    model, data = (made() for made in FITS[name])
    model.fit(data, rng=0, progress=False)
    nks.save_result(model, path)
    answers = {"/fitted": data, "/predicted": model.predict(data)}
    if hasattr(model, "transform"):
        answers["/transformed"] = model.transform(data)
    answered = xr.DataTree.from_dict(answers)
    answered.attrs["score"] = model.score(data)
    answered.to_netcdf(path.with_name(f"{path.stem}_answer.nc"), engine="h5netcdf")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # that so short a fit did not converge
    for each in FITS:
        make(each)
