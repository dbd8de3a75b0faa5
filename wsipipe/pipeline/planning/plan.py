"""One slide and one workflow -> what will be computed, named by a hash of every cause of the result."""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from wsipipe.common.about import __version__
from wsipipe.common.atomic_files import sha256_of
from wsipipe.errors import ConfigError, ModelError
from wsipipe.geometry import Region
from wsipipe.models.cards.weights import ModelCard, Output, check_known, whole_card
from wsipipe.pipeline.planning.slide_facts import SlideFacts
from wsipipe.pipeline.reporting.run_json import PlanEntry
from wsipipe.stages.classify import CLASS_MAP, CLASS_PROBABILITIES, class_outputs, classify_stage
from wsipipe.stages.grid import model_level
from wsipipe.stages.nuclei.declarations import (
    NUCLEI,
    ClassGrid,
    grow_stage,
    nuclei_stage,
    seeds_stage,
    table_stage,
)
from wsipipe.stages.nuclei.params import InstanceParams, with_card
from wsipipe.stages.pyramid import level_count, mode_of_four, pyramid_stage, rgb_mean
from wsipipe.stages.segment import SegmentParams, probability_name, segment_stage
from wsipipe.stages.stage import Stage, Write
from wsipipe.stages.stain import stain_stage
from wsipipe.stages.tile import image_write, tile_stage
from wsipipe.stages.tissue import TISSUE, tissue_downsample, tissue_stage
from wsipipe.stages.workflow import Workflow
from wsipipe.store.arrays import SCHEMA, ArraySpec
from wsipipe.tiling.collect import SlideInput

MIN_LATTICE_PX = 64


def lattice_px(workflow: Workflow, cards: dict[str, ModelCard]) -> int:
    """Canvas sides are multiples of this, so that every array and network starts at the canvas's corner."""
    mpp = workflow.tile.mpp
    units = [MIN_LATTICE_PX, tissue_downsample(mpp)]
    units += [card.lattice_px << model_level(card, mpp, stage) for stage, card in cards.items()]
    return max(units)


def workflow_cards(workflow: Workflow) -> dict[str, ModelCard]:
    """Cards of the networks that a workflow uses, by stage.

    Raises:
        ConfigError: Weights are missing or their card is not readable; names the key.
    """
    cards: dict[str, ModelCard] = {}
    for stage, section in (("segment", workflow.segment), ("classify", workflow.classify)):
        try:
            cards |= {stage: whole_card(section.weights)} if section else {}
            if stage == "classify" and workflow.classify and workflow.classify.unknown:
                check_known(workflow.classify.weights, cards[stage])
        except ModelError as error:
            raise ConfigError(f"{stage}.weights: {error}") from error
    return cards


def context_px(stages: Iterable[Stage]) -> int:
    """How far beyond its core a stage sees the image, at most, in canvas px."""
    reads = (read for stage in stages for read in stage.reads if read.name.startswith("image/"))
    return max((read.halo_px * read.downsample for read in reads), default=0)


