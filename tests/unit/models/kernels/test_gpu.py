"""The GPU kernel: its tiling run on the CPU thread by thread, its compilation, the real thing on a GPU."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels.build import GPU_FLAGS, GPU_SOURCE
from wsipipe.models.kernels.fused import job_of
from wsipipe.models.kernels.fused_gradient import fused
from wsipipe.models.kernels.layer_input import LayerInput
from wsipipe.models.kernels.packing import gpu_layout, pack
from wsipipe.models.kernels.rings import dense

TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
CASES = [
    (3, "radial", 16, 16, torch.float32),
    (5, "radial", 3, 8, torch.float32),
    (5, "index", 20, 40, torch.bfloat16),
    (7, "radial", 8, 100, torch.float32),
    (9, "index", 16, 16, torch.float32),
    (9, "radial", 24, 130, torch.bfloat16),
]


def oriented(x: torch.Tensor, turns: int, mirrored: bool) -> torch.Tensor:
    turned = torch.rot90(x, turns, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, compiled: None) -> ctypes.CDLL:
    library = tmp_path_factory.mktemp("gpu") / "emulator.so"
    flags = ("-O1", "-std=c++17", "-x", "c++", "-shared", "-fPIC", "-w")
    subprocess.run([shutil.which("g++"), *flags, "-o", library, GPU_SOURCE], check=True, timeout=200)
    return ctypes.CDLL(str(library))


def emulated(emulator: ctypes.CDLL, x: torch.Tensor, layer: GMRConv2d) -> torch.Tensor:
    packed = pack(layer.as_rings(), x.dtype, gpu_layout(layer.out_channels, x.dtype))
    x = x.contiguous(memory_format=torch.channels_last)
    shrink = 2 * packed.padding - packed.kernel_size + 1
    shape = (len(x), packed.outputs, x.shape[2] + shrink, x.shape[3] + shrink)
    out = torch.full(shape, torch.nan, dtype=x.dtype).contiguous(memory_format=torch.channels_last)
    name = "ring_conv_cuda_f32" if x.dtype == torch.float32 else "ring_conv_cuda_bf16"
    assert (
        getattr(emulator, name)(ctypes.byref(job_of([LayerInput(x)], out, packed)), None, packed.lanes) == 0
    )
    return out


@pytest.mark.parametrize(("side", "mode", "channels", "outputs", "dtype"), CASES)
@pytest.mark.parametrize("padding", [None, 1])
def test_its_tiling_covers_every_pixel_once_and_computes_the_same(
    emulator: ctypes.CDLL,
    side: int,
    mode: str,
    channels: int,
    outputs: int,
    dtype: torch.dtype,
    padding: int | None,
) -> None:
    torch.manual_seed(0)
    layer = GMRConv2d(channels, outputs, side, mode=mode, padding=padding)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, channels, 19, 37).to(dtype)
    with torch.no_grad():
        out = emulated(emulator, x, layer)
        for turn in TURNS[1:5:2]:
            assert torch.equal(emulated(emulator, oriented(x, *turn), layer), oriented(out, *turn))
        expected = dense(x.double(), layer.double().as_rings())
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    assert float((out - expected).abs().max()) <= tolerance * float(expected.abs().max())


def test_it_compiles_for_hopper(tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("LOUD SKIP: no nvcc here, so the GPU kernel is NOT compiled")
    flags = [flag for flag in GPU_FLAGS if flag not in ("-O3", "-shared")]
    command = ["nvcc", *flags, "-arch=sm_90", "-ptx", "-o", tmp_path / "ring.ptx", GPU_SOURCE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ring.ptx").read_text().count(".entry") == 28


@pytest.mark.parametrize(("side", "mode", "channels", "outputs", "dtype"), CASES)
def test_on_a_gpu_it_computes_the_same(
    side: int, mode: str, channels: int, outputs: int, dtype: torch.dtype
) -> None:
    if not torch.cuda.is_available() or shutil.which("nvcc") is None:
        pytest.skip("LOUD SKIP: no GPU with nvcc here, so the GPU kernel does NOT run")
    torch.manual_seed(0)
    layer = GMRConv2d(channels, outputs, side, mode=mode, device="cuda")
    x = torch.randn(2, channels, 19, 37, device="cuda").to(dtype)
    with torch.no_grad():
        out = fused(x, layer.as_rings())
        for turn in TURNS:
            assert torch.equal(fused(oriented(x, *turn), layer.as_rings()), oriented(out, *turn))
        expected = dense(x.double(), layer.double().as_rings())
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    assert float((out - expected).abs().max()) <= tolerance * float(expected.abs().max())
