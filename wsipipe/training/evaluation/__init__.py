"""Scores of networks on held-out fields and tiles, with their reports."""
