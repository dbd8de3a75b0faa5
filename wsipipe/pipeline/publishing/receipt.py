"""Store what the plan of a finished slide was made from.

A later run then need not open the slide. The receipt is no part of the result: it is in ``OUT/.work``, names
versions of this machine, and may be deleted at any time. Without it a worker opens the slide, as in a first
run.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wsipipe.common.atomic_files import write_json
from wsipipe.errors import StorageError
from wsipipe.pipeline.planning.facts import InspectedSlide, SlideFacts
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.weight_choice import WeightChoice, WeightChooser
from wsipipe.pipeline.reporting.run_json import PlanEntry
from wsipipe.pipeline.work_folders import WORK
from wsipipe.stages.grid import CanvasGrid
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.readers.environment import reader_environment
from wsipipe.tiling.readers.files import fingerprint

RECEIPTS = "receipts"


@dataclass(frozen=True)
class Receipt:
    """What the plan of a finished slide was made from.

    Attributes:
        facts: Facts about the file, as found when it was opened.
        warnings: Texts of the warnings raised while it was opened.
        summary: Summary of the plan.
        nuclei: Number of rows of the nuclei table; None without a table.
        table: State of the nuclei table, see :func:`table_state`.
        opened_with: What the facts depend on besides the file, see :func:`opened_with`.
        choice: Weights that were chosen for the slide; None where the workflow names them.
    """

    facts: SlideFacts
    warnings: tuple[str, ...]
    summary: PlanEntry
    nuclei: int | None
    table: list[int] | None
    opened_with: dict[str, Any]
    choice: WeightChoice | None = None


def receipt_path(out: Path, slide_id: str) -> Path:
    """Return the path of a slide's receipt."""
    return out / WORK / RECEIPTS / f"{slide_id}.json"


def opened_with(
    slide: SlideInput, canvas_mpp: float, lattice_px: int, chooser: WeightChooser | None = None
) -> dict[str, Any] | None:
    """Return what the facts about a slide depend on.

    Its files are left out, since a fingerprint stands for them. None if it cannot be known. Where weights are
    chosen, the canvas depends on the choice.
    """
    readers = reader_environment()
    given: dict[str, Any] = {"given_mpp": slide.mpp}
    given |= chooser.causes() if chooser else {"canvas_mpp": canvas_mpp, "lattice_px": lattice_px}
    return None if readers is None else given | {"readers": readers}


def table_state(folder: Path) -> list[int] | None:
    """Return size and time of change of a slide's nuclei table; None without a table."""
    path = folder / NUCLEI_TABLE
    if not path.is_file():
        return None
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def write_receipt(
    out: Path,
    plan: Plan,
    warnings: tuple[str, ...],
    nuclei: int | None,
    chooser: WeightChooser | None = None,
) -> None:
    """Write the receipt of a slide that was finished or kept by this run.

    An error of the disk is ignored: the slide is finished without a receipt, too.
    """
    basis = opened_with(plan.slide, plan.workflow.tile.mpp, plan.facts.lattice_px, chooser)
    if basis is None:
        return
    state = table_state(out / plan.slide.slide_id)
    receipt = Receipt(plan.facts, warnings, plan.summary(), nuclei, state, basis, plan.choice)
    with suppress(StorageError):
        write_json(receipt_path(out, plan.slide.slide_id), asdict(receipt))


def read_receipt(out: Path, slide_id: str) -> Receipt | None:
    """Read the receipt of a slide; None if it is missing, damaged or of another version."""
    try:
        content = json.loads(receipt_path(out, slide_id).read_text(encoding="utf-8"))
        facts = content.pop("facts")
        grid = facts.pop("grid")
        canvas = CanvasGrid(**{name: _as_tuple(value) for name, value in grid.items()})
        levels = tuple(_as_tuple(shape) for shape in facts.pop("levels"))
        texts, chosen = tuple(content.pop("warnings")), content.pop("choice")
        choice = WeightChoice(**chosen) if chosen else None
        return Receipt(SlideFacts(grid=canvas, levels=levels, **facts), texts, choice=choice, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def found_again(receipt: Receipt, slide: SlideInput, precision: str) -> InspectedSlide:
    """Return what opening the slide would find, with its present fingerprint.

    Raises:
        SlideError: A file of the slide cannot be read.
    """
    facts = replace(receipt.facts, fingerprint=fingerprint(slide.path))
    return InspectedSlide(facts, precision, receipt.warnings, receipt.choice)
