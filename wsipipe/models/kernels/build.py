"""Build and load the compiled kernels.

They are built once per kind of machine into the user's cache, then loaded with ctypes.
"""

import ctypes
import functools
import subprocess
import warnings
from pathlib import Path

from wsipipe.common.compiled import (
    cache_folder,
    compiled,
    compiler,
    cpp_compiler,
    library_of,
    processor,
    target_of,
)
from wsipipe.common.compiler_flags import how_to_install, native_flags, reason_of

__all__ = ["cache_folder", "compiled", "compiler", "processor", "target_of"]

SOURCE = Path(__file__).with_name("ring_conv.cpp")
GPU_SOURCE = SOURCE.with_suffix(".cu")
FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fopenmp", "-shared", "-fPIC", "-std=c++17", "-w")
GPU_FLAGS = ("-O3", "-std=c++17", "-shared", "-Xcompiler", "-fPIC", "-w")


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
        return library_of(SOURCE, FLAGS)
    except (OSError, subprocess.SubprocessError) as error:
        _warn(error, how_to_install())
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
    warnings.warn(
        f"The compiled ring kernel is not available ({reason_of(error)}). Results are the same, but ring "
        f"convolutions of 9 px run 3 to 10 times slower. {remedy} and start again.",
        RuntimeWarning,
        stacklevel=3,
    )


def state() -> str:
    """Describe whether the CPU kernel is compiled; builds and loads nothing."""
    try:
        found = cpp_compiler()
        target = target_of(SOURCE, found, native_flags(found, FLAGS), processor())
    except OSError as error:
        return f"not compiled: {error}"
    return "compiled" if target.exists() else "not compiled yet: it is built when a network first runs"
