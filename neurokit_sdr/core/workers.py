"""What worker processes need of the program that starts them, asked before any is started.

Workers import the program's main module and look functions and classes up by name. A script that
starts them at its top level would start them again in each; a class of a notebook is not found.
"""

from __future__ import annotations

import ast
import io
import pickle
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from neurokit_sdr.core.errors import ParameterError

_INSTEAD = "or pass executor=concurrent.futures.ThreadPoolExecutor(1)"


def check_can_start(function: Callable[[Any], Any], tasks: Sequence[Any]) -> None:
    """Raise :class:`ParameterError`, in one line, where worker processes could not do the tasks."""
    unguarded = _unguarded_line(sys._getframe(1))
    if unguarded is not None:
        raise ParameterError(
            f"Expected the call in line {unguarded[1]} of {unguarded[0]} under if __name__ == "
            f"'__main__':, got it at the top level of the script, which each worker process would "
            f"run again: put it there, {_INSTEAD}."
        )
    if getattr(sys.modules["__main__"], "__file__", None) is None:
        home = _defined_here(function, tasks)
        if home is not None:
            raise ParameterError(
                f"Expected classes and functions that worker processes can import, got {home!r}, "
                f"defined in this notebook or prompt: move it to a .py file, {_INSTEAD}."
            )


def _unguarded_line(frame: FrameType | None) -> tuple[str, int] | None:
    """File and line of the script that called, unless it did so under its ``__main__`` guard."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    while frame is not None:
        top = frame.f_code.co_name == "<module>" and frame.f_globals is vars(main)
        if top and path == frame.f_code.co_filename:
            return None if _is_guarded(str(path), frame.f_lineno) else (str(path), frame.f_lineno)
        frame = frame.f_back
    return None


def _is_guarded(path: str, line: int) -> bool:
    try:
        with open(path, encoding="utf-8") as script:
            tree = ast.parse(script.read())
    except (OSError, SyntaxError, UnicodeDecodeError):
        return True  # no plain script: nothing can be said of it
    for statement in tree.body:
        if isinstance(statement, ast.If) and statement.lineno <= line <= (
            statement.end_lineno or 0
        ):
            names = {n.id for n in ast.walk(statement.test) if isinstance(n, ast.Name)}
            texts = {n.value for n in ast.walk(statement.test) if isinstance(n, ast.Constant)}
            return "__name__" in names and "__main__" in texts
    return False


class _Scan(pickle.Pickler):
    """Pickles into nothing, and remembers what of ``__main__`` is named on the way."""

    def __init__(self) -> None:
        # Arrays stay outside: they are neither copied nor looked into.
        super().__init__(io.BytesIO(), protocol=5, buffer_callback=lambda _: None)
        self.found: str | None = None

    def reducer_override(self, value: Any) -> Any:
        named = isinstance(value, type) or callable(value)
        if named and getattr(value, "__module__", None) == "__main__":
            self.found = self.found or getattr(value, "__qualname__", type(value).__qualname__)
        return NotImplemented


def _defined_here(function: Callable[[Any], Any], tasks: Sequence[Any]) -> str | None:
    scan = _Scan()
    for value in (function, *tasks):
        scan.dump(value)
        if scan.found:
            return scan.found
        scan.clear_memo()
    return None
