"""Import nuclei of another program as a published result."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wsipipe.common.atomic_files import make_folders, sha256_of, storage_errors
from wsipipe.errors import ConfigError
from wsipipe.pipeline.options import DEFAULT_RESOURCES, Resources
from wsipipe.pipeline.planning.slide_facts import MAX_UPSAMPLING
from wsipipe.pipeline.run import run
from wsipipe.pipeline.run_result import RunResult
from wsipipe.pipeline.work_folders import WORK
from wsipipe.results.importing.given import GEOJSON_SUFFIXES, LabelPlace, open_given
from wsipipe.results.importing.prepare import prepare
from wsipipe.stages.grid import lattice_px
from wsipipe.stages.imported import ImportedParams
from wsipipe.stages.tile import TileParams
from wsipipe.stages.workflow import Workflow, workflow_model
from wsipipe.store.manifest import MANIFEST
from wsipipe.store.result import Result
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.collect import slide_id_of
from wsipipe.tiling.slide import open_slide

GEOJSON_MPP = 0.5
"""Um per px onto which outlines are drawn without ``--labels-mpp``."""


@dataclass(frozen=True)
class ImportRequest:
    """Nuclei to import.

    Attributes:
        source: Label map or GeoJSON.
        slide: The slide.
        labels_mpp: Um per px of a label map, or of the labels that outlines become; None for level 0 of the
            slide, or for :data:`GEOJSON_MPP`.
        offset_px0: First corner (y, x) of a label map in level-0 px; None for a map of the whole slide.
        slide_mpp: Um per px of level 0; None for the slide's own value.
        image: Stored image, as ``tile.image`` of a workflow.
    """

    source: Path
    slide: Path
    labels_mpp: float | None = None
    offset_px0: tuple[float, float] | None = None
    slide_mpp: float | None = None
    image: str = "lossless"


def import_nuclei(
    request: ImportRequest,
    out: Path,
    resources: Resources = DEFAULT_RESOURCES,
    report: Callable[[str], None] = lambda _: None,
    runner: Callable[..., RunResult] = run,
) -> RunResult:
    """Publish nuclei of another program as a result of their slide.

    Args:
        request: What to import.
        out: Folder of the results.
        resources: Processes and memory.
        report: Receiver of warnings.
        runner: Function that runs the workflow; :func:`wsipipe.run`.

    Returns:
        The outcome of the slide.

    Raises:
        ConfigError: The nuclei cannot be read or do not fit the slide, or ``out`` has a result of the slide
            that is no import.
        SlideError: The slide does not open.
    """
    _check_target(out / slide_id_of(request.slide))
    with storage_errors(out):
        make_folders(out / WORK)
        with tempfile.TemporaryDirectory(prefix="import-", dir=out / WORK) as folder:
            workflow = prepared_workflow(request, Path(folder), report)
            return runner(workflow, request.slide, out, mpp=request.slide_mpp, resources=resources)


def prepared_workflow(
    request: ImportRequest, folder: Path, report: Callable[[str], None] = lambda _: None
) -> Workflow:
    """Write the nuclei into a folder, and return the workflow that publishes them.

    Raises:
        ConfigError: The nuclei cannot be read or do not fit the slide.
        SlideError: The slide does not open.
    """
    with open_slide(request.slide, request.slide_mpp) as slide:
        labels_mpp = request.labels_mpp or _default_mpp(request.source, slide.mpp)
        if slide.mpp > MAX_UPSAMPLING * labels_mpp:
            raise ConfigError(
                f"The labels have {labels_mpp:g} um/px, much finer than {request.slide} ({slide.mpp:g} "
                "um/px). Correct --labels-mpp, or the slide's own value with --mpp."
            )
        canvas = Canvas(slide, labels_mpp, lattice_px(labels_mpp, {}))
        given = open_given(request.source, canvas, LabelPlace(labels_mpp, request.offset_px0))
        found = prepare(given, canvas.shape, folder, str(request.source))
    for text in found.warnings:
        report(text)
    y, x = request.offset_px0 or (0.0, 0.0)
    imported = ImportedParams(
        source=request.source.name,
        sha256=_digest(request.source),
        count=found.count,
        types=found.types,
        options={"labels_mpp": labels_mpp, "offset_y_px0": y, "offset_x_px0": x},
        prepared=str(folder.absolute()),
    )
    return workflow_model()(
        name="import",
        description=f"Nuclei imported from {request.source.name}, SHA-256 {imported.sha256}.",
        tile=TileParams(mpp=labels_mpp, image=request.image),
        imported=imported,
    )


def _default_mpp(source: Path, slide_mpp: float) -> float:
    return max(GEOJSON_MPP, slide_mpp) if source.suffix.lower() in GEOJSON_SUFFIXES else slide_mpp


def _digest(source: Path) -> str:
    """Return the SHA-256 of a file, or of all files of a Zarr folder."""
    if source.is_file():
        return sha256_of(source)
    import hashlib

    files = sorted(path for path in source.rglob("*") if path.is_file())
    lines = "".join(f"{sha256_of(path)}  {path.relative_to(source).as_posix()}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _check_target(folder: Path) -> None:
    """Refuse to replace a result that was computed.

    Raises:
        ConfigError: There is one.
    """
    if not (folder / MANIFEST).is_file():
        return
    if "imported" not in Result(folder).attributes["workflow"]:
        raise ConfigError(
            f"{folder} is a result of the slide itself. Import into another folder, for example --out "
            f"{folder.parent}-imported, and compare the two with wsipipe compare."
        )
