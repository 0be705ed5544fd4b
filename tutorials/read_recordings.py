# %% [markdown]
# # From a file to a figure, in four lines
#
# `nks.io.read` finds out what a file or folder is and gives labelled xarray. One cell for each kind
# of recording: spikes, calcium imaging, MEG, sEEG. The files are those of a simulated network, in
# formats of real laboratories, so that this runs anywhere; give your own path instead.
#
# Runs as a notebook, or with `python tutorials/read_recordings.py --out FOLDER`.

# %%
import argparse
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np

import neurokit_sdr as nks

parser = argparse.ArgumentParser()
parser.add_argument("--out", default="out/read_recordings", help="folder of the figures")
OUT = Path(parser.parse_known_args()[0].out)
OUT.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## The files
#
# One network, seen by four instruments.

# %%
FILES = Path(tempfile.mkdtemp())
network = nks.snn.coba(n_units=2000, connection_probability=0.04, rng=0)
simulated = nks.snn.simulate(network, 20.0, rng=0, record_current=True, progress=False)
few = nks.snn.observe.subsample(simulated, units=np.arange(0, 2000, 50))

nks.io.write_nwb(few, FILES / "spikes.nwb")
nks.io.write_suite2p(nks.snn.observe.calcium(few, rng=0), FILES / "suite2p")
magnetometers = nks.snn.observe.sensors(simulated, 12, kind="meg", noise=3e-18, rng=0)
nks.io.write_fif(magnetometers, FILES / "rest_meg.fif")
contacts = [[0.03, 0.01 + 0.002 * k, shaft] for shaft in (0.0, 0.02) for k in range(6)]
near = [[0.036, 0.013, 0.001], [0.036, 0.017, 0.019]]  # one population at each shaft
depth = nks.snn.observe.sensors(simulated, contacts, source_positions=near, noise=5e-10, rng=0)
names = [f"{shaft}{k + 1}" for shaft in "AB" for k in range(6)]
depth["signal"] = depth["signal"].to_dataset().assign_coords(channel=names)
nks.io.write_bids(depth["signal"], FILES / "bids", subject="01", task="rest")

# %% [markdown]
# ## Spikes: NWB, Phy, Kilosort, and what neo opens

# %%
session = nks.io.read(FILES / "spikes.nwb")
(raster,) = nks.plotting.spike_raster(session, window=(0, 5))
raster.set_title("spikes")
raster.figure.savefig(OUT / "spikes.png", dpi=150)

# %% [markdown]
# ## Calcium imaging: suite2p, CaImAn, minian, Inscopix, NWB
#
# Traces come as they were stored; neuropil and baseline are steps of your own.

# %%
session = nks.io.read(FILES / "suite2p")
relative = nks.io.dff(session, baseline="maximin")
ax = nks.plotting.traces(relative, "dff", max_traces=12)
ax.figure.savefig(OUT / "calcium.png", dpi=150, bbox_inches="tight")

# %% [markdown]
# ## MEG: FIF, CTF, KIT, BTi and what MNE opens
#
# Nothing is read until it is used: this draws two seconds, and reads two seconds.

# %%
session = nks.io.read(FILES / "rest_meg.fif")
smooth = nks.bandpass(session, 1.0, 40.0)
ax = nks.plotting.traces(smooth, window=(5, 7))
ax.figure.savefig(OUT / "meg.png", dpi=150, bbox_inches="tight")

# %% [markdown]
# ## sEEG: BIDS, EDF, BrainVision, Persyst, Nihon Kohden, Blackrock, Micromed, MEF3

# %%
session = nks.io.read(FILES / "bids")
pairs = nks.io.bipolar_reference(session)
ax = nks.plotting.traces(pairs, window=(5, 6))
ax.figure.savefig(OUT / "seeg.png", dpi=150, bbox_inches="tight")

# %% [markdown]
# ## What can be read, and what can be fetched

# %%
print(nks.io.readers()[["kinds", "installed"]].to_string())
print(nks.io.examples().to_string(max_colwidth=50))
