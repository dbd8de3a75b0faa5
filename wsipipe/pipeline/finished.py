"""Find the slides that are finished already, before any worker starts.

A slide is kept if its plan, made from its receipt and the present files, is the plan of the published result.
Wherever that is in doubt, the slide is left to a worker, which opens it and decides.
"""

from dataclasses import dataclass
from pathlib import Path

from wsipipe.pipeline.planning.checksums import Sums, check_slide
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import RunPlanner
from wsipipe.pipeline.publishing.published import (
    is_finished,
    is_published,
    read_nuclei_summary,
    read_quality,
    read_warnings,
)
from wsipipe.pipeline.publishing.receipt import (
    Receipt,
    found_again,
    opened_with,
    read_receipt,
    receipt_path,
    table_state,
)
from wsipipe.pipeline.reporting.outcome import SlideOutcome, SlideWarning
from wsipipe.pipeline.work_folders import slide_lock
from wsipipe.store.manifest import MANIFEST
from wsipipe.tiling.collect import SlideInput


@dataclass(frozen=True)
class FinishedSlides:
    """Search for finished slides of a run.

    Attributes:
        out: Folder of the results.
        planner: Planner of the run.
        precision: Precision that ``auto`` means where the networks would run.
        sums: Checksums that the slides must match; None to check none.
    """

    out: Path
    planner: RunPlanner
    precision: str
    sums: Sums | None

    def may_be_finished(self, slide: SlideInput) -> bool:
        """Return whether a slide is worth a closer look; no file is read."""
        published = self.out / slide.slide_id / MANIFEST
        return published.is_file() and receipt_path(self.out, slide.slide_id).is_file()

    def outcome(self, slide: SlideInput) -> SlideOutcome | None:
        """Return the outcome of a finished slide; None for any other."""
        try:
            return self._outcome(slide)
        except Exception:  # whatever is wrong, the worker that opens the slide reports it
            return None

    def _outcome(self, slide: SlideInput) -> SlideOutcome | None:
        receipt = read_receipt(self.out, slide.slide_id)
        planner = self.planner
        basis = opened_with(slide, planner.workflow.tile.mpp, planner.lattice, planner.chooser)
        if receipt is None or basis is None or receipt.opened_with != basis:
            return None
        plan, warnings = planner.plan_of(slide, found_again(receipt, slide, self.precision))
        if receipt.summary["plan"] != plan.id or not is_published(self.out, plan):
            return None
        if self.sums is not None:
            check_slide(slide.path, self.sums)
        with slide_lock(self.out, slide.slide_id):
            if receipt.table != table_state(self.out / slide.slide_id) or not is_finished(self.out, plan):
                return None
            return self._kept(plan, receipt, warnings)

    def _kept(self, plan: Plan, receipt: Receipt, warnings: tuple[SlideWarning, ...]) -> SlideOutcome:
        slide = plan.slide
        summary = receipt.summary.copy()
        summary["path"] = str(slide.path)
        warnings += read_warnings(self.out / slide.slide_id)
        return SlideOutcome(
            slide.slide_id,
            slide.path,
            "kept",
            plan=summary,
            warnings=warnings,
            nuclei=receipt.nuclei,
            nuclei_summary=read_nuclei_summary(self.out / slide.slide_id),
            quality=read_quality(self.out / slide.slide_id),
        )
