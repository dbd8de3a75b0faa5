"""Building the kernel: every instruction set computes the same, and a missing compiler costs only speed."""

import ctypes
import functools
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from wsipipe.models.freeze import freeze
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels import build, fused, fused_gradient, packing
from wsipipe.models.kernels.rings import dense
from wsipipe.models.networks.unet import gmr_unet


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


NEEDS = {"x86-64": "sse2", "haswell": "avx2", "skylake-avx512": "avx512bw"}
KernelFor = Callable[..., ctypes.CDLL]


@pytest.fixture(scope="session")
def kernel_for(compiled: None, tmp_path_factory: pytest.TempPathFactory) -> KernelFor:
    """The kernel built without optimisation for a target of GCC; a loud skip where it cannot run."""

    @functools.cache
    def built(target: str, *more: str) -> ctypes.CDLL:
        if os.uname().machine != "x86_64" or NEEDS[target] not in build.processor():
            pytest.skip(f"LOUD SKIP: this processor has no {NEEDS[target]}; that path is NOT tested")
        swapped = {"-march=native": f"-march={target}", "-O3": "-O0"}
        flags = [swapped.get(flag, flag) for flag in build.FLAGS]
        library = tmp_path_factory.mktemp("kernel") / "ring.so"
        command = [shutil.which("g++"), *flags, *more, "-o", str(library), str(build.SOURCE)]
        subprocess.run(command, check=True, timeout=200, capture_output=True)
        return ctypes.CDLL(str(library))

    return built


def use(kernel: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fused, fused_gradient, packing):
        monkeypatch.setattr(module, "library", lambda: kernel)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("target", NEEDS)
def test_every_instruction_set_computes_the_same(
    target: str, kernel_for: KernelFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(kernel_for(target), monkeypatch)
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


def answers(kernel: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Float32 results of layers of every block of channels, and of a whole network, by a kernel."""
    use(kernel, monkeypatch)
    found = []
    with torch.inference_mode():
        for side, channels, outputs in ((5, 3, 21), (3, 7, 40), (9, 20, 21), (9, 40, 32)):
            torch.manual_seed(0)
            layer = GMRConv2d(channels, outputs, side, impl="fused")
            found.append(layer(torch.randn(1, channels, 35, 23)))
        torch.manual_seed(1)
        network = freeze(gmr_unet(widths=(16, 24), kernel_sizes=(9, 5)), torch.float32, exact=True)
        found.append(network(torch.randn(1, 3, 32, 48)))
    return found


def test_float32_has_the_same_bits_whatever_the_width_of_vectors(
    kernel_for: KernelFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVX2's 8 lanes against 16 made of them: the sums of AVX-512, on processors that lack it."""
    kernels = [kernel_for("haswell"), kernel_for("haswell", "-DRING_LANES=16")]
    assert [kernel.ring_lanes() for kernel in kernels] == [8, 16]
    assert all(map(torch.equal, *(answers(kernel, monkeypatch) for kernel in kernels)))


def test_float32_has_the_same_bits_by_avx2_and_avx512(
    kernel_for: KernelFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = [kernel_for(target) for target in ("haswell", "skylake-avx512")]
    assert [kernel.ring_lanes() for kernel in kernels] == [8, 16]
    assert all(map(torch.equal, *(answers(kernel, monkeypatch) for kernel in kernels)))


def test_sister_without_fused_products_the_bits_differ(
    kernel_for: KernelFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = [kernel_for(target) for target in ("haswell", "x86-64")]
    assert not any(map(torch.equal, *(answers(kernel, monkeypatch) for kernel in kernels)))
