"""``--json``: one JSON document on standard output and nothing else; progress goes to standard error."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from wsipipe.cli.shared import print_json
from wsipipe.errors import ExitCode
from wsipipe.store.result import Result

SLIDE_KEYS = {
    "slide_id", "path", "status", "code", "message", "place", "log", "plan", "seconds", "nuclei", "warnings",
    "networks", "usage",
}  # fmt: skip


def parsed(printed: str) -> Any:
    """The document; trailing or leading text fails."""
    return json.loads(printed)


def test_run_then_retry(typed: object, small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    broken, out = tmp_path / "broken é.svs", tmp_path / "a#b?c%41"
    broken.write_bytes(b"nothing")
    run = ("run", "tiling_only", small_slide, broken, "--out", out, "--scheduler", scheduler, "--json")
    code, printed, stderr = typed(*run, "--set", "tile.mpp=2")
    found = parsed(printed)
    assert code == found["exit_code"] == ExitCode.SOME_SLIDES_FAILED
    assert found["out"] == str(out)
    assert [slide["status"] for slide in found["slides"]] == ["done", "failed"]
    assert all(set(slide) >= SLIDE_KEYS for slide in found["slides"])
    assert found["slides"][1]["code"] == "SLIDE_UNREADABLE"
    assert "2 slides" in stderr
    assert found["slides"] == [
        {key: slide[key] for key in SLIDE_KEYS}
        for slide in json.loads((out / "run.json").read_text())["slides"]
    ]
    shutil.copyfile(small_slide, broken)
    code, printed, _ = typed("retry", out, "--json", "--workers", 1)
    found = parsed(printed)
    assert code == found["exit_code"] == ExitCode.OK
    assert [(slide["path"], slide["status"]) for slide in found["slides"]] == [(str(broken), "done")]
    code, printed, _ = typed("retry", out, "--json")
    assert parsed(printed) == {"out": str(out), "exit_code": 0, "slides": []}


def test_a_dry_run(typed: object, small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    run = ("run", "tiling_only", small_slide, "--out", tmp_path / "out", "--scheduler", scheduler)
    _, printed, _ = typed(*run, "--dry-run", "--json")
    (slide,) = parsed(printed)["slides"]
    assert (slide["status"], slide["plan"]["shards"]) == ("planned", {"tissue": 1, "tile": 1})


def test_warnings_of_a_finished_slide_are_reported(typed: object, scheduler: str, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (512, 512), "white").save(tmp_path / "glass.png")
    out = tmp_path / "out"
    run = ("run", "tiling_only", tmp_path / "glass.png", "--out", out, "--mpp", 0.5, "--scheduler", scheduler)
    code, printed, _ = typed(*run, "--json")
    assert code == ExitCode.OK
    (slide,) = parsed(printed)["slides"]
    assert [warning["code"] for warning in slide["warnings"]] == ["LITTLE_TISSUE"]
    (slide,) = parsed(typed("status", out, "--json")[1])["slides"]
    assert [warning["code"] for warning in slide["warnings"]] == ["LITTLE_TISSUE"]
    assert "WARNING LITTLE_TISSUE: " in typed("status", out)[1]


def test_verify_and_clean(typed: object, tiled: Result, tmp_path: Path) -> None:
    out = shutil.copytree(tiled.folder.parent, tmp_path / "out")
    folder = out / tiled.folder.name
    whole = {"slide_id": folder.name, "path": str(folder), "damaged": []}
    assert parsed(typed("verify", out, "--json")[1]) == {"out": str(out), "exit_code": 0, "slides": [whole]}
    (folder / "overview.png").write_bytes(b"other")
    code, printed, _ = typed("verify", out, "--json")
    found = parsed(printed)
    assert code == found["exit_code"] == ExitCode.FAILED
    assert found["slides"] == [whole | {"damaged": ["overview.png"]}]
    left = out / ".work" / "gone-00000000.0123456789abcdef"
    left.mkdir()
    (left / "some").write_bytes(bytes(10))
    listed = parsed(typed("clean", out, "--json")[1])
    assert (listed["deleted"], listed["size_bytes"]) == (False, 10)
    assert [each["path"] for each in listed["leftovers"]] == [str(left)]
    assert parsed(typed("clean", out, "--yes", "--json")[1])["deleted"]
    assert parsed(typed("clean", out, "--json")[1])["leftovers"] == []


def test_numbers_that_json_does_not_know_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [float("nan"), 1.5], "b": float("inf"), "c": "\udce4"})
    assert parsed(capsys.readouterr().out) == {"a": [None, 1.5], "b": None, "c": "\udce4"}


def test_sister_progress_on_standard_output_is_no_json(
    typed: object, small_slide: Path, scheduler: str, tmp_path: Path
) -> None:
    run = ("run", "tiling_only", small_slide, "--out", tmp_path / "out", "--scheduler", scheduler)
    with pytest.raises(json.JSONDecodeError):
        parsed(typed(*run, "--dry-run")[1])
