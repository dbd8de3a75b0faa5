"""The compiled CPU kernel: equal to the dense way, and bitwise the same in all eight orientations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels.fused import cpu_kind, run, supports
from wsipipe.models.kernels.packing import pack
from wsipipe.models.kernels.rings import dense

pytestmark = pytest.mark.usefixtures("compiled")
TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def oriented(x: torch.Tensor, turns: int, mirrored: bool) -> torch.Tensor:
    turned = torch.rot90(x, turns, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned


def make(channels: int, outputs: int, side: int, **options: object) -> GMRConv2d:
    layer = GMRConv2d(channels, outputs, side, impl="fused", **options)
    nn.init.normal_(layer.bias)
    return layer


settings_drawn = {
    "side": st.sampled_from([3, 5, 7, 9, 11]),
    "mode": st.sampled_from(["radial", "index"]),
    "rings": st.sampled_from([None, 2, 7]),
    "channels": st.sampled_from([1, 3, 7, 16, 40]),
    "outputs": st.sampled_from([1, 16, 40]),
    "dtype": st.sampled_from([torch.float32, torch.bfloat16]),
    "height": st.integers(1, 40),
    "width": st.integers(1, 40),
    "seed": st.integers(0, 999),
}


@settings(deadline=None, max_examples=40)
@given(**settings_drawn)
def test_it_computes_what_the_dense_way_computes_bitwise_in_all_orientations(
    side: int,
    mode: str,
    rings: int | None,
    channels: int,
    outputs: int,
    dtype: torch.dtype,
    height: int,
    width: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    layer = make(channels, outputs, side, mode=mode, rings=rings)
    x = torch.randn(2, channels, height, width).to(dtype)
    with torch.no_grad():
        out = layer(x)
        assert out.dtype == dtype
        for turn in TURNS:
            assert torch.equal(layer(oriented(x, *turn)), oriented(out, *turn))
        expected = dense(x.double(), layer.double().as_rings())
    assert float((out - expected).abs().max()) <= TOLERANCE[dtype] * float(expected.abs().max())


def test_the_dense_way_is_not_bitwise_the_same_turned() -> None:
    torch.manual_seed(0)
    layer = GMRConv2d(16, 16, 9, impl="dense")
    x = torch.randn(1, 16, 32, 48)
    with torch.no_grad():
        out = layer(x)
        assert not all(torch.equal(layer(oriented(x, *turn)), oriented(out, *turn)) for turn in TURNS)


def test_many_channels_are_summed_in_chunks_with_the_same_result() -> None:
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.bfloat16):
        layer = make(200, 70, 9)
        x = torch.randn(1, 200, 17, 33).to(dtype)
        with torch.no_grad():
            out = layer(x)
            assert torch.equal(layer(x.flip(-1)), out.flip(-1))
            expected = dense(x.double(), layer.double().as_rings())
        assert float((out - expected).abs().max()) <= TOLERANCE[dtype] * float(expected.abs().max())


@pytest.mark.parametrize("padding", [0, 1, 4, 7])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_any_padding_is_kept(padding: int, mode: str) -> None:
    layer = make(4, 5, 9, padding=padding, padding_mode=mode)
    x = torch.randn(1, 4, 20, 9)
    with torch.no_grad():
        fused_out = layer(x)
        layer.impl = "dense"
        torch.testing.assert_close(fused_out, layer(x), rtol=1e-5, atol=1e-5)


def test_threads_do_not_change_a_bit() -> None:
    layer, x, threads = make(16, 16, 9), torch.randn(3, 16, 50, 50), torch.get_num_threads()
    packed = pack(layer.as_rings(), torch.float32)
    try:
        outs = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            outs.append(run(x, packed))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(outs[0], outs[2])


@pytest.mark.parametrize("mode", ["radial", "index"])
@pytest.mark.parametrize("padding", [None, 0])
def test_its_gradients_are_those_of_the_dense_way(mode: str, padding: int | None) -> None:
    torch.manual_seed(3)
    layer = make(6, 9, 5, mode=mode, padding=padding)
    x = torch.randn(2, 6, 11, 13, requires_grad=True)
    grads = {}
    for impl in ("fused", "dense"):
        layer.impl = impl
        parameters = (x, layer.weight, layer.log_sigma, layer.bias)
        grads[impl] = torch.autograd.grad(layer(x).square().sum(), parameters)
    for found, expected in zip(grads["fused"], grads["dense"], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kernel_size", [3, 5, 7, 9, 11])
@pytest.mark.parametrize(("channels", "outputs"), [(3, 1), (6, 16), (20, 40)])
def test_weight_gradients_of_every_side_and_block(kernel_size: int, channels: int, outputs: int) -> None:
    torch.manual_seed(4)
    layer = make(channels, outputs, kernel_size)
    x, back = torch.randn(2, channels, 19, 37), torch.randn(2, outputs, 19, 37)
    grads = {}
    for impl in ("fused", "dense"):
        layer.impl = impl
        grads[impl] = torch.autograd.grad((layer(x) * back).sum(), (layer.weight, layer.log_sigma))
    for found, expected in zip(grads["fused"], grads["dense"], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_weight_gradients_are_the_same_twice_with_two_threads() -> None:
    threads = torch.get_num_threads()
    layer, x = make(16, 16, 5), torch.randn(3, 16, 70, 70)
    try:
        torch.set_num_threads(2)
        first, second = (torch.autograd.grad(layer(x).square().sum(), layer.weight)[0] for _ in range(2))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(first, second)


def test_it_runs_under_autocast() -> None:
    layer, x = make(3, 4, 5), torch.randn(1, 3, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize(
    "options", [{"groups": 2}, {"dilation": 2}, {"kernel_size": 13}, {"dtype": torch.float64}]
)
def test_what_it_does_not_cover_falls_back(options: dict[str, object]) -> None:
    kernel_size = options.pop("kernel_size", 5)
    layer = GMRConv2d(4, 4, kernel_size, impl="fused", **options)
    assert not supports(layer.as_rings(), torch.device("cpu"), layer.weight.dtype)
    assert layer(torch.randn(1, 4, 12, 12, dtype=layer.weight.dtype)).shape == (1, 4, 12, 12)


def test_wrong_inputs_are_refused() -> None:
    packed = pack(make(4, 4, 5, padding=0).as_rings(), torch.float32)
    with pytest.raises(ValueError, match="4 input channels"):
        run(torch.randn(1, 3, 9, 9), packed)
    with pytest.raises(ValueError, match="too few"):
        run(torch.randn(1, 4, 4, 9), packed)


def test_the_processor_has_a_name() -> None:
    assert cpu_kind().startswith("cpu")
