"""Write a slide's results, and publish them atomically.

The results include OME attributes, tables and pictures.
"""

import itertools
from pathlib import Path
from typing import Any

import zarr

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.common.atomic_files import make_folders, storage_errors, sync_file, sync_folders
from wsipipe.common.disk_sync import move, remove_folder, sync_folder
from wsipipe.common.fault_injection import fault_point
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.published import plan_of
from wsipipe.stages.stage import Stage, Write
from wsipipe.store import manifest, ome_metadata
from wsipipe.store.arrays import RESULT, ShardFile, array_path
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX, UNREADABLE
from wsipipe.store.ome_metadata import NOT_COMPUTED_CLASS


def write_results(plan: Plan, work: Path, attempt: int = 0) -> list[ShardFile]:
    """Write metadata, tables and pictures of a slide.

    It can be repeated.

    Args:
        plan: Plan of the slide.
        work: Work directory with all arrays.
        attempt: Number of earlier attempts.

    Returns:
        The files with their digests.
    """
    # The libraries of tables and pictures are loaded only where a slide is finished.
    from wsipipe.pipeline.publishing.side_files import write_side_files

    root = work / RESULT / "slide.zarr"
    with storage_errors(root):
        groups = _write_attributes(plan, root)
        written = write_side_files(plan, work)
    arrays = [write.name for stage in plan.stages for write in stage.writes if write.published]
    metadata = [work / array_path(name) / "zarr.json" for name in arrays]
    metadata += [folder / "zarr.json" for folder in groups]
    for path in [*metadata, *written]:
        sync_file(path)
    return [manifest.describe(work, path) for path in [*metadata, *written]]


def _write_attributes(plan: Plan, root: Path) -> list[Path]:
    """Write the attributes of every group; return the groups."""
    labels, probabilities = [*plan.published("label")], [*plan.published("probability")]
    image = next(plan.published("image"), None)
    attributes = {
        root: (_image_attributes(plan, *image) if image else {}) | {"wsipipe": _provenance(plan)},
        root / "labels": ome_metadata.labels_attributes([name_of(write) for _, write in labels]),
    }
    attributes |= {root / write.group: _label_attributes(plan, stage, write) for stage, write in labels}
    attributes |= {root / "probabilities": {}} if probabilities else {}
    attributes |= {
        root / write.group: _probability_attributes(plan, stage, write) for stage, write in probabilities
    }
    for folder, values in attributes.items():
        _put(folder, values)
    return [*attributes]


def name_of(write: Write) -> str:
    """Return a published array's short name, as ``nuclei``."""
    return write.group.rpartition("/")[2]


def _image_attributes(plan: Plan, stage: Stage, write: Write) -> dict[str, Any]:
    scales = ome_metadata.multiscale(
        "image", plan.levels, plan.facts.grid.mpp, stage.downsample, channels=True, kind="mean"
    )
    return ome_metadata.image_attributes("image", scales, write.legend)


def _label_attributes(plan: Plan, stage: Stage, write: Write) -> dict[str, Any]:
    scales = ome_metadata.multiscale(
        name_of(write), plan.levels, plan.facts.grid.mpp, stage.downsample, channels=False, kind="mode"
    )
    # The nuclei have no legend: there may be a million, which the table lists.
    legend = [*write.legend, NOT_COMPUTED_CLASS] if write.legend else []
    about = {"wsipipe": dict(write.about)} if write.about else {}
    return ome_metadata.label_attributes(scales, legend) | about


def _probability_attributes(plan: Plan, stage: Stage, write: Write) -> dict[str, Any]:
    name = name_of(write)
    scales = ome_metadata.multiscale(
        name, 1, plan.facts.grid.mpp, stage.downsample, channels=bool(write.channels), kind="none"
    )
    meaning = {"scale": 1 / PROBABILITY_MAX, "unreadable": UNREADABLE, "not_computed": NOT_COMPUTED}
    return ome_metadata.image_attributes(name, scales, write.legend) | {
        "wsipipe": meaning | dict(write.about)
    }


def _provenance(plan: Plan) -> dict[str, object]:
    grid = plan.facts.grid
    return {
        "plan": plan.id,
        "slide_id": plan.slide.slide_id,
        "vendor": plan.facts.vendor,
        "slide_mpp": plan.facts.mpp,
        "slide_mpp_source": plan.facts.mpp_source,
        "canvas_mpp": grid.mpp,
        "level0_offset_yx": list(grid.offset_px0),
        "level0_px_per_canvas_px": grid.step_px0,
        "workflow": plan.parameters(),
        "weights": {
            stage: card.model_dump(
                mode="json", include={"name", "sha256", "mpp", "temperature", "stain_reference"}
            )
            for stage, card in plan.cards.items()
        },
        "notice": RESEARCH_USE_NOTICE,
    }


def _put(folder: Path, attributes: dict[str, object]) -> None:
    group = zarr.open_group(folder, mode="a", zarr_format=3)
    if dict(group.attrs) != attributes:
        group.attrs.put(attributes)


def publish(work: Path, out: Path, plan: Plan) -> None:
    """Publish the result with one rename.

    The work directory is then deleted. An earlier result is kept under ``OUT/.replaced``, including its
    manual corrections.
    """
    target = out / plan.slide.slide_id
    with storage_errors(target):
        # Zarr makes folders without syncing them.
        sync_folders(work / RESULT)
        if target.exists():
            backup = _backup_path(out, target)
            make_folders(backup.parent)
            move(target, backup)
            sync_folder(backup.parent)
        fault_point("publish.before_rename")
        move(work / RESULT, target)
        sync_folder(out)
        fault_point("publish.after_rename")
        remove_folder(work)


def _backup_path(out: Path, target: Path) -> Path:
    """Return an unused backup path for an earlier result.

    Existing backups are never overwritten.
    """
    name = f"{target.name}.{plan_of(target)[:16]}"
    names = itertools.chain([name], (f"{name}.{i}" for i in itertools.count(2)))
    return next(path for path in (out / ".replaced" / each for each in names) if not path.exists())
