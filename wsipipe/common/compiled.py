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

CACHE_VARIABLE = "WSIPIPE_CACHE"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-w")
POINTER: Any = ctypes.c_void_p
NUMBER: Any = ctypes.c_int64


def compiler(variable: str, usual: str) -> str:
    """Return the path of a compiler.

    Args:
        variable: Environment variable that may name it.
        usual: Default name on the search path.

    Raises:
        FileNotFoundError: There is none.
    """
    name = os.environ.get(variable, usual)
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"no compiler {name!r} on the search path")
    return found


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
            command = [compiler, *flags, "-o", str(built), str(source)]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)  # noqa: S603
            built.replace(target)
    return target


def load(source: Path, *flags: str) -> ctypes.CDLL | None:
    """Return the library of a C++ source, built if necessary; None if it cannot be built.

    Args:
        source: The source.
        flags: Flags beside ``FLAGS``.
    """
    try:
        return ctypes.CDLL(str(compiled(source, compiler("CXX", "g++"), (*FLAGS, *flags), processor())))
    except (OSError, subprocess.SubprocessError):
        return None


def target_of(source: Path, compiler: str, flags: tuple[str, ...], machine: str) -> Path:
    """Return the path of the library of ``source`` for this kind of machine."""
    identity = "\n".join((source.read_text(), *flags, compiler, machine))
    return cache_folder() / f"{source.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"


def cache_folder() -> Path:
    """Return the folder of built kernels.

    It is $WSIPIPE_CACHE, $XDG_CACHE_HOME/wsipipe or ~/.cache/wsipipe.
    """
    if CACHE_VARIABLE in os.environ:
        return Path(os.environ[CACHE_VARIABLE])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wsipipe"


def processor() -> str:
    """Return architecture and instruction sets of this processor, as text."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    wanted = (line for line in lines if line.startswith(("flags", "Features", "model name")))
    return "\n".join((platform.machine(), *sorted(set(wanted))))
