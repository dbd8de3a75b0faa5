"""Interface of slide readers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wsipipe.errors import SlideError, add_place
from wsipipe.geometry import Region
from wsipipe.tiling.mpp import MppClues

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Properties of an open slide.

    Attributes:
        vendor: Name of the format.
        shapes: (height, width) of each level of the full frame, finest first.
        bounds: Scanned part in level-0 px of the full frame.
        clues: Statements of the file about its scale.
        scales: Level-0 px per px of each level as stated by the file; None if not stated.
        orientation: Orientation of the stored image: 1 is upright, 2 to 8 as in TIFF tag 274.
        ends_aligned: Whether levels share their last edge, not their first, with level 0, along (y, x). They
            do if a pyramid was made before it was mirrored.
        concurrent: Whether several threads may read at once.
        decoder: ``library``, or ``tiles`` if wsipipe decodes the tiles of a file that OpenSlide reads too.
    """

    vendor: str
    shapes: tuple[tuple[int, int], ...]
    bounds: Region
    clues: MppClues
    scales: tuple[float | None, ...] | None = None
    orientation: int = 1
    ends_aligned: tuple[bool, bool] = (False, False)
    concurrent: bool = False
    decoder: str = "library"


class Reader(Protocol):
    """Reader of one open file or folder.

    One process uses it, under one lock.
    """

    @property
    def facts(self) -> Facts:
        """Properties of the slide."""

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB and alpha of a region.

        Args:
            level: Number of the level, 0 is the finest.
            region: Region in px of the level, inside it.

        Returns:
            RGB (H, W, 3) uint8, and alpha (H, W) uint8 or None if all is scanned.

        Raises:
            SlideError: A tile cannot be decoded; later reads still work.
        """

    def close(self) -> None:
        """Close the file; closing twice is harmless."""


def whole(shape: tuple[int, int]) -> Region:
    """Return the region of an array of ``shape`` (height, width)."""
    return Region(0, 0, *shape)


def open_error(path: Path, cause: object, remedy: str) -> SlideError:
    """Return the error for a file that cannot be opened."""
    return SlideError(f"cannot open {path} as a slide: {cause}; {remedy}.")


def tile_error(path: Path, level: int, region: Region, cause: object) -> SlideError:
    """Return the error for a tile that cannot be decoded."""
    error = SlideError(
        f"cannot read {path} at level {level}, y {region.y}, x {region.x} "
        f"({region.height} x {region.width} px): {cause}; the file is damaged there: "
        "copy it again from its source, or leave it out."
    )
    add_place(error, {"level": level, "y": region.y, "x": region.x})
    return error
