"""Write the reviewed labels, ``labels/nuclei_reviewed`` and ``tissue_class_reviewed``.

The store starts as links to the published shards, so it takes no space. A shard that edits touch is written
as a new file in place of its link (zarr replaces files, it never writes into them), and so are its parents in
the pyramid; published files keep their bytes. The state of each shard is noted before and after it is
written, so that a crash is repaired by the next call.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from wsipipe.common.atomic_files import storage_errors, sync_file, write_json
from wsipipe.common.disk_sync import move, sync_folder
from wsipipe.geometry import Region, hull
from wsipipe.review.slide import OUTSIDE, ReviewedSlide
from wsipipe.stages.pyramid import mode_of_four
from wsipipe.store import ome_metadata
from wsipipe.store.arrays import open_array, read_region

STORE = "reviewed.zarr"
_NOTE = "derived.json"
_ENDING = "_reviewed"
_Shards = dict[tuple[int, int], dict[str, Any]]


def write_reviewed_labels(slide: ReviewedSlide) -> list[Path]:
    """Update ``reviewed.zarr`` to the edits in force.

    Args:
        slide: The review.

    Returns:
        Written shard files, level 0 and parents; empty if nothing changed.

    Raises:
        StorageError: The folder cannot be written, or a published shard is missing.
    """
    root = slide.folder / STORE
    names = [name for name in OUTSIDE if name in slide.published.result.arrays.labels]
    if not (root / "zarr.json").is_file():
        _create(slide, root, names)
    written: list[Path] = []
    for name in names:
        written += _update(slide, root, name)
    return written


def reviewed_levels(slide: ReviewedSlide, name: str) -> list[zarr.Array]:
    """Return the reviewed levels (y, x), finest first.

    They are the published ones if none were written yet.
    """
    folder = slide.folder / STORE / "labels" / f"{name}{_ENDING}"
    paths = sorted((path.parent for path in folder.glob("[0-9]*/zarr.json")), key=lambda path: int(path.name))
    return [open_array(path) for path in paths] or slide.published.result.arrays.labels[name]


def _create(slide: ReviewedSlide, root: Path, names: Iterable[str]) -> None:
    """Create the store with links to published shards.

    It is renamed to its place when complete.
    """
    part = root.with_name(root.name + ".tmp")
    with storage_errors(root):
        for old in (root, part):
            if old.exists():
                shutil.rmtree(old)
        part.mkdir(parents=True)
        about = {"slide_id": slide.published.slide_id, "plan": slide.published.plan, "user": slide.user}
        zarr.create_group(part, attributes={"wsipipe_review": about})
        reviewed = [f"{name}{_ENDING}" for name in names]
        zarr.create_group(part / "labels", attributes=ome_metadata.labels_attributes(reviewed))
        for name in names:
            _link(slide.published.result.store / "labels" / name, part / "labels" / f"{name}{_ENDING}")
        move(part, root)
        sync_folder(root.parent)


def _link(published: Path, to: Path) -> None:
    """Copy metadata and link shards; copy shards to another disk."""
    for path in sorted(published.rglob("*")):
        target = to / path.relative_to(published)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif path.name == "zarr.json":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        else:
            _link_file(path, target)
    about = zarr.open_group(to, mode="r+")
    attributes = dict(about.attrs)
    # The source image is in another store; OME-Zarr cannot express that.
    attributes["ome"] = _without_source(attributes["ome"])
    about.attrs.put(attributes)


def _without_source(described: Any) -> dict[str, Any]:
    label = {name: value for name, value in described["image-label"].items() if name != "source"}
    return {**described, "image-label": label}


def _link_file(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _update(slide: ReviewedSlide, root: Path, name: str) -> list[Path]:
    folder = root / "labels" / f"{name}{_ENDING}"
    note = folder / _NOTE
    finest = open_array(folder / "0")
    entry_count = slide.history.entry_count
    wanted = _wanted(slide, name, int(finest.shards[-1]))
    noted = _noted(note, slide.began)
    stale = {
        index: _union(wanted.get(index), noted.get(index))
        for index in wanted.keys() | noted.keys()
        if wanted.get(index, {}).get("acts", "none") != noted.get(index, {}).get("acts", "none")
    }
    if not stale:
        return []
    unsure = {index: {"acts": "unsure", "box": box} for index, box in stale.items()}
    _note_down(note, slide.began, noted | unsure)
    written = _rewrite(slide, folder, name, stale)
    # An edit made meanwhile may be in a shard already: these shards are checked again next time.
    steady = slide.history.entry_count == entry_count
    _note_down(note, slide.began, wanted if steady else wanted | unsure)
    return written


def _wanted(slide: ReviewedSlide, name: str, shard_px: int) -> _Shards:
    """Return shards with digest and box of their edits."""
    touching: dict[tuple[int, int], list[int]] = {}
    boxes: dict[tuple[int, int], list[Region]] = {}
    for entry in slide.history.done:
        diff = entry.edit.diff
        if diff is None or diff.array != name:
            continue
        cells = diff.box.scaled(1, shard_px)
        for index in ((y, x) for y in range(cells.y, cells.end_y) for x in range(cells.x, cells.end_x)):
            touching.setdefault(index, []).append(entry.number)
            boxes.setdefault(index, []).append(diff.box)
    return {
        index: {
            "acts": _digest(numbers),
            "box": _as_list(hull(boxes[index])),
        }
        for index, numbers in touching.items()
    }


def _digest(numbers: list[int]) -> str:
    return hashlib.sha256(repr(numbers).encode()).hexdigest()


def _rewrite(
    slide: ReviewedSlide, folder: Path, name: str, stale: dict[tuple[int, int], list[int]]
) -> list[Path]:
    layer = slide.nuclei_labels if name == "nuclei" else slide.tissue_labels
    array = open_array(folder / "0", writable=True)
    side = int(array.shards[-1])
    written, dirty = [], []
    for (row, column), box in sorted(stale.items()):
        shard = Region(row * side, column * side, side, side).clipped(array.shape)
        with storage_errors(folder):
            array[shard.slices] = layer.read(shard)
        written.append(_durable(folder / "0", (row, column)))
        dirty.append(Region(*box).intersection(shard))
    for level in range(1, len(list(folder.glob("[0-9]*/zarr.json")))):
        dirty = sorted({region.scaled(1, 2) for region in dirty}, key=lambda region: (region.y, region.x))
        written += _rewrite_parents(folder, level, dirty, OUTSIDE[name])
    return written


def _rewrite_parents(folder: Path, level: int, dirty: list[Region], outside: int) -> list[Path]:
    finer, array = open_array(folder / str(level - 1)), open_array(folder / str(level), writable=True)
    side = int(array.shards[-1])
    indices = {
        (y, x)
        for region in dirty
        for y in range(region.y // side, -(-region.end_y // side))
        for x in range(region.x // side, -(-region.end_x // side))
    }
    written = []
    for row, column in sorted(indices):
        shard = Region(row * side, column * side, side, side).clipped(array.shape)
        pixels = np.array(read_region(array, shard, outside))
        for region in dirty:
            part = region.intersection(shard)
            if part.area_px:
                children = read_region(finer, part.scaled(2), outside)
                pixels[part.relative_to(shard).slices] = mode_of_four(children)
        with storage_errors(folder):
            array[shard.slices] = pixels
        written.append(_durable(folder / str(level), (row, column)))
    return written


def _durable(folder: Path, index: tuple[int, int]) -> Path:
    path = folder / "c" / str(index[0]) / str(index[1])
    with storage_errors(path):
        sync_file(path)
    return path


def _noted(note: Path, began: str) -> _Shards:
    if not note.is_file():
        return {}
    stored = json.loads(note.read_text(encoding="utf-8"))
    shards: _Shards = {tuple(map(int, key.split("/"))): value for key, value in stored["shards"].items()}
    if stored["journal"] != began:
        return {index: value | {"acts": "of another journal"} for index, value in shards.items()}
    return shards


def _note_down(note: Path, began: str, shards: _Shards) -> None:
    stored = {f"{y}/{x}": value for (y, x), value in sorted(shards.items())}
    write_json(note, {"journal": began, "shards": stored})


def _union(one: dict[str, Any] | None, other: dict[str, Any] | None) -> list[int]:
    return _as_list(hull([Region(*found["box"]) for found in (one, other) if found]))


def _as_list(box: Region) -> list[int]:
    return [box.y, box.x, box.height, box.width]
