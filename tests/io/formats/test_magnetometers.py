"""CTF, 4D/BTi, KIT, FIL OPM and what only MNE knows: known by content, read with it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from mne_files import write_opm

import neurokit_sdr as nks
from neurokit_sdr.core.errors import DataWarning, FileFormatError
from neurokit_sdr.io.formats.bti.read import bti_file
from neurokit_sdr.io.formats.ctf.read import is_ctf
from neurokit_sdr.io.formats.fil.read import is_fil
from neurokit_sdr.io.formats.kit.read import is_kit

mne = pytest.importorskip("mne")


# MNE sets the metadata's index in a way that pandas will drop one day.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")


def test_optically_pumped_magnetometers(tmp_path):
    path = write_opm(tmp_path)
    assert is_fil(path)
    with pytest.warns(DataWarning, match="MNE says of sub-1.*No fiducials"):
        session = nks.io.read_meg(path)
    raw = mne.io.read_raw_fil(path, verbose="ERROR")
    signal = session["signal"]
    assert np.array_equal(signal["signal"].values.T, raw.get_data())
    assert signal["channel_type"].values.tolist() == ["mag", "mag", "stim"]
    assert signal["channel_unit"].values.tolist()[:2] == ["T", "T"]
    assert signal["bad"].values.tolist() == [False, True, False]
    assert signal["coil_type"].values[0] == "QUSPIN_ZFOPM_MAG2"
    assert signal.attrs["line_freq"] == 50.0


def test_folders_and_files_are_known_by_content(tmp_path):
    ctf = tmp_path / "x.ds"
    ctf.mkdir()
    (ctf / "x.res4").write_bytes(b"MEG41RS\0" + bytes(100))
    assert is_ctf(ctf)
    with pytest.raises(FileFormatError, match="could not be read with MNE"):
        nks.io.read_meg(ctf)
    kit = tmp_path / "x.sqd"
    kit.write_bytes(struct.pack("<4i", 0, 16, 32, 32) + bytes(16 * 40))
    assert is_kit(kit)
    with pytest.raises(FileFormatError, match="could not be read with MNE"):
        nks.io.read_meg(kit)
    bti = tmp_path / "run"
    bti.mkdir()
    (bti / "config").write_bytes(bytes(100))
    (bti / "c,rfDC").write_bytes(bytes(100))
    assert bti_file(bti) == bti / "c,rfDC"
    with pytest.raises(FileFormatError, match="could not be read with MNE"):
        nks.io.read_meg(bti)
    for path in (tmp_path, kit.with_name("y.sqd")):
        path.mkdir(exist_ok=True)
        assert not is_ctf(path)
        assert not is_kit(path)
        assert not is_fil(path)
        assert bti_file(path) is None
        with pytest.raises(FileFormatError, match="Expected a recording in FIF, CTF, KIT"):
            nks.io.read_meg(path)


def test_formats_that_only_mne_knows(tmp_path):
    from scipy.io import savemat

    values = np.arange(20.0).reshape(2, 10)
    savemat(
        tmp_path / "x.set",
        {
            "EEG": {
                "setname": "x",
                "nbchan": 2,
                "trials": 1,
                "pnts": 10,
                "srate": 100.0,
                "xmin": 0.0,
                "xmax": 0.09,
                "data": values,
                "icawinv": [],
                "icasphere": [],
                "icaweights": [],
                "icaact": [],
                "chanlocs": [],
                "event": [],
                "epoch": [],
                "urevent": [],
            }
        },
        appendmat=False,
    )
    session = nks.io.read_meg(tmp_path / "x.set")
    # EEGLAB writes microvolts; MNE gives volts.
    assert np.allclose(session["signal/signal"].values.T, values * 1e-6, rtol=1e-12)
