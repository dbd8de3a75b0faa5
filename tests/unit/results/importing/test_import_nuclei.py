"""Imported nuclei become results, or are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array
from wsipipe.pipeline.estimate.in_process import InProcessPool
from wsipipe.pipeline.maintenance import verify
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.results.compare.compare import compare
from wsipipe.results.export.formats import export_result
from wsipipe.results.importing.import_nuclei import ImportRequest, import_nuclei, prepared_workflow
from wsipipe.review import Session
from wsipipe.stages.workflow import Workflow
from wsipipe.store.result import Result, open_result
from wsipipe.synth.writer import make_slide

SIDE = 512
MPP = 0.25
PlanFor = Callable[[Path, Workflow], Plan]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 512 px at 0.25 um/px, whose canvas is its level 0."""
    path = tmp_path_factory.mktemp("slide") / "slide.svs"
    make_slide(path, SIDE, seed=3, mpp=MPP)
    return path


def labels() -> Array:
    """Three nuclei: 30 touches 7, and 9 lies at the edge."""
    pixels = np.zeros((SIDE, SIDE), np.uint16)
    pixels[100:110, 200:220] = 30
    pixels[110:130, 200:210] = 7
    pixels[500:, 500:] = 9
    return pixels


@pytest.fixture
def published(slide: Path, plan_for: PlanFor, tmp_path: Path) -> Callable[..., Result]:
    """Imports a file without a cluster."""

    def publish(source: Path, **options: Any) -> Result:
        warnings: list[str] = []
        prepared = tmp_path / "prepared"
        workflow = prepared_workflow(ImportRequest(source, slide, **options), prepared, warnings.append)
        plan = plan_for(slide, workflow)
        run_slide(InProcessPool(), plan, tmp_path / "out", Device())
        publish.warnings = warnings
        return open_result(tmp_path / "out" / plan.slide.slide_id)

    return publish


def test_a_label_map_becomes_a_result(published: Any, tmp_path: Path) -> None:
    source = tmp_path / "peer.tif"
    tifffile.imwrite(source, labels())
    result = published(source)
    assert published.warnings == []
    # Ids are those of wsipipe: from 1 in raster order.
    expected = np.zeros((SIDE, SIDE), np.uint32)
    for number, old in enumerate((30, 7, 9), start=1):
        expected[labels() == old] = number
    assert (result.arrays.labels["nuclei"][0][...] == expected).all()
    table = result.nuclei
    assert table["id"].tolist() == [1, 2, 3]
    assert table["area_um2"].tolist() == [200 * MPP**2, 200 * MPP**2, 144 * MPP**2]
    assert table["centroid_y_px0"].tolist() == [105, 120, 506]
    assert table["centroid_x_px0"].tolist() == [210, 205, 506]
    assert table["probability"].isna().all()
    assert table.geometry.area.round(6).tolist() == [199.5, 199.5, 143.5]
    imported = result.attributes["workflow"]["imported"]
    assert imported["source"] == "peer.tif"
    assert len(imported["sha256"]) == 64
    assert "prepared" not in imported
    assert verify(result.folder) == []


def test_every_command_opens_it(published: Any, tmp_path: Path) -> None:
    source = tmp_path / "peer.png"
    Image.fromarray(labels()).save(source)
    result = published(source)
    found = compare(result.folder, source)
    assert (found.scores["matched"], found.scores["missed"], found.scores["extra"]) == (3, 0, 0)
    assert found.scores["dice"] == 1
    written = export_result("geojson", result.folder, tmp_path / "nuclei.geojson.gz", overwrite=False)
    assert written.count == 3
    with Session.open(result.folder, "ann") as session:
        assert [item.identity for item in session.queue("random", 9)] != []
        session.delete([2])
        assert session.area_px(2) == 0
    assert verify(result.folder) == []


