"""Batches of patches over tissue, as a loop written by hand takes them from OpenSlide."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import openslide
from skimage.filters import threshold_otsu

Pixels = npt.NDArray[np.uint8]
Corner = tuple[int, int]

THUMBNAIL_PX = 32
"""Level-0 px per px of the thumbnail in which tissue is looked for."""


class Patches:
    """Square patches of a slide at a scale that touch tissue.

    Args:
        slide: Open slide.
        factor: Level-0 px per px of a patch.
        side_px: Side of a patch.
        stride_px: Distance of patches.
    """

    def __init__(self, slide: openslide.OpenSlide, factor: int, side_px: int, stride_px: int) -> None:
        self.slide, self.factor, self.side_px = slide, factor, side_px
        self.level = slide.get_best_level_for_downsample(factor)
        self.left = round(factor / slide.level_downsamples[self.level])
        width, height = (side // factor for side in slide.dimensions)
        self.shape = (height, width)
        mask = self._tissue()
        margin = (side_px - stride_px) // 2
        self.corners = [
            (y, x)
            for y in range(-margin, height - margin, stride_px)
            for x in range(-margin, width - margin, stride_px)
            if self._part(mask, (y, x)).any()
        ]

    def _tissue(self) -> npt.NDArray[np.bool_]:
        width, height = (-(-side // THUMBNAIL_PX) for side in self.slide.dimensions)
        pixels = np.asarray(self.slide.get_thumbnail((width, height)).convert("RGB"))
        saturation = pixels.max(axis=2).astype(np.int16) - pixels.min(axis=2)
        return saturation > threshold_otsu(saturation)

    def _part(self, mask: npt.NDArray[np.bool_], corner: Corner) -> npt.NDArray[np.bool_]:
        step = THUMBNAIL_PX / self.factor
        rows, columns = (
            slice(max(0, int(value // step)), max(0, int(-(-(value + self.side_px) // step))))
            for value in corner
        )
        return mask[rows, columns]

    def read(self, corner: Corner) -> Pixels:
        """Return a patch, (side, side, 3) uint8."""
        y, x = (self.factor * value for value in corner)
        wide = self.side_px * self.left
        pixels = self.slide.read_region((x, y), self.level, (wide, wide)).convert("RGB")
        return np.asarray(pixels.reduce(self.left) if self.left > 1 else pixels)

    def batches(self, size: int) -> Iterator[tuple[list[Corner], Pixels]]:
        """Yield corners and patches; the next batch is read while one is worked on."""
        parts = [self.corners[start : start + size] for start in range(0, len(self.corners), size)]
        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(self._batch, part) for part in parts[:1]]
            for index, part in enumerate(parts):
                pixels = ahead.pop().result()
                ahead += [pool.submit(self._batch, later) for later in parts[index + 1 : index + 2]]
                yield part, pixels

    def _batch(self, part: list[Corner]) -> Pixels:
        return np.stack([self.read(corner) for corner in part])
