"""A small finished result of a synthetic slide."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import zarr

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array, Region
from wsipipe.review.label_ops import keep_connected
from wsipipe.stages.nuclei.shape import shapes
from wsipipe.stages.nuclei.table import TissueMap, measure
from wsipipe.stages.pyramid import mode_of_four
from wsipipe.stages.tile import RGB
from wsipipe.stages.tissue import LEGEND
from wsipipe.store import manifest, ome_metadata
from wsipipe.store.arrays import RESULT, ArraySpec, ShardFile, array_path, create_array, write_shards
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX, quantise
from wsipipe.store.geojson import ClassStyle, write_nuclei_geojson, write_tissue_geojson
from wsipipe.store.geoparquet import write_parquet
from wsipipe.store.names import NUCLEI_GEOJSON, NUCLEI_TABLE, TISSUE_GEOJSON
from wsipipe.store.ome_metadata import NOT_COMPUTED_CLASS
from wsipipe.store.result import Result, open_result
from wsipipe.synth.slide import SyntheticSlide

MPP = 0.5
SIDE_PX = 512
CLASS_DOWNSAMPLE = 32
CLASSES = (
    ome_metadata.LabelClass(0, "stroma", (230, 60, 200)),
    ome_metadata.LabelClass(1, "gland", (40, 90, 240)),
)
SLIDE_ID = "synthetic-3"
PLAN = "0" * 64


def make_sample(work: Path, image: bool = True, shard_px: int = 256, seed: int = 3) -> Result:
    """Write a result of 512 x 512 px at 0.5 µm/px.

    It has every kind of array, with two levels. Nuclei are those of the synthetic slide. The left half is one
    tissue class, the right half another; the last row of the class map is not computed.

    Args:
        work: Empty folder; the result is in ``work / "result"``.
        image: Whether the image is stored.
        shard_px: Side of a shard.
        seed: Seed of the synthetic slide.
    """
    return _Writer(work, image, shard_px, seed).write()


class _Writer:
    def __init__(self, work: Path, image: bool, shard_px: int, seed: int) -> None:
        self.work, self.shard_px, self.has_image = work, shard_px, image
        slide, region = SyntheticSlide(seed, SIDE_PX, MPP), Region(0, 0, SIDE_PX, SIDE_PX)
        self.rgb = slide.rgb(region)
        self.nuclei = in_order(slide.nuclei(region))
        self.tissue = slide.tissue(Region(0, 0, SIDE_PX // 16, SIDE_PX // 16), 16).astype(np.uint8)
        self.classes = np.zeros((SIDE_PX // CLASS_DOWNSAMPLE,) * 2, np.uint8)
        self.classes[:, self.classes.shape[1] // 2 :], self.classes[-1] = 1, NOT_COMPUTED
        self.files: list[ShardFile] = []

    def write(self) -> Result:
        root = self.work / RESULT / "slide.zarr"
        zarr.create_group(root, attributes=_root_attributes(self.has_image))
        zarr.create_group(
            root / "labels", attributes=ome_metadata.labels_attributes(["tissue", "tissue_class", "nuclei"])
        )
        if self.has_image:
            self._array("image/0", np.moveaxis(self.rgb, 2, 0))
            self._array("image/1", np.moveaxis(block_mean(self.rgb), 2, 0))
        self._labels("tissue", self.tissue, 16, [*LEGEND, NOT_COMPUTED_CLASS])
        self._labels("tissue_class", self.classes, CLASS_DOWNSAMPLE, [*CLASSES, NOT_COMPUTED_CLASS])
        self._labels("nuclei", self.nuclei, 1, [])
        self._probability("nucleus", self._nucleus_probability(), 1, ())
        self._probability("tissue_class", self._shares(), CLASS_DOWNSAMPLE, CLASSES)
        written = [*self._side_files(), *sorted(root.rglob("zarr.json"))]
        self.files += [manifest.describe(self.work, path) for path in written]
        manifest.write(self.work, manifest.build(PLAN, self.files))
        return open_result(self.work / RESULT)

    def _nucleus_probability(self) -> Array:
        """Return a different probability per nucleus.

        They give queues an order.
        """
        count = int(self.nuclei.max())
        sure = np.random.default_rng(0).uniform(0.55, 1, count + 1).astype(np.float32)
        sure[0] = 0.02
        return quantise(sure[self.nuclei])

    def _shares(self) -> Array:
        first = np.linspace(1, 0, self.classes.size, dtype=np.float32).reshape(self.classes.shape)
        shares = quantise(np.stack([first, 1 - first]))
        return np.where(self.classes == NOT_COMPUTED, np.uint8(NOT_COMPUTED), shares)

    def _side_files(self) -> list[Path]:
        folder = self.work / RESULT
        table = self._table()
        colours = {item.name: item.rgb for item in CLASSES}
        write_parquet(folder / NUCLEI_TABLE, [table])
        write_nuclei_geojson(folder / NUCLEI_GEOJSON, [table], SLIDE_ID, colours)
        styles = {item.value: ClassStyle(item.name, item.rgb) for item in CLASSES}
        affine, mpp = (0.0, 0.0, 2.0 * CLASS_DOWNSAMPLE), MPP * CLASS_DOWNSAMPLE
        write_tissue_geojson(folder / TISSUE_GEOJSON, self.classes, styles, affine, mpp, SLIDE_ID)
        return [folder / NUCLEI_TABLE, folder / NUCLEI_GEOJSON, folder / TISSUE_GEOJSON]

    def _table(self) -> pa.Table:
        count = int(self.nuclei.max())
        stored = self._nucleus_probability()
        rows: dict[str, Array] = {
            "id": np.arange(1, count + 1, dtype=np.uint32),
            "area": shapes(self.nuclei, count).area.astype(np.int64),
            "nucleus": np.bincount(self.nuclei.ravel(), stored.ravel(), count + 1)[1:],
        }
        tissue = TissueMap(
            self.classes, {item.value: item.name for item in CLASSES}, (0.0, 0.0, 2.0 * CLASS_DOWNSAMPLE)
        )
        region = Region(0, 0, SIDE_PX, SIDE_PX)
        image = self.rgb if self.has_image else None
        return measure(self.nuclei, rows, region, (0.0, 0.0, 2.0), MPP, image, tissue)

    def _array(self, name: str, pixels: Array) -> None:
        side = pixels.shape[-1]
        shard = min(side, self.shard_px)
        create_array(self.work, ArraySpec(name, pixels.shape, pixels.dtype.name, 0, shard, min(shard, 128)))
        self.files += write_shards(self.work, name, Region(0, 0, side, side), pixels)

    def _labels(
        self, name: str, pixels: Array, downsample: int, classes: list[ome_metadata.LabelClass]
    ) -> None:
        scales = ome_metadata.multiscale(name, 2, MPP, downsample, channels=False, kind="mode")
        self._group(f"labels/{name}", ome_metadata.label_attributes(scales, classes))
        self._array(f"labels/{name}/0", pixels)
        self._array(f"labels/{name}/1", mode_of_four(pixels))

    def _probability(
        self, name: str, pixels: Array, downsample: int, classes: tuple[ome_metadata.LabelClass, ...]
    ) -> None:
        scales = ome_metadata.multiscale(name, 1, MPP, downsample, channels=bool(classes), kind="none")
        meaning = {"scale": 1 / PROBABILITY_MAX, "not_computed": NOT_COMPUTED}
        self._group(
            f"probabilities/{name}",
            ome_metadata.image_attributes(name, scales, classes) | {"wsipipe": meaning},
        )
        self._array(f"probabilities/{name}/0", pixels)

    def _group(self, name: str, attributes: dict[str, object]) -> None:
        zarr.create_group(self.work / array_path(name), attributes=json.loads(json.dumps(attributes)))


def in_order(labels: Array) -> Array:
    """Renumber nuclei from 1 in raster order of the first pixel.

    Each is one 4-connected object; slivers are dropped.
    """
    ids = np.unique(labels)
    apart = keep_connected(labels.astype(np.uint32), ids.tolist(), int(ids[-1]) + 1)
    areas = np.bincount(apart.ravel())
    apart[areas[apart] < 5] = 0
    found, first, numbers = np.unique(apart, return_index=True, return_inverse=True)
    order = np.argsort(np.where(found == 0, -1, first), kind="stable")
    final = np.empty(found.size, np.uint32)
    final[order] = np.arange(found.size)
    return final[numbers].reshape(labels.shape)


def _root_attributes(image: bool) -> dict[str, object]:
    scales = ome_metadata.multiscale("image", 2, MPP, 1, channels=True, kind="mean")
    shown = ome_metadata.image_attributes("image", scales, RGB) if image else {}
    about = {
        "slide_id": SLIDE_ID,
        "plan": PLAN,
        "notice": RESEARCH_USE_NOTICE,
        "canvas_mpp": MPP,
        "slide_mpp": MPP / 2,
        "level0_offset_yx": [0.0, 0.0],
        "level0_px_per_canvas_px": 2.0,
    }
    return shown | {"wsipipe": about}
