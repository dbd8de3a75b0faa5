"""A finished slide is kept without a cluster, and whatever makes a result stale still does."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from wsipipe.common.atomic_files import write_json
from wsipipe.errors import ConfigError, ExitCode
from wsipipe.models.precision import best_precision, processor_name
from wsipipe.pipeline.finished import FinishedSlides
from wsipipe.pipeline.options import Resources, RunPolicy
from wsipipe.pipeline.planning.checksums import write_sums
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.pipeline.publishing import receipt
from wsipipe.pipeline.reporting.outcome import SlideWarning
from wsipipe.pipeline.reporting.part_records import read_record
from wsipipe.pipeline.run import run
from wsipipe.pipeline.work_folders import RESTARTED, slide_lock, work_folder
from wsipipe.stages.workflow import Workflow
from wsipipe.store import manifest
from wsipipe.store.names import CHECKS, NUCLEI_TABLE
from wsipipe.tiling.collect import SlideInput, collect
from wsipipe.tiling.readers import environment

LOCAL = Resources(workers=1, device="cpu")


@dataclass
class Made:
    """A published result without arrays: the plan's manifest, a table, warnings and the receipt."""

    out: Path
    slide: SlideInput
    plan: Plan
    finder: FinishedSlides

    @property
    def folder(self) -> Path:
        return self.out / self.slide.slide_id

    def outcome(self, **changes: object) -> object:
        return replace(self.finder, **changes).outcome(self.slide)

    def run(self, **options: object) -> object:
        return run(
            self.finder.planner.workflow, self.slide.path, self.out, **({"resources": LOCAL} | options)
        )


@pytest.fixture
def made(small_slide: Path, tiny_workflow: Workflow, tmp_path: Path) -> Made:
    path, out = Path(shutil.copy(small_slide, tmp_path)), tmp_path / "out"
    weights = tmp_path / "weights"
    shutil.copytree(Path(tiny_workflow.segment.weights).parent, weights)
    workflow = tiny_workflow.model_copy(
        update={
            name: params.model_copy(
                update={"weights": str(weights / Path(params.weights).name), "precision": "auto"}
            )
            for name, params in tiny_workflow.networks().items()
        }
    )
    (slide,), planner = collect([path]), make_planner(workflow, [], None)
    found = inspect_slide(slide, workflow.tile.mpp, planner.lattice, "cpu")
    plan, _ = planner.plan_of(slide, found)
    write_json(out / slide.slide_id / manifest.MANIFEST, manifest.build(plan.id, []))
    (out / slide.slide_id / NUCLEI_TABLE).write_bytes(b"rows")
    checked = {"measures": {}, "warnings": [{"code": "LITTLE_TISSUE", "message": "little"}]}
    (out / slide.slide_id / CHECKS).write_text(json.dumps(checked))
    receipt.write_receipt(out, plan, ("odd header",), 7)
    return Made(out, slide, plan, FinishedSlides(out, planner, best_precision("cpu"), None))


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ConfigError("a cluster starts")

    monkeypatch.setattr("wsipipe.pipeline.cluster.client.connect", refuse)


def test_a_finished_slide_is_kept_as_it_was(made: Made) -> None:
    kept = made.outcome()
    assert (kept.status, kept.nuclei, kept.code) == ("kept", 7, "")
    assert kept.plan == made.plan.summary()
    assert kept.warnings == (
        SlideWarning("OPENED_WITH_WARNING", "odd header"),
        SlideWarning("LITTLE_TISSUE", "little"),
    )


def test_work_that_a_killed_cleanup_left_is_deleted(made: Made) -> None:
    left = work_folder(made.out, made.plan)
    left.mkdir()
    assert made.outcome() is not None
    assert not left.exists()


