"""Nuclei from probabilities: seeds, growing, numbering, outlines and measurements."""
