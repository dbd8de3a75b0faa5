"""A finished slide's arrays -> files for other tools: GeoParquet, GeoJSON for QuPath, an overview picture."""

from pathlib import Path

from PIL import Image

from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.checks import check_slide
from wsipipe.pipeline.publishing.overview import draw_overview
from wsipipe.stages.classify import CLASS_MAP
from wsipipe.store.arrays import RESULT
from wsipipe.store.geojson import ClassStyle, write_nuclei_geojson, write_tissue_geojson
from wsipipe.store.geoparquet import in_id_order, write_parquet
from wsipipe.store.names import CHECKS, NUCLEI_GEOJSON, NUCLEI_TABLE, OVERVIEW, TISSUE_GEOJSON
from wsipipe.tiling.readers.openslide_reader import label_images


def export(plan: Plan, work: Path) -> list[Path]:
    """Writes the side files of a slide into the result folder; returns their paths."""
    folder = work / RESULT
    written = []
    if plan.workflow.segment:
        parts = sorted((work / "parts" / "table").glob("*.parquet"))
        colours = {output.name: output.color for output in plan.classes}
        write_parquet(folder / NUCLEI_TABLE, in_id_order(parts))
        write_nuclei_geojson(folder / NUCLEI_GEOJSON, in_id_order(parts), plan.slide.slide_id, colours)
        written += [folder / NUCLEI_TABLE, folder / NUCLEI_GEOJSON]
    with ShardInputs(plan, work) as sources:
        if plan.workflow.classify:
            _export_classes(plan, sources, folder / TISSUE_GEOJSON)
            written.append(folder / TISSUE_GEOJSON)
        warnings = check_slide(plan, sources, work / "tables", folder / CHECKS)
        draw_overview(plan, sources, work / "tables", folder / OVERVIEW, warnings)
        written += [folder / CHECKS, folder / OVERVIEW]
    if plan.workflow.label_images:
        written += _export_photographs(plan, folder)
    return written


def _export_photographs(plan: Plan, folder: Path) -> list[Path]:
    """``label.png`` and ``macro.png``: only on request, for they may show who the patient is."""
    written = []
    for name, pixels in sorted(label_images(plan.slide.path).items()):
        Image.fromarray(pixels).save(folder / f"{name}.png")
        written.append(folder / f"{name}.png")
    return written


def _export_classes(plan: Plan, sources: ShardInputs, path: Path) -> None:
    frame, downsample = plan.facts.frame, plan.downsample(CLASS_MAP)
    styles = {value: ClassStyle(output.name, output.color) for value, output in enumerate(plan.classes)}
    classes = sources.array(CLASS_MAP)[...]
    write_tissue_geojson(
        path, classes, styles, frame.affine_at(downsample), frame.mpp * downsample, plan.slide.slide_id
    )
