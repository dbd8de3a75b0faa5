"""Build and load the compiled kernels.

They are built once per kind of machine into the user's cache, then loaded with ctypes.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

SOURCE = Path(__file__).with_name("ring_conv.cpp")
GPU_SOURCE = SOURCE.with_suffix(".cu")
FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fopenmp", "-shared", "-fPIC", "-std=c++17", "-w")
GPU_FLAGS = ("-O3", "-std=c++17", "-shared", "-Xcompiler", "-fPIC", "-w")
CACHE_VARIABLE = "WSIPIPE_CACHE"


class Window(ctypes.Structure):
    """The C structure of the same name."""

    _fields_ = tuple((name, ctypes.c_int64) for name in ("height", "width", "top", "left"))


class Job(ctypes.Structure):
    """The C structure of the same name."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("input", "output", "weight", "bias", "mix", "ring_of")),
        *((name, ctypes.c_int64) for name in ("batch", "height", "width", "channels", "outputs")),
        *((name, ctypes.c_int64) for name in ("kernel", "padding", "rings", "threads")),
        *((name, ctypes.c_void_p) for name in ("second", "residual")),
        *((name, ctypes.c_int64) for name in ("split", "scale", "second_scale", "relu")),
        *((name, Window) for name in ("window", "second_window", "residual_window")),
        ("needed", ctypes.c_void_p),
        ("mask", Window),
        ("cell", ctypes.c_int64),
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled CPU kernel.

    None after one warning that states the reason and the cost.
    """
    try:
        return ctypes.CDLL(str(compiled(SOURCE, compiler("CXX", "g++"), FLAGS, processor())))
    except (OSError, subprocess.SubprocessError) as error:
        _warn(error, "Install g++ (Debian: apt install g++)")
        return None


@functools.cache
def gpu_library(capability: tuple[int, int]) -> ctypes.CDLL | None:
    """Return the compiled kernel for GPUs of a compute capability.

    None as in :func:`library`.
    """
    target = f"-arch=sm_{capability[0]}{capability[1]}"
    flags = (*GPU_FLAGS, target)
    try:
        return ctypes.CDLL(str(compiled(GPU_SOURCE, compiler("NVCC", "nvcc"), flags, target)))
    except (OSError, subprocess.SubprocessError) as error:
        _warn(error, "Install the CUDA toolkit, with nvcc on the search path")
        return None


def _warn(error: Exception, remedy: str) -> None:
    reason = str(getattr(error, "stderr", None) or error).strip()[:300]
    warnings.warn(
        f"The compiled ring kernel is not available ({reason}). Results are the same, but ring convolutions "
        f"of 9 px run 3 to 10 times slower. {remedy} and start again.",
        RuntimeWarning,
        stacklevel=3,
    )


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


def target_of(source: Path, compiler: str, flags: tuple[str, ...], machine: str) -> Path:
    """Return the path of the library of ``source`` for this kind of machine."""
    identity = "\n".join((source.read_text(), *flags, compiler, machine))
    return cache_folder() / f"{source.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"


def state() -> str:
    """Describe whether the CPU kernel is compiled; builds and loads nothing."""
    try:
        target = target_of(SOURCE, compiler("CXX", "g++"), FLAGS, processor())
    except OSError as error:
        return f"not compiled: {error}"
    return "compiled" if target.exists() else "not compiled yet: it is built when a network first runs"


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
