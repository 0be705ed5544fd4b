"""How chains and their caller speak: through small files, which reach any process of a machine.

A queue would need an executor of ours; a folder needs nothing. Where a chain runs on another
machine the folder is missing: then its progress shows when it ends, and Ctrl-C waits for it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from neurokit_sdr.core.progress import progress_bar

#: How often, in s, the bar looks at the chains.
LOOK_SECONDS = 0.3


class Signals(NamedTuple):
    """The folder that chains and caller share."""

    folder: Path

    def report(self, number: int, n_sweeps: int, monitor: Mapping[str, float] | None) -> None:
        """Say how far a chain is; without a folder in silence."""
        words = {name: float(value) for name, value in (monitor or {}).items()}
        try:
            self._report(number).write_text(json.dumps([n_sweeps, words]))
        except FileNotFoundError:
            return

    def read(self, number: int) -> tuple[int, dict[str, float]]:
        """Return what a chain said last."""
        try:
            n_sweeps, words = json.loads(self._report(number).read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # not yet begun, or being written
            return 0, {}
        return n_sweeps, words

    def stop(self) -> None:
        """Tell every chain to end where it is."""
        (self.folder / "stop").touch()

    def stopped(self) -> bool:
        """Whether chains should end."""
        return (self.folder / "stop").exists()

    def _report(self, number: int) -> Path:
        return self.folder / f"chain-{number}.json"


@contextmanager
def bar_over_chains(
    signals: Signals, n_chains: int, n_sweeps: int, description: str, progress: bool
) -> Iterator[None]:
    """One bar over the sweeps of all chains, while the block runs.

    Behind it stands what the chains monitor, one value per chain.
    """
    if not progress:
        yield
        return
    ended = threading.Event()
    with progress_bar(n_chains * n_sweeps, description) as bar:

        def look() -> None:
            said = [signals.read(number) for number in range(n_chains)]
            bar.n = max(bar.n, sum(n for n, _ in said))
            names = dict.fromkeys(name for _, words in said for name in words)
            texts = [
                f"{name} " + "/".join(f"{words[name]:.6g}" for _, words in said if name in words)
                for name in names
            ]
            bar.set_postfix_str(", ".join(texts), refresh=False)
            bar.refresh()

        def watch() -> None:
            while not ended.wait(LOOK_SECONDS):
                look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            look()
