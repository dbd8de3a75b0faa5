"""Strength of blocks: known values, JPEG, all orientations, any shards."""

import io

import numpy as np
import pytest
from PIL import Image

from wsipipe.geometry import Array, Orientation
from wsipipe.stages.quality.blocks import block_sums, blockiness

CELL_PX = 16


def measured(grey: Array, tissue: Array) -> dict[str, float]:
    """Measure a picture whose surroundings are no tissue."""
    return blockiness(block_sums(np.pad(grey, ((1, 0), (1, 0))), np.pad(tissue, ((1, 0), (1, 0))), CELL_PX))


def noise(seed: int = 0, shape: tuple[int, int] = (96, 128)) -> Array:
    return np.random.default_rng(seed).integers(100, 160, shape, np.uint8)


def test_steps_of_squares_are_measured_exactly() -> None:
    ramp = np.add.outer(np.arange(64), np.arange(64))
    # Steps of 1 everywhere, and of 3 between squares of 8 px.
    grey = (ramp + 2 * np.add.outer(np.arange(64) // 8, np.arange(64) // 8)).astype(np.uint8)
    assert measured(grey, np.ones((4, 4), bool)) == {"blockiness": 2}
    assert measured(ramp.astype(np.uint8), np.ones((4, 4), bool)) == {"blockiness": 0}


def test_strong_jpeg_has_blocks() -> None:
    found = {}
    for quality in (10, 95):
        file = io.BytesIO()
        Image.fromarray(noise()).save(file, "JPEG", quality=quality)
        found[quality] = measured(np.asarray(Image.open(file)), np.ones((6, 8), bool))["blockiness"]
    assert found[10] > 0.5 > 0.2 > found[95]


@pytest.mark.parametrize("orientation", Orientation)
def test_the_number_is_the_same_in_every_orientation(orientation: Orientation) -> None:
    grey, tissue = noise(1), np.random.default_rng(2).random((6, 8)) < 0.7
    grey[:, 40:] //= 2
    turned = orientation.apply(grey), orientation.apply(tissue)
    assert measured(*turned) == measured(grey, tissue)
    assert measured(grey, ~tissue) != measured(grey, tissue)


def test_shards_add_up_to_the_whole() -> None:
    grey = np.pad(noise(3), ((1, 0), (1, 0)))
    tissue = np.pad(np.random.default_rng(4).random((6, 8)) < 0.7, ((1, 0), (1, 0)))
    parts = [
        block_sums(
            grey[y * 16 : (y + 3) * 16 + 1, x * 16 : (x + 4) * 16 + 1], tissue[y : y + 4, x : x + 5], 16
        )
        for y in (0, 3)
        for x in (0, 4)
    ]
    whole = block_sums(grey, tissue, 16)
    for name in whole:
        assert (np.sum([part[name] for part in parts], axis=0) == whole[name]).all()


def test_without_tissue_or_steps_there_is_no_number() -> None:
    assert measured(noise(), np.zeros((6, 8), bool)) == {}
    assert measured(np.full((96, 128), 7, np.uint8), np.ones((6, 8), bool)) == {}
    assert blockiness({}) == {}
