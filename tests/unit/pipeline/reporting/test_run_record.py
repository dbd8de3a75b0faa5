"""run.json holds everything at every moment, report.html is safe to open."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from wsipipe.errors import StorageError
from wsipipe.pipeline.reporting.outcome import SlideOutcome
from wsipipe.pipeline.reporting.run_record import RunRecord, RunRequest, input_of, read_record, request_of
from wsipipe.pipeline.reporting.usage import Usage
from wsipipe.stages.workflow import Workflow, load_workflow
from wsipipe.tiling.collect import SlideInput

PLAN = {"mpp": 0.25, "mpp_source": "vendor", "canvas_shape": [1000, 2000], "shards": {"tile": 2}}
EVIL = "<script>alert(1)</script>.png"
OUTCOMES = [
    SlideOutcome(
        "good-1",
        Path("/s/good.svs"),
        "done",
        plan=PLAN,
        seconds={"tile": 2.0, "x": 0.0},
        nuclei=7,
        networks={"segment": ["float32, ring kernels (avx2), a processor"]},
    ),
    SlideOutcome("kept-1", Path("/s/kept.svs"), "kept", plan=PLAN),
    SlideOutcome(
        EVIL,
        Path("/s") / EVIL,
        "failed",
        "SLIDE_UNREADABLE",
        f"{EVIL} does not open",
        place={"stage": "tile", "y": 512},
        log=("12:00:00 tile 1/4", f"12:00:01 SLIDE_UNREADABLE: {EVIL} does not open"),
    ),
]


class Tags(HTMLParser):
    """Names of the tags, targets of links, ids, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: set[str] = set()
        self.ids: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets |= {str(value)[1:] for name, value in attrs if name == "href"}
        self.ids |= {str(value) for name, value in attrs if name == "id"}

    def handle_data(self, data: str) -> None:
        self.text += data


def inputs_of(outcomes: list[SlideOutcome]) -> list[SlideInput]:
    return [
        SlideInput(each.slide_id, each.path, 0.5, None, each.slide_id, {"block": "A3"}) for each in outcomes
    ]


def written(out: Path, outcomes: list[SlideOutcome] = OUTCOMES, **memory: float) -> dict:
    record = RunRecord(out, RunRequest(load_workflow("tiling_only"), (0, 0, 9, 9)), inputs_of(outcomes))
    for outcome in outcomes:
        record.update(outcome)
    record.end(memory)
    return read_record(out)


def test_a_slide_named_like_a_script_is_only_text(tmp_path: Path) -> None:
    written(tmp_path, one=512.0)
    text = (tmp_path / "report.html").read_text()
    page = Tags(text)
    # That of the page itself, which the policy names by its hash.
    assert page.tags.count("script") == 1
    assert "script-src 'sha256-" in text
    assert f"{EVIL} does not open" in page.text
    assert "stage tile y 512" in page.text
    assert "default-src 'none'" in text


def test_the_page_tells_speed_and_memory(tmp_path: Path) -> None:
    written(tmp_path, one=512.0, two=640.0)
    page = Tags((tmp_path / "report.html").read_text())
    assert "640.0 MB" in page.text
    assert "1.00" in page.text
    assert "0.2500 (vendor)" in page.text
    assert page.tags.count("img") == 0


def test_the_json_holds_every_slide(tmp_path: Path) -> None:
    run = written(tmp_path)
    assert [slide["status"] for slide in run["slides"]] == ["done", "kept", "failed"]
    assert [SlideOutcome.from_json(slide) for slide in run["slides"]] == OUTCOMES
    assert run["versions"]["zarr"]
    assert run["ended"]


def test_what_was_asked_comes_back(tmp_path: Path) -> None:
    run = written(tmp_path)
    asked = request_of(run, run["slides"][0])
    assert (asked.workflow, asked.region) == (load_workflow("tiling_only"), (0, 0, 9, 9))
    given = SlideInput("good-1", Path("/s/good.svs"), 0.5, None, "good-1", {"block": "A3"})
    assert input_of(run["slides"][0]) == given


def unset(model: BaseModel) -> dict[str, Any]:
    """The values that were left open, by section."""
    parts = {name: getattr(model, name) for name in type(model).model_fields}
    inner = {name: unset(part) for name, part in parts.items() if isinstance(part, BaseModel)}
    return {"": set(parts) - model.model_fields_set} | inner


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["instances.centre_threshold=0.5"],
        ["segment.precision=auto", "tile.image=jpeg:85", "tissue.margin_um=16"],
        ["classify.weights=other"],
    ],
)
def test_what_the_user_left_open_comes_back_open(settings: list[str]) -> None:
    asked = RunRequest(
        load_workflow("nuclei_and_tissue", settings).in_precision("float32"),
        (1, 2, 3, 4),
        Path("/sums"),
        5.0,
        restart=True,
    )
    back = RunRequest.from_json(json.loads(json.dumps(asked.as_json())))
    assert back == asked
    assert unset(back.workflow) == unset(asked.workflow)
    assert back.id == asked.id


