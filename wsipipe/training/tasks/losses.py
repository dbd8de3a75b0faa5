"""Losses of nuclei maps and tissue classes."""

import torch
from torch.nn import functional

from wsipipe.training.recipe import LossWeights
from wsipipe.training.sampling.batches import Batch


def weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean of a tensor, or 0 without weights.

    Args:
        values: Values of any shape.
        weight: Weights of the same shape.
    """
    return (values * weight).sum() / weight.sum().clamp(min=1)


def soft_dice(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return 1 - Dice of the whole batch.

    Probabilities are used without a threshold, so that the loss is differentiable.
    """
    overlap = (probability * target).sum()
    return 1 - (2 * overlap + 1) / (probability.sum() + target.sum() + 1)


def nuclei_loss(scores: torch.Tensor, batch: Batch, weights: LossWeights) -> torch.Tensor:
    """Compute the loss of nucleus and centre map.

    The parts are BCE and Dice of the nucleus map, BCE of the centre map where it is known, and the
    cross-entropy of the types in pixels of nuclei of known type.

    Args:
        scores: Raw scores (B, 2 + types, H, W) of nucleus, centre and types.
        batch: ``nucleus``, ``touching``, ``known`` as 0 and 1, ``centre`` as 0 to 255, all (B, H, W); with
            types also ``type``, 0 where it is unknown, else from 1.
        weights: Weights of the parts.
    """
    scores = scores.float()
    nucleus = batch["nucleus"].float()
    emphasis = 1 + weights.touching * batch["touching"].float()
    entropy = functional.binary_cross_entropy_with_logits
    shape = entropy(scores[:, 0], nucleus, reduction="none")
    depth = entropy(scores[:, 1], batch["centre"].float() / 255, reduction="none")
    loss = (
        weights.nucleus * weighted_mean(shape, emphasis)
        + weights.dice * soft_dice(scores[:, 0].sigmoid(), nucleus)
        + weights.centre * weighted_mean(depth, emphasis * batch["known"])
    )
    return loss + weights.types * type_loss(scores[:, 2:], batch["type"]) if scores.shape[1] > 2 else loss


def type_loss(scores: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of pixels of known type, 0 without any.

    Args:
        scores: Raw scores (B, types, H, W).
        types: (B, H, W) uint8, 0 where the type is unknown, else from 1.
    """
    target = types.long() - 1
    entropy = functional.cross_entropy(scores, target, ignore_index=-1, reduction="sum")
    return entropy / (target >= 0).sum().clamp(min=1)


def tissue_loss(scores: torch.Tensor, batch: Batch, weights: LossWeights) -> torch.Tensor:
    """Compute the smoothed cross-entropy of tissue classes.

    Args:
        scores: Raw scores (B, classes, rows, columns) of the tiles of each mosaic.
        batch: ``label`` (B, rows, columns).
        weights: Label smoothing.
    """
    return functional.cross_entropy(scores.float(), batch["label"], label_smoothing=weights.smoothing)
