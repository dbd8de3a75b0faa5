"""The authors' weights: the same numbers out of our networks, and a clear no to what cannot be the same.

GMR-Conv 1.0.3 is an oracle here, never a dependency; without it these tests are skipped.
"""

import sys
import types
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.conversion.gmr_conv_checkpoints import load_reference_state
from wsipipe.models.networks.resnet import GMRResNet, gmr_resnet50
from wsipipe.models.networks.unet import GMRUNet

MISSING = "the authors' weights are NOT compared: pip install GMR-Conv==1.0.3"
KERNELS = [9, 9, 5, 5]
RESNET = {"inplanes": 8, "gmr_conv_size": KERNELS, "num_classes": 3}
UNET = {
    "spatial_dims": 2,
    "in_channels": 3,
    "out_channels": 2,
    "features": (4, 8, 12, 16, 0, 4),
    "act": "relu",
    "norm": "batch",
    "upsample": "nontrainable",
    "kernels": (*KERNELS, 3),
    "force_circular": True,
    "gaussian_smooth": True,
    "layers": 3,
    "pooling_type": "AVG",
}


@pytest.fixture(scope="module")
def authors() -> types.ModuleType:
    """The package; torchio, which only its augmentations use, is stood in for."""
    if "torchio" not in sys.modules:
        sys.modules["torchio"] = types.ModuleType("torchio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("GMR_Conv", reason=MISSING, exc_type=ImportError)


@pytest.fixture(scope="module")
def authors_unet(authors: types.ModuleType) -> Callable[..., nn.Module]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("GMR_Conv.gmr_unet", reason=MISSING, exc_type=ImportError).GMRUNet


def shaken(network: nn.Module) -> nn.Module:
    """Every parameter moved, in float64: nothing is left at its start."""
    generator = torch.Generator().manual_seed(1)
    network.double()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return network.eval()


def trained(network: nn.Module, x: torch.Tensor) -> nn.Module:
    """Shaken, norms set from a batch."""
    for module in shaken(network).modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(x)
    return network.eval()


def difference(ours: nn.Module, theirs: nn.Module, x: torch.Tensor) -> float:
    """Largest, of the largest value."""
    with torch.inference_mode():
        expected = theirs(x)
        return float((ours(x) - expected).abs().max() / expected.abs().max())


def built(make: Callable[..., nn.Module], **arguments: object) -> nn.Module:
    """Their constructor prints or warns."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(**arguments)


@pytest.mark.parametrize("name", ["gmr_resnet18", "gmr_resnet50"])
def test_their_resnets_give_the_same_scores(authors: types.ModuleType, name: str) -> None:
    x = torch.randn(2, 3, 48, 64, dtype=torch.float64)
    theirs = trained(built(getattr(authors, name), **RESNET), x)
    make = gmr_resnet50 if name.endswith("50") else GMRResNet
    ours = make(3, width=8, mode="index").double().eval()
    load_reference_state(ours, theirs.state_dict())
    assert difference(ours, theirs, x) <= 1e-10
    fresh = shaken(built(getattr(authors, name), **RESNET)).float()
    load_reference_state(ours.float(), fresh.state_dict())
    assert difference(ours, fresh, x.float()) <= 1e-5


def test_their_kernels_are_the_same(authors: types.ModuleType) -> None:
    theirs = trained(built(authors.gmr_resnet18, **RESNET), torch.randn(2, 3, 32, 32).double())
    ours = GMRResNet(3, width=8, mode="index").double()
    load_reference_state(ours, theirs.state_dict())
    kernel = theirs.layer2[0].conv1[1]._make_weight_matrix(theirs.layer2[0].conv1[1].weight)
    torch.testing.assert_close(ours.blocks[2].first.conv.kernel(), kernel, rtol=0, atol=1e-12)


def test_their_unet_gives_the_same_maps(authors_unet: Callable[..., nn.Module]) -> None:
    x = torch.randn(2, 3, 48, 32, dtype=torch.float64)
    theirs = built(authors_unet, **UNET)
    for module in theirs.modules():
        if isinstance(module, nn.Upsample):
            module.align_corners = False
    trained(theirs, x)
    ours = GMRUNet(widths=(4, 8, 12, 16), mode="index", bridge=True).double().eval()
    load_reference_state(ours, theirs.state_dict())
    assert difference(ours, theirs, x) <= 1e-10


@pytest.mark.parametrize(
    "change",
    [
        {"norm": ("instance", {"affine": True})},
        {"force_circular": False},
        {"gaussian_smooth": False},
        {"upsample": "deconv"},
        {"layers": 2},
    ],
)
def test_other_unets_are_refused(authors_unet: Callable[..., nn.Module], change: dict[str, object]) -> None:
    theirs = built(authors_unet, **(UNET | change))
    ours = GMRUNet(widths=(4, 8, 12, 16), mode="index", bridge=True)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with pytest.raises(ModelError, match=r"BatchNorm|does not fit"):
        load_reference_state(ours, theirs.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.state_dict().items())


def test_learnt_rings_are_refused(authors: types.ModuleType) -> None:
    state = built(authors.gmr_resnet18, **RESNET).state_dict()
    state["layer3.1.conv2.weight_index_mat"] = state["layer3.1.conv2.weight_index_mat"] + 0.1
    with pytest.raises(ModelError, match=r"blocks.5.second.conv.* other rings"):
        load_reference_state(GMRResNet(3, width=8, mode="index"), state)


def test_another_size_is_refused_by_the_name_of_the_tensor(authors: types.ModuleType) -> None:
    state = built(authors.gmr_resnet18, **RESNET).state_dict()
    with pytest.raises(ModelError, match=r"blocks.0.first.conv.log_sigma: it has \(5,\), the model \(3,\)"):
        load_reference_state(GMRResNet(3, width=8, mode="index", kernel_sizes=(5, 5, 5, 5)), state)


def test_the_other_mode_is_refused() -> None:
    with pytest.raises(ModelError, match="build it with mode='index'"):
        load_reference_state(GMRResNet(3, width=4), {})


def test_nan_is_refused() -> None:
    with pytest.raises(ModelError, match=r"NaN or infinity in conv1.weight"):
        load_reference_state(GMRUNet(mode="index"), {"conv1.weight": torch.tensor([float("nan")])})


def test_an_empty_checkpoint_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing"):
        load_reference_state(GMRResNet(3, width=4, mode="index"), {})


def test_a_network_without_counterpart_is_refused() -> None:
    from wsipipe.models.networks.densenet import GMRDenseNet

    small = GMRDenseNet(2, width=4, growth=2, depths=(1, 1), kernel_sizes=(3, 3), mode="index")
    with pytest.raises(ModelError, match="no counterpart"):
        load_reference_state(small, {})
