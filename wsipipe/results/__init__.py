"""Exports of finished results, and comparisons with references."""
