"""Training by gradients, for every model whose parameters are a network."""
