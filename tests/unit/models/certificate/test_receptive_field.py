"""ReceptiveField by gradient: equals what is known of simple networks, and the networks' own formula."""

import pytest
import torch
from torch import nn

from wsipipe.models.certificate.receptive_field import influence_of, measure_receptive_field, strip_gradient
from wsipipe.models.certificate.subject import wrap_network
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.networks.resnet import GMRResNet18
from wsipipe.models.networks.unet import GMRUNet


@pytest.mark.parametrize("side", [1, 3, 9])
def test_a_convolution_reaches_half_its_side(side: int) -> None:
    torch.manual_seed(0)
    reach = measure_receptive_field(wrap_network(GMRConv2d(3, 2, side), "conv", torch.float32, lattice_px=1))
    assert reach.gradient_px == side // 2
    assert len(reach.influence) == side // 2


def test_it_sees_the_longer_side_of_a_crooked_kernel() -> None:
    torch.manual_seed(0)
    tall = nn.Conv2d(3, 2, (7, 3), padding=(3, 1))
    subject = wrap_network(tall, "tall", torch.float64, lattice_px=1)
    assert measure_receptive_field(subject).gradient_px == 3
    across = influence_of(strip_gradient(subject, 65, 3), 1)
    assert across.nonzero()[0].max() == 0


def test_it_agrees_with_the_formula() -> None:
    torch.manual_seed(0)
    unet = GMRUNet(widths=(4, 6, 8), kernel_sizes=(5, 3, 3))
    resnet = GMRResNet18(3, width=4, kernel_sizes=(3, 3, 3, 3), window=3)
    for network in (unet, resnet):
        reach = measure_receptive_field(wrap_network(network, "network", torch.float32))
        assert reach.formula_px == network.halo_px
        assert network.halo_px - network.lattice_px < reach.gradient_px <= network.halo_px


def test_a_norm_of_the_image_never_ends() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4))
    reach = measure_receptive_field(wrap_network(network, "norm", torch.float32, lattice_px=1))
    assert reach.gradient_px is None
    assert reach.image_px > 2000
