"""Exports of finished results, and comparisons with other results."""
