"""Building the kernel: every instruction set computes the same, and a missing compiler costs only speed."""

import ctypes
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
import torch

from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels import build, fused, packing
from wsipipe.models.kernels.rings import dense


@pytest.fixture
def fresh() -> object:
    build.library.cache_clear()
    yield
    build.library.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_a_compiler_it_warns_once_and_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    layer = GMRConv2d(4, 4, 9, impl="fused")
    x = torch.randn(1, 4, 12, 12)
    with pytest.warns(RuntimeWarning, match=r"no-such-compiler.*slower.*Install g\+\+"):
        out = layer(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x)
    torch.testing.assert_close(out, dense(x, layer.as_rings()))


@pytest.mark.usefixtures("fresh", "compiled")
def test_a_broken_compiler_says_what_it_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WSIPIPE_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "FLAGS", ("--no-such-flag",))
    with pytest.warns(RuntimeWarning, match="no-such-flag"):
        assert build.library() is None
    assert list(tmp_path.iterdir()) == []


def test_its_state_is_told_without_building_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WSIPIPE_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "sh")
    assert build.state().startswith("not compiled yet")
    target = build.target_of(build.SOURCE, str(shutil.which("sh")), build.FLAGS, build.processor())
    target.touch()
    assert build.state() == "compiled"


@pytest.mark.usefixtures("compiled")
def test_it_is_built_once_for_a_source_and_a_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WSIPIPE_CACHE", str(tmp_path))
    source = tmp_path / "small.cpp"
    source.write_text('extern "C" int answer() { return 42; }')
    compiler = build.compiler("CXX", "g++")
    first = build.compiled(source, compiler, build.FLAGS, build.processor())
    made = first.stat().st_mtime_ns
    assert ctypes.CDLL(str(first)).answer() == 42
    assert build.compiled(source, compiler, build.FLAGS, build.processor()).stat().st_mtime_ns == made
    assert build.compiled(source, compiler, build.FLAGS, "another") != first


@pytest.mark.usefixtures("fresh", "compiled")
@pytest.mark.parametrize("target", ["x86-64", "haswell", "skylake-avx512"])
def test_every_instruction_set_computes_the_same(
    target: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    needs = {"x86-64": "sse2", "haswell": "avx2", "skylake-avx512": "avx512bw"}[target]
    if os.uname().machine != "x86_64" or needs not in build.processor():
        pytest.skip(f"LOUD SKIP: this processor has no {needs}; that path is NOT tested")
    flags = [f"-march={target}" if flag == "-march=native" else flag for flag in build.FLAGS]
    library = tmp_path_factory.mktemp("kernel") / "ring.so"
    optimise = [flag if flag != "-O3" else "-O0" for flag in flags]
    command = [shutil.which("g++"), *optimise, "-o", str(library), str(build.SOURCE)]
    subprocess.run(command, check=True, timeout=200)
    for module in (fused, packing):
        monkeypatch.setattr(module, "library", lambda: ctypes.CDLL(str(library)))
    for side, channels, dtype, tolerance in (
        (5, 3, torch.float32, 1e-5),
        (9, 20, torch.float32, 1e-5),
        (9, 20, torch.bfloat16, 2e-2),
    ):
        torch.manual_seed(0)
        layer = GMRConv2d(channels, 21, side, impl="fused")
        x = torch.randn(1, channels, 19, 23).to(dtype)
        with torch.no_grad():
            out = layer(x)
            assert torch.equal(layer(torch.rot90(x, 1, (2, 3))), torch.rot90(out, 1, (2, 3)))
            expected = dense(x.double(), layer.double().as_rings())
        assert float((out - expected).abs().max()) <= tolerance * float(expected.abs().max())
