"""Features that a trained classifier knows, and their distance limit.

A window on a slide shows one tissue or the border of several, so features are taken from every window of
mosaics of four tiles. Half of the tiles give the known directions, the other half the limit: 5 % of its
windows are beyond it. The network was trained on both halves; on slides of other laboratories more windows
are unknown.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.cluster.vq import kmeans2

from wsipipe.models.known_features import distance
from wsipipe.models.networks.dense_classifier import DenseClassifier
from wsipipe.training.samples import Tile
from wsipipe.training.sampling.batches import as_input
from wsipipe.training.sampling.mosaics import mosaic, square

FALSE_SHARE = 0.05
DIRECTIONS = 192
MOSAICS = 60
SIDE_PX = 112
MARGIN_PX = 32
Floats = npt.NDArray[np.float64]


class KnownFeatures(NamedTuple):
    """Feature directions of the training data and their limit.

    Attributes:
        directions: (n, F) directions of length 1.
        limit: Distance beyond which features are unknown.
        false_share: Share of the calibration windows that are beyond the limit.
    """

    directions: Floats
    limit: float
    false_share: float


def known_features(
    network: DenseClassifier,
    tiles: Sequence[Tile],
    mpp: float,
    device: torch.device,
    directions: int = DIRECTIONS,
    mosaics: int = MOSAICS,
    seed: int = 0,
) -> KnownFeatures:
    """Compute feature directions and limit of a trained network.

    Args:
        network: Trained network.
        tiles: Training tiles, at least two of each class.
        mpp: Resolution of the network in µm/px.
        device: Device of the network.
        directions: Largest number of directions.
        mosaics: Number of mosaics drawn from each half.
        seed: Seed of halves, mosaics and the first cluster centres.
    """
    rng = np.random.default_rng(seed)
    halves = _halves(tiles, rng)
    known, calibration = (_windows(network.eval(), half, mpp, device, mosaics, rng) for half in halves)
    count = min(directions, len(known) // 4)
    centres = kmeans2(known, count, minit="++", rng=seed, missing="warn")[0] if count > 1 else known
    # The limit must hold for the stored precision, so round first.
    stored = centres.astype(np.float16).astype(np.float64)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    features = torch.from_numpy(calibration.T[None, :, :, None].copy())
    distances = distance(features, torch.from_numpy(stored)).numpy().ravel()
    limit = max(float(f"{np.quantile(distances, 1 - FALSE_SHARE):.5g}"), 1e-9)
    return KnownFeatures(stored, limit, round(float((distances > limit).mean()), 4))


def _halves(tiles: Sequence[Tile], rng: np.random.Generator) -> tuple[list[list[Tile]], list[list[Tile]]]:
    """Split the tiles of each class into two halves."""
    first: list[list[Tile]] = []
    second: list[list[Tile]] = []
    for name in sorted({tile.class_name for tile in tiles}):
        members = [tile for tile in tiles if tile.class_name == name]
        order = [members[index] for index in rng.permutation(len(members))]
        middle = max(1, len(order) // 2)
        first.append(order[:middle])
        second.append(order[middle:] or order)
    return first, second


def _windows(
    network: DenseClassifier,
    classes: list[list[Tile]],
    mpp: float,
    device: torch.device,
    mosaics: int,
    rng: np.random.Generator,
) -> Floats:
    """Return directions (n, F) of windows inside mosaics of 2 x 2 tiles."""
    side_px = SIDE_PX // network.stride * network.stride
    margin = network.window // 2 + MARGIN_PX // network.stride
    found = []
    for _ in range(mosaics):
        drawn = [classes[label] for label in rng.integers(len(classes), size=4)]
        four = [square(members[rng.integers(len(members))], mpp, side_px) for members in drawn]
        image = np.pad(mosaic([four[:2], four[2:]]), ((MARGIN_PX,) * 2,) * 2 + ((0, 0),), mode="symmetric")
        with torch.inference_mode():
            tensor = as_input(image[None]).to(device)
            features = network.logit_and_feature_maps(tensor)[1][0, :, margin:-margin, margin:-margin]
        found.append(features.flatten(1).T.cpu().numpy())
    vectors = np.concatenate(found)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
