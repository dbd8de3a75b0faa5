"""Cores, regions of interest and imported nuclei, through the command line."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsipipe.errors import ExitCode
from wsipipe.geometry import Region
from wsipipe.pipeline.estimate.in_process import InProcessPool
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.pipeline.run_result import RunResult
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.stages.workflow import Workflow
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.names import SUMMARY
from wsipipe.store.regions import published_regions
from wsipipe.store.result import open_result
from wsipipe.synth import SyntheticSlide
from wsipipe.tiling.morphology import dilated

RADIUS_PX, CORE_MPP = 22, 8.0
CENTRES = {"A1": (60, 60), "A3": (60, 200), "B1": (130, 60), "B2": (130, 130), "B3": (130, 200)}
SIDE, MPP = 512, 0.5
ONLY = ("--set", "tissue.only_regions=true")


def stained(inside: np.ndarray) -> np.ndarray:
    """Pink, rough tissue on glass, RGB."""
    rng = np.random.default_rng(0)
    density = np.array([0.2, 0.5, 0.3]) * rng.uniform(0.6, 1.4, (*inside.shape, 1))
    return np.where(inside[..., None], 243 * 10**-density, 243).astype(np.uint8)


@pytest.fixture
def microarray(tmp_path: Path) -> Path:
    """Five cores on a grid of two rows and three columns."""
    y, x = np.ogrid[:190, :260]
    discs = [np.hypot(y + 0.5 - cy, x + 0.5 - cx) < RADIUS_PX for cy, cx in CENTRES.values()]
    Image.fromarray(stained(np.any(discs, axis=0))).save(tmp_path / "array.png")
    return tmp_path / "array.png"


def test_cores_become_regions_of_their_names(typed: Any, microarray: Path, tmp_path: Path) -> None:
    code, out, _ = typed("cores", microarray, "--to", tmp_path / "cores", "--mpp", CORE_MPP)
    assert code == ExitCode.OK
    written = tmp_path / "cores" / "array.geojson"
    assert out.splitlines() == [f"{written}: 5 cores, A1 to B3"]
    features = json.loads(written.read_text())["features"]
    assert [each["properties"]["name"] for each in features] == [*CENTRES]
    for feature, centre in zip(features, CENTRES.values(), strict=True):
        corners = np.array(feature["geometry"]["coordinates"][0][:-1])
        assert (corners.mean(axis=0)[::-1] == pytest.approx(centre, abs=1.0)) is True
        assert np.ptp(corners, axis=0) == pytest.approx(2 * 1.15 * RADIUS_PX, rel=0.15)
    # The same folder again: nothing is replaced.
    before = written.read_bytes()
    code, _, stderr = typed("cores", microarray, "--to", tmp_path / "cores", "--mpp", CORE_MPP)
    assert code == ExitCode.RETRY_LATER
    assert "would be replaced. Name an empty folder with --to" in stderr
    assert written.read_bytes() == before


def test_a_slide_without_cores_is_named_and_the_others_are_written(
    typed: Any, microarray: Path, tmp_path: Path
) -> None:
    section = np.zeros((190, 260), bool)
    section[40:150, 40:220] = True
    Image.fromarray(stained(section)).save(tmp_path / "section.png")
    slides = microarray, tmp_path / "section.png"
    code, _, stderr = typed("cores", *slides, "--to", tmp_path / "cores", "--mpp", CORE_MPP)
    assert code == ExitCode.SOME_SLIDES_FAILED
    assert "section.png: no tissue micro-array was found: 1 pieces of tissue look like cores" in stderr
    assert [path.name for path in (tmp_path / "cores").iterdir()] == ["array.geojson"]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A synthetic slide of 512 px at 0.5 um/px, one level."""
    Image.fromarray(SyntheticSlide(3, SIDE, MPP).rgb(Region(0, 0, SIDE, SIDE))).save(tmp_path / "slide.png")
    return tmp_path / "slide.png"


def tiled(typed: Any, picture: Path, scheduler: str, out: Path, *options: Any) -> tuple[int, str, str]:
    small = ("--set", "tile.shard_px=256", "--set", "tile.chunk_px=128")
    command = ("run", "tiling_only", picture, "--out", out, "--mpp", MPP, "--scheduler", scheduler)
    return typed(*command, *small, *options)


def result_in(out: Path) -> Path:
    """The folder of the only slide."""
    (store,) = out.glob("*/slide.zarr")
    return store.parent


