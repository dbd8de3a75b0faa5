"""Write the cores of tissue micro-arrays as regions of interest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely

from wsipipe.common.atomic_files import make_folders, storage_errors, write_durable
from wsipipe.errors import SlideError, StorageError
from wsipipe.geometry import Region
from wsipipe.stages.grid import TISSUE_MPP
from wsipipe.store.regions import regions_text
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.cores import find_cores
from wsipipe.tiling.slide import open_slide
from wsipipe.tiling.tissue import find_tissue
from wsipipe.tiling.tissue_params import TissueParams


@dataclass(frozen=True)
class CoreFile:
    """The cores of one slide.

    Attributes:
        path: GeoJSON file.
        names: Names of the cores.
    """

    path: Path
    names: tuple[str, ...]


def write_cores(
    slides: Sequence[SlideInput], folder: Path, diameter_um: float | None, report: Callable[[str], None]
) -> Iterator[CoreFile]:
    """Write the cores of each slide as ``NAME.geojson``, for ``run --regions``.

    Args:
        slides: The slides.
        folder: Folder of the files; made if absent.
        diameter_um: Diameter of a core; None to measure it.
        report: Function that takes the message of a slide that was left out.

    Yields:
        One file for each slide on which cores were found.

    Raises:
        StorageError: A file exists, or cannot be written.
    """
    paths = [folder / f"{slide.sample_id}.geojson" for slide in slides]
    for path in paths:
        if path.exists() or paths.count(path) > 1:
            raise StorageError(
                f"{path} would be replaced. Name an empty folder with --to, or rename a slide."
            )
    with storage_errors(folder):
        make_folders(folder)
    for slide, path in zip(slides, paths, strict=True):
        try:
            cores = cores_of(slide, diameter_um)
        except SlideError as error:
            report(f"{slide.path}: {error}")
            continue
        write_durable(path, regions_text(cores).encode())
        yield CoreFile(path, tuple(cores))


def cores_of(slide: SlideInput, diameter_um: float | None = None) -> dict[str, shapely.Geometry]:
    """Return the cores of a slide by name, circles (x, y) in level-0 px.

    Args:
        slide: The slide.
        diameter_um: Diameter of a core; None to measure it.

    Raises:
        SlideError: The slide cannot be read, or has no cores on a grid.
    """
    with open_slide(slide.path, slide.mpp) as opened:
        mpp, bounds = max(TISSUE_MPP, opened.mpp), opened.bounds
        shape = (int(side * opened.mpp / mpp) or 1 for side in bounds.shape)
        whole = Region(0, 0, *shape)
        rgb, scanned = opened.read(whole, mpp), opened.scanned(whole, mpp)
        tissue = find_tissue(rgb, scanned, mpp, TissueParams())
        extent = shapely.box(0, 0, bounds.width, bounds.height)
        return {
            core.name: shapely.intersection(shapely.Polygon(core.corners_um() / opened.mpp), extent)
            for core in find_cores(tissue, mpp, diameter_um)
        }
