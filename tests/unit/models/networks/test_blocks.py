"""Shared parts: how far layers read, what is folded, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.networks.blocks import ConvNorm, check_divisible, check_stages, folded, gmr_conv
from wsipipe.models.networks.halo import POOL, before, dense_halo

STEPS = [(1, 1), (3, 1), (5, 1), (9, 1), (7, 2), (3, 2), POOL]


@settings(deadline=None, max_examples=25)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=4))
def test_what_a_px_reads_is_what_its_gradient_reaches(steps: list[tuple[int, int]]) -> None:
    layers = [nn.Conv1d(1, 1, side, stride, (side - 1) // 2, bias=False) for side, stride in steps]
    for layer in layers:
        nn.init.ones_(layer.weight)
    x = torch.zeros(1, 1, 256, requires_grad=True)
    out = nn.Sequential(*layers)(x)
    middle = out.shape[2] // 2
    out[0, 0, middle].backward()
    touched = x.grad[0, 0].nonzero().flatten()
    span = (middle, middle)
    for step in reversed(steps):
        span = before(span, step)
    assert (int(touched.min()), int(touched.max())) == span


def test_the_halo_is_whole_cells_and_grows_with_the_window() -> None:
    steps = [(5, 1), POOL, (9, 1), POOL]
    assert dense_halo(steps, 1) == 12
    assert dense_halo(steps, 3) == 16


@pytest.mark.parametrize("groups", [1, 4])
def test_factories_keep_the_size(groups: int) -> None:
    conv = gmr_conv("index")(4, 8, 5, groups=groups)
    assert conv(torch.zeros(1, 4, 6, 7)).shape == (1, 8, 6, 7)
    assert (conv.mode, conv.groups, conv.bias) == ("index", groups, None)


def test_lonely_ring_convolutions_are_folded_too() -> None:
    network = nn.Sequential(ConvNorm(GMRConv2d(3, 4, 5)), GMRConv2d(4, 4, 3))
    plain = folded(network)
    assert [type(module) for module in plain] == [nn.Conv2d, nn.Conv2d]
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(plain(x), network.eval()(x), rtol=1e-4, atol=1e-5)


def test_extents_and_stages_that_do_not_fit_are_refused_with_the_way_out() -> None:
    with pytest.raises(ModelError, match=r"10 x 16 px; .* multiples of 8 .* 16 x 16 px"):
        check_divisible(torch.zeros(1, 3, 10, 16), 8)
    with pytest.raises(ModelError, match="give 4"):
        check_stages((9, 9, 5), 4)
