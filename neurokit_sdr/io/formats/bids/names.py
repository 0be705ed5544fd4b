"""Words of BIDS that reading and writing share."""

from __future__ import annotations

#: The file that makes a folder a dataset.
DESCRIPTION = "dataset_description.json"
#: Kinds of recording, and the suffixes of their files; "" stands for a folder of 4D/BTi.
EXTENSIONS = {
    "ieeg": (".vhdr", ".edf", ".set", ".mefd", ".nwb", ".bdf"),
    "eeg": (".vhdr", ".edf", ".bdf", ".set"),
    "meg": (".fif", ".ds", ".con", ".sqd", ".kdf", ".chn", ".raw", ".mhd", ""),
}
#: The longest text that an attribute of every format can hold, with room to spare.
LONGEST = 30_000
#: BIDS' word for a type of channel, and MNE's. MEG files say theirs better themselves.
TYPES = {
    "EEG": "eeg",
    "ECOG": "ecog",
    "SEEG": "seeg",
    "DBS": "dbs",
    "EOG": "eog",
    "VEOG": "eog",
    "HEOG": "eog",
    "ECG": "ecg",
    "EMG": "emg",
    "RESP": "resp",
    "GSR": "gsr",
    "TEMP": "temperature",
    "TRIG": "stim",
    "EYEGAZE": "eyegaze",
    "PUPIL": "pupil",
}
