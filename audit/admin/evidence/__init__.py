"""Pages of what leaves the store."""
