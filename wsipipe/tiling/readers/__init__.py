"""Slide readers, one file per reader.

All implement :class:`base.Reader`.
"""
