"""Nuclei from probabilities: seeds, growing, numbering, outlines and the rows of the table."""
