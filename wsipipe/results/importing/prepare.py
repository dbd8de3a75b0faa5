"""Write imported nuclei onto the canvas of their slide.

The section ``imported`` of a workflow reads them. The map is read in blocks, so memory does not grow with the
slide beyond some bytes for each nucleus.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from scipy import ndimage
from skimage.measure import label

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.results.importing.given import GivenNuclei
from wsipipe.stages.imported import GIVEN_LABELS, GIVEN_TYPES

_BLOCK_PX = 2048
_LARGEST_PX = 2048
_MOST_TYPES = 16
_MASK_IDS = (1, 255)


@dataclass(frozen=True)
class PreparedNuclei:
    """Nuclei that were written onto the canvas.

    Attributes:
        count: Number of nuclei.
        types: Names of their classes.
        warnings: What was left out, in words.
    """

    count: int
    types: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare(given: GivenNuclei, shape: tuple[int, int], folder: Path, name: str) -> PreparedNuclei:
    """Write nuclei, numbered from 1 in the order of their ids, and their types.

    A nucleus in several parts keeps its largest one, since nuclei have one outline.

    Args:
        given: The nuclei.
        shape: (height, width) of the canvas.
        folder: Folder for the arrays.
        name: Name of the file, for messages.

    Raises:
        ConfigError: There are no nuclei, or what there is are no nuclei.
    """
    ids, boxes = _listed(given, shape)
    _check(given, ids, boxes, name)
    labels = _array(folder / GIVEN_LABELS, shape, "uint32")
    for block in Region(0, 0, *shape).blocks(_BLOCK_PX):
        labels[block.slices] = _numbered(given.read(block), ids)
    split = _keep_largest_parts(labels, ids, boxes)
    names, by_number = _types(given, ids)
    if names:
        types = _array(folder / GIVEN_TYPES, shape, "uint8")
        for block in Region(0, 0, *shape).blocks(_BLOCK_PX):
            types[block.slices] = by_number[np.asarray(labels[block.slices])]
    return PreparedNuclei(ids.size, names, (*given.warnings, *_unseen(given, ids), *split))


def _array(path: Path, shape: tuple[int, int], dtype: str) -> zarr.Array:
    return zarr.create_array(path, shape=shape, dtype=dtype, chunks=(512, 512), fill_value=0)


def _listed(given: GivenNuclei, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return ids (n,) in order, and boxes (n, 4).

    A box is first row, first column, end row and end column.
    """
    found: list[Array] = [np.zeros((0, 5), np.int64)]
    for block in Region(0, 0, *shape).blocks(_BLOCK_PX):
        ids, local = np.unique(given.read(block), return_inverse=True)
        # find_objects takes 0 for background.
        places = ndimage.find_objects(local.reshape(block.shape) + 1)
        rows = [
            (number, block.y + y.start, block.x + x.start, block.y + y.stop, block.x + x.stop)
            for number, (y, x) in zip(ids.tolist(), places, strict=True)
            if number
        ]
        found += [np.array(rows, np.int64)] if rows else []
    rows_ = np.concatenate(found)
    ids, at = np.unique(rows_[:, 0], return_inverse=True)
    boxes = np.concatenate([np.full((ids.size, 2), max(shape)), np.zeros((ids.size, 2), np.int64)], axis=1)
    np.minimum.at(boxes[:, :2], at, rows_[:, 1:3])
    np.maximum.at(boxes[:, 2:], at, rows_[:, 3:5])
    return ids, boxes


def _check(given: GivenNuclei, ids: Array, boxes: Array, name: str) -> None:
    if not ids.size:
        raise ConfigError(
            f"{name} holds no nucleus inside the slide. Give one number per nucleus, 0 elsewhere."
        )
    if given.may_be_mask and ids.tolist() in ([one] for one in _MASK_IDS):
        raise ConfigError(
            f"{name} holds one value only, {ids[0]}: it looks like a mask. Give one number per nucleus."
        )
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    if sides.max() > _LARGEST_PX:
        raise ConfigError(
            f"The nucleus {ids[sides.argmax()]} of {name} extends over {sides.max()} px, more than "
            f"{_LARGEST_PX}: these are no nuclei. Give one number per nucleus, 0 elsewhere."
        )


def _numbered(values: Array, ids: Array) -> Array:
    return np.where(values > 0, np.searchsorted(ids, values) + 1, 0).astype(np.uint32)


def _keep_largest_parts(labels: zarr.Array, ids: Array, boxes: Array) -> tuple[str, ...]:
    """Delete all parts of nuclei but the largest; return a warning if there were any."""
    split: list[int] = []
    starts = boxes[:, :2] // _BLOCK_PX
    for block in Region(0, 0, *labels.shape).blocks(_BLOCK_PX):
        begun = np.flatnonzero((starts == (block.y // _BLOCK_PX, block.x // _BLOCK_PX)).all(axis=1))
        if not begun.size:
            continue
        end = boxes[begun, 2:].max(axis=0)
        window = Region(block.y, block.x, int(end[0]) - block.y, int(end[1]) - block.x)
        # Nuclei that begin in this block reach beyond it to the right and below, and to the left below.
        window = Region(
            window.y, int(boxes[begun, 1].min()), window.height, int(end[1] - boxes[begun, 1].min())
        )
        pixels = np.asarray(labels[window.slices])
        inside = np.where(np.isin(pixels, begun + 1), pixels, 0)
        smaller = _smaller_parts(inside)
        if smaller.any():
            split += np.unique(pixels[smaller]).tolist()
            labels[window.slices] = np.where(smaller, 0, pixels)
    if not split:
        return ()
    named = ", ".join(str(ids[number - 1]) for number in sorted(split)[:5])
    return (f"reduced to the largest of several parts: {len(split):,} nuclei, first {named}",)


def _smaller_parts(pixels: Array) -> Array:
    """Return the px (h, w) bool of all but the largest parts.

    Parts are 4-connected; of equal ones the first is the largest.
    """
    parts = label(pixels, background=0, connectivity=1)
    areas = np.bincount(parts.ravel())
    _, first = np.unique(parts, return_index=True)
    owners = np.zeros(areas.size, np.int64)
    owners[parts.ravel()[first]] = pixels.ravel()[first]
    order = np.lexsort((np.arange(areas.size), -areas, owners))
    is_largest = np.diff(owners[order], prepend=-1) != 0
    largest = np.zeros(areas.size, bool)
    largest[order[is_largest]] = True
    largest[0] = True
    return ~largest[parts]


def _types(given: GivenNuclei, ids: Array) -> tuple[tuple[str, ...], Array]:
    """Return the names of types, and the type of each nucleus by number, 0 for none.

    Raises:
        ConfigError: There are too many.
    """
    names = sorted({given.classes[number] for number in ids.tolist() if number in given.classes})
    if len(names) > _MOST_TYPES:
        raise ConfigError(
            f"The nuclei have {len(names)} classes, more than {_MOST_TYPES}: {', '.join(names[:3])} and so "
            "on. Join classes in the program that wrote them."
        )
    found = [
        names.index(given.classes[number]) + 1 if number in given.classes else 0 for number in ids.tolist()
    ]
    return tuple(names), np.array([0, *found], np.uint8)


def _unseen(given: GivenNuclei, ids: Array) -> tuple[str, ...]:
    """Return a warning if outlines of GeoJSON have no px."""
    if given.outlines is None or given.outlines == ids.size:
        return ()
    return (f"left out: {given.outlines - ids.size:,} outlines without the centre of a px of their own",)
