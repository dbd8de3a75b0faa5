"""Every network commutes with the eight orientations at any size of its lattice, in float64 and in float32.

``benchmarks/gmr_sizes.py`` runs all sizes between 64 and 512 px; here hypothesis draws a few.
"""

from functools import cache, partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.equivariance import perturbed_copy
from wsipipe.models.certificate.layer_outputs import TURNS, relative_error
from wsipipe.models.freeze import freeze
from wsipipe.models.networks.baselines import plain_unet
from wsipipe.models.networks.blocks import folded
from wsipipe.models.networks.convnext import GMRConvNeXt
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.networks.densenet import GMRDenseNet
from wsipipe.models.networks.resnet import Bottleneck, GMRResNet
from wsipipe.models.networks.unet import GMRUNet

SIDES = (5, 3, 3, 3)
SMALL = {
    "unet": partial(GMRUNet, widths=(4, 6, 8, 10), kernel_sizes=SIDES),
    "narrow unet": partial(GMRUNet, widths=(4, 6, 8, 10), kernel_sizes=SIDES, mode="narrow"),
    "resnet": partial(GMRResNet, 3, width=4, kernel_sizes=SIDES),
    "bottlenecks": partial(
        GMRResNet, 3, width=4, kernel_sizes=SIDES, mode="index", block=Bottleneck, depths=(1,) * 4
    ),
    "densenet": partial(GMRDenseNet, 3, width=4, growth=2, depths=(1, 2, 1), kernel_sizes=(5, 3, 3)),
    "convnext": partial(GMRConvNeXt, 3, width=4, depths=(1, 1), kernel_sizes=(5, 3)),
}
TWIN = partial(plain_unet, widths=(4, 6, 8, 10))


@cache
def network_of(name: str) -> nn.Module:
    """In float64, nothing in it zero, norms set from noise."""
    torch.manual_seed(0)
    made = TWIN() if name == "twin" else SMALL[name]()
    return perturbed_copy(made, torch.randn(2, 3, 64, 96))


def error_of(network: nn.Module, height: int, width: int, dtype: torch.dtype) -> float:
    """Relative error of the scores, or in float32 of probabilities, under a quarter turn and a mirror."""
    scores = network.logit_map if isinstance(network, DenseClassifier) else network

    def run(image: torch.Tensor) -> torch.Tensor:
        return scores(image).sigmoid() if dtype == torch.float32 else scores(image)

    x = torch.randn(1, 3, height, width, dtype=dtype)
    with torch.inference_mode():
        straight = run(x)
        return max(relative_error(run(turn(x, (2, 3))), turn(straight, (2, 3))) for turn in TURNS)


@pytest.mark.parametrize("name", SMALL)
@settings(deadline=None, max_examples=3)
@given(height=st.integers(1, 6), width=st.integers(1, 6))
def test_it_commutes_at_any_size_of_its_lattice(name: str, height: int, width: int) -> None:
    network = network_of(name)
    height, width = 32 + height * network.lattice_px, 32 + width * network.lattice_px
    assert error_of(network, height, width, torch.float64) <= 1e-12
    assert error_of(folded(network).float(), height, width, torch.float32) <= 1e-5


@pytest.mark.parametrize("name", ["unet", "narrow unet", "resnet", "densenet"])
@settings(deadline=None, max_examples=3)
@given(
    height=st.integers(1, 6), width=st.integers(1, 6), dtype=st.sampled_from([torch.float32, torch.bfloat16])
)
def test_by_ring_kernels_it_commutes_to_the_bit(
    name: str, height: int, width: int, dtype: torch.dtype
) -> None:
    """But for the head of a classifier, summed in float64."""
    network = network_of(name)
    height, width = 32 + height * network.lattice_px, 32 + width * network.lattice_px
    error = error_of(freeze(network.float(), dtype, exact=True), height, width, dtype)
    network.double()
    assert error <= (1e-14 if isinstance(network, DenseClassifier) else 0)


def test_the_plain_twin_does_not() -> None:
    assert error_of(network_of("twin"), 40, 64, torch.float64) > 0.05


@pytest.mark.parametrize("name", SMALL)
def test_extents_off_the_lattice_are_refused(name: str) -> None:
    network = network_of(name)
    with pytest.raises(ModelError, match=f"multiples of {network.lattice_px} .*Pad with white to"):
        network(torch.zeros(1, 3, 64, 64 + network.lattice_px // 2, dtype=torch.float64))
