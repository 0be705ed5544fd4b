"""Published recordings: where they lie, what they are, and how their own files are read."""
