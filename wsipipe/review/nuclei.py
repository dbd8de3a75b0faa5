"""``nuclei.parquet`` -> what review needs of every published nucleus: place, extent, class, probability."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from wsipipe.geometry import Array, Region

_COLUMNS = ["id", "centroid_y_px0", "centroid_x_px0", "area_um2", "probability", "tissue_class", "polygon"]


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Published nuclei by ascending id; lengths in px of their level 0.

    Attributes:
        ids: (n,) uint32.
        y: Centroids (n,).
        x: Centroids (n,).
        boxes: (n, 4) int32: first row, first column, end row, end column.
        area_px: (n,) int64.
        probability: (n,) float32.
        class_index: (n,) uint8, into ``class_names``.
        class_names: Classes by the table; the empty name for none.
    """

    ids: Array
    y: Array
    x: Array
    boxes: Array
    area_px: Array
    probability: Array
    class_index: Array
    class_names: tuple[str, ...]

    def row(self, identity: int) -> int | None:
        """Row of an id, None if it was not published."""
        at = int(np.searchsorted(self.ids, identity))
        return at if at < self.ids.size and int(self.ids[at]) == identity else None

    def box(self, row: int) -> Region:
        """The region that a nucleus fills."""
        y, x, end_y, end_x = self.boxes[row].tolist()
        return Region(y, x, end_y - y, end_x - x)

    @property
    def highest_id(self) -> int:
        """0 if there is none."""
        return int(self.ids[-1]) if self.ids.size else 0


def read_nuclei(path: Path, offset_px0: tuple[float, float], step_px0: float, mpp: float) -> Nuclei:
    """Reads the table; without a file there are none. Polygons are dropped row group by row group.

    Args:
        path: ``nuclei.parquet``.
        offset_px0: Level-0 (y, x) of the labels' first corner.
        step_px0: Level-0 px per label px.
        mpp: Um per label px.
    """
    if not path.is_file():
        return _none()
    tables, boxes = [], []
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=_COLUMNS)
            boxes.append(_boxes(table["polygon"], offset_px0, step_px0))
            tables.append(table.drop_columns("polygon"))
    table = pa.concat_tables(tables).combine_chunks() if tables else file.schema_arrow.empty_table()
    classes = table["tissue_class"].fill_null("").combine_chunks().dictionary_encode()
    classes = classes.chunk(0) if isinstance(classes, pa.ChunkedArray) else classes
    return Nuclei(
        ids=table["id"].to_numpy(),
        y=(table["centroid_y_px0"].to_numpy() - offset_px0[0]) / step_px0,
        x=(table["centroid_x_px0"].to_numpy() - offset_px0[1]) / step_px0,
        boxes=np.concatenate(boxes) if boxes else np.empty((0, 4), np.int32),
        area_px=np.rint(table["area_um2"].to_numpy().astype(float) / mpp**2).astype(np.int64),
        probability=table["probability"].to_numpy(),
        class_index=classes.indices.to_numpy().astype(np.uint8),
        class_names=tuple(classes.dictionary.to_pylist()),
    )


def _boxes(polygons: pa.ChunkedArray, offset_px0: tuple[float, float], step_px0: float) -> Array:
    """Bounds of WKB polygons -> whole px (n, 4); an outline ends in the middle of a px's side."""
    bounds = shapely.bounds(shapely.from_wkb(polygons.to_numpy()))
    y, x, end_y, end_x = (
        (bounds[:, column] - offset_px0[axis]) / step_px0 for column, axis in ((1, 0), (0, 1), (3, 0), (2, 1))
    )
    low = [np.floor(value + 1e-6) for value in (y, x)]
    high = [np.ceil(value - 1e-6) for value in (end_y, end_x)]
    return np.stack([*low, *high], axis=1).astype(np.int32)


def _none() -> Nuclei:
    empty = np.empty(0)
    return Nuclei(
        empty.astype(np.uint32),
        empty,
        empty,
        np.empty((0, 4), np.int32),
        empty.astype(np.int64),
        empty.astype(np.float32),
        empty.astype(np.uint8),
        (),
    )