def changed_slide(made: Made) -> None:
    data = bytearray(made.slide.path.read_bytes())
    data[len(data) // 2] ^= 1
    made.slide.path.write_bytes(data)


def changed_weights(made: Made) -> None:
    card = Path(made.plan.workflow.segment.weights).with_suffix(".json")
    content = json.loads(card.read_text())
    card.write_text(json.dumps(content | {"mpp": content["mpp"] * 1.01}))


def broken_manifest(made: Made) -> None:
    path = made.folder / manifest.MANIFEST
    path.write_text(path.read_text().replace('"schema"', '"schema" '))


def other_plan(made: Made) -> None:
    write_json(made.folder / manifest.MANIFEST, manifest.build("0" * 64, []))


def edited_receipt(made: Made) -> None:
    path = receipt.receipt_path(made.out, made.slide.slide_id)
    content = json.loads(path.read_text())
    content["facts"]["vendor"] = "philips"
    path.write_text(json.dumps(content))


def interrupted_restart(made: Made) -> None:
    work_folder(made.out, made.plan).mkdir()
    (work_folder(made.out, made.plan) / RESTARTED).touch()


CAUSES: dict[str, Callable[[Made], object]] = {
    "slide changed": changed_slide,
    "slide deleted": lambda made: made.slide.path.unlink(),
    "manifest damaged": broken_manifest,
    "manifest of another plan": other_plan,
    "manifest deleted": lambda made: (made.folder / manifest.MANIFEST).unlink(),
    "receipt edited": edited_receipt,
    "receipt cut": lambda made: receipt.receipt_path(made.out, made.slide.slide_id).write_text("{"),
    "table changed": lambda made: (made.folder / NUCLEI_TABLE).write_bytes(b"other"),
    "table deleted": lambda made: (made.folder / NUCLEI_TABLE).unlink(),
    "restart interrupted": interrupted_restart,
}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_makes_a_result_stale_leaves_the_slide_to_a_worker(made: Made, cause: str) -> None:
    assert made.outcome() is not None
    CAUSES[cause](made)
    assert made.outcome() is None


def with_settings(made: Made, *settings: str) -> FinishedSlides:
    tile = made.plan.workflow.tile.model_copy(update=dict(each.split("=") for each in settings))
    return replace(
        made.finder,
        planner=make_planner(made.plan.workflow.model_copy(update={"tile": tile}), [], None),
    )


def test_another_request_leaves_the_slide_to_a_worker(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_settings(made).outcome(made.slide) is not None
    assert with_settings(made, "image=none").outcome(made.slide) is None
    assert made.outcome(planner=replace(made.finder.planner, region=(0, 0, 512, 512))) is None
    assert made.outcome(precision="bfloat16" if made.finder.precision == "float32" else "float32") is None
    assert made.finder.outcome(replace(made.slide, mpp=0.25)) is None
    assert made.outcome() is not None
    monkeypatch.setattr("wsipipe.pipeline.planning.plan.__version__", "9.9")
    assert made.outcome() is None


def test_changed_weights_leave_the_slide_to_a_worker(made: Made) -> None:
    assert made.outcome(planner=make_planner(made.finder.planner.workflow, [], None)) is not None
    changed_weights(made)
    assert made.outcome(planner=make_planner(made.finder.planner.workflow, [], None)) is None


def test_a_changed_mask_leaves_the_slide_to_a_worker(made: Made, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"one")
    slide = replace(made.slide, mask_path=mask)
    plan = replace(made.plan, slide=slide)
    write_json(made.folder / manifest.MANIFEST, manifest.build(plan.id, []))
    receipt.write_receipt(made.out, plan, (), 7)
    assert made.finder.outcome(slide) is not None
    mask.write_bytes(b"two")
    assert made.finder.outcome(slide) is None


@pytest.mark.parametrize("changed", [{"zarr": "9.9"}, {"decoder of tiles": "none"}, {"reader mine": "a:b"}])
def test_other_readers_leave_the_slide_to_a_worker(
    made: Made, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]
) -> None:
    here = environment.reader_environment()
    monkeypatch.setattr(receipt, "reader_environment", lambda: dict(here))
    assert made.outcome() is not None
    monkeypatch.setattr(receipt, "reader_environment", lambda: here | changed)
    assert made.outcome() is None


def test_unknown_readers_write_and_use_no_receipt(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt, "reader_environment", lambda: None)
    assert made.outcome() is None
    path = receipt.receipt_path(made.out, made.slide.slide_id)
    path.unlink()
    receipt.write_receipt(made.out, made.plan, (), 7)
    assert not path.exists()


def test_the_environment_names_what_opens_slides() -> None:
    here = environment.reader_environment()
    assert {"openslide-bin", "tifffile", "zarr", "decoder of tiles"} <= here.keys()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "_LIBRARIES", ("no-such-package",))
        assert environment.reader_environment.__wrapped__() is None


def test_checksums_are_checked_of_kept_slides_too(made: Made, tmp_path: Path) -> None:
    write_sums(tmp_path / "SHA256SUMS", [made.slide])
    good = {made.slide.path: (tmp_path / "SHA256SUMS").read_text()[:64]}
    assert made.outcome(sums=good) is not None
    assert made.outcome(sums={made.slide.path: "0" * 64}) is None
    assert made.outcome(sums={}) is None


def test_a_locked_slide_is_left_to_a_worker(made: Made) -> None:
    with slide_lock(made.out, made.slide.slide_id):
        assert made.outcome() is None
    assert made.outcome() is not None


@pytest.mark.usefixtures("no_cluster")
def test_a_run_with_nothing_to_do_starts_no_cluster(made: Made) -> None:
    result = made.run()
    assert result.exit_code == ExitCode.OK
    assert [slide.status for slide in result.slides] == ["kept"]
    record = read_record(made.out)
    assert record["slides"][0]["plan"] == made.plan.summary()
    assert record["processors"] == [processor_name()]
    assert record["ended"] is not None
    assert (made.out / "report.html").is_file()


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(
    "options",
    [
        {"dry_run": True},
        {"policy": RunPolicy(restart=True)},
        {"resources": Resources(scheduler="tcp://127.0.0.1:1")},
        {"precision": "float64"},
    ],
)
def test_sister_where_slides_must_be_opened_a_cluster_starts(made: Made, options: dict) -> None:
    with pytest.raises(ConfigError, match="a cluster starts"):
        made.run(**options)
    assert not (made.out / "run.json").exists()


def test_the_cluster_starts_while_other_slides_are_checked(
    made: Made, small_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = threading.Event()

    @contextmanager
    def connect(*_: object) -> Iterator[None]:
        starts.set()
        raise ConfigError("a cluster starts")
        yield

    checked = []

    def outcome(_: FinishedSlides, slide: SlideInput) -> None:
        checked.append((slide.slide_id, starts.wait(20)))

    monkeypatch.setattr("wsipipe.pipeline.cluster.client.connect", connect)
    monkeypatch.setattr(FinishedSlides, "outcome", outcome)
    with pytest.raises(ConfigError, match="a cluster starts"):
        run(made.finder.planner.workflow, [made.slide.path, small_slide], made.out, resources=LOCAL)
    assert checked == [(made.slide.slide_id, True)]
