"""Drills and measurements on real servers and processes."""
