"""Files, folders, globs and manifests -> the slides of a run, each with an id of its own."""

import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.tiling.manifest import read_manifest
from wsipipe.tiling.readers.files import dicom_files, is_zarr, slide_files

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
SCANNER_SUFFIXES = (".bif", ".czi", ".dcm", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".vms", ".vmu")
TIFF_SUFFIXES = (".btf", ".tif", ".tiff")
SLIDE_SUFFIXES = frozenset(IMAGE_SUFFIXES + SCANNER_SUFFIXES + TIFF_SUFFIXES)

_LONGEST_NAME = 64
_DOUBLE_SUFFIXES = (".ome.zarr", ".ome.tiff", ".ome.tif")


@dataclass(frozen=True)
class SlideInput:
    """One slide of a run, not yet opened.

    Attributes:
        slide_id: The file's name in safe letters, and 8 hex digits of its path's hash.
        path: The file or folder.
        mpp: Um per px of level 0 as given by the option or the manifest.
        mask_path: A tissue mask to use in place of the computed one.
        sample_id: What the manifest calls it, else the file's name without its suffix.
        extra: Further columns of the manifest, by name.
    """

    slide_id: str
    path: Path
    mpp: float | None
    mask_path: Path | None
    sample_id: str
    extra: dict[str, str] = field(default_factory=dict)


def collect(inputs: Sequence[str | Path], mpp: float | None = None) -> list[SlideInput]:
    """The slides that the inputs name, in their order; within a folder by name.

    Args:
        inputs: Slide files, DICOM folders and OME-Zarrs, folders of slides (searched one level
            deep), globs (``**`` goes deeper), or manifests (``.csv``).
        mpp: Um per px of level 0 of every slide; overrules a manifest.

    Raises:
        ConfigError: A path is absent, a folder or glob holds no slide, a slide is named twice, or
            a manifest is malformed (names its row).
    """
    slides = [slide for given in inputs for slide in _slides_of(Path(given), mpp)]
    if not slides:
        raise ConfigError("no slides were given; name slide files, folders, globs or a manifest CSV")
    for slide_id, count in Counter(slide.slide_id for slide in slides).items():
        if count > 1:
            path = next(slide.path for slide in slides if slide.slide_id == slide_id)
            raise ConfigError(f"the slide {path} is given {count} times among the inputs; name it once")
    return slides


def slide_id_of(path: Path) -> str:
    """The id of the slide at a path: its name made safe, and 8 hex digits of the absolute path's SHA-256."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", _name(path)).strip("-.")[:_LONGEST_NAME]
    digest = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()
    return f"{safe or 'slide'}-{digest[:8]}"


def _slides_of(given: Path, mpp: float | None) -> Iterator[SlideInput]:
    if given.suffix.lower() == ".csv" and given.is_file():
        for row in read_manifest(given):
            own = row.mpp if mpp is None else mpp
            yield SlideInput(slide_id_of(row.path), row.path, own, row.mask_path, row.sample_id)
        return
    for path in _paths_of(given):
        yield SlideInput(slide_id_of(path), path, mpp, None, _name(path))


def _paths_of(given: Path) -> list[Path]:
    if given.is_dir() and not _is_slide_folder(given):
        return _known(given.iterdir(), f"the folder {given}")
    if given.exists():
        return [given]
    if glob.has_magic(str(given)):
        return _known(map(Path, glob.iglob(str(given), recursive=True)), f"the glob {given}")
    raise ConfigError(f"there is no file or folder {given}; check the path, or quote it if it is a glob")


def _known(paths: Iterable[Path], where: str) -> list[Path]:
    """The slides among the paths by name, without the files that belong to another of them."""
    slides = sorted(path for path in paths if _is_slide(path))
    companions = {file for slide in slides if slide.is_file() for file in _later_companions(slide)}
    kept = [slide for slide in slides if slide not in companions]
    if not kept:
        suffixes = " ".join(sorted(SLIDE_SUFFIXES))
        raise ConfigError(
            f"{where} holds no slides; looked one level deep for DICOM folders, .zarr and {suffixes}; "
            "use a glob with ** to look deeper, or name the files"
        )
    return kept


def _later_companions(slide: Path) -> list[Path]:
    """The other files of a slide; of a DICOM series or OME-TIFF set, whose files are alike, later ones."""
    others = slide_files(slide)[1:]
    if slide.suffix.lower() == ".dcm":
        return [file for file in others if file > slide]
    alike = {file for file in others if file.suffix == slide.suffix and slide in slide_files(file)}
    return [file for file in others if file > slide or file not in alike]


def _is_slide(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return _is_slide_folder(path) if path.is_dir() else path.suffix.lower() in SLIDE_SUFFIXES


def _is_slide_folder(path: Path) -> bool:
    """Whether a folder is one slide: an OME-Zarr, or DICOM files and no slide of another kind."""
    if is_zarr(path):
        return True
    suffixes = {file.suffix.lower() for file in path.iterdir() if not file.name.startswith(".")}
    return suffixes & SLIDE_SUFFIXES == {".dcm"} and bool(dicom_files(path))


def _name(path: Path) -> str:
    """A file's name without its suffix, a folder's with all but ``.zarr``."""
    name = Path(os.path.abspath(path)).name
    for suffix in (*_DOUBLE_SUFFIXES, ".zarr", *SLIDE_SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
