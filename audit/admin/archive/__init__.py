"""Pages of what lies outside the store."""
