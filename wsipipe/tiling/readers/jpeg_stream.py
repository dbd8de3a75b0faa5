"""Check whether the data of a JPEG suffice.

libjpeg fills in what is missing and reports it by a warning that imagecodecs does not pass on. The check
walks over the codes without decoding pixels, at 10 to 20 % of the cost of decoding.
"""

import ctypes
import functools
import subprocess
import warnings
from enum import IntEnum
from pathlib import Path

from wsipipe.common.compiled import library_of
from wsipipe.common.compiler_flags import how_to_install, reason_of

SOURCE = Path(__file__).with_name("jpeg_stream.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-w")


class Verdict(IntEnum):
    """What the check has found."""

    SOUND = 0
    TOO_SHORT = 1
    BAD_CODE = 2
    NOT_COVERED = 3
    NO_END = 4


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled check.

    None after one warning that states the reason and the cost.
    """
    try:
        found = library_of(SOURCE, FLAGS)
    except (OSError, subprocess.SubprocessError) as error:
        warnings.warn(
            f"The compiled check of JPEG data is not available ({reason_of(error)}). Results are the same, "
            f"but slides of JPEG tiles are read several times slower. {how_to_install()} and start again.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    found.jpeg_verdict.argtypes = [ctypes.c_char_p, ctypes.c_int64] * 2
    return found


def verdict_on(data: bytes, tables: bytes | None = None) -> int:
    """Check one JPEG of the sequential Huffman kind.

    Args:
        data: The JPEG.
        tables: Stream of tables only that goes before it.

    Returns:
        A value of :class:`Verdict`: NOT_COVERED also without a compiler, and for what is no such JPEG.
    """
    checker = library()
    if checker is None:
        return Verdict.NOT_COVERED
    return checker.jpeg_verdict(tables, len(tables or b""), data, len(data))
