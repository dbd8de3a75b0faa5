"""The slides of one run, each in a thread of its own, with failures contained.

``SlideRunner.run_one`` takes a slide from its checksum to its outcome: it plans it, checks the disk space and
hands it to ``slide_run``. An error ends this one slide and becomes its outcome.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from wsipipe.common.folder_size import bytes_under
from wsipipe.errors import InternalError, OutOfMemoryError, WsipipeError, place_of
from wsipipe.pipeline.cluster.attempts import is_out_of_memory
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.execution.warm_up import start_imports
from wsipipe.pipeline.planning.checksums import Sums, check_slide
from wsipipe.pipeline.planning.disk_space import check_space
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import RunPlanner
from wsipipe.pipeline.publishing.published import (
    is_published,
    read_nuclei_summary,
    read_quality,
    read_warnings,
)
from wsipipe.pipeline.publishing.receipt import write_receipt
from wsipipe.pipeline.reporting.html_report import machine_facts
from wsipipe.pipeline.reporting.outcome import SlideOutcome, SlideWarning
from wsipipe.pipeline.reporting.progress import ProgressReporter, announce
from wsipipe.pipeline.reporting.run_json import PlanEntry, UsageEntry
from wsipipe.pipeline.reporting.run_record import RunRecord
from wsipipe.pipeline.reporting.slide_log import RunCallbacks, SlideLog
from wsipipe.pipeline.reporting.slide_page import write_slide_page
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.pipeline.work_folders import PAGE_CONTENT, work_folder
from wsipipe.store.layout import RESULT
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.tiling.collect import SlideInput

logger = logging.getLogger(__name__)


class FailureLimit:
    """Counter of failed slides with an upper limit.

    Args:
        most: Number of slides that may fail; None for no limit.
    """

    def __init__(self, most: int | None) -> None:
        self._most, self._failed, self._lock = most, 0, Lock()

    def count(self) -> None:
        """Count one failed slide."""
        with self._lock:
            self._failed += 1

    @property
    def exceeded(self) -> bool:
        """Whether more slides have failed than may fail."""
        return self._most is not None and self._failed > self._most


@dataclass(frozen=True)
class SlideRunner:
    """What all slides of a run share.

    Attributes:
        pool: Workers.
        out: Folder of the results.
        planner: Planner of the run.
        device: Device of the networks.
        reporter: Receiver of progress and messages.
        record: ``run.json`` of the run; None for a dry run, which only plans.
        restart: Whether finished results and shards are computed again.
        sums: Checksums that the slides must match; None to check none.
        failures: Counter of failed slides.
        with_receipts: Whether workers open slides as this process would, so that receipts are of use.
        plans: Plans of the slides of a dry run, by id; filled while it runs.
    """

    pool: TaskPool
    out: Path
    planner: RunPlanner
    device: Device
    reporter: ProgressReporter
    record: RunRecord | None
    restart: bool
    sums: Sums | None
    failures: FailureLimit
    with_receipts: bool
    plans: dict[str, Plan] = field(default_factory=dict)

    def run_all(self, slides: Sequence[SlideInput], at_once: int) -> tuple[SlideOutcome, ...]:
        """Run all slides, up to ``at_once`` at a time.

        Returns:
            One outcome per slide, in the order given.
        """
        if self.record is not None:
            self.pool.prepare(partial(start_imports, bool(self.planner.cards)))
        threads = ThreadPoolExecutor(min(len(slides), at_once), thread_name_prefix="slide")
        try:
            return tuple(threads.map(self.run_one, slides))
        finally:
            # After an interrupt, do not wait for slides that would run for hours.
            threads.shutdown(wait=False, cancel_futures=True)

    def run_one(self, slide: SlideInput) -> SlideOutcome:
        """Run one slide, or skip it if too many others have failed."""
        if self.failures.exceeded:
            outcome = SlideOutcome(slide.slide_id, slide.path, "skipped")
        else:
            self._record(SlideOutcome(slide.slide_id, slide.path, "running"))
            outcome = self._contained(slide)
        if outcome.status == "failed":
            self.failures.count()
        self._record(outcome)
        announce(self.reporter, outcome)
        return outcome

    def _record(self, outcome: SlideOutcome) -> None:
        if self.record:
            self.record.update(outcome)

    def _contained(self, slide: SlideInput) -> SlideOutcome:
        """Run one slide; its failure becomes its outcome."""
        log, partial = SlideLog(slide.slide_id, self.reporter), _PartialOutcome(slide)
        pool = self.pool.with_message(log.message)
        try:
            return self._computed(pool, slide, log, partial)
        except Exception as error:  # whatever fails in one slide must not stop the others
            if pool.client.status in {"closing", "closed"}:
                raise
            known = _as_wsipipe_error(error, slide)
            logger.debug("%s failed", slide.slide_id, exc_info=error)
            log.error(error)
            return partial.outcome(
                "failed", code=known.code, message=str(known), place=place_of(error), log=log.last_lines()
            )

    def _computed(
        self, pool: TaskPool, slide: SlideInput, log: SlideLog, partial: "_PartialOutcome"
    ) -> SlideOutcome:
        if self.sums is not None:
            pool.call(f"{slide.slide_id}.checksum", check_slide, slide.path, self.sums)
        plan, partial.warnings = self.planner.plan(pool, slide, self.device.name)
        partial.plan = plan.summary()
        if plan.choice:
            log.message(f"weights {plan.choice.weights} (quality {plan.choice.quality}): {plan.choice.why}")
        if self.record is None:
            self.plans[slide.slide_id] = plan
            return partial.outcome("planned")
        self._record(partial.outcome("running"))
        if self.restart or not is_published(self.out, plan):
            check_space(self.out, plan, bytes_under(work_folder(self.out, plan)))

        def network(stage: str, text: str) -> None:
            if partial.add_network(stage, text):
                self._record(partial.outcome("running"))

        def write_page(work: Path, seconds: dict[str, float]) -> None:
            outcome = partial.outcome("done", seconds=seconds, log=log.last_lines(), **_found(work / RESULT))
            content = work / PAGE_CONTENT
            write_slide_page(self.out, content, outcome.as_json(), machine_facts())

        callbacks = RunCallbacks(log.shard, log.message, network, partial.usage.update, write_page)
        seconds = run_slide(pool, plan, self.out, self.device, callbacks, self.restart)
        found = _found(self.out / slide.slide_id)
        if self.with_receipts:
            texts = tuple(each.message for each in partial.warnings)
            write_receipt(self.out, plan, texts, found["nuclei"], self.planner.chooser)
        return partial.outcome("done" if seconds else "kept", seconds=seconds, **found)


@dataclass
class _PartialOutcome:
    """What is known of a slide while it is processed."""

    slide: SlideInput
    plan: PlanEntry = field(default_factory=PlanEntry)
    warnings: tuple[SlideWarning, ...] = ()
    networks: dict[str, list[str]] = field(default_factory=dict)
    usage: dict[str, UsageEntry] = field(default_factory=dict)

    def add_network(self, stage: str, text: str) -> bool:
        """Add how a stage's network ran; return whether this is new."""
        texts = self.networks.setdefault(stage, [])
        if text in texts:
            return False
        texts.append(text)
        return True

    def outcome(
        self, status: str, found_warnings: tuple[SlideWarning, ...] = (), **more: Any
    ) -> SlideOutcome:
        """Return the outcome so far, with the warnings of the finished slide."""
        return SlideOutcome(
            self.slide.slide_id,
            self.slide.path,
            status,
            plan=self.plan,
            warnings=self.warnings + found_warnings,
            networks=self.networks,
            usage=self.usage,
            **more,
        )


def _found(folder: Path) -> dict[str, Any]:
    """Return what the files of a finished slide say, published or not."""
    return {
        "found_warnings": read_warnings(folder),
        "nuclei": _row_count(folder / NUCLEI_TABLE),
        "nuclei_summary": read_nuclei_summary(folder),
        "quality": read_quality(folder),
    }


def _row_count(table: Path) -> int | None:
    """Return the number of rows of a table; None if there is none."""
    if not table.is_file():
        return None
    # Runs without nuclei do not load pyarrow.
    import pyarrow.parquet as pq

    return int(pq.read_metadata(table).num_rows)


def _as_wsipipe_error(error: Exception, slide: SlideInput) -> WsipipeError:
    if isinstance(error, WsipipeError):
        return error
    if is_out_of_memory(error):
        return OutOfMemoryError(f"{slide.path}: out of memory in the driver process ({error}). Free memory.")
    return InternalError(
        f"{slide.path}: {type(error).__name__}: {error}. This is a defect of wsipipe; please report it."
    )
