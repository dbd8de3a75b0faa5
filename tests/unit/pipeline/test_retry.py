"""``retry`` leaves what the undisturbed run leaves, from the shards of the run that was interrupted."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wsipipe.models.cards.weights import find_weights, read_card, write_card
from wsipipe.pipeline.options import RunPolicy
from wsipipe.pipeline.planning.checksums import write_sums
from wsipipe.pipeline.reporting.progress import NullReporter, ShardProgress
from wsipipe.pipeline.reporting.run_record import RUN_JSON, read_record
from wsipipe.pipeline.retry import retry
from wsipipe.pipeline.run import Resources, RunResult, run
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.segment import SegmentParams
from wsipipe.stages.workflow import Workflow, load_workflow
from wsipipe.tiling.collect import collect


class Interrupter(NullReporter):
    """Ends the run as Ctrl-C does, once a stage has done so many shards; keeps the notes."""

    def __init__(self, stage: str = "", done: int = 0) -> None:
        self.at, self.notes = (stage, done), ""

    def shard(self, step: ShardProgress) -> None:
        if (step.stage, step.done) == self.at:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.notes += text + "\n"


@pytest.fixture(scope="module")
def judged(tiny_workflow: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A workflow that leaves to the card of the weights what it says: thresholds and growing."""
    folder = tmp_path_factory.mktemp("judged")
    weights = find_weights(tiny_workflow.segment.weights)
    copied = Path(shutil.copy(weights, folder))
    own = {
        "thresholds": {"nucleus": 0.9, "centre": 0.3},
        "instance_params": {"grow_um": 3.0, "min_area_um2": 60.0},
    }
    write_card(read_card(weights).model_copy(update=own), folder)
    segment = SegmentParams(weights=str(copied), precision="float32")
    return Workflow(name="judged", tile=tiny_workflow.tile, segment=segment, instances=InstanceParams())


def interrupted(
    workflow: Workflow,
    slides: Path,
    out: Path,
    scheduler: str,
    at: tuple[str, int] = ("seeds", 2),
    **asked: Any,
) -> None:
    """Runs the workflow up to a shard of a stage."""
    resources = asked.pop("resources", Resources(scheduler=scheduler, device="cpu"))
    with pytest.raises(KeyboardInterrupt):
        run(workflow, slides, out, resources=resources, reporter=Interrupter(*at), **asked)


@pytest.fixture(scope="module")
def plain(
    judged: Workflow, small_slide: Path, scheduler: str, tmp_path_factory: pytest.TempPathFactory
) -> RunResult:
    """The undisturbed run."""
    resources = Resources(scheduler=scheduler, device="cpu")
    return run(judged, small_slide, tmp_path_factory.mktemp("plain"), resources=resources)


def retried(out: Path, scheduler: str, reporter: NullReporter | None = None) -> RunResult:
    (result,) = retry(out, None, Resources(scheduler=scheduler, device="cpu"), reporter)
    return result


def digests(result: RunResult) -> list[dict]:
    return [slide.manifest for slide in result.results()]


def test_retry_computes_what_the_run_would_have(
    judged: Workflow, plain: RunResult, small_slide: Path, scheduler: str, tmp_path: Path
) -> None:
    interrupted(judged, small_slide, tmp_path, scheduler)
    (before,) = (tmp_path / ".work").glob("small-*.*/")
    heard = Interrupter()
    again = retried(tmp_path, scheduler, heard)
    assert digests(again) == digests(plain)
    assert before.name.endswith(again.results()[0].manifest["plan"][:16])
    assert "segment: all 4 shards kept" in heard.notes
    instances = again.results()[0].attributes["workflow"]["instances"]
    assert (instances["centre_threshold"], instances["grow_um"]) == (0.3, 3.0)


def test_sister_with_defaults_stored_as_choices_other_nuclei_are_found(
    judged: Workflow,
    plain: RunResult,
    small_slide: Path,
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Workflow, "chosen", lambda workflow: workflow.model_dump(mode="json"))
    interrupted(judged, small_slide, tmp_path, scheduler, ("tissue", 1))
    again = retried(tmp_path, scheduler)
    assert digests(again) != digests(plain)
    labels = [result.arrays.labels["nuclei"][0][...] for result in (*again.results(), *plain.results())]
    assert (labels[0] != labels[1]).any()


