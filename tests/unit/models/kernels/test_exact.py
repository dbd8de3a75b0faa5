"""Pooling and up-sampling with the same bits in all eight orientations."""

import pytest
import torch
from torch.nn import functional

from wsipipe.models.kernels.exact import exact_pool, exact_upsample

TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def oriented(x: torch.Tensor, turns: int, mirrored: bool) -> torch.Tensor:
    turned = torch.rot90(x, turns, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned


def torch_pool(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(x, 2)


def torch_upsample(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def bitwise(function: object, x: torch.Tensor, layout: torch.memory_format) -> bool:
    def call(x: torch.Tensor) -> torch.Tensor:
        return function(x.contiguous(memory_format=layout))

    return all(torch.equal(call(oriented(x, *turn)), oriented(call(x), *turn)) for turn in TURNS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("exact", [exact_pool, exact_upsample])
def test_the_exact_ones_are_bitwise_equivariant(
    exact: object, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    assert bitwise(exact, torch.randn(2, 16, 12, 20, dtype=torch.float64).to(dtype), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ordinary", [torch_pool, torch_upsample])
def test_the_ordinary_ones_are_not(ordinary: object, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    assert not bitwise(ordinary, torch.randn(2, 16, 12, 20), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_they_compute_the_same(layout: torch.memory_format) -> None:
    x = torch.randn(2, 5, 6, 10, dtype=torch.float64, requires_grad=True).contiguous(memory_format=layout)
    torch.testing.assert_close(exact_pool(x), torch_pool(x), rtol=0, atol=1e-14)
    torch.testing.assert_close(exact_upsample(x), torch_upsample(x), rtol=0, atol=1e-14)
    assert exact_upsample(x).is_contiguous(memory_format=layout)


def test_they_have_gradients() -> None:
    x = torch.randn(1, 2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: exact_upsample(exact_pool(x)), (x,))
