"""Reading turned, choosing blocks, and finding partners of nuclei, each with exact values."""

import numpy as np
import pytest

from wsipipe.geometry import Orientation, Region
from wsipipe.pipeline.certificate.angles import rotated, rotated_back
from wsipipe.pipeline.certificate.nuclei import NO_PARTNER, is_whole, nuclei_of, renamed
from wsipipe.pipeline.certificate.sample import block_side, blocks_with_tissue, sample_blocks
from wsipipe.pipeline.certificate.turned import turned_grid, turned_region, unturned_region
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.nuclei.params import InstanceParams


@pytest.mark.parametrize("orientation", Orientation)
def test_a_turned_region_holds_the_turned_pixels(orientation: Orientation) -> None:
    pixels = np.arange(35).reshape(5, 7)
    turned = orientation.apply(pixels)
    region = Region(1, 2, 3, 4)
    found = turned_region(region, pixels.shape, orientation)
    assert (turned[found.slices] == orientation.apply(pixels[region.slices])).all()
    beyond = Region(-3, 5, 9, 4)
    there = turned_region(beyond, pixels.shape, orientation)
    assert unturned_region(there, turned.shape, orientation) == beyond
    grid = turned_grid(CanvasGrid((5, 7), 0.5, (1.0, 2.0), 2.0), orientation)
    assert grid.shape == turned.shape
    assert grid.offset_px0 == ((1.0, 2.0) if turned.shape == (5, 7) else (2.0, 1.0))


def test_blocks_cross_the_borders_of_shards() -> None:
    tissue = np.zeros((16, 16), np.uint8)
    tissue[0, 0] = tissue[15, 15] = 1
    tissue[8, 8] = 255
    found = blocks_with_tissue(tissue, 16, (256, 256), 128)
    assert found == [Region(0, 0, 64, 64), Region(192, 192, 64, 64)]


def test_a_sample_depends_on_the_digest_alone() -> None:
    blocks = [Region(y, x, 64, 64) for y in range(0, 640, 64) for x in range(0, 640, 64)]
    one = sample_blocks(blocks, 3, "a")
    assert one == sample_blocks(blocks[::-1], 3, "a")
    assert one == sorted(one, key=lambda block: (block.y, block.x))
    assert one != sample_blocks(blocks, 3, "b")
    assert sample_blocks(blocks, 200, "a") == blocks


def test_half_a_block_is_a_multiple_of_the_lattice() -> None:
    assert [block_side(lattice, 1024) for lattice in (64, 192, 512, 1024)] == [1024, 768, 1024, 2048]


def disks() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of nuclei of radius 6 around four points, two of which touch."""
    y, x = np.mgrid[:64, :96]
    distance = np.min([np.hypot(y - a, x - b) for a, b in ((16, 16), (16, 48), (44, 30), (44, 41))], axis=0)
    return np.where(distance < 6, 250, 0).astype(np.uint8), np.where(distance < 3, 250, 0).astype(np.uint8)


@pytest.mark.parametrize("side", [96, 32, 16])
@pytest.mark.parametrize("orientation", Orientation)
def test_nuclei_are_the_same_in_all_orientations_and_shards(orientation: Orientation, side: int) -> None:
    nucleus, centre = disks()
    params = InstanceParams(grow_um=4, min_area_um2=1)
    once = nuclei_of(nucleus, centre, 96, 0.5, params)
    assert len(np.unique(once)) == 5
    maps = (np.ascontiguousarray(orientation.apply(each)) for each in (nucleus, centre))
    again = orientation.undo(nuclei_of(*maps, side_px=side, mpp=0.5, params=params))
    assert (renamed(again.ravel(), once.ravel(), in_order=False) == once.ravel()).all()


def test_nuclei_that_a_window_cuts_are_left_out() -> None:
    nucleus, _ = disks()
    # It ends in the first nucleus of the second row.
    window = Region(0, 0, 40, 96)
    whole = is_whole(nucleus[window.slices], window, (64, 96), 125)
    assert (~whole).sum() == (nucleus[38:40] > 0).sum()
    # At the edge of the slide nothing is cut.
    assert is_whole(nucleus[window.slices], window, (40, 96), 125).all()


def test_partners_share_most_pixels_and_each_has_one() -> None:
    found = np.array([0, 1, 1, 1, 2, 2, 3, 0], np.uint32)
    stored = np.array([0, 7, 7, 9, 9, 9, 9, 5], np.uint32)
    assert renamed(found, stored, in_order=True).tolist() == [0, 7, 7, 7, 9, 9, NO_PARTNER, 0]


def test_partners_are_in_order_where_that_matters() -> None:
    found, stored = np.array([1, 1, 2, 2], np.uint32), np.array([8, 8, 5, 5], np.uint32)
    assert renamed(found, stored, in_order=False).tolist() == stored.tolist()
    assert renamed(found, stored, in_order=True).tolist() == [8, 8, NO_PARTNER, NO_PARTNER]


def test_no_nuclei_have_no_partners() -> None:
    nothing = np.zeros(4, np.uint32)
    assert renamed(nothing, nothing, in_order=True).tolist() == [0, 0, 0, 0]


def test_a_rotation_by_45_degrees_and_back_keeps_smooth_pictures() -> None:
    y, x = np.mgrid[:120, :120]
    smooth = np.rint(128 + 60 * np.sin(y / 9) * np.cos(x / 11)).astype(np.uint8)
    square = rotated(np.stack([smooth] * 3, axis=-1), np.array([60.0, 60.0]), 80)
    back = rotated_back(square[..., 0].astype(np.float32), (40, 40))
    assert np.abs(back - smooth[40:80, 40:80]).max() < 3
    # It is a rotation, not a copy.
    assert np.abs(square[20:60, 20:60, 0].astype(int) - smooth[40:80, 40:80]).max() > 30
