"""Choose the blocks of a slide that are computed again."""

import hashlib

from wsipipe.geometry import Array, Region


def block_side(lattice_px: int, wanted_px: int) -> int:
    """Return the side of blocks, canvas px: half of it is a multiple of the lattice."""
    return max(1, wanted_px // (2 * lattice_px)) * 2 * lattice_px


def blocks_with_tissue(tissue: Array, downsample: int, shape: tuple[int, int], side_px: int) -> list[Region]:
    """Return all blocks of a canvas that have tissue.

    They begin half a block before the canvas, so that borders of shards cross them.

    Args:
        tissue: Labels of the tissue (h, w), 1 in tissue.
        downsample: Canvas px per px of the labels; divides half of ``side_px``.
        shape: (height, width) of the canvas.
        side_px: Side of a block, canvas px.
    """
    half = side_px // 2
    whole = Region(-half, -half, shape[0] + half, shape[1] + half)
    blocks = (block.clipped(shape) for block in whole.blocks(side_px))
    return [block for block in blocks if (tissue[block.scaled(1, downsample).slices] == 1).any()]


def sample_blocks(blocks: list[Region], count: int, digest: str) -> list[Region]:
    """Return a sample that depends on the digest of the manifest alone, in raster order."""

    def key(block: Region) -> str:
        return hashlib.sha256(f"{digest} {block.y} {block.x}".encode()).hexdigest()

    return sorted(sorted(blocks, key=key)[:count], key=lambda block: (block.y, block.x))
