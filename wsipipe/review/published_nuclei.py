"""Index of the published nuclei, read from ``nuclei.parquet``.

Columns of numbers are read at once, which is quick. Outlines are ten times as large and are read by row
group, when the extent of a nucleus is requested.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from wsipipe.geometry import Array, Region
from wsipipe.store.nuclei_table import class_column

_COLUMNS = ["id", "centroid_y_px0", "centroid_x_px0", "area_um2", "probability"]
_GROUPS_KEPT = 16


class Outlines:
    """Extents of nuclei, read from the polygons of the table.

    Args:
        path: ``nuclei.parquet``.
        offset_px0: Origin (y, x) of the labels in level-0 px.
        step_px0: Level-0 px per label px.
    """

    def __init__(self, path: Path, offset_px0: tuple[float, float], step_px0: float) -> None:
        self._path, self._offset, self._step = path, offset_px0, step_px0
        with pq.ParquetFile(path) as file:
            rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
        self._group = lru_cache(_GROUPS_KEPT)(self._read_group)

    def box(self, row: int) -> Array:
        """Return the extent of a nucleus.

        It is (4,) int32: first row, first column, end row, end column.
        """
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._group(group)[row - self._starts[group]]

    def all(self) -> Array:
        """Return the extents of all nuclei (n, 4) int32.

        This takes seconds on a large slide.
        """
        groups = [self._read_group(group) for group in range(len(self._starts) - 1)]
        return np.concatenate(groups) if groups else np.empty((0, 4), np.int32)

    def _read_group(self, group: int) -> Array:
        with pq.ParquetFile(self._path) as file:
            polygons = file.read_row_group(group, columns=["polygon"])["polygon"]
        bounds = shapely.bounds(shapely.from_wkb(polygons.to_numpy()))
        first_x, first_y, end_x, end_y = bounds.T
        # Outlines pass through the middle of px sides, so bounds are whole px except for rounding.
        low = [np.floor(self._px(value, axis) + 1e-6) for axis, value in enumerate((first_y, first_x))]
        high = [np.ceil(self._px(value, axis) - 1e-6) for axis, value in enumerate((end_y, end_x))]
        return np.stack([*low, *high], axis=1).astype(np.int32)

    def _px(self, level0: Array, axis: int) -> Array:
        return (level0 - self._offset[axis]) / self._step


@dataclass(frozen=True, eq=False)
class NucleiIndex:
    """Published nuclei by ascending id.

    Attributes:
        ids: Ids (n,) uint32.
        y: Rows of the centroids (n,), in px of the nuclei's level 0.
        x: Columns of the centroids (n,), in px of the nuclei's level 0.
        area_px: Areas (n,) int64.
        probability: Probabilities (n,) float32.
        class_index: Indices (n,) uint8 in ``class_names``.
        class_names: Classes in the table, types where there are types; an empty name for none.
        outlines: Extents of the nuclei; None without nuclei.
    """

    ids: Array
    y: Array
    x: Array
    area_px: Array
    probability: Array
    class_index: Array
    class_names: tuple[str, ...]
    outlines: Outlines | None = field(default=None, repr=False)

    def row(self, identity: int) -> int | None:
        """Return the row of an id; None if it was not published."""
        # With a key of another type numpy would copy the whole column first.
        at = int(np.searchsorted(self.ids, np.array(identity, self.ids.dtype)))
        return at if at < self.ids.size and int(self.ids[at]) == identity else None

    def box(self, row: int) -> Region:
        """Return the extent of a nucleus."""
        y, x, end_y, end_x = self.outlines.box(row).tolist() if self.outlines else (0, 0, 0, 0)
        return Region(y, x, end_y - y, end_x - x)

    def boxes(self) -> Array:
        """Return the extents of all nuclei.

        They are (n, 4) int32: first row, first column, end row, end column.
        """
        return self.outlines.all() if self.outlines else np.empty((0, 4), np.int32)

    @property
    def highest_id(self) -> int:
        """Highest id; 0 without nuclei."""
        return int(self.ids[-1]) if self.ids.size else 0


def read_nuclei_index(
    path: Path, offset_px0: tuple[float, float], step_px0: float, mpp: float
) -> NucleiIndex:
    """Read the table without its outlines.

    Without a file there are no nuclei.

    Args:
        path: ``nuclei.parquet``.
        offset_px0: Origin (y, x) of the labels in level-0 px.
        step_px0: Level-0 px per label px.
        mpp: Resolution of the labels in µm/px.
    """
    if not path.is_file():
        return _none()
    # Not read_table, which loads pandas: one second when a window opens.
    column = class_column(pq.read_schema(path).names)
    with pq.ParquetFile(path, read_dictionary=[column]) as file:
        table = file.read(columns=[*_COLUMNS, column])
    index, names = _classes(table[column])
    return NucleiIndex(
        ids=table["id"].to_numpy(),
        y=(table["centroid_y_px0"].to_numpy() - offset_px0[0]) / step_px0,
        x=(table["centroid_x_px0"].to_numpy() - offset_px0[1]) / step_px0,
        area_px=np.rint(table["area_um2"].to_numpy().astype(float) / mpp**2).astype(np.int64),
        probability=table["probability"].to_numpy(),
        class_index=index,
        class_names=names,
        outlines=Outlines(path, offset_px0, step_px0),
    )


def _classes(column: pa.ChunkedArray) -> tuple[Array, tuple[str, ...]]:
    """Return class indices (n,) uint8 and class names."""
    column = column.unify_dictionaries()
    names: list[str] = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    none = len(names)
    # NumPy has NaN for nulls. Not fill_null, which loads pyarrow.compute: half a second when a window opens.
    chunks = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in column.chunks]
    numbers = np.concatenate(chunks) if chunks else np.empty(0)
    index = np.where(np.isnan(numbers), none, numbers).astype(np.uint8)
    return index, (*names, "") if column.null_count else tuple(names)


def _none() -> NucleiIndex:
    empty = np.empty(0)
    return NucleiIndex(
        empty.astype(np.uint32),
        empty,
        empty,
        empty.astype(np.int64),
        empty.astype(np.float32),
        empty.astype(np.uint8),
        (),
    )
