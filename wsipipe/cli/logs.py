"""Log messages on the terminal."""

import logging
import sys
import traceback
import warnings
from typing import TextIO

from wsipipe.cli.shared import stderr

_PACKAGE = "wsipipe"


def start_logging() -> None:
    """Show warnings of wsipipe and of libraries on standard error, each as one line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    warnings.simplefilter("default", UserWarning)
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        # File names may contain bytes that are not text, and a terminal may lack characters.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")


def set_log_level(name: str) -> None:
    """Set the least level that is shown; libraries show nothing below ``warning``.

    Args:
        name: ``debug``, ``info``, ``warning`` or ``error``.
    """
    level = logging.getLevelNamesMapping()[name.upper()]
    logging.getLogger().setLevel(max(level, logging.WARNING))
    logging.getLogger(_PACKAGE).setLevel(level)


def print_traceback() -> bool:
    """Print the traceback of the current error if the level is ``debug``; return whether it was."""
    wanted = logging.getLogger(_PACKAGE).isEnabledFor(logging.DEBUG)
    if wanted:
        stderr.print(traceback.format_exc().rstrip(), soft_wrap=True)
    return wanted


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line, without its place in the code."""
    if logging.getLogger(_PACKAGE).isEnabledFor(logging.WARNING):
        stderr.print(f"WARNING {message}", soft_wrap=True)
