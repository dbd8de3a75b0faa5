"""The manifest of a published slide: every file with its SHA-256, every array with a digest of its pixels."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, cast

from wsipipe.common.atomic_files import json_bytes, sha256_of, write_json
from wsipipe.errors import NoResultError, StorageError
from wsipipe.store.arrays import RESULT, SCHEMA, ShardFile

MANIFEST = "slide.zarr/manifest.json"


class FileEntry(TypedDict):
    """Size and SHA-256 of one file."""

    bytes: int
    sha256: str


class Manifest(TypedDict):
    """Content of ``manifest.json``.

    Attributes:
        schema: Version of the store's layout.
        plan: Identity of the plan.
        files: Every file by path, relative to the slide's folder.
        pixels: Digest of the pixels of each array, by path.
        digest: SHA-256 of the rest of the manifest.
    """

    schema: int
    plan: str
    files: dict[str, FileEntry]
    pixels: dict[str, str]
    digest: str


def describe(work: Path, path: Path) -> ShardFile:
    """A small file of the work directory, digested."""
    return ShardFile(path.relative_to(work).as_posix(), path.stat().st_size, sha256_of(path))


def _array_of(path: str) -> str:
    return path.partition("/c/")[0]


def build(plan_id: str, files: Iterable[ShardFile]) -> Manifest:
    """The manifest of the planned files, in path order; nothing that depends on when or where it ran."""
    planned = sorted(
        (replace(file, path=file.path.removeprefix(f"{RESULT}/")) for file in files),
        key=lambda file: file.path,
    )
    pixels: dict[str, hashlib._Hash] = {}
    for file in planned:
        if file.pixels_sha256:
            digest = pixels.setdefault(_array_of(file.path), hashlib.sha256())
            digest.update(f"{file.path} {file.pixels_sha256}\n".encode())
    content: dict[str, object] = {
        "schema": SCHEMA,
        "plan": plan_id,
        "files": {file.path: {"bytes": file.size_bytes, "sha256": file.sha256} for file in planned},
        "pixels": {array: digest.hexdigest() for array, digest in pixels.items()},
    }
    return cast(Manifest, content | {"digest": _digest(content)})


def _digest(content: Mapping[str, object]) -> str:
    """Of the manifest itself, so that a flipped bit in it is found as one in any other file."""
    own = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json_bytes(own)).hexdigest()


def write(work: Path, manifest: Manifest) -> None:
    """Writes the manifest into the work directory, durably."""
    write_json(work / RESULT / MANIFEST, manifest)


def read(folder: Path) -> Manifest:
    """The manifest of a published slide.

    Raises:
        NoResultError: There is none, so the slide was never published.
        StorageError: It is damaged, or a newer wsipipe wrote it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise NoResultError(
            f"{folder} has no {MANIFEST}: it is not a finished result of wsipipe. Run the workflow again, or "
            f"name the folder of one slide inside OUT."
        )
    data = path.read_bytes()
    manifest = _parsed(data)
    if manifest.get("schema", 0) > SCHEMA:
        raise StorageError(
            f"{folder} has schema {manifest['schema']}, this wsipipe reads up to {SCHEMA}; upgrade wsipipe."
        )
    if json_bytes(manifest) != data or manifest.get("digest") != _digest(manifest):
        raise StorageError(
            f"{path} is damaged: it is not what was published. Run the workflow again with --restart."
        )
    return cast(Manifest, manifest)


def _parsed(data: bytes) -> dict[str, Any]:
    """What the bytes hold; nothing where they are no JSON of a manifest."""
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("schema"), int) else {}


def damaged(folder: Path) -> list[str]:
    """Files of a published slide that are missing or changed; empty when all is well."""
    return [
        path
        for path, entry in read(folder)["files"].items()
        if not (folder / path).is_file()
        or (folder / path).stat().st_size != entry["bytes"]
        or sha256_of(folder / path) != entry["sha256"]
    ]
