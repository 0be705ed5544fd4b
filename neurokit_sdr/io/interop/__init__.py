"""To and from the objects of other libraries: pynapple, neo, MNE, and what nemos fits.

What the other library can hold arrives there; what it cannot, one warning names.
"""

from __future__ import annotations

from neurokit_sdr.io.interop.mne import from_mne, to_mne
from neurokit_sdr.io.interop.nemos import to_nemos
from neurokit_sdr.io.interop.neo import from_neo, to_neo
from neurokit_sdr.io.interop.pynapple import from_pynapple, to_pynapple

__all__ = ["from_mne", "from_neo", "from_pynapple", "to_mne", "to_nemos", "to_neo", "to_pynapple"]
