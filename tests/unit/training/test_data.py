"""Crops and canvases: what a batch holds, and that held-out data stay out."""

from pathlib import Path

import numpy as np
import pytest

from wsipipe.training.nuclei_data import MPP, Field, NucleiCrops, as_input, covered, read_fields, resampled
from wsipipe.training.recipe import NUCLEI
from wsipipe.training.tissue_data import (
    CLASSES,
    TILE_PX,
    Tile,
    TissueCanvases,
    class_layout,
    is_glass,
    read_tiles,
    square,
)


def field(has_instances: bool = True) -> Field:
    labels = np.zeros((80, 80), np.int32)
    labels[10:30, 10:30], labels[10:30, 30:50] = 1, 2
    image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 190, 210)).astype(np.uint8)
    return Field("made", "monuseg", image, labels, has_instances, 0.25)


def test_half_the_resolution_keeps_labels_whole() -> None:
    image, labels = resampled(field(), 0, 0, 80, 40)
    assert image.shape == (40, 40, 3)
    assert np.bincount(labels.ravel())[1:].tolist() == [100, 100]
    assert (image[labels > 0] == (90, 60, 140)).all()


def test_outside_a_field_is_white() -> None:
    image, labels = resampled(field(), 60, 60, 40, 20)
    assert (image[10:] == 255).all()
    assert (labels[10:] == 0).all()


@pytest.mark.parametrize("known", [True, False])
def test_a_batch_knows_where_it_may_not_judge(known: bool) -> None:
    crops = NucleiCrops([field(known)], 40, {"monuseg": 0.5, "monuseg_foreground": 0.5})
    batch = crops.batch(6, np.random.default_rng(0))
    assert batch["image"].shape == (6, 3, 40, 40)
    inside = batch["nucleus"] > 0
    assert bool(inside.any())
    assert (batch["centre_known"][inside] == float(known)).all()
    assert (batch["centre_known"][~inside] == 1).all()


def test_glass_and_ink_take_nuclei_away() -> None:
    cover = np.full((80, 80, 3), 240, np.uint8)
    image, labels = covered(field().image, field().labels, cover, np.random.default_rng(0))
    gone = (field().labels > 0) & (labels == 0)
    assert gone.any()
    assert (image[gone] == 240).all()
    assert (labels[(image < 200).any(2)] == field().labels[(image < 200).any(2)]).all()


def test_white_enters_the_network_as_zero() -> None:
    assert float(as_input(np.full((1, 8, 8, 3), 255, np.uint8)).abs().max()) == 0


def test_canvases_are_made_of_labelled_tiles() -> None:
    tiles = [Tile(np.full((108, 108, 3), 30 * label, np.uint8), label, False) for label in range(8)]
    batch = TissueCanvases(tiles, 3).batch(2, np.random.default_rng(0))
    assert batch["image"].shape == (2, 3, 3 * TILE_PX, 3 * TILE_PX)
    assert batch["label"].shape == (2, 3, 3)


def test_layouts_hold_every_class() -> None:
    rng = np.random.default_rng(0)
    assert set(np.concatenate([class_layout(3, 8, rng).ravel() for _ in range(40)]).tolist()) == set(range(8))


@pytest.mark.parametrize("side", [100, 108])
def test_a_tile_becomes_112_px(side: int) -> None:
    image = np.zeros((side, side, 3), np.uint8)
    assert square(image, None).shape == square(image, np.random.default_rng(0)).shape == (112, 112, 3)


def test_glass_is_told_from_tissue() -> None:
    assert is_glass(np.full((112, 112, 3), 244, np.uint8))
    assert not is_glass(field().image)


def test_the_real_fields_are_read_and_held_out_by_organ(data_dir: Path) -> None:
    fields = [one for one in read_fields(data_dir) if one.source != "dsb2018"]
    assert sum(one.has_instances for one in fields) == 23
    held_out = [one for one in fields if one.held_out]
    assert len(held_out) == 8
    assert sum(one.has_instances for one in held_out) == 3
    assert {one.mpp for one in fields} == {MPP / 2}
    assert set(NUCLEI.shares) - {"glass", "dsb2018", "monuseg_foreground"} == {one.source for one in fields}


def test_the_real_tiles_are_read(data_dir: Path) -> None:
    tiles = read_tiles(data_dir)
    counts = np.bincount([tile.label for tile in tiles])
    assert (counts >= 55).all()
    assert len(counts) == len(CLASSES)
    assert sum(tile.held_out for tile in tiles) == pytest.approx(len(tiles) / 5, abs=8)
