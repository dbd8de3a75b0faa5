"""Manifest of a published slide: hashes of all files and arrays."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, cast

from wsipipe.common.atomic_files import json_bytes, sha256_of, write_json
from wsipipe.errors import NoResultError, StorageError
from wsipipe.store.layout import RESULT, SCHEMA, ShardFile

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
        files: Size and hash of each file, by path relative to the folder of the slide.
        pixels: Hash of the pixels of each array, by path.
        digest: SHA-256 of the other fields.
    """

    schema: int
    plan: str
    files: dict[str, FileEntry]
    pixels: dict[str, str]
    digest: str


def describe(work: Path, path: Path) -> ShardFile:
    """Return size and hash of a small file of the work directory."""
    return ShardFile(path.relative_to(work).as_posix(), path.stat().st_size, sha256_of(path))


def _array_of(path: str) -> str:
    return path.partition("/c/")[0]


def build(plan_id: str, files: Iterable[ShardFile]) -> Manifest:
    """Build the manifest of the planned files, sorted by path.

    It does not depend on when or where the slide was computed.
    """
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
    """Return the hash of the manifest itself.

    It reveals damage to the manifest.
    """
    own = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json_bytes(own)).hexdigest()


def write(work: Path, manifest: Manifest) -> None:
    """Write the manifest durably into the work directory."""
    write_json(work / RESULT / MANIFEST, manifest)


def read(folder: Path) -> Manifest:
    """Read the manifest of a published slide.

    Raises:
        NoResultError: There is none, since the slide was not published.
        StorageError: The manifest is damaged, or written by a newer wsipipe.
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
    """Parse a manifest; empty if the bytes are no JSON of a manifest."""
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("schema"), int) else {}


def damaged(folder: Path) -> list[str]:
    """List missing or changed files of a published slide."""
    return [
        path
        for path, entry in read(folder)["files"].items()
        if not (folder / path).is_file()
        or (folder / path).stat().st_size != entry["bytes"]
        or sha256_of(folder / path) != entry["sha256"]
    ]
