"""Build small compiled libraries once per kind of machine.

They are kept in the user's cache.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from wsipipe.common.compiler_flags import library_suffix, native_flags, output_flags, usual_compilers
from wsipipe.common.disk_sync import move
from wsipipe.common.machine import cpu_info, processor_brand

CACHE_VARIABLE = "WSIPIPE_CACHE"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-w")
POINTER: Any = ctypes.c_void_p
NUMBER: Any = ctypes.c_int64


def compiler(variable: str, *usual: str) -> str:
    """Return the path of a compiler.

    Args:
        variable: Environment variable that may name it.
        usual: Default names on the search path, the preferred one first.

    Raises:
        FileNotFoundError: There is none.
    """
    names = (os.environ[variable],) if variable in os.environ else usual
    for found in map(shutil.which, names):
        if found is not None:
            return found
    raise FileNotFoundError(f"no compiler {' or '.join(map(repr, names))} on the search path")


def cpp_compiler() -> str:
    """Return the path of the C++ compiler; ``CXX`` may name it.

    Raises:
        FileNotFoundError: There is none.
    """
    return compiler("CXX", *usual_compilers())


def compiled(source: Path, compiler: str, flags: tuple[str, ...], machine: str) -> Path:
    """Return the shared library of ``source``, built if necessary.

    It is built if this source was never built for this kind of machine. The name holds a hash of source,
    flags, compiler and machine, so that a home directory shared by different machines has one for each. The
    file appears by one rename: two processes that build at the same time do no harm.
    """
    target = target_of(source, compiler, flags, machine)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            built = Path(folder) / target.name
            command = [compiler, *flags, *output_flags(compiler, built), str(source)]
            subprocess.run(  # noqa: S603
                command, check=True, capture_output=True, text=True, errors="replace", timeout=300
            )
            # Windows cannot replace a library that another process has loaded in the meantime.
            if not target.exists():
                move(built, target)
    return target


def load(source: Path, *flags: str) -> ctypes.CDLL | None:
    """Return the library of a C++ source, built if necessary; None if it cannot be built.

    Args:
        source: The source.
        flags: Flags beside ``FLAGS``.
    """
    try:
        return library_of(source, (*FLAGS, *flags))
    except (OSError, subprocess.SubprocessError):
        return None


def library_of(source: Path, flags: tuple[str, ...]) -> ctypes.CDLL:
    """Return the library of a C++ source, built if necessary.

    Args:
        source: The source.
        flags: Flags of GCC on Linux.

    Raises:
        OSError: There is no compiler, or the library does not load.
        SubprocessError: It does not build.
    """
    found = cpp_compiler()
    return ctypes.CDLL(str(compiled(source, found, native_flags(found, flags), processor())))


def target_of(source: Path, compiler: str, flags: tuple[str, ...], machine: str) -> Path:
    """Return the path of the library of ``source`` for this kind of machine."""
    identity = "\n".join((source.read_text(encoding="utf-8"), *flags, compiler, machine))
    return (
        cache_folder()
        / f"{source.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}{library_suffix()}"
    )


def cache_folder() -> Path:
    """Return the folder of built kernels.

    It is $WSIPIPE_CACHE, $XDG_CACHE_HOME/wsipipe or ~/.cache/wsipipe.
    """
    if CACHE_VARIABLE in os.environ:
        return Path(os.environ[CACHE_VARIABLE])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wsipipe"


def processor() -> str:
    """Return architecture and instruction sets of this processor, as text."""
    lines = cpu_info().splitlines() or [f"model name {processor_brand()}"]
    wanted = (line for line in lines if line.startswith(("flags", "Features", "model name")))
    return "\n".join((platform.machine(), *sorted(set(wanted))))
