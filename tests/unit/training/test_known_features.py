"""Known features of a classifier: few of its own tiles are unknown, most others are."""

from pathlib import Path

import numpy as np
import torch

from wsipipe.models.cards.card import ModelCard
from wsipipe.models.known_features import distance, read_known
from wsipipe.models.networks.registry import build
from wsipipe.training.card import with_known
from wsipipe.training.known_features import KnownFeatures, known_features
from wsipipe.training.samples import Tile
from wsipipe.training.sampling.batches import as_input


def tile(name: str, seed: int, colour: tuple[int, int, int]) -> Tile:
    rng = np.random.default_rng(seed)
    blobs = np.kron(rng.random((14, 14)) > 0.6, np.ones((8, 8), bool))[..., None]
    pixels = np.where(blobs, np.array(colour) - 60, colour) + rng.integers(-12, 12, (112, 112, 3))
    image = np.clip(pixels, 0, 255).astype(np.uint8)
    return Tile(name=f"{name}{seed}", source="own", group=str(seed), image=image, class_name=name, mpp=1.0)


def test_few_of_its_own_tiles_are_unknown_and_others_are() -> None:
    torch.manual_seed(0)
    arguments = {"num_classes": 2, "width": 4, "kernel_sizes": [3, 3, 3, 3], "window": 3}
    network = build("gmr_resnet18", arguments, "radial").eval()
    tiles = [tile("a", seed, (230, 170, 200)) for seed in range(6)]
    tiles += [tile("b", seed, (120, 80, 150)) for seed in range(6)]
    found = known_features(network, tiles, 1.0, torch.device("cpu"), directions=16, mosaics=3)
    again = known_features(network, tiles, 1.0, torch.device("cpu"), directions=16, mosaics=3)
    assert found.limit == again.limit > 0
    assert np.array_equal(found.directions, again.directions)
    assert found.directions.shape == (16, 32)
    assert 0 < found.false_share <= 0.051
    own, other = tile("a", 99, (230, 170, 200)), tile("x", 99, (30, 220, 40))
    shares = []
    for one in (own, other):
        with torch.inference_mode():
            features = network.logit_and_feature_maps(as_input(np.tile(one.image, (3, 3, 1))[None]))[1]
        beyond = distance(features, torch.from_numpy(found.directions)) > found.limit
        shares.append(float(beyond[0, 7:-7, 7:-7].double().mean()))
    assert shares[0] < 0.5 < shares[1]


def test_they_are_written_beside_the_weights(tmp_path: Path) -> None:
    card = ModelCard(
        name="own",
        architecture="gmr_resnet18",
        arguments={},
        mpp=1.0,
        outputs=({"name": "a"},),
        activation="softmax",
        sha256="0" * 64,
        data=("none",),
        licence="none",
        non_commercial=False,
    )
    assert with_known(card, None, tmp_path) is card
    made = with_known(card, KnownFeatures(np.eye(3), 0.2, 0.05), tmp_path)
    weights = tmp_path / "own.safetensors"
    weights.write_bytes(b"x")
    weights.with_suffix(".json").write_text(made.model_dump_json())
    assert made.known is not None
    assert made.known.limit == 0.2
    directions = read_known(weights, made)
    assert directions is not None
    assert torch.equal(directions, torch.eye(3, dtype=torch.float64))
