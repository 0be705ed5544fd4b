"""The data schema: names, dimensions, units, and the checks that hold data to them.

Names are fixed here and nowhere else. A *kind* is one kind of recording (spikes, binned counts,
calcium, MEG and sEEG signals, events, intervals, behaviour, stimuli) or of what is made of one
(tuning, binary patterns); each is an :class:`xarray.Dataset` whose variables, dimensions and units
:data:`KINDS` lists. A file that holds several kinds becomes an :class:`xarray.DataTree` with one
group per kind (:data:`GROUPS`); several animals lie in one as ``/animals/NAME``, each a session of
its own. Time is float64 seconds from the recording's start.

Attributes hold str, int, float and lists of them only, because netCDF holds nothing else.
"""

from __future__ import annotations

from neurokit_sdr.core.arguments import did_you_mean as did_you_mean
from neurokit_sdr.core.schema.animals import animals as animals
from neurokit_sdr.core.schema.bins import observed_bins as observed_bins
from neurokit_sdr.core.schema.bins import scored_bins as scored_bins
from neurokit_sdr.core.schema.bins import trial_lengths as trial_lengths
from neurokit_sdr.core.schema.bins import valid_bins as valid_bins
from neurokit_sdr.core.schema.checks import check as check
from neurokit_sdr.core.schema.checks import check_attrs as check_attrs
from neurokit_sdr.core.schema.checks import select as select
from neurokit_sdr.core.schema.common import check_clock as check_clock
from neurokit_sdr.core.schema.common import check_frames as check_frames
from neurokit_sdr.core.schema.common import check_unique_units as check_unique_units
from neurokit_sdr.core.schema.kinds import ANIMALS as ANIMALS
from neurokit_sdr.core.schema.kinds import GROUPS as GROUPS
from neurokit_sdr.core.schema.kinds import KINDS as KINDS
from neurokit_sdr.core.schema.kinds import SCHEMA_VERSION as SCHEMA_VERSION
from neurokit_sdr.core.schema.kinds import Kind as Kind
from neurokit_sdr.core.schema.kinds import Variable as Variable
from neurokit_sdr.core.schema.words import describe as describe
