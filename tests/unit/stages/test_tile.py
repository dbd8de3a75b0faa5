"""The canvas is stored as it is; what lies beside the region is white and never read."""

import numpy as np
import pytest
from pydantic import ValidationError

from wsipipe.geometry import Region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.stage import Patch, ShardInput, ShardOutput
from wsipipe.stages.tile import TileParams, tile_stage

GRID = CanvasGrid((512, 512), 0.5, (0.0, 0.0), 2.0)
PARAMS = TileParams(shard_px=256, chunk_px=128)
PICTURE = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)


def shard(index: tuple[int, int], region: Region | None = None) -> tuple[ShardOutput, list[str]]:
    stage = tile_stage(PARAMS, region)
    core, asked = stage.core(GRID, index), []

    def read(name: str, around: Region | None = None) -> Patch:
        asked.append(name)
        return Patch(PICTURE[core.slices], core)

    return stage.kernel(ShardInput(index, core, read)), asked


def test_pixels_are_kept() -> None:
    output, _ = shard((1, 0))
    np.testing.assert_array_equal(output.arrays["image/0"], PICTURE[256:, :256].transpose(2, 0, 1))


def test_beside_the_region_nothing_is_read() -> None:
    region = Region(0, 0, 100, 256)
    output, asked = shard((0, 1), region)
    assert (output.arrays["image/0"] == 255).all()
    assert asked == []
    assert "canvas" in shard((0, 0), region)[1]


@pytest.mark.parametrize("image", ["lossless", "none", "jpeg:1", "jpeg:100"])
def test_ways_to_store_the_image(image: str) -> None:
    stage = tile_stage(TileParams(image=image), None)
    assert stage.writes[0].codec == (image if image.startswith("jpeg") else "zstd")


@pytest.mark.parametrize("image", ["jpeg", "jpeg:0", "jpeg:101", "png", ""])
def test_other_ways_are_refused(image: str) -> None:
    with pytest.raises(ValidationError, match="lossless"):
        TileParams(image=image)
