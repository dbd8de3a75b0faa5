"""Tissue tiles, and canvases of them: neighbours of other classes, as a dense pass over a slide has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from wsipipe.geometry import Region
from wsipipe.tiling.slide import open_slide
from wsipipe.training import augment
from wsipipe.training.nuclei_data import as_input

CLASSES = ("ADI", "BACK", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
MPP = 1.0
TILE_MPP = 1.037
TILE_PX = 112
HOLD_EVERY = 5
GLASS_TILES = 60
STAIN_STRENGTH = 0.5


@dataclass(frozen=True, eq=False)
class Tile:
    """One labelled tile.

    Attributes:
        image: (side, side, 3) uint8 at 1.037 um/px.
        label: Index in :data:`CLASSES`.
        held_out: True for the tiles that measure the network.
    """

    image: augment.Rgb
    label: int
    held_out: bool


def read_tiles(data: Path) -> list[Tile]:
    """Seven classes of ``tissue/crc7``, and BACK cut from the glass of the slides; a fifth is held out."""
    tiles = []
    for label, name in enumerate(CLASSES):
        images = _glass(data / "slides") if name == "BACK" else _pngs(data / "tissue" / "crc7" / name)
        tiles += [Tile(image, label, index % HOLD_EVERY == 2) for index, image in enumerate(images)]
    return tiles


def _pngs(folder: Path) -> list[augment.Rgb]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]


def _glass(slides: Path) -> list[augment.Rgb]:
    """Tiles without tissue: bright, grey and flat."""
    pictures = [Image.open(path).convert("RGB") for path in sorted((slides / "overviews").glob("*.jpeg"))]
    with open_slide(slides / "CMU-1-Small-Region.svs") as slide:
        finest = slide.levels[0]
        half = Region(0, 0, finest.height // 2, finest.width // 2)
        images = [*map(np.asarray, pictures), slide.read(half, 2 * finest.mpp)]
    tiles = [tile for image in images for tile in _empty_tiles(image)]
    return tiles[:: max(len(tiles) // GLASS_TILES, 1)]


def _empty_tiles(image: augment.Rgb) -> list[augment.Rgb]:
    height, width = (extent // TILE_PX * TILE_PX for extent in image.shape[:2])
    tiles = image[:height, :width].reshape(height // TILE_PX, TILE_PX, width // TILE_PX, TILE_PX, 3)
    return [tile for tile in tiles.swapaxes(1, 2).reshape(-1, TILE_PX, TILE_PX, 3) if is_glass(tile)]


def is_glass(image: augment.Rgb) -> bool:
    """True if a tile is bright (> 200), grey and without structure."""
    low, high = np.percentile(image, (1, 99), axis=(0, 1))
    return bool(low.min() > 195 and (high - low).max() < 22 and np.ptp(np.median(image, axis=(0, 1))) < 18)


def square(image: augment.Rgb, rng: np.random.Generator | None) -> augment.Rgb:
    """The tile as 112 px at 1.0 um/px, by a random scale and place; exactly, if there is no generator."""
    scale = 1.0 if rng is None else float(np.exp(rng.uniform(-0.2, 0.1)))
    cut = round(TILE_PX / TILE_MPP * scale)
    missing = max(cut - len(image), 0)
    if missing:
        edges = (missing // 2, missing - missing // 2)
        image = np.pad(image, (edges, edges, (0, 0)), mode="reflect")
    room = len(image) - cut
    y, x = (room // 2, room // 2) if rng is None else rng.integers(0, room + 1, 2)
    picture = Image.fromarray(image[y : y + cut, x : x + cut])
    return np.asarray(picture.resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC))


def class_layout(tiles: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Class of each tile of a canvas (tiles, tiles): half of the tiles follow a neighbour, as tissue does."""
    layout = rng.integers(0, classes, (tiles, tiles))
    for row in range(tiles):
        for column in range(tiles):
            neighbour = (row - 1, column) if rng.random() < 0.5 else (row, column - 1)
            if min(neighbour) >= 0 and rng.random() < 0.5:
                layout[row, column] = layout[neighbour]
    if rng.random() < 0.15:
        centre = layout[1:-1, 1:-1].copy()
        layout[:] = CLASSES.index("BACK")
        layout[1:-1, 1:-1] = centre
    return layout


class TissueCanvases:
    """Endless random canvases of ``tiles`` x ``tiles`` tiles.

    Args:
        tiles: From which to draw.
        per_side: Tiles on each side of a canvas.
    """

    def __init__(self, tiles: Sequence[Tile], per_side: int) -> None:
        self.per_side = per_side
        labels = range(len(CLASSES))
        self.by_class = [[tile.image for tile in tiles if tile.label == label] for label in labels]

    def tile(self, label: int, rng: np.random.Generator) -> augment.Rgb:
        """One stained tile (112, 112, 3) of a class; half of the BACK tiles are made."""
        if label == CLASSES.index("BACK") and rng.random() < 0.5:
            return augment.glass(TILE_PX, rng)
        images = self.by_class[label]
        return augment.stain(square(images[rng.integers(len(images))], rng), rng, STAIN_STRENGTH)

    def canvas(self, rng: np.random.Generator) -> tuple[augment.Rgb, np.ndarray]:
        """One canvas (side, side, 3) uint8 and the class of each of its tiles."""
        layout = class_layout(self.per_side, len(CLASSES), rng)
        image = mosaic([[self.tile(int(label), rng) for label in row] for row in layout])
        return augment.optics(image, rng), layout

    def batch(self, size: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """``size`` canvases: image (B, 3, H, W) float32, label (B, tiles, tiles) int64."""
        canvases = [self.canvas(rng) for _ in range(size)]
        return {
            "image": as_input(np.stack([image for image, _ in canvases])),
            "label": torch.from_numpy(np.stack([layout for _, layout in canvases])).long(),
        }


def mosaic(rows: Sequence[Sequence[augment.Rgb]]) -> augment.Rgb:
    """Tiles of one size, put together."""
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
