"""Network architectures, and the registry that builds them by name.

docs/extend/network.md tells how to add one.
"""
