"""Stages of a workflow in execution order.

Tissue comes first because it decides which shards are computed.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from wsipipe.errors import ConfigError, ModelError
from wsipipe.geometry import Region
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.models.cards.weights import find_weights, known_models, verified_card
from wsipipe.stages.classify import CLASS_MAP, ClassifyParams, classify_stage
from wsipipe.stages.grid import CanvasGrid, network_level
from wsipipe.stages.imported import imported_stages
from wsipipe.stages.nuclei.params import InstanceParams, with_card
from wsipipe.stages.nuclei.positivity import MeasureParams
from wsipipe.stages.pyramid import level_count, pyramid_stage
from wsipipe.stages.quality.params import QualityParams
from wsipipe.stages.quality.stages import focus_grid, focus_stage, quality_stage
from wsipipe.stages.segment import SegmentParams, segment_stage
from wsipipe.stages.stage import Stage
from wsipipe.stages.stage_params import NetworkParams, StageContext
from wsipipe.stages.stain import stain_stage
from wsipipe.stages.tile import image_write, tile_stage
from wsipipe.stages.tissue import TISSUE, TISSUE_FOUND, tissue_stage
from wsipipe.stages.workflow import Workflow


def workflow_cards(workflow: Workflow) -> dict[str, ModelCard]:
    """Return the cards of a workflow's networks, by section.

    Where weights are chosen for each slide, it is the card of the default weights.

    Raises:
        ConfigError: Weights are missing or their card is not readable; names the key.
    """
    networks = workflow.networks().items()
    return {name: network_card(name, params, params.card_weights) for name, params in networks}


def network_card(section: str, params: NetworkParams, weights: str) -> ModelCard:
    """Return the card of weights after checking that a section can run them.

    Raises:
        ConfigError: They are missing, their card is not readable or does not fit; names the key.
    """
    try:
        card = verified_card(weights)
        params.check_card(card)
        card.check_runnable()
    except ModelError as error:
        raise ConfigError(f"{section}.weights: {error}") from error
    return card


def with_absolute_weights(workflow: Workflow) -> Workflow:
    """Return the workflow with absolute paths of weights that are files.

    Workers, and a later ``retry``, may have another working directory. Names of models stay names.
    """
    files = {
        name: params.model_copy(update={"weights": os.path.abspath(find_weights(params.weights))})
        for name, params in workflow.networks().items()
        if params.card_weights not in known_models()
    }
    return workflow.model_copy(update=files)


def completed(workflow: Workflow, cards: Mapping[str, ModelCard]) -> Workflow:
    """Return the workflow with open values filled in from the cards of its weights.

    The parameters of nuclei stay open where weights are chosen for each slide.

    Raises:
        ConfigError: Workflow and card together make no valid parameters.
    """
    # ONNX networks run in float32 whatever was chosen, and the record of the run states what ran.
    sections = workflow.networks().items()
    update: dict[str, object] = {
        name: params.model_copy(update={"precision": "float32"})
        for name, params in sections
        if isinstance(cards.get(name), OnnxCard)
    }
    is_auto = workflow.segment is not None and workflow.segment.is_auto
    if workflow.instances is not None and not is_auto:
        update["instances"] = with_card(workflow.instances, cards["segment"])
    return workflow.model_copy(update=update)


def flow_levels(grid: CanvasGrid, cards: Mapping[str, ModelCard]) -> int:
    """Return the pyramid levels of image and labels.

    They reach at least the level that each network reads.
    """
    read = [1 + network_level(card, grid.mpp, stage) for stage, card in cards.items()]
    return max(level_count(grid.shape), *read, 1)


def flow_stages(
    workflow: Workflow,
    cards: Mapping[str, ModelCard],
    grid: CanvasGrid,
    region: Region | None = None,
    mask_given: bool = False,
) -> tuple[Stage, ...]:
    """Return all stages of a workflow in execution order.

    Args:
        workflow: The workflow, completed from the cards.
        cards: Cards of its networks, by section.
        grid: The canvas.
        region: Part of the canvas that is computed; None for all.
        mask_given: Whether a tissue mask came with the slide.
    """
    side, levels = workflow.tile.shard_px, flow_levels(grid, cards)
    context = StageContext(grid, side, levels, cards, {})
    name, kept = found_tissue(workflow), workflow.quality is not None
    tissue = [tissue_stage(workflow.tissue, grid, side, region, mask_given, name, kept)]
    first, context = _with_levels(tissue, context)
    # The declarations of the image do not depend on the region, which in turn depends on all readers.
    _, context = _with_levels([tile_stage(workflow.tile, None)], context)
    readers: list[Stage] = []
    for section in _sections(workflow):
        added, context = _with_levels(section(context), context)
        readers += added
    return *first, *_image_stages(workflow, levels, region, context_px(readers)), *readers


def context_px(stages: Iterable[Stage]) -> int:
    """Return the largest halo of image reads, canvas px."""
    reads = (read for stage in stages for read in stage.reads if read.name.startswith("image/"))
    return max((read.halo_px * read.downsample for read in reads), default=0)


def _image_stages(workflow: Workflow, levels: int, region: Region | None, context_px: int) -> list[Stage]:
    tile = workflow.tile
    if tile.image == "none":
        return []
    # Networks see the same pixels beyond the region's edge as in a run of the whole slide; only the colours
    # of the stage stain are counted in the region alone.
    seen = region.grown(context_px) if region else None
    coarser = [pyramid_stage(image_write(0, tile), level, 1, tile.shard_px) for level in range(1, levels)]
    return [tile_stage(tile, seen), *coarser]


def _sections(workflow: Workflow) -> list[Callable[[StageContext], Sequence[Stage]]]:
    """Return the sections that read the image, in order."""
    first: list[Callable[[StageContext], Sequence[Stage]]] = []
    found: list[Callable[[StageContext], Sequence[Stage]]] = []
    last: list[Callable[[StageContext], Sequence[Stage]]] = []
    if workflow.quality:
        # Everything that reads the tissue waits for faults that are left out of it.
        (last if found_tissue(workflow) == TISSUE else first).append(
            partial(_quality, workflow.quality, found_tissue(workflow))
        )
    if workflow.classify:
        found.append(partial(_classes, workflow.classify))
    if workflow.imported:
        found.append(partial(imported_stages, workflow.imported))
    if workflow.segment and workflow.instances:
        found.append(partial(_nuclei, workflow.segment, workflow.instances, workflow.measure))
    return [*first, *found, *(section.stages for section in workflow.further().values()), *last]


def found_tissue(workflow: Workflow) -> str:
    """Return the name of the array of tissue before faults are left out."""
    return TISSUE_FOUND if workflow.quality and workflow.quality.leave_out else TISSUE


def _quality(params: QualityParams, tissue: str, context: StageContext) -> list[Stage]:
    focus = focus_grid(context.grid, context.levels)
    measured = [focus_stage(focus, context.grid, context.shard_px, tissue)] if focus else []
    return [*measured, quality_stage(params, context.grid, context.shard_px, tissue, focus is not None)]


def _classes(params: ClassifyParams, context: StageContext) -> list[Stage]:
    return [classify_stage(params, context.cards["classify"], context.grid)]


def _nuclei(
    segment: SegmentParams, instances: InstanceParams, measure: MeasureParams, context: StageContext
) -> list[Stage]:
    # These import scipy, shapely and pyarrow, which no other section needs.
    from wsipipe.stages.nuclei.grow import grow_stage
    from wsipipe.stages.nuclei.relabel import nuclei_stage
    from wsipipe.stages.nuclei.seeds import seeds_stage
    from wsipipe.stages.nuclei.table import ClassGrid, table_stage

    grid, side, card = context.grid, context.shard_px, context.cards["segment"]
    probabilities = segment_stage(segment, card, grid, side, instances.nucleus_level)
    downsample = probabilities.downsample
    types = segment.types_of(card)
    legend = [output.model_dump(mode="json", include={"name", "color"}) for output in card.type_outputs]
    classes = None
    if CLASS_MAP in context.arrays:
        class_downsample, write = context.arrays[CLASS_MAP]
        classes = ClassGrid(class_downsample, tuple(item.name for item in write.legend))
    return [
        *([stain_stage(card, card.stain_reference, grid, side)] if card.stain_reference else []),
        probabilities,
        seeds_stage(instances, grid, downsample, side),
        grow_stage(instances, grid, downsample, side),
        nuclei_stage(downsample, side, legend if types else []),
        table_stage(
            grid, downsample, side, classes, types, positivity=measure if measure.positivity else None
        ),
    ]


def _with_levels(stages: Iterable[Stage], context: StageContext) -> tuple[list[Stage], StageContext]:
    """Return stages with pyramids, and the later context."""
    found: list[Stage] = []
    for stage in stages:
        found.append(stage)
        found += [
            pyramid_stage(write, level, stage.downsample, context.shard_px)
            for write in stage.writes
            if write.has_pyramid
            for level in range(1, context.levels)
        ]
    arrays = {write.name: (stage.downsample, write) for stage in found for write in stage.writes}
    return found, replace(context, arrays={**context.arrays, **arrays})
