"""How the loops are compiled."""

from __future__ import annotations

from typing import Any

#: A division by zero gives infinity instead of an exception, and products may be fused with sums:
#: without either a loop is not vectorised. No flag lets sums be reordered.
OPTIONS: Any = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}
