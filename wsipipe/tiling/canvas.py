"""The symmetric pixel grid of a slide in a workflow.

The canvas is centred on the scanned bounds and its sides are multiples of the lattice, so a rotated
slide has exactly the rotated canvas. Its margins are white and count as not scanned.
"""

import math

import numpy as np

from wsipipe.common.block_mean import block_mean
from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.tiling.readers.base import Pixels
from wsipipe.tiling.resample import Lattice, blocks
from wsipipe.tiling.slide import COARSE_AT_ONCE_PX, DECODED_AT_ONCE_PX, Mask, Slide


class Canvas:
    """A slide at one mpp, padded to the lattice.

    Both sides are multiples of the lattice; the padding is even on opposite sides. If the slide's own mpp
    times a power of two is close to the requested mpp, it is used instead, since its pixels are plain
    copies or means of whole pixels.

    Args:
        slide: The slide.
        mpp: Requested micrometres per px.
        lattice_px: Divisor of both sides of the canvas, a power of two.
        tolerance: Largest relative difference at which the slide's own mpp is used.

    Attributes:
        mpp: Micrometres per px of the canvas.
        step: Level-0 px per px of the canvas.
        shape: (height, width).

    Raises:
        ConfigError: mpp is not above 0, or lattice_px is not a power of two.
    """

    def __init__(self, slide: Slide, mpp: float, lattice_px: int = 64, tolerance: float = 0.02) -> None:
        if not mpp > 0:
            raise ConfigError(f"tile.mpp must be above 0, but is {mpp}; give um per px, for example 0.5")
        _check_power_of_two(lattice_px, "the lattice")
        self.slide = slide
        self.lattice_px = lattice_px
        self.step = _step(slide.mpp, mpp, tolerance)
        self.mpp = slide.mpp * self.step
        self.shape = (
            _padded(slide.bounds.height / self.step, lattice_px),
            _padded(slide.bounds.width / self.step, lattice_px),
        )

    def read(self, region: Region) -> Pixels:
        """Read a region, white outside the slide.

        Pixels are RGB (H, W, 3) uint8.
        """
        return self.slide.sample_rgb(region, self._lattice(1))

    def scanned(self, region: Region) -> Mask:
        """Return which pixels were scanned by at least half.

        The mask is (H, W) bool.
        """
        return self.read_with_scanned(region)[1]

    def read_with_scanned(self, region: Region) -> tuple[Pixels, Mask]:
        """Read RGB and scanned mask of a region, decoded once.

        Returns:
            RGB (H, W, 3) uint8, and scanned (H, W) bool.
        """
        return self.slide.sample(region, self._lattice(1))

    def read_reduced(self, region: Region, factor: int) -> Pixels:
        """Read the canvas downsampled by repeated means.

        Each step takes means of 2 x 2 px.

        Args:
            region: Region in px of the downsampled canvas.
            factor: Downsampling factor, a power of two; 1 is the canvas itself.

        Returns:
            RGB (H, W, 3) uint8.
        """
        _check_power_of_two(factor, "the factor")
        reduced = np.empty((*region.shape, 3), np.uint8)
        for part in blocks(region, factor, DECODED_AT_ONCE_PX):
            pixels = self.read(part.scaled(factor))
            for _ in range(factor.bit_length() - 1):
                pixels = block_mean(pixels)
            reduced[part.relative_to(region).slices] = pixels
        return reduced

    def read_coarse(self, downsample: int, part: Region | None = None) -> tuple[Pixels, Mask]:
        """Read the canvas from coarse levels of the slide.

        Its resolution is ``mpp * downsample``.

        Args:
            downsample: Power of two, at most ``lattice_px``.
            part: Region in px of the coarse canvas, ``downsample`` times smaller; default: all of it.

        Returns:
            RGB (H, W, 3) uint8, and scanned (H, W) bool.
        """
        _check_power_of_two(downsample, "the downsample")
        if downsample > self.lattice_px:
            raise ConfigError(
                f"a canvas on a lattice of {self.lattice_px} px is read at a downsample of at most that, "
                f"but {downsample} was given; use a smaller downsample or a larger lattice"
            )
        whole = Region(0, 0, self.shape[0] // downsample, self.shape[1] // downsample)
        return self.slide.sample(part or whole, self._lattice(downsample), COARSE_AT_ONCE_PX)

    def to_level0(self, y: float, x: float) -> tuple[float, float]:
        """Convert canvas to level-0 coordinates.

        Px i covers [i, i + 1] in both.

        Returns:
            (y, x) in level-0 px of the bounds.
        """
        offset_y, offset_x = self.offset_px
        return offset_y + y * self.step, offset_x + x * self.step

    @property
    def offset_px(self) -> tuple[float, float]:
        """Corner of the canvas in level-0 px, (y, x).

        It counts from the bounds. It is mostly below 0.
        """
        height, width = self.slide.bounds.shape
        return (height - self.shape[0] * self.step) / 2, (width - self.shape[1] * self.step) / 2

    def _lattice(self, downsample: int) -> Lattice:
        height, width = self.shape
        return Lattice(self.step * downsample, (height / (2 * downsample), width / (2 * downsample)))


def _step(own_mpp: float, requested_mpp: float, tolerance: float) -> float:
    power = 2.0 ** max(0, round(math.log2(requested_mpp / own_mpp)))
    near = abs(own_mpp * power - requested_mpp) <= tolerance * requested_mpp
    return power if near else requested_mpp / own_mpp


def _padded(extent: float, multiple: int) -> int:
    """Return the smallest multiple that covers an extent.

    An excess of a billionth of a px is ignored.
    """
    return max(1, math.ceil(extent / multiple - 1e-9)) * multiple


def _check_power_of_two(number: int, what: str) -> None:
    if number < 1 or number & (number - 1):
        raise ConfigError(f"{what} must be a power of two, but is {number}; use for example 16 or 64")
