"""One manifest for one set of files, whatever the order; and it names what is damaged."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from wsipipe.errors import StorageError
from wsipipe.store import manifest
from wsipipe.store.arrays import RESULT, ShardFile

FILES = [
    ShardFile(f"{RESULT}/slide.zarr/{array}/c/{y}/{x}", 10, "a" * 64, f"{y}{x}" * 32)
    for array in ("0", "1", "labels/nuclei/0")
    for y in range(2)
    for x in range(12)
] + [ShardFile(f"{RESULT}/overview.png", 5, "b" * 64)]


def test_any_order_gives_the_same_manifest() -> None:
    shuffled = random.Random(0).sample(FILES, len(FILES))
    assert manifest.build("plan", shuffled) == manifest.build("plan", FILES)


def test_every_file_and_every_array_is_in_it() -> None:
    built = manifest.build("plan", FILES)
    assert len(built["files"]) == len(FILES)
    assert set(built["pixels"]) == {f"slide.zarr/{array}" for array in ("0", "1", "labels/nuclei/0")}


@pytest.mark.parametrize("change", [{"pixels_sha256": "f" * 64}, {"path": f"{RESULT}/slide.zarr/0/c/9/9"}])
def test_other_pixels_give_another_digest_of_that_array_alone(change: dict[str, str]) -> None:
    one, other = (
        manifest.build("plan", files)["pixels"]
        for files in (FILES, [replace(FILES[0], **change), *FILES[1:]])
    )
    assert {array for array in one if one[array] != other[array]} == {"slide.zarr/0"}


def test_damaged_names_the_file(tmp_path: Path) -> None:
    paths = [tmp_path / RESULT / name for name in ("a", "b", "c", "d")]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(b"data")
    manifest.write(tmp_path, manifest.build("plan", [manifest.describe(tmp_path, path) for path in paths]))
    assert manifest.damaged(tmp_path / RESULT) == []
    paths[1].write_bytes(b"date")
    paths[2].write_bytes(b"data and more")
    paths[3].unlink()
    assert manifest.damaged(tmp_path / RESULT) == ["b", "c", "d"]


def test_a_folder_that_was_never_published_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"manifest\.json"):
        manifest.read(tmp_path)


def test_a_newer_schema_asks_for_a_newer_wsipipe(tmp_path: Path) -> None:
    manifest.write(tmp_path, manifest.build("plan", []) | {"schema": 99})
    with pytest.raises(StorageError, match="upgrade"):
        manifest.read(tmp_path / RESULT)
