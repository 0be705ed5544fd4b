"""Every error and warning the package raises, on one page.

The text of each says what was expected, what came, and what to do about it.
"""

from __future__ import annotations

import os
import sys
import warnings

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class NeurokitError(Exception):
    """Base class of every error the package raises on purpose."""


class SchemaError(NeurokitError, ValueError):
    """Data do not follow the schema: a wrong name, dimension, unit or value."""


class ParameterError(NeurokitError, ValueError):
    """A hyper-parameter or argument lies outside what the call allows."""


class NotFittedError(NeurokitError, AttributeError):
    """A method that needs ``result_`` was called before ``fit``."""


class FileFormatError(NeurokitError, ValueError):
    """A file is empty, damaged, of an unknown kind, or unsafe to read."""


class MissingDependencyError(NeurokitError, ImportError):
    """An optional package is not installed; the text names the extra that brings it."""


class TrainingError(NeurokitError, ArithmeticError):
    """Training met values that are not finite before it had anything usable."""


class NeurokitWarning(UserWarning):
    """Base class of every warning the package raises."""


class ConvergenceWarning(NeurokitWarning):
    """A fit stopped before it met its tolerance; ``result_.attrs["status"]`` says why."""


class DataWarning(NeurokitWarning):
    """Something in the data could not be kept, or is not what most users would expect."""


def warn(text: str, category: type[Warning] = DataWarning) -> None:
    """Warn at the line of the user: the innermost one that lies outside this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)
