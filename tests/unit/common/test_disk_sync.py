"""Data reach the disk and names change by the means of each system."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from wsipipe.common import disk_sync
from wsipipe.common.disk_sync import move, remove_folder, sync_content, sync_folder, sync_handle


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_sync, "WINDOWS", True)
    monkeypatch.setattr(disk_sync, "_BETWEEN_S", 0.0)


def failing(monkeypatch: pytest.MonkeyPatch, module: object, name: str, times: int) -> list[int]:
    """Let a function fail some times; return its calls."""
    real, calls = getattr(module, name), []

    def action(*arguments: object) -> object:
        calls.append(len(calls))
        if len(calls) <= times:
            raise PermissionError(13, "in use")
        return real(*arguments)

    monkeypatch.setattr(module, name, action)
    return calls


@pytest.mark.usefixtures("windows")
def test_windows_waits_for_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    calls = failing(monkeypatch, disk_sync.os, "replace", 3)
    move(tmp_path / "new", tmp_path / "old")
    assert len(calls) == 4
    assert (tmp_path / "old").read_text() == "new"
    assert os.listdir(tmp_path) == ["old"]


@pytest.mark.usefixtures("windows")
def test_folders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    renames = failing(monkeypatch, disk_sync.os, "rename", 1)
    move(tmp_path / "work", tmp_path / "result")
    removals = failing(monkeypatch, disk_sync.shutil, "rmtree", 1)
    remove_folder(tmp_path / "result")
    assert (len(renames), len(removals), os.listdir(tmp_path)) == (2, 2, [])


@pytest.mark.usefixtures("windows")
def test_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").touch()
    calls = failing(monkeypatch, disk_sync.os, "replace", 1000)
    with pytest.raises(PermissionError):
        move(tmp_path / "new", tmp_path / "old")
    assert len(calls) == 40


def test_elsewhere_a_refusal_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_sync, "WINDOWS", False)
    (tmp_path / "new").touch()
    calls = failing(monkeypatch, disk_sync.os, "replace", 1)
    with pytest.raises(PermissionError):
        move(tmp_path / "new", tmp_path / "old")
    assert len(calls) == 1


@pytest.mark.skipif(
    not hasattr(disk_sync.os, "O_DIRECTORY"),
    reason="LOUD SKIP: folders cannot be synced here; that is NOT tested",
)
def test_names_are_synced_where_that_is_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(
        disk_sync, "sync_handle", lambda handle: synced.append(os.path.isdir(f"/dev/fd/{handle}"))
    )
    sync_folder(tmp_path)
    assert synced == [True]
    monkeypatch.delattr(disk_sync.os, "O_DIRECTORY")
    sync_folder(tmp_path)
    assert synced == [True]


def test_windows_opens_for_writing_what_it_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``_commit`` refuses a handle that only reads; the sister is every other system."""
    path = tmp_path / "file"
    path.write_text("content")
    accepts: list[bool] = []

    def sync(handle: int) -> None:
        try:
            os.ftruncate(handle, 7)
            accepts.append(True)
        except OSError:
            accepts.append(False)

    monkeypatch.setattr(disk_sync, "sync_handle", sync)
    for windows in (True, False):
        monkeypatch.setattr(disk_sync, "WINDOWS", windows)
        sync_content(path)
    assert accepts == [True, False]


@pytest.mark.skipif(
    not hasattr(disk_sync.os, "O_DIRECTORY"), reason="LOUD SKIP: there is no fcntl; F_FULLFSYNC is NOT tested"
)
@pytest.mark.parametrize(("supported", "calls"), [(True, ["drive"]), (False, ["drive", "fsync"])])
def test_macos_syncs_the_drive_or_else_the_file(
    supported: bool, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []

    def full(handle: int, command: int) -> None:
        found.append("drive")
        assert command == 51
        if not supported:
            raise OSError(45, "Operation not supported")

    monkeypatch.setattr(disk_sync.sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "fcntl", SimpleNamespace(fcntl=full, F_FULLFSYNC=51))
    monkeypatch.setattr(disk_sync.os, "fsync", lambda handle: found.append("fsync"))
    sync_handle(0)
    assert found == calls
