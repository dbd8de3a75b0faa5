"""``SHA256SUMS`` of slides, as ``sha256sum`` writes and reads it: the only guard against silent bit flips.

OpenSlide decodes most flipped bits to other pixels without a word (docs/robustness.md,
Slides that are damaged in silence).
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


def write_sums(path: Path, slides: Sequence[SlideInput], tell: Callable[[str], None] | None = None) -> int:
    """Write one line for every file of every slide; names count from the folder of ``path``.

    Args:
        path: File to write.
        slides: Slides whose files are hashed.
        tell: Hears of every slide that cannot be read, which is then left out.

    Returns:
        Number of files.

    Raises:
        SlideError: A slide cannot be read, and there is no ``tell``.
    """
    folder = Path(os.path.abspath(path)).parent
    sums: dict[Path, str] = {}
    for slide in slides:
        try:
            sums |= _sums_of(slide.path, sums)
        except SlideError as error:
            if tell is None:
                raise
            tell(str(error))
    lines = [_line(os.path.relpath(file, folder), digest) for file, digest in sorted(sums.items())]
    write_durable(path, os.fsencode("".join(lines)))
    return len(lines)


def _sums_of(slide: Path, known: Sums) -> Sums:
    """Hex SHA-256 of each file of a slide, by absolute path."""
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
        f"cannot read the slide {slide}: {error.filename or file}: {error.strerror or error}. Check its "
        f"permissions and its disk, or leave it out."
    )


def _line(name: str, digest: str) -> str:
    """As ``sha256sum`` writes it: a backslash before the line where the name holds escapes."""
    escaped = "".join(_ESCAPES.get(character, character) for character in name)
    return f"{'\\' if escaped != name else ''}{digest}  {escaped}\n"


def _name_of(escaped: str) -> str:
    return re.sub(r"\\[\\nr]", lambda found: _ESCAPED[found[0]], escaped)


def read_sums(path: Path) -> Sums:
    """Absolute path -> hex SHA-256.

    Raises:
        ConfigError: The file is absent, or a line is not of ``sha256sum``; names it.
    """
    try:
        # Names may be of any bytes; other characters than this one end no line.
        lines = [line.removesuffix("\r") for line in os.fsdecode(path.read_bytes()).split("\n")]
    except OSError as error:
        raise ConfigError(
            f"--checksums {path} cannot be read: {error}; write it by wsipipe index."
        ) from error
    return dict(_entries(path, lines))


def _entries(path: Path, lines: list[str]) -> Iterator[tuple[Path, str]]:
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if line and not found:
            raise ConfigError(
                f"--checksums {path}, line {number}: {line[:80]!r} is not 64 hex digits, two blanks, a name."
            )
        if found:
            name = _name_of(found[3]) if found[1] else found[3]
            yield Path(os.path.abspath(path.parent / name)), found[2].lower()


def check_slide(slide: Path, sums: Sums, attempt: int = 0) -> None:
    """Whether every file of the slide is the one of its checksum.

    Raises:
        SlideChangedError: One is not, or has none; names it.
        SlideError: One cannot be read.
    """
    for file in _files_of(slide):
        wanted = sums.get(Path(os.path.abspath(file)))
        if wanted is None:
            raise SlideChangedError(
                f"{file} has no line in the file of --checksums, so nobody can tell whether it is whole. "
                f"Write the file again by wsipipe index, or leave --checksums out."
            )
        found = _readable_sha256(slide, file)
        if found != wanted:
            raise SlideChangedError(
                f"{file} has SHA-256 {found[:12]}..., its checksum says {wanted[:12]}...: it was changed or "
                f"damaged. Copy it again from its source; if the change was meant, run wsipipe index again."
            )
