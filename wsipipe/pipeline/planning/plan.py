"""The plan of a slide: everything that determines its result."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from wsipipe.common.about import __version__
from wsipipe.common.atomic_files import sha256_of
from wsipipe.geometry import Region
from wsipipe.models.cards.card import ModelCard
from wsipipe.pipeline.planning.facts import SlideFacts
from wsipipe.pipeline.planning.weight_choice import WeightChoice
from wsipipe.pipeline.reporting.run_json import PlanEntry
from wsipipe.stages.flow import completed, flow_levels, flow_stages
from wsipipe.stages.stage import Kind, Stage, Write
from wsipipe.stages.workflow import Workflow
from wsipipe.store.layout import SCHEMA, ArraySpec
from wsipipe.tiling.collect import SlideInput

_DERIVED = ("stages", "completed_workflow")


@dataclass(frozen=True)
class Plan:
    """Everything that determines a slide's result.

    A plan is picklable and contains no pixels.

    Attributes:
        slide: File and id of the slide.
        facts: Facts about the file.
        workflow: The workflow as chosen.
        cards: Cards of its networks, by section.
        region: Part of the canvas that is computed (y, x, height, width in canvas px); None for all.
        choice: Why the weights were chosen; None where the workflow named them. The weights themselves are in
            ``workflow`` and ``cards``.
    """

    slide: SlideInput
    facts: SlideFacts
    workflow: Workflow
    cards: dict[str, ModelCard]
    region: Region | None = None
    choice: WeightChoice | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what every process derives for itself; stages contain closures."""
        return {name: value for name, value in self.__dict__.items() if name not in _DERIVED}

    @cached_property
    def id(self) -> str:
        """Hex SHA-256 of all that determines the result; part of the work directory's name."""
        causes = {
            "schema": SCHEMA,
            "version": __version__,
            "slide": asdict(self.facts),
            "workflow": self.parameters(),
            "region": asdict(self.region) if self.region else None,
            "given_mask": sha256_of(self.slide.mask_path) if self.slide.mask_path else None,
            **({"regions": sha256_of(self.slide.regions_path)} if self.slide.regions_path else {}),
            # The trained groups of a network do not affect the result; cards of earlier versions lack them.
            "models": {
                stage: card.model_dump(mode="json", exclude={"trained_groups"})
                for stage, card in self.cards.items()
            },
        }
        return hashlib.sha256(json.dumps(causes, sort_keys=True).encode()).hexdigest()

    @cached_property
    def completed_workflow(self) -> Workflow:
        """The workflow with open values filled in from the cards of its weights.

        Raises:
            ConfigError: Workflow and card together are not valid parameters.
        """
        return completed(self.workflow, self.cards)

    def parameters(self) -> dict[str, object]:
        """Return all parameters by section, cards included."""
        return self.completed_workflow.causes()

    def with_smaller_patches(self, times: int) -> "Plan":
        """Return the plan with smaller patches: the same result with less memory."""
        return replace(self, workflow=self.workflow.with_smaller_patches(times)) if times else self

    @property
    def levels(self) -> int:
        """Pyramid levels of the image and of every label."""
        return flow_levels(self.facts.grid, self.cards)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages in the order in which they run."""
        mask_given = self.slide.mask_path is not None
        return flow_stages(self.completed_workflow, self.cards, self.facts.grid, self.region, mask_given)

    def stage(self, name: str) -> Stage:
        """Return the stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def published(self, kind: Kind) -> Iterator[tuple[Stage, Write]]:
        """Yield the finest level of each published array of a kind, and its stage."""
        for stage in self.stages:
            for write in stage.writes:
                if write.kind == kind and write.published and write.name.endswith("/0"):
                    yield stage, write

    def downsample(self, name: str) -> int:
        """Return canvas px per px of an array."""
        return next(stage.downsample for stage in self.stages for write in stage.writes if write.name == name)

    def specs(self, stage: Stage) -> list[ArraySpec]:
        """Return specifications of the arrays of a stage."""
        shape = self.facts.grid.shape_at(stage.downsample)
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

    def summary(self) -> PlanEntry:
        """Return a summary of the plan for dry runs and ``run.json``."""
        grid = self.facts.grid
        entry: PlanEntry = {
            "slide_id": self.slide.slide_id,
            "path": str(self.slide.path),
            "plan": self.id,
            "vendor": self.facts.vendor,
            "mpp": self.facts.mpp,
            "mpp_source": self.facts.mpp_source,
            "canvas_mpp": grid.mpp,
            "canvas_shape": list(grid.shape),
            "parameters": self.parameters(),
            "stages": [stage.name for stage in self.stages],
            "classes_of": "; ".join(filter(None, (origin(write) for _, write in self.published("label")))),
            "shards": {stage.name: math.prod(stage.grid_shape(grid)) for stage in self.stages},
        }
        if self.choice:
            entry["choice"] = asdict(self.choice)
        return entry


def origin(write: Write) -> str:
    """Return the organ and stain of a label's classes, as ``colon, H&E``; empty if unknown."""
    values = (write.about.get(key) for key in ("organ", "stain"))
    return ", ".join(str(value) for value in values if value)
