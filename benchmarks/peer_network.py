"""Can another tool's network run in the pipeline, exactly invariant and tiled like the whole?

    python benchmarks/peer_network.py DATA --to FOLDER [--seconds 60] [--halo 64]

Trains an ordinary U-Net of segmentation-models-pytorch (MobileNetV2 encoder of three stages, from random
weights) on fields with nuclei for some seconds, exports it to FOLDER/peer_unet.onnx and writes its card
beside it. Then:

    wsipipe certify FOLDER/peer_unet.onnx --tiled
    python benchmarks/orientations.py SLIDE --workflow nuclei --set segment.weights=FOLDER/peer_unet.onnx
"""

import argparse
import hashlib
import json
import time
import warnings
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import nn

from wsipipe.training.datasets import read_fields
from wsipipe.training.sampling.targets import centre_map

MPP, SIDE_PX, BATCH, LATTICE_PX = 0.5, 128, 4, 8
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def peer_unet() -> nn.Module:
    """Return an ordinary U-Net with two outputs, of random weights."""
    torch.manual_seed(0)
    return smp.Unet(
        "mobilenet_v2", encoder_weights=None, encoder_depth=3, decoder_channels=(24, 16, 8), classes=2
    )


def samples(folder: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return normalised images (3, H, W) and their nucleus and centre maps (2, H, W) at 0.5 um/px."""
    found = []
    for field in read_fields(folder):
        factor = round(MPP / field.mpp)
        height, width = (extent // factor * factor for extent in field.labels.shape)
        image = field.image[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
        labels = field.labels[:height:factor, :width:factor]
        pixels = (image.mean(axis=(1, 3)) / 255 - MEAN) / SD
        maps = np.stack([labels > 0, centre_map(labels)])
        found.append((torch.tensor(pixels).permute(2, 0, 1).float(), torch.tensor(maps).float()))
    return found


def train(network: nn.Module, fields: list[tuple[torch.Tensor, torch.Tensor]], seconds: float) -> int:
    """Train on random crops for some seconds, and return the number of steps."""
    rng, optimiser = np.random.default_rng(0), torch.optim.AdamW(network.parameters(), 3e-3)
    end, steps = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        crops = []
        for pixels, maps in (fields[index] for index in rng.integers(len(fields), size=BATCH)):
            y, x = (int(rng.integers(extent - SIDE_PX + 1)) for extent in maps.shape[1:])
            crops.append(torch.cat([pixels, maps])[:, y : y + SIDE_PX, x : x + SIDE_PX])
        batch = torch.stack(crops)
        loss = nn.functional.binary_cross_entropy_with_logits(network(batch[:, :3]), batch[:, 3:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        steps += 1
    print(f"{steps} steps, last loss {loss.item():.3f}")
    return steps


def export(network: nn.Module, path: Path) -> None:
    """Write an ONNX file whose batch, height and width are free."""
    free = {"image": {0: "batch", 2: "height", 3: "width"}, "scores": {0: "batch", 2: "height", 3: "width"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, SIDE_PX, SIDE_PX),),
            path,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes=free,
            dynamo=False,
        )


def write_card(path: Path, halo_px: int) -> None:
    """Write the card beside the file."""
    card = {
        "name": path.stem,
        "mpp": MPP,
        "halo_px": halo_px,
        "lattice_px": LATTICE_PX,
        "window_px": 2 * halo_px + 512,
        "normalisation": {"mean": MEAN, "sd": SD},
        "outputs": [{"name": "nucleus"}, {"name": "centre"}],
        "activation": "sigmoid",
        "symmetrise": True,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "data": ["fields of the folder that was given"],
        "licence": "that of the data",
        "non_commercial": True,
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2))


def main() -> None:
    """Train, export and write the card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--halo", type=int, default=64)
    asked = parser.parse_args()
    network = peer_unet()
    train(network, samples(asked.data), asked.seconds)
    asked.to.mkdir(parents=True, exist_ok=True)
    path = asked.to / "peer_unet.onnx"
    export(network, path)
    write_card(path, asked.halo)
    print(path)


if __name__ == "__main__":
    main()
