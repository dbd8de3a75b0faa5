"""Version, and the notice that is shown with every result."""

RESEARCH_USE_NOTICE = "Research use only. Not a medical device."
__version__ = "0.2.0.dev1"
"""Version of the distribution too: pyproject.toml reads it here.

It is written here since ``importlib.metadata`` could find another project of the same name.
"""
