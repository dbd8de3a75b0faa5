"""Plans of slides, and checks before a run."""
