"""Bayesian bi-clustering of neurons and time: a sampler of pure kernels."""
