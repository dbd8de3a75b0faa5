"""Batches of crops and mosaics, drawn at random and augmented."""
