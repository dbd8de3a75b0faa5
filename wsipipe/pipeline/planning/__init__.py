"""What will be computed, and whether memory, disk and the slide itself allow it."""
