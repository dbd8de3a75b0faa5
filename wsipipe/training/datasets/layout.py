"""What a reader of one layout is, and the list of bad files that all readers add to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wsipipe.errors import ConfigError, WsipipeError

SHOWN = 20


@dataclass
class Problems:
    """Files that cannot be learnt from, gathered so that all are told at once."""

    texts: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, path: Path) -> Iterator[None]:
        """Adds whatever goes wrong with ``path`` to the list, and goes on."""
        try:
            yield
        except (OSError, ValueError, KeyError, SyntaxError, WsipipeError) as error:
            text = str(error) or type(error).__name__
            self.texts.append(text if text.startswith(str(path)) else f"{path}: {text}")

    def check(self) -> None:
        """Raise if there is any.

        Raises:
            ConfigError: Names each file and what is wrong with it.
        """
        if self.texts:
            more = len(self.texts) - SHOWN
            shown = [*self.texts[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
            raise ConfigError(
                f"{len(self.texts)} of the training files cannot be used; mend or remove them:\n  "
                + "\n  ".join(shown)
            )


@dataclass(frozen=True)
class Layout[T]:
    """How one data set lies in its folder.

    Attributes:
        name: Short name, as ``monuseg``.
        looks: Files by which it is known, told to a user whose folder fits none.
        fits: Whether a folder has this layout.
        read: Its samples; adds files that cannot be used to the problems.
        deep: Known by files in subfolders, so that a folder of several data sets may look like it.
        general: Fits many folders, so it counts only where no other layout fits.
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
    """Samples of a folder, of its subfolder ``inner``, or of all subfolders whose layout is known.

    Args:
        layouts: Known layouts.
        folder: Folder of the user.
        inner: Subfolder to read where there is one of this name.
        indexed: Completes the samples of a folder by its ``index.csv``.

    Raises:
        ConfigError: No layout fits or more than one does, nothing was found, or files cannot be used.
    """
    if not folder.is_dir():
        raise ConfigError(f"The data folder {folder} does not exist. Give the folder that holds the images.")
    start = folder / inner if (folder / inner).is_dir() else folder
    problems, samples = Problems(), []
    for place, layout in _placed(layouts, start):
        read = layout.read(place, problems)
        with problems.at(place / "index.csv"):
            read = indexed(place, read)
        samples += read
    problems.check()
    if not samples:
        raise ConfigError(_unknown(layouts, start))
    return samples


def _placed[T](layouts: tuple[Layout[T], ...], start: Path) -> list[tuple[Path, Layout[T]]]:
    """The folder and its layout; else those of its subfolders; else the folder by what lies deep in it."""
    inner = sorted(path for path in start.iterdir() if path.is_dir())
    rounds = [([start], False), (inner, True), ([start], True)]
    for places, deep in rounds:
        known = [layout for layout in layouts if deep or not layout.deep]
        found = [(place, layout) for place in places if (layout := _layout_of(known, place))]
        if found:
            return found
    return []


def _layout_of[T](layouts: list[Layout[T]], folder: Path) -> Layout[T] | None:
    """The one layout that fits a folder; a general one only where no other does.

    Raises:
        ConfigError: Two layouts fit; names both.
    """
    fitting = [layout for layout in layouts if layout.fits(folder)]
    special = [layout for layout in fitting if not layout.general] or fitting
    if len(special) > 1:
        names = " and ".join(f"{layout.name} ({layout.looks})" for layout in special)
        raise ConfigError(
            f"The data folder {folder} fits more than one layout: {names}. Keep the files of one layout in "
            "it and move the others to another folder."
        )
    return special[0] if special else None


def _unknown[T](layouts: tuple[Layout[T], ...], folder: Path) -> str:
    seen = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    known = "\n".join(f"  {layout.name}: {layout.looks}" for layout in layouts)
    return (
        f"{folder} has no layout that can be learnt from. It holds {', '.join(seen[:12]) or 'nothing'}"
        f"{' ...' if len(seen) > 12 else ''}. Known layouts, in the folder itself or in its subfolders:\n"
        f"{known}"
    )
