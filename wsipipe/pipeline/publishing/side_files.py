"""Write side files: tables, GeoJSON, checks and pictures.

The tables are GeoParquet, and the GeoJSON is for QuPath.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsipipe.pipeline.execution.nuclei_part import join_features, nuclei_parts, table_schema
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.checks import check_slide, tissue_area
from wsipipe.pipeline.publishing.nuclei_summary import summarise_nuclei
from wsipipe.pipeline.publishing.overview import draw_overview
from wsipipe.stages.stage import Stage, Write
from wsipipe.store.geojson import ClassStyle, write_tissue_geojson
from wsipipe.store.geoparquet import in_id_order, write_parquet
from wsipipe.store.layout import RESULT
from wsipipe.store.names import CHECKS, NUCLEI_GEOJSON, NUCLEI_TABLE, OVERVIEW
from wsipipe.tiling.readers.openslide_reader import label_images


def write_side_files(plan: Plan, work: Path) -> list[Path]:
    """Write the side files, and return their paths."""
    folder = work / RESULT
    written = []
    for stage in plan.stages:
        if stage.nuclei_rows:
            written += _write_nuclei(plan, work / "parts" / stage.name, folder)
    with ShardInputs(plan, work) as inputs:
        for stage, write in plan.published("label"):
            if write.polygons:
                written.append(_write_polygons(plan, stage, write, inputs, folder))
        nuclei: dict[str, Any] = {}
        if (folder / NUCLEI_TABLE).is_file():
            nuclei = summarise_nuclei(plan, folder / NUCLEI_TABLE, tissue_area(plan, inputs))
        warnings = check_slide(plan, inputs, work / "tables", folder / CHECKS, nuclei)
        draw_overview(plan, inputs, work / "tables", folder / OVERVIEW, warnings)
        written += [folder / CHECKS, folder / OVERVIEW]
    if plan.workflow.label_images:
        written += _write_label_images(plan, folder)
    return written


def _write_label_images(plan: Plan, folder: Path) -> list[Path]:
    """Write ``label.png`` and ``macro.png``, only on request: they may identify the patient."""
    written = []
    for name, pixels in sorted(label_images(plan.slide.path).items()):
        Image.fromarray(pixels).save(folder / f"{name}.png")
        written.append(folder / f"{name}.png")
    return written


def _write_nuclei(plan: Plan, parts_folder: Path, folder: Path) -> list[Path]:
    """Write the nuclei as GeoParquet and GeoJSON, from what the shards have."""
    parts = nuclei_parts(parts_folder)
    write_parquet(folder / NUCLEI_TABLE, in_id_order(parts), table_schema(plan))
    join_features(folder / NUCLEI_GEOJSON, parts)
    return [folder / NUCLEI_TABLE, folder / NUCLEI_GEOJSON]


def _write_polygons(plan: Plan, stage: Stage, write: Write, inputs: ShardInputs, folder: Path) -> Path:
    """Write a label's connected regions as GeoJSON features."""
    grid, path = plan.facts.grid, folder / f"{write.group.rpartition('/')[2]}.geojson"
    styles = {item.value: ClassStyle(item.name, item.rgb) for item in write.legend}
    affine, mpp = grid.affine_at(stage.downsample), grid.mpp * stage.downsample
    write_tissue_geojson(
        path, np.asarray(inputs.array(write.name)[...]), styles, affine, mpp, plan.slide.slide_id
    )
    return path
