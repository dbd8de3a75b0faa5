"""Weights and their cards: find, verify, fetch and describe them."""
