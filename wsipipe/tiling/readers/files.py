"""Which files a slide consists of, and a fingerprint of their contents."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from wsipipe.tiling.readers.ome_files import companions

_EDGE_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_SAMPLES = 16
_FILES_SAMPLED = 256
_ZARR_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


def is_zarr(path: Path) -> bool:
    """Whether a folder is the root of a Zarr hierarchy."""
    return any((path / name).is_file() for name in _ZARR_METADATA)


def dicom_files(folder: Path) -> list[Path]:
    """The .dcm files directly in a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".dcm" and p.is_file())


def slide_files(path: Path) -> list[Path]:
    """Every file of a slide, the named one first, the others by name.

    Companions: the folder beside a .mrxs, the files that a .vms or .vmu lists, the other .dcm
    files of the same series, the files of an OME-TIFF set, everything in a folder.
    """
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    others: list[Path] = []
    match path.suffix.lower():
        case ".mrxs" if path.with_suffix("").is_dir():
            others = [p for p in path.with_suffix("").rglob("*") if p.is_file()]
        case ".vms" | ".vmu":
            listed = path.read_text(encoding="latin-1").splitlines()
            others = [path.parent / line.partition("=")[2].strip() for line in listed if "=" in line]
        case ".dcm":
            others = _same_series(path)
        case _:
            others = companions(path)
    return [path, *sorted(p for p in set(others) if p.is_file() and p != path)]


def fingerprint(path: Path) -> str:
    """SHA-256 hex of the names, sizes and samples of the contents of a slide's files.

    Of each file the first and last MiB and 16 evenly spaced blocks of 64 KiB count; of a slide of
    more than 256 files, 256 evenly spaced ones are sampled, and of the others name and size count.
    Times and the folder the slide lies in do not.
    """
    files = slide_files(path)
    root = path if path.is_dir() else path.parent
    every = max(1, -(-len(files) // _FILES_SAMPLED))
    digest = hashlib.sha256()
    for index, file in enumerate(files):
        digest.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
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


def _same_series(path: Path) -> list[Path]:
    """The .dcm files of the folder whose head holds the series' unique id (tag 0020,000E)."""
    uid = _series_uid(path)
    return [] if uid is None else [p for p in dicom_files(path.parent) if _series_uid(p) == uid]


def _series_uid(path: Path) -> bytes | None:
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
    at = head.find(b"\x20\x00\x0e\x00UI")
    if at < 0:
        return None
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    return head[at + 8 : at + 8 + length]
