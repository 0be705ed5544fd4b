"""Published recordings of spikes and of wiring, in their laboratories' own formats."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io import assemble

_HEADER_END = b"<End settings>\n"
_FRAME = np.dtype([("time", "<u4"), ("x", "<u2"), ("y", "<u2"), ("x2", "<u2"), ("y2", "<u2")])
_PARKED = (522, 8)
_ON_TRACK = (100, 420)  # y, both excluded


def read_linear_track(folder: Path) -> xr.DataTree:
    """Read nelpy's linear-track example from the folder that holds its two files."""
    spikes = _read_cells(folder / "spikes.mat")
    origin = spikes.attrs["clock_start"]
    behavior = _read_tracking(folder / "trajectory.videoPositionTracking", origin)
    return assemble.session({"/spikes": spikes, "/behavior": behavior}, {})


def _read_cells(path: Path) -> xr.Dataset:
    """Nested MATLAB cells: tetrode, then cluster, each a struct with ``time`` or nothing."""
    import scipy.io

    cells = scipy.io.loadmat(path)["spikes"][0, 0][0, 0]
    times, tetrodes, clusters, silent, ranges = [], [], [], [], set()
    for t, tetrode in enumerate(cells.flat, start=1):
        if tetrode.dtype != object:
            continue
        for c, cluster in enumerate(tetrode.flat, start=1):
            if not cluster.dtype.names:
                continue
            ranges.add(tuple(cluster["timerange"][0, 0].ravel().tolist()))
            train = cluster["time"][0, 0].ravel()
            if not train.size:
                silent.append(f"T{t}U{c}")
                continue
            times.append(train.astype(np.float64))
            tetrodes.append(t)
            clusters.append(c)
    ((start, stop),) = ranges
    spikes = assemble.spike_dataset(
        np.concatenate(times) - start,
        [t.size for t in times],
        [f"T{t}U{c}" for t, c in zip(tetrodes, clusters, strict=True)],
        t_start=0.0,
        t_stop=stop - start,
        t_stop_source="timerange in spikes.mat",
        where=str(path),
    )
    spikes.attrs |= {
        "clock_start": start,
        "comment": "time is seconds of the 30 kHz acquisition clock minus clock_start, the start "
        "of timerange in spikes.mat",
        "clusters_without_spikes": silent,
    }
    return spikes.assign_coords(
        tetrode=("unit", np.array(tetrodes)),
        cluster=("unit", np.array(clusters)),
        brain_area=("unit", np.full(len(times), "CA1")),
    )


def _read_tracking(path: Path, origin: float) -> xr.Dataset:
    """A text header, then one packed record per camera frame."""
    content = path.read_bytes()
    header, mark, records = content.partition(_HEADER_END)
    rate = re.search(rb"clockrate: (\d+)", header)
    if not mark or rate is None or len(records) % _FRAME.itemsize:
        raise FileFormatError(f"{path} is not a whole videoPositionTracking file: fetch it again.")
    frames = np.frombuffer(records, _FRAME)
    time = frames["time"] / float(rate.group(1)) - origin
    low, high = _ON_TRACK
    parked = (frames["x"] == _PARKED[0]) & (frames["y"] == _PARKED[1])
    missing = parked | (frames["y"] <= low) | (frames["y"] >= high)
    names = [("position", "x", "y")]
    if frames["x2"].any() or frames["y2"].any():
        names.append(("position_2", "x2", "y2"))
    behavior = xr.Dataset(
        coords={"time": ("time", time, {"units": "s"}), "space": ["x", "y"]},
        attrs={"comment": "the camera's second LED was not used: x2 and y2 are 0 throughout"}
        if len(names) == 1
        else {},
    )
    for name, x, y in names:
        place = np.stack([frames[x], frames[y]], axis=1).astype(np.float64)
        place[missing if name == "position" else (frames[x] == 0) & (frames[y] == 0)] = np.nan
        behavior[name] = (
            ("time", "space"),
            place,
            {
                "units": "pixel",
                "long_name": "position of the head's LED in the camera's picture",
                "comment": f"NaN where the tracker was parked at {_PARKED} or saw something off "
                f"the track (y <= {low} or y >= {high}); pixels per metre are not known",
            },
        )
    return behavior


# -- place_cells ------------------------------------------------------------------------------


