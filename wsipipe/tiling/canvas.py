"""The one symmetric grid on which a workflow runs over a slide.

The canvas is centred on the scanned bounds and its sides are multiples of the lattice, so a turned
slide has exactly the turned canvas. Its margins are white and count as not scanned.
"""

import math

import numpy as np

from wsipipe.common.block_mean import block_mean
from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.tiling.readers.base import Pixels
from wsipipe.tiling.slide import COARSE_AT_ONCE_PX, DECODED_AT_ONCE_PX, Lattice, Mask, Slide, blocks


class Canvas:
    """A slide at one mpp, padded evenly to a multiple of the lattice.

    Where the slide's own mpp times a power of two is near the asked one, that is taken instead:
    its pixels are plain copies or means of whole pixels.

    Args:
        slide: The slide.
        mpp: Um per px asked for.
        lattice_px: Power of two; both sides of the canvas are multiples of it.
        tolerance: Largest relative difference at which the slide's own mpp is taken.

    Attributes:
        mpp: Um per px of the canvas.
        step: Level-0 px per px of the canvas.
        shape: (height, width).

    Raises:
        ConfigError: mpp is not above 0, or lattice_px is no power of two.
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
        """RGB (H, W, 3) uint8 of a region of the canvas; white outside the slide."""
        return self.slide.sample_rgb(region, self._lattice(1))

    def scanned(self, region: Region) -> Mask:
        """(H, W) bool: at least half of the pixel was scanned."""
        return self.read_with_scanned(region)[1]

    def read_with_scanned(self, region: Region) -> tuple[Pixels, Mask]:
        """RGB (H, W, 3) uint8 and scanned (H, W) bool, decoded once."""
        return self.slide.sample(region, self._lattice(1))

    def read_reduced(self, region: Region, factor: int) -> Pixels:
        """RGB (H, W, 3) uint8 of the canvas made smaller by repeated means of 2 x 2 px.

        Args:
            region: In px of the smaller canvas.
            factor: Power of two, 1 for the canvas itself.
        """
        _check_power_of_two(factor, "the factor")
        small = np.empty((*region.shape, 3), np.uint8)
        for part in blocks(region, factor, DECODED_AT_ONCE_PX):
            large = self.read(part.scaled(factor))
            for _ in range(factor.bit_length() - 1):
                large = block_mean(large)
            small[part.relative_to(region).slices] = large
        return small

    def read_coarse(self, downsample: int, part: Region | None = None) -> tuple[Pixels, Mask]:
        """The canvas at ``mpp * downsample``: RGB (H, W, 3) uint8 and scanned (H, W) bool.

        Comes from the slide's own coarse levels where it has them.

        Args:
            downsample: Power of two, at most ``lattice_px``.
            part: In px of the coarse canvas, whose shape is the canvas's divided by ``downsample``; all of it
                without.
        """
        _check_power_of_two(downsample, "the downsample")
        if downsample > self.lattice_px:
            raise ConfigError(
                f"a canvas on a lattice of {self.lattice_px} px is read at a downsample of at most that, "
                f"but {downsample} was asked; use a smaller downsample or a larger lattice"
            )
        whole = Region(0, 0, self.shape[0] // downsample, self.shape[1] // downsample)
        return self.slide.sample(part or whole, self._lattice(downsample), COARSE_AT_ONCE_PX)

    def to_level0(self, y: float, x: float) -> tuple[float, float]:
        """Canvas -> level-0 px of the bounds, (y, x); px i covers [i, i + 1] on both sides."""
        offset_y, offset_x = self.offset_px
        return offset_y + y * self.step, offset_x + x * self.step

    @property
    def offset_px(self) -> tuple[float, float]:
        """The canvas's corner in level-0 px of the bounds, (y, x); mostly below 0."""
        height, width = self.slide.bounds.shape
        return (height - self.shape[0] * self.step) / 2, (width - self.shape[1] * self.step) / 2

    def _lattice(self, downsample: int) -> Lattice:
        height, width = self.shape
        return Lattice(self.step * downsample, (height / (2 * downsample), width / (2 * downsample)))


def _step(own_mpp: float, asked_mpp: float, tolerance: float) -> float:
    power = 2.0 ** max(0, round(math.log2(asked_mpp / own_mpp)))
    near = abs(own_mpp * power - asked_mpp) <= tolerance * asked_mpp
    return power if near else asked_mpp / own_mpp


def _padded(extent: float, multiple: int) -> int:
    """The smallest multiple that covers the extent; a billionth of a px over does not count."""
    return max(1, math.ceil(extent / multiple - 1e-9)) * multiple


def _check_power_of_two(number: int, what: str) -> None:
    if number < 1 or number & (number - 1):
        raise ConfigError(f"{what} must be a power of two, but is {number}; use for example 16 or 64")
