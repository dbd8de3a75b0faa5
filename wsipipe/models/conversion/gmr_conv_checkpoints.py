"""Import of checkpoints of the authors' package GMR-Conv 1.0.3.

They are loaded into networks in index mode. The authors' ResNets compute the same here up to rounding. Their
U-Net does where it was built with BatchNorm, ReLU, average pooling, the circular mask, Gaussian rings and
interpolation (``GMRUNet(bridge=True, ...)`` takes it); but it interpolates by corners
(``align_corners=True``), which cannot be tiled, and here by pixel centres: the same weights give slightly
different maps, which a warning says. A checkpoint does not state the activation, the kind of pooling, or
whether the stem pools: build the network like the one that was trained.
"""

import logging
import re
from collections.abc import Mapping

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.networks.resnet import GMRResNet
from wsipipe.models.networks.unet import GMRUNet

log = logging.getLogger(__name__)
Tensors = dict[str, torch.Tensor]
ORDINALS = ("first", "second", "third")
LEAVES = {"log_sigmas": "log_sigma"}
DERIVED = re.compile(r"\.(mus|default_weight_index_mat|infer_weight_matrix)$")
TABLE = ".weight_index_mat"
RESNET_UNIT = re.compile(r"layer(\d)\.(\d+)\.(conv|bn)(\d)(?:\.1)?\.(\w+)$")
RESNET_SHORTCUT = re.compile(r"layer(\d)\.(\d+)\.downsample\.([12])\.(\w+)$")
UNET_UNIT = re.compile(r"(conv_0|down_\d|upcat_\d)\.(?:convs\.)?conv_([01])\.(conv|adn\.N)\.(\w+)$")
UNET_BRIDGE = re.compile(r"upcat_(\d)\.upsample\.preconv\.(\w+)$")


def load_reference_state(model: nn.Module, state_dict: Mapping[str, torch.Tensor]) -> None:
    """Load weights of the authors' GMR-ResNet or GMR-U-Net.

    All tensors are loaded, or none.

    Args:
        model: A :class:`GMRResNet`, or a :class:`GMRUNet` with ``bridge=True``, of mode ``index``.
        state_dict: Tensors by the authors' names.

    Raises:
        ModelError: The mode is not ``index``, the checkpoint is of another kind or size of network, its rings
            differ, or it holds NaN; names the first tensor that does not fit.
    """
    _refuse_radial(model)
    theirs = {name: tensor for name, tensor in state_dict.items() if not DERIVED.search(name)}
    _refuse_nan(theirs)
    if isinstance(model, GMRResNet):
        ours = {_resnet_name(name, model.depths): tensor for name, tensor in theirs.items()}
    elif isinstance(model, GMRUNet):
        ours = _without_conv_bias({_unet_name(name, len(model.up)): t for name, t in theirs.items()})
        log.warning(
            "The authors' U-Net interpolates by corners, this one by pixel centres: maps differ slightly."
        )
    else:
        raise ModelError(f"{type(model).__name__} has no counterpart in GMR-Conv. Use a GMR ResNet or U-Net.")
    tables = {name: ours.pop(name) for name in list(ours) if name.endswith(TABLE)}
    _refuse_misfits(model, ours)
    _refuse_other_rings(model, tables)
    model.load_state_dict(ours, strict=False)


def _resnet_name(name: str, depths: tuple[int, ...]) -> str:
    """Return the name here of a ResNet's tensor."""
    if found := RESNET_UNIT.match(name):
        stage, index, kind, unit, leaf = found.groups()
        part = "conv" if kind == "conv" else "norm"
        return f"{_block(stage, index, depths)}.{ORDINALS[int(unit) - 1]}.{part}.{LEAVES.get(leaf, leaf)}"
    if found := RESNET_SHORTCUT.match(name):
        stage, index, place, leaf = found.groups()
        return f"{_block(stage, index, depths)}.shortcut.{'conv' if place == '1' else 'norm'}.{leaf}"
    start, _, leaf = name.partition(".")
    ours = {"conv1": "stem.conv", "bn1": "stem.norm", "fc": "head"}.get(start)
    return name if ours is None else f"{ours}.{LEAVES.get(leaf, leaf)}"


def _block(stage: str, index: str, depths: tuple[int, ...]) -> str:
    return f"blocks.{sum(depths[: int(stage) - 1]) + int(index)}"


def _unet_name(name: str, levels: int) -> str:
    """Return the name here of a U-Net's tensor.

    The authors count up-blocks from the finest, the network here from the coarsest.
    """
    if found := UNET_UNIT.match(name):
        where, unit, part, leaf = found.groups()
        kind, _, level = where.partition("_")
        block = f"up.{levels - int(level)}" if kind == "upcat" else f"down.{level}"
        place = "conv" if part == "conv" else "norm"
        return f"{block}.{ORDINALS[int(unit)]}.{place}.{LEAVES.get(leaf, leaf)}"
    if found := UNET_BRIDGE.match(name):
        return f"bridges.{levels - int(found[1])}.{found[2]}"
    return name.replace("final_conv", "head")


def _without_conv_bias(tensors: Tensors) -> Tensors:
    """Merge convolution biases into the means of BatchNorm.

    A convolution's bias before BatchNorm only shifts the mean that the norm subtracts.
    """
    biases = {name: tensor for name, tensor in tensors.items() if name.endswith(".conv.bias")}
    rest = {name: tensor for name, tensor in tensors.items() if name not in biases}
    for name, bias in biases.items():
        mean = name.replace(".conv.bias", ".norm.running_mean")
        if mean not in rest:
            raise ModelError(
                f"The checkpoint has no {mean}. Use a network with BatchNorm; no other can be loaded."
            )
        rest[mean] = rest[mean] - bias
    return rest


def _refuse_radial(model: nn.Module) -> None:
    modes = {module.mode for module in model.modules() if isinstance(module, GMRConv2d)}
    if modes != {"index"}:
        raise ModelError(
            f"The authors' weights are of mode 'index', but the model is of {sorted(modes) or 'no ring mode'}"
            "; build it with mode='index'."
        )


def _refuse_nan(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"The checkpoint holds NaN or infinity in {name}. Use other weights.")


def _refuse_misfits(model: nn.Module, tensors: Tensors) -> None:
    expected = {
        name: t.shape for name, t in model.state_dict().items() if not name.endswith("batches_tracked")
    }
    found = {name: t.shape for name, t in tensors.items() if not name.endswith("batches_tracked")}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ModelError(
                f"The checkpoint does not fit {type(model).__name__} at {name}: it has {_size(found, name)}, "
                f"the model {_size(expected, name)}. Build the model with the trained one's arguments; hard "
                "rings, transposed convolutions and InstanceNorm have no counterpart."
            )


def _size(shapes: Mapping[str, torch.Size], name: str) -> str:
    return str(tuple(shapes[name])) if name in shapes else "nothing"


def _refuse_other_rings(model: nn.Module, tables: Tensors) -> None:
    for name, table in tables.items():
        masks = _masks(model.get_submodule(name.removesuffix(TABLE)))
        if not torch.equal(table.reshape(table.shape[-2:]), masks.to(table.dtype)):
            raise ModelError(
                f"{name} holds other rings than the model. Use a checkpoint with fixed, circular rings "
                "(force_circular)."
            )


def _masks(layer: GMRConv2d) -> torch.Tensor:
    """Return the cells of each hard ring of ``layer``, (rings, k * k) bool."""
    rings = torch.cat([layer.hard_rings(), torch.tensor([-1], device=layer.weight.device)])
    return rings[layer._cells.flatten()] == torch.arange(layer.rings, device=rings.device)[:, None]
