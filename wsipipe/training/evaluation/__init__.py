"""Scores of networks on held-out fields and tiles, with reports."""
