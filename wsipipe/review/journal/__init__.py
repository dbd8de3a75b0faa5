"""Journal of a reviewer's edits, and the labels that follow from it."""
