"""The published recordings that :func:`neurokit_sdr.io.fetch_example` knows, and where they are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import xarray as xr


@dataclass(frozen=True)
class Extract:
    """What is published lies inside a larger file, which has to be downloaded for it.

    Attributes
    ----------
    sha256, size
        Of the published file.
    make
        From the published file to the content that is kept.
    """

    sha256: str
    size: int
    make: Callable[[Path], bytes]


@dataclass(frozen=True)
class ExampleFile:
    """One file of an example.

    Attributes
    ----------
    name
        Its name in the example's folder.
    address
        Where it is published.
    sha256
        Of its content; no other content is accepted, from wherever it comes.
    size
        In bytes.
    extract
        How it is made from what is published at the address; None where it is what is published.
    """

    name: str
    address: str
    sha256: str
    size: int
    extract: Extract | None = None

    @property
    def download_size(self) -> int:
        """Bytes published at the address."""
        return self.extract.size if self.extract else self.size

    @property
    def download_sha256(self) -> str:
        """Of what is published at the address."""
        return self.extract.sha256 if self.extract else self.sha256


@dataclass(frozen=True)
class Example:
    """One published recording, and how to read it.

    Attributes
    ----------
    folder
        Its folder inside the data folder or the cache.
    files
        The files it consists of.
    licence, citation
        What to observe and whom to cite.
    read
        From the folder that holds the files to a session.
    content
        What it is, in one line.
    """

    folder: str
    files: tuple[ExampleFile, ...]
    licence: str
    citation: str
    read: Callable[[Path], xr.DataTree]
    content: str = ""

    @property
    def licensed(self) -> bool:
        """Whether its authors state a licence."""
        return not self.licence.startswith("none stated")


def _own(module: str, name: str) -> Callable[[Path], xr.DataTree]:
    """The reader of a laboratory's own format, imported when it is used."""

    def read(folder: Path) -> xr.DataTree:
        return getattr(importlib.import_module(f"neurokit_sdr.io.published.{module}"), name)(folder)

    return read


def _standard(name: str) -> Callable[[Path], xr.DataTree]:
    """Read what lies in the folder as any file of a standard format; the folder itself if ""."""

    def read(folder: Path) -> xr.DataTree:
        from neurokit_sdr.io.reading import read as read_any

        return read_any(folder / name)

    return read


def _neuron_labels(path: Path) -> bytes:
    from neurokit_sdr.io.published.labels import neuron_labels_csv

    return neuron_labels_csv(path)


_GITHUB = "https://raw.githubusercontent.com/"


def _files(base: str, *listed: tuple[str, str, int]) -> tuple[ExampleFile, ...]:
    """Files (name, sha256, size) of one repository at one commit."""
    return tuple(
        ExampleFile(name, f"{_GITHUB}{base}{name}", sha256, size) for name, sha256, size in listed
    )


_NSM = "flavell-lab/NSM_5HTR_analysis/47bc3704c13b389d58946e3e76df359c412b8716/data/"
_LABELS = ExampleFile(
    "neuron_labels.csv",
    f"{_GITHUB}{_NSM}receptor_expression/NeuroPAL_labels_dict.jld2",
    "b9deaf08f5723e4b1fd58ad42c1084611c03c9c07a417467c6e8e6721cde77ab",
    17_841,
    Extract(
        "0c626a299f2110aecaf1eacdff4d5ebbf1f03689cacc5faa6f077ce0542f9286",
        2_092_963,
        _neuron_labels,
    ),
)
_DBS = "sub-testsub/ses-EphysMedOff/ieeg/sub-testsub_ses-EphysMedOff"
_HFO = "sub-01/ieeg/sub-01_task-interictalsleep_run-01"
_BONN = ExampleFile(
    "bonn_eeg_dataset.zip",
    f"{_GITHUB}RYH2077/EEG-Epilepsy-Datasets/185859ab48bc701c9a10f6bb2b5f76d8e28e4003/"
    "Bonn%20EEG%20dataset.zip",
    "f4c2dc52fd5320d4404fcbc6ecb9db69a4a7e408df4e3d5456530343dbcb75ad",
    3_129_708,
)

