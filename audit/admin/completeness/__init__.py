"""Pages of what never came."""
