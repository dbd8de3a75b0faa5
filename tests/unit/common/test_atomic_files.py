"""Whole files or none, and errors that name the file and the remedy."""

import errno
import hashlib
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from wsipipe.common.atomic_files import is_full, sha256_of, storage_errors, write_durable, write_json
from wsipipe.errors import SlideError, StorageError, StorageFullError


def test_written_whole_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    write_durable(path, b"one")
    write_durable(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["b"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_durable(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wsipipe.common.atomic_files.sync_file", full)
    with pytest.raises(StorageFullError, match=r"file.*Free space"):
        write_durable(path, b"new")
    assert path.read_bytes() == b"old"


def test_errors_of_the_file_system_name_the_file() -> None:
    with (
        pytest.raises(StorageError, match=r"Writing /x failed.*Permission") as caught,
        storage_errors(Path("/x")),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert not isinstance(caught.value, StorageFullError)


def test_an_error_that_says_what_to_do_keeps_its_kind() -> None:
    with pytest.raises(SlideError, match="tile"), storage_errors(Path("/x")):
        raise SlideError("a tile does not decode")


def test_json_is_sorted_and_hashed_as_read(tmp_path: Path) -> None:
    write_json(tmp_path / "one", {"b": 1, "a": [2]})
    write_json(tmp_path / "two", {"a": [2], "b": 1})
    data = (tmp_path / "one").read_bytes()
    assert data == (tmp_path / "two").read_bytes()
    assert sha256_of(tmp_path / "one") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "error", [TimeoutError("slow"), ConnectionResetError("gone"), OSError("comm closed")]
)
def test_a_lost_connection_is_not_the_disk(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as raised, storage_errors(tmp_path):
        raise error
    assert raised.value is error


def test_a_full_disk_is_known_by_trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_full(tmp_path)
    assert os.listdir(tmp_path) == []

    for number, wanted in ((errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)):
        refused = OSError(number, "refused")
        monkeypatch.setattr("wsipipe.common.atomic_files.os.fsync", Mock(side_effect=refused))
        assert is_full(tmp_path) == wanted
