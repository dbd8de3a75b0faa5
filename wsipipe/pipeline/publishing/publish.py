"""The end of a slide's walk: OME attributes, tables and pictures, then one rename that makes it visible."""

import itertools
import os
import shutil
from pathlib import Path

import zarr

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.common.atomic_files import make_folders, storage_errors, sync_file, sync_folder, sync_folders
from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import StorageError
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing import side_files
from wsipipe.stages.classify import CLASS_MAP
from wsipipe.stages.nuclei.declarations import NUCLEI
from wsipipe.stages.tissue import TISSUE
from wsipipe.store import manifest, ome_metadata
from wsipipe.store.arrays import RESULT, ShardFile, array_path
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX, UNREADABLE
from wsipipe.store.ome_metadata import NOT_COMPUTED_CLASS, RGB_CHANNELS, TISSUE_CLASS


def finish(plan: Plan, work: Path, attempt: int = 0) -> list[ShardFile]:
    """Writes everything that is no shard; returns those files, digested. Safe to repeat."""
    root = work / RESULT / "slide.zarr"
    with storage_errors(root):
        _write_attributes(plan, root)
        written = side_files.export(plan, work)
    arrays = [write.name for stage in plan.stages for write in stage.writes]
    metadata = [work / array_path(name) / "zarr.json" for name in arrays if not name.startswith("scratch/")]
    metadata += [folder / "zarr.json" for folder in _groups(plan, root)]
    for path in [*metadata, *written]:
        sync_file(path)
    return [manifest.describe(work, path) for path in [*metadata, *written]]


def label_names(plan: Plan) -> list[str]:
    """The label images of a plan, as named in the store."""
    names = [TISSUE]
    names += [CLASS_MAP] if plan.workflow.classify else []
    names += [NUCLEI] if plan.workflow.segment else []
    return [name.split("/")[1] for name in names]


def label_classes(plan: Plan, name: str) -> list[ome_metadata.LabelClass]:
    """Names and colours of a label image's values; none for nuclei, which stand in the table."""
    if name == "tissue":
        return [TISSUE_CLASS, NOT_COMPUTED_CLASS]
    if name == "tissue_class":
        classes = [
            ome_metadata.LabelClass(value, output.name, output.color)
            for value, output in enumerate(plan.classes)
        ]
        return [*classes, NOT_COMPUTED_CLASS]
    return []


def _groups(plan: Plan, root: Path) -> list[Path]:
    groups = [root, root / "labels"]
    groups += [root / "labels" / name for name in label_names(plan)]
    probabilities = [root / name.rsplit("/", 1)[0] for name in plan.probability_arrays()]
    return [*groups, *([root / "probabilities"] if probabilities else []), *probabilities]


def _write_attributes(plan: Plan, root: Path) -> None:
    for folder in _groups(plan, root):
        zarr.open_group(folder, mode="a", zarr_format=3)
    _put(root, _image_attributes(plan) | {"wsipipe": _provenance(plan)})
    _put(root / "labels", ome_metadata.labels_attributes(label_names(plan)))
    mpp = plan.facts.frame.mpp
    for name in label_names(plan):
        downsample = plan.downsample(f"labels/{name}/0")
        scales = ome_metadata.multiscale(name, plan.levels, mpp, downsample, channels=False, kind="mode")
        attributes = ome_metadata.label_attributes(scales, label_classes(plan, name))
        about = {"wsipipe": _about_classes(plan)} if name == "tissue_class" else {}
        _put(root / "labels" / name, attributes | about)
    for array, downsample in plan.probability_arrays().items():
        name = array.split("/")[1]
        classes = []
        if name == "tissue_class":
            # The map may hold "unknown" too, of which there is no probability.
            classes = label_classes(plan, name)[: len(plan.cards["classify"].outputs)]
        scales = ome_metadata.multiscale(name, 1, mpp, downsample, channels=bool(classes), kind="none")
        attributes = ome_metadata.image_attributes(name, scales, classes)
        meaning = {"scale": 1 / PROBABILITY_MAX, "unreadable": UNREADABLE, "not_computed": NOT_COMPUTED}
        _put(root / "probabilities" / name, attributes | {"wsipipe": meaning})


def _about_classes(plan: Plan) -> dict[str, object]:
    """Of what organ and stain the classes are, and which value means that a cell is like none of them."""
    card = plan.cards["classify"]
    unknown = len(card.outputs) if len(plan.classes) > len(card.outputs) else None
    return {"organ": card.organ, "stain": card.stain, "weights": card.name, "unknown": unknown}


def _image_attributes(plan: Plan) -> dict[str, object]:
    if plan.workflow.tile.image == "none":
        return {}
    scales = ome_metadata.multiscale(
        "image", plan.levels, plan.facts.frame.mpp, 1, channels=True, kind="mean"
    )
    return ome_metadata.image_attributes("image", scales, RGB_CHANNELS)


def _provenance(plan: Plan) -> dict[str, object]:
    frame = plan.facts.frame
    return {
        "plan": plan.id,
        "slide_id": plan.slide.slide_id,
        "vendor": plan.facts.vendor,
        "slide_mpp": plan.facts.mpp,
        "slide_mpp_source": plan.facts.mpp_source,
        "canvas_mpp": frame.mpp,
        "level0_offset_yx": list(frame.offset_px0),
        "level0_px_per_canvas_px": frame.step_px0,
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
    group = zarr.open_group(folder, mode="r+", zarr_format=3)
    if dict(group.attrs) != attributes:
        group.attrs.put(attributes)


def is_published(out: Path, plan: Plan) -> bool:
    """Whether ``out`` holds this very plan's result already."""
    folder = out / plan.slide.slide_id
    return _plan_of(folder) == plan.id


def publish(work: Path, out: Path, plan: Plan) -> None:
    """Moves the finished result to its place with one rename, then drops the scratch.

    An earlier result is kept under ``OUT/.replaced``, human corrections included.
    """
    target = out / plan.slide.slide_id
    with storage_errors(target):
        # Zarr makes folders as it goes and syncs none of them.
        sync_folders(work / RESULT)
        if target.exists():
            aside = _aside(out, target)
            make_folders(aside.parent)
            os.rename(target, aside)
            sync_folder(aside.parent)
        fault_point("publish.before_rename")
        os.rename(work / RESULT, target)
        sync_folder(out)
        fault_point("publish.after_rename")
        shutil.rmtree(work)


def _aside(out: Path, target: Path) -> Path:
    """A new name for an earlier result; none that was put aside before is given up."""
    name = f"{target.name}.{_plan_of(target)[:16]}"
    names = itertools.chain([name], (f"{name}.{i}" for i in itertools.count(2)))
    return next(path for path in (out / ".replaced" / each for each in names) if not path.exists())


def _plan_of(folder: Path) -> str:
    """Plan of a result; ``unknown`` where there is none, or its manifest is damaged."""
    try:
        return str(manifest.read(folder)["plan"])
    except StorageError:
        return "unknown"
