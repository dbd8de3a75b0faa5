"""Mosaics of tissue tiles at one mpp.

Neighbouring tiles have other classes, as in a dense pass over a slide.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from wsipipe.errors import ConfigError
from wsipipe.training.recipe import Augment, Sampling
from wsipipe.training.samples import Rgb, Tile
from wsipipe.training.sampling import augment
from wsipipe.training.sampling.prefetch import Arrays

GLASS = "BACK"
GLASS_AROUND = 0.15


class TileMosaics:
    """Sampler of batches of mosaics with balanced classes.

    Args:
        tiles: Tiles to draw from; at least one of each class.
        classes: Class names, in the order of the labels.
        mpp: Resolution of the mosaics in µm/px.
        samples: Batch, side of a tile, tiles per side.
        changes: Strength of the augmentation.

    Raises:
        ConfigError: A class has no tile.
    """

    def __init__(
        self, tiles: Sequence[Tile], classes: Sequence[str], mpp: float, samples: Sampling, changes: Augment
    ) -> None:
        self.classes, self.mpp, self.samples, self.changes = tuple(classes), mpp, samples, changes
        self.by_class = [[tile for tile in tiles if tile.class_name == name] for name in classes]
        empty = [name for name, members in zip(classes, self.by_class, strict=True) if not members]
        if empty:
            raise ConfigError(
                f"There is no tile of {', '.join(empty)} to train on. Give some, or remove the class from "
                "samples.classes."
            )
        self.glass = self.classes.index(GLASS) if GLASS in self.classes else None

    def __call__(self, rng: np.random.Generator) -> Arrays:
        """Return a batch of mosaics.

        Returns:
            ``image`` (B, H, W, 3) uint8, ``label`` (B, tiles, tiles) int64, ``name`` (B,).
        """
        drawn = [self.sample(rng) for _ in range(self.samples.batch)]
        return {
            "image": np.stack([image for image, *_ in drawn]),
            "label": np.stack([layout for _, layout, _ in drawn]),
            "name": np.array([name for *_, name in drawn]),
        }

    def sample(self, rng: np.random.Generator) -> tuple[Rgb, npt.NDArray[np.int64], str]:
        """Return a mosaic (side, side, 3) uint8, its tiles' classes and names."""
        layout = class_layout(self.samples.tiles, len(self.classes), self.glass, rng)
        tiles = [[self.tile(int(label), rng) for label in row] for row in layout]
        image = mosaic([[image for image, _ in row] for row in tiles])
        names = " ".join(name for row in tiles for _, name in row)
        return augment.optics(image, rng, self.changes), layout, names

    def tile(self, label: int, rng: np.random.Generator) -> tuple[Rgb, str]:
        """Return an augmented tile (side, side, 3) of a class and its name.

        Half of the glass tiles are synthetic.
        """
        side = self.samples.side_px
        if label == self.glass and rng.random() < 0.5:
            return augment.glass(side, rng), "glass"
        members = self.by_class[label]
        tile = members[rng.integers(len(members))]
        wide = augment.rotation_px(side) if self.changes.geometric else side
        image = square(tile, self.mpp, wide, rng, self.changes.scale)
        if self.changes.geometric:
            image, _ = augment.rotated(image, np.zeros((wide, wide, 1), np.uint8), side, rng)
        return augment.stain(image, rng, self.changes.stain), tile.name


def square(
    tile: Tile, mpp: float, side_px: int, rng: np.random.Generator | None = None, span: float = 0.0
) -> Rgb:
    """Resample a tile to (side, side, 3) at ``mpp``.

    A tile that is too small is mirrored at its edges.

    Args:
        tile: Tile to resample.
        mpp: Resolution of the result in µm/px.
        side_px: Side of the result.
        rng: Generator of a random scale and place; None for the middle.
        span: Largest change of scale, as a logarithm.
    """
    scale = 1.0 if rng is None else float(np.exp(rng.uniform(-span, span / 2)))
    cut = max(round(side_px * mpp / tile.mpp * scale), 8)
    image = tile.image
    missing = [max(cut - extent, 0) for extent in image.shape[:2]]
    if any(missing):
        edges = [(gap // 2, gap - gap // 2) for gap in missing]
        image = np.pad(image, (*edges, (0, 0)), mode="symmetric")
    slacks = [extent - cut for extent in image.shape[:2]]
    y, x = (slack // 2 if rng is None else int(rng.integers(0, slack + 1)) for slack in slacks)
    crop = Image.fromarray(image[y : y + cut, x : x + cut])
    return np.asarray(crop.resize((side_px, side_px), Image.Resampling.BICUBIC))


def class_layout(
    tiles: int, classes: int, glass: int | None, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return a random class for each tile of a mosaic, (tiles, tiles).

    Half of the tiles may copy a neighbour, as tissue is continuous.
    """
    layout = rng.integers(0, classes, (tiles, tiles))
    for row in range(tiles):
        for column in range(tiles):
            neighbour = (row - 1, column) if rng.random() < 0.5 else (row, column - 1)
            if min(neighbour) >= 0 and rng.random() < 0.5:
                layout[row, column] = layout[neighbour]
    if glass is not None and tiles > 2 and rng.random() < GLASS_AROUND:
        centre = layout[1:-1, 1:-1].copy()
        layout[:] = glass
        layout[1:-1, 1:-1] = centre
    return layout


def mosaic(rows: Sequence[Sequence[Rgb]]) -> Rgb:
    """Join tiles of one size into one image."""
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
