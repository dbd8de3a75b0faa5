"""Training of the tissue network: learn without a fifth of the tiles, measure on them, then learn on all."""

import copy
import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from wsipipe.models.architectures import build, save
from wsipipe.models.zoo import ModelCard, Output
from wsipipe.training.fit import Fit, Progress, Stretch
from wsipipe.training.losses import tissue_loss
from wsipipe.training.nuclei_data import as_input
from wsipipe.training.recipe import Recipe
from wsipipe.training.tissue_data import CLASSES, MPP, Tile, TissueCanvases, mosaic, read_tiles, square

log = logging.getLogger(__name__)
NAME = "tissue_gmr_resnet18_1.0"
ABOUT = {
    "ADI": ("adipose", (245, 222, 120)),
    "BACK": ("glass", (230, 230, 230)),
    "LYM": ("lymphocytes", (70, 90, 200)),
    "MUC": ("mucus", (120, 200, 220)),
    "MUS": ("smooth muscle", (200, 90, 90)),
    "NORM": ("normal mucosa", (90, 180, 90)),
    "STR": ("stroma", (240, 150, 190)),
    "TUM": ("tumour epithelium", (150, 40, 120)),
}
OUTPUTS = tuple(Output(name=name, description=ABOUT[name][0], color=ABOUT[name][1]) for name in CLASSES)
DATA = (
    "CRC-VAL-HE-7K, 55 tiles of each of ADI LYM MUC MUS NORM STR TUM (CC BY 4.0)",
    "BACK: glass of CMU-1-Small-Region (CC0) and of overview images (MIT), and made glass",
)
MEASURED_ON = (
    "Metrics are of the held-out stretch, on every fifth tile in mosaics of random neighbours (patient ids "
    "are unknown, so tiles of a patient may be on both sides); the shipped weights then learnt on all tiles."
)
CELLS = 7


def tile_scores(cells: torch.Tensor) -> torch.Tensor:
    """Raw scores of cells (B, classes, h, w) -> of whole tiles (B, classes, h / 7, w / 7)."""
    return functional.avg_pool2d(cells, CELLS)


def validate(network: nn.Module, tiles: list[Tile], per_side: int) -> dict[str, float]:
    """Accuracy, mean recall and recall by class of tiles in mosaics of one another."""
    network.eval()
    order = np.random.default_rng(7).permutation(len(tiles))
    count = per_side**2
    order = np.concatenate([order, order[: -len(tiles) % count]])
    found, truth = [], []
    for start in range(0, len(order), count):
        chosen = [tiles[index] for index in order[start : start + count]]
        rows = [
            [square(tile.image, None) for tile in chosen[i : i + per_side]] for i in range(0, count, per_side)
        ]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            scores = tile_scores(network.cells(as_input(mosaic(rows)[None])).float())
        found.append(scores[0].argmax(0).numpy().ravel())
        truth.append([tile.label for tile in chosen])
    right = np.concatenate(found) == np.concatenate(truth)
    recalls = {
        name: float(right[np.concatenate(truth) == label].mean()) for label, name in enumerate(CLASSES)
    }
    recall = {f"recall_{name}": round(value, 4) for name, value in recalls.items()}
    return {
        "accuracy": round(float(right.mean()), 4),
        "mean_recall": round(float(np.mean(list(recalls.values()))), 4),
        **recall,
    }


def card_of(recipe: Recipe, metrics: dict[str, float], notes: str) -> ModelCard:
    """Card of the weights, its hash still to be set."""
    return ModelCard(
        name=NAME,
        architecture="gmr_resnet18",
        arguments=recipe.arguments,
        mode=recipe.mode,
        mpp=MPP,
        outputs=OUTPUTS,
        activation="softmax",
        sha256="0" * 64,
        data=DATA,
        licence="CC BY 4.0",
        non_commercial=False,
        metrics=metrics,
        notes=notes,
    )


def train(recipe: Recipe, data: Path, out: Path) -> None:
    """Train and write ``tissue_gmr_resnet18_1.0.safetensors`` and its card into ``out``, at each report."""
    torch.manual_seed(recipe.seed)
    tiles = read_tiles(data)
    log.info("tiles: %s", {name: sum(t.label == label for t in tiles) for label, name in enumerate(CLASSES)})
    network = build("gmr_resnet18", recipe.arguments, recipe.mode).to(memory_format=torch.channels_last)
    mean = copy.deepcopy(network)
    metrics: dict[str, float] = {}

    def report_held_out(progress: Progress) -> None:
        metrics.update(validate(mean, [tile for tile in tiles if tile.held_out], recipe.tiles))
        log.info("step %d: %s", progress.step, metrics)
        save(mean, card_of(recipe, metrics, "Training was not finished. " + MEASURED_ON), out, half=True)

    def report_final(progress: Progress) -> None:
        save(mean, card_of(recipe, metrics, f"{held_out.effort(progress)} {MEASURED_ON}"), out, half=True)

    def fit(name: str, share: float, chosen: list[Tile], rate: float, seed: int) -> Fit:
        stretch = Stretch(
            name=name,
            minutes=recipe.minutes * share,
            batch=recipe.batch,
            learning_rate=rate,
            ema_decay=recipe.ema_decay,
            seed=seed,
        )
        canvases = TissueCanvases(chosen, recipe.tiles)
        return Fit(
            network, mean, canvases.batch, tissue_loss, stretch, out, lambda x: tile_scores(network.cells(x))
        )

    kept = [tile for tile in tiles if not tile.held_out]
    held_out = fit("held_out", 1 - recipe.final_share, kept, recipe.learning_rate, recipe.seed).run(
        report_held_out
    )
    network.load_state_dict(mean.state_dict())
    fit("final", recipe.final_share, tiles, 0.3 * recipe.learning_rate, recipe.seed + 1).run(report_final)
