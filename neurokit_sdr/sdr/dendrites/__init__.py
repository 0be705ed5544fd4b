"""Active dendrites on sparse patterns: segments that learn and answer, and how often they err."""
