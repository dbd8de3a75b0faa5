"""The class map is the most probable class, in tissue; the laws of tiling are in property/test_tiling."""

import numpy as np
import pytest

from wsipipe.geometry import Region
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.training_range import Known
from wsipipe.stages.classify import (
    CLASS_MAP,
    CLASS_PROBABILITIES,
    ClassifyParams,
    cells_with_tissue,
    class_legend,
    classify_stage,
    shard_side,
)
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.stage import Patch, ShardInput
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.encoding import NOT_COMPUTED, quantise

GRID = CanvasGrid((128, 128), 0.5, (0.0, 0.0), 1.0)
CARD = ModelCard(
    name="fake",
    architecture="gmr_resnet18",
    arguments={},
    mpp=1.0,
    outputs=({"name": "a"}, {"name": "b"}, {"name": "c"}),
    activation="softmax",
    lattice_px=16,
    halo_px=20,
    stride=16,
    sha256="0" * 64,
    data=("none",),
    licence="none",
    non_commercial=False,
)


def run(probabilities: list[float], tissue: np.ndarray) -> dict[str, np.ndarray]:
    stage = classify_stage(ClassifyParams(patch_cells=2), CARD, GRID)
    core = stage.core(GRID, (0, 0))
    image = next(read for read in stage.reads if read.name == "image/1")
    assert image.halo_px == 32
    region = stage.patch_region(image, core)
    patches = {
        TISSUE: Patch(tissue, Region(0, 0, 8, 8)),
        "image/1": Patch(np.zeros((*region.shape, 3), np.uint8), region),
    }

    def model(patch: np.ndarray) -> np.ndarray:
        cells = (patch.shape[0] // 16, patch.shape[1] // 16)
        return np.broadcast_to(np.float32(probabilities)[:, None, None], (3, *cells))

    return stage.kernel(ShardInput((0, 0), core, lambda name, around=None: patches[name], model=model)).arrays


def test_the_most_probable_class_in_tissue_alone() -> None:
    tissue = np.zeros((8, 8), np.uint8)
    tissue[0, 0], tissue[5, 3], tissue[7, 7] = 1, 1, NOT_COMPUTED
    arrays = run([0.1, 0.7, 0.2], tissue)
    expected = np.full((4, 4), NOT_COMPUTED, np.uint8)
    expected[0, 0] = expected[2, 1] = 1
    np.testing.assert_array_equal(arrays[CLASS_MAP], expected)
    assert arrays[CLASS_PROBABILITIES][:, 2, 1].tolist() == [25, 175, 50]
    assert (arrays[CLASS_PROBABILITIES][:, expected == NOT_COMPUTED] == NOT_COMPUTED).all()


def test_a_tie_goes_to_the_class_listed_first_after_quantising() -> None:
    arrays = run([0.1, 0.4489, 0.4491], np.ones((8, 8), np.uint8))
    assert (arrays[CLASS_MAP] == 1).all()


def test_glass_reads_no_pixels() -> None:
    arrays = run([1, 0, 0], np.zeros((8, 8), np.uint8))
    assert (arrays[CLASS_MAP] == NOT_COMPUTED).all()


@pytest.mark.parametrize(("cell", "px", "shape"), [(32, 16, (1, 2)), (16, 16, (2, 4)), (8, 16, (4, 8))])
def test_cells_that_touch_tissue(cell: int, px: int, shape: tuple[int, int]) -> None:
    tissue = np.zeros((2, 4), bool)
    tissue[1, 3] = True
    cells = cells_with_tissue(tissue, (cell, px))
    assert cells.shape == shape
    assert cells[-1, -1]
    assert not cells[0, 0]


KNOWN = CARD.model_copy(update={"known": Known(sha256="0" * 64, limit=0.1, false_share=0.05)})


class Beside:
    """A network that knows nothing of the upper left quarter of what it sees."""

    def __call__(self, patch: np.ndarray) -> np.ndarray:
        cells = (patch.shape[0] // 16, patch.shape[1] // 16)
        return np.broadcast_to(np.float32([0.1, 0.7, 0.2])[:, None, None], (3, *cells))

    def with_unknown(self, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answer = self(patch)
        unknown = np.zeros(answer.shape[1:], bool)
        unknown[: unknown.shape[0] // 2, : unknown.shape[1] // 2] = True
        return answer, unknown


def classes_of(card: ModelCard, unknown: bool) -> dict[str, np.ndarray]:
    stage = classify_stage(ClassifyParams(unknown=unknown), card, GRID)
    core = stage.core(GRID, (0, 0))
    region = stage.patch_region(next(read for read in stage.reads if read.name == "image/1"), core)
    tissue = np.ones((8, 8), np.uint8)
    tissue[:2, :2] = 0
    patches = {
        TISSUE: Patch(tissue, Region(0, 0, 8, 8)),
        "image/1": Patch(np.zeros((*region.shape, 3), np.uint8), region),
    }
    shard = ShardInput((0, 0), core, lambda name, around=None: patches[name], model=Beside())
    return stage.kernel(shard).arrays


def test_what_is_unlike_all_that_was_learnt_is_unknown_in_tissue_alone() -> None:
    arrays = classes_of(KNOWN, unknown=True)
    expected = np.full((4, 4), 1, np.uint8)
    expected[:2, :2] = 3
    expected[0, 0] = NOT_COMPUTED
    assert np.array_equal(arrays[CLASS_MAP], expected)
    assert (arrays[CLASS_PROBABILITIES][:, 1, 1] == quantise(np.float32([0.1, 0.7, 0.2]))).all()
    assert class_legend(KNOWN, ClassifyParams())[3].name == "unknown"


@pytest.mark.parametrize(("card", "unknown"), [(KNOWN, False), (CARD, True)])
def test_switched_off_or_not_learnt_nothing_is_unknown(card: ModelCard, unknown: bool) -> None:
    assert 3 not in classes_of(card, unknown)[CLASS_MAP]
    assert len(class_legend(card, ClassifyParams(unknown=unknown))) == 3


@pytest.mark.parametrize(
    ("most", "shape", "side"),
    [
        (384, (1250, 940), 320),
        (384, (256, 256), 128),
        (384, (70, 93), 64),
        (384, (10, 10), 64),
        (384, (3000, 20), 384),
        (384, (769, 769), 272),
        (100, (256, 256), 96),
        (64, (256, 256), 64),
        (8, (256, 256), 8),
    ],
)
def test_shards_are_large_even_and_not_too_few(most: int, shape: tuple[int, int], side: int) -> None:
    assert shard_side(most, shape) == side


def test_short_of_memory_shards_are_small() -> None:
    assert ClassifyParams().fitted_to(512).shard_cells == 64
    assert ClassifyParams(shard_cells=8).fitted_to(512).shard_cells == 8
