"""Checksums of slides, in the format of ``sha256sum``.

They are the only protection against silent bit flips: OpenSlide decodes most flipped bits to other pixels
without an error (docs/robustness.md, Slides that are damaged in silence).
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wsipipe.common.atomic_files import sha256_of, write_durable
from wsipipe.errors import ConfigError, SlideChangedError, SlideError
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.readers.files import slide_files

_LINE = re.compile(r"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_ESCAPED = {escape: character for character, escape in _ESCAPES.items()}
Sums = dict[Path, str]


def write_sums(
    path: Path, slides: Sequence[SlideInput], on_unreadable: Callable[[str], None] | None = None
) -> int:
    """Write the checksums of all files of slides.

    Names are relative to the folder of ``path``.

    Args:
        path: File to write.
        slides: Slides whose files are hashed.
        on_unreadable: Function called with the error of each slide that cannot be read; it is left out.

    Returns:
        Number of files.

    Raises:
        SlideError: A slide cannot be read, and there is no ``on_unreadable``.
    """
    folder = Path(os.path.abspath(path)).parent
    sums: dict[Path, str] = {}
    for slide in slides:
        try:
            sums |= _sums_of(slide.path, sums)
        except SlideError as error:
            if on_unreadable is None:
                raise
            on_unreadable(str(error))
    lines = [_line(os.path.relpath(file, folder), digest) for file, digest in sorted(sums.items())]
    write_durable(path, os.fsencode("".join(lines)))
    return len(lines)


def _sums_of(slide: Path, known: Sums) -> Sums:
    """Return the hex SHA-256 of each file of a slide, by absolute path."""
    files = [Path(os.path.abspath(file)) for file in _files_of(slide)]
    return {file: known.get(file) or _readable_sha256(slide, file) for file in files}


def _files_of(slide: Path) -> list[Path]:
    try:
        if os.path.isdir(slide):
            os.listdir(slide)
        return slide_files(slide)
    except OSError as error:
        raise _unreadable(slide, slide, error) from error


def _readable_sha256(slide: Path, file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError as error:
        raise _unreadable(slide, file, error) from error


def _unreadable(slide: Path, file: Path, error: OSError) -> SlideError:
    return SlideError(
        f"Reading the slide {slide} failed: {error.filename or file}: {error.strerror or error}. Check its "
        f"permissions and its disk, or leave it out."
    )


def _line(name: str, digest: str) -> str:
    """Return a line of ``sha256sum``, with a backslash before it where the name has escapes."""
    escaped = "".join(_ESCAPES.get(character, character) for character in name)
    return f"{'\\' if escaped != name else ''}{digest}  {escaped}\n"


def _name_of(escaped: str) -> str:
    return re.sub(r"\\[\\nr]", lambda found: _ESCAPED[found[0]], escaped)


def read_sums(path: Path) -> Sums:
    """Read a file of checksums.

    Returns:
        Hex SHA-256 by absolute path.

    Raises:
        ConfigError: The file is missing, or a line has another format; names it.
    """
    try:
        # Names may contain any bytes; only this character ends a line.
        lines = [line.removesuffix("\r") for line in os.fsdecode(path.read_bytes()).split("\n")]
    except OSError as error:
        raise ConfigError(
            f"--checksums {path} cannot be read: {error}. Write it with wsipipe index."
        ) from error
    return dict(_entries(path, lines))


def _entries(path: Path, lines: list[str]) -> Iterator[tuple[Path, str]]:
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if line and not found:
            raise ConfigError(
                f"--checksums {path}, line {number}: {line[:80]!r} is not 64 hex digits, two spaces and a "
                f"name. Write the file again with wsipipe index."
            )
        if found:
            name = _name_of(found[3]) if found[1] else found[3]
            yield Path(os.path.abspath(path.parent / name)), found[2].lower()


def check_slide(slide: Path, sums: Sums, attempt: int = 0) -> None:
    """Check every file of a slide against its checksum.

    Raises:
        SlideChangedError: A file differs from its checksum or has none; names it.
        SlideError: A file cannot be read.
    """
    for file in _files_of(slide):
        expected = sums.get(Path(os.path.abspath(file)))
        if expected is None:
            raise SlideChangedError(
                f"{file} is not listed in the --checksums file, so its integrity cannot be checked. Write "
                f"that file again with wsipipe index, or run without --checksums."
            )
        found = _readable_sha256(slide, file)
        if found != expected:
            raise SlideChangedError(
                f"{file} has SHA-256 {found[:12]}... but its checksum is {expected[:12]}...: it was changed "
                f"or damaged. Copy it again from its source. If the change is intended, run wsipipe index."
            )
