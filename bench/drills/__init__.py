"""Everything breaks, and every promise is checked."""
