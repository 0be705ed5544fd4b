"""How models are fitted: recursions, likelihoods, solvers, chains and training. Knows no model."""
