"""Write a label map, the image or an overlay as a pyramidal OME-TIFF.

Source: OME-TIFF specification 6, "Sub-resolutions": coarser levels are SubIFDs of the finest one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from wsipipe.errors import ConfigError, NoResultError
from wsipipe.geometry import Array, Region
from wsipipe.results.export.overlay import Overlay
from wsipipe.results.export.source import ExportSource
from wsipipe.store.arrays import read_region

LAYERS = ("nuclei", "tissue", "tissue_class", "image", "overlay")
TILE_PX = 512
JPEG_QUALITY = 90
_WHITE = 255


@dataclass(frozen=True)
class PictureLevel:
    """One level of a picture.

    Attributes:
        shape: (height, width) in px.
        read: Function that returns the px of a region, (h, w) or (h, w, 3).
    """

    shape: tuple[int, int]
    read: Callable[[Region], Array]


def write(source: ExportSource, path: Path) -> int:
    """Write one layer with all its levels.

    Args:
        source: Result to write; ``options.layer`` is one of ``LAYERS``.
        path: File to write.

    Returns:
        Number of levels.

    Raises:
        ConfigError: There is no such layer.
        NoResultError: The result does not hold it.
    """
    layer = source.options.layer
    if layer not in LAYERS:
        raise ConfigError(f"There is no layer {layer!r}. Name one of {', '.join(LAYERS)}.")
    mpp = source.slide.mpp if layer in ("image", "overlay") else source.result.scale_um(f"labels/{layer}")[0]
    _write_pyramid(path, _levels(source, layer), layer, mpp)
    return len(_levels(source, layer))


def _levels(source: ExportSource, layer: str) -> list[PictureLevel]:
    if layer in ("image", "overlay") and not source.result.arrays.image:
        raise NoResultError(
            f"{source.result.folder} holds no image, since it was run with --image none. Name another "
            "--layer, or run the workflow again with --image lossless."
        )
    if layer == "overlay":
        return [PictureLevel(one.shape, one.tile) for one in _overlays(source)]
    if layer == "image":
        return [_image_level(array) for array in source.result.arrays.image]
    labels = source.result.arrays.labels
    if layer not in labels:
        raise NoResultError(
            f"{source.result.folder} holds no {layer}: its workflow did not compute it. Name another --layer."
        )
    return [_label_level(array) for array in labels[layer]]


def _label_level(array: zarr.Array) -> PictureLevel:
    return PictureLevel((array.shape[0], array.shape[1]), lambda region: read_region(array, region, 0))


def _image_level(array: zarr.Array) -> PictureLevel:
    def read(region: Region) -> Array:
        return np.moveaxis(read_region(array, region, _WHITE), 0, 2)

    return PictureLevel((array.shape[1], array.shape[2]), read)


def _overlays(source: ExportSource) -> Iterator[Overlay]:
    labels, slide = source.result.arrays.labels, source.slide
    nuclei = labels.get("nuclei", [])
    classes = labels["tissue_class"][0] if "tissue_class" in labels else None
    for level, image in enumerate(source.result.arrays.image):
        if nuclei and level >= len(nuclei):
            return
        cell_px = slide.class_downsample / 2**level if classes is not None else 1
        yield Overlay(image, nuclei[level] if nuclei else None, classes, cell_px, slide.classes)


def _write_pyramid(path: Path, levels: Sequence[PictureLevel], name: str, mpp: float) -> None:
    first = levels[0].read(Region(0, 0, 1, 1))
    options: dict[str, Any] = {
        "photometric": "rgb" if first.ndim == 3 else "minisblack",
        "compression": "zlib",
    }
    if name == "overlay":
        # Full colour resolution: lines of one px keep their colour.
        options |= {"compression": "jpeg", "compressionargs": {"level": JPEG_QUALITY}, "subsampling": (1, 1)}
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as tiff:
        for number, level in enumerate(levels):
            shape = (*level.shape, *first.shape[2:])
            scale = mpp * levels[0].shape[0] / level.shape[0]
            options |= {"resolution": (1e4 / scale, 1e4 / scale), "resolutionunit": "CENTIMETER"}
            place = {"subifds": len(levels) - 1, "metadata": _metadata(name, mpp, first.ndim == 3)}
            tiff.write(
                _tiles(level),
                shape=shape,
                dtype=first.dtype,
                tile=(TILE_PX, TILE_PX),
                **options,
                **({"subfiletype": 1, "metadata": None} if number else place),
            )


def _metadata(name: str, mpp: float, colour: bool) -> dict[str, object]:
    size = {f"PhysicalSize{axis}": mpp for axis in "XY"}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    return {"axes": "YXS" if colour else "YX", "Name": name, **size, **units}


def _tiles(level: PictureLevel) -> Iterator[Array]:
    """Yield the tiles of a level in raster order, filled up with zeros."""
    height, width = level.shape
    for y in range(0, height, TILE_PX):
        for x in range(0, width, TILE_PX):
            region = Region(y, x, min(TILE_PX, height - y), min(TILE_PX, width - x))
            pixels = level.read(region)
            tile = np.zeros((TILE_PX, TILE_PX, *pixels.shape[2:]), pixels.dtype)
            tile[: region.height, : region.width] = pixels
            yield tile
