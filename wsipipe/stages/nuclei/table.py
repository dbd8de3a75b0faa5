"""Measure the nuclei of a shard as Arrow rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from wsipipe.errors import InternalError
from wsipipe.geometry import Array, Region
from wsipipe.stages.classify import CLASS_MAP
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.nuclei.compiled_outlines import numbered
from wsipipe.stages.nuclei.number import NUMBERED, nuclei_in, patch_of
from wsipipe.stages.nuclei.outline import outer_lengths, polygon_column, solidity, trace
from wsipipe.stages.nuclei.positivity import MeasureParams, dab_classes
from wsipipe.stages.nuclei.relabel import NUCLEI
from wsipipe.stages.nuclei.shape import circularity, classes_at, eccentricity, mean_colours, shapes
from wsipipe.stages.nuclei.stains import DAB, EOSIN, mean_densities
from wsipipe.stages.nuclei.texture import textures
from wsipipe.stages.nuclei.types import TypeMaps, type_sums, types_of
from wsipipe.stages.segment import TYPE_MAP
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage
from wsipipe.stages.tile import image_name
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX
from wsipipe.store.nuclei_table import POSITIVITY_FIELDS, STAINS, TEXTURE, Affine, nuclei_schema
from wsipipe.store.tables import Table


@dataclass(frozen=True)
class TissueMap:
    """A class map and the names of its values.

    Attributes:
        classes: (h, w) uint8; 254 unreadable, 255 not computed.
        names: Class name by value; other values give no class.
        affine: Affine of its px to level-0 px.
    """

    classes: Array
    names: Mapping[int, str]
    affine: Affine


@dataclass(frozen=True)
class ClassGrid:
    """Grid and class names of a workflow's class map."""

    downsample: int
    names: tuple[str, ...]


def table_stage(
    grid: CanvasGrid,
    downsample: int,
    shard_px: int,
    classes: ClassGrid | None,
    types: tuple[str, ...] = (),
    positivity: MeasureParams | None = None,
) -> Stage:
    """Declare the stage that measures the nuclei.

    Each is measured whole, in the shard that holds its first pixel.
    """
    schema = nuclei_schema(bool(types), positivity is not None)
    mpp = grid.mpp * downsample
    image = image_name(downsample.bit_length() - 1)
    reads = [Read(NUCLEI, downsample, anywhere=True), Read(image, downsample, outside=255, anywhere=True)]
    if classes:
        reads.append(Read(CLASS_MAP, classes.downsample, outside=NOT_COMPUTED, anywhere=True))
    if types:
        reads.append(Read(TYPE_MAP, downsample, outside=NOT_COMPUTED, anywhere=True))

    def kernel(shard: ShardInput) -> ShardOutput:
        nuclei = {name: column for name, column in shard.tables[NUMBERED].items() if name != "final"}
        rows = nuclei_in(nuclei, shard.core)
        if not rows["id"].size:
            return ShardOutput(rows=schema.empty_table())
        patch = patch_of(rows)
        labels, rgb = (shard.read(name, patch).pixels for name in (NUCLEI, image))
        tissue = _tissue_map(shard, patch, grid, classes) if classes else None
        maps = TypeMaps(shard.read(TYPE_MAP, patch).pixels, types) if types else None
        affine = grid.affine_at(downsample)
        return ShardOutput(rows=measure(labels, rows, patch, affine, mpp, rgb, tissue, maps, positivity))

    return Stage("table", downsample, shard_px, tuple(reads), (), kernel, nuclei_rows=True)


def _tissue_map(shard: ShardInput, patch: Region, grid: CanvasGrid, classes: ClassGrid) -> TissueMap:
    found = shard.read(CLASS_MAP, patch)
    offset_y, offset_x, step = grid.affine_at(classes.downsample)
    affine = (offset_y + found.region.y * step, offset_x + found.region.x * step, step)
    return TissueMap(found.pixels, dict(enumerate(classes.names)), affine)