@dataclass(frozen=True)
class Plan:
    """Everything that determines a slide's result; picklable, without pixels.

    Attributes:
        slide: Which file, under which id.
        facts: What the file holds.
        workflow: What is done.
        cards: Cards of its networks, by stage.
        region: Canvas part (y, x, height, width in canvas px) to which the work is confined; None for all.
    """

    slide: SlideInput
    facts: SlideFacts
    workflow: Workflow
    cards: dict[str, ModelCard]
    region: Region | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the stages: they hold closures, which every process makes for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "stages"}

    @cached_property
    def id(self) -> str:
        """Hex SHA-256 over every cause of the result; names the work directory."""
        causes = {
            "schema": SCHEMA,
            "version": __version__,
            "slide": asdict(self.facts),
            "workflow": self.workflow.causes(),
            "instances": self.instances.model_dump(mode="json") if self.workflow.instances else None,
            "region": asdict(self.region) if self.region else None,
            "given_mask": sha256_of(self.slide.mask_path) if self.slide.mask_path else None,
            # Which groups were learnt changes no result; cards of earlier versions do not have it.
            "models": {
                stage: card.model_dump(mode="json", exclude={"learnt_groups"})
                for stage, card in self.cards.items()
            },
        }
        return hashlib.sha256(json.dumps(causes, sort_keys=True).encode()).hexdigest()

    @property
    def instances(self) -> InstanceParams:
        """Parameters of the instance stages; what the workflow leaves open is as the weights' card has it.

        Raises:
            ConfigError: Workflow and card together make no valid parameters.
        """
        return with_card(self.workflow.instances or InstanceParams(), self.cards["segment"])

    def parameters(self) -> dict[str, Any]:
        """The values that each stage runs with, by section of the workflow; those of the cards included."""
        values = self.workflow.causes()
        if self.workflow.instances:
            values["instances"] = self.instances.model_dump(mode="json")
        return values

    @property
    def classes(self) -> tuple[Output, ...]:
        """Names and colours of the class map's values 0, 1, ...; empty without one."""
        section = self.workflow.classify
        return class_outputs(self.cards["classify"], section) if section else ()

    @property
    def classes_of(self) -> str:
        """Organ and stain that the tissue classes were learnt from, as ``colon, H&E``; empty without them."""
        card = self.cards.get("classify")
        return ", ".join(filter(None, (card.organ, card.stain))) if card else ""

    def with_smaller_patches(self, times: int) -> "Plan":
        """The same plan in smaller passes of the networks: the same result from less memory."""
        return replace(self, workflow=self.workflow.with_smaller_patches(times)) if times else self

    @property
    def levels(self) -> int:
        """Pyramid levels of the image and of every label; down to the one that each network reads."""
        frame = self.facts.frame
        read = [1 + model_level(card, frame.mpp, stage) for stage, card in self.cards.items()]
        return max(level_count(frame.shape), *read, 1)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The walk of the data: tissue first, for it tells which shards deserve effort."""
        workflow, frame = self.workflow, self.facts.frame
        readers: list[Stage] = []
        if workflow.classify:
            readers.append(classify_stage(workflow.classify, self.cards["classify"], frame))
            readers += self._label_levels(CLASS_MAP)
        if workflow.segment:
            readers += self._nuclei_stages()
        tissue = [self._tissue_stage(), *self._label_levels(TISSUE)]
        return *tissue, *self._image_stages(context_px(readers)), *readers

    def _image_stages(self, context_px: int) -> list[Stage]:
        tile = self.workflow.tile
        if tile.image == "none":
            return []
        # Networks see beyond the region's edge what they would see in a run of the whole slide; only colours
        # (stage stain) are counted in this part alone.
        region = self.region.grown(context_px) if self.region else None
        coarser = [
            pyramid_stage(image_write(0, tile), level, 1, tile.shard_px, rgb_mean)
            for level in range(1, self.levels)
        ]
        return [tile_stage(tile, self.facts.frame, region), *coarser]

    def _tissue_stage(self) -> Stage:
        frame, given = self.facts.frame, self.slide.mask_path is not None
        return tissue_stage(self.workflow.tissue, frame, self.workflow.tile.shard_px, self.region, given)

    def _nuclei_stages(self) -> list[Stage]:
        workflow, frame, params = self.workflow, self.facts.frame, self.instances
        side, segment = workflow.tile.shard_px, workflow.segment or SegmentParams()
        downsample, card = self.downsample(NUCLEI), self.cards["segment"]
        stages = [
            *([stain_stage(card, card.stain_reference, frame, side)] if card.stain_reference else []),
            segment_stage(segment, card, frame, side),
            seeds_stage(params, frame, downsample, side),
            grow_stage(params, frame, downsample, side),
            nuclei_stage(downsample, side),
            *self._label_levels(NUCLEI),
        ]
        classes = None
        if workflow.classify:
            names = tuple(output.name for output in self.classes)
            classes = ClassGrid(self.downsample(CLASS_MAP), names)
        stages.append(table_stage(frame, downsample, side, classes))
        return stages

    def _label_levels(self, name: str) -> list[Stage]:
        fill = {NUCLEI: 0}.get(name, 255)
        write = Write(name, "uint32" if name == NUCLEI else "uint8", fill)
        return [
            pyramid_stage(write, level, self.downsample(name), self.workflow.tile.shard_px, mode_of_four)
            for level in range(1, self.levels)
        ]

    def downsample(self, name: str) -> int:
        """Canvas px per px of level 0 of a label or probability array."""
        mpp = self.facts.frame.mpp
        if name == TISSUE:
            return tissue_downsample(mpp)
        stage = "classify" if name in (CLASS_MAP, CLASS_PROBABILITIES) else "segment"
        card = self.cards[stage]
        return card.stride << model_level(card, mpp, stage)

    def specs(self, stage: Stage) -> list[ArraySpec]:
        """The arrays that a stage makes."""
        shape = self.facts.frame.shape_at(stage.downsample)
        chunk_px = self.workflow.tile.chunk_px
        if stage.shard_px % chunk_px:
            chunk_px = stage.shard_px
        return [
            ArraySpec(
                write.name,
                (len(write.channels), *shape) if write.channels else shape,
                write.dtype,
                write.fill,
                stage.shard_px,
                chunk_px,
                write.codec,
            )
            for write in stage.writes
        ]

    def probability_arrays(self) -> dict[str, int]:
        """Published probability arrays: name -> canvas px per px."""
        found: dict[str, int] = {}
        if "segment" in self.cards:
            names = [probability_name(output) for output in self.cards["segment"].output_names]
            found |= {name: self.downsample(name) for name in names}
        if "classify" in self.cards:
            found[CLASS_PROBABILITIES] = self.downsample(CLASS_PROBABILITIES)
        return found

    def summary(self) -> PlanEntry:
        """What a dry run prints and run.json keeps."""
        frame = self.facts.frame
        return {
            "slide_id": self.slide.slide_id,
            "path": str(self.slide.path),
            "plan": self.id,
            "vendor": self.facts.vendor,
            "mpp": self.facts.mpp,
            "mpp_source": self.facts.mpp_source,
            "canvas_mpp": frame.mpp,
            "canvas_shape": list(frame.shape),
            "parameters": self.parameters(),
            "stages": [stage.name for stage in self.stages],
            "classes_of": self.classes_of,
            "shards": {stage.name: math.prod(stage.grid_shape(frame)) for stage in self.stages},
        }
