"""A layer that reads parts of arrays gives the values of one that reads them whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels import fused
from wsipipe.models.kernels.layer_input import AS_IS, POOLED, UPSAMPLED, LayerInput, Scale, joined
from wsipipe.models.kernels.packing import Packed, pack
from wsipipe.models.kernels.parts import KernelPart, Needed, resample_part, run_parts

pytestmark = pytest.mark.usefixtures("compiled")
FEW = settings(max_examples=40, deadline=None)
SCALES = st.sampled_from([POOLED, AS_IS, UPSAMPLED])
OFFSETS = {POOLED: 3, AS_IS: 2, UPSAMPLED: 5}
"""Where reading begins, px of the finer grid."""


def weights(channels: int, side: int, dtype: torch.dtype) -> Packed:
    return pack(GMRConv2d(channels, 20, side).double().as_rings(), dtype)


def random_part(channels: int, scale: Scale, dtype: torch.dtype) -> KernelPart:
    """Features of which a layer reads 41 x 29 px."""
    height, width = {POOLED: (88, 64), AS_IS: (45, 33), UPSAMPLED: (25, 19)}[scale]
    return KernelPart(torch.randn(height, width, channels).to(dtype), OFFSETS[scale], OFFSETS[scale], scale)


def cut(part: KernelPart) -> torch.Tensor:
    """Return (1, C, 41, 29), resampled by the whole layer's way and then cut."""
    at = part.top
    if part.scale == POOLED:
        features = part.features[at : at + 82, at : at + 58]
        return joined([LayerInput(features.permute(2, 0, 1)[None], POOLED)])
    return joined([LayerInput(part.features.permute(2, 0, 1)[None], part.scale)])[
        ..., at : at + 41, at : at + 29
    ]


@FEW
@given(
    scales=st.lists(SCALES, min_size=1, max_size=2),
    side=st.sampled_from([1, 5, 9]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    adds=st.booleans(),
    relu=st.booleans(),
)
def test_parts_are_read_where_they_lie(
    scales: list[Scale], side: int, dtype: torch.dtype, adds: bool, relu: bool
) -> None:
    # Resampled inside the layer, bfloat16 is not rounded before the layer; whole networks are compared in it.
    dtype = dtype if set(scales) == {AS_IS} else torch.float32
    parts = [random_part(16, scale, dtype) for scale in scales]
    packed = weights(16 * len(parts), side, dtype)
    height, width = 42 - side, 30 - side
    residual = KernelPart(torch.randn(height + 5, width + 7, 20).to(dtype), 2, 3) if adds else None
    out = torch.full((height, width, 20), torch.nan, dtype=dtype)
    run_parts(parts, packed, out, residual, relu)
    edge = side // 2
    added = None
    if residual is not None:
        added = residual.features[2 : 2 + height, 3 : 3 + width].permute(2, 0, 1)[None].contiguous()
        added = torch.nn.functional.pad(added, (edge,) * 4)
    read = torch.cat([cut(part) for part in parts], 1)
    whole = fused.run(read, packed, residual=added, relu=relu)
    inner = whole[0, :, edge : edge + height, edge : edge + width].permute(1, 2, 0)
    assert torch.equal(out, inner)


def test_only_tiles_of_needed_cells_are_computed() -> None:
    packed, features = weights(16, 5, torch.float32), torch.randn(72, 72, 16)
    whole, some = torch.zeros(68, 68, 20), torch.full((68, 68, 20), -7.0)
    run_parts([KernelPart(features, 0, 0)], packed, whole)
    cells = torch.zeros(10, 10, dtype=torch.uint8)
    cells[3, 4] = 1
    run_parts([KernelPart(features, 0, 0)], packed, some, needed=Needed(cells, 8, 3, 1))
    expected = torch.full_like(whole, -7.0)
    expected[21:29, 31:39] = whole[21:29, 31:39]
    # The cell spans tiles of columns; in each the rectangle around its part is computed, and nothing else.
    assert torch.equal(some, expected)
    run_parts([KernelPart(features, 0, 0)], packed, some, needed=Needed(torch.zeros_like(cells), 8, 3, 1))
    assert torch.equal(some, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_of_a_part(dtype: torch.dtype) -> None:
    part = random_part(20, POOLED, dtype)
    out = torch.zeros(41, 29, 20, dtype=dtype)
    resample_part(part, out)
    assert torch.equal(out, cut(part)[0].permute(1, 2, 0))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (KernelPart(torch.zeros(20, 20, 16), -1, 0), "reads px -1 to 14 of features of 20 px"),
        (KernelPart(torch.zeros(20, 20, 16), 0, 5), "reads px 5 to 20 of features of 20 px"),
        (KernelPart(torch.zeros(31, 40, 16), 0, 0, POOLED), "reads px 0 to 31 of features of 31 px"),
        (KernelPart(torch.zeros(20, 20, 16), 0, 0, UPSAMPLED), "reads px -1 to 8 of features of 20 px"),
        (KernelPart(torch.zeros(20, 20, 17), 0, 0), "input of a layer does not fit"),
        (KernelPart(torch.zeros(20, 20, 16).double(), 0, 0), "memory of a layer does not fit"),
        (KernelPart(torch.zeros(20, 40, 16)[:, ::2], 0, 0), "memory of a layer does not fit"),
    ],
)
def test_parts_that_do_not_hold_what_is_read_are_refused(part: KernelPart, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_parts([part], weights(16, 5, torch.float32), torch.zeros(12, 12, 20))


def test_wrong_results_and_residuals_are_refused() -> None:
    packed, part = weights(16, 5, torch.float32), KernelPart(torch.zeros(20, 20, 16), 0, 0)
    with pytest.raises(ValueError, match="result of a layer"):
        run_parts([part], packed, torch.zeros(12, 12, 19))
    with pytest.raises(ValueError, match="residual of a layer"):
        run_parts([part], packed, torch.zeros(12, 12, 20), KernelPart(torch.zeros(20, 20, 16), 0, 0))
    with pytest.raises(ValueError, match="reads px 9 to 20 of"):
        run_parts([part], packed, torch.zeros(12, 12, 20), KernelPart(torch.zeros(20, 20, 20), 9, 0))
