"""Make the files that later versions must still open: ``python tests/golden/make_golden.py``.

Run once for each schema version and never again: files of old versions stay as they are.
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


if __name__ == "__main__":
    folder = Path(__file__).parent
    model = nks.analysis.HMMGLM(n_states=2, restarts=2).fit(counts(), rng=0, progress=False)
    nks.save_result(model, folder / "hmm_glm_v1.nc")
    counts().to_netcdf(folder / "hmm_glm_v1_counts.nc", engine="h5netcdf")
