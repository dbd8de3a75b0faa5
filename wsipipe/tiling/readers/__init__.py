"""Slide readers, one file per reader.

All implement :class:`base.Reader`, and ``dispatch`` chooses among them. docs/extend/slide_reader.md tells how
to add one.
"""
