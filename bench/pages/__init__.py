"""How fast the pages are."""
