"""Whitened parametrisation of ring weights.

It makes gradient descent treat all rings equally. Neighbouring pixels of an image are alike, so the rings of
a kernel see nearly the same signal: at k = 9 the largest of five eigenvalues of their covariance is 1,500
times the smallest, and gradient descent learns blurs long before it learns edges. Training ``raw`` with
``weight = raw @ C ** -1/2``, where C is that covariance, makes the rings uncorrelated; the network, its
function and its file do not change.
"""

import torch
from torch import nn
from torch.nn.utils import parametrize

from wsipipe.models.gmr import GMRConv2d, GMRConv3d

CORRELATION_PX = 3.0
NOISE = 0.02
FLOOR = 3e-4


class RingWhitening(nn.Module):
    """Parametrisation ``raw`` -> ``weight`` by a fixed symmetric matrix.

    ``raw`` and ``weight`` are (out, in, n), the matrix (n, n).
    """

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.register_buffer("inverse", torch.linalg.inv(matrix))

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """Return ``weight`` (out, in, n) of ``raw`` (out, in, n)."""
        return raw @ self.matrix.to(raw.dtype)

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """Return ``raw`` (out, in, n) of ``weight`` (out, in, n)."""
        return weight @ self.inverse.to(weight.dtype)


def ring_covariance(layer: GMRConv2d | GMRConv3d, correlation_px: float = CORRELATION_PX) -> torch.Tensor:
    """Return the covariance (n, n) float64 of a layer's rings.

    It is that on images whose pixels are correlated by exp(-r / ``correlation_px``).
    """
    values = layer.basis().detach().double()
    taps = nn.functional.pad(values, (0, 1))[:, layer._cells]
    axis = torch.arange(layer.kernel_size, dtype=torch.float64)
    cells = torch.cartesian_prod(*[axis] * layer.dims)
    alike = torch.exp(-torch.cdist(cells, cells) / correlation_px) + NOISE * torch.eye(len(cells))
    return taps @ alike @ taps.T


def whitening_matrix(covariance: torch.Tensor) -> torch.Tensor:
    """Return C ** -1/2 of a covariance C (n, n).

    Eigenvalues below 3e-4 of the largest are raised to that.
    """
    values, vectors = torch.linalg.eigh(covariance)
    return vectors @ torch.diag(values.clamp(min=FLOOR * float(values.max())) ** -0.5) @ vectors.T


def add_whitening(model: nn.Module, draw: bool = True) -> nn.Module:
    """Whiten every ring convolution of ``model``, in place.

    Args:
        model: Network with GMR layers; other layers are unchanged.
        draw: Draw new weights, He-like in the whitened coordinates; else the function does not change.
    """
    for layer in ring_layers(model):
        matrix = whitening_matrix(ring_covariance(layer)).to(layer.weight)
        if draw:
            fan = layer.in_channels // layer.groups * layer.rings
            with torch.no_grad():
                layer.weight.copy_(torch.randn_like(layer.weight) * (2 / fan) ** 0.5 @ matrix)
        parametrize.register_parametrization(layer, "weight", RingWhitening(matrix))
    return model


def remove_whitening(model: nn.Module) -> nn.Module:
    """Restore plain weights in place, so that ``model`` can be saved.

    Its function does not change.
    """
    for layer in ring_layers(model):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
    return model


def ring_layers(model: nn.Module) -> list[GMRConv2d | GMRConv3d]:
    """Return the model's ring convolutions with more than one ring."""
    kinds = (GMRConv2d, GMRConv3d)
    return [layer for layer in model.modules() if isinstance(layer, kinds) and layer.kernel_size > 1]
