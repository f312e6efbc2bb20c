"""How fast bundles are made."""
