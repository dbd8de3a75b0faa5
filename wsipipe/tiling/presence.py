"""Check that the inputs of a run exist, before anything else is loaded."""

import errno
import glob
import os
from collections.abc import Iterable
from pathlib import Path

from wsipipe.errors import ConfigError

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


def check_presence(inputs: Iterable[str]) -> None:
    """Check that every input that is not a glob exists.

    Raises:
        ConfigError: One does not; names the first.
    """
    for given in inputs:
        if not glob.has_magic(given) and not is_there(Path(given)):
            raise absent_error(Path(given))


def is_there(path: Path) -> bool:
    """Return whether a path exists.

    Unreadable files and broken links count.
    """
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno not in _ABSENT
    except ValueError:
        return False
    return True


def absent_error(path: Path) -> ConfigError:
    """Return the error of an input that does not exist."""
    return ConfigError(f"there is no file or folder {path}; check the path, or quote it if it is a glob")
