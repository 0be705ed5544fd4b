"""Zero-phase FIR filters, and how they are applied to a part of a recording.

Everything here works on arrays whose first axis is time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import firwin, oaconvolve

#: Width of a Hamming-windowed filter's transition, in sampling rate over length.
_HAMMING_WIDTH = 3.3
#: Values filtered at once: bounds the memory of a long recording.
_BLOCK_VALUES = 2_000_000


class Kernel(NamedTuple):
    """A filter's impulse response and what it was made of.

    Attributes
    ----------
    weight
        :math:`h_{-m}, \\dots, h_m`, symmetric.
    low, high
        Edges of the pass band in Hz; NaN where there is none.
    low_transition, high_transition
        Widths of the transitions in Hz; NaN where there is none.
    """

    weight: np.ndarray
    low: float
    high: float
    low_transition: float
    high_transition: float

    @property
    def half(self) -> int:
        """:math:`m`: samples on either side that a result depends on."""
        return self.weight.size // 2


def band_kernel(low: float | None, high: float | None, rate: float) -> Kernel:
    """Windowed-sinc kernel that passes ``low`` to ``high`` Hz.

    The difference of two low-pass filters, each with a transition of its own: from ``low`` down by
    min(max(low / 4, 2), low) Hz, and from ``high`` up by min(max(high / 4, 2), rate / 2 - high) Hz,
    cut off in its middle and as long as a Hamming window needs for that width.
    """
    parts = []
    transitions = [np.nan, np.nan]
    if high is not None:
        transitions[1] = min(max(high / 4, 2.0), rate / 2 - high)
        parts.append(_low_pass(high + transitions[1] / 2, transitions[1], rate))
    if low is not None:
        transitions[0] = min(max(low / 4, 2.0), low)
        parts.append(-_low_pass(low - transitions[0] / 2, transitions[0], rate))
    half = max(p.size for p in parts) // 2
    weight = np.zeros(2 * half + 1)
    for part in parts:
        begin = half - part.size // 2
        weight[begin : begin + part.size] += part
    if high is None:
        weight[half] += 1.0
    edges = [np.nan if edge is None else float(edge) for edge in (low, high)]
    return Kernel(weight, *edges, *transitions)


def _low_pass(cutoff: float, transition: float, rate: float) -> np.ndarray:
    length = int(np.ceil(_HAMMING_WIDTH * rate / transition))
    weight = firwin(length + 1 - length % 2, cutoff, window="hamming", fs=rate)
    return (weight + weight[::-1]) / 2  # symmetric to the last bit


def filter_part(
    values: np.ndarray, first: int, size: int, start: int, stop: int, weight: np.ndarray
) -> np.ndarray:
    """Samples ``start`` to ``stop`` of a filtered recording, from the samples around them.

    .. math:: y_t = \\sum_{k=-m}^{m} h_k x_{t-k}

    Before its first and after its last sample the recording is taken to go on point-symmetrically:
    :math:`x_{-k} = 2 x_0 - x_k`. A sample that is NaN makes NaN of all results it would enter.

    Parameters
    ----------
    values
        Samples ``first`` and on of the recording, time first: at least those within
        ``weight.size // 2`` of ``start`` and ``stop``, as far as there are any, and near an end of
        the recording as many again within it.
    first, size
        Position of ``values`` in the recording, and the recording's length.
    start, stop
        The samples wanted.
    weight
        The kernel, of odd length; the recording is longer than half of it.
    """
    values = np.asarray(values)
    out = np.empty((max(stop - start, 0), *values.shape[1:]))
    per_sample = max(int(np.prod(values.shape[1:])), 1)
    block = max(_BLOCK_VALUES // per_sample, 4 * weight.size)
    for begin in range(start, stop, block):
        end = min(begin + block, stop)
        padded = _with_margins(values, first, size, begin, end, weight.size // 2)
        out[begin - start : end - start] = _convolved(padded, weight)
    return out


def needed(start: int, stop: int, size: int, half: int) -> tuple[int, int]:
    """The samples that :func:`filter_part` needs for ``start`` to ``stop``."""
    low, high = start - half, stop + half
    # What lies before the recording is mirrored from within it, and so for its end.
    reach_low = -low if low < 0 else 0
    reach_high = high - size if high > size else 0
    first = max(0, min(low, size - 1 - reach_high) if reach_high else low)
    last = min(size, max(high, reach_low + 1) if reach_low else high)
    return first, last


def _with_margins(
    values: np.ndarray, first: int, size: int, start: int, stop: int, half: int
) -> np.ndarray:
    """Samples ``start - half`` to ``stop + half``, mirrored where the recording has none."""
    low, high = start - half, stop + half
    inner = values[max(low, 0) - first : min(high, size) - first]
    parts = [inner]
    if low < 0:
        edge = values[0 - first]
        parts.insert(0, 2 * edge - values[1 - first : 1 - low - first][::-1])
    if high > size:
        edge = values[size - 1 - first]
        over = high - size
        parts.append(2 * edge - values[size - 1 - over - first : size - 1 - first][::-1])
    return np.concatenate(parts) if len(parts) > 1 else inner


def _convolved(padded: np.ndarray, weight: np.ndarray) -> np.ndarray:
    shape = (weight.size, *(1,) * (padded.ndim - 1))
    missing = ~np.isfinite(padded)
    if not missing.any():
        return oaconvolve(padded, weight.reshape(shape), mode="valid", axes=0)
    # A transform would spread one missing sample over everything.
    known = np.where(missing, 0.0, padded)
    out = oaconvolve(known, weight.reshape(shape), mode="valid", axes=0)
    count = np.cumsum(missing, axis=0, dtype=np.int64)
    count = np.concatenate([np.zeros((1, *count.shape[1:]), dtype=np.int64), count])
    out[count[weight.size :] > count[: -weight.size]] = np.nan
    return out
