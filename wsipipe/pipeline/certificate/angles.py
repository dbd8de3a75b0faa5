"""Compare the nuclei probabilities of blocks with those of the slide at 45 degrees.

No network and no pixel grid is exact there, so the difference is shown and decides nothing. Where it is
large, a nucleus depends on how the slide lay; the review queue ``orientation`` begins with these places.
"""

import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import zarr
from scipy import ndimage

from wsipipe.common.atomic_files import storage_errors, sync_folders
from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Orientation, Region
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.pipeline.certificate.networks import Networks
from wsipipe.pipeline.certificate.opened import OpenedSlide
from wsipipe.pipeline.certificate.record import AngleCheck
from wsipipe.pipeline.certificate.turned import turned_patch
from wsipipe.stages.grid import tissue_downsample
from wsipipe.stages.segment import MAPS, probability_name
from wsipipe.stages.stage import Stage
from wsipipe.stages.stain import STAIN, restained
from wsipipe.store import ome_metadata
from wsipipe.store.arrays import array_path, create_array, read_region, write_shards
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX, quantise
from wsipipe.store.layout import ArraySpec
from wsipipe.store.names import DISAGREEMENT

DEGREES = 45.0
_PART_PX = 512
"""Side of the parts of a block that the network gets at once."""


def measure_angles(slide: OpenedSlide, blocks: list[Region], networks: Networks) -> AngleCheck:
    """Compare blocks with the slide at 45 degrees.

    The differences are stored beside the probabilities, as ``probabilities/disagreement``. That array is not
    part of the manifest, as nothing else that is added to a finished slide.

    Raises:
        ConfigError: The workflow has no nuclei, or its network runs on fixed windows.
    """
    stage = next((stage for stage in slide.stages if stage.name == "segment"), None)
    if stage is None or isinstance(slide.cards["segment"], OnnxCard):
        raise ConfigError(
            f"--angles compares nuclei of networks of wsipipe, and {slide.result.folder} has none. Certify "
            "it without --angles."
        )
    downsample = tissue_downsample(slide.grid.mpp)
    stored = np.full(slide.grid.shape_at(downsample), NOT_COMPUTED, np.uint8)
    total, count = 0.0, 0
    for block in blocks:
        core = block.scaled(1, stage.downsample)
        difference, computed = _difference(slide, stage, core, networks)
        total, count = total + float(difference[computed].sum()), count + int(computed.sum())
        cells = block.scaled(1, downsample).slices
        stored[cells] = _by_cell(difference, computed, downsample // stage.downsample)
    _store(slide, stored, downsample)
    return AngleCheck(degrees=DEGREES, mean=round(total / max(1, count), 5), compared_px=count)


def _difference(slide: OpenedSlide, stage: Stage, core: Region, networks: Networks) -> tuple[Array, Array]:
    """Return the differences of the nucleus probability of a core, and where they are known."""
    values = read_region(slide.pixels.array(probability_name(MAPS[0])), core, NOT_COMPUTED)
    found = np.empty(core.shape, np.float32)
    for part in core.blocks(_PART_PX):
        found[part.relative_to(core).slices] = _at_angle(slide, stage, part, networks)
    return np.abs(found - values / np.float32(PROBABILITY_MAX)), values <= PROBABILITY_MAX


def _at_angle(slide: OpenedSlide, stage: Stage, core: Region, networks: Networks) -> Array:
    """Return the nucleus probability (h, w) of a core, computed on the rotated image."""
    network, image = networks.of(stage), stage.reads[0]
    assert network is not None  # noqa: S101
    extent = (core.height + core.width) / math.sqrt(2) + 2 + 2 * network.halo_px
    side = math.ceil(extent / network.lattice_px) * network.lattice_px
    around = core.grown(math.ceil(side / math.sqrt(2)) + 4)
    pixels = turned_patch(slide.pixels, image, around, slide.grid, Orientation.R0).pixels
    if STAIN in networks.tables():
        pixels = restained(pixels, networks.tables()[STAIN]["lookup"])
    middle = np.array([core.y + core.height / 2 - around.y, core.x + core.width / 2 - around.x])
    maps = network(rotated(pixels, middle, side))
    return rotated_back(maps[network.outputs.index(MAPS[0])], core.shape)


def rotated(pixels: Array, middle: Array, side_px: int) -> Array:
    """Rotate an image about a point by 45 degrees.

    Args:
        pixels: RGB (H, W, 3) uint8.
        middle: Point (y, x) that becomes the middle of the square; px i covers [i, i + 1].
        side_px: Side of the square.

    Returns:
        RGB (side, side, 3) uint8.
    """
    places = _turn(_centres((side_px, side_px)), DEGREES) + middle[:, None, None] - 0.5
    planes = [
        ndimage.map_coordinates(pixels[..., channel].astype(np.float32), places, order=3, cval=255)
        for channel in range(3)
    ]
    return np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)


def rotated_back(square: Array, shape: tuple[int, int]) -> Array:
    """Return the middle (h, w) of a square map, rotated back by linear interpolation."""
    places = _turn(_centres(shape), -DEGREES) + len(square) / 2 - 0.5
    return ndimage.map_coordinates(square, places, order=1)


def _centres(shape: tuple[int, int]) -> Array:
    """Return the centres (2, h, w) of px from the middle of an image."""
    y, x = (np.arange(length) + 0.5 - length / 2 for length in shape)
    return np.stack(np.meshgrid(y, x, indexing="ij"))


def _turn(places: Array, degrees: float) -> Array:
    y, x = places
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.stack([cos * y - sin * x, sin * y + cos * x])


def _by_cell(difference: Array, computed: Array, unit: int) -> Array:
    """Return the mean difference of cells of ``unit`` px, as stored; 255 where none is known."""
    height, width = difference.shape[0] // unit, difference.shape[1] // unit
    sums, counts = (
        values.reshape(height, unit, width, unit).sum(axis=(1, 3))
        for values in (np.where(computed, difference, 0), computed)
    )
    means = quantise(np.clip(sums / np.maximum(counts, 1), 0, 1).astype(np.float32))
    return np.where(counts > 0, means, np.uint8(NOT_COMPUTED))


def _store(slide: OpenedSlide, values: Array, downsample: int) -> None:
    """Write the array, which replaces that of an earlier certificate, with one rename."""
    name, folder = f"probabilities/{DISAGREEMENT}/0", slide.result.folder
    shard_px = -(-max(values.shape) // 256) * 256
    spec = ArraySpec(name, values.shape, "uint8", NOT_COMPUTED, shard_px, 256)
    scales = ome_metadata.multiscale(DISAGREEMENT, 1, slide.grid.mpp, downsample, channels=False, kind="none")
    meaning = {"scale": 1 / PROBABILITY_MAX, "not_computed": NOT_COMPUTED, "degrees": DEGREES}
    with storage_errors(folder), tempfile.TemporaryDirectory(prefix=".angles-", dir=folder) as made:
        work, target = Path(made), slide.result.store / "probabilities" / DISAGREEMENT
        create_array(work, spec)
        write_shards(work, name, Region(0, 0, *values.shape), values)
        written = (work / array_path(name)).parent
        group = zarr.open_group(written, mode="a", zarr_format=3)
        group.attrs.put(ome_metadata.image_attributes(DISAGREEMENT, scales, ()) | {"wsipipe": meaning})
        sync_folders(written)
        if target.exists():
            shutil.rmtree(target)
        os.rename(written, target)
