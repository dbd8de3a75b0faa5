"""What is published is whole, valid for others, and named file by file; what it replaces is kept."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ome_zarr_models.v05.image import Image
from ome_zarr_models.v05.image_label import ImageLabel
from zarr import open_group

from wsipipe.errors import SlideError
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing import publish
from wsipipe.pipeline.run import Resources, run
from wsipipe.stages.classify import CLASS_MAP, ClassifyParams
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.workflow import Workflow
from wsipipe.store.result import Result


def test_the_manifest_names_every_file(finished: Result) -> None:
    there = {
        path.relative_to(finished.folder).as_posix() for path in finished.folder.rglob("*") if path.is_file()
    }
    assert there - set(finished.manifest["files"]) == {"slide.zarr/manifest.json"}
    assert set(finished.manifest["files"]) <= there


def test_others_read_it_as_ome_zarr(finished: Result) -> None:
    Image.from_zarr(open_group(finished.store, mode="r"))
    for name in ("tissue", "tissue_class", "nuclei"):
        ImageLabel.from_zarr(open_group(finished.store / "labels" / name, mode="r"))
    for name in finished.arrays.probabilities:
        Image.from_zarr(open_group(finished.store / "probabilities" / name, mode="r"))


def test_classes_have_names_and_colours(finished: Result) -> None:
    ome = open_group(finished.store / "labels/tissue_class", mode="r").attrs["ome"]
    names = [item["name"] for item in ome["image-label"]["properties"]]
    assert names == ["one", "two", "not computed"]
    assert open_group(finished.store / "labels", mode="r").attrs["ome"]["labels"] == [
        "tissue",
        "tissue_class",
        "nuclei",
    ]


def test_features_are_as_many_as_labels(finished: Result) -> None:
    import gzip

    with gzip.open(finished.folder / "nuclei.geojson.gz") as file:
        features = json.load(file)["features"]
    assert len(features) == finished.arrays.labels["nuclei"][0][...].max()


def test_only_the_result_is_left(finished: Result) -> None:
    work = finished.folder.parent / ".work"
    # Without flock, a file beside each lock says who holds it.
    assert {path.name.removesuffix(".held") for path in work.iterdir()} == {
        "run.lock",
        f"{finished.folder.name}.lock",
    }


def test_another_plan_puts_the_earlier_result_aside(
    small_slide: Path, scheduler: str, tmp_path: Path
) -> None:
    resources = Resources(scheduler=scheduler)
    first = run("tiling_only", small_slide, tmp_path, settings=["tile.mpp=1"], resources=resources)
    (first.results()[0].folder / "reviews").mkdir()
    second = run("tiling_only", small_slide, tmp_path, settings=["tile.mpp=2"], resources=resources)
    assert [slide.status for slide in second.slides] == ["done"]
    assert second.results()[0].attributes["canvas_mpp"] == 2
    (aside,) = (tmp_path / ".replaced").iterdir()
    assert (aside / "reviews").is_dir()
    assert Result(aside).damaged() == []


def test_a_slide_that_fails_at_the_end_fails_as_a_slide(
    small_slide: Path, tiny_workflow: Workflow, plan_for: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise SlideError("a tile does not decode")

    monkeypatch.setattr("wsipipe.pipeline.publishing.side_files.write_side_files", unreadable)
    with pytest.raises(SlideError):
        publish.write_results(plan_for(small_slide, tiny_workflow), tmp_path)


def test_probabilities_say_what_they_mean(finished: Result) -> None:
    meaning = open_group(finished.store / "probabilities/nucleus", mode="r").attrs["wsipipe"]
    stored = finished.arrays.probabilities["nucleus"][...]
    assert meaning == {"scale": 1 / 250, "unreadable": 254, "not_computed": 255}
    assert np.isin([255], stored).all()
    assert stored[stored < 251].size


def test_the_store_names_the_parameters_that_ran(finished: Result) -> None:
    """Recomputed from the store: its thresholds and sizes are those that the labels fit."""
    ran = finished.attributes["workflow"]
    assert ran["segment"]["precision"] == "float32"
    assert "patch_px" not in ran["segment"]
    assert ran["instances"]["grow_um"] == 2
    assert set(finished.attributes["weights"]["segment"]) >= {"sha256", "temperature", "stain_reference"}
    stored, labels = finished.arrays.probabilities["nucleus"][...], finished.arrays.labels["nuclei"][0][...]
    assert stored[labels > 0].min() >= round(ran["instances"]["nucleus_threshold"] * 250)


def test_what_the_card_decides_is_published_not_the_default(
    small_slide: Path, tiny_workflow: Workflow, plan_for: Any
) -> None:
    plan = plan_for(small_slide, tiny_workflow)
    own = {"thresholds": {"centre": 0.4}, "instance_params": {"grow_um": 7.0, "min_seed_um2": 3.0}}
    cards = plan.cards | {"segment": plan.cards["segment"].model_copy(update=own)}
    ran = publish._provenance(replace(plan, cards=cards))["workflow"]["instances"]
    chosen = {"grow_um": 2.0}
    assert ran == InstanceParams(centre_threshold=0.4, min_seed_um2=3.0, **chosen).model_dump()


def test_the_class_map_says_organ_stain_and_what_unknown_is(
    small_slide: Path, plan_for: Callable[[Path, Workflow], Plan]
) -> None:
    weights = "tissue_gmr_resnet18_1.0"
    on, off = (
        plan_for(small_slide, Workflow(name="t", classify=ClassifyParams(weights=weights, unknown=unknown)))
        for unknown in (True, False)
    )
    assert on.id != off.id
    assert on.summary()["classes_of"] == "colon, H&E"
    (with_unknown,), (without,) = (
        [write for _, write in plan.published("label") if write.name == CLASS_MAP] for plan in (on, off)
    )
    assert {each.value: each.name for each in with_unknown.legend}[8] == "unknown"
    assert "unknown" not in {each.name for each in without.legend}
    about = {"organ": "colon", "stain": "H&E", "weights": weights}
    assert with_unknown.about == about | {"unknown": 8}
    assert without.about == about | {"unknown": None}
