"""The ring convolution: its formulas, its symmetry, and what it refuses."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from wsipipe.errors import ModelError
from wsipipe.models.gmr import GMRConv2d, GMRConv3d, Mode, fuse, param_groups
from wsipipe.models.kernels.dispatch import Impl
from wsipipe.models.kernels.rings import radius_table

TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def oriented(x: torch.Tensor, turns: int, mirrored: bool) -> torch.Tensor:
    turned = torch.rot90(x, turns, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned


@pytest.mark.parametrize(("side", "masked"), [(3, 0), (5, 4), (7, 12), (9, 12), (11, 24)])
def test_the_circular_mask_has_the_papers_size(side: int, masked: int) -> None:
    layer = GMRConv2d(2, 3, side)
    assert int((layer.kernel() == 0).all(0).all(0).sum()) == masked


@settings(deadline=None, max_examples=25)
@given(
    side=st.sampled_from([1, 3, 5, 7, 9, 11]),
    mode=st.sampled_from(["radial", "index", "narrow"]),
    seed=st.integers(0, 99),
)
def test_the_kernel_is_bitwise_the_same_in_all_eight_orientations(side: int, mode: str, seed: int) -> None:
    torch.manual_seed(seed)
    kernel = GMRConv2d(4, 6, side, groups=2, mode=mode).kernel()
    assert all(torch.equal(oriented(kernel, *turn), kernel) for turn in TURNS)


def test_an_ordinary_kernel_is_not_the_same_turned() -> None:
    kernel = nn.Conv2d(4, 6, 9).weight
    assert not torch.equal(oriented(kernel, 1, False), kernel)


@pytest.mark.parametrize(
    ("mode", "rings", "spacing", "sigma"), [("radial", 5, 9 / 8, 9 / 8 / 2.355), ("narrow", 6, 0.8, 0.65)]
)
def test_the_kernel_follows_the_papers_formula(mode: Mode, rings: int, spacing: float, sigma: float) -> None:
    layer = GMRConv2d(2, 3, 9, mode=mode)
    kernel = layer.kernel()
    for v, u in [(0, 0), (0, 1), (2, 3), (4, 2), (0, 4)]:
        radius = math.hypot(v, u)
        gauss = [math.exp(-((radius - i * spacing) ** 2) / (2 * sigma**2)) for i in range(rings)]
        expected = layer.weight @ torch.tensor(gauss)
        torch.testing.assert_close(kernel[:, :, 4 + v, 4 - u], expected)


def test_the_index_kernel_has_the_authors_rings() -> None:
    layer = GMRConv2d(2, 3, 9, mode="index")
    kernel = layer.kernel()
    hard = [[(0, 0)], [(0, 1), (1, 1)], [(0, 2), (1, 2)], [(2, 2), (0, 3), (1, 3)], [(2, 3), (0, 4), (4, 2)]]
    sigma = 9 / 8 / 2.355
    for j, cells in enumerate(hard):
        mix = [math.exp(-((j - i) ** 2) / (2 * sigma**2)) / (2.5066 * sigma) for i in range(5)]
        for v, u in cells:
            torch.testing.assert_close(kernel[:, :, 4 + v, 4 + u], layer.weight @ torch.tensor(mix))
    radii, index = radius_table(9)
    rings = torch.floor(radii * 10 / 9)[index[index < len(radii)]]
    assert torch.bincount(rings.long()).tolist() == [1, 8, 12, 16, 32]


@pytest.mark.parametrize("side", [1, 3, 5, 7, 9, 11, 13])
def test_every_narrow_ring_lies_inside_the_mask_and_no_more_would(side: int) -> None:
    layer = GMRConv2d(1, 1, side, mode="narrow")
    last = (layer.rings - 1) * layer.ring_spacing
    assert last < side / 2 <= last + layer.ring_spacing or side == 1


@pytest.mark.parametrize("side", [3, 5, 7, 9, 11])
@pytest.mark.parametrize("impl", ["two_step", "fused", "auto"])
def test_every_way_computes_a_narrow_layer(impl: Impl, side: int) -> None:
    torch.manual_seed(0)
    layer = GMRConv2d(5, 20, side, mode="narrow", impl="dense")
    x = torch.randn(2, 5, 18, 23, requires_grad=True)
    slope = torch.randn(2, 20, 18, 23)
    wanted = layer(x)
    gradients = torch.autograd.grad((wanted * slope).sum(), [x, *layer.parameters()])
    layer.impl = impl
    found = layer(x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    for one, other in zip(
        torch.autograd.grad((found * slope).sum(), [x, *layer.parameters()]), gradients, strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_narrow_rings_turn_by_any_angle_with_less_error() -> None:
    """A wave of 0.2 cycles/px through 9 px kernels, and the same turned by 45 degrees, at the centre."""
    places = torch.cartesian_prod(*[torch.arange(9.0) - 4] * 2)
    errors = {}
    for mode in ("radial", "index", "narrow"):
        torch.manual_seed(0)
        kernel = GMRConv2d(8, 64, 9, mode=mode).kernel().detach().flatten(2)
        straight, turned = (
            kernel @ torch.cos(0.4 * math.pi * places @ torch.tensor([math.cos(angle), math.sin(angle)]))
            for angle in (0.0, math.pi / 4)
        )
        errors[mode] = float((turned - straight).norm() / straight.norm())
    assert 5 * errors["narrow"] < errors["radial"] < errors["index"]


def test_ring_widths_are_clipped() -> None:
    layer = GMRConv2d(1, 1, 5)
    with torch.no_grad():
        layer.log_sigma.fill_(-50)
    assert torch.isfinite(layer.kernel()).all()


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_every_path_commutes_with_turns(mode: str) -> None:
    torch.manual_seed(1)
    layer = GMRConv2d(4, 6, 5, dilation=2, groups=2, padding_mode=mode).double()
    x = torch.randn(1, 4, 14, 18, dtype=torch.float64)
    for turn in TURNS:
        torch.testing.assert_close(layer(oriented(x, *turn)), oriented(layer(x), *turn), rtol=0, atol=1e-12)
    assert layer(x).shape == (1, 6, 14, 18)


def test_the_gradient_is_that_of_the_formula() -> None:
    layer = GMRConv2d(2, 2, 5).double()
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)

    def out(weight: torch.Tensor, log_sigma: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "log_sigma": log_sigma}, (x,))

    assert torch.autograd.gradcheck(out, (layer.weight, layer.log_sigma))


def test_the_basis_stays_float32_under_autocast() -> None:
    layer = GMRConv2d(3, 8, 9)
    expected = layer.kernel()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.kernel(), expected)
        assert layer(torch.zeros(1, 3, 9, 9)).dtype == torch.bfloat16


def test_the_initial_gain_keeps_the_scale_of_noise() -> None:
    torch.manual_seed(0)
    layer = GMRConv2d(64, 256, 9, bias=False)
    inner = functional.relu(layer(torch.randn(1, 64, 32, 32)))[..., 4:-4, 4:-4]
    assert float(inner.detach().square().mean()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("kernel_size", [4, (3, 5), 0])
def test_even_or_oblong_kernels_are_refused(kernel_size: int | tuple[int, int]) -> None:
    with pytest.raises(ModelError, match="odd side"):
        GMRConv2d(3, 3, kernel_size)


def test_strides_are_refused_with_the_way_out() -> None:
    with pytest.raises(ModelError, match="Average pooling"):
        GMRConv2d(3, 3, 5, 2)
    assert GMRConv2d(3, 3, (5, 5), (1, 1)).kernel_size == 5


@pytest.mark.parametrize(
    "options",
    [
        {"groups": 2},
        {"groups": 0},
        {"mode": "polar"},
        {"rings": 1},
        {"impl": "fastest"},
        {"padding_mode": "mirror"},
        {"padding": "full"},
        {"padding": (1, 2)},
        {"dilation": (1, 2)},
    ],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        GMRConv2d(3, 4, 5, **options)


@pytest.mark.parametrize("modes", [("radial", "index"), ("index", "radial"), ("radial", "narrow")])
def test_a_checkpoint_of_another_mode_is_refused_with_the_way_out(
    modes: tuple[Mode, Mode], tmp_path: Path
) -> None:
    saved, other = (nn.Sequential(GMRConv2d(3, 4, 9, mode=mode, rings=5)) for mode in modes)
    torch.save(saved.state_dict(), tmp_path / "weights.pt")
    state = torch.load(tmp_path / "weights.pt")
    with pytest.raises(ModelError, match=rf"0 is of mode '{modes[0]}'.*Build the model with mode="):
        other.load_state_dict(state)
    saved.load_state_dict(state)
    other.load_state_dict(dict(state))  # Names alone do not tell the mode.


def test_ring_widths_and_norms_do_not_decay() -> None:
    model = nn.Sequential(GMRConv2d(3, 4, 5), nn.BatchNorm2d(4))
    decayed, free = param_groups(model, 0.1)
    assert [p.ndim for p in decayed["params"]] == [3]
    assert free["weight_decay"] == 0
    assert len(free["params"]) == 4


@pytest.mark.parametrize("groups", [1, 2])
def test_the_fused_convolution_computes_the_same(groups: int) -> None:
    torch.manual_seed(2)
    conv, norm = GMRConv2d(4, 6, 5, groups=groups).double(), nn.BatchNorm2d(6).double()
    x = torch.randn(2, 4, 12, 10, dtype=torch.float64)
    norm(conv(x))
    norm.eval()
    plain = fuse(conv, norm)
    assert type(plain) is nn.Conv2d
    torch.testing.assert_close(plain(x), norm(conv(x)), rtol=0, atol=1e-12)
    torch.testing.assert_close(fuse(conv)(x), conv(x), rtol=0, atol=1e-12)


def test_nan_weights_are_refused_when_folded() -> None:
    layer = GMRConv2d(3, 4, 5)
    with torch.no_grad():
        layer.weight[0, 0, 0] = math.nan
    with pytest.raises(ModelError, match="NaN"):
        layer.fuse()


@pytest.mark.parametrize(("padding", "side"), [(None, 9), ("same", 9), ("valid", 5), (1, 7), ((2, 2), 9)])
def test_padding_is_given_as_for_a_plain_convolution(padding: object, side: int) -> None:
    assert GMRConv2d(1, 1, 5, padding=padding)(torch.zeros(1, 1, 9, 9)).shape[-1] == side


def turned3d(x: torch.Tensor, axes: tuple[int, int]) -> torch.Tensor:
    return torch.rot90(x, 1, dims=axes)


@pytest.mark.parametrize("impl", ["dense", "two_step", "auto"])
@pytest.mark.parametrize("axes", [(2, 3), (3, 4), (2, 4)])
def test_the_3d_layer_commutes_with_turns_about_every_axis(impl: str, axes: tuple[int, int]) -> None:
    torch.manual_seed(4)
    layer = GMRConv3d(4, 6, 3, groups=2, impl=impl).double()
    x = torch.randn(1, 4, 5, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(layer(turned3d(x, axes)), turned3d(layer(x), axes), rtol=0, atol=1e-12)


def test_an_ordinary_3d_layer_does_not() -> None:
    layer = nn.Conv3d(1, 1, 3, padding=1)
    x = torch.randn(1, 1, 4, 4, 4)
    assert not torch.allclose(layer(turned3d(x, (2, 3))), turned3d(layer(x), (2, 3)), atol=1e-3)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("layer", [GMRConv2d(4, 6, 5, groups=2, dilation=2), GMRConv3d(4, 6, 3)])
def test_two_step_is_dense_in_every_setting(layer: GMRConv2d | GMRConv3d, mode: str) -> None:
    layer = layer.double()
    layer.padding_mode = mode
    x = torch.randn(2, 4, *(6, 7, 8)[: layer.dims], dtype=torch.float64)
    layer.impl = "dense"
    dense = layer(x)
    layer.impl = "two_step"
    torch.testing.assert_close(layer(x), dense, rtol=0, atol=1e-12)


def test_a_3d_layer_folds_its_norm() -> None:
    conv, norm = GMRConv3d(2, 3, 3).double(), nn.BatchNorm3d(3).double()
    x = torch.randn(2, 2, 5, 5, 5, dtype=torch.float64)
    norm(conv(x))
    norm.eval()
    plain = conv.fuse(norm)
    assert type(plain) is nn.Conv3d
    torch.testing.assert_close(plain(x), norm(conv(x)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["radial", "index", "narrow"])
@pytest.mark.parametrize(("side", "rings"), [(3, 7), (5, 9)])
def test_more_rings_than_radii_start_finite(mode: str, side: int, rings: int) -> None:
    assert torch.isfinite(GMRConv2d(2, 3, side, mode=mode, rings=rings).kernel()).all()
