"""What every reader offers: levels of RGB pixels, the scanned bounds, and clues to the scale."""

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
    """What a reader knows once the file is open.

    Attributes:
        vendor: Name of the format.
        shapes: (height, width) of each level of the full frame, finest first.
        bounds: The scanned part, in level-0 px of the full frame.
        clues: What the file says of its scale.
        scales: Level-0 px per px of each level, where the file states them itself; else None.
        orientation: How the stored picture lies: 1 upright, 2 to 8 as the TIFF tag 274 counts.
        ends_aligned: Along (y, x), whether levels share their last edge with level 0 instead of the first.
            So they do where a pyramid was made before it was mirrored.
        concurrent: Whether several threads may read at once.
    """

    vendor: str
    shapes: tuple[tuple[int, int], ...]
    bounds: Region
    clues: MppClues
    scales: tuple[float | None, ...] | None = None
    orientation: int = 1
    ends_aligned: tuple[bool, bool] = (False, False)
    concurrent: bool = False


class Reader(Protocol):
    """One open file or folder; used by one process, under one lock."""

    @property
    def facts(self) -> Facts:
        """What was learnt at opening."""

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """RGB (H, W, 3) uint8 and alpha (H, W) uint8, or None where all is scanned.

        Args:
            level: 0 is the finest.
            region: In px of that level; lies inside it.

        Raises:
            SlideError: A tile does not decode; later reads work again.
        """

    def close(self) -> None:
        """Let go of the file; closing twice is harmless."""


def whole(shape: tuple[int, int]) -> Region:
    """The region of an array of ``shape`` (height, width)."""
    return Region(0, 0, *shape)


def open_error(path: Path, cause: object, remedy: str) -> SlideError:
    """The error of a file that does not open."""
    return SlideError(f"cannot open {path} as a slide: {cause}; {remedy}.")


def tile_error(path: Path, level: int, region: Region, cause: object) -> SlideError:
    """The error of a tile that does not decode."""
    error = SlideError(
        f"cannot read {path} at level {level}, y {region.y}, x {region.x} "
        f"({region.height} x {region.width} px): {cause}; the file is damaged there: "
        "copy it again from its source, or leave it out."
    )
    add_place(error, {"level": level, "y": region.y, "x": region.x})
    return error
