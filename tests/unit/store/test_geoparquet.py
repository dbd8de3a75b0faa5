import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from wsipipe.store.geoparquet import in_id_order, write_parquet
from wsipipe.store.nuclei_table import SCHEMA


def rows(ids: np.ndarray) -> pa.Table:
    polygons = shapely.to_wkb(shapely.box(ids, 0, ids + 1, 1))
    columns = {name: pa.nulls(ids.size, SCHEMA.field(name).type) for name in SCHEMA.names}
    columns |= {"id": pa.array(ids, pa.uint32()), "polygon": pa.array(polygons, pa.binary())}
    return pa.table(columns, schema=SCHEMA)


def test_geopandas_opens_the_file(tmp_path):
    path = tmp_path / "nuclei.parquet"
    assert write_parquet(path, (rows(np.arange(i, i + 3)) for i in (1, 4))) == 6
    frame = geopandas.read_parquet(path)
    assert frame["id"].tolist() == [1, 2, 3, 4, 5, 6]
    assert frame.geometry.name == "polygon"
    assert frame.crs is None
    assert frame.geometry.iloc[2].bounds == (3, 0, 4, 1)
    assert pq.read_metadata(path).num_row_groups == 2


def test_an_empty_table_is_a_file_too(tmp_path):
    assert write_parquet(tmp_path / "none.parquet", []) == 0
    assert len(geopandas.read_parquet(tmp_path / "none.parquet")) == 0
    assert list(in_id_order([tmp_path / "none.parquet"])) == []


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_parquet(tmp_path / name, [rows(np.arange(1, 5))])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_interleaved_parts_come_in_the_order_of_ids(tmp_path):
    owner = np.random.default_rng(0).integers(0, 4, 5000)
    owner[2500:] += 4
    paths = [tmp_path / str(part) for part in range(9)]
    for part, path in enumerate(paths):
        write_parquet(path, [rows(1 + np.flatnonzero(owner == part))])
    tables = list(in_id_order(paths[::-1], rows=700))
    assert [table.num_rows for table in tables] == [700] * 7 + [100]
    np.testing.assert_array_equal(pa.concat_tables(tables)["id"], np.arange(1, 5001))
