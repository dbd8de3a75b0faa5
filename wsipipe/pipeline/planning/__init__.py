"""Plans of slides, and checks of memory, disk space and checksums."""
