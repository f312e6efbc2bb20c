"""Pages of the sealed log and its verification."""
