"""``SHA256SUMS`` of slides, as ``sha256sum`` writes and reads it: the only guard against silent bit flips.

OpenSlide decodes most flipped bits to other pixels without a word (store.md, Facts 7).
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from wsipipe.durable import sha256_of, write_durable
from wsipipe.errors import ConfigError, SlideChangedError
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.readers.files import slide_files

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
Sums = dict[Path, str]


def write_sums(path: Path, slides: Sequence[SlideInput]) -> int:
    """Writes one line for every file of every slide; names count from the folder of ``path``."""
    folder = Path(os.path.abspath(path)).parent
    files = sorted({Path(os.path.abspath(file)) for slide in slides for file in slide_files(slide.path)})
    lines = [f"{sha256_of(file)}  {os.path.relpath(file, folder)}\n" for file in files]
    write_durable(path, "".join(lines).encode())
    return len(lines)


def read_sums(path: Path) -> Sums:
    """Absolute path -> hex SHA-256.

    Raises:
        ConfigError: The file is absent, or a line is not of ``sha256sum``; names it.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
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
            yield Path(os.path.abspath(path.parent / found[2])), found[1].lower()


def check_slide(slide: Path, sums: Sums, attempt: int = 0) -> None:
    """Whether every file of the slide is the one of its checksum.

    Raises:
        SlideChangedError: One is not, or has none; names it.
    """
    for file in slide_files(slide):
        wanted = sums.get(Path(os.path.abspath(file)))
        if wanted is None:
            raise SlideChangedError(
                f"{file} has no line in the file of --checksums, so nobody can tell whether it is whole. "
                f"Write the file again by wsipipe index, or leave --checksums out."
            )
        found = sha256_of(file)
        if found != wanted:
            raise SlideChangedError(
                f"{file} has SHA-256 {found[:12]}..., its checksum says {wanted[:12]}...: it was changed or "
                f"damaged. Copy it again from its source; if the change was meant, run wsipipe index again."
            )
