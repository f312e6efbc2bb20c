"""Pages of rules about events that must come."""
