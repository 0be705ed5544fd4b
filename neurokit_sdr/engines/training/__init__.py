"""Training by gradients, for every model whose parameters are a network."""

from __future__ import annotations

import os

# XLA divides work by the threads it finds, and so sums in another order on another number of cores.
# One thread, as in every task of ours: the same weights on a laptop, in a pool and on a cluster of
# like processors. It is read when JAX first computes; set it before to have more.
os.environ.setdefault("PJRT_NPROC", "1")
