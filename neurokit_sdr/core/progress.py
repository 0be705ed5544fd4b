"""Progress bars, in a terminal and in a notebook, that can be silenced."""

from __future__ import annotations

from typing import Any


def progress_bar(total: int | None, description: str, enabled: bool = True) -> Any:
    """Return a tqdm bar; with ``enabled=False`` it counts and prints nothing."""
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=description, disable=not enabled, leave=False)