def test_only_the_regions_are_computed(typed: Any, picture: Path, scheduler: str, tmp_path: Path) -> None:
    ring = [[16, 32], [144, 32], [144, 112], [16, 112], [16, 32]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions/slide.geojson").write_text(json.dumps(feature | {"properties": {"name": "tumour"}}))
    regions = ("--regions", tmp_path / "regions")
    assert tiled(typed, picture, scheduler, tmp_path / "out", *regions, *ONLY)[0] == ExitCode.OK
    part = open_result(result_in(tmp_path / "out"))
    # A px of the mask is 16 level-0 px wide, the margin of 32 um is 4 px.
    inside = np.zeros((32, 32), bool)
    inside[2:7, 1:9] = True
    near = dilated(inside, 4)
    tissue = part.arrays.labels["tissue"][0][...]
    assert ((tissue == NOT_COMPUTED) == ~near).all()
    assert list(published_regions(part.folder)) == ["tumour"]
    with (part.folder / SUMMARY).open(newline="") as file:
        rows = {row["class"]: float(row["area_mm2"]) for row in csv.DictReader(file)}
    assert rows["region: tumour"] == pytest.approx((tissue[inside] == 1).sum() * 64e-6)
    # The sister: there is tissue elsewhere, which a run without the setting would find.
    assert SyntheticSlide(3, SIDE, MPP).tissue(Region(0, 0, 32, 32), 16)[~near].any()


def test_only_regions_needs_regions(typed: Any, picture: Path, scheduler: str, tmp_path: Path) -> None:
    code, out, _ = tiled(typed, picture, scheduler, tmp_path / "out", *ONLY)
    assert code == ExitCode.SOME_SLIDES_FAILED
    assert "Give them with --regions" in " ".join(out.split())
    assert not [*(tmp_path / "out").glob("slide*")]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, plan_for: Callable[[Path, Workflow], Plan]) -> None:
    """Workflows run in this process, without a cluster."""

    def run(workflow: Workflow, slide: Path, out: Path, **_: object) -> RunResult:
        plan = plan_for(slide, workflow)
        run_slide(InProcessPool(), plan, out, Device())
        assert workflow.imported
        done = SlideOutcome(plan.slide.slide_id, slide, "done", nuclei=workflow.imported.count)
        return RunResult(out, (done,), ExitCode.OK)

    monkeypatch.setattr("wsipipe.pipeline.run.run", run)


def labels() -> np.ndarray:
    """Two nuclei; the second is in two parts."""
    pixels = np.zeros((60, 40), np.uint16)
    pixels[10:20, 5:25] = 4
    pixels[30:40, 5:25] = 9
    pixels[50, 30] = 9
    return pixels


def test_nuclei_of_another_program_are_imported(
    typed: Any, run_here: None, small_slide: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "peer.npy", labels())
    place = ("--offset", "300,100", "--labels-mpp", 0.5)
    command = ("import", tmp_path / "peer.npy", "--slide", small_slide, "--out", tmp_path / "out")
    code, out, stderr = typed(*command, *place, "--json")
    assert code == ExitCode.OK
    assert "WARNING reduced to the largest of several parts: 1 nuclei, first 9" in stderr
    (slide,) = json.loads(out)["slides"]
    assert (slide["status"], slide["nuclei"]) == ("done", 2)
    table = open_result(result_in(tmp_path / "out")).nuclei
    # A px of the map is two level-0 px of 0.25 um.
    assert table["centroid_y_px0"].tolist() == [300 + 2 * 15, 300 + 2 * 35]
    assert table["centroid_x_px0"].tolist() == [100 + 2 * 15] * 2
    assert table["area_um2"].tolist() == [200 * 0.25] * 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--offset", "300"), "Invalid --offset 300. Give Y,X in level-0 px"),
        (("--offset", "1000,0"), "level-0 px beyond"),
        ((), "is 60 x 40 px, but"),
    ],
)
def test_an_import_that_cannot_be_leaves_no_result(
    typed: Any, run_here: None, small_slide: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    np.save(tmp_path / "peer.npy", labels())
    command = ("import", tmp_path / "peer.npy", "--slide", small_slide, "--out", tmp_path / "out")
    code, out, stderr = typed(*command, *options)
    assert (code, out) == (ExitCode.USAGE, "")
    assert said in stderr
    assert not [*(tmp_path / "out").glob("*/slide.zarr")]