def read_place_cells(folder: Path) -> xr.DataTree:
    """Read the place cell of the Case Studies: one unit, and the rat's position at 1 kHz."""
    content = _matlab(folder / "spikes-1.mat")
    time = content["t"].ravel().astype(np.float64)
    spikes = assemble.spike_dataset(
        content["spiketimes"].ravel().astype(np.float64),
        [content["spiketimes"].size],
        np.array([1]),
        t_start=0.0,
        t_stop=float(time[-1]),
        t_stop_source="the last sample of the position",
        where=str(folder),
    ).assign_coords(brain_area=("unit", ["hippocampus"]))
    behavior = xr.Dataset(
        {
            "position": (
                "time",
                content["X"].ravel().astype(np.float64),
                {"units": "cm", "long_name": "position of the rat on the linear track"},
            )
        },
        coords={"time": ("time", time, {"units": "s"})},
    )
    return assemble.session({"/spikes": spikes, "/behavior": behavior}, {})


def _matlab(path: Path) -> dict[str, Any]:
    import scipy.io

    return scipy.io.loadmat(path)


# -- reach_counts -----------------------------------------------------------------------------

_BIN = 0.001


def read_reach_counts(folder: Path) -> xr.DataTree:
    """Read DataHigh's example: simultaneous counts of 61 neurons in 210 reaches, 1 ms bins."""
    content = _matlab(folder / "ex1_spikecounts.mat")
    trials = content["D"][0]
    count = np.stack([trial["data"].T for trial in trials])
    counts = xr.Dataset(
        {"count": (("trial", "time", "unit"), count, {"units": "1"})},
        coords={
            "trial": np.arange(len(trials)),
            "time": ("time", (np.arange(count.shape[1]) + 0.5) * _BIN, {"units": "s"}),
            "unit": np.arange(count.shape[2]),
            "condition": ("trial", np.array([str(trial["condition"][0]) for trial in trials])),
            "color": (
                ("trial", "rgb"),
                np.array([trial["epochColors"].ravel() for trial in trials], dtype=np.float64),
                {"long_name": "colour of the condition in DataHigh's figures"},
            ),
        },
        attrs={
            "bin_size": _BIN,
            "comment": "time is seconds from the start of the trial's 400 ms; the file does not "
            "say what that is relative to the reach",
        },
    )
    projection = xr.Dataset(
        {"proj_vecs": (("vector", "latent"), content["proj_vecs"].astype(np.float64))},
        attrs={"comment": "two projection vectors saved by DataHigh beside the counts"},
    )
    return assemble.session({"/counts": counts, "/projection": projection}, {})


# -- lorenz -----------------------------------------------------------------------------------


def read_lorenz(folder: Path) -> xr.DataTree:
    """Read the Lorenz benchmark: counts, and the rates and latents that made them."""
    width = 0.01
    with h5py.File(folder / "lfads_lorenz.h5", "r") as file:
        parts = {
            name: np.concatenate([file[f"{part}_{name}"][()] for part in ("train", "valid")])
            for name in ("data", "truth", "lowd", "inds")
        }
        split = np.repeat(["train", "valid"], [file["train_inds"].size, file["valid_inds"].size])
        each = int(file["n_trials_per_init_cond"][0])
    counts = xr.Dataset(
        {
            "count": (("trial", "time", "unit"), parts["data"], {"units": "1"}),
            "rate": (
                ("trial", "time", "unit"),
                parts["truth"],
                {"units": "Hz", "long_name": "true firing rate that the counts were drawn from"},
            ),
            "latent": (
                ("trial", "time", "latent_dim"),
                parts["lowd"],
                {"long_name": "true state of the Lorenz system", "units": "1"},
            ),
        },
        coords={
            "trial": ("trial", parts["inds"], {"long_name": "number of the trial when simulated"}),
            "time": (
                "time",
                (np.arange(parts["data"].shape[1]) + 0.5) * width,
                {"units": "s"},
            ),
            "unit": np.arange(parts["data"].shape[2]),
            "split": ("trial", split),
            "condition": (
                "trial",
                parts["inds"] // each,
                {"long_name": "initial condition, whose rates and latents are the same"},
            ),
        },
        attrs={"bin_size": width},
    )
    return assemble.session({"/counts": counts}, {})


# -- connectome -------------------------------------------------------------------------------

