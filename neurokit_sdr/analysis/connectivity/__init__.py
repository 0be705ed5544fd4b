r"""Who drives whom, by the methods that a lab tries first.

Every function returns ``weight(target, source)``, the effect of the source on the target in the
method's own unit, and ``z_score(target, source)``, how rarely chance gives as much, as the size of
a normal variable: connections are found by it. Both are NaN on the diagonal and where a unit never
spikes: there the method does not say. Lags never lead over the end of a trial or over missing bins.

================================== ========== ============= ===========================
function                           directed   signed        input
================================== ========== ============= ===========================
:func:`cross_correlogram_peak`     yes        yes           spike times
:func:`lagged_correlation`         yes        yes           counts, bins of about 2 ms
:func:`coupled_poisson_glm`        yes        yes           counts, bins of about 2 ms
:func:`transfer_entropy`           yes        no            counts, bins of about 2 ms
:func:`partial_correlation`        no         yes           counts, bins of about 20 ms
:func:`challenge_partial_correlation` barely  yes           calcium, or counts of 20 ms
================================== ========== ============= ===========================

A method that looks at the wrong lag finds little. So each function that works on spikes measures
at which lags the population's coincidences lie (:func:`lag_profile`), and warns with a better lag
or bin width where its own does not fit. Score a result with
``nks.validation.score_connectivity``.

Transfer entropy is counted here. Of the kept libraries (October 2026), ``infomeasure`` 0.6.3 took
84 ms for a pair of trains of 60,000 bins, 14 minutes for the 9,900 pairs of 100 units, where
sparse counting takes less than a second; ``pyinform`` would take seconds but had its last release
in 2019; ``idtxl`` needs Java or OpenCL. The tests hold ours against plug-in counting.
"""

from __future__ import annotations

from neurokit_sdr.analysis.connectivity.challenge import (
    challenge_partial_correlation as challenge_partial_correlation,
)
from neurokit_sdr.analysis.connectivity.correlation import lagged_correlation as lagged_correlation
from neurokit_sdr.analysis.connectivity.correlation import (
    partial_correlation as partial_correlation,
)
from neurokit_sdr.analysis.connectivity.correlogram import (
    cross_correlogram_peak as cross_correlogram_peak,
)
from neurokit_sdr.analysis.connectivity.entropy import transfer_entropy as transfer_entropy
from neurokit_sdr.analysis.connectivity.glm import coupled_poisson_glm as coupled_poisson_glm
from neurokit_sdr.analysis.connectivity.profile import lag_profile as lag_profile