#: Every example by name. A new one is an entry here and a function that reads its folder.
EXAMPLES: dict[str, Example] = {
    "linear_track": Example(
        folder="spikes/linear_track",
        files=_files(
            "nelpy/example-data/099548c0608ffaa92933c66346c0d96f05a18622/linear-track/",
            (
                "spikes.mat",
                "615b05a9228a5eaea7f99d5fc5b11848a4d94fc154104612410c887875b65bc7",
                176_567,
            ),
            (
                "trajectory.videoPositionTracking",
                "10a883302c50e26d5f659ac4ee08d8901f7881c71f6800cd56d999a620b31cb5",
                1_427_777,
            ),
        ),
        licence="MIT, copyright 2017 nelpy",
        citation="nelpy example data, linear-track, https://github.com/nelpy/example-data",
        content="rat CA1 on a linear track: 31 sorted units, 28,829 spikes in 1968 s, position",
        read=_own("spikes", "read_linear_track"),
    ),
    "phy_nwb": Example(
        folder="spikes/phy_nwb",
        files=_files(
            "pynapple-org/pynapple/7ac20f7a5232785e926c0bd8745093281e1f65fb/tests/nwbfilestest/phy/pynapplenwb/",
            (
                "A8604-211122.nwb",
                "6c9913f1a36c43dc627a541f4e521eb17e305879eb4d9bce949f77970994ac22",
                442_304,
            ),
        ),
        licence="MIT, copyright pynapple",
        citation="pynapple test data, A8604-211122, https://github.com/pynapple-org/pynapple",
        content="NWB: 3 sorted units, 21,354 spikes in 1087.5 s, a wake epoch, 383 electrodes",
        read=_standard("A8604-211122.nwb"),
    ),
    "place_cells": Example(
        folder="spikes/place_cells",
        files=_files(
            "Mark-Kramer/Case-Studies-Python/060e67e81096b900773e2166910c5f3aca6365f8/matfiles/",
            (
                "spikes-1.mat",
                "8a04d601fce12603fac23a92cc4651c31e134a29c626344efc26b42ba4658e1d",
                1_761_663,
            ),
        ),
        licence="MIT",
        citation="Kramer and Eden, Case Studies in Neural Data Analysis, MIT Press 2016, "
        "https://github.com/Mark-Kramer/Case-Studies-Python",
        content="one hippocampal place cell, 220 spikes in 177.8 s, position at 1 kHz",
        read=_own("spikes", "read_place_cells"),
    ),
    "reach_counts": Example(
        folder="spikes/reach_counts",
        files=_files(
            "BenjoCowley/DataHigh/887d83b231b5beb6ab5398a92d2243f332053b58/data/",
            (
                "ex1_spikecounts.mat",
                "f7ae240b31da62098148c0a4a35ed2c6d2c19b935599aabea633d0e73de16d9f",
                147_675,
            ),
        ),
        licence="GPL-3 (the repository's)",
        citation="Cowley et al. 2013, DataHigh, J. Neural Eng. 10, 066012, doi "
        "10.1088/1741-2560/10/6/066012",
        content="counts of 61 neurons in 210 reaches in 7 directions, 400 bins of 1 ms",
        read=_own("spikes", "read_reach_counts"),
    ),
    "lorenz": Example(
        folder="spikes/lorenz",
        files=_files(
            "felixp8/lfads-nlb-tutorials/1c50908c5366a755a5ace4a8be706046fb4fa435/data/",
            (
                "lfads_lorenz.h5",
                "c55b9b38d38054c2f43909a195058d1d242dc291f607a2d45fab4d85977ab54d",
                1_772_551,
            ),
        ),
        licence="MIT",
        citation="lfads-nlb-tutorials, https://github.com/felixp8/lfads-nlb-tutorials; the "
        "benchmark is from Pandarinath et al. 2018, Nat. Methods 15, 805",
        content="SYNTHETIC: counts of 60 neurons driven by a Lorenz system, 800 trials of 100 "
        "bins of 10 ms, true rates and latents",
        read=_own("spikes", "read_lorenz"),
    ),
    "suite2p": Example(
        folder="calcium/suite2p",
        files=_files(
            "pynapple-org/pynapple/7ac20f7a5232785e926c0bd8745093281e1f65fb/tests/nwbfilestest/suite2p/suite2p/",
            (
                "plane0/F.npy",
                "98b6facdb1cb24138f0677eb62c090d0c9252ba2c3c0bf3f6f51c2debfcd9625",
                1_752_128,
            ),
            (
                "plane0/Fneu.npy",
                "374981b9fbc1ef0cbba0ccfb91bc53a7ecfe4bff64cf5c9d0381bce32fa3a06e",
                1_752_128,
            ),
            (
                "plane0/iscell.npy",
                "cc109d5fffd172d3d9f39fdc077bf50df744eecc63223438e1f5caf41d780faf",
                3_632,
            ),
            (
                "plane0/spks.npy",
                "d300e5974c9a46516a8a40d36eaa8a663e55376e69edcc560d6642a2e03f7f84",
                1_752_128,
            ),
            (
                "plane0/stat.npy",
                "5cbae5581fa28ab665f0e5f39f3a48b6a4c89c873e58ebe4f5fe1948e8777ed5",
                3_510_808,
            ),
        ),
        licence="MIT, copyright pynapple",
        citation="pynapple test data, suite2p, https://github.com/pynapple-org/pynapple",
        content="suite2p: 219 ROIs, 20 of them cells, 2000 frames; without ops.npy",
        read=_standard(""),
    ),
    "celegans": Example(
        folder="calcium/celegans",
        files=(
            *_files(
                f"{_NSM}swf702_with_id/",
                (
                    "2022-07-26-31-data.h5",
                    "91ad390c64909aaab9626cac4068395eab771c7e749d291880f1797d6c8cf339",
                    3_922_184,
                ),
                (
                    "2022-07-26-38-data.h5",
                    "7c79e42330a697d189cacf50c58586511d6653f3cd2032d4cf56a2417f06c5bf",
                    3_862_200,
                ),
                (
                    "2022-07-27-31-data.h5",
                    "308767b4a97af1339426d3a37facab6ee98fdbb44f11781c74819c6caaa913e4",
                    3_905_144,
                ),
                (
                    "2022-07-27-38-data.h5",
                    "7c52ac34984b36ad59e5624ddfd472a171b025729337ef18bfe0628efa2022e0",
                    3_695_720,
                ),
                (
                    "2022-07-27-45-data.h5",
                    "ff1b886b43e4ad09b9c01e122a7bfeffeb525965dd3d84221757d93c6d153be8",
                    3_727_080,
                ),
            ),
            _LABELS,
        ),
        licence="none stated",
        citation="Dag et al. 2023, Cell 186, 2574, doi 10.1016/j.cell.2023.04.023",
        content="whole-brain GCaMP of five freely moving worms, 800 frames, 135-146 neurons, "
        "identities, behaviour",
        read=_own("calcium", "read_celegans"),
    ),
    "zebrafish": Example(
        folder="calcium/zebrafish",
        files=_files(
            "OpenSourceBrain/NWBShowcase/be2920012f0e007b597b1149bb2e87b24a507b96/TriplettEtAl2018/data/",
            (
                "zf_20170215-f3/zf_20170215-f3_activity_matrix.csv",
                "3b8c7414d0c79d41a1fcc3906626a4c6e6017a1c31f5519f4f8164cfabe7628a",
                3_477_143,
            ),
            (
                "zf_20170215-f3/zf_20170215-f3_assembly_assignments.csv",
                "5897dc00df371f01a1a7f371cf6ec71a232277dac164f9bed840835388cd6577",
                353,
            ),
            (
                "zf_20170215-f3/zf_20170215-f3_cell_coordinates.csv",
                "aa9f33bb75a39818679b351202267ded5d97aad31bf8ce136f135914a107cb40",
                867,
            ),
        ),
        licence="none stated here: figshare deposit 10.6084/m9.figshare.6943265",
        citation="Triplett et al. 2018, PLoS Comput. Biol., doi 10.1371/journal.pcbi.1006292",
        content="spontaneous dF/F of the larval tectum, cell coordinates, assemblies",
        read=_own("calcium", "read_zebrafish"),
    ),
    "kit": Example(
        folder="meg/kit",
        files=_files(
            "mne-tools/mne-python/8aa8dec45a522363be02cba78d0856442b208067/mne/io/kit/tests/data/",
            (
                "test_bin_raw.fif",
                "e8270f47908b8db4dd5c808eb686749630cf522553697dded8a4c37f8be013a7",
                1_546_456,
            ),
        ),
        licence="BSD-3-Clause",
        citation="MNE-Python test data, https://github.com/mne-tools/mne-python; Gramfort et al. "
        "2013, doi 10.3389/fnins.2013.00267",
        content="KIT MEG: 157 magnetometers, 1000 Hz, 2 s",
        read=_standard("test_bin_raw.fif"),
    ),
    "elekta": Example(
        folder="meg/elekta",
        files=_files(
            "mne-tools/mne-testing-data/e31ecb0ab137b3d89c938d0985d42f1d2ffb2bad/misc/",
            (
                "test_elekta_3ch_raw.fif",
                "3e1ffe9399cd4f18a8721456b4b6db4e477c2fd89f503f93a4407a2109bcf31f",
                1_322_422,
            ),
        ),
        licence="none stated",
        citation="MNE testing data, https://github.com/mne-tools/mne-testing-data",
        content="Elekta MEG: 2 gradiometers, 1 magnetometer and a trigger channel with 162 "
        "events, 1000 Hz, 80 s",
        read=_standard("test_elekta_3ch_raw.fif"),
    ),
    "elekta_306": Example(
        folder="meg/elekta",
        files=_files(
            "mne-tools/mne-testing-data/e31ecb0ab137b3d89c938d0985d42f1d2ffb2bad/SSS/",
            (
                "141027_cropped_90Hz_raw.fif",
                "a30e14685e82059a8d997d1720a91329fb2c3baafec61dd3e3fd49dc05b14142",
                1_212_952,
            ),
        ),
        licence="none stated",
        citation="MNE testing data, https://github.com/mne-tools/mne-testing-data",
        content="Elekta MEG: 306 channels, 90 Hz, 10 s",
        read=_standard("141027_cropped_90Hz_raw.fif"),
    ),
    "evoked": Example(
        folder="meg/evoked",
        files=_files(
            "mne-tools/mne-python/8aa8dec45a522363be02cba78d0856442b208067/mne/io/tests/data/",
            (
                "test-ave.fif.gz",
                "b2401bd644324f887f718ef1a4feb08367b3211a43c347651b9d2d6fd91e7701",
                2_338_877,
            ),
        ),
        licence="BSD-3-Clause",
        citation="MNE-Python test data, https://github.com/mne-tools/mne-python; Gramfort et al. "
        "2013, doi 10.3389/fnins.2013.00267",
        content="Elekta MEG and EEG: four evoked conditions, 376 channels, 421 samples",
        read=_standard("test-ave.fif.gz"),
    ),
    "dbs_ecog_bids": Example(
        folder="seeg/dbs_ecog_bids",
        files=_files(
            "neuromodulation/py_neuromodulation/dfce248a906103ad301128729fc78e4bb4306aaa/"
            "py_neuromodulation/data/",
            ("README", "f0f8449149bc1763602fb039728d4281fba600c075e2fe573c86e4e784afb401", 708),
            (
                "dataset_description.json",
                "1cc1ed985d1b6f0f573bbf4603246df2eae9132c51279035444718a2cf03dacd",
                122,
            ),
            (
                "participants.json",
                "4b8aeb7120262dc2ff8cb93d218fdcc09062a65f0ec300afa2e67bb6c81d95dc",
                756,
            ),
            (
                "participants.tsv",
                "f9d83f8b937823e0a9d65db5e37df3d650e35d499cb939fc4b752a9313ef81d2",
                77,
            ),
            (
                f"{_DBS}_space-mni_coordsystem.json",
                "76ad157367c847e62f6c212a05bee5ab73ff62438ece429ed4787e6b581de3a1",
                118,
            ),
            (
                f"{_DBS}_space-mni_electrodes.tsv",
                "2abf6f2a1d6a9e7c05404d027adecf91e56eb86c75bbe093ff15ece2ab9c7b38",
                722,
            ),
            (
                f"{_DBS}_task-gripforce_run-0_channels.tsv",
                "6528b1adfa5294d11f9afd1d89a27deaeb053f03ed3bf740e82083603a7ce4a6",
                779,
            ),
            (
                f"{_DBS}_task-gripforce_run-0_ieeg.eeg",
                "36741e303acaa5e2b795cb4867907387ce54313b393825026a2be7fcd539adce",
                760_040,
            ),
            (
                f"{_DBS}_task-gripforce_run-0_ieeg.json",
                "9d13c45806b48acc8329b796d483e12fd1025a4cea7d0c35b0ac09919537bdb9",
                474,
            ),
            (
                f"{_DBS}_task-gripforce_run-0_ieeg.vhdr",
                "f90107c108c96fd1e9f72b9d11ac2a85097cbeb0fc6d8aa2baf945e1cc8f360d",
                988,
            ),
            (
                f"{_DBS}_task-gripforce_run-0_ieeg.vmrk",
                "043f9599c29eedd474bc6cf392fe1cd3d4274b0737cd8780583189233584388d",
                540,
            ),
            (
                "sub-testsub/ses-EphysMedOff/sub-testsub_ses-EphysMedOff_scans.tsv",
                "8b3e8dbdffc4e630a18da7263bf780c57ed8f2b47cbf4dfe8067547819720d56",
                89,
            ),
        ),
        licence="MIT",
        citation="py_neuromodulation example data, "
        "https://github.com/neuromodulation/py_neuromodulation",
        content="BIDS iEEG: 3 DBS, 6 ECoG and 1 movement channels, 1000 Hz, 19 s, MNI positions",
        read=_standard(""),
    ),
    "hfo_bids": Example(
        folder="seeg/hfo_bids",
        files=_files(
            "mne-tools/mne-hfo/e8acafc90435276d3958c65da5ad71c4abc5ec08/mne_hfo/tests/data/",
            (".bidsignore", "8c3abe2538a61ec7b9a9335c836fe8a4d31487214e2199dc04af04c1fdb1b4b4", 18),
            ("README", "6f5c76155a08a52d6d43a2c7e7d20161b13c173adc61db31ad15f257b9d23f88", 1_829),
            (
                "dataset_description.json",
                "94de4c16c1770401d0ee73ad422d5c81bb69185f461a4497a07e8e130c291844",
                279,
            ),
            (
                f"derivatives/{_HFO}_annotations.json",
                "ceaaaaaab91a60e953c183b17282f690bd169255ef3f6b3c90298f13891a75f4",
                488,
            ),
            (
                f"derivatives/{_HFO}_annotations.tsv",
                "bbca533e8a1f4f0b70a68fbb1c06f7bea8231c0eb2c6e7ded052ac6cc7d56d2e",
                1_383,
            ),
            (
                "participants.json",
                "0f35550246bfe32adf867e21309e0c31621160da7b4d7f565212e0adc104f1fa",
                1_967,
            ),
            (
                "participants.tsv",
                "65546d12560ba7ddf0cdf9a43963a81313c08627ef1b76777a84af31d39f50a3",
                114,
            ),
            (
                f"{_HFO}_channels.tsv",
                "d3b06b7d520087ca6c87673b34877ccb15287c2a6969da234355cb7d3995cc64",
                3_074,
            ),
            (
                f"{_HFO}_events.tsv",
                "bed9ac785e19961d68b85e3dd095e76a52ee44a52aa1343cc5a58d791397328b",
                2_379,
            ),
            (
                f"{_HFO}_ieeg.eeg",
                "8304922b8f53810a5a74e5e0690119aa3f5d401bc90b1290e8c7fbe591fbdaee",
                2_000_000,
            ),
            (
                f"{_HFO}_ieeg.json",
                "dc05ba6b151d3ce4fff2ebe39750d73de148f5696f6282085b448786ecd7fb25",
                462,
            ),
            (
                f"{_HFO}_ieeg.vhdr",
                "6231533a9bdcf2dea1eca9a68366378190978033a71370e48a92e9d922c2fece",
                1_621,
            ),
            (
                f"{_HFO}_ieeg.vmrk",
                "1090145f62d70ecea682dc87fabfa35b15871e2966253c7efb2824731263162b",
                2_450,
            ),
            (
                "sub-01/sub-01_scans.tsv",
                "dbc9795ed32e5b6b45363cf41491ad99cfbb1514ba44da4a0f0565477ac8d529",
                98,
            ),
        ),
        licence="BSD-3-Clause (the repository's)",
        citation="Fedele et al. 2017, Sci. Rep. 7, 13836, doi 10.1038/s41598-017-13064-1",
        content="BIDS iEEG: 50 depth and strip contacts, 2000 Hz, 5 s, 68 marked high-frequency "
        "oscillations",
        read=_standard(""),
    ),
    "ecog_seeg": Example(
        folder="seeg/ecog_seeg",
        files=_files(
            "mne-tools/mne-misc-data/d8ceb830cf0b05191dbde118e05f39a410567a8b/ecog/",
            (
                "sample_ecog_ieeg.fif",
                "81a917ded01065e39cae74476edffdf9b0a73213da9487800aeaaa38d0fc5f36",
                237_104,
            ),
        ),
        licence="BSD-3-Clause",
        citation="MNE misc data, https://github.com/mne-tools/mne-misc-data",
        content="320 ECoG and 74 sEEG channels with positions, 160 Hz, 0.7 s",
        read=_standard("sample_ecog_ieeg.fif"),
    ),
    "bonn": Example(
        folder="seeg/bonn",
        files=(_BONN,),
        licence="CC BY 4.0 (source deposit doi 10.34810/data490)",
        citation="Andrzejak et al. 2001, Phys. Rev. E 64, 061907, doi 10.1103/PhysRevE.64.061907",
        content="the Bonn EEG: 5 classes of 100 single-channel segments, 4097 samples at 173.61 Hz",
        read=_own("seeg", "read_bonn"),
    ),
    "connectome": Example(
        folder="connectome",
        files=_files(
            "francescorandi/wormneuroatlas/b2e13d88b670efcb3438aeacba2ad4bd6c383933/wormneuroatlas/data/",
            (
                "aconnectome_default.h5",
                "804aa4b02ca50721126256928e82aa27e999f17f3fd740ceb13c2fc6a2e9c5bd",
                1_442_048,
            ),
        ),
        licence="GPL-3-or-later",
        citation="Randi et al. 2023, Nature 623, 406 (wormneuroatlas); White et al. 1986; "
        "Witvliet et al. 2021, doi 10.1038/s41586-021-03778-8",
        content="C. elegans: chemical synapses and gap junctions between 300 neurons",
        read=_own("spikes", "read_connectome"),
    ),
}
