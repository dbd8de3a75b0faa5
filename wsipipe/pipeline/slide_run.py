"""Run or resume one slide, and publish it.

The manifest is written after all shards, and one rename publishes the result.
"""

import shutil
import time
from pathlib import Path

from wsipipe.common.atomic_files import make_folders, storage_errors, write_durable
from wsipipe.common.disk_sync import sync_folder
from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import SlideChangedError
from wsipipe.pipeline.cluster.task_pool import TaskPool
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.slide_facts import check_unchanged
from wsipipe.pipeline.publishing import publish
from wsipipe.pipeline.publishing.published import is_finished
from wsipipe.pipeline.reporting.slide_log import RunCallbacks
from wsipipe.pipeline.reporting.usage import wall_shares
from wsipipe.pipeline.stage_run import Device as Device
from wsipipe.pipeline.stage_run import run_stages
from wsipipe.pipeline.work_folders import RESTARTED, slide_lock, work_folder
from wsipipe.store import manifest
from wsipipe.store.layout import RESULT, ShardFile
from wsipipe.store.ledger import Ledger

NO_CALLBACKS = RunCallbacks()


def run_slide(
    pool: TaskPool,
    plan: Plan,
    out: Path,
    device: Device,
    callbacks: RunCallbacks = NO_CALLBACKS,
    restart: bool = False,
) -> dict[str, float]:
    """Compute and publish one slide.

    Finished shards of an interrupted run of the same plan are kept.

    Args:
        pool: Pool of workers that can access ``out``.
        plan: Plan of the slide.
        out: Folder of all results.
        device: Device that networks run on.
        callbacks: Callbacks for progress and messages.
        restart: Whether to keep nothing: published and interrupted slides are computed from the start.

    Returns:
        Seconds by stage, see :func:`~wsipipe.pipeline.reporting.usage.wall_shares`; empty if the slide was
        published already.

    Raises:
        WsipipeError: The slide failed; finished shards are kept.
    """
    work = work_folder(out, plan)
    with storage_errors(out), slide_lock(out, plan.slide.slide_id):
        if not restart and is_finished(out, plan):
            return {}
        if restart and work.exists():
            callbacks.message("starting over; files of an earlier run are deleted")
            shutil.rmtree(work)
        _prepare(work)
        if restart:
            write_durable(work / RESTARTED, b"")
        began = time.monotonic()
        with Ledger(work) as ledger:
            usage = run_stages(pool, plan, work, ledger, device, callbacks)
            files = [
                file for stage in plan.stages for done in ledger.files(stage.name).values() for file in done
            ]
        callbacks.usage({name: each.as_json() for name, each in usage.items()})
        seconds = wall_shares(usage, time.monotonic() - began)
        began = time.monotonic()
        _write(pool, plan, work, files)
        callbacks.before_publish(work, seconds | {"finish": time.monotonic() - began})
        publish.publish(work, out, plan)
        seconds["finish"] = time.monotonic() - began
    return seconds


def _write(pool: TaskPool, plan: Plan, work: Path, files: list[ShardFile]) -> None:
    """Write what is made of all shards, and the manifest."""
    slide_id = plan.slide.slide_id
    try:
        pool.call(f"{slide_id}.check", check_unchanged, plan.slide.path, plan.facts.fingerprint)
    except SlideChangedError:
        # Some shards may contain pixels that are no longer, or never were, those of the slide.
        shutil.rmtree(work)
        raise
    side_files = pool.call(f"{slide_id}.finish", publish.write_results, plan, work)
    shards = [file for file in files if file.path.startswith(f"{RESULT}/")]
    manifest.write(work, manifest.build(plan.id, shards + side_files))
    fault_point("manifest.written")


def _prepare(work: Path) -> None:
    """Make the work directory, without half-written files of a killed run."""
    with storage_errors(work):
        make_folders(work)
        for pattern in ("*.partial", "*.tmp"):
            for leftover in work.rglob(pattern):
                leftover.unlink()
        sync_folder(work)
