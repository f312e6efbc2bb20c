"""Pages of people, writers and who viewed what."""
