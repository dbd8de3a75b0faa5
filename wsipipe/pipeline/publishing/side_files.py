"""Write side files: tables, GeoJSON, checks and pictures.

The tables are GeoParquet, and the GeoJSON is for QuPath.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from wsipipe.geometry import Array
from wsipipe.pipeline.execution.nuclei_part import join_features, nuclei_parts, table_schema
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.checks import check_slide, tissue_area
from wsipipe.pipeline.publishing.nuclei_summary import summarise_nuclei
from wsipipe.pipeline.publishing.overview import draw_overview
from wsipipe.pipeline.publishing.page.content import write_page_content
from wsipipe.pipeline.publishing.summary import write_summary
from wsipipe.pipeline.work_folders import PAGE_CONTENT
from wsipipe.stages.stage import Stage, Write
from wsipipe.store.geojson import ClassStyle, write_tissue_geojson
from wsipipe.store.geoparquet import in_id_order, with_columns, write_parquet
from wsipipe.store.layout import RESULT
from wsipipe.store.names import CHECKS, NUCLEI_GEOJSON, NUCLEI_TABLE, OVERVIEW, SUMMARY
from wsipipe.store.neighbours import measure_neighbours
from wsipipe.store.nuclei_table import published_schema
from wsipipe.store.regions import Regions, region_column, write_regions
from wsipipe.tiling.readers.openslide_reader import label_images
from wsipipe.tiling.regions import read_regions


def write_side_files(plan: Plan, work: Path) -> list[Path]:
    """Write the side files, and return their paths."""
    folder = work / RESULT
    written = []
    regions: Regions = {}
    if plan.slide.regions_path:
        regions = read_regions(plan.slide.regions_path, plan.facts.grid.extent_px0)
        written.append(write_regions(folder, regions))
    for stage in plan.stages:
        if stage.nuclei_rows:
            written += _write_nuclei(plan, stage, work / "parts" / stage.name, folder, regions)
    with ShardInputs(plan, work) as inputs:
        for stage, write in plan.published("label"):
            if write.polygons:
                written.append(_write_polygons(plan, stage, write, inputs, folder))
        nuclei: dict[str, Any] = {}
        if (folder / NUCLEI_TABLE).is_file():
            nuclei = summarise_nuclei(plan, folder / NUCLEI_TABLE, tissue_area(plan, inputs))
        warnings = check_slide(plan, inputs, work / "tables", folder / CHECKS, nuclei)
        draw_overview(plan, inputs, work / "tables", folder / OVERVIEW, warnings)
        write_summary(plan, inputs, folder, regions)
        written += [folder / CHECKS, folder / OVERVIEW, folder / SUMMARY]
        if plan.workflow.label_images:
            written += _write_label_images(plan, folder)
        write_page_content(plan, inputs, folder, work / PAGE_CONTENT)
    return written


def _write_label_images(plan: Plan, folder: Path) -> list[Path]:
    """Write ``label.png`` and ``macro.png``, only on request: they may identify the patient."""
    written = []
    for name, pixels in sorted(label_images(plan.slide.path).items()):
        Image.fromarray(pixels).save(folder / f"{name}.png")
        written.append(folder / f"{name}.png")
    return written


def _write_nuclei(plan: Plan, stage: Stage, parts_folder: Path, folder: Path, regions: Regions) -> list[Path]:
    """Write the nuclei as GeoParquet and GeoJSON, from what the shards have."""
    parts = nuclei_parts(parts_folder)
    grid = plan.facts.grid
    centroids = _centroids(parts)
    affine, mpp = grid.affine_at(stage.downsample), grid.mpp * stage.downsample
    added = measure_neighbours(centroids, affine, mpp) | {"region": region_column(regions, centroids)}
    columns = published_schema(table_schema(plan))
    write_parquet(folder / NUCLEI_TABLE, with_columns(in_id_order(parts), added), columns)
    join_features(folder / NUCLEI_GEOJSON, parts)
    return [folder / NUCLEI_TABLE, folder / NUCLEI_GEOJSON]


def _centroids(parts: list[Path]) -> Array:
    """Return the centroids (n, 2) float64 (y, x) of all nuclei by id, level-0 px."""
    names = ["id", "centroid_y_px0", "centroid_x_px0"]
    tables = [pq.read_table(part, columns=names) for part in parts]
    found = np.empty((sum(table.num_rows for table in tables), 2))
    for table in tables:
        ids, *axes = (table[name].to_numpy() for name in names)
        found[ids - 1] = np.stack(axes, axis=1)
    return found


def _write_polygons(plan: Plan, stage: Stage, write: Write, inputs: ShardInputs, folder: Path) -> Path:
    """Write a label's connected regions as GeoJSON features."""
    grid, path = plan.facts.grid, folder / f"{write.group.rpartition('/')[2]}.geojson"
    styles = {item.value: ClassStyle(item.name, item.rgb) for item in write.legend}
    affine, mpp = grid.affine_at(stage.downsample), grid.mpp * stage.downsample
    write_tissue_geojson(
        path, np.asarray(inputs.array(write.name)[...]), styles, affine, mpp, plan.slide.slide_id
    )
    return path
