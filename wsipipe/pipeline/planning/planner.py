"""Check the request once, and plan each slide."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.models.cards.card import ModelCard
from wsipipe.pipeline.planning.facts import InspectedSlide, SlideFacts
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.weight_choice import WeightChooser, weight_chooser
from wsipipe.pipeline.reporting.outcome import SlideWarning
from wsipipe.stages.flow import with_absolute_weights, workflow_cards
from wsipipe.stages.grid import lattice_px
from wsipipe.stages.workflow import Workflow, load_workflow
from wsipipe.tiling.collect import SlideInput

if TYPE_CHECKING:
    from wsipipe.pipeline.cluster.task_pool import TaskPool

Level0Region = tuple[int, int, int, int]
OPENED_WITH_WARNING = "OPENED_WITH_WARNING"


@dataclass(frozen=True)
class RunPlanner:
    """Factory of the plans of one run.

    Attributes:
        workflow: The workflow.
        cards: Cards of its networks, by stage.
        lattice: Unit of canvas sides, px.
        region: Region to compute (y, x, height, width), level-0 px; None for all.
        auto: Precision that ``auto`` means; None for the best where the networks run.
        chooser: Rule by which weights are chosen for each slide; None where the workflow names them.
    """

    workflow: Workflow
    cards: dict[str, ModelCard]
    lattice: int
    region: Level0Region | None
    auto: str | None = None
    chooser: WeightChooser | None = None

    def plan(self, pool: "TaskPool", slide: SlideInput, device: str) -> tuple[Plan, tuple[SlideWarning, ...]]:
        """Open a slide in a worker and plan it.

        Returns:
            The plan, and the warnings raised while the slide was opened.

        Raises:
            WsipipeError: The slide does not open, its um per px is missing, or the region lies outside it.
        """
        from wsipipe.pipeline.planning.slide_facts import inspect_slide

        name = f"{slide.slide_id}.open"
        arguments = (slide, self.workflow.tile.mpp, self.lattice, device, self.coarsest_mpp, self.chooser)
        return self.plan_of(slide, pool.call(name, inspect_slide, *arguments))

    def plan_of(self, slide: SlideInput, found: InspectedSlide) -> tuple[Plan, tuple[SlideWarning, ...]]:
        """Plan a slide from what was found when it was opened.

        Returns:
            The plan, and the warnings raised while the slide was opened.

        Raises:
            ConfigError: The region lies outside the slide.
        """
        part = canvas_part(self.region, found.facts, slide) if self.region else None
        workflow, cards = self.workflow, self.cards
        if self.chooser and found.choice:
            workflow, cards = self.chooser.applied(found.choice, workflow, cards)
        workflow = workflow.in_precision(self.auto or found.precision, only_auto=True)
        warnings = tuple(SlideWarning(OPENED_WITH_WARNING, text) for text in found.warnings)
        return Plan(slide, found.facts, workflow, cards, part, found.choice), warnings

    def check_region(self, slides: Sequence[SlideInput]) -> None:
        """Check that the region meets at least one slide.

        Slides are opened until one meets the region, or one does not open; its own failure reports the cause.
        Where it lies outside some slides only, their plans fail.

        Raises:
            ConfigError: The region lies outside every slide; names the first.
        """
        if self.region is None:
            return
        # The libraries that open slides are loaded only where one is opened.
        from wsipipe.pipeline.planning.slide_facts import inspect_slide

        outside: list[ConfigError] = []
        for slide in slides:
            try:
                facts = inspect_slide(
                    slide, self.workflow.tile.mpp, self.lattice, "cpu", self.coarsest_mpp
                ).facts
            except Exception:  # a damaged slide raises anything
                return
            try:
                canvas_part(self.region, facts, slide)
            except ConfigError as error:
                outside.append(error)
            else:
                return
        raise outside[0]

    @property
    def coarsest_mpp(self) -> float | None:
        """Largest tile.mpp with which all networks work, um per px; None without networks."""
        return min((card.mpp for card in self.cards.values()), default=None)

    def notices(self) -> list[str]:
        """Return messages about weights and region."""
        chosen = [candidate.card for candidate in self.chooser.candidates] if self.chooser else []
        cards = {card.name: card for card in [*self.cards.values(), *chosen]}.values()
        messages = [
            f"The weights {card.name} are for non-commercial research only ({card.licence})."
            for card in cards
            if card.non_commercial
        ]
        if self.region and any(card.stain_reference for card in cards):
            messages.append(
                "Colours are counted in the region alone, so nuclei may differ from a run of the whole slide."
            )
        return messages


def make_planner(
    workflow: str | Path | Workflow, settings: list[str], region: Level0Region | None
) -> RunPlanner:
    """Read and check everything that does not need a slide.

    Raises:
        ConfigError: Workflow, settings, weights or region are invalid; names the key.
    """
    chosen = workflow if isinstance(workflow, Workflow) else load_workflow(workflow, settings)
    cards = workflow_cards(chosen)
    if region is not None and (min(region[:2]) < 0 or min(region[2:]) < 1):
        raise ConfigError(
            f"Invalid --region {_typed(region)}. Give y,x,height,width in level-0 px, with y and x >= 0 and "
            f"height and width > 0."
        )
    absolute, lattice = with_absolute_weights(chosen), lattice_px(chosen.tile.mpp, cards)
    return RunPlanner(absolute, cards, lattice, region, chooser=weight_chooser(absolute, cards))


def canvas_part(region: Level0Region, facts: SlideFacts, slide: SlideInput) -> Region:
    """Return the canvas part of a level-0 region.

    Raises:
        ConfigError: The region lies outside the slide; names both.
    """
    step = facts.grid.step_px0
    y, x = (start - offset for start, offset in zip(region[:2], facts.grid.offset_px0, strict=True))
    top, left, bottom, right = y // step, x // step, -((y + region[2]) // -step), -((x + region[3]) // -step)
    part = Region(int(top), int(left), int(bottom - top), int(right - left)).clipped(facts.grid.shape)
    if not part.area_px:
        height, width = facts.levels[0]
        raise ConfigError(
            f"--region {_typed(region)} lies outside {slide.path}, whose level 0 is {height} px high and "
            f"{width} px wide. Give y,x,height,width inside it."
        )
    return part


def _typed(region: Level0Region) -> str:
    """Return a region as typed on the command line."""
    return ",".join(map(str, region))
