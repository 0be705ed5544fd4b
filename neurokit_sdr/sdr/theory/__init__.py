"""Exact theory: how often overlaps of sparse patterns reach a threshold.

``probabilities`` answers forwards, ``requirements`` backwards, ``grids`` for many counts at once.
Below them lie ``tails`` on arrays, ``overlap`` in compiled floats, ``exact`` in whole numbers, and
``counts``, which checks what is asked.
"""
