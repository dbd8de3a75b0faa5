"""Open a published slide with the workflow and the networks that it records."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from wsipipe.errors import ModelError, NoResultError, SlideChangedError, StorageError, WsipipeError
from wsipipe.geometry import Orientation
from wsipipe.models.cards.card import ModelCard
from wsipipe.pipeline.certificate.turned import PublishedPixels, turned_grid
from wsipipe.pipeline.reporting.run_record import read_record
from wsipipe.stages.flow import flow_stages, workflow_cards
from wsipipe.stages.grid import CanvasGrid, lattice_px, tissue_downsample
from wsipipe.stages.stage import Stage
from wsipipe.stages.tissue import TISSUE
from wsipipe.stages.workflow import Workflow, workflow_model
from wsipipe.store import manifest
from wsipipe.store.result import Provenance, Result, open_result
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.slide import open_slide


@dataclass(frozen=True)
class OpenedSlide:
    """A published slide, and what its result was computed with.

    Attributes:
        result: The published slide.
        workflow: The recorded workflow, with all values.
        cards: Cards of its networks, by section.
        grid: The canvas.
        pixels: The stored arrays, and the image of the slide where it is not stored.
        networks: Networks of the run as it recorded them, by stage; empty if unknown.
    """

    result: Result
    workflow: Workflow
    cards: dict[str, ModelCard]
    grid: CanvasGrid
    pixels: PublishedPixels
    networks: dict[str, list[str]]

    @property
    def lattice_px(self) -> int:
        """Unit of the sides of the canvas."""
        return lattice_px(self.workflow.tile.mpp, self.cards)

    @property
    def pixels_from(self) -> Literal["store", "slide"]:
        """Source of the image."""
        return "store" if self.pixels.is_stored("image/0") else "slide"

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages on the canvas as it was published."""
        return self.turned_stages(Orientation.R0)

    def turned_stages(self, orientation: Orientation) -> tuple[Stage, ...]:
        """Return all stages on the turned canvas."""
        return flow_stages(self.workflow, self.cards, turned_grid(self.grid, orientation))


@contextmanager
def opened(folder: Path) -> Iterator[OpenedSlide]:
    """Open a published slide.

    Raises:
        NoResultError: It is no finished slide, or the slide is needed and not recorded.
        StorageError: Its files were changed, or its workflow cannot be read.
        ModelError: The weights of the run are missing or are others.
        SlideError: The slide is needed and does not open.
    """
    result = open_result(folder)
    _check_files(result)
    attributes, entry = result.attributes, _run_entry(result)
    workflow = _recorded_workflow(result.folder, attributes)
    cards = _recorded_cards(workflow, attributes)
    shape, networks = _canvas_shape(result, attributes["canvas_mpp"]), entry.get("networks", {})
    offset_y, offset_x = attributes["level0_offset_yx"]
    grid = CanvasGrid(
        shape, attributes["canvas_mpp"], (offset_y, offset_x), attributes["level0_px_per_canvas_px"]
    )
    pixels = PublishedPixels(result.store)
    if pixels.is_stored("image/0"):
        yield OpenedSlide(result, workflow, cards, grid, pixels, networks)
        return
    path = entry.get("path", "")
    if not Path(path).exists() or not path:
        raise NoResultError(
            f"{result.folder} stores no image, and its slide {path or '(not recorded)'} is not there. Put "
            "the slide back, or run the workflow with --image lossless."
        )
    with open_slide(Path(path), entry.get("given_mpp")) as slide:
        canvas = Canvas(slide, workflow.tile.mpp, lattice_px(workflow.tile.mpp, cards))
        if (canvas.shape, canvas.mpp, canvas.offset_px) != (grid.shape, grid.mpp, grid.offset_px0):
            raise SlideChangedError(
                f"{path} has another size or um/px than when {result.folder} was computed. Put the slide "
                "of that run back."
            )
        yield OpenedSlide(result, workflow, cards, grid, PublishedPixels(result.store, canvas), networks)


def _check_files(result: Result) -> None:
    damaged = manifest.damaged(result.folder)
    if damaged:
        raise StorageError(
            f"{result.folder} was changed since it was published: {', '.join(damaged[:3])}"
            f"{' and others' if len(damaged) > 3 else ''}. A changed result is not certified; run the "
            "workflow again with --restart."
        )


def _run_entry(result: Result) -> dict[str, Any]:
    """Return the slide's entry in ``run.json`` beside it; empty if there is none of this plan."""
    try:
        slides = read_record(result.folder.parent)["slides"]
    except WsipipeError:
        return {}
    same = [slide for slide in slides if slide["plan"].get("plan") == result.manifest["plan"]]
    return dict(same[0]) if same else {}


def _recorded_workflow(folder: Path, attributes: Provenance) -> Workflow:
    model = workflow_model()
    further = model.model_fields.keys() - Workflow.model_fields.keys()
    content: dict[str, Any] = dict(attributes["workflow"])
    for name in further & content.keys():
        if content[name] is not None:
            content[name] = {key: value for key, value in content[name].items() if key != "package"}
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise StorageError(
            f"The workflow that {folder} records cannot be read by this version of wsipipe: {error}. "
            "Install the version and the packages that computed it, see run.json."
        ) from error


def _recorded_cards(workflow: Workflow, attributes: Provenance) -> dict[str, ModelCard]:
    cards = workflow_cards(workflow)
    for stage, card in cards.items():
        recorded = attributes["weights"].get(stage, {}).get("sha256")
        if card.sha256 != recorded:
            raise ModelError(
                f"The weights {card.name} of {stage} are not those of the run: their SHA-256 is "
                f"{card.sha256[:12]}..., that of the run {str(recorded)[:12]}.... Install the weights of "
                "the run under the same name."
            )
    return cards


def _canvas_shape(result: Result, mpp: float) -> tuple[int, int]:
    image = result.image
    if image:
        return int(image[0].shape[-2]), int(image[0].shape[-1])
    # The sides of the canvas are multiples of a px of the tissue.
    tissue = result.labels[TISSUE.split("/")[1]][0]
    height, width = (side * tissue_downsample(mpp) for side in tissue.shape)
    return height, width
