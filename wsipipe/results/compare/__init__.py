"""Comparison of a finished result with other nuclei of the same slide.

``nuclei_map`` opens either side, ``tally`` counts overlaps tile by tile, ``scores`` makes the figures and
``picture`` the drawing.
"""
