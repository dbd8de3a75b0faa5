"""CSV and GeoJSON hold the nuclei of the table: all of them, or those selected."""

import csv
import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely

from wsipipe.results.export import csv_table, geojson, source
from wsipipe.results.export.source import ExportOptions, ExportSource, open_source
from wsipipe.store.names import NUCLEI_GEOJSON, NUCLEI_TABLE
from wsipipe.store.result import Result


def selected(pristine: Result, **options: object) -> ExportSource:
    return open_source(pristine.folder, ExportOptions(**options))


def test_csv_is_the_table_without_outlines(
    pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_BATCH_ROWS", 7)
    table = pq.read_table(pristine.folder / NUCLEI_TABLE).drop_columns(["polygon"])
    assert csv_table.write(selected(pristine), tmp_path / "n.csv") == table.num_rows > 50
    found = pd.read_csv(tmp_path / "n.csv")
    types = {name: kind for name, kind in table.to_pandas().dtypes.items() if name != "tissue_class"}
    pd.testing.assert_frame_equal(
        found.astype(types), table.to_pandas(), check_exact=True, check_dtype=False, check_index_type=False
    )


def test_csv_is_read_without_pandas(pristine: Result, tmp_path: Path) -> None:
    csv_table.write(selected(pristine), tmp_path / "n.csv")
    with (tmp_path / "n.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    nuclei = pristine.nuclei
    assert [int(row["id"]) for row in rows] == nuclei.id.tolist()
    assert [float(row["centroid_x_px0"]) for row in rows] == nuclei.centroid_x_px0.tolist()
    # Unknown values are empty, as for nuclei where no class was computed.
    assert [row["tissue_class"] or None for row in rows] == [
        name if isinstance(name, str) else None for name in nuclei.tissue_class
    ]


def test_a_selection_is_by_class_and_probability(pristine: Result, tmp_path: Path) -> None:
    nuclei = pristine.nuclei
    wanted = nuclei[(nuclei.tissue_class == "gland") & (nuclei.probability >= 0.8)]
    chosen = selected(pristine, classes=("gland",), min_probability=0.8)
    assert csv_table.write(chosen, tmp_path / "n.csv") == len(wanted)
    assert 0 < len(wanted) < len(nuclei)
    assert pd.read_csv(tmp_path / "n.csv").id.tolist() == wanted.id.tolist()


def test_an_empty_selection_has_a_header(pristine: Result, tmp_path: Path) -> None:
    assert csv_table.write(selected(pristine, min_probability=1.1), tmp_path / "n.csv") == 0
    assert len((tmp_path / "n.csv").read_text().splitlines()) == 1
    assert geojson.write(selected(pristine, min_probability=1.1), tmp_path / "n.geojson.gz") == 0
    assert json.loads(gzip.decompress((tmp_path / "n.geojson.gz").read_bytes()))["features"] == []


def test_geojson_of_all_nuclei_is_that_of_the_run(pristine: Result, tmp_path: Path) -> None:
    count = geojson.write(selected(pristine), tmp_path / "n.geojson.gz")
    published = json.loads(gzip.decompress((pristine.folder / NUCLEI_GEOJSON).read_bytes()))
    found = json.loads(gzip.decompress((tmp_path / "n.geojson.gz").read_bytes()))
    assert found == published
    assert len(found["features"]) == count


def test_plain_geojson_of_a_selection(pristine: Result, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    chosen = selected(pristine, classes=("stroma",), compressed=False)
    count = geojson.write(chosen, tmp_path / "n.partial")
    assert [path.name for path in tmp_path.iterdir()] == ["n.partial"]
    nuclei = pristine.nuclei
    wanted = nuclei[nuclei.tissue_class == "stroma"]
    found = geopandas.read_file(tmp_path / "n.partial")
    assert found.nucleus_id.tolist() == wanted.id.tolist()
    assert count == len(wanted)
    # Coordinates have two decimals.
    assert shapely.hausdorff_distance(found.geometry.to_numpy(), wanted.polygon.to_numpy()).max() < 0.01
