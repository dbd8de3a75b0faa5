"""Arrays, classes, scale and nuclei of a published result."""

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import zarr

from wsipipe.errors import NoResultError, StorageError
from wsipipe.review.differences import Differences, read_differences
from wsipipe.review.published_nuclei import NucleiIndex, read_nuclei_index
from wsipipe.review.recognise import is_result
from wsipipe.stages.nuclei.positivity import MeasureParams
from wsipipe.store import manifest
from wsipipe.store.arrays import SCHEMA
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.ome_metadata import LabelClass
from wsipipe.store.result import Result


@dataclass(frozen=True)
class PublishedSlide:
    """A published slide.

    Attributes:
        result: Arrays of the slide.
        plan: Plan in the manifest; empty without a manifest, and then nothing may be written.
    """

    result: Result
    plan: str

    @property
    def folder(self) -> Path:
        """``OUT/SLIDE``."""
        return self.result.folder

    @property
    def slide_id(self) -> str:
        """Name of the slide."""
        return str(self.result.attributes["slide_id"])

    @property
    def mpp(self) -> float:
        """Resolution of image and nuclei in µm/px."""
        return float(self.result.attributes["canvas_mpp"])

    @property
    def affine(self) -> tuple[float, float, float]:
        """Transform from px of the nuclei to level-0 px of the slide.

        It is (offset y, offset x, step) with level-0 px = offset + step * px.
        """
        attributes = self.result.attributes
        offset_y, offset_x = attributes["level0_offset_yx"]
        return float(offset_y), float(offset_x), float(attributes["level0_px_per_canvas_px"])

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the nuclei, the image, or the tissue on the canvas."""
        labels, image = self.result.arrays.labels, self.result.arrays.image
        if "nuclei" in labels or image:
            array = labels["nuclei"][0] if "nuclei" in labels else image[0]
            return int(array.shape[-2]), int(array.shape[-1])
        step = round(self.result.scale_um("labels/tissue")[0] / self.mpp)
        height, width = labels["tissue"][0].shape
        return int(height) * step, int(width) * step

    @cached_property
    def nuclei(self) -> NucleiIndex:
        """The published nuclei."""
        offset_y, offset_x, step = self.affine
        return read_nuclei_index(self.folder / NUCLEI_TABLE, (offset_y, offset_x), step, self.mpp)

    @cached_property
    def classes(self) -> tuple[LabelClass, ...]:
        """Tissue classes, by value."""
        if "tissue_class" not in self.result.arrays.labels:
            return ()
        group = zarr.open_group(self.result.store / "labels/tissue_class", mode="r")
        label: Any = group.attrs["ome"]
        names = {item["label-value"]: item["name"] for item in label["image-label"]["properties"]}
        return tuple(
            LabelClass(item["label-value"], names[item["label-value"]], tuple(item["rgba"][:3]))
            for item in label["image-label"]["colors"]
            if item["label-value"] != NOT_COMPUTED
        )

    @cached_property
    def differences(self) -> tuple[Differences, ...]:
        """Nuclei that comparisons found in one of two sets only."""
        return read_differences(self.folder, self.plan, self.affine)

    @cached_property
    def nucleus_types(self) -> dict[str, tuple[int, int, int]]:
        """Colours of the types of nuclei, by name; empty where nuclei have no types."""
        if "nuclei" not in self.result.arrays.labels:
            return {}
        group = zarr.open_group(self.result.store / "labels/nuclei", mode="r")
        about: Any = group.attrs.get("wsipipe", {})
        return {item["name"]: tuple(item["color"]) for item in about.get("types", ())}

    @property
    def positivity(self) -> MeasureParams | None:
        """Thresholds of DAB; None where it was not measured."""
        workflow: Any = self.result.attributes.get("workflow", {})
        measure = workflow.get("measure", {})
        return MeasureParams(**measure) if measure.get("positivity") else None

    @cached_property
    def class_downsample(self) -> int:
        """Downsample of the class map, in px of the nuclei."""
        return round(self.result.scale_um("labels/tissue_class")[0] / self.mpp)


def open_published(path: str | Path) -> PublishedSlide:
    """Open ``OUT/SLIDE`` or its ``slide.zarr``.

    Without a manifest it is read-only, and a warning is issued.

    Raises:
        NoResultError: It is no result of wsipipe.
        StorageError: A newer wsipipe wrote it.
    """
    folder = Path(path)
    folder = folder.parent if folder.name == "slide.zarr" else folder
    if not is_result(folder):
        raise NoResultError(
            f"{path} is no result of wsipipe: it has no slide.zarr written by wsipipe. Name OUT/SLIDE or its "
            "slide.zarr."
        )
    if not (folder / manifest.MANIFEST).is_file():
        warnings.warn(
            f"{folder} is opened read-only: it has no {manifest.MANIFEST}, so it is unfinished or "
            "incomplete. Run the workflow again to review it.",
            stacklevel=2,
        )
        return PublishedSlide(Result(folder), "")
    _check_schema(folder)
    return PublishedSlide(Result(folder), str(manifest.read(folder)["plan"]))


def slides_of(out: Path) -> list[Path]:
    """Return the results in a folder.

    It is the folder itself if that is a result.
    """
    if is_result(out):
        return [out]
    return sorted(path for path in out.iterdir() if path.is_dir() and is_result(path))


def _check_schema(folder: Path) -> None:
    schema = json.loads((folder / manifest.MANIFEST).read_text(encoding="utf-8"))["schema"]
    if schema <= SCHEMA:
        return
    run = folder.parent / "run.json"
    wrote = json.loads(run.read_text(encoding="utf-8"))["versions"]["wsipipe"] if run.is_file() else ""
    remedy = f"wsipipe {wrote} wrote it; install that version or a later one" if wrote else "Upgrade wsipipe"
    raise StorageError(
        f"{folder} cannot be read: it has schema {schema}, this wsipipe reads up to {SCHEMA}. {remedy}."
    )
