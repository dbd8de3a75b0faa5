"""A session -> corrections as a training set that ``wsipipe train`` reads: fields that a person has seen.

FOLDER/images/NAME.png    RGB
FOLDER/labels/NAME.png    uint16 ids, 1..n in each field, 0 background
FOLDER/index.csv          id (NAME), mpp_um, group (the slide), y, x, height, width, nuclei, judged
"""

import csv
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from wsipipe.common.atomic_files import storage_errors
from wsipipe.geometry import Array, Region
from wsipipe.review.slide import Look
from wsipipe.store.arrays import read_region

_COLUMNS = ("id", "mpp_um", "group", "y", "x", "height", "width", "nuclei", "judged")
_MOST_SHARED = 0.5
"""A field that earlier ones cover further would teach the same px twice."""


def write_training_set(look: Look, folder: Path) -> int:
    """Writes every visited field that holds a judgement on a nucleus; returns how many.

    Only in a field that a person has seen does an unlabelled pixel mean background.

    Args:
        look: The review.
        folder: Replaced if it is there.
    """
    with storage_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True)
        rows = [_write_field(look, folder, field) for field in _fields(look)]
        with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    return len(rows)


def _fields(look: Look) -> list[Region]:
    """Visited fields with a judgement, in the order of the visits, that earlier ones do not cover by half."""
    if not look.has_nuclei or not look.source.result.image:
        return []
    judged = [look.box(identity) for identity in sorted(look.state.touched)]
    kept: list[Region] = []
    for visited in look.state.visited:
        field = visited.clipped(look.shape)
        if any(box.meets(field) for box in judged) and _shared(field, kept) <= _MOST_SHARED:
            kept.append(field)
    return kept


def _shared(field: Region, others: list[Region]) -> float:
    """Share of a field that others cover; 1 for an empty one."""
    covered = np.zeros(field.shape, bool)
    for other in others:
        covered[other.relative_to(field).clipped(field.shape).slices] = True
    return float(covered.mean()) if covered.size else 1.0


def _write_field(look: Look, folder: Path, field: Region) -> dict[str, object]:
    name = f"{look.source.slide_id}_{field.y}_{field.x}"
    ids, numbers = _numbered(look.labels(field))
    image = np.moveaxis(read_region(look.source.result.image[0], field, 255), 0, 2)
    Image.fromarray(np.ascontiguousarray(image)).save(folder / "images" / f"{name}.png")
    Image.fromarray(numbers).save(folder / "labels" / f"{name}.png")
    place = {"y": field.y, "x": field.x, "height": field.height, "width": field.width}
    judged = sum(look.box(identity).meets(field) for identity in look.state.touched)
    counts = {"nuclei": ids.size, "judged": judged}
    return {"id": name, "mpp_um": look.source.mpp, "group": look.source.slide_id, **place, **counts}


def _numbered(labels: Array) -> tuple[Array, Array]:
    """Ids in a field but 0, and the field with them numbered from 1, uint16."""
    ids, at = np.unique(np.append(0, labels.ravel()), return_inverse=True)
    return ids[1:], at[1:].reshape(labels.shape).astype(np.uint16)
