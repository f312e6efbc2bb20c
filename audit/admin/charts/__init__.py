"""Figures in SVG, and shaded tables."""
