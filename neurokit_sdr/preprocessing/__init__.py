"""What is done to a recording before a model sees it: clocks, bins, trials, epochs, filters."""
