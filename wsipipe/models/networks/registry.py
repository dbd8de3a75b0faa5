"""Build, load and save networks by name and card."""

import difflib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from wsipipe.common.atomic_files import sha256_of
from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import ONNX_SUFFIX, SUFFIX, find_weights, verified_card, write_card
from wsipipe.models.networks import baselines
from wsipipe.models.networks.convnext import gmr_convnext_tiny
from wsipipe.models.networks.densenet import gmr_densenet121, gmr_densenet161
from wsipipe.models.networks.r3d import gmr_r3d
from wsipipe.models.networks.resnet import gmr_resnet18, gmr_resnet34, gmr_resnet50
from wsipipe.models.networks.unet import gmr_unet

GMR_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "gmr_unet": gmr_unet,
    "gmr_resnet18": gmr_resnet18,
    "gmr_resnet34": gmr_resnet34,
    "gmr_resnet50": gmr_resnet50,
    "gmr_densenet121": gmr_densenet121,
    "gmr_densenet161": gmr_densenet161,
    "gmr_convnext_tiny": gmr_convnext_tiny,
    "gmr_r3d": gmr_r3d,
}
BASELINES: dict[str, Callable[..., nn.Module]] = {
    "plain_unet": baselines.plain_unet,
    "smp_unet": baselines.smp_unet,
    "plain_resnet18": baselines.plain_resnet18,
    "plain_resnet34": baselines.plain_resnet34,
    "plain_resnet50": baselines.plain_resnet50,
    "plain_densenet121": baselines.plain_densenet121,
    "plain_densenet161": baselines.plain_densenet161,
    "plain_convnext_tiny": baselines.plain_convnext_tiny,
    "plain_r3d": baselines.plain_r3d,
    "symm_unet": baselines.symm_unet,
    "symm_resnet18": baselines.symm_resnet18,
    "symm_resnet50": baselines.symm_resnet50,
    "symm_densenet121": baselines.symm_densenet121,
    "symm_convnext_tiny": baselines.symm_convnext_tiny,
    "symm_r3d": baselines.symm_r3d,
}
NETWORKS = GMR_NETWORKS | BASELINES


def build(architecture: str, arguments: dict[str, object], mode: str) -> nn.Module:
    """Build a network with initial weights.

    :func:`load` or a training replaces them.

    Args:
        architecture: A name of :data:`NETWORKS`.
        arguments: Arguments of the network's constructor.
        mode: Kind of ring convolution; ignored by networks without rings.

    Raises:
        ModelError: The architecture is unknown, or the arguments do not fit it.
    """
    check_architecture(architecture)
    try:
        if architecture in BASELINES:
            return BASELINES[architecture](**arguments)
        return GMR_NETWORKS[architecture](**arguments, mode=mode)
    except TypeError as error:
        raise ModelError(
            f"{architecture} does not take {arguments}: {error}. Correct the arguments in its card, or "
            "network.arguments in its recipe."
        ) from error


def check_architecture(name: str) -> None:
    """Refuse an architecture that this version does not have.

    Raises:
        ModelError: The architecture is unknown; names the nearest one and the others.
    """
    if name in NETWORKS:
        return
    near = difflib.get_close_matches(name, NETWORKS, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    raise ModelError(f"Architecture {name!r} is unknown. {guess}This version has {', '.join(NETWORKS)}.")


def load(weights: str | Path) -> tuple[nn.Module, ModelCard]:
    """Load a network in eval mode and float32, and its card.

    Every weight comes from the file.

    Raises:
        ModelError: File or card are missing or damaged, do not belong together, or hold NaN.
    """
    path, card = find_weights(weights), verified_card(weights)
    if path.suffix == ONNX_SUFFIX:
        raise ModelError(
            f"{path} is an ONNX network: it can run on slides, be certified and evaluated, but not be "
            "trained, "
            f"converted or exported. Name a {SUFFIX} file."
        )
    network = build(card.architecture, card.arguments, card.mode)
    try:
        check_mode(path, card.mode)
        tensors = load_file(path)
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (SafetensorError, RuntimeError) as error:
        raise ModelError(f"{path} does not fit {card.architecture}: {error}") from error
    stated = {name: getattr(card, name) for name in tiling_of(network)}
    if stated != tiling_of(network):
        raise ModelError(
            f"The card of {path} states {stated}, but the network has {tiling_of(network)}, so tiles would "
            "show seams. Correct the card."
        )
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor.float()).all()]
    if broken:
        raise ModelError(f"{path} holds NaN or infinity in {broken[0]}. Use other weights.")
    return network.eval(), card


def check_mode(path: Path, mode: str) -> None:
    """Refuse weights of another kind of ring convolution.

    Names and shapes are the same, but kernels are not.

    Raises:
        ModelError: The file states another mode than ``mode``; a file that states none passes.
    """
    with safe_open(path, framework="pt") as file:
        stored = (file.metadata() or {}).get("mode", mode)
    if stored != mode:
        raise ModelError(
            f"{path} holds weights of mode {stored!r}, but mode {mode!r} was requested, in which the same "
            f"numbers make other kernels. Set the card's mode to {stored!r}."
        )


def tiling_of(network: nn.Module) -> dict[str, int]:
    """Return the fields of a card that describe tiling.

    With them a slide can be tiled without loading the network.
    """
    return {name: getattr(network, name) for name in ("lattice_px", "halo_px", "stride")}


def save(network: nn.Module, card: ModelCard, folder: Path, half: bool = False) -> ModelCard:
    """Write weights and card into ``folder``.

    The ``sha256`` of the returned card is that of the file.

    Args:
        network: The trained network.
        card: Its card.
        folder: Target folder; created if absent.
        half: Store matrices as float16 (norms and ring widths stay float32).
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (tensor.half() if half and tensor.ndim > 1 else tensor).detach().contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path = folder / f"{card.name}{SUFFIX}"
    save_file(tensors, path, metadata={"mode": card.mode})
    path.chmod(0o644)
    card = card.model_copy(update={"sha256": sha256_of(path), **tiling_of(network)})
    write_card(card, folder)
    return card
