"""Choose a window with many differences, and draw nuclei in it."""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from wsipipe.common.colours import Rgb
from wsipipe.geometry import Array, Region
from wsipipe.results.compare.tally import Tally
from wsipipe.results.export.overlay import outlines

FILL_SHARE = 0.45


def worst_window(tally: Tally, part: Region, side_px: int) -> Region:
    """Return the square with the most differences; without any, with the most nuclei.

    Squares overlap by half; the first one in raster order is taken among equals.

    Args:
        tally: Nuclei of both sides.
        part: Part that was compared; the square lies inside it.
        side_px: Side of the square; less where the part is smaller.
    """
    true, found = tally.matches
    alone = [
        np.delete(np.arange(len(tally.true.ids)), true),
        np.delete(np.arange(len(tally.found.ids)), found),
    ]
    y = np.concatenate([tally.true.y[alone[0]], tally.found.y[alone[1]]])
    x = np.concatenate([tally.true.x[alone[0]], tally.found.x[alone[1]]])
    if not y.size:
        y, x = tally.found.y, tally.found.x
    half = max(1, side_px // 2)
    cells = [max(2, -(-side // half)) for side in part.shape]
    row, column = ((at - start).astype(int) // half for at, start in ((y, part.y), (x, part.x)))
    counts = np.zeros(cells, np.int64)
    np.add.at(counts, (np.minimum(row, cells[0] - 1), np.minimum(column, cells[1] - 1)), 1)
    squares = counts[:-1, :-1] + counts[1:, :-1] + counts[:-1, 1:] + counts[1:, 1:]
    top, left = (int(index) * half for index in np.unravel_index(squares.argmax(), squares.shape))
    height, width = (min(side_px, side) for side in part.shape)
    top, left = min(top, part.height - height), min(left, part.width - width)
    return Region(part.y + top, part.x + left, height, width)


def draw_window(background: Array, layers: Iterable[tuple[Array, Rgb, bool]], times: int) -> Array:
    """Draw outlines of nuclei, two px wide, and fill some of them.

    Args:
        background: Picture (h * times, w * times, 3) uint8.
        layers: Labels (h, w), colour, and whether the nuclei are filled; later layers are on top.
        times: Px of the picture per px of the labels.

    Returns:
        The picture (h * times, w * times, 3) uint8.
    """
    picture = background.astype(np.float32)
    for labels, colour, is_filled in layers:
        large = labels.repeat(times, axis=0).repeat(times, axis=1)
        if is_filled:
            picture[large > 0] += FILL_SHARE * (np.array(colour) - picture[large > 0])
        lines = ndimage.binary_dilation(outlines(np.pad(large, 1, mode="edge")))
        picture[lines] = colour
    return np.rint(picture).astype(np.uint8)