def test_every_option_is_asked_again(
    judged: Workflow, small_slide: Path, scheduler: str, tmp_path: Path
) -> None:
    """Given um/px, mask, region, label images, memory budget, precision."""
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    table = tmp_path / "slides.csv"
    table.write_text(
        f"sample_id,image_path,mask_path,spacing_at_level_0\na,{small_slide},{tmp_path / 'mask.png'},0.25\n"
    )
    asked = {
        "region": (0, 0, 500, 500),
        "precision": "bfloat16",
        "include_label_images": True,
        "resources": Resources(1, scheduler=scheduler, device="cpu", memory_budget=1_700_000_000),
    }
    plain = run(judged, table, tmp_path / "plain", **asked)
    interrupted(judged, table, tmp_path / "killed", scheduler, **asked)
    again = retried(tmp_path / "killed", scheduler)
    assert digests(again) == digests(plain)
    attributes = again.results()[0].attributes
    assert attributes["workflow"]["segment"]["precision"] == "bfloat16"
    assert attributes["slide_mpp_source"] == "option"


def test_auto_means_what_it_meant_in_the_interrupted_run(
    judged: Workflow, small_slide: Path, scheduler: str, tmp_path: Path
) -> None:
    """As of a run on one kind of processor that is retried on another."""
    auto = judged.in_precision("auto")
    interrupted(auto, small_slide, tmp_path, scheduler, ("tissue", 1), region=(0, 0, 400, 400))
    record = read_record(tmp_path)
    (slide,) = record["slides"]
    segment = slide["plan"]["parameters"]["segment"]
    other = {"bfloat16": "float32", "float32": "bfloat16"}[segment["precision"]]
    segment["precision"] = other
    (tmp_path / RUN_JSON).write_text(json.dumps(record))
    again = retried(tmp_path, scheduler)
    assert again.results()[0].attributes["workflow"]["segment"]["precision"] == other
    assert read_record(tmp_path)["asked"][slide["asked"]]["chosen"]["segment"]["precision"] == "auto"


def test_checksums_are_asked_again(small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    """A slide that was refused for its checksum is not computed by ``retry``."""
    other = Path(shutil.copy(small_slide, tmp_path / "other.svs"))
    write_sums(tmp_path / "SHA256SUMS", collect([other]))
    other.write_bytes(other.read_bytes()[:-1] + b"!")
    policy = RunPolicy(checksums=tmp_path / "SHA256SUMS")
    resources = Resources(scheduler=scheduler)
    first = run("tiling_only", other, tmp_path / "out", policy=policy, resources=resources)
    again = retried(tmp_path / "out", scheduler)
    assert [first.slides[0].code, again.slides[0].code] == ["SLIDE_CHANGED"] * 2


@pytest.mark.parametrize("began", [True, False])
def test_an_interrupted_restart_is_finished_not_taken_for_done(
    small_slide: Path, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: bool
) -> None:
    workflow = load_workflow("tiling_only", ["tile.shard_px=256", "tile.chunk_px=128"])
    first = run(workflow, small_slide, tmp_path, resources=Resources(scheduler=scheduler))
    shard = first.results()[0].store / "0/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-9] + b"a flipped")
    with monkeypatch.context() as patch:
        if not began:
            patch.setattr("wsipipe.pipeline.run_slides.check_space", interrupt)
        interrupted(workflow, small_slide, tmp_path, scheduler, ("tile", 3), policy=RunPolicy(restart=True))
    heard = Interrupter()
    again = retried(tmp_path, scheduler, heard)
    assert again.slides[0].status == "done"
    assert again.results()[0].damaged() == []
    assert ("tile: 3 of 4 shards kept" in heard.notes) == began
    assert len(list((tmp_path / ".replaced").iterdir())) == 1


def interrupt(*_: object) -> None:
    """Stands for a run that ends before it has begun on its slide."""
    raise KeyboardInterrupt


def test_extra_columns_reach_the_record_and_come_back(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.svs").write_bytes(b"no slide")
    with_extra = [replace(slide, extra={"block": "A3"}) for slide in collect([tmp_path / "broken.svs"])]
    monkeypatch.setattr("wsipipe.pipeline.run.collect", lambda *_: with_extra)
    run("tiling_only", tmp_path / "broken.svs", tmp_path / "out", resources=Resources(scheduler=scheduler))
    retried(tmp_path / "out", scheduler)
    (slide,) = read_record(tmp_path / "out")["slides"]
    assert (slide["status"], slide["extra"]) == ("failed", {"block": "A3"})
