"""Slide readers that other packages add through entry points."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.tiling.readers.base import Reader

GROUP = "wsipipe.readers"
"""Group of the entry points; each names a :class:`SlideFormat`."""


@dataclass(frozen=True)
class SlideFormat:
    """A slide format and its reader.

    Attributes:
        name: Short name of the format.
        fits: Whether a file or folder has this format, decided by content.
        open: Reader of a path that fits.
    """

    name: str
    fits: Callable[[Path], bool]
    open: Callable[[Path], Reader]


@cache
def added_formats() -> tuple[SlideFormat, ...]:
    """Return the formats that installed packages add, by name.

    Raises:
        ConfigError: A package names a format that does not import.
    """
    return tuple(_loaded(each) for each in sorted(entry_points(group=GROUP), key=lambda each: each.name))


def added_format(path: Path) -> SlideFormat | None:
    """Return the added format that fits a path, if any."""
    return next((each for each in added_formats() if _fits(each, path)), None)


def _fits(added: SlideFormat, path: Path) -> bool:
    try:
        return added.fits(path)
    except OSError:  # what cannot be read is left to the built-in readers, which report the cause
        return False


def _loaded(entry: EntryPoint) -> SlideFormat:
    try:
        added = entry.load()
    except (ImportError, AttributeError) as error:
        raise _unusable(entry, error) from error
    if not isinstance(added, SlideFormat):
        raise _unusable(entry, "it is no SlideFormat")
    return added


def _unusable(entry: EntryPoint, cause: object) -> ConfigError:
    reader = f"the slide reader {entry.name} ({entry.value})"
    return ConfigError(f"cannot load {reader}: {cause}. Repair or uninstall its package.")
