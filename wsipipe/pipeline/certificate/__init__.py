"""Certificates of slides: parts of a published result are computed again."""
