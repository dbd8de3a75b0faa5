"""Apply the Orientation tag to the slide of any reader."""

from dataclasses import replace

import numpy as np

from wsipipe.geometry import Region
from wsipipe.tiling.readers.base import Facts, Pixels, Reader

Size = tuple[int, int]

ORIENTATION_STEPS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
"""Steps to the upright image by orientation: swap rows and columns, flip along y, flip along x.

Source: TIFF 6.0, tag 274; Exif 2.32 gives the tag the same meaning.
"""


class OrientedReader:
    """Reader of a rotated slide in upright orientation.

    The stored image may also be mirrored.

    Args:
        reader: Reader of the stored image; its ``facts.orientation`` is 2 to 8.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._steps = ORIENTATION_STEPS[reader.facts.orientation]
        self.facts = self._upright(reader.facts)

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB and alpha of a region; see :class:`base.Reader`."""
        rgb, alpha = self._reader.read_level(
            level, self._converted(region, self.facts.shapes[level], back=True)
        )
        return self._pixels(rgb), None if alpha is None else self._pixels(alpha)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _upright(self, facts: Facts) -> Facts:
        clues = facts.clues
        clues = replace(clues, vendor=self._pair(clues.vendor), tiff=self._pair(clues.tiff))
        _, flip_y, flip_x = self._steps
        return replace(
            facts,
            shapes=tuple(self._size(shape) for shape in facts.shapes),
            bounds=self._converted(facts.bounds, facts.shapes[0], back=False),
            clues=clues,
            orientation=1,
            ends_aligned=(flip_y, flip_x),
        )

    def _converted(self, region: Region, shape: Size, back: bool) -> Region:
        """Convert a region to the upright image, or back.

        ``shape`` is that of the image that the region lies in.
        """
        swap, flip_y, flip_x = self._steps
        if swap and not back:
            region, shape = Region(region.x, region.y, region.width, region.height), (shape[1], shape[0])
        y = shape[0] - region.end_y if flip_y else region.y
        x = shape[1] - region.end_x if flip_x else region.x
        return Region(x, y, region.width, region.height) if swap and back else Region(y, x, *region.shape)

    def _pixels(self, array: Pixels) -> Pixels:
        """Return stored pixels (H, W, ...) in upright orientation."""
        swap, flip_y, flip_x = self._steps
        array = np.swapaxes(array, 0, 1) if swap else array
        return np.ascontiguousarray(array[:: -1 if flip_y else 1, :: -1 if flip_x else 1])

    def _size(self, size: Size) -> Size:
        return (size[1], size[0]) if self._steps[0] else size

    def _pair(self, pair: tuple[float, float] | None) -> tuple[float, float] | None:
        return (pair[1], pair[0]) if pair is not None and self._steps[0] else pair
