"""The summary of a batch: a row a slide, with the columns of its manifest."""

import csv
from pathlib import Path
from typing import Any

from wsipipe.pipeline.reporting.batch_summary import ALL_TISSUE, write_batch_summary
from wsipipe.pipeline.run import Resources, run
from wsipipe.store.names import SUMMARY


def entry(slide_id: str, status: str, **more: Any) -> dict[str, Any]:
    return {
        "slide_id": slide_id,
        "path": f"/slides/{slide_id}.svs",
        "status": status,
        "code": "",
        "plan": {},
    } | more


def written(out: Path, slides: list[dict[str, Any]]) -> list[dict[str, str]]:
    write_batch_summary(out, {"slides": slides})  # type: ignore[typeddict-item]
    with (out / SUMMARY).open(newline="") as file:
        return list(csv.DictReader(file))


def test_slides_classes_and_columns_of_the_manifest_are_joined(tmp_path: Path) -> None:
    for name, count in (("a", 4), ("b", 6)):
        (tmp_path / name).mkdir()
        lines = ["class,area_mm2,nuclei,nuclei_per_mm2,area_um2_mean"]
        lines += [f"{ALL_TISSUE},2.0,{count},{count / 2},31.5", "tumour,0.5,1,2.0,30.0"]
        (tmp_path / name / SUMMARY).write_text("\n".join(lines) + "\n")
    extra = {"site": 'north, "one"', "status": "alive", "nuclei": "many"}
    rows = written(
        tmp_path,
        [
            entry("a", "done", sample_id="p1", extra=extra, plan={"mpp": 0.25}),
            entry("b", "kept", warnings=[{"code": "FEW_NUCLEI"}, {"code": "FEW_NUCLEI"}]),
            entry("c", "failed", code="SLIDE_UNREADABLE"),
        ],
    )
    assert [row["nuclei"] for row in rows] == ["4", "6", ""]
    assert [row["tumour: area_mm2"] for row in rows] == ["0.5", "0.5", ""]
    assert "tumour: area_um2_mean" not in rows[0]
    assert rows[0]["area_um2_mean"] == "31.5"
    assert (rows[0]["site"], rows[0]["status"], rows[0]["manifest: status"]) == (
        'north, "one"',
        "done",
        "alive",
    )
    assert rows[0]["manifest: nuclei"] == "many"
    assert (rows[0]["sample_id"], rows[0]["mpp"]) == ("p1", "0.25")
    assert (rows[1]["warnings"], rows[2]["code"]) == ("FEW_NUCLEI", "SLIDE_UNREADABLE")


def test_a_failed_slide_does_not_show_an_older_result(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / SUMMARY).write_text(f"class,area_mm2\n{ALL_TISSUE},2.0\n")
    assert "area_mm2" not in written(tmp_path, [entry("a", "failed")])[0]


def test_names_that_are_not_utf8_are_written_as_in_the_report(tmp_path: Path) -> None:
    (row,) = written(tmp_path, [entry("a", "failed", sample_id="x\udcff")])
    assert row["sample_id"] == r"x\xff"


def test_a_run_writes_it(small_slide: Path, tmp_path: Path, scheduler: str) -> None:
    run("tiling_only", small_slide, tmp_path, resources=Resources(scheduler=scheduler))
    with (tmp_path / SUMMARY).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "done"
    assert float(row["area_mm2"]) > 0
