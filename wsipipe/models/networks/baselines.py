"""Baselines of the ring networks: ordinary (``plain_*``) and hard-ring (``symm_*``).

The plain classifiers are torchvision's, with strides and max pooling as they are, given the dense pass of
:class:`wsipipe.models.networks.blocks.DenseClassifier`; the plain U-Net is the GMR U-Net with 3x3
convolutions, ``smp_unet`` one of segmentation-models-pytorch. The ``symm_*`` networks are the ring networks
(pooling, no strides) with 3x3 kernels of three free values.

Source: Dudar and Semenov, Use of symmetric kernels for convolutional neural networks (Symm-Conv).
"""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from types import ModuleType

import torch
from torch import nn
from torch.nn.utils import parametrize

from wsipipe.common.distribution import install_command
from wsipipe.errors import ModelError
from wsipipe.models.networks.blocks import plain_conv, plain_conv3d
from wsipipe.models.networks.convnext import ChannelNorm, GMRConvNeXt
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.models.networks.densenet import GMRDenseNet
from wsipipe.models.networks.halo import POOL, Step
from wsipipe.models.networks.r3d import GMRR3D
from wsipipe.models.networks.resnet import GMRResNet, gmr_resnet50
from wsipipe.models.networks.unet import GMRUNet

SMALL = (3, 3, 3, 3)


def _library(module: str) -> ModuleType:
    """Import a module with standard networks.

    Raises:
        ModelError: Its package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ModelError(
            f"Baseline networks need {module.partition('.')[0]}: {install_command('baselines')}."
        ) from error


class PlainClassifier(DenseClassifier):
    """A torchvision classifier with a dense pass.

    (B, 3, H, W) -> class scores.

    Args:
        body: Image -> features of each cell.
        head: Features of a cell -> class scores.
        steps: (kernel side, stride) of each layer on the path with the largest receptive field.
        window: Odd number of cells along a side that :meth:`logit_map` averages.
    """

    def __init__(self, body: nn.Module, head: nn.Linear, steps: list[Step], window: int) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.steps, self.window = steps, window

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of each cell.

        Image (B, 3, H, W) -> (B, F, H / stride, W / stride).
        """
        return self.body(x)


