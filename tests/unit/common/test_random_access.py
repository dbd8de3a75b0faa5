"""A file is read at any place, by several threads, with and without ``pread``."""

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wsipipe.common import random_access
from wsipipe.common.random_access import RandomAccessFile


@pytest.fixture(params=["pread", "seek"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RandomAccessFile:
    if request.param == "seek":
        monkeypatch.delattr(random_access.os, "pread", raising=False)
    path = tmp_path / "numbers"
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in range(1000)))
    return RandomAccessFile(path)


def test_threads_do_not_disturb_each_other(file: RandomAccessFile) -> None:
    def number(place: int) -> int:
        return int.from_bytes(file.read(4 * place, 4), "big")

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(number, range(1000))) == list(range(1000))
    assert file.size_bytes == 4000


def test_what_lies_beyond_the_end_is_missing(file: RandomAccessFile) -> None:
    assert file.read(3998, 8) == b"\x03\xe7"
    assert file.read(4001, 8) == b""


def test_it_closes_itself(file: RandomAccessFile, tmp_path: Path) -> None:
    other = RandomAccessFile(tmp_path / "numbers")
    opened = other._file
    del other
    gc.collect()
    assert opened.closed
    file.close()
    file.close()
    with pytest.raises(FileNotFoundError):
        RandomAccessFile(tmp_path / "none")
