"""Workers get absolute paths, since their working directory may be another one."""

import os
import shutil
from pathlib import Path

import pytest

from wsipipe.models.cards.shipped import DEFAULT_NUCLEI
from wsipipe.models.cards.weights import find_weights
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.run import Resources, run
from wsipipe.stages.flow import with_absolute_weights
from wsipipe.stages.workflow import Workflow
from wsipipe.tiling.collect import SlideInput, collect


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which no worker has."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_relative_slide_and_out_are_run_by_workers_elsewhere(
    small_slide: Path, scheduler: str, here: Path
) -> None:
    shutil.copy(small_slide, "a.svs")
    settings = ["tile.mpp=2"]
    found = run("tiling_only", "a.svs", "out", settings=settings, resources=Resources(scheduler=scheduler))
    assert [slide.status for slide in found.slides] == ["done"]
    assert found.out == Path("out")
    assert (here / "out" / found.slides[0].slide_id / "slide.zarr").is_dir()


def test_every_path_of_a_slide_becomes_absolute(here: Path) -> None:
    for name in ("a.svs", "m.png", "r.geojson"):
        Path(name).touch()
    Path("slides.csv").write_text("sample_id,image_path,mask_path,regions_path\nA,a.svs,m.png,r.geojson\n")
    (slide,) = collect(["slides.csv"])
    # The sister: before, the paths are those that were given.
    assert (slide.path, slide.mask_path) == (Path("a.svs"), Path("m.png"))
    found = slide.absolute()
    assert (found.path, found.mask_path, found.regions_path) == tuple(
        here / name for name in ("a.svs", "m.png", "r.geojson")
    )
    assert (found.slide_id, found.sample_id) == (slide.slide_id, "A")
    bare = SlideInput("x", Path("x.svs"), None, None, "x").absolute()
    assert (bare.path, bare.mask_path, bare.regions_path) == (here / "x.svs", None, None)


def test_weights_of_a_file_become_absolute_and_names_stay(tiny_workflow: Workflow, here: Path) -> None:
    weights = find_weights(tiny_workflow.segment.weights)
    for suffix in (".safetensors", ".json"):
        shutil.copy(weights.with_suffix(suffix), f"mine{suffix}")
    relative = tiny_workflow.model_copy(
        update={"segment": tiny_workflow.segment.model_copy(update={"weights": "mine.safetensors"})}
    )
    found = make_planner(relative, [], None).workflow
    assert found.segment.weights == os.path.join(here, "mine.safetensors")
    assert found.chosen()["segment"]["weights"] == found.segment.weights
    assert found.classify == tiny_workflow.classify
    named = make_planner("nuclei", [], None).workflow
    assert named.segment.weights == DEFAULT_NUCLEI
    auto = make_planner("nuclei", ["segment.quality=fast"], None).workflow
    assert auto.segment.weights == "auto"
    assert with_absolute_weights(Workflow(name="x")) == Workflow(name="x")
