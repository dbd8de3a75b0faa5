"""Which ring profile should be the default? Small U-Nets, trained alike, turned by 15, 30 and 45 degrees.

    python benchmarks/gmr_trained.py --data DIR [--steps 600] [--seeds 2] [--json FILE]

Trains a GMR U-Net (widths 8, 16, 32; kernels 9, 9, 5) on nuclei for each profile, with the same crops and
seeds, and prints Dice on held-out organs, upright and turned (ground truth turned with the picture, inscribed
disc only), and how much the probabilities change. Small and short: it ranks profiles, it makes no weights.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.networks.unet import GMRUNet
from wsipipe.training.datasets import read_fields
from wsipipe.training.evaluation.metrics import pixel_scores
from wsipipe.training.recipe import Augment, LossWeights, Sampling
from wsipipe.training.sampling.batches import as_input, as_tensors
from wsipipe.training.sampling.crops import NucleiCrops, resampled
from wsipipe.training.sampling.targets import target_maps
from wsipipe.training.tasks.losses import nuclei_loss

ANGLES = (0, 15, 30, 45)
PROFILES = ("hard", "index", "radial", "narrow")
MPP = 0.5
HELD_OUT = ("colon", "prostate")
SAMPLES = Sampling(
    batch=4, side_px=128, shares={"monuseg": 3, "monuseg_foreground": 1, "nucls": 1, "dsb2018": 0}
)


def layer(profile: str):
    """Factory of the profile's convolution."""
    if profile in ("radial", "narrow"):
        return lambda i, o, k: GMRConv2d(i, o, k, bias=False, mode=profile)

    def indexed(i: int, o: int, k: int) -> GMRConv2d:
        conv = GMRConv2d(i, o, k, bias=False, mode="index", train_sigma=profile == "index")
        if profile == "hard":
            # So narrow that no ring mixes into its neighbours; the weights make up for the peak's height.
            nn.init.constant_(conv.log_sigma, float(np.log(0.05)))
            conv.weight.data *= 0.05 * 2.5066
        return conv

    return indexed


def train(profile: str, seed: int, steps: int, crops: NucleiCrops) -> nn.Module:
    """One small network after ``steps`` steps of AdamW with a cosine."""
    torch.manual_seed(seed)
    network = GMRUNet(widths=(8, 16, 32), kernel_sizes=(9, 9, 5), conv=layer(profile))
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        batch = as_tensors(crops(np.random.default_rng([seed, step])), torch.device("cpu"))
        loss = nuclei_loss(network(batch["image"]), batch, LossWeights())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    return network.eval()


def turned(network: nn.Module, image: np.ndarray, labels: np.ndarray, angle: int) -> tuple[float, np.ndarray]:
    """Dice in the inscribed disc of the turned field, and the probabilities turned back."""
    picture = ndimage.rotate(image.astype(np.float32), angle, reshape=False, order=3, mode="reflect")
    truth = ndimage.rotate((labels > 0).astype(np.uint8), angle, reshape=False, order=0, mode="reflect") > 0
    with torch.no_grad():
        found = network(as_input(np.clip(picture, 0, 255).astype(np.uint8)[None]))[0, 0].sigmoid().numpy()
    y, x = np.ogrid[: truth.shape[0], : truth.shape[1]]
    centre = (truth.shape[0] - 1) / 2
    disc = (y - centre) ** 2 + (x - centre) ** 2 < (0.9 * centre) ** 2
    mask = (found >= 0.5) & disc
    dice = pixel_scores(truth & disc, mask)["dice"]
    back = ndimage.rotate(found, -angle, reshape=False, order=3, mode="reflect")
    return dice, np.where(disc, back, 0)


def main() -> None:
    """Trains, turns, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    fields = read_fields(asked.data)
    crops = NucleiCrops([field for field in fields if field.group not in HELD_OUT], MPP, SAMPLES, Augment())
    held_out = [
        resampled(field.image, target_maps(field.labels, field.has_instances, field.mpp), (0, 0), 1000, 496)
        for field in fields
        if field.group in HELD_OUT
    ]
    table = {}
    print(
        f"{'profile':8} "
        + " ".join(f"Dice {angle:>2}°" for angle in ANGLES)
        + "   change of p at 15° 30° 45°"
    )
    for profile in PROFILES:
        dice, change = [], []
        for seed in range(asked.seeds):
            network = train(profile, seed, asked.steps, crops)
            for image, maps in held_out:
                each = [turned(network, image, maps[..., 0], angle) for angle in ANGLES]
                upright = each[0][1]
                dice.append([one[0] for one in each])
                change.append([np.linalg.norm(p - upright) / np.linalg.norm(upright) for _, p in each[1:]])
        table[profile] = {"dice": np.mean(dice, axis=0).tolist(), "change": np.mean(change, axis=0).tolist()}
        print(
            f"{profile:8} "
            + " ".join(f"{value:8.4f}" for value in table[profile]["dice"])
            + "   "
            + " ".join(f"{value:.3f}" for value in table[profile]["change"]),
            flush=True,
        )
    if asked.json:
        asked.json.write_text(
            json.dumps({"steps": asked.steps, "seeds": asked.seeds, "profiles": table}, indent=1)
        )


if __name__ == "__main__":
    main()
