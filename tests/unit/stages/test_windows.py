"""On fixed windows any network gives one result however a slide is cut; with ``symmetrise`` it also turns."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from wsipipe.errors import ConfigError, ModelError
from wsipipe.geometry import Array, Orientation, Region
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.models.foreign.predictor import OnnxPredictor
from wsipipe.stages import flow
from wsipipe.stages.classify import CLASS_PROBABILITIES, ClassifyParams, classify_stage
from wsipipe.stages.flow import completed, workflow_cards
from wsipipe.stages.grid import CanvasGrid, lattice_px
from wsipipe.stages.segment import SegmentParams, segment_stage
from wsipipe.stages.stage import Patch, ShardInput, Stage, StageNetwork, upsampled
from wsipipe.stages.tissue import TISSUE
from wsipipe.stages.windows import Windows, windows_of
from wsipipe.stages.workflow import Workflow
from wsipipe.store.encoding import NOT_COMPUTED

MPP, TISSUE_PX, SHAPE = 0.5, 16, (128, 192)
MakeCard = Callable[..., OnnxCard]


def slide(shape: tuple[int, int] = SHAPE) -> dict[str, Array]:
    """Image levels 0 and 1, and a ragged tissue mask."""
    rng = np.random.default_rng(2)
    tissue = rng.choice(np.array([0, 1, 1, 255], np.uint8), (shape[0] // TISSUE_PX, shape[1] // TISSUE_PX))
    half = (shape[0] // 2, shape[1] // 2, 3)
    images = {
        "image/0": rng.integers(0, 256, (*shape, 3), np.uint8),
        "image/1": rng.integers(0, 256, half, np.uint8),
    }
    return images | {TISSUE: tissue}


def cut(pixels: Array, region: Region, outside: int) -> Array:
    patch = np.full((*region.shape, *pixels.shape[2:]), outside, pixels.dtype)
    inside = region.clipped(pixels.shape[:2])
    patch[inside.relative_to(region).slices] = pixels[inside.slices]
    return patch


def run(stage: Stage, arrays: dict[str, Array], network: StageNetwork) -> dict[str, Array]:
    """All shards of a stage, put together: what the runner does."""
    grid = grid_of(arrays)
    whole: dict[str, Array] = {}
    for index in product(*map(range, stage.grid_shape(grid))):
        core = stage.core(grid, index)

        def read(name: str, around: Region | None = None, core: Region = core) -> Patch:
            declared = next(read for read in stage.reads if read.name == name)
            region = stage.patch_region(declared, around or core)
            return Patch(cut(arrays[name], region, declared.outside), region)

        for name, pixels in stage.kernel(ShardInput(index, core, read, model=network)).arrays.items():
            full = (*pixels.shape[:-2], *grid.shape_at(stage.downsample))
            whole.setdefault(name, np.zeros(full, pixels.dtype))[(..., *core.slices)] = pixels
    return whole


def grid_of(arrays: dict[str, Array]) -> CanvasGrid:
    return CanvasGrid(arrays["image/0"].shape[:2], MPP, (0.0, 0.0), 1.0)


def segment(
    arrays: dict[str, Array], card: OnnxCard, network: Any, shard_px: int, patch_px: int
) -> dict[str, Array]:
    params = SegmentParams(weights="peer", patch_px=patch_px)
    return run(segment_stage(params, card, grid_of(arrays), shard_px), arrays, OnnxPredictor(network, card))


def classify(arrays: dict[str, Array], card: OnnxCard, network: Any, shard: int) -> dict[str, Array]:
    params = ClassifyParams.model_construct(
        weights="peer", precision="auto", shard_cells=shard, patch_cells=2
    )
    return run(classify_stage(params, card, grid_of(arrays)), arrays, OnnxPredictor(network, card))


def same(one: dict[str, Array], other: dict[str, Array]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def oriented(arrays: dict[str, Array], orientation: Orientation, axes: tuple[int, int]) -> dict[str, Array]:
    return {name: orientation.apply(pixels, axes=axes) for name, pixels in arrays.items()}


@pytest.mark.parametrize("halo_px", [4, 0])
def test_nuclei_do_not_depend_on_the_cut(fake_session: Any, onnx_card: MakeCard, halo_px: int) -> None:
    """Not even where the halo is too small, since each pixel comes from one window."""
    card, arrays = onnx_card(halo_px=halo_px), slide()
    whole = segment(arrays, card, fake_session(), 256, 1024)
    assert same(segment(arrays, card, fake_session(), 64, 64), whole)
    expected = upsampled(arrays[TISSUE] == 1, TISSUE_PX)
    for values in whole.values():
        np.testing.assert_array_equal(values != NOT_COMPUTED, expected)
        assert len(np.unique(values)) > 100


def test_sister_on_patches_a_small_halo_shows(
    fake_session: Any, onnx_card: MakeCard, monkeypatch: Any
) -> None:
    monkeypatch.setattr("wsipipe.stages.segment.windows_of", lambda *_: None)
    card, arrays = onnx_card(halo_px=0), slide()
    whole = segment(arrays, card, fake_session(), 256, 1024)
    assert not same(segment(arrays, card, fake_session(), 64, 64), whole)


def test_windows_equal_the_whole_image_where_the_halo_is_true(fake_session: Any, onnx_card: MakeCard) -> None:
    card, arrays = onnx_card(), slide()
    seen = np.pad(arrays["image/0"], ((16, 16), (16, 16), (0, 0)), constant_values=255)
    whole = OnnxPredictor(fake_session(), card)(seen)[0, 16:-16, 16:-16]
    (stored, _) = segment(arrays, card, fake_session(), 64, 64).values()
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(
        stored[stored != NOT_COMPUTED], np.rint(whole * 250)[stored != NOT_COMPUTED]
    )


@pytest.mark.parametrize("orientation", [Orientation.R90, Orientation.M0])
def test_symmetrised_nuclei_turn_with_the_slide(
    fake_session: Any, onnx_card: MakeCard, orientation: Orientation
) -> None:
    card, arrays = onnx_card(symmetrise=True), slide()
    upright = segment(arrays, card, fake_session(), 256, 64)
    turned = segment(oriented(arrays, orientation, (0, 1)), card, fake_session(), 64, 64)
    assert same(turned, oriented(upright, orientation, (0, 1)))


def test_sister_without_symmetrise_they_do_not(fake_session: Any, onnx_card: MakeCard) -> None:
    card, arrays = onnx_card(), slide()
    upright = segment(arrays, card, fake_session(), 256, 64)
    turned = segment(oriented(arrays, Orientation.M0, (0, 1)), card, fake_session(), 256, 64)
    assert not same(turned, oriented(upright, Orientation.M0, (0, 1)))


def classifier(onnx_card: MakeCard, **changes: object) -> OnnxCard:
    """A network of 4 px cells at 1 um/px."""
    return onnx_card(mpp=1.0, activation="softmax", stride=4, **changes)


def test_symmetrised_classes_turn_with_the_slide_and_ignore_the_cut(
    fake_session: Any, onnx_card: MakeCard
) -> None:
    card, arrays = classifier(onnx_card, symmetrise=True), slide()
    network = fake_session()
    network.stride = 4
    upright = classify(arrays, card, network, 64)
    assert same(classify(arrays, card, network, 4), upright)
    assert upright[CLASS_PROBABILITIES].shape == (2, 16, 24)
    turned = classify(oriented(arrays, Orientation.R90, (0, 1)), card, network, 4)
    assert same(turned, oriented(upright, Orientation.R90, (-2, -1)))


def test_windows_meet_in_the_middle_of_the_canvas() -> None:
    windows = Windows(core_px=48, halo_px=3, middle=(64, 96), stride=1)
    assert [each.y for each in windows.cores(Region(0, 96, 128, 1))] == [-32, 16, 64, 112]
    assert [each.x for each in windows.cores(Region(70, 95, 1, 2))] == [48, 96]
    assert windows.context_px == 51


def test_only_networks_of_other_tools_run_on_windows(onnx_card: MakeCard) -> None:
    card = onnx_card()
    assert windows_of(card, (128, 192)) == Windows(36, 4, (64, 96), 1)
    shipped = workflow_cards(Workflow.model_validate({"name": "n", "segment": {}, "instances": {}}))[
        "segment"
    ]
    assert windows_of(shipped, (128, 192)) is None


def test_the_canvas_suits_the_windows_not_the_lattice(onnx_card: MakeCard) -> None:
    assert lattice_px(0.5, {"segment": onnx_card(lattice_px=28, halo_px=28, window_px=84)}) == 64
    assert lattice_px(0.5, {"classify": onnx_card(mpp=1.0, stride=64, halo_px=64, window_px=None)}) == 256


def test_a_network_without_both_maps_is_refused(onnx_card: MakeCard) -> None:
    with pytest.raises(ModelError, match=r"peer gives nucleus, but not centre. Nuclei need the maps"):
        SegmentParams(weights="peer").check_card(onnx_card(outputs=[{"name": "nucleus"}]))


def test_the_record_states_the_precision_that_ran(onnx_card: MakeCard) -> None:
    chosen = Workflow.model_validate(
        {"name": "n", "segment": {"weights": "peer", "precision": "bfloat16"}, "instances": {}}
    )
    assert completed(chosen, {"segment": onnx_card()}).segment.precision == "float32"


def test_a_run_without_onnxruntime_is_refused_before_any_work(
    onnx_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "verified_card", lambda _: onnx_card())
    monkeypatch.setattr("wsipipe.models.cards.onnx_card.find_spec", lambda _: None)
    chosen = Workflow.model_validate({"name": "n", "segment": {"weights": "peer.onnx"}, "instances": {}})
    with pytest.raises(
        ConfigError, match=r"segment.weights: The network peer cannot run: it needs onnxruntime"
    ):
        workflow_cards(chosen)
