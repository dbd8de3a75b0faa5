"""Compare the nuclei of a result with others, and write figures and a picture."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsipipe.common.about import RESEARCH_USE_NOTICE, __version__
from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.results.compare.nuclei_map import NucleiMap, map_of_result, open_other
from wsipipe.results.compare.picture import draw_differences
from wsipipe.results.compare.scores import Scores, confusion_of, scores_by_class, scores_of
from wsipipe.results.compare.tally import Instances, Tally, tally
from wsipipe.results.export.source import open_source
from wsipipe.results.export.target import check_not_published, check_target, new_target
from wsipipe.review.published import PublishedSlide
from wsipipe.store.names import COMPARISON, COMPARISONS

FIGURES, PICTURE = COMPARISON, "differences.png"
_MASK_IDS = (1, 255)


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison.

    Attributes:
        slide: The result.
        other: The reference.
        region: Part that was compared, in px of the nuclei.
        tally: Nuclei and overlaps.
        scores: Scores of all nuclei.
        by_class: Scores by class; empty unless both sides have classes.
        confusion: Matched nuclei by reference class, then by class in the result.
    """

    slide: PublishedSlide
    other: NucleiMap
    region: Region
    tally: Tally
    scores: Scores
    by_class: dict[str, Scores]
    confusion: dict[str, dict[str, int]]

    def as_json(self) -> dict[str, object]:
        """Return what ``comparison.json`` holds; positions are in level-0 px."""
        matched_true, matched_found = self.tally.matches
        region = self.region
        return {
            "result": str(self.slide.folder),
            "reference": self.other.name,
            "plan": self.slide.plan,
            "wsipipe": __version__,
            "notice": RESEARCH_USE_NOTICE,
            "region_px": dict(y=region.y, x=region.x, height=region.height, width=region.width),
            "left_out": dict(self.other.left_out),
            "scores": self.scores,
            "by_class": self.by_class,
            "confusion": self.confusion,
            "missed": self._listed(self.tally.true, matched_true),
            "extra": self._listed(self.tally.found, matched_found),
        }

    def _listed(self, nuclei: Instances, matched: Array) -> list[dict[str, float]]:
        offset_y, offset_x, step = self.slide.affine
        alone = np.setdiff1d(np.arange(len(nuclei.ids)), matched)
        rows = zip(
            nuclei.ids[alone].tolist(),
            (offset_y + step * nuclei.y[alone]).round(2).tolist(),
            (offset_x + step * nuclei.x[alone]).round(2).tolist(),
            strict=True,
        )
        return [{"id": identity, "y": y, "x": x} for identity, y, x in rows]


def compare(slide: str | Path, other: Path, region: tuple[int, int, int, int] | None = None) -> Comparison:
    """Compare the nuclei of a result with a reference.

    Args:
        slide: ``OUT/SLIDE`` or its ``slide.zarr``.
        other: Another result of the slide, a label file on the grid of the nuclei, or GeoJSON.
        region: Part to compare (y, x, height, width) in level-0 px; default all.

    Raises:
        ConfigError: The reference or the region cannot be used.
        NoResultError: A result is not finished, or has no nuclei.
        StorageError: A result is damaged.
    """
    source = open_source(slide)
    mine = map_of_result(source)
    theirs = open_other(other, source.slide)
    part = _part(source.slide, region)
    counted = tally(theirs.read, mine.read, part)
    _check_ids(theirs, counted)
    return Comparison(
        source.slide,
        theirs,
        part,
        counted,
        scores_of(counted.pairs),
        scores_by_class(counted, theirs.classes, mine.classes),
        confusion_of(counted, theirs.classes, mine.classes) if theirs.classes and mine.classes else {},
    )


def check_folder(slide: str | Path, other: Path, to: Path | None = None, *, overwrite: bool = False) -> Path:
    """Return the folder of a comparison, checked before any work.

    Args:
        slide: ``OUT/SLIDE`` or its ``slide.zarr``.
        other: The reference.
        to: Folder to write; default in ``OUT/SLIDE/comparisons``, named like the reference.
        overwrite: Whether an earlier comparison may be replaced.

    Raises:
        ConfigError: It cannot be used.
        NoResultError: The result is not finished.
    """
    result = open_source(slide).result
    resolved = other.resolve()
    name = resolved.parent.name if resolved.name == "slide.zarr" else resolved.name
    path = to or result.folder / COMPARISONS / name
    check_not_published(path, result.folder, result.manifest)
    check_target(path, overwrite=overwrite, marker=FIGURES)
    return path


def write_comparison(found: Comparison, folder: Path) -> Path:
    """Write figures and picture into a folder of :func:`check_folder`; return it.

    Raises:
        StorageError: Writing failed.
    """
    with new_target(folder) as partial:
        partial.mkdir()
        text = json.dumps(found.as_json(), indent=1)
        (partial / FIGURES).write_text(text + "\n", encoding="utf-8", newline="\n")
        draw_differences(found).save(partial / PICTURE, format="PNG")
    return folder


def _part(slide: PublishedSlide, region: tuple[int, int, int, int] | None) -> Region:
    """Return the px of the nuclei whose centres lie in a region of level-0 px."""
    if region is None:
        return Region(0, 0, *slide.shape)
    offset_y, offset_x, step = slide.affine
    y, x, height, width = region
    top, end = (int(np.ceil((edge - offset_y) / step - 0.5)) for edge in (y, y + height))
    left, right = (int(np.ceil((edge - offset_x) / step - 0.5)) for edge in (x, x + width))
    part = Region(top, left, max(0, end - top), max(0, right - left)).clipped(slide.shape)
    if not part.area_px:
        raise ConfigError(
            f"--region {','.join(map(str, region))} holds no px of the result. Give y,x,height,width in "
            "level-0 px inside the slide."
        )
    return part


def _check_ids(other: NucleiMap, counted: Tally) -> None:
    """Refuse masks, which would count as one nucleus."""
    if other.may_be_mask and len(counted.true.ids) == 1 and int(counted.true.ids[0]) in _MASK_IDS:
        raise ConfigError(
            f"{other.name} holds one value only, {counted.true.ids[0]}: it looks like a mask. Give one "
            "number per nucleus."
        )
