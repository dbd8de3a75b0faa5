"""Find the files of a slide and fingerprint their contents."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from wsipipe.tiling.readers.base import open_error
from wsipipe.tiling.readers.dicom import dicom_files, header_of, may_be_dicom, series_files
from wsipipe.tiling.readers.ome_files import companions

__all__ = ["dicom_files", "fingerprint", "is_zarr", "parts_of", "slide_files"]

_EDGE_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_SAMPLES = 16
_FILES_SAMPLED = 256
_ZARR_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_LIST_BYTES = 1 << 20
"""Bytes read of a .vms or .vmu, which is a short list of files."""


def is_zarr(path: Path) -> bool:
    """Return whether a folder is the root of a Zarr hierarchy.

    A folder that cannot be read is not.
    """
    return any(os.path.isfile(path / name) for name in _ZARR_METADATA)


def slide_files(path: Path) -> list[Path]:
    """Return all files of a slide.

    The given one is first, the others are sorted by name. Companions: the folder beside a .mrxs, the files
    that a .vms or .vmu lists, the other DICOM files of the same series, the files of an OME-TIFF set,
    everything in a folder.

    Raises:
        OSError: A list of files cannot be read.
    """
    if os.path.isdir(path):
        series = [] if is_zarr(path) else series_files(path)
        return series or sorted(p for p in path.rglob("*") if p.is_file())
    others: list[Path] = []
    match path.suffix.lower():
        case ".mrxs" if path.with_suffix("").is_dir():
            others = [p for p in path.with_suffix("").rglob("*") if p.is_file()]
        case ".vms" | ".vmu":
            others = _listed(path)
        case _ if may_be_dicom(path.name):
            others = series_files(path)
        case _:
            others = companions(path)
    return [path, *sorted(p for p in set(others) if os.path.isfile(p) and p != path)]


def parts_of(path: Path) -> list[Path]:
    """Return the companion files of a slide.

    They belong to the slide and are no slides themselves. Empty if this cannot be determined.
    """
    try:
        if os.path.isdir(path):
            return [] if is_zarr(path) else series_files(path)
        head = header_of(path) if may_be_dicom(path.name) else None
        if head is not None and head.is_whole_slide and not head.is_level:
            return []  # a label or thumbnail belongs to the levels, not the reverse
        return slide_files(path)[1:]
    except OSError:
        return []


def fingerprint(path: Path) -> str:
    """Return a fingerprint of the files of a slide.

    It is a SHA-256 of names, sizes and samples of contents. Samples of a file are its first and last MiB
    and 16 evenly spaced blocks of 64 KiB. Of more than 256 files, 256 evenly spaced ones are sampled; of
    the others, name and size count. Times and the parent folder do not count.

    Raises:
        SlideError: A file of the slide cannot be read.
    """
    try:
        return _fingerprint(path)
    except OSError as error:
        cause = f"{error.filename or path}: {error.strerror or error}"
        raise open_error(path, cause, "check the permissions of all its files, and their disk") from error


def _fingerprint(path: Path) -> str:
    files = slide_files(path)
    root = path if os.path.isdir(path) else path.parent
    every = max(1, -(-len(files) // _FILES_SAMPLED))
    digest = hashlib.sha256()
    for index, file in enumerate(files):
        name = os.fsencode(file.relative_to(root))
        digest.update(b"%s\0%d\0" % (name, file.stat().st_size))
        if index % every == 0 or file.name in _ZARR_METADATA:
            for sample in _samples(file):
                digest.update(sample)
    return digest.hexdigest()


def _samples(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    spots = [(0, _EDGE_BYTES), (max(0, size - _EDGE_BYTES), _EDGE_BYTES)]
    spots += [(size * i // _SAMPLES, _SAMPLE_BYTES) for i in range(_SAMPLES)]
    with file.open("rb") as opened:
        for start, length in spots if size > _EDGE_BYTES else [(0, _EDGE_BYTES)]:
            opened.seek(start)
            yield opened.read(length)


def _listed(path: Path) -> list[Path]:
    """Return the files that a .vms or .vmu lists.

    There is one after each equals sign. Only files in or below its folder count.
    """
    with path.open(encoding="latin-1") as file:
        lines = file.read(_LIST_BYTES).splitlines()
    names = (line.partition("=")[2].strip() for line in lines)
    return [path.parent / name for name in names if name and not {"..", "/"} & set(Path(name).parts)]
