"""Which level a network reads, and what becomes of its answer; for tiling see property/test_tiling."""

from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.models.cards.card import ModelCard, Output, StainReference
from wsipipe.stages.grid import CanvasGrid, network_level
from wsipipe.stages.passes import blocks
from wsipipe.stages.segment import TYPE_MAP, SegmentParams, segment_stage
from wsipipe.stages.stage import Patch, ShardInput, ShardOutput
from wsipipe.stages.stain import colours, lookup, restained
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.encoding import NOT_COMPUTED, UNREADABLE, quantise

GRID = CanvasGrid((128, 128), 0.5, (0.0, 0.0), 1.0)
CARD = ModelCard(
    name="fake",
    architecture="gmr_unet",
    arguments={},
    mpp=0.5,
    outputs=({"name": "nucleus"}, {"name": "centre"}),
    activation="sigmoid",
    lattice_px=8,
    halo_px=16,
    sha256="0" * 64,
    data=("none",),
    licence="none",
    non_commercial=False,
)


def shard(tissue: int, model: Callable) -> ShardOutput:
    stage = segment_stage(SegmentParams(patch_px=64), CARD, GRID, 128)
    core = stage.core(GRID, (0, 0))
    patches = {
        TISSUE: Patch(np.full((8, 8), tissue, np.uint8), Region(0, 0, 8, 8)),
        "image/0": Patch(np.zeros((160, 160, 3), np.uint8), core.grown(16)),
    }
    return stage.kernel(ShardInput((0, 0), core, lambda name, around=None: patches[name], model=model))


def test_the_network_sees_the_slide_in_the_stain_of_the_reference() -> None:
    reference = StainReference(mean=(0.5, 0.9, 0.5), sd=(0.3, 0.5, 0.3))
    card = CARD.model_copy(update={"stain_reference": reference})
    stage = segment_stage(SegmentParams(patch_px=64), card, GRID, 128)
    core, seen = stage.core(GRID, (0, 0)), []
    pixels = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    patches = {
        TISSUE: Patch(np.ones((8, 8), np.uint8), Region(0, 0, 8, 8)),
        "image/0": Patch(pixels, core.grown(16)),
    }

    def model(patch: np.ndarray) -> np.ndarray:
        seen.append(patch)
        return np.zeros((2, *patch.shape[:2]), np.float32)

    table = lookup(colours(pixels), reference)
    tables = {"stain": {"lookup": table}}
    read = lambda name, around=None: patches[name]  # noqa: E731
    stage.kernel(ShardInput((0, 0), core, read, tables, model))
    assert (seen[0] == restained(pixels, table)[:96, :96]).all()
    assert (seen[0] != pixels[:96, :96]).any()


def test_probabilities_are_quantised_and_named() -> None:
    shapes = []

    def model(patch: np.ndarray) -> np.ndarray:
        shapes.append(patch.shape)
        return np.stack([np.full(patch.shape[:2], value, np.float32) for value in (0.5, np.nan)])

    output = shard(1, model)
    assert shapes == [(96, 96, 3)] * 4
    assert (output.arrays["probabilities/nucleus/0"] == quantise(np.float32(0.5))).all()
    assert output.arrays["probabilities/centre/0"].max() < UNREADABLE


@pytest.mark.parametrize("tissue", [0, NOT_COMPUTED])
def test_without_tissue_no_network_runs(tissue: int) -> None:
    output = shard(tissue, model=None)
    assert all((values == NOT_COMPUTED).all() for values in output.arrays.values())


@pytest.mark.parametrize(
    ("mpp", "level"), [(0.5, 0), (0.499, 0), (0.46, 0), (0.25, 1), (0.125, 2), (0.2271, 1)]
)
def test_the_level_is_the_one_of_the_training(mpp: float, level: int) -> None:
    assert network_level(CARD, mpp, "segment") == level


@pytest.mark.parametrize("mpp", [0.35, 0.6, 1.0, 20.0])
def test_another_scale_is_refused_by_name(mpp: float) -> None:
    with pytest.raises(ConfigError, match=r"segment\.weights fake.*tile\.mpp=0\.5"):
        network_level(CARD, mpp, "segment")


def test_blocks_are_those_with_tissue() -> None:
    wanted = np.zeros((4, 6), bool)
    wanted[3, 5] = wanted[0, 1] = True
    core = Region(64, 128, 64, 96)
    assert list(blocks(core, 64, wanted, 16)) == [Region(0, 0, 64, 64), Region(0, 64, 64, 32)]
    assert list(blocks(core, 32, wanted, 16)) == [Region(0, 0, 32, 32), Region(32, 64, 32, 32)]


@pytest.mark.parametrize("wrong", [{"patch_px": 100}, {"precision": "int8"}, {"weight": "x"}])
def test_wrong_parameters_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        SegmentParams(**wrong)


def test_types_are_stored_where_there_is_foreground() -> None:
    names = ("a", "b")
    outputs = (*CARD.outputs, *(Output(name=name) for name in names))
    card = CARD.model_copy(update={"outputs": outputs, "types": names})

    def model(patch: np.ndarray) -> np.ndarray:
        nucleus = np.zeros(patch.shape[:2], np.float32)
        nucleus[16:32] = 0.6
        nucleus[32:40] = 0.4
        return np.stack([nucleus, nucleus, np.full_like(nucleus, 0.3), np.full_like(nucleus, 0.7)])

    def computed(chosen: SegmentParams) -> ShardOutput:
        stage = segment_stage(chosen, card, GRID, 128, foreground_level=125)
        core = stage.core(GRID, (0, 0))
        patches = {
            TISSUE: Patch(np.ones((8, 8), np.uint8), Region(0, 0, 8, 8)),
            "image/0": Patch(np.zeros((160, 160, 3), np.uint8), core.grown(16)),
        }
        read = lambda name, around=None: patches[name]  # noqa: E731
        return stage.kernel(ShardInput((0, 0), core, read, model=model))

    typed = computed(SegmentParams(patch_px=64)).arrays
    types = typed.pop(TYPE_MAP)
    assert types.shape == (2, 128, 128)
    assert [np.unique(each).tolist() for each in types] == [[75, NOT_COMPUTED], [175, NOT_COMPUTED]]
    assert ((types[0] == 75) == (typed["probabilities/nucleus/0"] == 150)).all()
    plain = computed(SegmentParams(patch_px=64, types=False)).arrays
    assert plain.keys() == typed.keys()
    assert all((plain[name] == typed[name]).all() for name in plain)


def test_a_network_with_other_outputs_than_its_card_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        shard(1, lambda patch: np.zeros((3, *patch.shape[:2]), np.float32))
