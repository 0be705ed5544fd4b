"""Recognition, completion, and what a memory gives when nothing is put in."""

from __future__ import annotations

import numpy as np

from neurokit_sdr.core.seeding import stream
from neurokit_sdr.sdr.frames import Frames, as_items, prolonged
from neurokit_sdr.sdr.sparsey.equations import Codes, run, support
from neurokit_sdr.sdr.sparsey.memory import Stored

#: Times that a pattern drawn from the memory is recognised and completed again.
DREAM_STEPS = 10


def recognise(
    stored: Stored, frames: Frames, driven: np.ndarray | None = None, *, draw: bool, seed: int
) -> Codes:
    """The codes that frames activate; nothing is learnt.

    Parameters
    ----------
    stored, frames
        The memory and its input.
    driven
        Whether each frame has input, shape (frame,); None where all have.
    draw
        Whether winners are drawn; else the largest V wins, of equals the first.
    seed
        Of the draws.
    """
    shape = (len(frames.pattern), len(stored.wiring.level), stored.rule.n_modules)
    return run(
        stored.wiring, stored.rule, stored.memory, frames.pattern, frames.starts,
        np.ones(shape[0], bool) if driven is None else driven,
        stream(seed, "recognition").random(shape) if draw else np.zeros(shape),
        clock=stored.clock, learn=False, draw=draw,
    )  # fmt: skip


def complete(stored: Stored, winner: np.ndarray, fewest: int) -> np.ndarray:
    """The cells that the winners learnt, shape (frame, cell).

    Those that all winners learnt, and if these are fewer than ``fewest``, the next best up to it.
    """
    share = support(stored.wiring, stored.rule, stored.memory, winner)
    fewest = min(max(fewest, 1), share.shape[1])
    enough = np.partition(share, -fewest, axis=1)[:, -fewest]
    return (share >= np.minimum(enough, 1.0 - 1e-9)[:, None]) & (share > 0)


def draw_cues(
    stored: Stored, fewest: int, number: int, generator: np.random.Generator
) -> np.ndarray:
    """Part of what a unit of each lowest mac has learnt, drawn, shape (frame, cell), uint8."""
    wiring, memory = stored.wiring, stored.memory
    pattern = np.zeros((number, wiring.n_cells), np.uint8)
    for mac in np.flatnonzero(wiring.level == 0):
        rows = slice(*wiring.bottom_up.start[mac : mac + 2])
        learnt = memory.bottom_up.weight[rows] > 0
        used = np.flatnonzero(learnt.any(axis=0))
        source = wiring.bottom_up.source[rows]
        for t in range(number if used.size else 0):
            cells = source[learnt[:, generator.choice(used)]]
            pattern[t, generator.permutation(cells)[: max(fewest, 1)]] = 1
    return pattern


def dream(
    stored: Stored,
    fewest: int,
    n_frames: int,
    generator: np.random.Generator,
    *,
    sequences: bool,
    draw: bool,
    seed: int,
) -> tuple[np.ndarray, Codes]:
    """Patterns from the memory, shape (frame, cell), and their codes.

    With ``sequences`` the memory goes on from the first pattern, and where that stops, from
    another; else every pattern is drawn on its own.
    """
    parts: list[tuple[np.ndarray, Codes]] = []
    left = n_frames
    while left > 0:
        first = draw_cues(stored, fewest, 1 if sequences else n_frames, generator)
        for _ in range(DREAM_STEPS):
            winner = recognise(stored, as_items(first), draw=draw, seed=seed).winner
            first = complete(stored, winner, fewest).astype(np.uint8)
        frames = as_items(first)
        driven = np.ones(len(first), bool)
        if sequences and left > 1:
            frames, driven = prolonged(frames, left - 1)
        codes = recognise(stored, frames, driven, draw=draw, seed=seed)
        pattern = complete(stored, codes.winner, fewest)
        goes_on = np.append(pattern[1:].any(axis=1) | (not sequences), False)
        size = int(np.argmin(goes_on)) + 1
        parts.append((pattern[:size], Codes(*(array[:size] for array in codes))))
        left -= size
    found = Codes(*(np.concatenate(a) for a in zip(*(c for _, c in parts), strict=True)))
    return np.concatenate([pattern for pattern, _ in parts]), found
