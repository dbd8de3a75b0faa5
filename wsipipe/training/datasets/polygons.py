"""Instance labels from outlines (y, x) in px.

ImageScope XML (MoNuSeg, Kumar) is read here, GeoJSON in :mod:`wsipipe.training.datasets.qupath`.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipipe.common.distribution import install_command
from wsipipe.errors import ConfigError
from wsipipe.training.datasets.files import check_sizes, compact, images_in, read_rgb
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.datasets.monuseg import MPP, organ_of
from wsipipe.training.samples import Field, Labels

Outline = npt.NDArray[np.float64]
FEWEST_CORNERS = 3


def filled(outlines: Iterable[Outline], shape: tuple[int, int]) -> Labels:
    """Draw outlines into labels (H, W); later ones cover earlier ones.

    Args:
        outlines: Corners (n, 2) of each nucleus, (y, x), with px corners at whole numbers.
        shape: Shape of the labels.

    Raises:
        ConfigError: scikit-image is not installed.
    """
    try:
        from skimage.draw import polygon
    except ImportError as error:
        raise ConfigError(f"Outlines need scikit-image: {install_command('train')}.") from error

    labels = np.zeros(shape, np.int32)
    for label, corners in enumerate(outlines, start=1):
        labels[polygon(corners[:, 0] - 0.5, corners[:, 1] - 0.5, shape)] = label
    return compact(labels)


def read_xml(path: Path) -> list[Outline]:
    """Read the outlines of an ImageScope annotation file.

    Raises:
        ConfigError: It has no outline of a nucleus.
    """
    from defusedxml.ElementTree import parse

    outlines = []
    for region in parse(path).iter("Region"):
        corners = [(float(vertex.get("Y")), float(vertex.get("X"))) for vertex in region.iter("Vertex")]
        if len(corners) >= FEWEST_CORNERS and region.get("NegativeROA", "0") != "1":
            outlines.append(np.array(corners))
    if not outlines:
        raise ConfigError("the annotation has no outline of a nucleus")
    return outlines


def annotated(folder: Path) -> list[tuple[Path, Path]]:
    """Return pairs of images and XML files.

    Images are in the folder or in ``Tissue Images/``, XML files in the folder or in ``Annotations/``.
    """
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    tissue = next((path for path in inner if path.name.lower() in ("tissue images", "images")), folder)
    notes = next((path for path in inner if path.name.lower() == "annotations"), folder)
    named = {path.stem: path for path in notes.glob("*.xml")}
    return [(path, named[path.stem]) for path in images_in(tissue) if path.stem in named]


def fits(folder: Path) -> bool:
    """Return whether at least one image has an XML file of its name."""
    return bool(annotated(folder))


def read(folder: Path, problems: Problems) -> list[Field]:
    """Read fields at 0.25 µm/px with outlined nuclei, grouped by organ."""
    fields = []
    for path, xml in annotated(folder):
        with problems.at(path):
            image = read_rgb(path)
            with problems.at(xml):
                labels = filled(read_xml(xml), image.shape[:2])
                check_sizes(image, labels)
                fields.append(
                    Field(
                        name=path.stem,
                        source="monuseg",
                        group=organ_of(path.stem),
                        image=image,
                        labels=labels,
                        has_instances=True,
                        mpp=MPP,
                    )
                )
    return fields
