"""Group the DICOM files of a folder into series.

Each whole-slide series is one slide.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

WHOLE_SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage."""

_PREAMBLE_BYTES = 128
_IMPLICIT = "1.2.840.10008.1.2"
_LONG_VALUES = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SYNTAX, _CLASS, _IMAGE_TYPE, _SERIES = 0x00020010, 0x00020002, 0x00080008, 0x0020000E
_LONGEST_VALUE = 1024
_MOST_ELEMENTS = 100_000
_ASSOCIATED_IMAGES = {"LABEL", "LOCALIZER", "OVERVIEW", "THUMBNAIL"}


@dataclass(frozen=True)
class DicomHeader:
    """Values of the header of a DICOM file.

    Attributes:
        sop_class: Unique id of the kind of object; empty if not stated.
        series: Unique id of the series; empty if not stated.
        flavour: Third value of the image type, for example VOLUME or LABEL; empty if not stated.
    """

    sop_class: str = ""
    series: str = ""
    flavour: str = ""

    @property
    def is_whole_slide(self) -> bool:
        """Whether the file is part of a whole-slide series."""
        return self.sop_class == WHOLE_SLIDE_CLASS and bool(self.series)

    @property
    def is_level(self) -> bool:
        """Whether the file is a level of the slide.

        Labels, overviews and thumbnails are not.
        """
        return self.is_whole_slide and self.flavour not in _ASSOCIATED_IMAGES


@dataclass(frozen=True)
class DicomFolder:
    """DICOM files of one folder by series.

    Attributes:
        slides: Files of each whole-slide series by name; labels and thumbnails last.
        others: Files named ``.dcm`` that are unreadable or not part of a whole-slide series.
    """

    slides: tuple[tuple[Path, ...], ...]
    others: tuple[Path, ...]


def may_be_dicom(name: str) -> bool:
    """Return whether a file of this name may be DICOM.

    Such a name has the suffix ``.dcm``, no suffix, or is a unique id, which ends in digits.
    """
    suffix = os.path.splitext(name)[1].lower()
    return suffix in {"", ".dcm", ".dicom"} or suffix[1:].isdecimal()


def dicom_files(folder: Path) -> list[Path]:
    """Return the DICOM files directly in a folder, sorted by name.

    They are recognised by name or content.

    Raises:
        OSError: The folder cannot be listed.
    """
    files = (path for path in sorted(folder.iterdir()) if may_be_dicom(path.name) and os.path.isfile(path))
    return [path for path in files if _is_named_dicom(path) or header_of(path) is not None]


def grouped(files: Iterable[Path]) -> DicomFolder:
    """Group DICOM files of one folder into series.

    Series that hold only labels, overviews and thumbnails are left out, and files without the suffix
    ``.dcm`` that belong to no slide.
    """
    series: dict[str, list[tuple[Path, DicomHeader]]] = {}
    others = []
    for path in sorted(files):
        head = header_of(path)
        if head is not None and head.is_whole_slide:
            series.setdefault(head.series, []).append((path, head))
        elif _is_named_dicom(path):
            others.append(path)
    slides = [sorted(members, key=lambda member: not member[1].is_level) for members in series.values()]
    kept = [members for members in slides if members[0][1].is_level]
    return DicomFolder(tuple(tuple(path for path, _ in members) for members in kept), tuple(others))


def series_files(path: Path) -> list[Path]:
    """Return the files of a DICOM slide.

    Args:
        path: File of the series, or folder of one series; any other folder gives all its DICOM files.
    """
    if os.path.isdir(path):
        found = dicom_files(path)
        slides = grouped(found).slides
        return sorted(slides[0]) if len(slides) == 1 else found
    head = header_of(path)
    if head is None or not head.series:
        return [path]
    return [file for file in dicom_files(path.parent) if header_of(file, series_of=head.series)]


def header_of(path: Path, series_of: str | None = None) -> DicomHeader | None:
    """Read the header of a DICOM file.

    None if the file is unreadable or no DICOM file.

    Args:
        path: Path of the file.
        series_of: Id of a series; files of other series give None.
    """
    try:
        found = os.stat(path)
        head = _read_header(path, found.st_mtime_ns, found.st_size) if os.path.isfile(path) else None
    except OSError:
        return None
    return head if head is None or series_of in (None, head.series) else None


def _is_named_dicom(path: Path) -> bool:
    return path.suffix.lower() == ".dcm"


@lru_cache(maxsize=4096)
def _read_header(path: Path, mtime_ns: int, size_bytes: int) -> DicomHeader | None:
    """Parse a header; cached until the file changes."""
    with path.open("rb") as file:
        if file.read(_PREAMBLE_BYTES + 4)[_PREAMBLE_BYTES:] != b"DICM":
            return None
        values = dict(_values(file))
    parts = values.get(_IMAGE_TYPE, "").split("\\")
    flavour = parts[2].strip().upper() if len(parts) > 2 else ""
    return DicomHeader(values.get(_CLASS, ""), values.get(_SERIES, ""), flavour)


def _values(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield tag and text of the needed elements outside sequences.

    Ends where the file is invalid.

    Source: DICOM PS3.5, 7.1 (data elements) and 7.5 (sequences of undefined length), PS3.10, 7.1.
    """
    depth, implicit = 0, False
    for _ in range(_MOST_ELEMENTS):
        tag, length = _element(file, implicit)
        if tag is None or (depth == 0 and tag > _SERIES):
            return
        if tag in (_ITEM_END, _SEQUENCE_END):
            depth -= tag == _SEQUENCE_END
        elif length == _UNDEFINED:
            depth += tag != _ITEM
        elif depth == 0 and tag in (_SYNTAX, _CLASS, _IMAGE_TYPE, _SERIES) and length <= _LONGEST_VALUE:
            text = file.read(length).decode("ascii", "replace").strip("\0 ")
            implicit = implicit or (tag == _SYNTAX and text == _IMPLICIT)
            yield tag, text
        else:
            file.seek(length, os.SEEK_CUR)


def _element(file: BinaryIO, implicit: bool) -> tuple[int | None, int]:
    """Read tag and length of the next element.

    The length is in bytes; the tag is None at the end of the file.
    """
    start = file.read(8)
    if len(start) < 8:
        return None, 0
    group, element = struct.unpack("<HH", start[:4])
    tag = group << 16 | element
    if group == 0xFFFE or (implicit and group != 2):
        return tag, int.from_bytes(start[4:], "little")
    if start[4:6] in _LONG_VALUES:
        return tag, int.from_bytes(file.read(4), "little")
    return tag, int.from_bytes(start[6:], "little")
