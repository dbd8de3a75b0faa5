"""What doctor finds on a good machine, and on machines with one fault each."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wsipipe
from wsipipe.common import pixel_sums
from wsipipe.common.compiler_flags import how_to_install
from wsipipe.models.gpu_state import Gpu
from wsipipe.pipeline.doctor import disk, examine, gpu, machine, models, slides, viewer
from wsipipe.pipeline.doctor.compiled_parts import compiled_parts
from wsipipe.pipeline.doctor.finding import Finding, examined


def only(findings: list[Finding], name: str) -> Finding:
    (found,) = [each for each in findings if each.name == name]
    return found


def test_a_good_machine() -> None:
    assert {each.state for each in [*slides.readers(), *models.models()]} == {"ok"}


def test_every_compiled_source_of_the_package_is_examined() -> None:
    # The GPU's is examined with the GPU.
    sources = list(Path(wsipipe.__file__).parent.rglob("*.cpp"))
    assert len({each.name for each in compiled_parts()}) == len(sources) == 6


def test_an_error_is_a_failure_with_its_remedy() -> None:
    def look() -> str:
        raise ImportError("libtiff.so.6:\n cannot open")

    found = examined("slides", "TIFF", "Install it.", look)
    assert found == Finding(
        "slides", "TIFF", "failed", "ImportError: libtiff.so.6: cannot open", "Install it."
    )


def test_pixels_that_come_back_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    from wsipipe.tiling.slide import Slide

    read = Slide.read
    monkeypatch.setattr(Slide, "read", lambda *arguments: read(*arguments) ^ 1)
    found = only(slides.readers(), "TIFF with LZW")
    assert found.state == "failed"
    assert "pixels differ by 1.0 grey levels" in found.value


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_sums, "library", lambda: None)
    found = only(compiled_parts(), "pixel sums")
    assert (found.state, found.value) == ("note", "it does not build")
    assert found.remedy == f"{how_to_install()}. Without it results are the same, but slower."


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_bytes", lambda: 2_000_000_000)
    found = only(machine.machine(), "memory")
    assert (found.state, found.remedy) == ("note", "Run with --memory-budget 1.6GB.")


def test_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    if "absent" in sys.modules:
        pytest.skip("LOUD SKIP: tests/other_systems hides resource; that is NOT tested")
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    found = only(machine.machine(), "open files")
    assert (found.state, found.value, found.remedy) == (
        "note",
        "256 of 4096",
        "Raise the limit: ulimit -n 1024.",
    )


def test_a_damaged_weight_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "sha256_of", lambda _: "0" * 64)
    assert {each.state for each in models.models()} == {"failed"}


CARD = Gpu("Card", (9, 0), 80 << 30, supported=True)


@pytest.mark.parametrize(
    ("present", "usable", "states"),
    [
        ([], [], ["ok", "ok"]),
        (["0"], [], ["ok", "note"]),
        (["0"], [CARD], ["ok", "ok", "ok"]),
        (["0"], [Gpu("Small", (9, 0), 2 << 30, supported=True)], ["ok", "note", "ok"]),
        (["0"], [Gpu("Old", (3, 5), 8 << 30, supported=False)], ["ok", "failed", "ok"]),
    ],
)
def test_gpus(
    present: list[str], usable: list[Gpu], states: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "gpu_names", lambda: present)
    monkeypatch.setattr(gpu, "gpus", lambda: usable)
    monkeypatch.setattr(gpu, "gpu_library", lambda _: object())
    assert [each.state for each in gpu.gpu()] == states


def test_the_disk_is_left_as_it_was(tmp_path: Path) -> None:
    found = disk.disk(tmp_path / "not" / "made")
    assert [each.name for each in found] == ["space", "speed", "rename", "locks"]
    assert {each.state for each in found if each.name != "speed"} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_SLOW_MB_PER_S", 1e9)
    assert only(disk.disk(tmp_path), "speed").state == "note"


def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "holder_of", lambda _: None)
    assert only(disk.disk(tmp_path), "locks").state == "failed"


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(disk.tempfile, "TemporaryDirectory", refuse)
    (found,) = disk.disk(Path())
    assert (found.state, found.remedy) == ("failed", "Choose an --out folder that you can write to.")


def test_without_napari_or_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (found,) = viewer.viewer()
    assert found.state == "note"


def test_the_exit_code_tells_failures(
    typed: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Finding("disk", "space", "ok", "9 GB")
    bad = Finding("disk", "locks", "failed", "none", "Choose another disk.")
    monkeypatch.setattr(examine, "examine", lambda out: iter([good]))
    assert typed("doctor")[0] == 0
    monkeypatch.setattr(examine, "examine", lambda out: iter([good, bad]))
    code, out, _ = typed("doctor")
    assert code == 1
    assert "Choose another disk." in out
    code, out, _ = typed("doctor", "--json")
    assert code == 1
    assert '"state": "failed"' in out


def test_every_examination_is_part_of_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("machine", "compiled_parts", "readers", "models", "gpu", "workers", "viewer")
    for name in names:
        monkeypatch.setattr(examine, name, lambda name=name: [Finding(name, "", "ok", "")])
    monkeypatch.setattr(examine, "disk", lambda out: [Finding("disk", "", "ok", str(out))])
    assert {each.topic for each in examine.examine(tmp_path)} == {*names, "disk"}
