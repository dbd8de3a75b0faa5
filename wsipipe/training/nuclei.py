"""Training of the nuclei network: learn without two organs, measure on them, then learn on all."""

import copy
import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn

from wsipipe.models.architectures import build, save
from wsipipe.models.zoo import ModelCard, Output
from wsipipe.training.evaluate import Labels, Probability, best_thresholds
from wsipipe.training.fit import Fit, Progress, Stretch
from wsipipe.training.losses import nuclei_loss
from wsipipe.training.nuclei_data import MPP, Field, NucleiCrops, as_input, read_fields, resampled
from wsipipe.training.recipe import Recipe

log = logging.getLogger(__name__)
NAME = "nuclei_gmr_unet_0.5"
OUTPUTS = (
    Output(name="nucleus", description="inside a nucleus", color=(0, 160, 80)),
    Output(name="centre", description="depth inside a nucleus, 1 at its middle", color=(240, 200, 0)),
)
DATA = (
    "MoNuSeg training set: 30 H&E fields, 13 with instances (CC BY-NC-SA 4.0, NON-COMMERCIAL)",
    "NuCLS: 10 H&E fields (CC0)",
    "Data Science Bowl 2018, stained fields (CC0)",
)
MEASURED_ON = (
    "Thresholds and metrics are of the held-out stretch (MoNuSeg fields of colon and prostate, not yet "
    "learnt from); the shipped weights then learnt on all fields and have no validation set of their own."
)


def maps_of(network: nn.Module, field: Field) -> tuple[Labels, Probability, Probability]:
    """Truth, nucleus and centre probability (H, W) of a field at 0.5 um/px."""
    side_px = max(field.labels.shape)
    out_px = round(side_px * field.mpp / MPP)
    padded_px = -(-out_px // 8) * 8
    image, labels = resampled(field, 0, 0, side_px, out_px)
    padded = np.full((1, padded_px, padded_px, 3), 255, np.uint8)
    padded[0, :out_px, :out_px] = image
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        maps = network(as_input(padded)).float().sigmoid()[0, :, :out_px, :out_px].numpy()
    return labels, maps[0], maps[1]


def validate(network: nn.Module, fields: list[Field]) -> tuple[dict[str, float], dict[str, float]]:
    """Thresholds and mean scores on ``fields`` with instances."""
    network.eval()
    thresholds, mean = best_thresholds([maps_of(network, field) for field in fields])
    return thresholds, {key: round(value, 4) for key, value in mean.items()}


def card_of(recipe: Recipe, thresholds: dict[str, float], metrics: dict[str, float], notes: str) -> ModelCard:
    """Card of the weights, its hash still to be set."""
    return ModelCard(
        name=NAME,
        architecture="gmr_unet",
        arguments=recipe.arguments,
        mode=recipe.mode,
        mpp=MPP,
        outputs=OUTPUTS,
        activation="sigmoid",
        sha256="0" * 64,
        data=DATA,
        licence="CC BY-NC-SA 4.0",
        non_commercial=True,
        thresholds=thresholds,
        metrics=metrics,
        notes=notes,
    )


def train(recipe: Recipe, data: Path, out: Path) -> None:
    """Train and write ``nuclei_gmr_unet_0.5.safetensors`` and its card into ``out``, at each report."""
    torch.manual_seed(recipe.seed)
    fields = read_fields(data)
    measured = [field for field in fields if field.held_out and field.has_instances]
    network = build("gmr_unet", recipe.arguments, recipe.mode).to(memory_format=torch.channels_last)
    mean = copy.deepcopy(network)
    result: dict[str, dict[str, float]] = {}

    def report_held_out(progress: Progress) -> None:
        result["thresholds"], result["metrics"] = validate(mean, measured)
        log.info("step %d: %s %s", progress.step, result["thresholds"], result["metrics"])
        save(mean, card_of(recipe, **result, notes="Training was not finished. " + MEASURED_ON), out)

    def report_final(progress: Progress) -> None:
        save(mean, card_of(recipe, **result, notes=f"{held_out.effort(progress)} {MEASURED_ON}"), out)

    def fit(name: str, share: float, chosen: list[Field], rate: float, seed: int) -> Fit:
        crops = NucleiCrops(chosen, recipe.side_px, recipe.shares)
        stretch = Stretch(
            name=name,
            minutes=recipe.minutes * share,
            batch=recipe.batch,
            learning_rate=rate,
            ema_decay=recipe.ema_decay,
            seed=seed,
        )
        return Fit(network, mean, crops.batch, nuclei_loss, stretch, out)

    kept = [field for field in fields if not field.held_out]
    held_out = fit("held_out", 1 - recipe.final_share, kept, recipe.learning_rate, recipe.seed).run(
        report_held_out
    )
    network.load_state_dict(mean.state_dict())
    fit("final", recipe.final_share, fields, 0.3 * recipe.learning_rate, recipe.seed + 1).run(report_final)
