"""Compare stored nuclei with those of the stored probabilities."""

from collections.abc import Iterator

import numpy as np

from wsipipe.geometry import Array, Orientation, Region
from wsipipe.pipeline.certificate.nuclei import is_whole, nuclei_of, renamed
from wsipipe.pipeline.certificate.opened import OpenedSlide
from wsipipe.pipeline.certificate.record import LayerCheck
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.relabel import NUCLEI as NUCLEI
from wsipipe.stages.segment import probability_name
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import NOT_COMPUTED

_MARGINS_PX = (256, 1024, 4096)
"""Context of a block, until no nucleus of the block is cut."""


def check_nuclei(slide: OpenedSlide, blocks: list[Region], sides: list[int]) -> LayerCheck:
    """Compute the nuclei of blocks again in all orientations, and in smaller shards.

    Ids depend on the whole slide, so each nucleus is compared with the stored one that shares most px.

    Args:
        slide: The slide.
        blocks: Blocks, canvas px.
        sides: Sides of the smaller shards, canvas px.
    """
    downsample = next(stage.downsample for stage in slide.stages if stage.name == "segment")
    params, mpp = slide.workflow.instances, slide.grid.mpp * downsample
    assert params is not None  # noqa: S101
    turned, divided = dict.fromkeys(Orientation.__members__, 0), dict.fromkeys(map(str, sides), 0)
    compared = left_out = 0
    for block in blocks:
        maps, window, whole = _window(slide, block.scaled(1, downsample), params)
        core = block.scaled(1, downsample).relative_to(window).slices
        stored = read_region(slide.pixels.array(NUCLEI), window, 0)[core][whole[core]]
        compared, left_out = compared + stored.size, left_out + int((~whole[core]).sum())
        for name, found in _passes(maps, [side // downsample for side in sides], mpp, params):
            is_upright = name not in turned or name == "R0"
            names = renamed(found[core][whole[core]], stored, in_order=is_upright)
            counts, key = (turned, name) if name in turned else (divided, str(int(name) * downsample))
            counts[key] += int((names != stored).sum())
    return LayerCheck(
        name=NUCLEI,
        compared_px=compared,
        left_out_px=left_out,
        differing_px=turned,
        differing_px_by_side=divided,
    )


def _passes(
    maps: tuple[Array, Array], sides: list[int], mpp: float, params: InstanceParams
) -> Iterator[tuple[str, Array]]:
    """Yield the nuclei by orientation, then by side of the shards."""
    longest = max(maps[0].shape)
    for orientation in Orientation:
        nucleus, centre = (np.ascontiguousarray(orientation.apply(each)) for each in maps)
        found = nuclei_of(nucleus, centre, longest, mpp, params)
        yield orientation.name, orientation.undo(found)
    for side in sides:
        yield str(side), nuclei_of(*maps, side_px=side, mpp=mpp, params=params)


def _window(
    slide: OpenedSlide, core: Region, params: InstanceParams
) -> tuple[tuple[Array, Array], Region, Array]:
    """Return both maps around a core, their region, and uncut px."""
    arrays = [slide.pixels.array(probability_name(name)) for name in ("nucleus", "centre")]
    height, width = arrays[0].shape[-2:]
    for margin in _MARGINS_PX:
        window = core.grown(margin).clipped((height, width))
        nucleus, centre = (read_region(array, window, NOT_COMPUTED) for array in arrays)
        whole = is_whole(nucleus, window, (height, width), params.nucleus_level)
        if whole[core.relative_to(window).slices].all():
            break
    return (nucleus, centre), window, whole
