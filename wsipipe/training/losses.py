"""Losses: what is punished, for nuclei maps and for tissue classes."""

import torch
from torch.nn import functional


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of ``values`` where ``mask`` is 1; 0 where nothing is."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def soft_dice(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """1 - Dice of the whole batch, probabilities counted as they are."""
    overlap = (probability * target).sum()
    return 1 - (2 * overlap + 1) / (probability.sum() + target.sum() + 1)


def nuclei_loss(scores: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Raw scores (B, 2, H, W) -> loss: BCE and Dice of the nucleus map, BCE of the known centre map."""
    scores = scores.float()
    nucleus, centre = scores[:, 0], scores[:, 1]
    shape = functional.binary_cross_entropy_with_logits(nucleus, batch["nucleus"])
    overlap = soft_dice(nucleus.sigmoid(), batch["nucleus"])
    depth = functional.binary_cross_entropy_with_logits(centre, batch["centre"], reduction="none")
    return shape + 0.5 * overlap + masked_mean(depth, batch["centre_known"])


def tissue_loss(scores: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Raw scores (B, classes, rows, columns) of the tiles of each canvas -> smoothed cross-entropy."""
    return functional.cross_entropy(scores.float(), batch["label"], label_smoothing=0.05)