# Names of the neurons of an adult hermaphrodite, in the order of the alphabet; those that the
# atlas leaves out are CANL and CANR. It calls AWCL AWCOFF, and AWCR AWCON.
_NEURONS = """
ADAL ADAR ADEL ADER ADFL ADFR ADLL ADLR AFDL AFDR AIAL AIAR AIBL AIBR AIML AIMR AINL AINR AIYL AIYR
AIZL AIZR ALA ALML ALMR ALNL ALNR AQR AS1 AS10 AS11 AS2 AS3 AS4 AS5 AS6 AS7 AS8 AS9 ASEL ASER ASGL
ASGR ASHL ASHR ASIL ASIR ASJL ASJR ASKL ASKR AUAL AUAR AVAL AVAR AVBL AVBR AVDL AVDR AVEL AVER AVFL
AVFR AVG AVHL AVHR AVJL AVJR AVKL AVKR AVL AVM AWAL AWAR AWBL AWBR AWCOFF AWCON BAGL BAGR BDUL BDUR
CEPDL CEPDR CEPVL CEPVR DA1 DA2 DA3 DA4 DA5 DA6 DA7 DA8 DA9 DB1 DB2 DB3 DB4 DB5 DB6 DB7 DD1 DD2 DD3
DD4 DD5 DD6 DVA DVB DVC FLPL FLPR HSNL HSNR I1L I1R I2L I2R I3 I4 I5 I6 IL1DL IL1DR IL1L IL1R IL1VL
IL1VR IL2DL IL2DR IL2L IL2R IL2VL IL2VR LUAL LUAR M1 M2L M2R M3L M3R M4 M5 MCL MCR MI NSML NSMR OLLL
OLLR OLQDL OLQDR OLQVL OLQVR PDA PDB PDEL PDER PHAL PHAR PHBL PHBR PHCL PHCR PLML PLMR PLNL PLNR PQR
PVCL PVCR PVDL PVDR PVM PVNL PVNR PVPL PVPR PVQL PVQR PVR PVT PVWL PVWR RIAL RIAR RIBL RIBR RICL
RICR RID RIFL RIFR RIGL RIGR RIH RIML RIMR RIPL RIPR RIR RIS RIVL RIVR RMDDL RMDDR RMDL RMDR RMDVL
RMDVR RMED RMEL RMER RMEV RMFL RMFR RMGL RMGR RMHL RMHR SAADL SAADR SAAVL SAAVR SABD SABVL SABVR
SDQL SDQR SIADL SIADR SIAVL SIAVR SIBDL SIBDR SIBVL SIBVR SMBDL SMBDR SMBVL SMBVR SMDDL SMDDR SMDVL
SMDVR URADL URADR URAVL URAVR URBL URBR URXL URXR URYDL URYDR URYVL URYVR VA1 VA10 VA11 VA12 VA2 VA3
VA4 VA5 VA6 VA7 VA8 VA9 VB1 VB10 VB11 VB2 VB3 VB4 VB5 VB6 VB7 VB8 VB9 VC1 VC2 VC3 VC4 VC5 VC6 VD1
VD10 VD11 VD12 VD13 VD2 VD3 VD4 VD5 VD6 VD7 VD8 VD9
"""


def read_connectome(folder: Path) -> xr.DataTree:
    """Read the anatomical connectome of *C. elegans*: synapses from ``source`` to ``target``."""
    names = _NEURONS.split()
    with h5py.File(folder / "aconnectome_default.h5", "r") as file:
        chemical, gap = file["chem"][()], file["gap"][()]
    if chemical.shape != (len(names),) * 2:
        raise FileFormatError(
            f"Expected {len(names)} neurons in {folder}, got an array of {chemical.shape}: it "
            f"is not the published file; fetch it again."
        )
    wiring = xr.Dataset(
        {
            "chemical_synapses": (
                ("target", "source"),
                chemical,
                {
                    "units": "1",
                    "long_name": "chemical synapses counted, summed over the animals",
                },
            ),
            "gap_junctions": (
                ("target", "source"),
                gap,
                {"units": "1", "long_name": "gap junctions counted, summed over the animals"},
            ),
        },
        coords={"target": names, "source": names},
        attrs={
            "species": "Caenorhabditis elegans",
            "comment": "rows receive, columns send; sums over White et al. 1986 and Witvliet et "
            "al. 2021, doi 10.1038/s41586-021-03778-8",
        },
    )
    return assemble.session({"/connectome": wiring}, {})