def measure(
    labels: Array,
    rows: Table,
    patch: Region,
    affine: Affine,
    mpp: float,
    image: Array | None = None,
    tissue: TissueMap | None = None,
    types: TypeMaps | None = None,
    positivity: MeasureParams | None = None,
) -> pa.Table:
    """Measure nuclei as rows of the nuclei table.

    Args:
        labels: Published labels (H, W) uint32 of ``patch``; nuclei that are not in ``rows`` are ignored.
        rows: Nuclei of the shard, see :func:`wsipipe.stages.nuclei.number.nuclei_in`.
        patch: Region of the labels; at least :func:`wsipipe.stages.nuclei.number.patch_of` of the rows.
        affine: Affine of label px to level-0 px.
        mpp: Um per label px.
        image: RGB (H, W, 3) uint8 of ``patch``.
        tissue: Class map that gives each nucleus the class at its centroid.
        types: Probabilities of types in ``patch``; None for no columns of types.
        positivity: Thresholds of DAB; None for no columns of positivity.

    Returns:
        One row per nucleus of ``rows``, by id, with the columns of
        :func:`~wsipipe.store.nuclei_table.nuclei_schema`.

    Raises:
        InternalError: A nucleus is not whole in the patch.
    """
    count = rows["id"].size
    schema = nuclei_schema(types is not None, positivity is not None)
    if not count:
        return schema.empty_table()
    own = _own_labels(labels, rows["id"])
    shape = shapes(own, count, (patch.y, patch.x))
    _check_whole(shape.area, rows, patch)
    rings = trace(own, count)
    perimeter = outer_lengths(rings)
    y_px0 = affine[0] + affine[2] * shape.centroid_y
    x_px0 = affine[1] + affine[2] * shape.centroid_x
    um_per_px0 = mpp / affine[2]
    colours = [None] * 3 if image is None else mean_colours(own, image, count)
    columns = {
        "id": rows["id"],
        "centroid_y_um": y_px0 * um_per_px0,
        "centroid_x_um": x_px0 * um_per_px0,
        "centroid_y_px0": y_px0,
        "centroid_x_px0": x_px0,
        "area_um2": shape.area * mpp**2,
        "perimeter_um": perimeter * mpp,
        "major_axis_um": shape.major_axis * mpp,
        "minor_axis_um": shape.minor_axis * mpp,
        "eccentricity": eccentricity(shape),
        "solidity": solidity(rings),
        "circularity": circularity(shape.area, perimeter),
        "probability": rows["nucleus"] / shape.area / PROBABILITY_MAX,
        **dict(zip(("mean_red", "mean_green", "mean_blue"), colours, strict=True)),
        "tissue_class": _class_names(y_px0, x_px0, tissue),
        "polygon": polygon_column(rings, (patch.y, patch.x), affine),
        **_types(own, types, count),
        **_stains(own, image, positivity, count),
        **_texture(own, image, count),
    }
    return pa.table([_column(columns[field.name], field, count) for field in schema], schema=schema)


def _types(own: Array, types: TypeMaps | None, count: int) -> dict[str, object]:
    if types is None:
        return {}
    names, share = types_of(type_sums(own, types.maps, count), types.names)
    return {"type": names, "type_probability": pa.array(share, pa.float32(), from_pandas=True)}


def _stains(own: Array, image: Array | None, params: MeasureParams | None, count: int) -> dict[str, object]:
    empty: dict[str, object] = dict.fromkeys([*STAINS, *(field.name for field in POSITIVITY_FIELDS)])
    if image is None:
        return empty
    haematoxylin, other = mean_densities(own, image, count, DAB if params else EOSIN)
    empty["haematoxylin_od_mean"] = haematoxylin
    if params is None:
        return empty | {"eosin_od_mean": other}
    classes = dab_classes(other, params)
    return empty | {"dab_od_mean": other, "dab_class": classes, "positive": classes > 0}


def _texture(own: Array, image: Array | None, count: int) -> dict[str, object]:
    if image is None:
        return dict.fromkeys(TEXTURE)
    found = textures(own, image, count)
    return {
        name: pa.array(values, pa.float32(), from_pandas=True)
        for name, values in zip(TEXTURE, found, strict=True)
    }


def _own_labels(labels: Array, ids: Array) -> Array:
    """Return the labels in the sorted ``ids``, numbered from 1; 0 elsewhere."""
    numbers = np.zeros(int(ids[-1]) - int(ids[0]) + 1, np.int32)
    numbers[ids - ids[0]] = np.arange(1, ids.size + 1)
    found = numbered(labels, numbers, int(ids[0]))
    if found is not None:
        return found
    inside = (labels >= ids[0]) & (labels <= ids[-1])
    own = np.zeros(labels.shape, np.int32)
    own[inside] = numbers[labels[inside] - ids[0]]
    return own


def _check_whole(area: Array, rows: Table, patch: Region) -> None:
    short = np.flatnonzero(area != rows["area"])
    if short.size:
        first = short[0]
        raise InternalError(
            f"Nucleus {rows['id'][first]} has {rows['area'][first]} px, but {area[first]:.0f} in {patch}. "
            "Report this defect of wsipipe with the slide's run.json."
        )


def _class_names(y_px0: Array, x_px0: Array, tissue: TissueMap | None) -> list[str | None] | None:
    if tissue is None:
        return None
    offset_y, offset_x, step = tissue.affine
    found = classes_at(tissue.classes, (y_px0 - offset_y) / step, (x_px0 - offset_x) / step)
    return [tissue.names.get(int(value)) for value in found]


def _column(values: object, field: pa.Field, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, field.type)
    if isinstance(values, pa.Array):
        return values
    return pa.array(values, type=field.type, from_pandas=False)
