"""What a person has to know wherever results are shown."""

from importlib.metadata import version

RESEARCH_USE_NOTICE = "Research use only. Not a medical device."


__version__ = version("wsipipe")
