"""Wrong requests stop before any work, bad slides fail alone, and regions are parts of the whole."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from wsipipe.errors import ConfigError, ExitCode
from wsipipe.models.cards.weights import find_weights, read_card, write_card
from wsipipe.models.precision import processor_name
from wsipipe.pipeline import run_result
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.pipeline.reporting.progress import NullReporter
from wsipipe.pipeline.reporting.run_record import read_record
from wsipipe.pipeline.run import Resources, run
from wsipipe.pipeline.work_folders import slide_lock
from wsipipe.stages.workflow import Workflow
from wsipipe.tiling.collect import slide_id_of

COARSE = ["tile.mpp=2"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"settings": ["tile.mppp=1"]}, r"tile\.mppp"),
        ({"settings": ["segment.weights=/nowhere.safetensors"]}, r"segment\.weights"),
        ({"settings": ["tile.mpp=0.35"]}, r"tile\.mpp=0\.5"),
        ({"region": (0, 0, 0, 5)}, "--region"),
        ({"precision": "float16"}, "--precision 'float16'.*float32"),
        ({"region": (-1, 0, 5, 5)}, "--region"),
        ({"resources": Resources(device="tpu")}, "--device 'tpu'"),
        ({"resources": Resources(device="cuda")}, "no NVIDIA GPU"),
        ({"slides": "/nowhere.svs"}, "/nowhere.svs"),
    ],
)
def test_what_is_wrong_stops_before_any_work(
    small_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict, names: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("wsipipe.pipeline.cluster.client.connect", None)
    arguments = {"slides": small_slide, "out": tmp_path / "out", **asked}
    with pytest.raises(ConfigError, match=names):
        run("nuclei_and_tissue", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_bad_slide_stops_no_other(small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    (tmp_path / "bad.svs").write_bytes(b"II*\0 not a slide")
    result = run(
        "tiling_only",
        [tmp_path / "bad.svs", small_slide],
        tmp_path / "out",
        settings=COARSE,
        resources=Resources(scheduler=scheduler),
    )
    bad, good = result.slides
    assert (bad.status, good.status) == ("failed", "done")
    assert bad.code == "SLIDE_UNREADABLE"
    assert "bad.svs" in bad.message
    assert result.exit_code == ExitCode.SOME_SLIDES_FAILED
    assert [each.folder.name for each in result.results()] == [good.slide_id]


def test_a_held_slide_asks_to_retry_later(small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    with slide_lock(tmp_path, slide_id_of(small_slide)):
        result = run(
            "tiling_only", small_slide, tmp_path, settings=COARSE, resources=Resources(scheduler=scheduler)
        )
    assert result.slides[0].code == "LOCKED"
    assert result.exit_code == ExitCode.RETRY_LATER


def with_own_stain(tiny: Workflow, folder: Path) -> Workflow:
    """The workflow with weights that have no stain reference."""
    weights = find_weights(tiny.segment.weights)
    copied = Path(shutil.copy(weights, folder))
    write_card(read_card(weights).model_copy(update={"stain_reference": None}), folder)
    segment = tiny.segment.model_copy(update={"weights": str(copied)})
    return tiny.model_copy(update={"segment": segment})


def test_a_region_gives_a_notice_about_colours(tiny_workflow: Workflow, tmp_path: Path) -> None:
    region = (0, 0, 512, 512)
    notices = make_planner(tiny_workflow, [], region).notices()
    assert any("region alone" in line for line in notices)
    assert make_planner(tiny_workflow, [], None).notices() == []
    assert make_planner(with_own_stain(tiny_workflow, tmp_path), [], region).notices() == []


def test_a_region_is_a_part_of_the_whole(
    small_slide: Path, tiny_workflow: Workflow, scheduler: str, tmp_path: Path
) -> None:
    """Up to its edge, though the region ends where a shard ends and the networks see beyond it.

    Of networks that see the slide's own stain: that of a region is counted in the region alone.
    """
    resources = Resources(scheduler=scheduler, device="cpu")
    plain = with_own_stain(tiny_workflow, tmp_path)
    runs = [
        run(plain, small_slide, tmp_path / str(i), region=region, resources=resources)
        for i, region in enumerate([(0, 0, 512, 512), None])
    ]
    result, finished = (each.results()[0] for each in runs)
    px = slice(0, 256)
    pairs = [(result.arrays.image[0][:, px, px], finished.arrays.image[0][:, px, px])]
    pairs += [(result.arrays.labels["tissue"][0][:16, :16], finished.arrays.labels["tissue"][0][:16, :16])]
    pairs += [
        (result.arrays.labels["tissue_class"][0][:8, :8], finished.arrays.labels["tissue_class"][0][:8, :8])
    ]
    pairs += [
        (result.arrays.probabilities[name][px, px], finished.arrays.probabilities[name][px, px])
        for name in ("nucleus", "centre")
    ]
    for part, whole in pairs:
        np.testing.assert_array_equal(part, whole)
    assert (finished.arrays.labels["tissue"][0][:16, :16] == 1).any()
    assert (result.arrays.labels["tissue"][0][16:] == 255).all()
    assert (result.arrays.labels["nuclei"][0][256:] == 0).all()


def test_a_mask_of_a_manifest_is_used(small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:8] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    table = tmp_path / "slides.csv"
    table.write_text(
        f"sample_id,image_path,mask_path,spacing_at_level_0\na,{small_slide},{tmp_path / 'mask.png'},0.5\n"
    )
    result = run(
        "tiling_only", table, tmp_path / "out", settings=COARSE, resources=Resources(scheduler=scheduler)
    )
    (slide,) = result.results()
    tissue = slide.arrays.labels["tissue"][0][...]
    share = (tissue == 1).sum() / (tissue != 255).sum()
    assert share == pytest.approx(0.25)
    assert slide.attributes["slide_mpp_source"] == "option"


def test_glass_is_done_not_failed(tiny_workflow: Workflow, scheduler: str, tmp_path: Path) -> None:
    Image.new("RGB", (600, 300), (244, 244, 244)).save(tmp_path / "glass.png")
    result = run(
        tiny_workflow,
        tmp_path / "glass.png",
        tmp_path / "out",
        mpp=0.5,
        resources=Resources(scheduler=scheduler, device="cpu"),
    )
    assert result.exit_code == ExitCode.OK
    assert result.slides[0].nuclei == 0
    assert len(result.results()[0].nuclei) == 0


def test_a_dry_run_writes_nothing(small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("tiling_only", small_slide, out, dry_run=True, resources=Resources(scheduler=scheduler))
    assert result.slides[0].status == "planned"
    assert result.slides[0].plan["canvas_shape"] == [512, 512]
    assert [plan.slide.slide_id for plan in result.plans] == [result.slides[0].slide_id]
    assert not out.exists()


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [
        ([], ExitCode.OK),
        (["LOCKED", "STORAGE_FULL"], ExitCode.RETRY_LATER),
        (["LOCKED", "MODEL"], ExitCode.SOME_SLIDES_FAILED),
    ],
)
def test_the_exit_code_is_of_the_worst(codes: list[str], exit_code: ExitCode) -> None:
    good = SlideOutcome("good", Path("good"), "done")
    outcomes = [good, *(SlideOutcome(code, Path(code), "failed", code) for code in codes)]
    assert run_result.exit_code(outcomes) == exit_code


def test_a_precision_is_of_every_network_and_reported_everywhere(
    small_slide: Path, tiny_workflow: Workflow, scheduler: str, tmp_path: Path
) -> None:
    done = run(
        tiny_workflow,
        small_slide,
        tmp_path,
        region=(0, 0, 300, 300),
        precision="bfloat16",
        resources=Resources(scheduler=scheduler, device="cpu"),
    )
    (slide,) = done.slides
    attributes = done.results()[0].attributes["workflow"]
    record = read_record(tmp_path)
    (entry,) = record["slides"]
    for stage in ("segment", "classify"):
        assert attributes[stage]["precision"] == "bfloat16"
        assert entry["plan"]["parameters"][stage]["precision"] == "bfloat16"
        (network,) = entry["networks"][stage]
        assert network.startswith("bfloat16, ")
        assert processor_name() in network
    assert record["processors"] == [processor_name()]
    assert "bfloat16" in slide.in_words()


def test_a_dry_run_tells_the_precision(
    small_slide: Path, tiny_workflow: Workflow, scheduler: str, tmp_path: Path
) -> None:
    resources = Resources(scheduler=scheduler, device="cpu")
    (slide,) = run(tiny_workflow, small_slide, tmp_path / "out", dry_run=True, resources=resources).slides
    assert slide.in_words().endswith("shards, float32")
    assert slide.plan["parameters"]["instances"]["grow_um"] == 2


def test_warnings_of_opening_a_slide_are_reported(scheduler: str, tmp_path: Path) -> None:
    """Of um/px that is guessed from the objective; and none of a slide that states it."""
    for name, description in (
        ("guessed", "Aperio |AppMag = 20"),
        ("stated", "Aperio |AppMag = 20|MPP = 0.5"),
    ):
        tifffile.imwrite(
            tmp_path / f"{name}.svs",
            np.full((512, 512, 3), 240, np.uint8),
            photometric="rgb",
            tile=(256, 256),
            description=description,
            metadata=None,
        )
    heard = Heard()
    done = run(
        "tiling_only",
        tmp_path,
        tmp_path / "out",
        settings=COARSE,
        resources=Resources(scheduler=scheduler),
        reporter=heard,
    )
    guessed, stated = done.slides
    assert [slide.status for slide in done.slides] == ["done", "done"]
    (opened,) = [each for each in guessed.warnings if each.code == "OPENED_WITH_WARNING"]
    assert "guessed as 0.5 from the objective power 20" in opened.message
    assert "OPENED_WITH_WARNING" not in {each.code for each in stated.warnings}
    assert heard.notes.count(opened.message) == 1
    recorded = read_record(tmp_path / "out")["slides"][0]["warnings"]
    assert [each["message"] for each in recorded].count(opened.message) == 1
    assert "guessed as 0.5" in (tmp_path / "out/report.html").read_text()


class Heard(NullReporter):
    """Keeps the notes."""

    notes = ""

    def message(self, text: str) -> None:
        self.notes += text + "\n"
