"""Journal of edits, and the labels that follow."""