def test_sister_defaults_written_out_come_back_as_choices() -> None:
    workflow = load_workflow("nuclei")
    back = Workflow.model_validate(json.loads(workflow.model_dump_json()))
    assert back == workflow
    assert unset(back) != unset(workflow)


def test_a_record_of_version_0_1_0_leaves_its_defaults_open() -> None:
    chosen = load_workflow("nuclei", ["instances.grow_um=3"])
    old = {"workflow": chosen.model_dump(mode="json"), "region": None}
    back = RunRequest.from_json(old).workflow
    assert back == chosen
    assert unset(back)["instances"] == unset(chosen)["instances"]


def test_a_slide_kept_from_an_earlier_run_keeps_its_times(tmp_path: Path) -> None:
    """Also over a run that was killed between, and not once another plan has run."""
    good = OUTCOMES[0]
    plan = PLAN | {"plan": "one"}
    kept = replace(good, status="kept", plan=plan, seconds={}, networks={})
    usage = {"tile": Usage(busy_s=1.0).as_json()}
    written(tmp_path, [replace(good, plan=plan, usage=usage)])
    RunRecord(tmp_path, RunRequest(load_workflow("tiling_only")), inputs_of([good]))
    (slide,) = written(tmp_path, [kept])["slides"]
    assert (slide["seconds"], slide["networks"]) == (good.seconds, good.networks)
    assert slide["usage"] == usage
    assert "earlier" not in slide
    (slide,) = written(tmp_path, [replace(kept, plan=PLAN | {"plan": "two"})])["slides"]
    assert (slide["seconds"], slide["networks"]) == ({}, {})


def test_networks_of_an_interrupted_run_stay_with_its_shards(tmp_path: Path) -> None:
    good = replace(OUTCOMES[0], plan=PLAN | {"plan": "one"})
    record = RunRecord(tmp_path, RunRequest(load_workflow("tiling_only")), inputs_of([good]))
    record.update(replace(good, status="running"))
    (slide,) = written(tmp_path, [replace(good, networks={"segment": ["bfloat16, torch, a GPU"]})])["slides"]
    assert slide["networks"] == {"segment": ["bfloat16, torch, a GPU", *good.networks["segment"]]}


def test_every_link_of_the_report_has_a_target(tmp_path: Path) -> None:
    run = written(tmp_path)
    page = Tags((tmp_path / "report.html").read_text())
    assert {slide["slide_id"] for slide in run["slides"]} <= page.ids
    assert page.targets - page.ids == {"ummary.csv", "un.json"}


def test_a_failure_is_reported_once(tmp_path: Path) -> None:
    written(tmp_path)
    text = Tags((tmp_path / "report.html").read_text()).text
    assert text.count("does not open") == 1
    assert "12:00:00 tile 1/4" in text


def test_stages_stand_in_the_order_of_their_work(tmp_path: Path) -> None:
    flow = ["tissue", "tile", "segment", "seeds", "grow"]
    seconds = dict.fromkeys([*sorted(flow), "finish"], 1.0)
    done = replace(OUTCOMES[0], plan=PLAN | {"stages": flow}, seconds=seconds)
    written(tmp_path, [done])
    written(tmp_path, [OUTCOMES[1]])
    text = Tags((tmp_path / "report.html").read_text()).text
    places = [text.rindex(f"\n{stage}") for stage in [*flow, "finish"]]
    assert places == sorted(places)


def test_the_report_names_precision_and_implementation(tmp_path: Path) -> None:
    plan = PLAN | {"parameters": {"segment": {"precision": "bfloat16"}, "classify": None}}
    written(tmp_path, [replace(OUTCOMES[0], plan=plan)])
    text = Tags((tmp_path / "report.html").read_text()).text
    assert "bfloat16" in text
    assert "network of segmentfloat32, ring kernels (avx2), a processor" in text


def test_another_run_leaves_other_slides_in_the_record(tmp_path: Path) -> None:
    written(tmp_path)
    run = written(tmp_path, [SlideOutcome("new-1", Path("new.svs"), "failed", "MODEL", "no")])
    assert [slide["slide_id"] for slide in run["slides"]] == ["good-1", "kept-1", EVIL, "new-1"]


def test_a_run_that_is_killed_leaves_its_record(tmp_path: Path) -> None:
    inputs = [SlideInput(f"s-{i}", Path(f"{i}.svs"), None, None, "s") for i in range(2)]
    record = RunRecord(tmp_path, RunRequest(load_workflow("tiling_only")), inputs)
    record.update(SlideOutcome("s-0", Path("0.svs"), "running"))
    run = read_record(tmp_path)
    assert [slide["status"] for slide in run["slides"]] == ["running", "waiting"]
    assert run["ended"] is None


def test_no_record_and_a_damaged_one_say_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no run\.json"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        read_record(tmp_path)
