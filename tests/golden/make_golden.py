"""Make the files that later versions must still open: ``python tests/golden/make_golden.py``.

Files that are there stay as they are: those of old versions are never made again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

import neurokit_sdr as nks


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


if __name__ == "__main__":
    folder = Path(__file__).parent
    if not (folder / "hmm_glm_v1.nc").exists():
        model = nks.analysis.HMMGLM(n_states=2, restarts=2).fit(counts(), rng=0, progress=False)
        nks.save_result(model, folder / "hmm_glm_v1.nc")
        counts().to_netcdf(folder / "hmm_glm_v1_counts.nc", engine="h5netcdf")
    if not (folder / "sparsey_v1.nc").exists():
        memory = nks.sdr.Sparsey(
            n_modules=4, n_units=6, signals="UHD", n_macs=[2, 1], learning="ageing", freezing=0.9
        ).fit(sequences(), rng=0, progress=False)
        nks.save_result(memory, folder / "sparsey_v1.nc")
        found = memory.predict(sequences())[["winner", "familiarity"]]
        recognised = sequences().merge(found.drop_vars("level"))
        recognised.to_netcdf(folder / "sparsey_v1_patterns.nc", engine="h5netcdf")
