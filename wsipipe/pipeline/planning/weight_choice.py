"""Choose between the shipped weights for nuclei, slide by slide.

The choice rests on the slide's um per px and on the share of its colour that has hues of the training data.
Both are the same in every orientation, and both are known before the slide is planned: so the weights are
part of the plan, and a run that is resumed chooses the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.shipped import ADAPTING_NUCLEI, FINE_NUCLEI
from wsipipe.stages.flow import network_card
from wsipipe.stages.grid import MPP_TOLERANCE, lattice_px
from wsipipe.stages.hues import LEAST_HUE_SHARE
from wsipipe.stages.workflow import Workflow
from wsipipe.tiling.tissue_params import TissueParams

SECTION = "segment"


@dataclass(frozen=True)
class WeightChoice:
    """The weights of one slide, and why they were chosen.

    Attributes:
        weights: Name of the weights.
        quality: What the user preferred, ``fast`` or ``fine``.
        why: The reason, in words.
    """

    weights: str
    quality: str
    why: str


@dataclass(frozen=True)
class Candidate:
    """Weights that may be chosen, and the canvas that they need.

    Attributes:
        card: Card of the weights.
        mpp: Um per px of the canvas.
        lattice_px: Unit of the canvas's sides, px.
    """

    card: ModelCard
    mpp: float
    lattice_px: int


@dataclass(frozen=True)
class WeightChooser:
    """The rule of ``segment.weights: auto``.

    Attributes:
        quality: What the user prefers, ``fast`` or ``fine``.
        default: Weights for slides that are stained like the training data.
        adapting: Weights for slides with another stain.
        fine: Weights for slides of a finer scale, whatever their stain; None where ``fast`` is preferred.
        tissue: Parameters of tissue detection, since the stain is that of the tissue.
    """

    quality: str
    default: Candidate
    adapting: Candidate
    fine: Candidate | None
    tissue: TissueParams

    def choose(self, slide_mpp: float, hue_share: float | None) -> WeightChoice:
        """Choose the weights of a slide.

        Args:
            slide_mpp: Um per px of level 0.
            hue_share: Share of the tissue's colour that has hues of the default weights' training data; None
                where there is too little tissue to judge.
        """
        if self.fine is None:
            return self._by_stain(hue_share)
        fine, scale = self.fine.card, f"the slide has {slide_mpp:.4g} um/px"
        # These weights adapt colours, so they are right for any stain.
        if slide_mpp <= fine.mpp * (1 + MPP_TOLERANCE):
            return WeightChoice(fine.name, self.quality, scale)
        found = self._by_stain(hue_share)
        return replace(found, why=f"{scale}, but {fine.name} needs about {fine.mpp:g}; {found.why}")

    def _by_stain(self, hue_share: float | None) -> WeightChoice:
        trained, name = self.default.card, self.default.card.name
        if hue_share is None:
            why = "too little stained tissue was found to judge the stain"
        elif hue_share < LEAST_HUE_SHARE:
            name = self.adapting.card.name
            why = f"only {hue_share:.0%} of the tissue's colour has hues that {trained.name} was trained on"
            why += f", as on slides with another stain than {trained.stain}"
        else:
            why = f"{hue_share:.0%} of the tissue's colour has hues of the training data ({trained.stain})"
        return WeightChoice(name, self.quality, why)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All weights that may be chosen."""
        return (self.default, self.adapting, *([self.fine] if self.fine else []))

    def candidate(self, weights: str) -> Candidate:
        """Return the candidate of that name."""
        return next(each for each in self.candidates if each.card.name == weights)

    def applied(
        self, choice: WeightChoice, workflow: Workflow, cards: Mapping[str, ModelCard]
    ) -> tuple[Workflow, dict[str, ModelCard]]:
        """Return a workflow and its cards with the weights of a slide filled in."""
        found = self.candidate(choice.weights)
        tile = _filled(workflow.tile, mpp=found.mpp)
        segment = _filled(workflow.segment, weights=choice.weights, quality=None)
        filled = workflow.model_copy(update={"tile": tile, SECTION: segment})
        return filled, {**cards, SECTION: found.card}

    def causes(self) -> dict[str, Any]:
        """Return all that the choice depends on besides the slide and its plan, as JSON."""
        candidates = [[each.card.sha256, each.mpp, each.lattice_px] for each in self.candidates]
        trained = self.default.card.training_range
        hues = [*trained.hue_degrees] if trained else None
        return {"quality": self.quality, "candidates": candidates, "hues": hues}


def weight_chooser(workflow: Workflow, cards: Mapping[str, ModelCard]) -> WeightChooser | None:
    """Return the rule by which a workflow's weights are chosen; None where it names them.

    Args:
        workflow: The workflow.
        cards: Cards of its networks, by section; that of the default weights for ``auto``.

    Raises:
        ConfigError: Weights are missing, or do not fit the canvas that was set; names the key.
    """
    segment = workflow.segment
    if segment is None or not segment.is_auto:
        return None

    def candidate(weights: str) -> Candidate:
        card = network_card(SECTION, segment, weights)
        # A canvas that the user set is kept; weights that do not fit it are refused.
        mpp = workflow.tile.mpp
        if "mpp" not in workflow.tile.model_fields_set:
            mpp = min(mpp, card.mpp)
        return Candidate(card, mpp, lattice_px(mpp, {**cards, SECTION: card}))

    quality = segment.quality or "fast"
    fine = candidate(FINE_NUCLEI) if quality == "fine" else None
    default, adapting = candidate(segment.card_weights), candidate(ADAPTING_NUCLEI)
    return WeightChooser(quality, default, adapting, fine, workflow.tissue)


def _filled[Params: BaseModel](params: Params | None, **values: object) -> Params | None:
    """Return parameters with values that do not count as set by the user."""
    if params is None:
        return None
    return type(params).model_construct(params.model_fields_set, **{**dict(params), **values})
