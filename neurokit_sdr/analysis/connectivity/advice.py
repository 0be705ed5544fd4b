"""Which lag or bin width a network's coincidences ask for, in words."""

from __future__ import annotations

import numpy as np

from neurokit_sdr.analysis.connectivity.lags import SIGNIFICANT, Profile, mean_lag, round_width

#: A lag with less than this share of the largest amplitude is the wrong one.
_ENOUGH = 0.5

#: Where the coupling decays as it does behind a membrane, its peak lies at about a third of its
#: mean lag, and three times the mean lag hold most of it.
_PEAK = 1 / 3
_ALL = 3.0

#: Of a bin's coupling; with so little spill into the next, most of a bin is not coupling.
_LITTLE_SPILL = 0.2


def directed_bin(amplitude: np.ndarray, width: float) -> float:
    """A bin width at which the coupling peaks at lag 1."""
    peak = int(amplitude.argmax())
    if peak > 0:
        return round_width(peak * width)
    # The bins do not resolve the peak. Without any spill into the next bin, they do not even tell
    # the mean lag.
    return round_width(max(_PEAK * mean_lag(amplitude), 0.05) * width)


def symmetric_bin(amplitude: np.ndarray, width: float) -> float:
    """A bin width at which one bin holds most of the coupling."""
    return round_width(max(_ALL * mean_lag(amplitude), 0.1) * width)


def of_lag(profile: Profile, first: int, last: int, width: float) -> str | None:
    """What to tell a directed method that looks at lags ``first`` to ``last``, in bins."""
    amplitude = profile.amplitude
    if not amplitude.any():
        return None
    if first > 0 and (text := _too_wide(amplitude, width)):
        return text
    best = (int(amplitude[1:].argmax()) + 1) if first > 0 else int(amplitude.argmax())
    share = amplitude[first : last + 1].max(initial=0.0) / amplitude[best]
    if share >= _ENOUGH:
        return None
    looked = f"lag {first} has" if first == last else f"lags {first} to {last} have"
    wide = round_width(best * width) if best else width
    other = f", or bins of {_milliseconds(wide)} and lag=1" if wide > width else ""
    return (
        f"The coupling of this network peaks at lag {best} "
        f"({_milliseconds(best * width)}), and {looked} {share:.0%} of that: use lag={best}{other}."
    )


def of_reach(profile: Profile, n_lags: int, width: float) -> str | None:
    """What to tell a method that uses lags 1 to ``n_lags``."""
    amplitude = profile.amplitude
    if not amplitude.any():
        return None
    if text := _too_wide(amplitude, width):
        return text
    later = amplitude[1:]
    # The only lag of a kernel is not yet its end.
    last = max(n_lags, 2)
    share = later[last - 1 :].sum() / later.sum()
    if share <= _ENOUGH:
        return None
    enough = 1 + int(np.searchsorted(later.cumsum(), 0.9 * later.sum()))
    wide = directed_bin(amplitude, width)
    other = f", or bins of {_milliseconds(wide)}" if wide > width else ""
    return (
        f"The kernel is too short for this network: {share:.0%} of its coupling lies at lag "
        f"{last} ({_milliseconds(last * width)}) or beyond. Use n_lags={enough}{other}."
    )


def of_bin(profile: Profile, width: float) -> str | None:
    """What to tell a symmetric method, which uses coincidences within bins."""
    amplitude = profile.amplitude
    if not amplitude.any():
        return None
    better, later = symmetric_bin(amplitude, width), amplitude[1:]
    share = later.sum() / amplitude.sum()
    if amplitude[0] < later.max(initial=0.0) and better > width:
        return (
            f"Bins of {_milliseconds(width)} are too narrow for this network: {share:.0%} of its "
            f"coupling leads into later bins. Bins of {_milliseconds(better)} would suit, or a "
            f"method with a lag."
        )
    spill = amplitude[0] * _LITTLE_SPILL / (1 - _LITTLE_SPILL)
    # Unless more spill than this would stand out, its absence says nothing.
    would_show = len(later) > 0 and spill**2 > SIGNIFICANT * profile.error[1]
    if would_show and later.max() < spill and better < width:
        return (
            f"Bins of {_milliseconds(width)} are too wide for this network: only {share:.0%} of "
            f"its coupling leads into later bins, so that most of a bin is chance. Bins of "
            f"{_milliseconds(better)} would suit."
        )
    return None


def of_range(profile: Profile, width: float, first: float, last: float) -> str | None:
    """What to tell a method that uses a range of lags in s; the profile's bins are narrow."""
    later = profile.amplitude[1:]
    lag = np.arange(1, len(later) + 1) * width
    inside = later[(lag > first - width) & (lag < last + width)].sum()
    if inside >= _ENOUGH * later.sum():
        return None
    low, high = np.searchsorted(later.cumsum() / later.sum(), [0.05, 0.9])
    return (
        f"Only {inside / later.sum():.0%} of the coupling of this network lies at lags of "
        f"{_milliseconds(first)} to {_milliseconds(last)}: use lag_range="
        f"({max(lag[low] - width, 0):g}, {lag[high] + width:g}), in s."
    )


def _too_wide(amplitude: np.ndarray, width: float) -> str | None:
    """Whether bins hold cause and effect together."""
    if amplitude[0] <= amplitude[1:].max(initial=0.0):
        return None
    return (
        f"Bins of {_milliseconds(width)} are too wide for this network: "
        f"{amplitude[0] / amplitude.sum():.0%} of its coupling lies within one bin, where no lag "
        f"tells who came first. Bins of {_milliseconds(directed_bin(amplitude, width))} would "
        f"suit, unless units share an input: nks.analysis.lag_profile(spikes) shows."
    )


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:g} ms"
