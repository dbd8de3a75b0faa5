"""Version, and the notice that is shown with every result."""

from importlib.metadata import version

RESEARCH_USE_NOTICE = "Research use only. Not a medical device."
__version__ = version("wsipipe")