class PlainSmpUnet(nn.Module):
    """U-Net of segmentation-models-pytorch with a ResNet-18 encoder.

    Weights are not pretrained; strides and max pooling as they are.

    Args:
        in_channels: 3 for RGB.
        out_channels: Maps of raw scores.
    """

    lattice_px, halo_px, stride = 32, 288, 1

    def __init__(self, in_channels: int = 3, out_channels: int = 2) -> None:
        smp = _library("segmentation_models_pytorch")
        super().__init__()
        self.body = smp.Unet("resnet18", encoder_weights=None, in_channels=in_channels, classes=out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw scores (B, out, H, W) of an image (B, in, H, W).

        H and W must be multiples of ``lattice_px``.
        """
        scores: torch.Tensor = self.body(x)
        return scores


def plain_resnet(
    name: str, depths: Sequence[int], convs: int, num_classes: int, window: int = 7
) -> nn.Module:
    """Return a ResNet of torchvision, with one cell per 32 px.

    ``convs`` is the number of spatial convolutions per block.
    """
    models = _library("torchvision.models")
    net = models.get_model(name, weights=None, num_classes=num_classes)
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    steps: list[Step] = [(7, 2), (3, 2)]
    for stage, depth in enumerate(depths):
        steps += [(3, 2 if stage else 1), *[(3, 1)] * (convs * depth - 1)]
    body = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, *stages)
    return PlainClassifier(body, net.fc, steps, window)


def plain_densenet(name: str, depths: Sequence[int], num_classes: int, window: int = 7) -> nn.Module:
    """Return a DenseNet of torchvision, with one cell per 32 px."""
    models = _library("torchvision.models")
    net = models.get_model(name, weights=None, num_classes=num_classes)
    steps: list[Step] = [(7, 2), (3, 2)]
    for stage, depth in enumerate(depths):
        steps += [*([POOL] if stage else []), *[(3, 1)] * depth]
    return PlainClassifier(nn.Sequential(net.features, nn.ReLU()), net.classifier, steps, window)


def plain_convnext_tiny(num_classes: int, window: int = 7) -> nn.Module:
    """Return ConvNeXt-T of torchvision, with one cell per 32 px.

    Its last norm is applied to each cell.
    """
    models = _library("torchvision.models")
    net = models.convnext_tiny(weights=None, num_classes=num_classes)
    norm, head = net.classifier[0], net.classifier[2]
    last = ChannelNorm(head.in_features, eps=norm.eps)
    last.load_state_dict(norm.state_dict())
    patches: list[Step] = [POOL, POOL]
    stages: list[Step] = [step for depth in (3, 3, 9, 3) for step in (*[(7, 1)] * depth, POOL)][:-1]
    return PlainClassifier(nn.Sequential(net.features, last), head, patches + stages, window)


class Tied(nn.Module):
    """Parametrisation with one free value per distance from the centre.

    (out, in, rings) -> (out, in, k, k[, k]).
    """

    def __init__(self, kernel_size: int, dims: int) -> None:
        super().__init__()
        offsets = torch.arange(kernel_size) - kernel_size // 2
        squared = torch.stack(torch.meshgrid(*[offsets] * dims, indexing="ij")).square().sum(0)
        rings, cells = torch.unique(squared, return_inverse=True)
        self.rings = len(rings)
        self.register_buffer("cells", cells, persistent=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the kernel (out, in, k, k[, k]) of ring values (out, in, rings)."""
        return values[..., self.cells]

    def right_inverse(self, kernel: torch.Tensor) -> torch.Tensor:
        """Return ring values (out, in, rings) of a kernel.

        They are the first tap of each ring, so that a random kernel keeps its scale.
        """
        cells = self.cells.flatten()
        first = [int((cells == ring).nonzero()[0]) for ring in range(self.rings)]
        return kernel.flatten(2)[..., first]


def symm_conv(
    in_channels: int, out_channels: int, kernel_size: int, groups: int = 1, dims: int = 2
) -> nn.Module:
    """Return a bias-free convolution with hard rings and no mask.

    The output has the same size; 3x3 has three free values.
    """
    conv = {2: plain_conv, 3: plain_conv3d}[dims](in_channels, out_channels, kernel_size, groups)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    parametrize.register_parametrization(conv, "weight", Tied(kernel_size, dims))
    return conv


plain_resnet18 = partial(plain_resnet, "resnet18", (2, 2, 2, 2), 2)
plain_resnet34 = partial(plain_resnet, "resnet34", (3, 4, 6, 3), 2)
plain_resnet50 = partial(plain_resnet, "resnet50", (3, 4, 6, 3), 1)
plain_densenet121 = partial(plain_densenet, "densenet121", (6, 12, 24, 16))
plain_densenet161 = partial(plain_densenet, "densenet161", (6, 12, 36, 24))
plain_unet = partial(GMRUNet, kernel_sizes=SMALL, conv=plain_conv)
smp_unet = PlainSmpUnet
plain_r3d = partial(GMRR3D, conv=plain_conv3d)
symm_resnet18 = partial(GMRResNet, kernel_sizes=SMALL, conv=symm_conv, stem_px=3)
symm_resnet50 = partial(gmr_resnet50, kernel_sizes=SMALL, conv=symm_conv, stem_px=3)
symm_densenet121 = partial(GMRDenseNet, kernel_sizes=SMALL, conv=symm_conv, stem_px=3)
symm_convnext_tiny = partial(GMRConvNeXt, kernel_sizes=SMALL, conv=symm_conv, stem_px=3)
symm_r3d = partial(GMRR3D, conv=partial(symm_conv, dims=3))
symm_unet = partial(GMRUNet, kernel_sizes=SMALL, conv=symm_conv)
