"""Layouts of data sets, and a collector of unusable files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wsipipe.errors import ConfigError, WsipipeError

SHOWN = 20


@dataclass
class Problems:
    """Files that cannot be used, collected to be reported together."""

    texts: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, path: Path) -> Iterator[None]:
        """Collect an error about a file and continue."""
        try:
            yield
        except (OSError, ValueError, KeyError, SyntaxError, WsipipeError) as error:
            text = str(error) or type(error).__name__
            self.texts.append(text if text.startswith(str(path)) else f"{path}: {text}")

    def check(self) -> None:
        """Raise an error if any file cannot be used.

        Raises:
            ConfigError: At least one file cannot be used; lists each with its problem.
        """
        if self.texts:
            more = len(self.texts) - SHOWN
            shown = [*self.texts[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
            raise ConfigError(
                f"{len(self.texts)} of the training files cannot be used. Correct or remove them:\n  "
                + "\n  ".join(shown)
            )


@dataclass(frozen=True)
class Layout[T]:
    """Folder structure of a data set.

    Attributes:
        name: Short name, for example ``monuseg``.
        looks: Files by which it is recognised, shown to a user whose folder fits no layout.
        fits: Function that returns whether a folder has this layout.
        read: Function that reads its samples and collects problems.
        deep: Whether it is recognised by files in subfolders, which a folder of several data sets may also
            have.
        general: Whether it fits many folders, so that it counts only where no other layout fits.
    """

    name: str
    looks: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, Problems], list[T]]
    deep: bool = False
    general: bool = False


def read_as[T](
    layouts: tuple[Layout[T], ...],
    folder: Path,
    inner: str,
    indexed: Callable[[Path, list[T]], list[T]] = lambda _, samples: samples,
) -> list[T]:
    """Read samples from all folders with a known layout.

    They are the folder, its subfolder ``inner``, or all its subfolders.

    Args:
        layouts: Known layouts.
        folder: Folder of the user.
        inner: Subfolder to read where it exists.
        indexed: Function that completes the samples of a folder by its ``index.csv``.

    Raises:
        ConfigError: No layout fits or more than one does, there are no samples, or files cannot be used.
    """
    if not folder.is_dir():
        raise ConfigError(f"The data folder {folder} does not exist. Give the folder of the images.")
    start = folder / inner if (folder / inner).is_dir() else folder
    problems, samples = Problems(), []
    for place, layout in _find_layouts(layouts, start):
        read = layout.read(place, problems)
        with problems.at(place / "index.csv"):
            read = indexed(place, read)
        samples += read
    problems.check()
    if not samples:
        raise ConfigError(_unknown(layouts, start))
    return samples


def _find_layouts[T](layouts: tuple[Layout[T], ...], start: Path) -> list[tuple[Path, Layout[T]]]:
    """Return the folders with a known layout.

    It is the folder itself, else its subfolders, else the folder by files deep in it.
    """
    inner = sorted(path for path in start.iterdir() if path.is_dir())
    rounds = [([start], False), (inner, True), ([start], True)]
    for places, deep in rounds:
        known = [layout for layout in layouts if deep or not layout.deep]
        found = [(place, layout) for place in places if (layout := _layout_of(known, place))]
        if found:
            return found
    return []


def _layout_of[T](layouts: list[Layout[T]], folder: Path) -> Layout[T] | None:
    """Return the only layout that fits a folder, or None.

    A general layout counts only where no other fits.

    Raises:
        ConfigError: Two layouts fit; lists both.
    """
    fitting = [layout for layout in layouts if layout.fits(folder)]
    special = [layout for layout in fitting if not layout.general] or fitting
    if len(special) > 1:
        names = " and ".join(f"{layout.name} ({layout.looks})" for layout in special)
        raise ConfigError(
            f"The data folder {folder} fits more than one layout: {names}. Keep the files of one layout in "
            "it and move the others elsewhere."
        )
    return special[0] if special else None


def _unknown[T](layouts: tuple[Layout[T], ...], folder: Path) -> str:
    """Return the error message for a folder without a known layout."""
    seen = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    known = "\n".join(f"  {layout.name}: {layout.looks}" for layout in layouts)
    return (
        f"{folder} has no known layout. It contains {', '.join(seen[:12]) or 'nothing'}"
        f"{' ...' if len(seen) > 12 else ''}. Known layouts, in the folder itself or in its subfolders:\n"
        f"{known}"
    )
