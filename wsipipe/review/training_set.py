"""Write visited fields as a training set for ``wsipipe train``.

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
from wsipipe.review.slide import ReviewedSlide
from wsipipe.store.arrays import read_region

_COLUMNS = ("id", "mpp_um", "group", "y", "x", "height", "width", "nuclei", "judged")
_MOST_SHARED = 0.5
"""Largest share of a field that earlier fields may cover; no px is trained on twice."""


def write_training_set(slide: ReviewedSlide, folder: Path) -> int:
    """Write visited fields with edited nuclei; return their number.

    Only in a visited field does an unlabelled pixel mean background.

    Args:
        slide: The review.
        folder: Folder of the training set; an existing one is replaced.
    """
    with storage_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True)
        rows = [_write_field(slide, folder, field) for field in _fields(slide)]
        with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    return len(rows)


def _fields(slide: ReviewedSlide) -> list[Region]:
    """Return visited fields with edited nuclei, in order.

    Fields that earlier ones cover by more than half are left out.
    """
    if not slide.has_nuclei or not slide.published.result.arrays.image:
        return []
    judged = [slide.box(identity) for identity in sorted(slide.history.touched)]
    kept: list[Region] = []
    for visited in slide.history.visited:
        field = visited.clipped(slide.shape)
        if any(box.meets(field) for box in judged) and _shared(field, kept) <= _MOST_SHARED:
            kept.append(field)
    return kept


def _shared(field: Region, others: list[Region]) -> float:
    """Return the share of a field that others cover.

    It is 1 for an empty field.
    """
    covered = np.zeros(field.shape, bool)
    for other in others:
        covered[other.relative_to(field).clipped(field.shape).slices] = True
    return float(covered.mean()) if covered.size else 1.0


def _write_field(slide: ReviewedSlide, folder: Path, field: Region) -> dict[str, object]:
    name = f"{slide.published.slide_id}_{field.y}_{field.x}"
    ids, numbers = _numbered(slide.labels(field))
    image = np.moveaxis(read_region(slide.published.result.arrays.image[0], field, 255), 0, 2)
    Image.fromarray(np.ascontiguousarray(image)).save(folder / "images" / f"{name}.png")
    Image.fromarray(numbers).save(folder / "labels" / f"{name}.png")
    place = {"y": field.y, "x": field.x, "height": field.height, "width": field.width}
    judged = sum(slide.box(identity).meets(field) for identity in slide.history.touched)
    counts = {"nuclei": ids.size, "judged": judged}
    return {"id": name, "mpp_um": slide.published.mpp, "group": slide.published.slide_id, **place, **counts}


def _numbered(labels: Array) -> tuple[Array, Array]:
    """Return a field's ids, and its labels renumbered from 1.

    The new labels are uint16.
    """
    ids, at = np.unique(np.append(0, labels.ravel()), return_inverse=True)
    return ids[1:], at[1:].reshape(labels.shape).astype(np.uint16)
