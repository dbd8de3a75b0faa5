"""Written as sha256sum reads it; changed, unlisted and intact files are distinguished."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wsipipe.errors import ConfigError, SlideChangedError, SlideError
from wsipipe.pipeline.planning.checksums import check_slide, read_sums, write_sums
from wsipipe.tiling.collect import collect


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "slides" / "a b.svs"
    path.parent.mkdir()
    path.write_bytes(b"a slide" * 1000)
    return path


def test_sha256sum_agrees(slide: Path, tmp_path: Path) -> None:
    assert write_sums(tmp_path / "SHA256SUMS", collect([slide])) == 1
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum; agreement with it is NOT tested")
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


def test_a_changed_and_an_unlisted_slide_are_named(slide: Path, tmp_path: Path) -> None:
    write_sums(tmp_path / "SHA256SUMS", collect([slide]))
    sums = read_sums(tmp_path / "SHA256SUMS")
    check_slide(slide, sums)
    slide.write_bytes(b"b" + slide.read_bytes()[1:])
    with pytest.raises(SlideChangedError, match=r"a b\.svs has SHA-256"):
        check_slide(slide, sums)
    with pytest.raises(SlideChangedError, match="is not listed"):
        check_slide(slide, {})


@pytest.mark.parametrize("text", ["nonsense\n", f"{'0' * 63}  a\n", f"{'0' * 64} a\n"])
def test_a_line_of_another_kind_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "sums").write_text(f"{'0' * 64}  a\n\n{text}")
    with pytest.raises(ConfigError, match="line 3"):
        read_sums(tmp_path / "sums")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sums(tmp_path / "none")


@pytest.mark.parametrize(
    "name", [b"nu-\xff\xe9.svs", b"line\nbreak.svs", b"back\\slash\r.svs", "a\u2028b\x85.svs".encode()]
)
def test_every_name_that_a_file_may_have(slide: Path, tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/slides/" + name))
    slide.rename(path)
    assert write_sums(tmp_path / "SHA256SUMS", collect([path.parent])) == 1
    check_slide(path, read_sums(tmp_path / "SHA256SUMS"))
    if shutil.which("sha256sum") is not None:
        subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


def test_sums_with_the_line_ends_of_windows(slide: Path, tmp_path: Path) -> None:
    write_sums(tmp_path / "SHA256SUMS", collect([slide]))
    text = (tmp_path / "SHA256SUMS").read_bytes()
    (tmp_path / "SHA256SUMS").write_bytes(text.replace(b"\n", b"\r\n"))
    check_slide(slide, read_sums(tmp_path / "SHA256SUMS"))


def test_what_cannot_be_read_is_named_and_the_rest_is_done(slide: Path, tmp_path: Path) -> None:
    (slide.parent / "gone.svs").symlink_to("nowhere")
    slides, told = collect([slide.parent]), []
    assert write_sums(tmp_path / "SHA256SUMS", slides, told.append) == 1
    assert len(told) == 1
    assert "gone.svs: No such file" in told[0]
    with pytest.raises(SlideError, match=r"gone\.svs"):
        write_sums(tmp_path / "SHA256SUMS", slides)
    with pytest.raises(SlideError, match=r"gone\.svs"):
        check_slide(slide.parent / "gone.svs", {slide.parent / "gone.svs": "0" * 64})
    check_slide(slide, read_sums(tmp_path / "SHA256SUMS"))
