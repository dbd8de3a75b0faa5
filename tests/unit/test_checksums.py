"""Written as sha256sum reads it; a changed, an unlisted and a whole file are told apart."""

import shutil
import subprocess
from pathlib import Path

import pytest

from wsipipe.checksums import check_slide, read_sums, write_sums
from wsipipe.errors import ConfigError, SlideChangedError
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
        pytest.skip("no sha256sum here")
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


def test_a_changed_and_an_unlisted_slide_are_named(slide: Path, tmp_path: Path) -> None:
    write_sums(tmp_path / "SHA256SUMS", collect([slide]))
    sums = read_sums(tmp_path / "SHA256SUMS")
    check_slide(slide, sums)
    slide.write_bytes(b"b" + slide.read_bytes()[1:])
    with pytest.raises(SlideChangedError, match=r"a b\.svs has SHA-256"):
        check_slide(slide, sums)
    with pytest.raises(SlideChangedError, match="no line"):
        check_slide(slide, {})


@pytest.mark.parametrize("text", ["nonsense\n", f"{'0' * 63}  a\n", f"{'0' * 64} a\n"])
def test_a_line_of_another_kind_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "sums").write_text(f"{'0' * 64}  a\n\n{text}")
    with pytest.raises(ConfigError, match="line 3"):
        read_sums(tmp_path / "sums")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sums(tmp_path / "none")
