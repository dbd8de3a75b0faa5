"""Collect the slides of a run.

Inputs are files, folders, globs and manifests.
"""

import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.tiling.presence import absent_error, is_there
from wsipipe.tiling.readers.files import is_zarr, parts_of
from wsipipe.tiling.readers.plugins import added_format
from wsipipe.tiling.search import SLIDE_SUFFIXES, is_result, search, search_glob
from wsipipe.tiling.slide_list import read_manifest

_LONGEST_NAME = 64
_DOUBLE_SUFFIXES = (".ome.zarr", ".ome.tiff", ".ome.tif")


@dataclass(frozen=True)
class SlideInput:
    """One slide of a run before it is opened.

    Attributes:
        slide_id: File name in safe characters, and 8 hex digits of the hash of its path.
        path: Path of the file or folder.
        mpp: Micrometres per px of level 0 from the option or the manifest.
        mask_path: Path of a tissue mask that replaces the computed one.
        sample_id: Name in the manifest, else the file name without its suffix.
        extra: Further columns of the manifest, by name.
        regions_path: GeoJSON of regions of interest.
    """

    slide_id: str
    path: Path
    mpp: float | None
    mask_path: Path | None
    sample_id: str
    extra: dict[str, str] = field(default_factory=dict, hash=False)
    regions_path: Path | None = None

    def absolute(self) -> "SlideInput":
        """Return the slide with absolute paths, for processes in another working directory."""
        mask, regions = (path and path.absolute() for path in (self.mask_path, self.regions_path))
        return replace(self, path=self.path.absolute(), mask_path=mask, regions_path=regions)


def collect(
    inputs: Sequence[str | Path], mpp: float | None = None, regions: Path | None = None
) -> list[SlideInput]:
    """Return the slides of the inputs.

    They are in the order of the inputs, within a folder by path. What cannot be read counts as a slide, so
    that the error is reported when it is opened and other slides are processed. Files that belong to
    another slide of the inputs are not slides of their own.

    Args:
        inputs: Slide files, DICOM folders and OME-Zarrs, folders of slides (searched to any depth),
            globs (``**`` stands for folders of any depth), or manifests (``.csv``).
        mpp: Micrometres per px of level 0 of all slides; takes precedence over a manifest.
        regions: Folder of regions of interest: ``NAME.geojson`` for the slide with that ``sample_id``, where
            the manifest names none.

    Raises:
        ConfigError: A path is absent, a folder or glob holds no slide, a slide is named twice, or
            a row of a manifest is malformed.
    """
    places = [Path(given) for given in inputs]
    slides: list[SlideInput] = []
    rows: set[Path] = set()
    for place in places:
        if _is_manifest(place):
            slides += _slides_of_manifest(place, mpp)
            rows.update(slide.path for slide in slides)
        else:
            slides += [_slide(path, mpp) for path in _paths_of(place, places)]
    if not slides:
        raise ConfigError("no slides were given; name slide files, folders, globs or a manifest CSV")
    owners = _owners([slide.path for slide in slides])
    for path in sorted(rows & owners.keys()):
        raise ConfigError(
            f"{path} in the manifest is part of the slide {owners[path]}; leave out one of them"
        )
    kept = [slide for slide in slides if slide.path not in owners]
    _check_given_once(kept)
    return _with_regions(kept, regions) if regions else kept


def slide_id_of(path: Path) -> str:
    """Return the id of the slide at a path.

    It consists of the name in safe characters and 8 hex digits of the SHA-256 of the absolute path. On
    Windows the path is in lower case.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", _name(path)).strip("-.")[:_LONGEST_NAME]
    place = os.path.normcase(os.path.abspath(path))
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()
    return f"{safe or 'slide'}-{digest[:8]}"


def _is_manifest(given: Path) -> bool:
    return given.suffix.lower() == ".csv" and os.path.isfile(given)


def _slides_of_manifest(path: Path, mpp: float | None) -> Iterator[SlideInput]:
    for row in read_manifest(path):
        own, slide_id = row.mpp if mpp is None else mpp, slide_id_of(row.path)
        yield SlideInput(slide_id, row.path, own, row.mask_path, row.sample_id, row.extra, row.regions_path)


def _slide(path: Path, mpp: float | None) -> SlideInput:
    return SlideInput(slide_id_of(path), path, mpp, None, printable(_name(path)))


def _paths_of(given: Path, places: Sequence[Path]) -> list[Path]:
    """Return the slides of one input; ``places`` are all inputs."""
    if os.path.isdir(given) and not (is_zarr(given) or added_format(given)):
        return _in_folder(given, places)
    if is_there(given):
        return [given]
    if glob.has_magic(str(given)):
        return _some(search_glob(str(given)), f"the glob {given}", "in matched folders only by **")
    raise absent_error(given)


def _in_folder(given: Path, places: Sequence[Path]) -> list[Path]:
    if is_result(given):
        if len(places) > 1:  # a shell glob names results beside slides
            return []
        raise ConfigError(f"the folder {given} is a result of wsipipe; name the slide that it was made from")
    mirax = given.with_name(f"{given.name}.mrxs")
    if os.path.isfile(mirax):
        if mirax in places:
            return []
        raise ConfigError(f"the folder {given} is part of the slide {mirax}; name that file instead")
    return _some(search(given), f"the folder {given}", "to any depth")


def _some(slides: list[Path], where: str, how: str) -> list[Path]:
    if not slides:
        suffixes = " ".join(sorted(SLIDE_SUFFIXES))
        raise ConfigError(
            f"{where} holds no slides; looked {how} for DICOM series, .zarr and {suffixes}; name the files"
        )
    return slides


def _owners(paths: Sequence[Path]) -> dict[Path, Path]:
    """Map each path that is part of another slide to that slide.

    Of files that name each other, the first is the slide.
    """
    place = {os.path.abspath(path): path for path in paths}
    parts = {path: {os.path.abspath(file) for file in parts_of(path)} for path in place.values()}
    owners: dict[Path, Path] = {}
    for owner in sorted(parts):
        for part in (place[name] for name in sorted(parts[owner] & place.keys())):
            mutual = os.path.abspath(owner) in parts[part]
            if part != owner and not (mutual and part < owner):
                owners.setdefault(part, owner)
    return owners


def _with_regions(slides: Sequence[SlideInput], folder: Path) -> list[SlideInput]:
    """Give slides without regions those of a folder that have their name."""
    found = [
        slide.regions_path or next(filter(is_there, _regions_in(folder, slide.sample_id)), None)
        for slide in slides
    ]
    if not any(found):
        raise ConfigError(
            f"the regions {folder} fit no slide; name the files as the slides: "
            f"{slides[0].sample_id}.geojson (or .geojson.gz)"
        )
    return [replace(slide, regions_path=path) for slide, path in zip(slides, found, strict=True)]


def _regions_in(folder: Path, name: str) -> list[Path]:
    return [folder / f"{name}{suffix}" for suffix in (".geojson", ".geojson.gz", ".json")]


def _check_given_once(slides: Sequence[SlideInput]) -> None:
    for slide_id, count in Counter(slide.slide_id for slide in slides).items():
        if count > 1:
            path = next(slide.path for slide in slides if slide.slide_id == slide_id)
            raise ConfigError(f"the slide {path} is given {count} times among the inputs; name it once")


def _name(path: Path) -> str:
    """Return the name of a slide without its suffix."""
    name = Path(os.path.abspath(path)).name
    for suffix in (*_DOUBLE_SUFFIXES, ".zarr", *SLIDE_SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def printable(text: str) -> str:
    r"""Replace bytes of a file name that are not UTF-8 by ``\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
