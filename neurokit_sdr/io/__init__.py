"""Files into labelled xarray.

Readers return an :class:`xarray.DataTree` whose groups and names follow
:mod:`neurokit_sdr.core.schema`. The libraries behind a file format load when a file of it is read.
"""

from __future__ import annotations

import importlib
from typing import Any

_FUNCTIONS = {
    "read": "neurokit_sdr.io.reading",
    "readers": "neurokit_sdr.io.reading",
    "Reader": "neurokit_sdr.io.registry",
    "read_spikes": "neurokit_sdr.io.spikes",
    "read_neural_latents": "neurokit_sdr.io.formats.neural_latents.read",
    "from_spike_times": "neurokit_sdr.io.spikes",
    "write_nwb": "neurokit_sdr.io.formats.nwb.write",
    "read_calcium": "neurokit_sdr.io.calcium",
    "from_fluorescence": "neurokit_sdr.io.calcium",
    "subtract_neuropil": "neurokit_sdr.io.fluorescence",
    "dff": "neurokit_sdr.io.fluorescence",
    "roi_masks": "neurokit_sdr.io.fluorescence",
    "write_suite2p": "neurokit_sdr.io.formats.suite2p.write",
    "read_meg": "neurokit_sdr.io.meg",
    "write_fif": "neurokit_sdr.io.formats.fif.write",
    "read_seeg": "neurokit_sdr.io.seeg",
    "write_edf": "neurokit_sdr.io.formats.edf.write",
    "write_bids": "neurokit_sdr.io.formats.bids.write",
    "split_contact_names": "neurokit_sdr.io.contacts.names",
    "select_contacts": "neurokit_sdr.io.contacts.names",
    "bipolar_reference": "neurokit_sdr.io.contacts.references",
    "common_average": "neurokit_sdr.io.contacts.references",
    "to_pynapple": "neurokit_sdr.io.interop",
    "from_pynapple": "neurokit_sdr.io.interop",
    "to_neo": "neurokit_sdr.io.interop",
    "from_neo": "neurokit_sdr.io.interop",
    "to_mne": "neurokit_sdr.io.interop",
    "from_mne": "neurokit_sdr.io.interop",
    "to_nemos": "neurokit_sdr.io.interop",
    "fetch_example": "neurokit_sdr.io.published.fetch",
    "examples": "neurokit_sdr.io.published.fetch",
}
_MODULES = ("spikes", "calcium", "meg", "seeg", "store", "interop")

__all__ = [*_FUNCTIONS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"neurokit_sdr.io.{name}")
    from neurokit_sdr.core.schema import did_you_mean

    raise AttributeError(f"neurokit_sdr.io has no {name!r}.{did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
