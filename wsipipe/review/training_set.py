"""A session -> corrections as a training set: image and label tiles that a person has seen whole.

FOLDER/images/NAME.png    RGB
FOLDER/labels/NAME.png    uint16 ids, 1..n in each tile, 0 background
FOLDER/index.csv          name, image, labels, mpp, slide_id, y, x, height, width, nuclei, changed
"""

import csv
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from wsipipe.durable import storage_errors
from wsipipe.geometry import Array, Region
from wsipipe.review.look import Look
from wsipipe.store import read_region

TILE_PX = 256
_COLUMNS = ("name", "image", "labels", "mpp", "slide_id", "y", "x", "height", "width", "nuclei", "changed")


def write_training_set(look: Look, folder: Path) -> int:
    """Writes every tile of 256 px that was seen whole and holds a judgement; returns how many.

    A tile is seen whole where visited fields cover it: only there does an unlabelled pixel mean background.

    Args:
        look: The review.
        folder: Replaced if it is there.
    """
    with storage_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True)
        rows = [_write_tile(look, folder, tile) for tile in _tiles(look)]
        with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    return len(rows)


def _tiles(look: Look) -> list[Region]:
    """Tiles of a fixed grid that hold a judgement on a nucleus and lie in visited fields."""
    if not look.has_nuclei or not look.source.result.image:
        return []
    cells = set()
    for identity in look.state.touched:
        box = look.box(identity).scaled(1, TILE_PX)
        cells |= {(y, x) for y in range(box.y, box.end_y) for x in range(box.x, box.end_x)}
    tiles = [Region(y * TILE_PX, x * TILE_PX, TILE_PX, TILE_PX).clipped(look.shape) for y, x in sorted(cells)]
    return [tile for tile in tiles if _seen_whole(look, tile)]


def _seen_whole(look: Look, tile: Region) -> bool:
    mask = np.zeros(tile.shape, bool)
    for field in look.state.visited:
        if field.meets(tile):
            mask[field.relative_to(tile).clipped(tile.shape).slices] = True
    return bool(tile.area_px) and bool(mask.all())


def _write_tile(look: Look, folder: Path, tile: Region) -> dict[str, object]:
    name = f"{look.source.slide_id}_{tile.y}_{tile.x}"
    labels = look.labels(tile)
    ids, numbers = _numbered(labels)
    image = np.moveaxis(read_region(look.source.result.image[0], tile, 255), 0, 2)
    Image.fromarray(np.ascontiguousarray(image)).save(folder / "images" / f"{name}.png")
    Image.fromarray(numbers).save(folder / "labels" / f"{name}.png")
    return {
        "name": name,
        "image": f"images/{name}.png",
        "labels": f"labels/{name}.png",
        "mpp": look.source.mpp,
        "slide_id": look.source.slide_id,
        "y": tile.y,
        "x": tile.x,
        "height": tile.height,
        "width": tile.width,
        "nuclei": ids.size,
        "changed": len(look.state.touched & set(ids.tolist())),
    }


def _numbered(labels: Array) -> tuple[Array, Array]:
    """Ids in a tile but 0, and the tile with them numbered from 1, uint16."""
    ids, at = np.unique(np.append(0, labels.ravel()), return_inverse=True)
    return ids[1:], at[1:].reshape(labels.shape).astype(np.uint16)
