"""Exported labels, table, GeoJSON, summary and training fields agree with the edits."""

import csv
import gzip
import json

import geopandas
import numpy as np
import pytest

from wsipipe.geometry import Region
from wsipipe.review import Session
from wsipipe.review.export import export_review
from wsipipe.review.reviewed_store import reviewed_levels
from wsipipe.review.sample import SIDE_PX
from wsipipe.store.result import Result
from wsipipe.training.datasets import read_fields

WHOLE = Region(0, 0, SIDE_PX, SIDE_PX)


@pytest.fixture
def exported(session: Session):
    session.visit(Region(0, 0, 256, 300))
    session.accept([3])
    session.reject([5])
    session.relabel([9], "mitosis")
    session.split(next(int(i) for i in session.published.nuclei.ids if session.area_px(int(i)) > 100))
    session.draw([(100, 100), (130, 100), (130, 130), (100, 130)], "gland")
    session.set_tissue([(0, 0), (256, 0), (256, 128), (0, 128)], "gland")
    session.comment(3, 4, "fold?")
    return session, export_review(session)


def test_an_untouched_review_exports_the_published_table(session: Session, slide: Result) -> None:
    folder = export_review(session).folder
    table = geopandas.read_parquet(folder / "nuclei_reviewed.parquet")
    published = slide.nuclei
    for column in published.columns:
        assert table[column].equals(published[column]), column
    assert set(table["status"]) == {"published"}


def test_the_table_has_the_labels_areas_and_says_who(exported) -> None:
    session, done = exported
    table = geopandas.read_parquet(done.folder / "nuclei_reviewed.parquet").set_index("id")
    labels = session.labels(WHOLE)
    areas = np.bincount(labels.ravel())
    assert sorted(table.index) == sorted(i for i in np.unique(labels) if i)
    np.testing.assert_allclose(table["area_um2"], [areas[i] * 0.25 for i in table.index], rtol=1e-6)
    assert table.index.is_monotonic_increasing
    assert 5 not in table.index
    assert (table.loc[3, "status"], table.loc[3, "reviewed_by"]) == ("accepted", "ann")
    assert (table.loc[9, "status"], table.loc[9, "class"]) == ("changed", "mitosis")
    assert set(table.loc[table.index > session.published.nuclei.highest_id, "status"]) == {"new"}
    assert table.geometry.is_valid.all()


def test_remeasuring_an_unchanged_nucleus_gives_its_published_row(session: Session, slide: Result) -> None:
    session.relabel([9, 20, 30], "mitosis")
    table = geopandas.read_parquet(export_review(session).folder / "nuclei_reviewed.parquet").set_index("id")
    published = slide.nuclei.set_index("id")
    for identity in (9, 20, 30):
        for column in published.columns:
            assert table.loc[identity, column] == published.loc[identity, column], column


def test_nuclei_in_changed_tissue_get_its_class(exported) -> None:
    done = exported[1]
    table = geopandas.read_parquet(done.folder / "nuclei_reviewed.parquet")
    there = (table["centroid_y_px0"] < 500) & (table["centroid_x_px0"] < 250)
    assert there.any()
    assert set(table.loc[there, "tissue_class"]) == {"gland"}


def test_labels_and_geojson_agree_with_the_table(exported) -> None:
    session, done = exported
    np.testing.assert_array_equal(reviewed_levels(session, "nuclei")[0][...], session.labels(WHOLE))
    features = json.loads(gzip.decompress((done.folder / "nuclei_reviewed.geojson.gz").read_bytes()))[
        "features"
    ]
    table = geopandas.read_parquet(done.folder / "nuclei_reviewed.parquet").set_index("id")
    assert [feature["properties"]["nucleus_id"] for feature in features] == list(table.index)
    named = {f["properties"]["nucleus_id"]: f["properties"]["classification"]["name"] for f in features}
    assert named[9] == "Nucleus: mitosis"
    tissue = json.loads((done.folder / "tissue_class_reviewed.geojson").read_text())["features"]
    assert {feature["properties"]["classification"]["name"] for feature in tissue} == {"stroma", "gland"}


def test_the_summary_counts_what_was_done(exported) -> None:
    done = exported[1]
    summary = json.loads((done.folder / "summary.json").read_text())
    assert summary == json.loads(json.dumps(done.summary))
    assert summary["seen_mm2"] == pytest.approx(256 * 304 * 0.25e-6, abs=1e-4)
    assert summary["acts"] == {
        "accept": 1,
        "comment": 1,
        "draw": 1,
        "reject": 1,
        "relabel": 1,
        "split": 1,
        "tissue": 1,
    }
    assert [item["id"] for item in summary["rejected"]] == [5]
    assert summary["nuclei"]["rejected"] == 1
    assert summary["nuclei"]["new"] >= 2
    grown = summary["tissue_mm2_by_class"]
    assert grown["gland"]["grown"] == -grown["stroma"]["grown"] > 0
    assert summary["comments"][0]["text"] == "fold?"
    assert all(change["user"] == "ann" and change["at"] for change in summary["changes"])


def test_training_fields_are_those_seen_and_a_training_reads_them(exported) -> None:
    session, done = exported
    folder = done.folder / "corrections"
    with (folder / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["y"], row["x"], row["height"], row["width"]) for row in rows] == [("0", "0", "256", "300")]
    (field,) = read_fields(folder)
    seen = session.labels(Region(0, 0, 256, 300))
    np.testing.assert_array_equal(field.labels > 0, seen > 0)
    assert field.labels.max() == np.unique(seen).size - 1 == int(rows[0]["nuclei"])
    image = session.published.result.arrays.image[0][:, :256, :300]
    np.testing.assert_array_equal(field.image, np.moveaxis(image, 0, 2))
    assert (field.mpp, field.group, field.has_instances) == (0.5, session.published.slide_id, True)


def test_fields_without_judgement_or_seen_already_teach_nothing(session: Session) -> None:
    first = session.box(5)
    session.visit(first.grown(20))
    session.visit(Region(first.y - 20, first.x - 18, first.height + 40, first.width + 42))
    session.reject([5])
    assert export_review(session).summary["training_fields"] == 1


def test_what_was_not_seen_teaches_nothing(session: Session) -> None:
    session.reject([5])
    assert export_review(session).summary["training_fields"] == 0


def test_published_files_stand_after_an_export(exported, slide: Result) -> None:
    assert slide.damaged() == []
