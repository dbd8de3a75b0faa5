import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.models.gmr import GMRConv2d, GMRConv3d
from wsipipe.models.networks.registry import build
from wsipipe.models.ring_whitening import (
    FLOOR,
    add_whitening,
    remove_whitening,
    ring_covariance,
    whitening_matrix,
)

SMALL = {"in_channels": 3, "out_channels": 2, "widths": [4, 8], "kernel_sizes": [9, 5]}


@given(side=st.sampled_from([3, 5, 7, 9, 11]), mode=st.sampled_from(["radial", "index"]))
@settings(deadline=None, max_examples=10)
def test_rings_become_uncorrelated(side: int, mode: str) -> None:
    covariance = ring_covariance(GMRConv2d(1, 1, side, mode=mode))
    matrix = whitening_matrix(covariance)
    values = torch.linalg.eigvalsh(matrix @ covariance @ matrix)
    kept = torch.linalg.eigvalsh(covariance) / torch.linalg.eigvalsh(covariance).max() > FLOOR
    torch.testing.assert_close(values[-int(kept.sum()) :], torch.ones(int(kept.sum())).double())


def test_they_were_correlated() -> None:
    values = torch.linalg.eigvalsh(ring_covariance(GMRConv2d(1, 1, 9)))
    assert values.max() > 1000 * values.min()


def test_made_white_images_have_uncorrelated_rings_too() -> None:
    # the assumed correlation against a field that really has it
    torch.manual_seed(0)
    layer = GMRConv2d(1, 5, 5, bias=False, padding=0)
    axis = torch.arange(24, dtype=torch.float64)
    cells = torch.cartesian_prod(axis, axis)
    root = torch.linalg.cholesky(torch.exp(-torch.cdist(cells, cells) / 3) + 0.02 * torch.eye(len(cells)))
    images = (root @ torch.randn(len(cells), 200).double()).T.reshape(200, 1, 24, 24).float()
    with torch.no_grad():
        layer.weight.copy_(torch.nn.functional.pad(torch.eye(3), (0, 0, 0, 2))[:, None])
        rings = layer(images)[:, :3].transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.cov(rings), ring_covariance(layer).float(), rtol=0.1, atol=0.5)


def test_the_function_stays_and_so_does_the_file() -> None:
    network = build("gmr_unet", SMALL, "radial").eval()
    x = torch.randn(1, 3, 16, 16)
    before, names = network(x), list(network.state_dict())
    add_whitening(network, draw=False)
    torch.testing.assert_close(network(x), before, rtol=1e-3, atol=1e-4)
    assert set(network.state_dict()) != set(names)
    remove_whitening(network)
    assert set(network.state_dict()) == set(names)
    torch.testing.assert_close(network(x), before, rtol=1e-3, atol=1e-4)


def test_gradients_reach_the_training_coordinates() -> None:
    network = add_whitening(build("gmr_unet", SMALL, "radial"))
    network(torch.randn(1, 3, 16, 16)).square().mean().backward()
    raw = [value for name, value in network.named_parameters() if name.endswith("weight.original")]
    assert raw
    assert all(float(value.grad.abs().max()) > 0 for value in raw)


def test_a_copy_is_plain_while_training_goes_on() -> None:
    network = add_whitening(build("gmr_unet", SMALL, "radial"))
    plain = remove_whitening(copy.deepcopy(network))
    build("gmr_unet", SMALL, "radial").load_state_dict(plain.state_dict())
    with pytest.raises(RuntimeError):
        build("gmr_unet", SMALL, "radial").load_state_dict(network.state_dict())


def test_three_dimensions() -> None:
    layer = add_whitening(GMRConv3d(2, 3, 3))
    assert layer(torch.randn(1, 2, 5, 5, 5)).shape == (1, 3, 5, 5, 5)
