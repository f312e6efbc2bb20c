"""Pages of retention: what is kept for how long, what two people decide about it."""
