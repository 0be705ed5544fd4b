"""What every model of rates shares: what it may read, its labels, its contract."""
