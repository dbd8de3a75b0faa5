"""An export is whole or absent, never replaces what it should not, and says what it lacks."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wsipipe.errors import ConfigError, ExitCode, NoResultError, StorageError, StorageFullError
from wsipipe.results.export.formats import FORMATS, export_result, find_format
from wsipipe.results.export.source import ExportOptions
from wsipipe.results.export.target import _host, check_target, new_target
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.result import Result


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@contextmanager
def disk_of(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond a size, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_a_name_it_lies_in_the_result_and_nothing_published_changes(slide: Result) -> None:
    found = export_result("csv", slide.folder)
    assert found.path == slide.folder / "exports" / "nuclei.csv"
    assert found.size_bytes == found.path.stat().st_size > 0
    assert (found.count, found.counts) == (len(slide.nuclei), "nuclei")
    assert slide.damaged() == []
    assert everything(slide.folder / "exports") == ["nuclei.csv"]


def test_an_existing_target_is_kept_unless_it_may_be_replaced(slide: Result, tmp_path: Path) -> None:
    target = tmp_path / "mine.csv"
    target.write_text("mine")
    with pytest.raises(ConfigError, match=r"mine\.csv exists already\. .* --overwrite"):
        export_result("csv", slide.folder, target)
    assert target.read_text() == "mine"
    export_result("csv", slide.folder, target, overwrite=True)
    assert target.read_text().startswith('"id"')


def test_files_of_the_result_are_never_replaced(slide: Result) -> None:
    for name in (NUCLEI_TABLE, "slide.zarr/new.csv", "slide.zarr", ".", ".."):
        with pytest.raises(ConfigError, match="Name another"):
            export_result("csv", slide.folder, slide.folder / name, overwrite=True)
    assert slide.damaged() == []


def test_folders_are_replaced_only_by_the_same_format(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="no earlier export of this format"):
        check_target(tmp_path / "folder", overwrite=True, marker=".zattrs")
    with pytest.raises(ConfigError, match="a folder has that name"):
        check_target(tmp_path / "folder", overwrite=True)
    with pytest.raises(ConfigError, match="a file has that name"):
        check_target(tmp_path / "file", overwrite=True, marker=".zattrs")
    (tmp_path / "folder" / ".zattrs").touch()
    check_target(tmp_path / "folder", overwrite=True, marker=".zattrs")
    check_target(tmp_path / "new", overwrite=False)


def test_a_folder_is_replaced_in_whole(tmp_path: Path) -> None:
    target = tmp_path / "old"
    target.mkdir()
    (target / "gone").touch()
    with new_target(target) as partial:
        partial.mkdir()
        (partial / "new").touch()
    assert everything(tmp_path) == ["old", "old/new"]

    def fail() -> None:
        with new_target(target) as partial:
            partial.mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert everything(tmp_path) == ["old", "old/new"]


def test_what_a_killed_export_left_is_deleted(tmp_path: Path) -> None:
    killed = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True)
    name, host = "0" * 32, _host()
    gone = tmp_path / f".{int(killed.stdout)}-{host}-{name}.partial"
    gone.mkdir()
    (gone / "part").touch()
    kept = [
        tmp_path / f".{os.getpid()}-{host}-{name}.partial",
        tmp_path / f".{int(killed.stdout)}-{'f' * 8}-{name}.partial",
        tmp_path / ".notes.partial",
    ]
    for path in kept:
        path.touch()
    with new_target(tmp_path / "new") as partial:
        partial.touch()
    assert everything(tmp_path) == sorted(["new", *(path.name for path in kept)])


@pytest.mark.parametrize("name", ["csv", "geojson"])
def test_a_full_disk_leaves_nothing(slide: Result, tmp_path: Path, name: str) -> None:
    target = tmp_path / "there" / "file"
    with pytest.raises(StorageFullError, match=r"Writing .*file failed: File too large"), disk_of(2000):
        export_result(name, slide.folder, target)
    assert everything(tmp_path / "there") == []
    target.write_text("before")
    with pytest.raises(StorageFullError), disk_of(2000):
        export_result(name, slide.folder, target, overwrite=True)
    assert target.read_text() == "before"
    # The sister: with room, the same call writes it.
    export_result(name, slide.folder, target, overwrite=True)
    assert everything(tmp_path / "there") == ["file"]


def test_an_unfinished_result_is_none(slide: Result, tmp_path: Path) -> None:
    with pytest.raises(NoResultError, match="not a finished result"):
        export_result("csv", tmp_path)
    (slide.store / "manifest.json").unlink()
    with pytest.raises(NoResultError, match="not a finished result"):
        export_result("csv", slide.folder)


def test_a_damaged_table_is_not_exported(slide: Result) -> None:
    table = slide.folder / NUCLEI_TABLE
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(bytes(data))
    with pytest.raises(StorageError, match=r"nuclei\.parquet is missing or damaged"):
        export_result("csv", slide.folder)
    table.unlink()
    with pytest.raises(StorageError, match="missing or damaged"):
        export_result("geojson", slide.folder)
    assert not list((slide.folder / "exports").iterdir())


def test_a_result_without_nuclei_says_so(slide: Result) -> None:
    from wsipipe.store import manifest

    content = manifest.read(slide.folder)
    del content["files"][NUCLEI_TABLE]
    content["digest"] = manifest._digest(content)
    (slide.store / "manifest.json").write_bytes(manifest.json_bytes(content))
    with pytest.raises(NoResultError, match="holds no nuclei: its workflow did not compute them"):
        export_result("csv", slide.folder)


def test_options_that_do_not_fit_are_refused(slide: Result) -> None:
    with pytest.raises(ConfigError, match=r"no tissue class 'bone'\. Name one of: stroma, gland"):
        export_result("csv", slide.folder, options=ExportOptions(classes=("bone",)))
    with pytest.raises(ConfigError, match="csv has no --layer"):
        export_result("csv", slide.folder, options=ExportOptions(layer="overlay"))


def test_a_package_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    absent = replace(FORMATS["csv"], needs="nosuchpackage", extra="some")
    monkeypatch.setitem(FORMATS, "csv", absent)
    with pytest.raises(ConfigError, match=r"nosuchpackage, .* Run pip install 'wsipipe-gmr\[some\]'"):
        find_format("csv")


def test_every_format_has_its_module() -> None:
    from importlib import import_module

    for found in FORMATS.values():
        assert callable(import_module(f"wsipipe.results.export.{found.module}").write)


def test_the_command_prints_what_it_wrote(typed: object, slide: Result, tmp_path: Path) -> None:
    target = tmp_path / "n.csv"
    code, printed, _ = typed("export", "csv", slide.folder, "--to", target, "--class", "gland", "--json")
    assert code == ExitCode.OK
    found = json.loads(printed)
    assert found["count"] == int((slide.nuclei.tissue_class == "gland").sum()) > 0
    assert found["size_bytes"] == os.path.getsize(target)
    code, printed, _ = typed("export", "csv", slide.store)
    assert printed.startswith(f"{slide.folder}/exports/nuclei.csv: ")


@pytest.mark.parametrize(
    "words",
    [
        ("export", "nuclei_gmr_unet_0.5", "--to", "model.pt"),
        ("export", "nuclei_gmr_unet_0.5", "--to", "model.pt", "--tile"),
        ("export", "csv"),
    ],
)
def test_the_old_spelling_names_the_new_one(typed: object, words: tuple[str, ...], tmp_path: Path) -> None:
    code, printed, stderr = typed(*words)
    assert (code, printed) == (ExitCode.USAGE, "")
    assert "wsipipe models export WEIGHTS --to FILE" in stderr


def test_the_formats_are_those_of_help_and_docs() -> None:
    import typer

    from wsipipe.cli import app

    command = vars(typer.main.get_command(app))["commands"]["export"]
    shown = next(each.help for each in command.params if each.name == "format_name")
    page = (Path(__file__).parents[4] / "docs" / "exports.md").read_text()
    for name in FORMATS:
        assert f"| `{name}` |" in page
        assert name in shown


def test_a_result_without_an_image_is_exported_too(without_image: Result, tmp_path: Path) -> None:
    for name in ("csv", "coco"):
        found = export_result(name, without_image.folder, tmp_path / name)
        assert found.count == len(without_image.nuclei)
    # Labels 3 x 2 and probabilities 2.
    assert export_result("ome-zarr", without_image.folder, tmp_path / "zarr").count == 8
