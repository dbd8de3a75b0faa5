"""Flags of the compiler in use, for those of GCC on Linux.

Sources of this package name the flags that GCC takes on Linux. Here they become those of clang and of MSVC,
and of other systems.
"""

import platform
from pathlib import Path, PureWindowsPath

_MSVC = {
    "-O3": "/O2",
    "-std=c++17": "/std:c++17",
    "-shared": "/LD",
    "-w": "/w",
    "-ffp-contract=off": "/fp:strict",
}
# Vectors of 32 bytes lie at any place of the stack of Windows, where GCC expects them aligned.
_GCC_ON_WINDOWS = ("-static", "-Wa,-muse-unaligned-vector-move")


def usual_compilers(system: str = platform.system()) -> tuple[str, ...]:
    """Return names of C++ compilers, the preferred one first."""
    return ("clang++", "g++", "cl") if system == "Windows" else ("g++", "clang++")


def kind_of(compiler: str, system: str = platform.system()) -> str:
    """Return ``gcc``, ``clang`` or ``msvc``, judged by the name of a compiler."""
    name = PureWindowsPath(compiler).stem if system == "Windows" else Path(compiler).name
    if name == "cl":
        return "msvc"
    # On macOS, g++ without a number is another name of clang.
    return "clang" if "clang" in name or (system == "Darwin" and name in ("g++", "c++")) else "gcc"


def native_flags(
    compiler: str,
    flags: tuple[str, ...],
    system: str = platform.system(),
    machine: str = platform.machine(),
) -> tuple[str, ...]:
    """Return what a compiler takes in place of the flags of GCC on Linux.

    Args:
        compiler: Path of the compiler.
        flags: Flags of GCC on Linux.
        system: Operating system, as :func:`platform.system` names it.
        machine: Architecture, as :func:`platform.machine` names it.
    """
    kind = kind_of(compiler, system)
    if kind == "msvc":
        return ("/nologo", "/EHsc", *(_MSVC[flag] for flag in flags if flag in _MSVC))
    dropped = set()
    if kind == "clang":
        # Its OpenMP would be a second one beside torch's, which ends the process.
        dropped.add("-fopenmp")
    if system == "Windows":
        dropped.add("-fPIC")
    kept = (flag for flag in flags if flag not in dropped)
    if kind == "clang" and machine in ("arm64", "aarch64"):
        kept = ("-mcpu=native" if flag == "-march=native" else flag for flag in kept)
    return (*kept, *_GCC_ON_WINDOWS) if kind == "gcc" and system == "Windows" else tuple(kept)


def output_flags(compiler: str, target: Path, system: str = platform.system()) -> tuple[str, ...]:
    """Return the flags that name the library to write."""
    if kind_of(compiler, system) == "msvc":
        # The object file would lie in the current folder.
        return (f"/Fe:{target}", f"/Fo:{target.with_suffix('.obj')}")
    return ("-o", str(target))


def library_suffix(system: str = platform.system()) -> str:
    """Return the ending of the names of libraries."""
    return ".dll" if system == "Windows" else ".so"


def how_to_install(system: str = platform.system()) -> str:
    """Return how to get a compiler, as the beginning of a sentence."""
    match system:
        case "Darwin":
            return "Install the command line tools (xcode-select --install)"
        case "Windows":
            return "Install clang (winget install LLVM.LLVM) and the Build Tools of Visual Studio"
    return "Install g++ (Debian: apt install g++)"


def reason_of(error: Exception) -> str:
    """Return what a compiler said, or why it did not run, in one line."""
    return " ".join(str(getattr(error, "stderr", None) or error).split())[:300]
