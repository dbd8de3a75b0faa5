"""Scores of focus: exact on made pictures, the same in all orientations and for all shards."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from wsipipe.geometry import Array, Orientation, Region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.quality import focus as module
from wsipipe.stages.quality.focus import MARGIN_PX, focus_scores, ratio_of, score_of
from wsipipe.stages.quality.stages import FOCUS, FocusGrid, focus_grid, focus_stage
from wsipipe.stages.stage import Patch, ShardInput
from wsipipe.stages.tissue import TISSUE

CELL_PX = 16
GRID = CanvasGrid((256, 384), 0.5, (0.0, 0.0), 1.0)


def tissue_like(shape: tuple[int, int], blur_px: float = 0.0, seed: int = 0) -> Array:
    """Smooth random grey, (H, W, 3), with details of about 1.5 px."""
    drawn = gaussian_filter(np.random.default_rng(seed).normal(0, 1, shape), np.hypot(1.5, blur_px))
    grey = 150 + 30 * drawn / drawn.std()
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def scores(rgb: Array, tissue: Array | None = None) -> tuple[Array, Array]:
    cells = [(side - 2 * MARGIN_PX) // CELL_PX for side in rgb.shape[:2]]
    return focus_scores(rgb, np.ones(cells, bool) if tissue is None else tissue, CELL_PX)


def picture(cells: tuple[int, int], **more: float) -> Array:
    height, width = (side * CELL_PX + 2 * MARGIN_PX for side in cells)
    return tissue_like((height, width), **more)


def test_stripes_have_the_score_that_follows_by_hand() -> None:
    rgb = picture((5, 5))
    # Columns of 100, 100, 140, 140, ...: variance 400, and the Laplacian is 40 or -40 everywhere.
    rgb[:] = np.where(np.arange(rgb.shape[1]) // 2 % 2, 140, 100).astype(np.uint8)[None, :, None]
    fine, coarse = scores(rgb)
    assert fine.tolist() == [[score_of((1600 - module.NOISE_ENERGY) / 400)]]
    # Means of 4 x 4 px are the same everywhere: there is nothing to focus on.
    assert coarse.tolist() == [[0]]


def test_scores_and_ratios_are_inverse() -> None:
    assert [score_of(ratio_of(score)) for score in (1, 7, 148, 249)] == [1, 7, 148, 249]
    assert (score_of(0.0), score_of(1e9)) == (1, 250)
    assert ratio_of(161) == 1.0


def test_blur_lowers_the_fine_score_most() -> None:
    sharp, blurred = (np.array(scores(picture((7, 9), blur_px=px)), int) for px in (0, 2.5))
    falls = sharp - blurred
    assert (falls[0] > 24).all()
    assert (falls[0] > falls[1] + 8).all()


def test_the_strength_of_the_stain_does_not_matter() -> None:
    rgb = picture((6, 6)).astype(int)
    strong = (150 + 2 * (rgb - 150)).clip(0, 255).astype(np.uint8)
    assert (np.abs(np.subtract(scores(strong), scores(rgb.astype(np.uint8)), dtype=int)) <= 2).all()


def test_flat_areas_and_glass_are_not_measured() -> None:
    rgb, tissue = picture((8, 9)), np.ones((8, 9), bool)
    tissue[3, 4] = False
    fine, coarse = scores(rgb, tissue)
    assert np.argwhere(fine == 0).tolist() == [[1, 2]]
    assert np.argwhere(coarse == 0).tolist() == [[1, 2]]
    assert not np.any(scores(np.full_like(rgb, 180)))
    assert not np.any(scores(rgb, np.zeros_like(tissue)))


@pytest.mark.parametrize("turned", Orientation)
def test_scores_commute_with_the_eight_orientations(turned: Orientation) -> None:
    rgb, tissue = picture((7, 10), seed=3), np.random.default_rng(1).random((7, 10)) > 0.2
    expected = scores(rgb, tissue)
    assert np.any(expected)
    found = scores(turned.apply(rgb), turned.apply(tissue))
    assert all((turned.apply(one) == other).all() for one, other in zip(expected, found, strict=True))


def test_sister_a_picture_that_changes_when_turned_has_other_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    grey_of = module.grey_of
    monkeypatch.setattr(
        module, "grey_of", lambda rgb: grey_of(rgb) // (1 + np.arange(rgb.shape[1]) % 2).astype("u1")
    )
    rgb = picture((7, 10), seed=3)
    found = [scores(each)[0] for each in (rgb, rgb.swapaxes(0, 1))]
    assert (found[0] != found[1].T).any()


def by_shards(image: Array, tissue: Array, shard_px: int, halo_cells: int | None = None) -> Array:
    """Scores of the whole canvas, computed shard by shard."""
    stage = focus_stage(FocusGrid(0, 0, CELL_PX), GRID, shard_px, TISSUE)
    rows, columns = stage.grid_shape(GRID)
    whole = np.zeros((2, *tissue.shape), np.uint8)
    for index in np.ndindex(rows, columns):
        core = stage.core(GRID, index)

        def read(name: str, around: Region | None = None, core: Region = core) -> Patch:
            declared = next(each for each in stage.reads if each.name == name)
            region = stage.patch_region(declared, core)
            source = image if name == "image/0" else tissue
            wide = np.pad(source, [(64, 64), (64, 64), *[(0, 0)] * (source.ndim - 2)], constant_values=255)
            pixels = wide[Region(region.y + 64, region.x + 64, *region.shape).slices]
            if halo_cells is not None and name == TISSUE:
                pixels = pixels.copy()
                pixels[:halo_cells] = 255
            return Patch(pixels, region)

        whole[:, *core.slices] = stage.kernel(ShardInput(index, core, read)).arrays[FOCUS]
    return whole


def test_shards_change_nothing_and_sister_without_their_margin_they_do() -> None:
    image = tissue_like(GRID.shape)
    tissue = np.random.default_rng(2).integers(0, 2, GRID.shape_at(16)).astype(np.uint8)
    expected = by_shards(image, tissue, 512)
    assert np.any(expected)
    assert (by_shards(image, tissue, 64) == expected).all()
    assert (by_shards(image, tissue, 128) == expected).all()
    assert (by_shards(image, tissue, 64, halo_cells=2) != expected).any()


@pytest.mark.parametrize(
    ("mpp", "levels", "expected"),
    [
        (0.5, 3, FocusGrid(0, 0, 16)),
        (0.25, 3, FocusGrid(1, 1, 16)),
        (0.125, 2, FocusGrid(2, 1, 16)),
        (0.7, 3, FocusGrid(0, 0, 16)),
        (0.71, 3, None),
        (8, 1, None),
    ],
)
def test_focus_is_measured_at_about_half_a_um(mpp: float, levels: int, expected: FocusGrid | None) -> None:
    assert focus_grid(CanvasGrid((512, 512), mpp, (0.0, 0.0), 1.0), levels) == expected
