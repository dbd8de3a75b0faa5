"""Export of networks as TorchScript or ONNX, with a JSON card.

The network is folded into plain convolutions. The graph takes RGB (B, 3, H, W) float32 in [0, 1], H and W
multiples of the lattice (which it does not check), and includes normalisation and activation: its output is
that of the predictor. Where the card has a ``stain_reference``, slides must be normalised to it first, see
:mod:`wsipipe.stages.stain`. WSInfer takes the softmax itself; for it, ``tile`` exports a classifier's raw
scores (B, classes) of a tile.
"""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from wsipipe.common.distribution import install_command
from wsipipe.errors import ModelError
from wsipipe.models.activation import activated
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.networks.blocks import folded
from wsipipe.models.networks.registry import load
from wsipipe.models.prepare import scores_of

SUFFIXES = {".pt": "torchscript", ".onnx": "onnx"}
NEEDED = ("onnx", "onnxscript")
OPSET = 18
EXAMPLE_CELLS = 8


class ExportedNetwork(nn.Module):
    """A folded network with normalisation and activation.

    RGB (B, 3, H, W) float32 in [0, 1] -> probabilities (B, C, H / stride, W / stride), or tile scores.
    """

    def __init__(self, network: nn.Module, card: ModelCard, tile: bool) -> None:
        super().__init__()
        self.network = folded(network.double()).float()
        self.card, self.tile = card, tile

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return probabilities, or with ``tile`` raw scores before the softmax."""
        how = self.card.normalisation
        run = self.network if self.tile else scores_of(self.network)
        scores = run((image * 255.0 - how.offset) / how.scale)
        return scores / self.card.temperature if self.tile else activated(scores, self.card)


def export_network(weights: str | Path, path: Path, *, tile: bool = False) -> list[Path]:
    """Export a network to TorchScript (``.pt``) or ONNX (``.onnx``).

    Args:
        weights: Name of a shipped model or a ``.safetensors`` file.
        path: File to write; its folder is created if absent.
        tile: Export the raw scores of a tile; for classifiers only.

    Returns:
        The file and its card beside it.

    Raises:
        ModelError: The suffix is unknown, ``tile`` is set but the weights are not a classifier's, or ONNX is
            not installed.
    """
    if path.suffix not in SUFFIXES:
        raise ModelError(
            f"{path} is neither TorchScript nor ONNX. Name a file that ends with {' or '.join(SUFFIXES)}."
        )
    write = export_torchscript if SUFFIXES[path.suffix] == "torchscript" else export_onnx
    write(weights, path, tile=tile)
    return [path, write_export_card(weights, path.with_suffix(".json"), tile=tile)]


def export_torchscript(weights: str | Path, path: Path, *, tile: bool = False) -> None:
    """Write the folded network as TorchScript; see :func:`export_network`."""
    exported, example = _prepared(weights, path, tile)
    with warnings.catch_warnings():
        # torch warns that TorchScript is deprecated, but WSInfer and QuPath read it, and that the network
        # checks extents only while tracing, which leaves H and W free.
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(exported, example), path)


def export_onnx(weights: str | Path, path: Path, *, tile: bool = False) -> None:
    """Write the folded network as one ONNX file; see :func:`export_network`.

    Raises:
        ModelError: The packages it needs are not installed.
    """
    if not all(find_spec(name) for name in NEEDED):
        raise ModelError(
            f"ONNX export needs packages that are not installed. Run {install_command('export')}."
        )
    exported, example = _prepared(weights, path, tile)
    lattice_px = exported.card.lattice_px
    free = {
        0: torch.export.Dim("batch"),
        2: lattice_px * torch.export.Dim("rows", min=2),
        3: lattice_px * torch.export.Dim("columns", min=2),
    }
    names = {"input_names": ["image"], "output_names": ["scores" if tile else "probabilities"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            exported,
            (example,),
            path,
            dynamo=True,
            dynamic_shapes=(free,),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            **names,
        )


def _prepared(weights: str | Path, path: Path, tile: bool) -> tuple[ExportedNetwork, torch.Tensor]:
    network, card = load(weights)
    if tile and not hasattr(network, "logit_map"):
        raise ModelError(f"{card.name} gives maps, and --tile is for classifiers. Export it without --tile.")
    path.parent.mkdir(parents=True, exist_ok=True)
    side = EXAMPLE_CELLS * card.lattice_px
    example = torch.rand(2, 3, side, side + card.lattice_px)
    return ExportedNetwork(network, card, tile).eval().requires_grad_(False), example


def export_card(card: ModelCard, tile: bool, side_px: int) -> dict[str, object]:
    """Return a card in the format of the WSInfer model zoo (config 1.0).

    It has further keys, which a user must know.

    Source: SBU-BMI/wsinfer-zoo, ``model-config.schema.json``, which allows further keys.
    """
    return {
        "spec_version": "1.0",
        "architecture": card.architecture,
        "num_classes": len(card.outputs),
        "class_names": list(card.output_names),
        "patch_size_pixels": side_px,
        "spacing_um_px": card.mpp,
        "transform": [{"name": "Resize", "arguments": {"size": side_px}}, {"name": "ToTensor"}],
        "output": "raw scores (B, classes) of a tile; take the softmax" if tile else "map of probabilities",
        "stain_reference": card.stain_reference and card.stain_reference.model_dump(mode="json"),
        "stride_pixels": card.stride,
        "lattice_pixels": card.lattice_px,
        "halo_pixels": 0 if tile else card.halo_px,
        "name": card.name,
        "licence": card.licence,
        "non_commercial": card.non_commercial,
        "intended_use": card.intended_use,
        "data": list(card.data),
    }


def write_export_card(weights: str | Path, path: Path, *, tile: bool = False) -> Path:
    """Write the card of an exported network.

    Its patch is one tile, or 512 px.
    """
    network, card = load(weights)
    window = getattr(network, "window", None)
    side_px = 512 if window is None else window * card.stride
    text = json.dumps(export_card(card, tile, side_px), indent=2)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
    return path
