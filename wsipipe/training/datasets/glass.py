"""Tiles without tissue, class BACK, from slides and overview images."""

from pathlib import Path

import numpy as np

from wsipipe.geometry import Region
from wsipipe.tiling.slide import open_slide
from wsipipe.training.datasets.files import images_in, read_rgb
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Rgb, Tile

CLASS = "BACK"
SIDE_PX = 112
MPP = 1.0
MOST = 60


def read_glass(slides: Path, problems: Problems) -> list[Tile]:
    """Read at most 60 tiles of glass.

    They are cut from ``slides/*.svs`` and the images in ``slides/overviews``.
    """
    cut: list[tuple[str, Rgb]] = []
    for path in [*images_in(slides / "overviews"), *sorted(slides.glob("*.svs"))]:
        with problems.at(path):
            image = read_rgb(path) if path.suffix != ".svs" else _finest(path)
            cut += [(f"{path.stem}_{index}", tile) for index, tile in enumerate(empty_tiles(image))]
    chosen = cut[:: max(len(cut) // MOST, 1)]
    return [
        Tile(name=name, source="glass", group=f"glass/{name}", image=tile, class_name=CLASS, mpp=MPP)
        for name, tile in chosen
    ]


def _finest(path: Path) -> Rgb:
    with open_slide(path) as slide:
        finest = slide.levels[0]
        half = Region(0, 0, finest.height // 2, finest.width // 2)
        return np.asarray(slide.read(half, 2 * finest.mpp))


def empty_tiles(image: Rgb) -> list[Rgb]:
    """Return the tiles (112, 112, 3) of an image's grid that show glass."""
    rows, columns = (extent // SIDE_PX for extent in image.shape[:2])
    whole = image[: rows * SIDE_PX, : columns * SIDE_PX]
    tiles = whole.reshape(rows, SIDE_PX, columns, SIDE_PX, 3).swapaxes(1, 2)
    return [tile for tile in tiles.reshape(-1, SIDE_PX, SIDE_PX, 3) if is_glass(tile)]


def is_glass(image: Rgb) -> bool:
    """Return whether a tile is bright (> 195), grey and without structure."""
    low, high = np.percentile(image, (1, 99), axis=(0, 1))
    flat = (high - low).max() < 22 and np.ptp(np.median(image, axis=(0, 1))) < 18
    return bool(low.min() > 195 and flat)
