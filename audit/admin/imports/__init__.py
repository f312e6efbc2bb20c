"""Pages about imports: the mappings, and what one does with a sample."""
