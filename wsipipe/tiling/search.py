"""Find slides in folders and by globs."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from wsipipe.tiling.readers.dicom import grouped, may_be_dicom
from wsipipe.tiling.readers.files import is_zarr
from wsipipe.tiling.readers.plugins import added_format

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
SCANNER_SUFFIXES = (".bif", ".czi", ".dcm", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".vms", ".vmu")
TIFF_SUFFIXES = (".btf", ".tif", ".tiff")
SLIDE_SUFFIXES = frozenset(IMAGE_SUFFIXES + SCANNER_SUFFIXES + TIFF_SUFFIXES)

RESULT_MANIFEST = "slide.zarr/manifest.json"
"""File in all result folders of wsipipe."""
_TRUTH = ".truth.zarr"
_SERVER_FOLDERS = {"#recycle", "$recycle.bin", "@eadir", "__macosx", "system volume information"}
"""Folders of file servers for deleted files and thumbnails."""
_ASSOCIATED_IMAGE = re.compile(r"(.*[-_. ])?(label|macro|overview|thumb|thumbnail)", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A slide in a folder.

    Attributes:
        path: Path of the slide.
        names: Names of files or folders that a glob may match.
    """

    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class FolderContents:
    """Slides and folders in one folder.

    Attributes:
        slides: Slides by name; the folder itself if it is one DICOM slide.
        folders: Folders to search, links last; without the folders of slides and results.
    """

    slides: tuple[Found, ...]
    folders: tuple[Path, ...]


def contents_of(folder: Path) -> FolderContents:
    """List the slides and folders in one folder.

    Raises:
        OSError: The folder cannot be listed.
    """
    with os.scandir(folder) as listed:
        entries = sorted((each for each in listed if not _is_hidden(each.name)), key=lambda each: each.name)
    inside = {entry.name for entry in entries if _is_folder(entry)}
    zarrs = {name for name in inside if name.lower().endswith(".zarr") or is_zarr(folder / name)}
    mirax = {os.path.splitext(entry.name)[0] for entry in entries if entry.name.lower().endswith(".mrxs")}
    added = {entry.name for entry in entries if added_format(folder / entry.name)}
    closed = zarrs | mirax | added | {name for name in inside if is_result(folder / name)}
    folders = [entry for entry in entries if entry.name in inside - closed]
    files = [folder / entry.name for entry in entries if entry.name not in inside | added]
    slides = [folder / name for name in zarrs | added if not name.lower().endswith(_TRUTH)]
    slides += [path for path in files if _is_named_slide(path)]
    found = [Found(path, (path.name,)) for path in slides]
    found += _dicom(folder, files, alone=not any(_is_named_slide(path) for path in files))
    folders.sort(key=lambda entry: (entry.is_symlink(), entry.name))
    in_order = sorted(found, key=lambda each: each.path)
    return FolderContents(tuple(in_order), tuple(folder / entry.name for entry in folders))


def search(folder: Path) -> list[Path]:
    """Return the slides below a folder, by path.

    A folder that cannot be listed counts as a slide, so that the error is reported when it is opened.
    """
    return _each_once(_SlideSearch().matches(folder, ("**",)))


def search_glob(pattern: str) -> list[Path]:
    """Return the slides that a glob matches, by path.

    ``**`` matches folders of any depth. Folders that are no slides are searched only by ``**``.
    """
    parts = Path(pattern).parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:first])
    return _each_once(_SlideSearch().matches(root, parts[first:])) if os.path.isdir(root) else []


def is_result(folder: Path) -> bool:
    """Return whether a folder is a published result of wsipipe."""
    return os.path.isfile(folder / RESULT_MANIFEST)


class _SlideSearch:
    """A search that visits each folder once.

    Links may form cycles.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()
        self._known: dict[Path, FolderContents] = {}

    def matches(self, folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        """Yield the slides that match a pattern.

        Some may be repeated.
        """
        first, rest = parts[0], parts[1:]
        try:
            contents = self._contents(folder)
        except OSError:
            yield folder
            return
        if first == "**":
            yield from self._at_any_depth(folder, contents, parts)
        elif rest:
            for inner in contents.folders:
                if fnmatchcase(inner.name, first):
                    yield from self.matches(inner, rest)
        else:
            yield from (slide.path for slide in contents.slides if _matches_any(slide.names, first))
            for inner in contents.folders:
                if fnmatchcase(inner.name, first):
                    yield from self._as_slide(inner)

    def _at_any_depth(self, folder: Path, contents: FolderContents, parts: tuple[str, ...]) -> Iterator[Path]:
        place = os.path.realpath(folder), len(parts)
        if place in self._seen:
            return
        self._seen.add(place)
        yield from self.matches(folder, parts[1:] or ("*",))
        for inner in contents.folders:
            yield from self.matches(inner, parts)

    def _as_slide(self, folder: Path) -> Iterator[Path]:
        """Yield the folder if it is a slide.

        It is if it is one DICOM slide, or cannot be listed.
        """
        try:
            slides = self._contents(folder).slides
        except OSError:
            yield folder
            return
        yield from (slide.path for slide in slides if slide.path == folder)

    def _contents(self, folder: Path) -> FolderContents:
        if folder not in self._known:
            self._known[folder] = contents_of(folder)
        return self._known[folder]


def _dicom(folder: Path, files: list[Path], alone: bool) -> Iterator[Found]:
    """Yield each DICOM series by its first file.

    A series that is the only slide in its folder is found by the folder.
    """
    found = grouped(path for path in files if may_be_dicom(path.name))
    groups = [*found.slides, *([found.others] if found.others else [])]
    if alone and len(groups) == 1:
        yield Found(folder, tuple(path.name for path in groups[0]))
        return
    for series in found.slides:
        yield Found(series[0], tuple(path.name for path in series))
    for path in found.others:
        yield Found(path, (path.name,))


def _is_named_slide(path: Path) -> bool:
    """Return whether a file is a slide by its name.

    DICOM files are recognised by content; label, macro and thumbnail images are no slides.
    """
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES and _ASSOCIATED_IMAGE.fullmatch(path.stem):
        return False
    return suffix in SLIDE_SUFFIXES - {".dcm"}


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SERVER_FOLDERS


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a broken link
        return False


def _matches_any(names: Iterable[str], pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _each_once(paths: Iterable[Path]) -> list[Path]:
    """Sort paths without duplicates.

    Of several paths to one file, the first that is no link is kept.
    """
    chosen: dict[str, Path] = {}
    for path in sorted(set(paths)):
        earlier = chosen.setdefault(os.path.realpath(path), path)
        if earlier.is_symlink() and not path.is_symlink():
            chosen[os.path.realpath(path)] = path
    return sorted(chosen.values())
