"""Storing frame after frame, with a bar, until the end or Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.sdr.frames import Frames
from neurokit_sdr.sdr.sparsey import equations
from neurokit_sdr.sdr.sparsey.memory import Stored

#: Frames between two updates of the progress bar, and so between two chances for Ctrl-C.
CHUNK = 256


def store(
    stored: Stored, frames: Frames, generator: np.random.Generator, *, draw: bool, progress: bool
) -> equations.Codes:
    """Store frames in a memory, which is changed in place.

    Parameters
    ----------
    stored
        What they are stored in.
    frames
        The frames.
    generator
        Of the winners.
    draw
        Whether winners are drawn; else the largest V wins.
    progress
        Whether to show a bar.

    Returns
    -------
    Codes
        Of the frames that were stored: fewer than there are after Ctrl-C.
    """
    wiring, rule, memory, clock = stored
    n_macs, n_frames = len(wiring.level), len(frames.pattern)
    state = equations.no_activity(wiring, rule)
    driven = np.ones(n_frames, bool)
    parts, done = [], 0
    with progress_bar(n_frames, "Sparsey", progress) as bar, _until_interrupted():
        while done < n_frames:
            part = slice(done, min(done + CHUNK, n_frames))
            uniform = generator.random((part.stop - done, n_macs, rule.n_modules))
            parts.append(
                equations.run(
                    wiring, rule, memory, frames.pattern[part], frames.starts[part], driven[part],
                    uniform, clock=clock + done, learn=True, draw=draw, state=state,
                )
            )  # fmt: skip
            bar.update(part.stop - done)
            done = part.stop
    if not parts:
        return equations.no_codes(wiring, rule, 0)
    return equations.Codes(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


@contextmanager
def _until_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        return
