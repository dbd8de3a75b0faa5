"""Every compiler and system gets the flags that it takes."""

import subprocess
from pathlib import Path

import pytest

from wsipipe.common.compiled import FLAGS
from wsipipe.common.compiler_flags import (
    how_to_install,
    kind_of,
    library_suffix,
    native_flags,
    output_flags,
    reason_of,
    usual_compilers,
)
from wsipipe.models.kernels import build

COMMANDS = {
    ("Linux", "x86_64", "/usr/bin/g++"): (
        "-O3 -march=native -ffp-contract=off -fopenmp -shared -fPIC -std=c++17 -w -o x.so"
    ),
    ("Linux", "aarch64", "/usr/bin/clang++-18"): (
        "-O3 -mcpu=native -ffp-contract=off -shared -fPIC -std=c++17 -w -o x.so"
    ),
    ("Darwin", "arm64", "/usr/bin/g++"): (
        "-O3 -mcpu=native -ffp-contract=off -shared -fPIC -std=c++17 -w -o x.so"
    ),
    ("Darwin", "arm64", "/opt/homebrew/bin/g++-14"): (
        "-O3 -march=native -ffp-contract=off -fopenmp -shared -fPIC -std=c++17 -w -o x.so"
    ),
    ("Darwin", "x86_64", "/usr/bin/clang++"): (
        "-O3 -march=native -ffp-contract=off -shared -fPIC -std=c++17 -w -o x.so"
    ),
    ("Windows", "AMD64", r"C:\LLVM\bin\clang++.EXE"): (
        "-O3 -march=native -ffp-contract=off -shared -std=c++17 -w -o x.dll"
    ),
    ("Windows", "AMD64", r"C:\msys64\bin\g++.exe"): (
        "-O3 -march=native -ffp-contract=off -fopenmp -shared -std=c++17 -w -static "
        "-Wa,-muse-unaligned-vector-move -o x.dll"
    ),
    (
        "Windows",
        "AMD64",
        r"C:\VC\bin\cl.EXE",
    ): "/nologo /EHsc /O2 /fp:strict /LD /std:c++17 /w /Fe:x.dll /Fo:x.obj",
}


@pytest.mark.parametrize(("system", "machine", "compiler"), COMMANDS)
def test_the_command_line(system: str, machine: str, compiler: str) -> None:
    flags = native_flags(compiler, build.FLAGS, system, machine)
    target = Path(f"x{library_suffix(system)}")
    found = " ".join((*flags, *output_flags(compiler, target, system)))
    assert found == COMMANDS[system, machine, compiler]


def test_on_linux_gcc_gets_what_the_sources_name() -> None:
    assert native_flags("/usr/bin/g++", FLAGS, "Linux", "x86_64") == FLAGS
    assert native_flags("/usr/local/cuda/bin/nvcc", build.GPU_FLAGS, "Linux", "x86_64") == build.GPU_FLAGS


def test_a_compiler_is_known_by_its_name() -> None:
    assert [kind_of(name, "Linux") for name in ("/clang/g++", "clang++", "cl")] == ["gcc", "clang", "msvc"]
    assert [usual_compilers(system)[0] for system in ("Linux", "Darwin", "Windows")] == [
        "g++",
        "g++",
        "clang++",
    ]


def test_what_is_missing_is_said_in_one_line() -> None:
    error = subprocess.CalledProcessError(1, "g++", stderr="x.cpp:1: error:\n  no   such thing\n")
    assert reason_of(error) == "x.cpp:1: error: no such thing"
    assert reason_of(FileNotFoundError("no compiler")) == "no compiler"
    remedies = [how_to_install(system) for system in ("Linux", "Darwin", "Windows")]
    assert [remedy.split()[1] for remedy in remedies] == ["g++", "the", "clang"]
