"""Words of suite2p's folders, and what they become."""

from __future__ import annotations

#: Files of traces, and what they become.
TRACES = {
    "F.npy": "fluorescence",
    "Fneu.npy": "neuropil",
    "spks.npy": "deconvolved",
    "F_chan2.npy": "fluorescence_chan2",
    "Fneu_chan2.npy": "neuropil_chan2",
}
#: Files of the classifiers: label and probability of each ROI.
LABELS = {
    "iscell.npy": ("is_cell", "cell_probability"),
    "redcell.npy": ("is_red", "red_probability"),
}
#: Per-pixel fields of stat.npy, and what they become; others get "pixel_" before their name.
PIXELS = {"ypix": "pixel_y", "xpix": "pixel_x", "lam": "pixel_weight"}
#: Under this key of ops.npy lies what suite2p itself has no field for.
MARK = "neurokit_sdr"
#: Names of columns that fields of stat.npy may not take.
RESERVED = (
    *(name for pair in LABELS.values() for name in pair),
    *TRACES.values(),
    "plane",
    "roi_y",
    "roi_x",
)
