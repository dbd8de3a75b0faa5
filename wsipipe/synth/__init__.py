"""Synthetic H&E-like slides of any size with exact truth."""

from wsipipe.synth.slide import SyntheticSlide
from wsipipe.synth.writer import Truth, make_slide

__all__ = ["SyntheticSlide", "Truth", "make_slide"]
