"""Figures, palettes, pieces of HTML: the only place that imports matplotlib."""
