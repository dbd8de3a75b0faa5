"""Orientation-equivariant networks, their weights and inference.

The networks commute with the eight orientations of the pixel grid. Each name is imported when first used, so
that ``import wsipipe.models`` does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsipipe.models.cards.card import ModelCard
    from wsipipe.models.cards.weights import known_models, read_card
    from wsipipe.models.certificate.certify import certify
    from wsipipe.models.certificate.record import Certificate
    from wsipipe.models.conversion.gmr_conv_checkpoints import load_reference_state
    from wsipipe.models.conversion.to_gmr import convert_to_gmr
    from wsipipe.models.gmr import GMRConv2d, GMRConv3d, fuse, param_groups
    from wsipipe.models.networks.convnext import gmr_convnext_tiny
    from wsipipe.models.networks.densenet import gmr_densenet121, gmr_densenet161
    from wsipipe.models.networks.r3d import gmr_r3d
    from wsipipe.models.networks.registry import build, load, save
    from wsipipe.models.networks.resnet import gmr_resnet18, gmr_resnet34, gmr_resnet50
    from wsipipe.models.networks.unet import gmr_unet
    from wsipipe.models.predictor import Predictor, load_predictor

_HOMES = {
    "Certificate": "wsipipe.models.certificate.record",
    "GMRConv2d": "wsipipe.models.gmr",
    "GMRConv3d": "wsipipe.models.gmr",
    "ModelCard": "wsipipe.models.cards.card",
    "Predictor": "wsipipe.models.predictor",
    "build": "wsipipe.models.networks.registry",
    "certify": "wsipipe.models.certificate.certify",
    "convert_to_gmr": "wsipipe.models.conversion.to_gmr",
    "fuse": "wsipipe.models.gmr",
    "gmr_convnext_tiny": "wsipipe.models.networks.convnext",
    "gmr_densenet121": "wsipipe.models.networks.densenet",
    "gmr_densenet161": "wsipipe.models.networks.densenet",
    "gmr_r3d": "wsipipe.models.networks.r3d",
    "gmr_resnet18": "wsipipe.models.networks.resnet",
    "gmr_resnet34": "wsipipe.models.networks.resnet",
    "gmr_resnet50": "wsipipe.models.networks.resnet",
    "gmr_unet": "wsipipe.models.networks.unet",
    "known_models": "wsipipe.models.cards.weights",
    "load": "wsipipe.models.networks.registry",
    "load_predictor": "wsipipe.models.predictor",
    "load_reference_state": "wsipipe.models.conversion.gmr_conv_checkpoints",
    "param_groups": "wsipipe.models.gmr",
    "read_card": "wsipipe.models.cards.weights",
    "save": "wsipipe.models.networks.registry",
}

__all__ = [
    "Certificate",
    "GMRConv2d",
    "GMRConv3d",
    "ModelCard",
    "Predictor",
    "build",
    "certify",
    "convert_to_gmr",
    "fuse",
    "gmr_convnext_tiny",
    "gmr_densenet121",
    "gmr_densenet161",
    "gmr_r3d",
    "gmr_resnet18",
    "gmr_resnet34",
    "gmr_resnet50",
    "gmr_unet",
    "known_models",
    "load",
    "load_predictor",
    "load_reference_state",
    "param_groups",
    "read_card",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wsipipe.models' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
