"""A result folder or a bare store -> what review opens: arrays, classes, the way to level-0 px, nuclei."""

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import zarr

from wsipipe.errors import NoResultError, StorageError
from wsipipe.review.published_nuclei import Nuclei, read_nuclei
from wsipipe.review.recognise import is_result
from wsipipe.store import manifest
from wsipipe.store.arrays import SCHEMA
from wsipipe.store.encoding import NOT_COMPUTED
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.ome_metadata import LabelClass
from wsipipe.store.result import Result


@dataclass(frozen=True)
class Source:
    """One slide to review.

    Attributes:
        result: Its arrays.
        plan: Of the manifest; empty where there is none, and then nothing may be written.
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
        """Um per px of image and nuclei."""
        return float(self.result.attributes["canvas_mpp"])

    @property
    def affine(self) -> tuple[float, float, float]:
        """(offset y, offset x, step): level-0 px of the slide = offset + step * px."""
        attributes = self.result.attributes
        offset_y, offset_x = attributes["level0_offset_yx"]
        return float(offset_y), float(offset_x), float(attributes["level0_px_per_canvas_px"])

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the nuclei, or of the image where there are none."""
        labels = self.result.labels
        array = labels["nuclei"][0] if "nuclei" in labels else self.result.image[0]
        return int(array.shape[-2]), int(array.shape[-1])

    @cached_property
    def nuclei(self) -> Nuclei:
        """The published nuclei."""
        offset_y, offset_x, step = self.affine
        return read_nuclei(self.folder / NUCLEI_TABLE, (offset_y, offset_x), step, self.mpp)

    @cached_property
    def classes(self) -> tuple[LabelClass, ...]:
        """Tissue classes, by value."""
        if "tissue_class" not in self.result.labels:
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
    def class_downsample(self) -> int:
        """Px of the nuclei per px of the class map."""
        return round(self.result.scale_um("labels/tissue_class")[0] / self.mpp)


def open_source(path: str | Path) -> Source:
    """Opens ``OUT/SLIDE`` or its ``slide.zarr``; without a manifest read-only, with a warning.

    Raises:
        NoResultError: It is no result of ours.
        StorageError: A newer wsipipe wrote it.
    """
    folder = Path(path)
    folder = folder.parent if folder.name == "slide.zarr" else folder
    if not is_result(folder):
        raise NoResultError(
            f"{path} is no result of wsipipe: there is no slide.zarr of ours in it. Name OUT/SLIDE or its "
            f"slide.zarr."
        )
    if not (folder / manifest.MANIFEST).is_file():
        warnings.warn(
            f"{folder} has no {manifest.MANIFEST}: it was never finished, or it was taken apart. It is "
            f"opened for "
            f"looking only; run the workflow again to review it.",
            stacklevel=2,
        )
        return Source(Result(folder), "")
    _check_schema(folder)
    return Source(Result(folder), str(manifest.read(folder)["plan"]))


def slides_of(out: Path) -> list[Path]:
    """Folders of results in ``OUT``, or the folder itself if it is one."""
    if is_result(out):
        return [out]
    return sorted(path for path in out.iterdir() if path.is_dir() and is_result(path))


def _check_schema(folder: Path) -> None:
    schema = json.loads((folder / manifest.MANIFEST).read_text())["schema"]
    if schema <= SCHEMA:
        return
    run = folder.parent / "run.json"
    wrote = json.loads(run.read_text())["versions"]["wsipipe"] if run.is_file() else ""
    reads = f"wsipipe {wrote} wrote it: install that version or a later one" if wrote else "upgrade wsipipe"
    raise StorageError(f"{folder} has schema {schema}, this wsipipe reads up to {SCHEMA}; {reads}.")
