"""Open the nuclei of a result, a label file or GeoJSON as one map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from wsipipe.errors import ConfigError, NoResultError
from wsipipe.geometry import Array, Region
from wsipipe.results.compare.label_file import LABEL_SUFFIXES, open_label_file
from wsipipe.results.compare.outlines import open_outlines
from wsipipe.results.export.source import ExportSource, open_source
from wsipipe.review.published import PublishedSlide
from wsipipe.store.arrays import read_region
from wsipipe.store.manifest import MANIFEST

_GEOJSON = (".geojson", ".json", ".gz", ".zip")


@dataclass(frozen=True)
class NucleiMap:
    """Nuclei on the px grid of a result.

    Attributes:
        name: Name for the reader.
        read: Function that returns the ids (h, w) of a region, 0 for background.
        classes: Class of nuclei by id; empty if the nuclei have no classes.
        left_out: Number of objects that are not in the map, by cause.
        may_be_mask: Whether the map may be a mask without ids.
    """

    name: str
    read: Callable[[Region], Array]
    classes: Mapping[int, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    may_be_mask: bool = False


def map_of_result(source: ExportSource) -> NucleiMap:
    """Return the nuclei of a finished result.

    Raises:
        NoResultError: The workflow did not compute nuclei.
    """
    levels = source.result.arrays.labels.get("nuclei")
    if not levels:
        raise NoResultError(
            f"{source.result.folder} holds no nuclei: its workflow did not compute them. Run a workflow "
            "that does, such as nuclei_and_tissue."
        )
    table = pq.read_table(source.nuclei_path, columns=["id", "tissue_class"])
    named = zip(table["id"].to_pylist(), table["tissue_class"].to_pylist(), strict=True)
    classes = {number: name for number, name in named if name}
    return NucleiMap(str(source.result.folder), lambda region: read_region(levels[0], region, 0), classes)


def open_other(path: Path, slide: PublishedSlide) -> NucleiMap:
    """Open the nuclei that a result is compared with.

    Args:
        path: Another result, a label file on the grid of the nuclei, or GeoJSON in level-0 px.
        slide: The result that is compared.

    Raises:
        ConfigError: It cannot be read, or has another grid.
        NoResultError: It is a result without nuclei.
        StorageError: It is a damaged result.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist. Name a result, a label file or GeoJSON.")
    folder = path.parent if path.name == "slide.zarr" else path
    if (folder / MANIFEST).is_file():
        return _other_result(folder, slide)
    if path.is_dir() or path.suffix.lower() in LABEL_SUFFIXES:
        labels = open_label_file(path, slide.shape)
        return NucleiMap(str(path), labels.read, may_be_mask=labels.dtype == np.uint8)
    if path.suffix.lower() in _GEOJSON:
        outlines = open_outlines(path, slide)
        return NucleiMap(str(path), outlines.read, outlines.classes, outlines.left_out)
    raise ConfigError(
        f"{path} is of no known kind. Name a result, a label file ({', '.join(LABEL_SUFFIXES)}, Zarr) or "
        "GeoJSON."
    )


def _other_result(folder: Path, slide: PublishedSlide) -> NucleiMap:
    source = open_source(folder)
    found, other = map_of_result(source), source.slide
    if (other.shape, other.mpp, other.affine) != (slide.shape, slide.mpp, slide.affine):
        raise ConfigError(
            f"{folder} and {slide.folder} have different px grids. If they are of one slide, compare with "
            f"{folder / 'nuclei.geojson.gz'}, which is in level-0 px."
        )
    return found
