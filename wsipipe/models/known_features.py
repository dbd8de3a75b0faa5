"""Distances of features to those a classifier was trained on.

The distance is 1 - the largest cosine with a known direction. Cosines are computed from the mean features of
a window, so they do not depend on the window's orientation. Known directions are the centres (k-means) of
windows of the training tiles and of mosaics of them, since a window on a slide shows two tissues as often as
one.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from wsipipe.common.atomic_files import sha256_of
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import check_known, known_path

Directions = npt.NDArray[np.floating]


def distance(features: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the cosine distance to the nearest known direction.

    Args:
        features: Window means (B, F, h, w) float64.
        known: Directions (n, F) of length 1.

    Returns:
        Distances (B, h, w), 0 to 2.
    """
    length = features.square().sum(1).sqrt().clamp_min(1e-12)
    return 1 - torch.einsum("bfhw,nf->bnhw", features, known).amax(1) / length


def read_known(weights: Path, card: ModelCard) -> torch.Tensor | None:
    """Read the known directions of a classifier.

    Returns:
        Directions (n, F) float64 of length 1; None for a card that has none.

    Raises:
        ModelError: The file is missing, damaged or of other weights.
    """
    if card.known is None:
        return None
    check_known(weights, card)
    directions = torch.from_numpy(np.load(known_path(weights), allow_pickle=False).astype(np.float64))
    return directions / directions.norm(dim=1, keepdim=True)


def write_known(directions: Directions, weights: Path) -> str:
    """Write known directions (n, F) as float16 beside ``weights``.

    Returns:
        SHA-256 of the file.
    """
    path = known_path(weights)
    np.save(path, directions.astype("<f2"), allow_pickle=False)
    return sha256_of(path)
