"""A frozen ring convolution with what comes before and after it: equal to step by step, bitwise turned."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from wsipipe.models.freeze import freeze
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels import fused
from wsipipe.models.kernels.fused import joins, resampled
from wsipipe.models.kernels.layer_input import AS_IS, POOLED, UPSAMPLED, LayerInput, Scale, joined
from wsipipe.models.kernels.ring_layer import RingConv2d
from wsipipe.models.networks.unet import GMRUNet

pytestmark = pytest.mark.usefixtures("compiled")
TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
SCALES = st.sampled_from([POOLED, AS_IS, UPSAMPLED])


def oriented(x: torch.Tensor, turns: int, mirrored: bool) -> torch.Tensor:
    turned = torch.rot90(x, turns, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned


def layer_of(channels: int, outputs: int, side: int, dtype: torch.dtype, **options: object) -> RingConv2d:
    conv = GMRConv2d(channels, outputs, side, **options)
    nn.init.normal_(conv.bias)
    return freeze(nn.Sequential(conv), dtype, exact=True)[0]


def source(channels: int, height: int, width: int, scale: Scale, dtype: torch.dtype) -> LayerInput:
    """Random features that are (height, width) as the layer sees them, both even."""
    ways = {POOLED: (2 * height, 2 * width), AS_IS: (height, width), UPSAMPLED: (height // 2, width // 2)}
    return LayerInput(torch.randn(2, channels, *ways[scale]).to(dtype), scale)


def turned(read: LayerInput, turn: tuple[int, bool]) -> LayerInput:
    return LayerInput(oriented(read.features, *turn), read.scale)


def step_by_step(
    layer: RingConv2d, read: list[LayerInput], residual: torch.Tensor | None, relu: bool
) -> torch.Tensor:
    out = layer(joined(read)).float()
    out = out if residual is None else out + residual.float()
    return functional.relu(out) if relu else out


@settings(deadline=None, max_examples=60)
@given(
    scales=st.lists(SCALES, min_size=1, max_size=2),
    channels=st.tuples(st.sampled_from([3, 16, 32]), st.sampled_from([5, 16])),
    outputs=st.sampled_from([2, 16, 40]),
    side=st.sampled_from([1, 5, 9]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    adds=st.booleans(),
    relu=st.booleans(),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
)
def test_one_pass_gives_what_the_steps_give_bitwise_in_all_orientations(
    scales: list[Scale],
    channels: tuple[int, int],
    outputs: int,
    side: int,
    dtype: torch.dtype,
    adds: bool,
    relu: bool,
    height: int,
    width: int,
) -> None:
    torch.manual_seed(0)
    read = [
        source(count, 2 * height, 2 * width, scale, dtype)
        for count, scale in zip(channels, scales, strict=False)
    ]
    layer = layer_of(sum(each.features.shape[1] for each in read), outputs, side, dtype)
    residual = torch.randn(2, outputs, 2 * height, 2 * width).to(dtype) if adds else None
    with torch.inference_mode():
        out = layer(*read, residual=residual, relu=relu)
        expected = step_by_step(layer, read, residual, relu)
        assert float((out.float() - expected).abs().max()) <= TOLERANCE[dtype] * float(
            expected.abs().max() + 1
        )
        for turn in TURNS:
            given_turned = None if residual is None else oriented(residual, *turn)
            again = layer(*(turned(each, turn) for each in read), residual=given_turned, relu=relu)
            assert torch.equal(again, oriented(out, *turn))


def test_in_float32_it_is_the_same_to_the_last_bit() -> None:
    torch.manual_seed(0)
    layer = layer_of(48, 16, 9, torch.float32)
    read = [source(16, 40, 24, AS_IS, torch.float32), source(32, 40, 24, UPSAMPLED, torch.float32)]
    residual = torch.randn(2, 16, 40, 24)
    with torch.inference_mode():
        assert joins(read)
        found = layer(*read, residual=residual, relu=True)
        assert torch.equal(found, step_by_step(layer, read, residual, True))


def test_sister_features_one_px_aside_are_not() -> None:
    torch.manual_seed(0)
    layer = layer_of(16, 16, 5, torch.float32)
    read = source(16, 24, 24, UPSAMPLED, torch.float32)
    with torch.inference_mode():
        aside = LayerInput(read.features.roll(1, -1), read.scale)
        assert not torch.equal(layer(aside), layer(joined([read])))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels", [3, 16, 20])
@pytest.mark.parametrize("scale", [POOLED, UPSAMPLED])
def test_resampling_by_itself_is_that_of_torch(scale: Scale, channels: int, dtype: torch.dtype) -> None:
    read = source(channels, 12, 20, scale, dtype)
    assert torch.equal(resampled(read), joined([read]))


@pytest.mark.parametrize("outputs", [4, 40])
def test_nan_stays_nan_behind_a_relu(outputs: int) -> None:
    x = torch.full((1, 3, 8, 8), torch.nan)
    with torch.inference_mode():
        assert layer_of(3, outputs, 5, torch.float32)(x, relu=True).isnan().all()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_whole_frozen_network_is_the_same_step_by_step(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = freeze(GMRUNet(widths=(16, 32, 48), kernel_sizes=(9, 5, 5)).eval(), exact=True)
    x, before = torch.rand(2, 3, 96, 72), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            one_pass = network(x)
            monkeypatch.setattr(fused, "joins", lambda sources: len(sources) == 1 and not sources[0].scale)
            assert torch.equal(network(x), one_pass)
    finally:
        torch.set_num_threads(before)


def test_channels_that_fill_no_block_are_joined_first() -> None:
    assert not joins([LayerInput(torch.zeros(1, 20, 8, 8)), LayerInput(torch.zeros(1, 12, 8, 8))])
    assert joins([LayerInput(torch.zeros(1, 16, 8, 8)), LayerInput(torch.zeros(1, 12, 8, 8))])


def test_unlike_sizes_and_odd_ones_to_be_pooled_are_refused() -> None:
    layer = layer_of(32, 4, 5, torch.float32)
    with pytest.raises(ValueError, match="differ"):
        layer(torch.zeros(1, 16, 8, 8), torch.zeros(1, 16, 8, 10))
    with pytest.raises(ValueError, match="even"):
        layer(LayerInput(torch.zeros(1, 32, 9, 8), POOLED))
    with pytest.raises(ValueError, match="residual"):
        layer(torch.zeros(1, 32, 8, 8), residual=torch.zeros(1, 4, 8, 7))
    with pytest.raises(ValueError, match="whole blocks"):
        fused.run(torch.zeros(1, 20, 8, 8), layer.packed, LayerInput(torch.zeros(1, 12, 8, 8)))
