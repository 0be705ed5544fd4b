"""One folder per file format: how it is told apart, read, and written where it can be."""
