"""Collect what the page of a slide shows, as JSON."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsipipe.common.about import RESEARCH_USE_NOTICE, __version__
from wsipipe.geometry import Array
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan, origin
from wsipipe.pipeline.planning.weight_choice import SECTION
from wsipipe.pipeline.publishing.checks import value_counts
from wsipipe.pipeline.publishing.density import MOST_CELLS, density_map
from wsipipe.pipeline.publishing.page.gallery import galleries
from wsipipe.pipeline.publishing.page.pictures import (
    data_uri,
    jpeg,
    jpeg_uri,
    label_image,
    png_uri,
    shown_downsample,
    slide_pixels,
    tissue_outline,
)
from wsipipe.pipeline.publishing.page.request import settings_of, weights_of
from wsipipe.pipeline.publishing.panel_marks import colours_of, tick_values
from wsipipe.stages.segment import AUTO_WEIGHTS
from wsipipe.stages.stage import Stage, Write
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.names import NUCLEI_TABLE, SUMMARY

_STOPS = 9
THUMBNAIL_PX, _THUMBNAIL_QUALITY = 256, 80
"""Longest side of the small picture in the page of the batch."""


def write_page_content(plan: Plan, inputs: ShardInputs, folder: Path, path: Path) -> None:
    """Write what the page of a slide shows.

    It depends on plan and result alone, not on the run.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        folder: Folder with the other files of the result.
        path: JSON file to write, see :class:`wsipipe.pipeline.reporting.slide_page.PageContent`.
    """
    pixels, nuclei = slide_pixels(plan, inputs), folder / NUCLEI_TABLE
    has_nuclei = nuclei.is_file()
    labels = [*plan.published("label")]
    content = {
        "slide": _slide(plan, pixels),
        "outline": png_uri(tissue_outline(plan, inputs, pixels.shape[:2])),
        "thumbnail": _thumbnail(pixels),
        "density": _density(plan, inputs, nuclei) if has_nuclei else None,
        "labels": [
            _label(plan, inputs, stage, write)
            for stage, write in labels
            if write.legend and write.name != TISSUE
        ],
        "galleries": [asdict(found) for found in galleries(plan, inputs, nuclei)] if has_nuclei else [],
        "summary": _summary(folder / SUMMARY),
        "request": _request(plan),
        "files": sorted(each.name for each in folder.iterdir()),
        "notice": RESEARCH_USE_NOTICE,
        "version": __version__,
    }
    # The driver makes a page of it at once, so it need not survive a power failure.
    path.write_text(json.dumps(content), encoding="ascii", newline="\n")


def _slide(plan: Plan, pixels: Array) -> dict[str, object]:
    grid = plan.facts.grid
    height, width = pixels.shape[:2]
    return {
        "picture": jpeg_uri(pixels),
        "height_px": height,
        "width_px": width,
        "um_per_px": grid.mpp * shown_downsample(plan),
        "height_mm": grid.extent_px0[0] * plan.facts.mpp / 1000,
        "width_mm": grid.extent_px0[1] * plan.facts.mpp / 1000,
    }


def _thumbnail(pixels: Array) -> str:
    small = Image.fromarray(pixels)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    return data_uri(jpeg(np.asarray(small), _THUMBNAIL_QUALITY), "jpeg")


def _density(plan: Plan, inputs: ShardInputs, table: Path) -> dict[str, object] | None:
    found = density_map(plan, inputs, table)
    if found is None:
        return None
    image = Image.fromarray(found.pixels())
    place = _place(plan, image, found.cell_px)
    # Print and some viewers do not smooth what they enlarge.
    times = max(1, MOST_CELLS // max(image.size))
    image = image.resize((times * image.width, times * image.height), Image.Resampling.BICUBIC)
    values, decimals = tick_values(found.most)
    shades = colours_of(np.linspace(0, 1, _STOPS))
    return {
        "picture": png_uri(image),
        **place,
        "most": found.most,
        "smoothing_um": found.smoothing_um,
        "ticks": [[value / found.most, f"{value:,.{decimals}f}"] for value in values],
        "stops": [[i / (_STOPS - 1), "#{:02x}{:02x}{:02x}".format(*shade)] for i, shade in enumerate(shades)],
    }


def _place(plan: Plan, image: Image.Image, covered: int) -> dict[str, float]:
    """Return the size of a map on the picture of the slide, whose corner it shares."""
    scale = covered / shown_downsample(plan)
    return {"height_px": image.height * scale, "width_px": image.width * scale}


def _label(plan: Plan, inputs: ShardInputs, stage: Stage, write: Write) -> dict[str, object]:
    image, covered = label_image(plan, inputs, write, stage.downsample)
    counts = value_counts(inputs.array(write.name))
    mm2 = (plan.facts.grid.mpp * stage.downsample / 1000) ** 2
    meaning = {item.name: item.description for card in plan.cards.values() for item in card.outputs}
    classes = [
        {
            "name": item.name,
            "meaning": meaning.get(item.name, ""),
            "colour": "#{:02x}{:02x}{:02x}".format(*item.rgb),
            "area_mm2": float(counts[item.value] * mm2),
        }
        for item in write.legend
    ]
    place = _place(plan, image, covered)
    options = {"transparency": image.info["transparency"]}
    name = write.group.rpartition("/")[2]
    return {
        "name": name,
        "title": write.title,
        "origin": origin(write),
        "picture": png_uri(image, **options),
        **place,
        "classes": classes,
    }


def _summary(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def _request(plan: Plan) -> dict[str, object]:
    workflow, parameters = plan.workflow, plan.parameters()
    region = plan.region
    given = {
        "workflow": workflow.name,
        "description": workflow.description,
        "region": [region.y, region.x, region.height, region.width] if region else None,
        "mask": plan.slide.mask_path.name if plan.slide.mask_path else None,
        "regions": plan.slide.regions_path.name if plan.slide.regions_path else None,
        "sample_id": plan.slide.sample_id,
        "extra": plan.slide.extra,
    }
    chosen: dict[str, Any] = dict(workflow.chosen())
    if plan.choice:
        # What was asked for; the weights themselves have a table of their own.
        chosen[SECTION] = {**chosen[SECTION], "weights": AUTO_WEIGHTS, "quality": plan.choice.quality}
    return given | {
        "choice": asdict(plan.choice) if plan.choice else None,
        "chosen": [*settings_of(chosen)],
        "parameters": [*settings_of(parameters)],
        "weights": [asdict(facts) for facts in weights_of(plan)],
    }