def test_a_part_of_the_slide_has_an_offset(published: Any, tmp_path: Path) -> None:
    part = np.zeros((60, 40), np.int32)
    part[10:20, 5:25] = 4
    np.save(tmp_path / "part.npy", part)
    result = published(tmp_path / "part.npy", offset_px0=(300.0, 100.0), labels_mpp=2 * MPP)
    # 0.5 um/px: a px of the map is 2 level-0 px, and one px of the canvas.
    found = result.arrays.labels["nuclei"][0][...]
    assert found.shape == (SIDE // 2, SIDE // 2)
    assert np.argwhere(found).min(axis=0).tolist() == [150 + 10, 50 + 5]
    assert np.argwhere(found).max(axis=0).tolist() == [150 + 19, 50 + 24]
    assert result.nuclei["centroid_y_px0"].tolist() == [300 + 2 * 15]


def test_geojson_keeps_its_classes(published: Any, tmp_path: Path) -> None:
    source = tmp_path / "peer.geojson"
    source.write_text(
        json.dumps(
            [
                feature([[10, 20], [30, 20], [30, 40], [10, 40]], "Nucleus: Tumour"),
                feature([[100, 20], [120, 20], [120, 40], [100, 40]], "Nucleus: Immune"),
                feature([[200, 20], [220, 20], [220, 40], [200, 40]], ""),
                # Crosses itself: two triangles, of which the larger one is kept.
                feature([[300, 300], [320, 320], [320, 300], [300, 330]], "Nucleus: Tumour"),
                feature([[500, 400], [530, 400], [530, 420], [500, 420]], "Nucleus: Immune"),
                feature([[900, 20], [920, 20], [920, 40], [900, 40]], "Nucleus: Immune"),
            ]
        )
    )
    result = published(source, labels_mpp=MPP)
    table = result.nuclei
    assert table["type"].fillna("").tolist() == ["Tumour", "Immune", "", "Tumour", "Immune"]
    assert table["area_um2"].tolist()[:3] == [400 * MPP**2] * 3
    # The last one is cut at the edge of the slide.
    assert table["area_um2"].tolist()[4] == 12 * 20 * MPP**2
    assert "left out: 1 outside the slide" in published.warnings
    assert "cut at the edge of the slide: 1 outlines" in published.warnings
    assert "reduced to the largest of several parts: 1 nuclei, first 4" in published.warnings
    (repaired,) = (text for text in published.warnings if text.startswith("repaired"))
    assert "1 outlines, first feature 3 (Self-intersection[" in repaired


def feature(ring: list[list[int]], name: str) -> dict[str, Any]:
    about: dict[str, Any] = {"objectType": "detection"}
    about |= {"classification": {"name": name}} if name else {}
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return {"type": "Feature", "geometry": geometry, "properties": about}


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (labels()[:-3], r"is 509 x 512 px, but .*slide.svs is 512 x 512 px at 0.25 um/px"),
        (labels().astype(np.float32), "is no label map: it has shape .* and type float32"),
        (labels() > 0, "type bool"),
        (np.stack([labels()] * 3, axis=-1), r"is no label map: it has shape \(512, 512, 3\)"),
        (labels() * 0, "holds no nucleus inside the slide"),
        ((labels() > 0).astype(np.uint8) * 255, "one value only, 255: it looks like a mask"),
        (labels().astype(np.int32) - 1, "holds ids from -1 to 29"),
    ],
)
def test_labels_that_do_not_fit_are_refused(slide: Path, tmp_path: Path, pixels: Array, message: str) -> None:
    np.save(tmp_path / "peer.npy", pixels)
    with pytest.raises(ConfigError, match=message):
        prepared_workflow(ImportRequest(tmp_path / "peer.npy", slide), tmp_path / "prepared")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offset_px0": (1.0, 2.0)}, "reaches 2 level-0 px beyond"),
        ({"offset_px0": (-9.0, 0.0)}, "reaches 9 level-0 px beyond"),
        ({"labels_mpp": 0.5}, "slide.svs is 256 x 256 px at 0.5 um/px"),
        ({"labels_mpp": 0.1}, "much finer than"),
    ],
)
def test_labels_at_a_wrong_place_are_refused(
    slide: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    np.save(tmp_path / "peer.npy", labels())
    with pytest.raises(ConfigError, match=message):
        prepared_workflow(ImportRequest(tmp_path / "peer.npy", slide, **options), tmp_path / "prepared")


def test_files_of_no_known_kind_are_refused(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"peer.txt does not exist"):
        prepared_workflow(ImportRequest(tmp_path / "peer.txt", slide), tmp_path)
    (tmp_path / "peer.txt").touch()
    with pytest.raises(ConfigError, match=r"peer.txt is of no known kind"):
        prepared_workflow(ImportRequest(tmp_path / "peer.txt", slide), tmp_path)
    outside = [feature([[900, 20], [920, 20], [920, 40], [900, 40]], "")]
    (tmp_path / "peer.geojson").write_text(json.dumps(outside))
    with pytest.raises(ConfigError, match="no nuclei inside the slide: 1 outside the slide"):
        prepared_workflow(ImportRequest(tmp_path / "peer.geojson", slide), tmp_path)


def test_the_largest_part_of_a_nucleus_is_kept(published: Any, tmp_path: Path) -> None:
    pixels = labels()
    pixels[150:153, 150:153] = 7
    np.save(tmp_path / "peer.npy", pixels)
    result = published(tmp_path / "peer.npy")
    assert published.warnings == ["reduced to the largest of several parts: 1 nuclei, first 7"]
    assert not result.arrays.labels["nuclei"][0][150:153, 150:153].any()


def test_a_computed_result_is_not_replaced(published: Any, slide: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "peer.npy", labels())
    result = published(tmp_path / "peer.npy")
    calls: list[Any] = []
    request, out = ImportRequest(tmp_path / "peer.npy", slide), result.folder.parent

    def runner(workflow: Workflow, path: Path, to: Path, **_: Any) -> Any:
        calls.append((workflow.imported.count, path, to))

    import_nuclei(request, out, runner=runner)
    assert calls == [(3, slide, out)]
    assert list((out / ".work").glob("import-*")) == []
    attributes = json.loads((result.store / "zarr.json").read_text())
    del attributes["attributes"]["wsipipe"]["workflow"]["imported"]
    (result.store / "zarr.json").write_text(json.dumps(attributes))
    with pytest.raises(ConfigError, match=r"is a result of the slide itself\. Import into another folder"):
        import_nuclei(request, out, runner=runner)
