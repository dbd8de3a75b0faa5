"""Certificates: measured errors of a network under orientation and tiling."""
