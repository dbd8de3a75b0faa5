"""Each shard writes its rows and features; parts are joined in the order of their first ids."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from wsipipe.pipeline.execution.nuclei_part import join_features, nuclei_parts, write_nuclei_part
from wsipipe.store.nuclei_table import SCHEMA
from wsipipe.store.ome_metadata import LabelClass


def rows(*ids: int) -> pa.Table:
    columns: dict[str, Any] = {
        name: pa.array(np.ones(len(ids)), SCHEMA.field(name).type) for name in SCHEMA.names[1:-2]
    }
    columns |= {
        "id": pa.array(ids, pa.uint32()),
        "tissue_class": pa.array(["STR"] * len(ids), pa.string()),
        "polygon": pa.array(shapely.to_wkb([shapely.box(i, 0, i + 1, 1) for i in ids]), pa.binary()),
    }
    return pa.table(columns, schema=SCHEMA)


def written(folder: Path) -> list[Path]:
    label = SimpleNamespace(legend=(LabelClass(0, "STR", (7, 8, 9)),), about={})
    plan: Any = SimpleNamespace(
        slide=SimpleNamespace(slide_id="slide"), published=lambda kind: iter([(None, label)])
    )
    shards = {"0-0": rows(2, 5), "0-1": rows(1, 3), "1-0": rows(), "1-1": rows(4)}
    return [path for name, table in shards.items() for path in write_nuclei_part(plan, folder / name, table)]


def test_shards_without_nuclei_have_a_table_alone(tmp_path):
    names = [path.name for path in written(tmp_path / "parts")]
    assert [name for name in names if name.startswith("1-")] == [
        "1-0.parquet",
        "1-1.parquet",
        "1-1.geojson.gz",
    ]


def test_all_features_are_joined_and_the_shard_of_id_1_comes_first(tmp_path):
    written(tmp_path / "parts")
    parts = nuclei_parts(tmp_path / "parts")
    assert [path.stem for path in parts] == ["0-1", "0-0", "1-1"]
    join_features(tmp_path / "joined", parts)
    features = json.loads(gzip.decompress((tmp_path / "joined").read_bytes()))["features"]
    assert [feature["properties"]["nucleus_id"] for feature in features] == [1, 3, 2, 5, 4]
    assert features[0]["properties"]["classification"] == {"name": "Nucleus: STR", "color": [7, 8, 9]}


def test_without_nuclei_the_file_is_an_empty_collection(tmp_path):
    join_features(tmp_path / "joined", nuclei_parts(tmp_path / "parts"))
    assert json.loads(gzip.decompress((tmp_path / "joined").read_bytes()))["features"] == []
