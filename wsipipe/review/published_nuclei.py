"""``nuclei.parquet`` -> place, class and probability of every published nucleus; its extent on demand.

Columns of numbers are read at once, which is quick; outlines are ten times as large and are read row group by
row group, when the extent of a nucleus is asked for.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from wsipipe.geometry import Array, Region

_COLUMNS = ["id", "centroid_y_px0", "centroid_x_px0", "area_um2", "probability", "tissue_class"]
_GROUPS_KEPT = 16


class Outlines:
    """Extents of nuclei, from the polygons of the table.

    Args:
        path: ``nuclei.parquet``.
        offset_px0: Level-0 (y, x) of the labels' first corner.
        step_px0: Level-0 px per label px.
    """

    def __init__(self, path: Path, offset_px0: tuple[float, float], step_px0: float) -> None:
        self._path, self._offset, self._step = path, offset_px0, step_px0
        with pq.ParquetFile(path) as file:
            rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
        self._group = lru_cache(_GROUPS_KEPT)(self._read_group)

    def box(self, row: int) -> Array:
        """First row, first column, end row, end column of one nucleus (4,) int32."""
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._group(group)[row - self._starts[group]]

    def all(self) -> Array:
        """Those of all nuclei (n, 4) int32; takes seconds on a large slide."""
        groups = [self._read_group(group) for group in range(len(self._starts) - 1)]
        return np.concatenate(groups) if groups else np.empty((0, 4), np.int32)

    def _read_group(self, group: int) -> Array:
        with pq.ParquetFile(self._path) as file:
            polygons = file.read_row_group(group, columns=["polygon"])["polygon"]
        bounds = shapely.bounds(shapely.from_wkb(polygons.to_numpy()))
        first_x, first_y, end_x, end_y = bounds.T
        # An outline ends in the middle of a px's side, so bounds are whole px but for rounding.
        low = [np.floor(self._px(value, axis) + 1e-6) for axis, value in enumerate((first_y, first_x))]
        high = [np.ceil(self._px(value, axis) - 1e-6) for axis, value in enumerate((end_y, end_x))]
        return np.stack([*low, *high], axis=1).astype(np.int32)

    def _px(self, level0: Array, axis: int) -> Array:
        return (level0 - self._offset[axis]) / self._step


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Published nuclei by ascending id; lengths in px of their level 0.

    Attributes:
        ids: (n,) uint32.
        y: Centroids (n,).
        x: Centroids (n,).
        area_px: (n,) int64.
        probability: (n,) float32.
        class_index: (n,) uint8, into ``class_names``.
        class_names: Classes by the table; the empty name for none.
        outlines: Their extents, None where there are no nuclei.
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
        """Row of an id, None if it was not published."""
        # A key of another type would have numpy copy the whole column first.
        at = int(np.searchsorted(self.ids, np.array(identity, self.ids.dtype)))
        return at if at < self.ids.size and int(self.ids[at]) == identity else None

    def box(self, row: int) -> Region:
        """The region that a nucleus fills."""
        y, x, end_y, end_x = self.outlines.box(row).tolist() if self.outlines else (0, 0, 0, 0)
        return Region(y, x, end_y - y, end_x - x)

    def boxes(self) -> Array:
        """The regions of all (n, 4) int32: first row, first column, end row, end column."""
        return self.outlines.all() if self.outlines else np.empty((0, 4), np.int32)

    @property
    def highest_id(self) -> int:
        """0 if there is none."""
        return int(self.ids[-1]) if self.ids.size else 0


def read_nuclei(path: Path, offset_px0: tuple[float, float], step_px0: float, mpp: float) -> Nuclei:
    """Reads the table but its outlines; without a file there are no nuclei.

    Args:
        path: ``nuclei.parquet``.
        offset_px0: Level-0 (y, x) of the labels' first corner.
        step_px0: Level-0 px per label px.
        mpp: Um per label px.
    """
    if not path.is_file():
        return _none()
    # ParquetFile, since read_table loads pandas first: a second of a window's start.
    with pq.ParquetFile(path, read_dictionary=["tissue_class"]) as file:
        table = file.read(columns=_COLUMNS)
    index, names = _classes(table["tissue_class"])
    return Nuclei(
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
    """Column of class names -> number of each row's class (n,) uint8, and the names by number."""
    column = column.unify_dictionaries()
    names: list[str] = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    none = len(names)
    chunks = [chunk.indices.fill_null(none).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    index = np.concatenate(chunks).astype(np.uint8) if chunks else np.empty(0, np.uint8)
    return index, (*names, "") if column.null_count else tuple(names)


def _none() -> Nuclei:
    empty = np.empty(0)
    return Nuclei(
        empty.astype(np.uint32),
        empty,
        empty,
        empty.astype(np.int64),
        empty.astype(np.float32),
        empty.astype(np.uint8),
        (),
    )
