"""Networks that commute with the eight orientations, their weights, and how both are run."""
