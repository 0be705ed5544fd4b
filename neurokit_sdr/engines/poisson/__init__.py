"""Poisson counts: rates and their derivatives, history kernels, bits per spike."""
