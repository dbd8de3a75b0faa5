"""``wsipipe index``: unreadable slides and names that are not UTF-8 do not end it."""

import os
from pathlib import Path

from wsipipe.pipeline.planning.checksums import check_slide, read_sums
from wsipipe.pipeline.reporting.html_report import machine_facts, write_report


def named(folder: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


def test_index_names_what_it_cannot_read_and_does_the_rest(typed, tmp_path: Path) -> None:
    good = named(tmp_path, b"nu-\xff.svs")
    good.write_bytes(b"x")
    named(tmp_path, b"gone-\xfe.svs").symlink_to("nowhere")
    code, printed, stderr = typed("index", tmp_path, "--to", tmp_path / "SHA256SUMS")
    assert code == 2
    assert "1 files" in printed
    assert r"gone-\udcfe.svs: No such file" in stderr
    check_slide(good, read_sums(tmp_path / "SHA256SUMS"))
    (tmp_path / "slides").mkdir()
    good.rename(tmp_path / "slides" / good.name)
    assert typed("index", tmp_path / "slides", "--to", tmp_path / "SHA256SUMS")[0] == 0


def test_errors_about_names_that_are_not_utf8_are_printed(typed, tmp_path: Path) -> None:
    named(tmp_path, b"a\xff.svs").write_bytes(b"x")
    code, _, stderr = typed("info", named(tmp_path, b"a\xff.svs"))
    assert code == 2
    assert r"a\udcff.svs as a slide: its content is of no known slide format" in stderr


def test_the_report_shows_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = named(tmp_path, b"a\xff.svs")
    slide = {
        "slide_id": "a-1",
        "status": "failed",
        "code": "X",
        "message": f"cannot open {path}",
        "place": {},
    }
    slide |= {"path": str(path), "log": [], "plan": {}, "seconds": {}, "nuclei": None}
    run = machine_facts() | {"began": "", "ended": "", "peak_memory_mb": {}, "slides": [slide]}
    write_report(tmp_path, run)
    assert r"a\xff.svs" in (tmp_path / "report.html").read_text(encoding="utf-8")
